"""Reading and checking CMS signatures of any maker: CAdES, and the plain PKCS #7 of older PDFs."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asn1crypto import cms as asn1_cms
from asn1crypto import core as asn1_core
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import AlgorithmTable, describe_key
from signing.ber import certificate_names
from signing.cms_crypto import Scheme, read_scheme, verify_value
from signing.cms_form import asn1_certificate
from signing.cms_frame import content_place
from signing.cms_read import readable_inside, signed_data_of, signer_ids
from signing.der import tlv
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE, refusing

DATA = "1.2.840.113549.1.7.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_CONTENT_TIMESTAMP = "1.2.840.113549.1.9.16.2.20"
_SIGNATURE_TIMESTAMP = "1.2.840.113549.1.9.16.2.14"
_ARCHIVE_TIMESTAMPS = frozenset({"0.4.0.1733.2.4", "1.2.840.113549.1.9.16.2.48"})
_CERTIFICATE_VALUES = "1.2.840.113549.1.9.16.2.23"
_REVOCATION_VALUES = "1.2.840.113549.1.9.16.2.24"
_ADOBE_REVOCATION = "1.2.840.113583.1.1.8"
_ID_RI_OCSP = "1.3.6.1.5.5.7.16.2"
# Of these a second value would be a second statement; further kinds may have several (RFC 5652 section 5.3).
_SINGLE = frozenset(
    {
        _CONTENT_TYPE,
        _MESSAGE_DIGEST,
        _SIGNING_TIME,
        _ADOBE_REVOCATION,
        "1.2.840.113549.1.9.16.2.12",
        "1.2.840.113549.1.9.16.2.47",
    }
)
_MAX_SIGNERS = 50
_PDF_HEAD = 1024 + 8  # octets in which viewers look for a PDF's header
_PDF_PARTS = re.compile(rb"\d\s+\d+\s+obj|startxref|%%EOF|%PDF-")


@dataclass(frozen=True, slots=True)
class ForeignCms:
    """One signer of a CMS signature, read but not verified.

    Attributes:
        der: the whole CMS.
        number: which SignerInfo this is.
        signer: the certificate that the SignerIdentifier names.
        certificates: readable certificates inside, certificate-values included.
        crls: DER CRLs inside, wherever they stand.
        ocsps: DER OCSP responses inside, OCSPResponse or BasicOCSPResponse.
        content: encapsulated content; None of a detached signature.
        content_type: dotted type of the content.
        attributes: the signed attributes as the SET OF that was signed; b"" when there are none.
        digest_algorithm: hashlib name of the digest over the content.
        scheme: of the signature value.
        signature: the value.
        message_digest: value of the attribute; None without signed attributes.
        signing_time: the signer's own claim; None when absent or unreadable.
        certificate_ids: (hashlib name, hash) pairs of signing-certificate and signing-certificate-v2.
        tokens: signature timestamps.
        content_tokens: content timestamps.
        archive_tokens: archive timestamps.
    """

    der: bytes = field(repr=False)
    number: int
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    crls: tuple[bytes, ...] = field(repr=False)
    ocsps: tuple[bytes, ...] = field(repr=False)
    content: bytes | None = field(repr=False)
    content_type: str
    attributes: bytes = field(repr=False)
    digest_algorithm: str
    scheme: Scheme
    signature: bytes = field(repr=False)
    message_digest: bytes | None
    signing_time: datetime | None
    certificate_ids: tuple[tuple[str, bytes], ...]
    tokens: tuple[bytes, ...] = field(repr=False)
    content_tokens: tuple[bytes, ...] = field(repr=False)
    archive_tokens: tuple[bytes, ...] = field(repr=False)

    def verify(self, digest: bytes, *, bound: bool) -> None:
        """Verify this signer's signature; how good the algorithms are is another question.

        1. The digest of the content is the message-digest attribute. 2. The value verifies under the
        signer's key, over the signed attributes, or over the content without them. 3. signing-certificate(-v2)
        names the signer's certificate; absent, it must not be demanded.

        Args:
            digest: of the content, by `digest_algorithm`.
            bound: signing-certificate(-v2) and so signed attributes are demanded (CAdES).

        Raises:
            SignatureRefused: HASH_FAILURE, SIG_CRYPTO_FAILURE, SIG_CONSTRAINTS_FAILURE,
                NO_SIGNING_CERTIFICATE_FOUND, CRYPTO_CONSTRAINTS_FAILURE.
        """
        # 1
        if self.message_digest is not None and not hmac.compare_digest(digest, self.message_digest):
            raise SignatureRefused("HASH_FAILURE", "the content is not the one that was signed")
        # 2
        with refusing("the signer's key", "CERTIFICATE_CHAIN_GENERAL_FAILURE", indeterminate=True):
            key = self.signer.public_key()
        if self.attributes:
            verify_value(key, self.scheme, self.signature, self.attributes)
        else:
            verify_value(key, self.scheme, self.signature, digest, hashed=True)
        # 3
        if bound and not self.certificate_ids:
            raise SignatureRefused(
                "SIG_CONSTRAINTS_FAILURE",
                "no signing-certificate attribute binds the signer",
                indeterminate=True,
            )
        if any(not _is_hash_of(item, self.signer) for item in self.certificate_ids):
            raise SignatureRefused(
                "NO_SIGNING_CERTIFICATE_FOUND",
                "the signing-certificate attribute names another certificate",
                indeterminate=True,
            )

    def check_algorithms(self, table: AlgorithmTable, at: datetime, *, proven: bool) -> None:
        """Hold digest, signature and key to the dated table.

        Raises:
            SignatureRefused: CRYPTO_CONSTRAINTS_FAILURE, CRYPTO_CONSTRAINTS_FAILURE_NO_POE.
        """
        for digest in dict.fromkeys((self.digest_algorithm, self.scheme.digest)):
            if digest:
                table.check(digest=digest, at=at, proven=proven)
        with refusing("the signer's key", "CERTIFICATE_CHAIN_GENERAL_FAILURE", indeterminate=True):
            scheme, bits, curve = describe_key(self.signer.public_key(), pss=self.scheme.pss is not None)
        table.check(scheme=scheme, bits=bits, curve=curve, at=at, proven=proven)


def read_foreign(
    der: bytes, others: Sequence[x509.Certificate] = (), *, number: int | None = None
) -> ForeignCms:
    """Read one signer of a CMS signature, DER or BER.

    1. ContentInfo of SignedData, its fields and nothing else. 2. Exactly one SignerInfo, or the one that is asked
    for. 3. Its certificate is inside, or among `others`; where several have its name and number, the one whose
    hash signing-certificate states. 4. Signed attributes: no type twice; content-type is that of the content and
    message-digest is there, one value each. 5. Revocation data and timestamps are collected.

    Args:
        der: the octets.
        others: certificates from outside, that may be the signer's.
        number: which SignerInfo; None demands that there is one only.

    Raises:
        SignatureRefused: FORMAT_FAILURE; NO_SIGNING_CERTIFICATE_FOUND and CRYPTO_CONSTRAINTS_FAILURE, both
            indeterminate.
    """
    with refusing("the CMS signature"):
        # 1
        signed_data = signed_data_of(der)
        # 2
        infos = signed_data["signer_infos"]
        if number is None and len(infos) != 1:
            raise SignatureRefused("FORMAT_FAILURE", "there must be exactly one SignerInfo")
        info = infos[number or 0]
        # 4
        content = signed_data["encap_content_info"]
        content_type: str = content["content_type"].dotted
        signed = info["signed_attrs"]
        attributes = b"" if isinstance(signed, asn1_core.Void) else tlv(0x31, signed.contents)
        values = _values(signed)
        message_digest = _require_statements(values, content_type) if attributes else None
        # 3
        ids = _ids(values)
        inside = readable_inside(signed_data)
        unsigned = _values(info["unsigned_attrs"], repeatable=True)
        inside += tuple(_more_certificates(unsigned.get(_CERTIFICATE_VALUES, ())))
        signer = _signer(info["sid"], (*inside, *others), ids)
        # 5
        crls, ocsps = _revocation(signed_data, values, unsigned)
        digest_algorithm = _digest_name(info["digest_algorithm"])
        return ForeignCms(
            der=der,
            number=number or 0,
            signer=signer,
            certificates=inside,
            crls=crls,
            ocsps=ocsps,
            content=_content(content),
            content_type=content_type,
            attributes=attributes,
            digest_algorithm=digest_algorithm,
            scheme=read_scheme(info["signature_algorithm"], digest_algorithm),
            signature=info["signature"].native,
            message_digest=message_digest,
            signing_time=_time(values.get(_SIGNING_TIME, ())),
            certificate_ids=ids,
            tokens=tuple(item.dump() for item in unsigned.get(_SIGNATURE_TIMESTAMP, ())),
            content_tokens=tuple(item.dump() for item in values.get(_CONTENT_TIMESTAMP, ())),
            archive_tokens=tuple(
                item.dump() for kind in _ARCHIVE_TIMESTAMPS for item in unsigned.get(kind, ())
            ),
        )


def signer_count(der: bytes) -> int:
    """Count the SignerInfos.

    Raises:
        SignatureRefused: FORMAT_FAILURE: it cannot be read, there are none or too many, or one stands there twice
            and so would count as two.
    """
    with refusing("the CMS signature"):
        infos = signed_data_of(der)["signer_infos"]
        found = len(infos)
        if not 1 <= found <= _MAX_SIGNERS:
            raise SignatureRefused("FORMAT_FAILURE", f"there are {found} signers in one CMS")
        if len({info["signature"].native for info in infos}) != found:
            raise SignatureRefused("FORMAT_FAILURE", "one signature stands there twice")
        return found


def content_inside(der: bytes) -> bytes | None:
    """Return the encapsulated content, None of a detached signature. Raises SignatureRefused FORMAT_FAILURE."""
    with refusing("the CMS signature"):
        return _content(signed_data_of(der)["encap_content_info"])


def check_shown(der: bytes) -> None:
    """Check that a PDF viewer which opens a CMS shows nothing that is not its content.

    Viewers look for a header in the first kilobyte and for objects up to the end: they show a PDF that is the
    content of a CMS, with what a stranger put behind it into the CMS.

    Raises:
        SignatureRefused: FORMAT_FAILURE: parts of a PDF stand outside the content.
    """
    if b"%PDF-" not in der[:_PDF_HEAD]:
        return
    start, stop = content_place(der) or (0, 0)
    if _PDF_PARTS.search(der[:start]) or _PDF_PARTS.search(der[stop:]):
        raise SignatureRefused("FORMAT_FAILURE", "parts of a PDF stand outside what is signed")


def _content(encapsulated: asn1_cms.EncapsulatedContentInfo) -> bytes | None:
    content = encapsulated["content"]
    if isinstance(content, asn1_core.Void):
        return None
    if isinstance(content, asn1_core.ParsableOctetString | asn1_core.OctetString):
        return bytes(content)
    raise SignatureRefused("FORMAT_FAILURE", "the content is not an octet string")


def _values(
    attributes: asn1_core.Asn1Value, *, repeatable: bool = False
) -> dict[str, tuple[asn1_core.Any, ...]]:
    found: dict[str, tuple[asn1_core.Any, ...]] = {}
    for attribute in () if isinstance(attributes, asn1_core.Void) else attributes:
        kind = attribute["type"].dotted
        if kind in found and not repeatable:
            raise SignatureRefused("FORMAT_FAILURE", f"signed attribute {kind} is there twice")
        values = tuple(attribute["values"])
        if not repeatable and kind in _SINGLE and len(values) != 1:
            raise SignatureRefused("FORMAT_FAILURE", f"signed attribute {kind} has not exactly one value")
        found[kind] = found.get(kind, ()) + values
    return found


def _require_statements(values: dict[str, tuple[asn1_core.Any, ...]], content_type: str) -> bytes:
    stated = values.get(_CONTENT_TYPE)
    if stated is None or stated[0].dotted != content_type:
        raise SignatureRefused("FORMAT_FAILURE", "the content-type attribute is not that of the content")
    digest = values.get(_MESSAGE_DIGEST)
    if digest is None:
        raise SignatureRefused("FORMAT_FAILURE", "the message-digest attribute is missing")
    value: bytes = digest[0].native
    return value


def _ids(values: dict[str, tuple[asn1_core.Any, ...]]) -> tuple[tuple[str, bytes], ...]:
    return signer_ids({kind: items[0] for kind, items in values.items() if items})


def _digest_name(algorithm: asn1_core.Asn1Value) -> str:
    name = algorithm["algorithm"].native
    try:
        hashlib.new(name, usedforsecurity=False)
    except HOSTILE as error:
        raise SignatureRefused(
            "CRYPTO_CONSTRAINTS_FAILURE",
            f"digest algorithm {name[:40]} is not known here",
            indeterminate=True,
        ) from error
    return str(name)


def _time(values: tuple[asn1_core.Any, ...]) -> datetime | None:
    try:
        moment = values[0].native
        return moment.astimezone(UTC) if isinstance(moment, datetime) else None
    except HOSTILE:
        return None  # a claim that nobody can read claims nothing


def _signer(
    sid: asn1_cms.SignerIdentifier,
    candidates: Iterable[x509.Certificate],
    ids: tuple[tuple[str, bytes], ...],
) -> x509.Certificate:
    named = [item for item in dict.fromkeys(candidates) if _names(sid, item)]
    if not named:
        raise SignatureRefused(
            "NO_SIGNING_CERTIFICATE_FOUND",
            "the signer's certificate is not in the signature",
            indeterminate=True,
        )
    stated = [item for item in named if all(_is_hash_of(each, item) for each in ids)]
    return (stated or named)[0]


def _names(sid: asn1_cms.SignerIdentifier, certificate: x509.Certificate) -> bool:
    try:
        if sid.name != "issuer_and_serial_number":
            extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            return bool(extension.value.digest == sid.chosen.native)
        if certificate.serial_number != sid.chosen["serial_number"].native:
            return False
        name = sid.chosen["issuer"]
        # The same octets name the same issuer; the comparison of RFC 5280 is a hundred times slower.
        same = certificate_names(certificate.tbs_certificate_bytes)[0] == name.dump()
        return bool(same or asn1_certificate(certificate).issuer == name)
    except HOSTILE:
        return False


def _is_hash_of(identifier: tuple[str, bytes], certificate: x509.Certificate) -> bool:
    algorithm, value = identifier
    found = hashlib.new(algorithm, certificate.public_bytes(Encoding.DER), usedforsecurity=False).digest()
    return hmac.compare_digest(found, value)


def _more_certificates(values: Iterable[asn1_core.Any]) -> Iterable[x509.Certificate]:
    for value in values:
        try:
            for item in asn1_core.SequenceOf.load(value.dump(), spec=asn1_core.Any):
                yield x509.load_der_x509_certificate(item.dump())
        except HOSTILE:
            continue  # what cannot be read proves nothing


def _revocation(
    signed_data: asn1_cms.SignedData,
    signed: dict[str, tuple[asn1_core.Any, ...]],
    unsigned: dict[str, tuple[asn1_core.Any, ...]],
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Collect CRLs and OCSP responses: SignedData.crls, Adobe's signed attribute, revocation-values."""
    crls: list[bytes] = []
    ocsps: list[bytes] = []
    for choice in signed_data["crls"] or ():
        if choice.name == "crl":
            crls.append(choice.chosen.dump())
        elif choice.chosen["other_rev_info_format"].dotted == _ID_RI_OCSP:
            ocsps.append(choice.chosen["other_rev_info"].dump())
    archived = (*signed.get(_ADOBE_REVOCATION, ()), *unsigned.get(_ADOBE_REVOCATION, ()))
    for value in (*archived, *unsigned.get(_REVOCATION_VALUES, ())):
        try:
            # RevocationInfoArchival and RevocationValues alike: [0] SEQUENCE OF CRL, [1] SEQUENCE OF OCSP.
            fields = asn1_core.Sequence.load(value.dump())
            for number in range(len(fields)):
                tagged = fields[number]
                kept = {0: crls, 1: ocsps}.get(tagged.tag if tagged.class_ == 2 else -1)
                if kept is not None:
                    kept += [
                        item.dump() for item in asn1_core.SequenceOf.load(tagged.contents, spec=asn1_core.Any)
                    ]
        except HOSTILE:
            continue  # what cannot be read proves nothing
    return tuple(dict.fromkeys(crls)), tuple(dict.fromkeys(ocsps))
