"""Reading certificate revocation lists: who issued one, when it holds, what it says (RFC 5280 section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

#: What hostile DER makes the library throw when it is read or checked.
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)


@dataclass(frozen=True, slots=True)
class Crl:
    """A readable CRL; nothing about its signature is known yet.

    Attributes:
        der: as it came.
        parsed: the library's view.
        this_update: start of its life, UTC.
        next_update: end of its life, UTC.
    """

    der: bytes
    parsed: x509.CertificateRevocationList
    this_update: datetime
    next_update: datetime

    def issued_by(self, issuer: x509.Certificate) -> bool:
        """Whether the issuer's name and key are behind this list."""
        try:
            # The library accepts exactly the key types that may issue; the cast would say nothing more.
            return (
                self.parsed.issuer == issuer.subject
                and whole_octets(self.der, self.parsed.signature)
                and self.parsed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
            )
        except UNREADABLE:
            return False

    def covers(self, moment: datetime, *, retroactive: bool = False) -> bool:
        """Whether thisUpdate ≤ moment < nextUpdate; `retroactive` forgives a later thisUpdate."""
        return (retroactive or self.this_update <= moment) and moment < self.next_update

    def could_name(self, certificate: x509.Certificate) -> bool:
        """Whether the list is not older than a certificate; silence of an older one says nothing of it."""
        return self.this_update >= certificate.not_valid_before_utc

    def revocation_date(self, serial: int) -> datetime | None:
        """When the list says that a certificate of its issuer was revoked; None when it does not."""
        entry = self.parsed.get_revoked_certificate_by_serial_number(serial)
        return None if entry is None else entry.revocation_date_utc


def read_crls(encoded: Iterable[bytes]) -> list[Crl]:
    """Read the lists that can be read and state when they end; others prove nothing and are left out."""
    found: dict[bytes, Crl] = {}
    for der in encoded:
        try:
            parsed = x509.load_der_x509_crl(der)
            this_update, next_update = parsed.last_update_utc, parsed.next_update_utc
            if next_update is not None:
                found[der] = Crl(der, parsed, this_update, next_update)
        except UNREADABLE:
            continue
    return list(found.values())


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the issuer's name and key are behind a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
        return whole_octets(certificate.public_bytes(Encoding.DER), certificate.signature)
    except UNREADABLE:
        return False


def whole_octets(der: bytes, signature: bytes) -> bool:
    """Whether a certificate or CRL ends with its signature in a BIT STRING without unused bits.

    The library forgives unused bits, so that one bit of an issued certificate could be changed unnoticed.
    """
    return der.endswith(b"\x00" + signature)


def is_root(certificate: x509.Certificate) -> bool:
    """Whether a certificate is self-issued and self-signed."""
    return certificate.subject == certificate.issuer and issued(certificate, certificate)


def find_issuer(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """The first candidate that issued a certificate."""
    return next((candidate for candidate in candidates if issued(candidate, certificate)), None)
