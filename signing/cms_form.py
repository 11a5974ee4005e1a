"""The one byte form that our own CMS signatures have (RFC 5652, ETSI EN 319 122-1).

Signing writes it and strict reading writes it again from what it found and compares: an octet of our CMS is
either fixed by this template or belongs to a value that something else authenticates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing import der
from signing.errors import KeyUnusable

SHA256 = bytes.fromhex("300d06096086480165030402010500")
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
# RFC 4055: SHA-256, MGF1 with SHA-256, salt of 32 octets, trailer field at its default.
RSASSA_PSS = bytes.fromhex(
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
    "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
)

_ID_DATA = bytes.fromhex("06092a864886f70d010701")
_ID_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")
_ID_TIME_STAMP_TOKEN = bytes.fromhex("060b2a864886f70d010910020e")
DETACHED_DATA = der.tlv(der.SEQUENCE, _ID_DATA)
#: What stands before the digest in our signed attributes.
DIGEST_FOLLOWS = _MESSAGE_DIGEST + bytes.fromhex("31220420")
# The digest of nothing else: where it is found, the attributes are cut.
_MARK = hashlib.sha256(b"probans digest of the content goes here").digest()
_CONTENT_TYPE_DATA = der.tlv(der.SEQUENCE, _CONTENT_TYPE, der.tlv(der.SET, _ID_DATA))


@dataclass(frozen=True, slots=True)
class SignedDataForm:
    """The encoded parts of a SignedData with one SignerInfo.

    Attributes:
        version: of SignedData; 1 for detached data, 3 for a timestamp token (RFC 5652 section 5.1).
        digest_algorithm: AlgorithmIdentifier, in digestAlgorithms and in the SignerInfo.
        content: EncapsulatedContentInfo.
        certificates: DER certificates, in the order written.
        crls: DER CRLs, in the order written.
        sid: SignerIdentifier.
        signed_attributes: contents of the SET OF Attribute.
        signature_algorithm: AlgorithmIdentifier.
        signature: signature value.
        unsigned_attributes: contents of the SET OF Attribute; empty for none.
    """

    version: int
    digest_algorithm: bytes
    content: bytes
    certificates: Sequence[bytes]
    crls: Sequence[bytes]
    sid: bytes
    signed_attributes: bytes
    signature_algorithm: bytes
    signature: bytes
    unsigned_attributes: bytes

    def encode(self) -> bytes:
        """Write the ContentInfo."""
        info = [
            der.integer(1),
            self.sid,
            self.digest_algorithm,
            der.tlv(0xA0, self.signed_attributes),
            self.signature_algorithm,
            der.tlv(der.OCTET_STRING, self.signature),
        ]
        if self.unsigned_attributes:
            info.append(der.tlv(0xA1, self.unsigned_attributes))
        parts = [der.integer(self.version), der.tlv(der.SET, self.digest_algorithm), self.content]
        if self.certificates:
            parts.append(der.tlv(0xA0, *self.certificates))
        if self.crls:
            parts.append(der.tlv(0xA1, *self.crls))
        parts.append(der.tlv(der.SET, der.tlv(der.SEQUENCE, *info)))
        signed_data = der.tlv(der.SEQUENCE, *parts)
        return der.tlv(der.SEQUENCE, _ID_SIGNED_DATA, der.tlv(0xA0, signed_data))


@dataclass(frozen=True, slots=True)
class SignerForm:
    """All that our own form fixes for one seal certificate, encoded once and used for every seal.

    Attributes:
        certificate: the seal certificate.
        encoded: its DER.
        sid: SignerIdentifier.
        algorithm: AlgorithmIdentifier of the signatures.
        reference: the attribute signing-certificate-v2 (RFC 5035).
        timeless: our signed attributes without signing-time, cut where the digest stands.
    """

    certificate: x509.Certificate
    encoded: bytes = field(repr=False)
    sid: bytes = field(repr=False)
    algorithm: bytes = field(repr=False)
    reference: bytes = field(repr=False)
    timeless: tuple[bytes, bytes] = field(repr=False)

    @classmethod
    def of(cls, certificate: x509.Certificate) -> SignerForm:
        """Encode the pieces of a certificate.

        Raises:
            KeyUnusable: the key is neither P-256 nor RSA of at least 3072 bits.
        """
        reference = _reference(certificate)
        before, after = _attributes(_MARK, reference, None).split(_MARK)
        return cls(
            certificate,
            certificate.public_bytes(Encoding.DER),
            issuer_and_serial(certificate),
            signature_algorithm(certificate),
            reference,
            (before, after),
        )

    def attributes(self, digest: bytes, signing_time: datetime | None) -> bytes:
        """Encode our signed attributes as the DER SET OF that is signed; see `signed_attributes`."""
        if signing_time is None and len(digest) == len(_MARK):
            return digest.join(self.timeless)
        return _attributes(digest, self.reference, signing_time)

    def cms(
        self,
        attributes: bytes,
        signature: bytes,
        token: bytes,
        certificates: Sequence[bytes],
        crls: Sequence[bytes],
    ) -> bytes:
        """Write a CMS in our own form: detached data, one SignerInfo, one timestamp.

        Args:
            attributes: the signed attributes, DER SET OF.
            signature: the signature value.
            token: TimeStampToken, copied as it is.
            certificates: DER, ascending, each once (`ascending`).
            crls: the same.
        """
        return SignedDataForm(
            version=1,
            digest_algorithm=SHA256,
            content=DETACHED_DATA,
            certificates=certificates,
            crls=crls,
            sid=self.sid,
            signed_attributes=contents_of(attributes),
            signature_algorithm=self.algorithm,
            signature=signature,
            unsigned_attributes=timestamp_attribute(token),
        ).encode()


def ascending(encoded: Iterable[bytes]) -> tuple[bytes, ...]:
    """Put encodings in the order of our own form, each once."""
    return tuple(sorted(set(encoded)))


def own_form(
    certificate: x509.Certificate,
    attributes: bytes,
    signature: bytes,
    token: bytes,
    *,
    certificates: Sequence[x509.Certificate],
    crls: Sequence[bytes],
) -> bytes:
    """Write the CMS that our own form gives for these values; see `SignerForm.cms`.

    Args:
        certificate: the seal certificate.
        attributes: the signed attributes, DER SET OF, as `signed_attributes` makes them.
        signature: the signature value.
        token: TimeStampToken, copied as it is.
        certificates: what SignedData.certificates holds; duplicates are written once.
        crls: what SignedData.crls holds; duplicates are written once.

    Raises:
        KeyUnusable: as `SignerForm.of`.
    """
    encoded = ascending(item.public_bytes(Encoding.DER) for item in certificates)
    return SignerForm.of(certificate).cms(attributes, signature, token, encoded, ascending(crls))


def contents_of(element: bytes) -> bytes:
    """Return what follows the header of a DER element."""
    return element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]


def timestamp_attribute(token: bytes) -> bytes:
    """Encode the attribute that holds a timestamp over the signature (EN 319 122-1 section 5.3)."""
    return _attribute(_ID_TIME_STAMP_TOKEN, token)


def signed_attributes(digest: bytes, certificate: x509.Certificate, signing_time: datetime | None) -> bytes:
    """Encode our signed attributes as the DER SET OF that is signed.

    They are content-type (id-data), message-digest, signing-certificate-v2 (RFC 5035) and, when given,
    signing-time to the second: PAdES forbids it, CAdES demands it.
    """
    return _attributes(digest, _reference(certificate), signing_time)


def _attributes(digest: bytes, reference: bytes, signing_time: datetime | None) -> bytes:
    attributes = [
        _CONTENT_TYPE_DATA,
        _attribute(_MESSAGE_DIGEST, der.tlv(der.OCTET_STRING, digest)),
        reference,
    ]
    if signing_time is not None:
        attributes.append(_attribute(_SIGNING_TIME, _time(signing_time.astimezone(UTC))))
    return der.set_of(attributes)


def _reference(certificate: x509.Certificate) -> bytes:
    """Encode signing-certificate-v2."""
    # The digest of ESSCertIDv2 is SHA-256 by default, and DER leaves defaults out (X.690 section 11.5).
    certificate_id = der.tlv(
        der.SEQUENCE,
        der.tlv(der.OCTET_STRING, hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()),
        der.tlv(
            der.SEQUENCE,
            der.tlv(der.SEQUENCE, der.tlv(0xA4, asn1_certificate(certificate).issuer.dump())),
            der.integer(certificate.serial_number),
        ),
    )
    value = der.tlv(der.SEQUENCE, der.tlv(der.SEQUENCE, certificate_id))
    return _attribute(_SIGNING_CERTIFICATE_V2, value)


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, kind, der.tlv(der.SET, value))


def _time(moment: datetime) -> bytes:
    """Encode Time: UTCTime through 2049, GeneralizedTime after (RFC 5652 section 11.3)."""
    if moment.year < 2050:
        return der.tlv(0x17, f"{moment:%y%m%d%H%M%S}Z".encode())
    return der.tlv(0x18, f"{moment:%Y%m%d%H%M%S}Z".encode())


def signature_algorithm(certificate: x509.Certificate) -> bytes:
    """Return the AlgorithmIdentifier with which a seal certificate's key signs.

    Raises:
        KeyUnusable: the key is neither P-256 nor RSA of at least 3072 bits.
    """
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return ECDSA_WITH_SHA256
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 3072:
        return RSASSA_PSS
    raise KeyUnusable("seals are made with P-256 or RSA keys of at least 3072 bits")


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Encode IssuerAndSerialNumber, the issuer's name octet for octet as in the certificate."""
    return der.tlv(
        der.SEQUENCE, asn1_certificate(certificate).issuer.dump(), der.integer(certificate.serial_number)
    )


def asn1_certificate(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return asn1crypto's view of a certificate, which keeps the original octets of its parts."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
