"""Trusted lists (ETSI TS 119 612): their signature, and what they make an anchor at which time.

The signature is verified by signxml; the rules around it, and that only what it covers is read, are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from signing.algorithms import TABLE
from signing.errors import SignatureRefused, SigningError
from signing.foreign_paths import Admits
from signing.hostile import HOSTILE
from signing.trusted_list_read import ISSUING, ROOT, STAMPING, TrustedList, TrustedService, read_list

__all__ = ["ISSUING", "STAMPING", "Listed", "TrustedList", "TrustedService", "listed", "open_list"]

MAX_LIST = 64 << 20
_DS = "http://www.w3.org/2000/09/xmldsig#"
_SIGNATURE = f"{{{_DS}}}Signature"
_TRANSFORM = f"{{{_DS}}}Transform"
_ENVELOPED = f"{_DS}enveloped-signature"
_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
_TRANSFORMS = frozenset(
    {
        _ENVELOPED,
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2006/12/xml-c14n11",
    }
)
_METHODS = frozenset(each for each in SignatureMethod if "SHA1" not in each.name and "HMAC" not in each.name)
_DIGESTS = frozenset(each for each in DigestAlgorithm if each.name not in {"SHA1", "SHA224", "SHA3_224"})


@dataclass(frozen=True, slots=True)
class Listed:
    """Anchors from lists, and when each was one.

    Attributes:
        anchors: certificates of services, whatever their status.
        admits: says of one whether a service with it was relied on at a time.
    """

    anchors: tuple[x509.Certificate, ...]
    admits: Admits


def open_list(data: bytes, signers: Sequence[x509.Certificate], now: datetime) -> TrustedList:
    """Verify and read a list.

    1. At most 64 MiB of XML without document type; no entity is resolved and nothing is loaded. 2. One signature,
    directly below the root. 3. It verifies with the key of a certificate that the user named, which was valid
    when the list was issued and is strong enough now. 4. It covers the whole document but itself (URI empty,
    enveloped) and nothing else but its own properties; the transforms are those two and canonicalisation. 5. What
    it covers, as the verifier returns it, is read.

    Args:
        data: the file.
        signers: certificates that may sign this list.
        now: UTC.

    Raises:
        SignatureRefused: FORMAT_FAILURE, SIG_CRYPTO_FAILURE, NO_SIGNING_CERTIFICATE_FOUND, NOT_YET_VALID,
            EXPIRED, CRYPTO_CONSTRAINTS_FAILURE.
    """
    # 1
    root = _parse(data)
    # 2
    found = list(root.iter(_SIGNATURE))
    if len(found) != 1 or found[0].getparent() is not root:
        raise SignatureRefused(
            "FORMAT_FAILURE", "the trusted list has not one signature directly below its root"
        )
    # 3, 4
    signer, signed = _verified(root, signers)
    # 5
    content = read_list(signed)
    if not signer.not_valid_before_utc <= content.issued <= signer.not_valid_after_utc:
        early = content.issued < signer.not_valid_before_utc
        raise SignatureRefused(
            "NOT_YET_VALID" if early else "EXPIRED",
            "the signer's certificate was not valid when the list was issued",
        )
    TABLE.check_key(signer.public_key(), at=now, proven=False)
    return content


def listed(services: Iterable[TrustedService], kinds: frozenset[str]) -> Listed:
    """Return the anchors that services of some types make."""
    by_certificate: dict[x509.Certificate, list[TrustedService]] = {}
    for service in services:
        if service.kind in kinds:
            for certificate in service.certificates:
                by_certificate.setdefault(certificate, []).append(service)

    def admits(certificate: x509.Certificate, at: datetime) -> bool:
        return any(service.relied_on(at) for service in by_certificate.get(certificate, ()))

    return Listed(tuple(by_certificate), admits)


def _parse(data: bytes) -> etree._Element:
    if len(data) > MAX_LIST:
        raise SignatureRefused("FORMAT_FAILURE", "the trusted list is too large")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, dtd_validation=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, *HOSTILE) as error:
        raise SignatureRefused("FORMAT_FAILURE", "the trusted list is not well-formed XML") from error
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise SignatureRefused("FORMAT_FAILURE", "the trusted list has a document type")
    if root.tag != ROOT:
        raise SignatureRefused("FORMAT_FAILURE", "the root is no trusted list")
    return root


def _verified(
    root: etree._Element, signers: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, etree._Element]:
    """Return whose key the signature verifies with, and the tree it covers."""
    failure: Exception | None = None
    for signer in signers:
        # Whether the certificate was valid is judged by the time of issue, once that is known to be signed.
        configuration = SignatureConfiguration(
            location="./",
            expect_references=True,
            signature_methods=_METHODS,
            digest_algorithms=_DIGESTS,
            ignore_ambiguous_key_info=True,
            verification_time=signer.not_valid_before_utc,
        )
        try:
            results = XMLVerifier().verify(root, x509_cert=signer, expect_config=configuration)
        except Exception as error:
            # The library throws its own kinds and those of three others.
            failure = error
            continue
        try:
            return signer, _covered(results if isinstance(results, list) else [results])
        except SigningError:
            raise
        except HOSTILE as error:
            raise SignatureRefused("FORMAT_FAILURE", "the list's signature cannot be read") from error
    if failure is None:
        raise SignatureRefused(
            "NO_SIGNING_CERTIFICATE_FOUND", "nobody is named who may sign the trusted list"
        )
    raise SignatureRefused(
        "SIG_CRYPTO_FAILURE", "the trusted list is not signed by a certificate that was named"
    ) from failure


def _covered(results: Sequence[VerifyResult]) -> etree._Element:
    references = list(_references(results[0].signature_xml))
    whole = [result for result, (uri, _) in zip(results, references, strict=True) if uri == ""]
    others = [kind for uri, kind in references if uri != ""]
    if len(whole) != 1 or others not in ([], [_PROPERTIES]):
        raise SignatureRefused("FORMAT_FAILURE", "the signature does not cover exactly the whole list")
    tree: etree._Element | None = whole[0].signed_xml
    if tree is None or tree.tag != ROOT or next(tree.iter(_SIGNATURE), None) is not None:
        raise SignatureRefused("FORMAT_FAILURE", "the signature does not cover the list")
    return tree


def _references(signature: etree._Element) -> Iterator[tuple[str | None, str]]:
    for reference in signature.iterfind(f"{{{_DS}}}SignedInfo/{{{_DS}}}Reference"):
        uri, transforms = reference.get("URI"), {each.get("Algorithm") for each in reference.iter(_TRANSFORM)}
        if not transforms <= _TRANSFORMS or (_ENVELOPED in transforms) is not (uri == ""):
            raise SignatureRefused(
                "FORMAT_FAILURE", "the list's signature has transforms that are not allowed"
            )
        yield uri, reference.get("Type", "")
