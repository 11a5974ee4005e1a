"""The structure of an RFC 3161 token: reading any, and assembling the one form that is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from timestamping import der
from timestamping.algorithms import SHA256_ABSENT, Algorithm, read_algorithm

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"

_SIGNED_DATA_ID = der.object_id(SIGNED_DATA)
_TST_INFO_ID = der.object_id(TST_INFO)
_VERSION_1 = der.integer(1)
_VERSION_3 = der.integer(3)
_OWN_DIGESTS = der.set_of([SHA256_ABSENT])
_CONTENT_TYPE_ATTRIBUTE = der.sequence(der.object_id(CONTENT_TYPE), der.set_of([_TST_INFO_ID]))
_MESSAGE_DIGEST_ID = der.object_id(MESSAGE_DIGEST)
_SIGNING_CERTIFICATE_V2_ID = der.object_id(SIGNING_CERTIFICATE_V2)
_GENERALIZED_TIME = re.compile(rb"(\d{14})(?:\.(\d*[1-9]))?Z")


@dataclass(frozen=True, slots=True)
class TstInfo:
    """TSTInfo (RFC 3161, 2.4.2).

    Attributes:
        policy: dotted policy identifier.
        imprint_algorithm: hash of the imprint, as stated.
        imprint: the hashed message.
        serial: serial number.
        gen_time: UTC, fractions cut to microseconds.
        nonce: nonce of the request, None when absent.
        critical_extensions: True when an extension is critical (none is known here).
    """

    policy: str
    imprint_algorithm: Algorithm
    imprint: bytes
    serial: int
    gen_time: datetime
    nonce: int | None
    critical_extensions: bool


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """SignerInfo (RFC 5652, 5.3).

    Attributes:
        identifier: DER of the signer identifier, whichever choice it is.
        issuer: DER of the issuer name, None with a key identifier.
        serial: certificate serial number, None with a key identifier.
        key_identifier: subject key identifier, None with issuer and serial.
        digest_algorithm: hash of content and attributes.
        signed_message: signed attributes with the SET OF tag: the octets under the signature.
        attributes: values by dotted attribute type, each type once.
        signature_algorithm: as stated.
        signature: value.
    """

    identifier: bytes
    issuer: bytes | None
    serial: int | None
    key_identifier: bytes | None
    digest_algorithm: Algorithm
    signed_message: bytes
    attributes: dict[str, tuple[der.Element, ...]]
    signature_algorithm: Algorithm
    signature: bytes


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token taken apart; nothing in it is verified yet.

    Attributes:
        digest_algorithms: as listed in SignedData.
        content: DER of TSTInfo, the octets under message-digest.
        tst_info: the same, read.
        certificates: DER certificates, in the order of the token.
        crls: DER certificate lists.
        signer: the only SignerInfo.
    """

    digest_algorithms: tuple[Algorithm, ...]
    content: bytes
    tst_info: TstInfo
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    signer: SignerInfo


def _gen_time(element: der.Element) -> datetime:
    """GeneralizedTime in the form of RFC 3161, 2.4.2: UTC, seconds, fraction without trailing zeros."""
    match = _GENERALIZED_TIME.fullmatch(element.content)
    if match is None:
        raise der.DerError("genTime is not UTC GeneralizedTime in DER")
    try:
        whole = datetime.strptime(match[1].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise der.DerError("genTime is not a date") from error
    fraction = (match[2] or b"")[:6].ljust(6, b"0")
    return whole + timedelta(microseconds=int(fraction))


def _accuracy(element: der.Element) -> None:
    reader = element.reader()
    if reader.tag == der.INTEGER and reader.integer() < 0:
        raise der.DerError("negative accuracy")
    for tag in (0x80, 0x81):
        if reader.tag == tag and not 1 <= reader.integer(tag) <= 999:
            raise der.DerError("accuracy out of range")
    reader.finish()


def _any_critical(extensions: der.Element) -> bool:
    found = False
    for extension in extensions.reader().rest():
        reader = der.only(extension.raw, der.SEQUENCE).reader()
        reader.object_id()
        critical = reader.optional(der.BOOLEAN)
        found |= critical is not None and der.boolean_value(critical)
        reader.take(der.OCTET_STRING)
        reader.finish()
    return found


def read_tst_info(data: bytes) -> TstInfo:
    """Read a TSTInfo. Raises DerError."""
    reader = der.only(data, der.SEQUENCE).reader()
    if reader.integer() != 1:
        raise der.DerError("TSTInfo version is not 1")
    policy = reader.object_id()
    imprint_reader = reader.take(der.SEQUENCE).reader()
    imprint_algorithm = read_algorithm(imprint_reader.take(der.SEQUENCE))
    imprint = imprint_reader.take(der.OCTET_STRING).content
    imprint_reader.finish()
    serial = reader.integer()
    gen_time = _gen_time(reader.take(der.GENERALIZED_TIME))
    accuracy = reader.optional(der.SEQUENCE)
    if accuracy is not None:
        _accuracy(accuracy)
    ordering = reader.optional(der.BOOLEAN)
    if ordering is not None:
        der.boolean_value(ordering)
    nonce = reader.integer() if reader.tag == der.INTEGER else None
    authority_name = reader.optional(0xA0)
    if authority_name is not None:
        der.check_canonical(authority_name)
    extensions = reader.optional(0xA1)
    critical = extensions is not None and _any_critical(extensions)
    reader.finish()
    return TstInfo(policy, imprint_algorithm, imprint, serial, gen_time, nonce, critical)


def _read_attributes(field: der.Element) -> dict[str, tuple[der.Element, ...]]:
    elements = field.reader().rest()
    encodings = [element.raw for element in elements]
    if encodings != sorted(encodings):
        raise der.DerError("signed attributes are not in DER order")
    attributes: dict[str, tuple[der.Element, ...]] = {}
    for element in elements:
        der.check_canonical(element)
        reader = der.only(element.raw, der.SEQUENCE).reader()
        kind = reader.object_id()
        values = tuple(reader.take(der.SET).reader().rest())
        reader.finish()
        if kind in attributes:
            raise der.DerError(f"signed attribute {kind} appears twice")
        attributes[kind] = values
    return attributes


def _read_signer(element: der.Element) -> SignerInfo:
    reader = element.reader()
    version = reader.integer()
    issuer = serial = key_identifier = None
    identifier = reader.take_any()
    if version == 1 and identifier.tag == der.SEQUENCE:
        inner = identifier.reader()
        name = inner.take(der.SEQUENCE)
        der.check_canonical(name)
        issuer, serial = name.raw, inner.integer()
        inner.finish()
    elif version == 3 and identifier.tag == 0x80:
        key_identifier = identifier.content
    else:
        raise der.DerError("SignerInfo version and signer identifier do not match")
    digest_algorithm = read_algorithm(reader.take(der.SEQUENCE))
    signed = reader.take(0xA0)
    attributes = _read_attributes(signed)
    signature_algorithm = read_algorithm(reader.take(der.SEQUENCE))
    signature = reader.take(der.OCTET_STRING).content
    unsigned = reader.optional(0xA1)
    if unsigned is not None:
        der.check_canonical(unsigned)
    reader.finish()
    # RFC 5652, 5.4: the signature covers the attributes with the tag of SET OF, not the implicit [0].
    message = bytes((der.SET,)) + signed.raw[1:]
    return SignerInfo(
        identifier.raw,
        issuer,
        serial,
        key_identifier,
        digest_algorithm,
        message,
        attributes,
        signature_algorithm,
        signature,
    )


def _carried(field: der.Element | None) -> tuple[bytes, ...]:
    """Certificates or certificate lists of SignedData; the other choices of those sets are passed over."""
    if field is None:
        return ()
    elements = field.reader().rest()
    for element in elements:
        der.check_canonical(element)
    return tuple(element.raw for element in elements if element.tag == der.SEQUENCE)


def parse_token(token: bytes) -> ParsedToken:
    """Take a TimeStampToken apart, every octet of it (RFC 3161, 2.4.2; RFC 5652, 5.1).

    Raises:
        DerError: not DER, not SignedData version 3 over TSTInfo with exactly one SignerInfo, or octets left.
    """
    content_info = der.only(token, der.SEQUENCE).reader()
    if content_info.object_id() != SIGNED_DATA:
        raise der.DerError("not SignedData")
    wrapped = content_info.take(0xA0).reader()
    content_info.finish()
    reader = wrapped.take(der.SEQUENCE).reader()
    wrapped.finish()
    if reader.integer() != 3:
        raise der.DerError("SignedData version is not 3")
    digests = tuple(
        read_algorithm(der.only(element.raw, der.SEQUENCE))
        for element in reader.take(der.SET).reader().rest()
    )
    encapsulated = reader.take(der.SEQUENCE).reader()
    if encapsulated.object_id() != TST_INFO:
        raise der.DerError("the content is not a TSTInfo")
    content_field = encapsulated.take(0xA0).reader()
    encapsulated.finish()
    content = content_field.take(der.OCTET_STRING).content
    content_field.finish()
    certificates = _carried(reader.optional(0xA0))
    crls = _carried(reader.optional(0xA1))
    signers = reader.take(der.SET).reader()
    reader.finish()
    signer = _read_signer(signers.take(der.SEQUENCE))
    signers.finish()
    return ParsedToken(digests, content, read_tst_info(content), certificates, crls, signer)


def own_attributes(content_digest: bytes, certificate_digest: bytes) -> bytes:
    """Content of our own signed attributes: content-type, message-digest, signing-certificate-v2.

    Their encodings differ in length, in this order, whatever the digests are: so this is DER order. The hash
    algorithm of ESSCertIDv2 is its default, SHA-256, hence absent (RFC 5035, 4).
    """
    reference = der.sequence(der.sequence(der.sequence(der.octets(certificate_digest))))
    return b"".join(
        (
            _CONTENT_TYPE_ATTRIBUTE,
            der.sequence(_MESSAGE_DIGEST_ID, der.tlv(der.SET, der.octets(content_digest))),
            der.sequence(_SIGNING_CERTIFICATE_V2_ID, der.tlv(der.SET, reference)),
        )
    )


def assemble(
    content: bytes,
    certificates: Iterable[bytes],
    identifier: bytes,
    attributes: bytes,
    signature_algorithm: bytes,
    signature: bytes,
) -> bytes:
    """Put a token of our own form together: SHA-256, one signer, no crls, no unsigned attributes.

    Args:
        content: DER of TSTInfo.
        certificates: DER certificates; none leaves the field out.
        identifier: DER IssuerAndSerialNumber of the signer.
        attributes: content octets of the signed attributes.
        signature_algorithm: DER AlgorithmIdentifier.
        signature: signature value.
    """
    ordered = sorted(certificates)
    signer = der.sequence(
        _VERSION_1,
        identifier,
        SHA256_ABSENT,
        der.tlv(0xA0, attributes),
        signature_algorithm,
        der.octets(signature),
    )
    signed_data = der.sequence(
        _VERSION_3,
        _OWN_DIGESTS,
        der.sequence(_TST_INFO_ID, der.tlv(0xA0, der.octets(content))),
        der.tlv(0xA0, *ordered) if ordered else b"",
        der.tlv(der.SET, signer),
    )
    return der.sequence(_SIGNED_DATA_ID, der.tlv(0xA0, signed_data))
