"""Certificates of timestamp signers: which one signed, whether it may, and whether the token says so."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from timestamping import der
from timestamping.algorithms import DIGESTS, digest, digest_name, read_algorithm
from timestamping.errors import TokenRefused
from timestamping.structure import SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, SignerInfo

HOSTILE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OverflowError,
    RecursionError,
    UnsupportedAlgorithm,
    struct.error,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)
"""What the libraries below throw at malformed input."""


class Certificate:
    """A certificate with the raw fields that identify it."""

    __slots__ = ("der", "issuer", "serial", "x509")

    def __init__(self, encoded: bytes) -> None:
        self.der = encoded
        fields = der.only(encoded, der.SEQUENCE).reader().take(der.SEQUENCE).reader()
        fields.optional(0xA0)
        self.serial = fields.integer()
        if self.serial <= 0:
            raise der.DerError("certificate serial number is not positive")
        fields.take(der.SEQUENCE)
        self.issuer = fields.take(der.SEQUENCE).raw
        self.x509 = x509.load_der_x509_certificate(encoded)

    def is_identified_by(self, signer: SignerInfo) -> bool:
        """True when the SignerInfo names this certificate (RFC 5652, 5.3)."""
        if signer.key_identifier is None:
            return (self.issuer, self.serial) == (signer.issuer, signer.serial)
        try:
            extension = self.x509.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return False
        return extension.value.digest == signer.key_identifier


def load(encoded: Sequence[bytes], *, strict: bool) -> list[Certificate]:
    """Load DER certificates; unreadable ones are passed over, or with `strict` raise TokenRefused."""
    loaded = []
    for certificate in encoded:
        try:
            loaded.append(Certificate(certificate))
        except HOSTILE as error:
            # An odd certificate that nobody needs must not spoil a foreign token; a needed one is missed.
            if strict:
                raise TokenRefused(
                    "FORMAT_FAILURE", f"unreadable certificate in the token: {error}"
                ) from error
    return loaded


def single(signer: SignerInfo, kind: str, what: str) -> der.Element:
    """The only value of a signed attribute. Raises TokenRefused FORMAT_FAILURE (RFC 5652, 11)."""
    values = signer.attributes.get(kind)
    if values is None or len(values) != 1:
        raise TokenRefused("FORMAT_FAILURE", f"signed attribute {what} must be there with exactly one value")
    return values[0]


def select_signer(
    signer: SignerInfo,
    inside: Sequence[Certificate],
    others: Sequence[x509.Certificate],
    accepted: Mapping[str, str] = DIGESTS,
) -> Certificate:
    """Find the certificate that the SignerInfo names, in the token first, else among others.

    Raises:
        TokenRefused: NO_SIGNING_CERTIFICATE_FOUND.
    """
    matching = {c.der: c for c in inside if c.is_identified_by(signer)}
    if not matching:
        outside = load([certificate.public_bytes(Encoding.DER) for certificate in others], strict=False)
        matching = {c.der: c for c in outside if c.is_identified_by(signer)}
    # Several certificates with one name and serial number: only the hash in the signed reference tells them
    # apart, so it chooses; the reference is checked in full afterwards.
    if len(matching) > 1:
        matching = {encoded: c for encoded, c in matching.items() if _is_referenced(signer, c, accepted)}
    if not matching:
        raise TokenRefused("NO_SIGNING_CERTIFICATE_FOUND", "the signer's certificate is not at hand")
    if len(matching) > 1:
        raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "several certificates fit the signer")
    return next(iter(matching.values()))


def _is_referenced(signer: SignerInfo, certificate: Certificate, accepted: Mapping[str, str]) -> bool:
    try:
        check_reference(signer, certificate, accepted)
    except (TokenRefused, der.DerError):
        return False
    return True


def check_reference(
    signer: SignerInfo, certificate: Certificate, accepted: Mapping[str, str] = DIGESTS
) -> None:
    """Check the signed reference to the signer: ESSCertID (RFC 2634, 5.4), ESSCertIDv2 (RFC 5035, 4).

    Where both attributes are present both must hold; the first reference in each is the signer's.

    Raises:
        TokenRefused: CHAIN_CONSTRAINTS_FAILURE.
        DerError: the attribute is malformed.
    """
    present = [kind for kind in (SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2) if kind in signer.attributes]
    if not present:
        raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "no signed reference to the signer's certificate")
    for kind in present:
        reader = der.only(single(signer, kind, "signing-certificate").raw, der.SEQUENCE).reader()
        references = reader.take(der.SEQUENCE).reader()
        reader.optional(der.SEQUENCE)
        reader.finish()
        first = references.take(der.SEQUENCE).reader()
        # ESSCertID is SHA-1 by definition; it only picks one certificate among those that the signer
        # identifier, the signature and the path already hold to, so no collision helps an attacker.
        if kind == SIGNING_CERTIFICATE:
            expected = hashlib.sha1(certificate.der, usedforsecurity=False).digest()
        else:
            algorithm = first.optional(der.SEQUENCE)
            name = "sha256" if algorithm is None else digest_name(read_algorithm(algorithm), accepted)
            expected = digest(name, certificate.der)
        stated = first.take(der.OCTET_STRING).content
        issuer_serial = first.optional(der.SEQUENCE)
        first.finish()
        if stated != expected:
            raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "the signed reference is to another certificate")
        if issuer_serial is not None:
            fields = issuer_serial.reader()
            names = fields.take(der.SEQUENCE).content
            serial = fields.integer()
            fields.finish()
            if names != der.tlv(0xA4, certificate.issuer) or serial != certificate.serial:
                raise TokenRefused(
                    "CHAIN_CONSTRAINTS_FAILURE", "the signed reference has another issuer or serial number"
                )


def check_role(certificate: x509.Certificate) -> None:
    """Refuse a certificate that is not, and only, a timestamp authority's (RFC 3161, 2.3).

    Raises:
        TokenRefused: CHAIN_CONSTRAINTS_FAILURE: extended key usage not critical or not id-kp-timeStamping
            alone, key usage beyond digitalSignature and nonRepudiation, or a CA.
    """
    extensions = certificate.extensions
    try:
        extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "no extended key usage") from None
    if not extended.critical or list(extended.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise TokenRefused(
            "CHAIN_CONSTRAINTS_FAILURE", "extended key usage must be critical and timeStamping alone"
        )
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "the signer is a certification authority")
        if isinstance(extension.value, x509.KeyUsage):
            usage = extension.value
            beyond = (
                usage.key_encipherment
                or usage.data_encipherment
                or usage.key_agreement
                or usage.key_cert_sign
                or usage.crl_sign
            )
            if beyond or not (usage.digital_signature or usage.content_commitment):
                raise TokenRefused("CHAIN_CONSTRAINTS_FAILURE", "key usage is not that of a timestamp signer")
