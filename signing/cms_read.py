"""Reading and checking CMS signatures: our own form octet for octet, other software's with care."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime

from asn1crypto import cms as asn1_cms
from asn1crypto import core as asn1_core
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.cms_crypto import check_strength, verify_signature
from signing.cms_form import asn1_certificate, own_form, signed_attributes
from signing.cms_frame import check_cms_frame
from signing.der import tlv
from signing.errors import KeyUnusable, SignatureRefused
from signing.hostile import HOSTILE, refusing

MAX_CMS = 32 << 20
_TIME_STAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105 - an object identifier
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"


@dataclass(frozen=True, slots=True)
class ParsedCms:
    """A detached CMS signature with one signer, read but not verified.

    Attributes:
        der: the octets read.
        strict: True when the octets are exactly our own form.
        certificates: the readable X.509 certificates inside.
        crls: DER CRLs inside.
        signer: the certificate that the SignerIdentifier names.
        attributes: the signed attributes as the SET OF that was signed.
        digest_algorithm: hashlib name of the digest over the content.
        signature_algorithm: asn1crypto's view of the AlgorithmIdentifier.
        signature: signature value.
        message_digest: value of the attribute.
        signing_time: value of the attribute, or None.
        certificate_ids: (hashlib name, hash) pairs of signing-certificate and signing-certificate-v2.
        tokens: signature timestamp tokens.
        other_unsigned: dotted types of further unsigned attributes.
    """

    der: bytes = field(repr=False)
    strict: bool
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    crls: tuple[bytes, ...] = field(repr=False)
    signer: x509.Certificate
    attributes: bytes = field(repr=False)
    digest_algorithm: str
    signature_algorithm: asn1_cms.SignedDigestAlgorithm = field(repr=False)
    signature: bytes = field(repr=False)
    message_digest: bytes
    signing_time: datetime | None
    certificate_ids: tuple[tuple[str, bytes], ...]
    tokens: tuple[bytes, ...] = field(repr=False)
    other_unsigned: tuple[str, ...]

    @property
    def imprint(self) -> bytes:
        """SHA-256 of the signature value."""
        return hashlib.sha256(self.signature).digest()


@dataclass(frozen=True, slots=True)
class CmsReport:
    """What verification established of a CMS signature; the certificate path is not part of it.

    Attributes:
        signer: certificate whose key made the signature and which the signature itself names.
        signing_time: the signer's own claim, or None.
        imprint: SHA-256 of the signature value.
        tokens: signature timestamp tokens, not verified yet.
        certificates: certificates inside.
        crls: DER CRLs inside.
    """

    signer: x509.Certificate
    signing_time: datetime | None
    imprint: bytes
    tokens: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    crls: tuple[bytes, ...] = field(repr=False)


def parse_cms(der: bytes, *, strict: bool) -> ParsedCms:
    """Read a detached CMS signature.

    1. ContentInfo of SignedData, nothing after it, no encapsulated content. 2. Exactly one SignerInfo, whose
    certificate is inside. 3. Signed attributes: each type once with one value; content-type id-data and
    message-digest present. 4. Unsigned attributes are sorted out. 5. When strict, the octets equal what our
    own form gives for these values (exact algorithms, attributes, versions, order, encodings, one timestamp).

    Args:
        der: the octets.
        strict: demand our own form.

    Raises:
        SignatureRefused: FORMAT_FAILURE, NO_SIGNING_CERTIFICATE_FOUND or SIG_CONSTRAINTS_FAILURE.
    """
    with refusing("the CMS signature"):
        parsed = _parse(der)
        # 5
        if strict:
            _require_own_form(parsed)
            parsed = replace(parsed, strict=True)
        return parsed


def verify_cms(parsed: ParsedCms, digest: bytes) -> CmsReport:
    """Verify a CMS signature over detached content.

    1. The digest of the content is the message-digest attribute. 2. The signature over the signed attributes
    verifies under the signer's key. 3. signing-certificate(-v2) names the signer's certificate. 4. Digest,
    signature algorithm and key are strong enough to stand without proof of existence.

    Args:
        parsed: from `parse_cms`.
        digest: digest of the content by `parsed.digest_algorithm`.

    Raises:
        SignatureRefused: HASH_FAILURE, SIG_CRYPTO_FAILURE, SIG_CONSTRAINTS_FAILURE,
            NO_SIGNING_CERTIFICATE_FOUND, CRYPTO_CONSTRAINTS_FAILURE or FORMAT_FAILURE.
    """
    with refusing("the CMS signature"):
        # 1
        if not hmac.compare_digest(digest, parsed.message_digest):
            raise SignatureRefused("HASH_FAILURE", "the content is not the one that was signed")
        # 2
        verify_signature(
            parsed.signer.public_key(),
            parsed.signature_algorithm,
            parsed.digest_algorithm,
            parsed.signature,
            parsed.attributes,
        )
        # 3
        _check_binding(parsed)
        # 4
        check_strength(parsed.signer.public_key(), parsed.digest_algorithm)
    return CmsReport(
        signer=parsed.signer,
        signing_time=parsed.signing_time,
        imprint=parsed.imprint,
        tokens=parsed.tokens,
        certificates=parsed.certificates,
        crls=parsed.crls,
    )


def signed_data_of(der: bytes) -> asn1_cms.SignedData:
    """Return the SignedData that a CMS is. Raises ValueError and what asn1crypto raises: it is none."""
    if len(der) > MAX_CMS:
        raise ValueError("the CMS is too large")
    check_cms_frame(der)
    content_info = asn1_cms.ContentInfo.load(der, strict=True)
    if content_info["content_type"].native != "signed_data":
        raise ValueError("not a SignedData")
    return content_info["content"]


def _parse(der: bytes) -> ParsedCms:
    # 1
    signed_data = signed_data_of(der)
    content = signed_data["encap_content_info"]
    if content["content_type"].native != "data" or content["content"].native is not None:
        raise SignatureRefused("FORMAT_FAILURE", "the signature must be detached and of type id-data")
    # 2
    if len(signed_data["signer_infos"]) != 1:
        raise SignatureRefused("FORMAT_FAILURE", "there must be exactly one SignerInfo")
    info = signed_data["signer_infos"][0]
    certificates = readable_inside(signed_data)
    signer = _signer(info["sid"], certificates)
    # 3
    attributes = info["signed_attrs"]
    values = _single_values(attributes)
    if values.get(_CONTENT_TYPE) is None or values[_CONTENT_TYPE].native != "data":
        raise SignatureRefused("FORMAT_FAILURE", "the content-type attribute is not id-data")
    if values.get(_MESSAGE_DIGEST) is None:
        raise SignatureRefused("FORMAT_FAILURE", "the message-digest attribute is missing")
    time = values.get(_SIGNING_TIME)
    # 4
    tokens, others = _unsigned(info)
    return ParsedCms(
        der=der,
        strict=False,
        certificates=certificates,
        crls=_crls(signed_data),
        signer=signer,
        attributes=tlv(0x31, attributes.contents),
        digest_algorithm=info["digest_algorithm"]["algorithm"].native,
        signature_algorithm=info["signature_algorithm"],
        signature=info["signature"].native,
        message_digest=values[_MESSAGE_DIGEST].native,
        signing_time=time.native if time is not None else None,
        certificate_ids=signer_ids(values),
        tokens=tokens,
        other_unsigned=others,
    )


def readable_inside(signed_data: asn1_cms.SignedData) -> tuple[x509.Certificate, ...]:
    """List the certificates of a SignedData that can be read."""
    found = []
    for choice in signed_data["certificates"] or ():
        if choice.name != "certificate":
            continue
        try:
            found.append(x509.load_der_x509_certificate(choice.chosen.dump()))
        except HOSTILE:
            # A stranger among the certificates cannot hurt: the signer's own must be readable, and our own
            # form is written again from the readable ones, so that it then differs.
            continue
    return tuple(found)


def _crls(signed_data: asn1_cms.SignedData) -> tuple[bytes, ...]:
    return tuple(choice.chosen.dump() for choice in signed_data["crls"] or () if choice.name == "crl")


def _signer(sid: asn1_cms.SignerIdentifier, certificates: tuple[x509.Certificate, ...]) -> x509.Certificate:
    if sid.name == "issuer_and_serial_number":
        name, serial = sid.chosen["issuer"], sid.chosen["serial_number"].native
        for certificate in certificates:
            if certificate.serial_number == serial:
                issuer = asn1_certificate(certificate).issuer
                # The same octets name the same issuer; the comparison of RFC 5280 is a hundred times slower.
                if issuer.dump() == name.dump() or issuer == name:
                    return certificate
    else:
        for certificate in certificates:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            if extension.value.digest == sid.chosen.native:
                return certificate
    raise SignatureRefused(
        "NO_SIGNING_CERTIFICATE_FOUND", "the signer's certificate is not in the signature", indeterminate=True
    )


def _single_values(attributes: asn1_cms.CMSAttributes) -> dict[str, asn1_core.Any]:
    values: dict[str, asn1_core.Any] = {}
    for attribute in attributes:
        kind = attribute["type"].dotted
        if kind in values or len(attribute["values"]) != 1:
            raise SignatureRefused("FORMAT_FAILURE", f"signed attribute {kind} is not there exactly once")
        values[kind] = attribute["values"][0]
    return values


def _unsigned(info: asn1_cms.SignerInfo) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    tokens: list[bytes] = []
    others: list[str] = []
    for attribute in info["unsigned_attrs"] or ():
        kind = attribute["type"].dotted
        if kind == _TIME_STAMP_TOKEN:
            tokens.extend(value.dump() for value in attribute["values"])
        else:
            others.append(kind)
    return tuple(tokens), tuple(others)


def signer_ids(values: dict[str, asn1_core.Any]) -> tuple[tuple[str, bytes], ...]:
    """List the certificate hashes of the ESS attributes; the first of each names the signer (RFC 5035)."""
    found: list[tuple[str, bytes]] = []
    second = values.get(_SIGNING_CERTIFICATE_V2)
    if second is not None:
        identifier = tsp.SigningCertificateV2.load(second.dump())["certs"][0]
        found.append((identifier["hash_algorithm"]["algorithm"].native, identifier["cert_hash"].native))
    first = values.get(_SIGNING_CERTIFICATE)
    if first is not None:
        older = tsp.SigningCertificate.load(first.dump())["certs"][0]
        found.append(("sha1", older["cert_hash"].native))
    return tuple(found)


def _check_binding(parsed: ParsedCms) -> None:
    if not parsed.certificate_ids:
        raise SignatureRefused(
            "SIG_CONSTRAINTS_FAILURE", "no signing-certificate attribute binds the signer", indeterminate=True
        )
    encoded = parsed.signer.public_bytes(Encoding.DER)
    for algorithm, value in parsed.certificate_ids:
        if not hmac.compare_digest(hashlib.new(algorithm, encoded, usedforsecurity=False).digest(), value):
            raise SignatureRefused(
                "NO_SIGNING_CERTIFICATE_FOUND",
                "the signing-certificate attribute names another certificate",
                indeterminate=True,
            )


def _require_own_form(parsed: ParsedCms) -> None:
    if len(parsed.tokens) != 1:
        raise SignatureRefused("FORMAT_FAILURE", "a seal of ours carries exactly one signature timestamp")
    attributes = signed_attributes(parsed.message_digest, parsed.signer, parsed.signing_time)
    try:
        again = own_form(
            parsed.signer,
            attributes,
            parsed.signature,
            parsed.tokens[0],
            certificates=parsed.certificates,
            crls=parsed.crls,
        )
    except KeyUnusable as error:
        raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", str(error), indeterminate=True) from error
    if again != parsed.der:
        raise SignatureRefused("FORMAT_FAILURE", "the CMS is not in the one form that our seals have")
