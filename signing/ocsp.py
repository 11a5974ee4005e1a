"""Reading OCSP responses: who answers, for which certificate, when, what (RFC 6960)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asn1crypto import algos
from asn1crypto import core as asn1_core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.algorithms import AlgorithmTable, describe_key
from signing.cms_crypto import read_scheme
from signing.cms_form import asn1_certificate
from signing.cms_frame import check_ocsp_frame
from signing.der import tlv
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE
from signing.issuing import issued_certificate, signed_by

_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
_BASIC = bytes.fromhex("06092b0601050507300101")  # id-pkix-ocsp-basic
_SUCCESSFUL = b"\x0a\x01\x00"
_NO_CHECK = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.5")
_MAX_ANSWERS = 200


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """What a response says of one certificate.

    Attributes:
        digest: hashlib name of the hashes below.
        issuer_name: hash of the issuer's name.
        issuer_key: hash of the issuer's key.
        serial: serial number of the certificate.
        this_update: UTC instant at which the status was known to be right.
        next_update: UTC instant of the next answer; None: always a newer one can be had.
        status: "good", "revoked" or "unknown".
        revoked_at: UTC, of a revoked certificate.
        reason: name as in "key_compromise"; "" when not said.
        archive_cutoff: the responder knows certificates that ended since then.
        critical: it carries a critical extension.
    """

    digest: str
    issuer_name: bytes
    issuer_key: bytes
    serial: int
    this_update: datetime
    next_update: datetime | None
    status: str
    revoked_at: datetime | None
    reason: str
    archive_cutoff: datetime | None
    critical: bool

    def is_about(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether this is the certificate that was asked about (RFC 6960 section 4.1.1)."""
        if self.serial != certificate.serial_number:
            return False
        try:
            read = asn1_certificate(issuer)
            name = hashlib.new(self.digest, read.subject.dump(), usedforsecurity=False).digest()
            key = _key_hash(self.digest, issuer)
        except HOSTILE:
            return False
        return hmac.compare_digest(name, self.issuer_name) and hmac.compare_digest(key, self.issuer_key)


@dataclass(frozen=True, slots=True)
class OcspResponse:
    """A readable response; nothing about its signature is known yet.

    Attributes:
        der: as it came.
        produced_at: UTC.
        answers: each certificate's.
        certificates: inside, of the responder.
        responder_name: DER of the name that the ResponderID gives, or None.
        responder_key: SHA-1 of the key that it gives, or None.
        algorithm: of the signature.
        signature: the value.
        signed: what it is over.
    """

    der: bytes = field(repr=False)
    produced_at: datetime
    answers: tuple[OcspAnswer, ...]
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    responder_name: bytes | None
    responder_key: bytes | None
    algorithm: algos.SignedDigestAlgorithm = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)

    def responder(
        self, issuer: x509.Certificate, others: Sequence[x509.Certificate]
    ) -> x509.Certificate | None:
        """Find who signed, if he may answer for an issuer's certificates (RFC 6960 section 4.2.2.2).

        1. He is the one that the ResponderID names. 2. His key made the signature. 3. He is the issuer
        himself, or the issuer gave him a certificate for OCSP signing that was valid at producedAt.

        Args:
            issuer: of the certificates asked about.
            others: where the responder's certificate may be found, beside those inside.
        """
        for candidate in dict.fromkeys((issuer, *self.certificates, *others)):
            # 1, 2
            if not self._is_named(candidate) or not signed_by(
                candidate, self.algorithm, self.signature, self.signed
            ):
                continue
            # 3
            if candidate == issuer or (
                _may_answer(candidate)
                and candidate.not_valid_before_utc <= self.produced_at <= candidate.not_valid_after_utc
                and issued_certificate(issuer, candidate)
            ):
                return candidate
        return None

    def check_algorithms(
        self, table: AlgorithmTable, responder: x509.Certificate, *, at: datetime, proven: bool
    ) -> None:
        """Hold the response's signature to the dated table. Raises SignatureRefused."""
        scheme = read_scheme(self.algorithm)
        name, bits, curve = describe_key(responder.public_key(), pss=scheme.pss is not None)
        table.check(digest=scheme.digest or None, scheme=name, bits=bits, curve=curve, at=at, proven=proven)

    def _is_named(self, candidate: x509.Certificate) -> bool:
        try:
            if self.responder_key is not None:
                return hmac.compare_digest(_key_hash("sha1", candidate), self.responder_key)
            return bool(asn1_certificate(candidate).subject.dump() == self.responder_name)
        except HOSTILE:
            return False


def read_ocsps(encoded: Iterable[bytes]) -> list[OcspResponse]:
    """Read OCSPResponses and BasicOCSPResponses; what cannot be read, or is no success, proves nothing."""
    found: dict[bytes, OcspResponse] = {}
    for der in encoded:
        try:
            found[der] = _read(der)
        except _UNREADABLE:
            continue
    return list(found.values())


def needs_no_check(certificate: x509.Certificate) -> bool:
    """Whether a responder's certificate says that it need not be checked (id-pkix-ocsp-nocheck)."""
    try:
        certificate.extensions.get_extension_for_oid(_NO_CHECK)
    except HOSTILE:
        return False
    return True


def _read(der: bytes) -> OcspResponse:
    whole = _whole(der)
    response = asn1_ocsp.OCSPResponse.load(whole, strict=True)
    if response["response_status"].native != "successful":
        raise ValueError("not successful")
    check_ocsp_frame(whole)
    basic = response.basic_ocsp_response
    data = basic["tbs_response_data"]
    if len(data["responses"]) > _MAX_ANSWERS or _critical(data["response_extensions"]):
        raise ValueError("too many answers, or a critical extension")
    responder = data["responder_id"]
    certificates = []
    for item in basic["certs"] or ():
        try:
            certificates.append(x509.load_der_x509_certificate(item.dump()))
        except HOSTILE:
            continue  # another of them may be the responder's
    return OcspResponse(
        der=der,
        produced_at=_utc(data["produced_at"].native),
        answers=tuple(_answer(item) for item in data["responses"]),
        certificates=tuple(certificates),
        responder_name=responder.chosen.untag().dump() if responder.name == "by_name" else None,
        responder_key=responder.native if responder.name == "by_key" else None,
        algorithm=basic["signature_algorithm"],
        signature=basic["signature"].native,
        signed=data.dump(),
    )


def _whole(der: bytes) -> bytes:
    """Wrap a BasicOCSPResponse, as revocation-values hold them, into an OCSPResponse."""
    first = asn1_core.Sequence.load(der, strict=True)[0]
    if isinstance(first, asn1_core.Enumerated):
        return der
    return tlv(0x30, _SUCCESSFUL, tlv(0xA0, tlv(0x30, _BASIC, tlv(0x04, der))))


def _answer(item: asn1_ocsp.SingleResponse) -> OcspAnswer:
    identifier, status = item["cert_id"], item["cert_status"]
    revoked_at, reason = None, ""
    if status.name == "revoked":
        revoked_at = _utc(status.chosen["revocation_time"].native)
        reason = status.chosen["revocation_reason"].native or ""
    following = item["next_update"].native
    cutoff = item.archive_cutoff_value
    return OcspAnswer(
        digest=identifier["hash_algorithm"]["algorithm"].native,
        issuer_name=identifier["issuer_name_hash"].native,
        issuer_key=identifier["issuer_key_hash"].native,
        serial=identifier["serial_number"].native,
        this_update=_utc(item["this_update"].native),
        next_update=None if following is None else _utc(following),
        status=status.name,
        revoked_at=revoked_at,
        reason=reason,
        archive_cutoff=None if cutoff is None else _utc(cutoff.native),
        critical=_critical(item["single_extensions"]),
    )


def _critical(extensions: Iterable[asn1_core.Sequence]) -> bool:
    return any(item["critical"].native for item in extensions or ())


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _key_hash(digest: str, certificate: x509.Certificate) -> bytes:
    key = asn1_certificate(certificate).public_key["public_key"]
    # A BIT STRING's first octet counts its unused bits; the hash is over what follows (RFC 6960, 4.1.1).
    return hashlib.new(digest, key.contents[1:], usedforsecurity=False).digest()


def _may_answer(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except HOSTILE:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages
