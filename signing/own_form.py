"""In our own form no octet goes unauthenticated: what the signatures do not cover is checked one by one.

The certificates and CRLs of a SignedData, and the inside of the timestamp token, are covered by no signature.
A changed octet there could otherwise go unseen, when another copy of the same certificate or list serves.
"""

from __future__ import annotations

from collections.abc import Sequence

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.cms_form import SignedDataForm, issuer_and_serial
from signing.cms_read import CmsReport
from signing.crl import issued, read_crls
from signing.der import integer, tlv
from signing.errors import SignatureRefused
from signing.hostile import refusing

_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
_NULL = b"\x05\x00"
# SHA-256, SHA-384 and SHA-512 with their sizes; parameters absent or NULL (RFC 5754 section 2).
_DIGESTS = {
    tlv(0x30, bytes.fromhex(f"060960864801650304020{item}"), parameters): size
    for item, size in ((1, 32), (2, 48), (3, 64))
    for parameters in (b"", _NULL)
}
_ECDSA = tuple(tlv(0x30, bytes.fromhex(f"06082a8648ce3d04030{item}")) for item in (2, 3, 4))
_RSA = tuple(
    tlv(0x30, bytes.fromhex(f"06092a864886f70d0101{item}"), _NULL) for item in ("01", "0b", "0c", "0d")
)
_PSS = tuple(
    tlv(
        0x30,
        bytes.fromhex("06092a864886f70d01010a"),
        tlv(
            0x30,
            tlv(0xA0, digest),
            tlv(0xA1, tlv(0x30, bytes.fromhex("06092a864886f70d010108"), digest)),
            tlv(0xA2, integer(size)),
        ),
    )
    for digest, size in _DIGESTS.items()
)
_EDWARDS = (bytes.fromhex("300506032b6570"), bytes.fromhex("300506032b6571"))
_SIGNATURES = frozenset((*_ECDSA, *_RSA, *_PSS, *_EDWARDS))


def require_authenticated(
    report: CmsReport,
    path: Sequence[x509.Certificate],
    authority: x509.Certificate,
    anchors: Sequence[x509.Certificate],
) -> None:
    """Check the unsigned parts of a verified CMS in our own form, its verified timestamp included.

    1. The token equals what its own signed parts, certificates, CRLs and signature give when written again:
    version 3, one SignerInfo naming the authority's certificate, no unsigned attribute, no certificate twice.
    2. Each certificate in CMS and token is an anchor, or signed under a chain of those that are there up to an
    anchor. 3. Those of the token are the authority and its issuers; those of the CMS are these or the seal's
    path. 4. Each CRL there is signed by one of them or an anchor.

    Args:
        report: of the verified CMS; exactly one token.
        path: the validated path of the seal certificate.
        authority: the certificate that the timestamp verifier found to have signed the token.
        anchors: of seals and timestamps.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    with refusing("the timestamp token"):
        # 1
        certificates, crls = _require_exact_token(report.tokens[0], authority)
        # 2
        known = (*_authentic((*report.certificates, *certificates), anchors), *anchors)
        # 3
        line = _line(authority, known)
        if not (line.issuperset(certificates) and line.union(path).issuperset(report.certificates)):
            raise SignatureRefused("FORMAT_FAILURE", "a certificate in the signature serves nothing")
        # 4
        for encoded in {*report.crls, *crls}:
            _require_issued(encoded, known)


def _line(certificate: x509.Certificate, known: Sequence[x509.Certificate]) -> set[x509.Certificate]:
    """Return a certificate and all its issuers among the known ones."""
    found = {certificate}
    waiting = [certificate]
    while waiting:
        subject = waiting.pop()
        issuers = [item for item in known if item not in found and issued(item, subject)]
        found.update(issuers)
        waiting += issuers
    return found


def _require_exact_token(
    token: bytes, authority: x509.Certificate
) -> tuple[list[x509.Certificate], list[bytes]]:
    signed_data = asn1_cms.ContentInfo.load(token, strict=True)["content"]
    certificates = [item.chosen.dump() for item in signed_data["certificates"] or ()]
    crls = [item.chosen.dump() for item in signed_data["crls"] or ()]
    info = signed_data["signer_infos"][0]
    digest = info["digest_algorithm"].dump()
    algorithm = info["signature_algorithm"].dump()
    content = signed_data["encap_content_info"]
    again = SignedDataForm(
        version=3,
        digest_algorithm=digest,
        content=tlv(0x30, _TST_INFO, tlv(0xA0, tlv(0x04, content["content"].contents))),
        certificates=certificates,
        crls=crls,
        sid=issuer_and_serial(authority),
        signed_attributes=info["signed_attrs"].contents,
        signature_algorithm=algorithm,
        signature=info["signature"].native,
        unsigned_attributes=b"",
    ).encode()
    exact = again == token and digest in _DIGESTS and algorithm in _SIGNATURES
    if not exact or len(set(certificates)) != len(certificates):
        raise SignatureRefused("FORMAT_FAILURE", "the timestamp token has octets that nothing authenticates")
    return [x509.load_der_x509_certificate(item) for item in certificates], crls


def _authentic(
    certificates: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the certificates, all of which an anchor vouches for by a chain of signatures among them."""
    waiting = [item for item in dict.fromkeys(certificates) if item not in anchors]
    known: list[x509.Certificate] = []
    level = list(anchors)
    while waiting and level:
        level = [item for item in waiting if any(issued(issuer, item) for issuer in level)]
        waiting = [item for item in waiting if item not in level]
        known += level
    if waiting:
        raise SignatureRefused("FORMAT_FAILURE", "a certificate in the signature is vouched for by no anchor")
    return known


def _require_issued(encoded: bytes, issuers: Sequence[x509.Certificate]) -> None:
    for crl in read_crls((encoded,)):
        if crl.parsed.public_bytes(Encoding.DER) == encoded and any(map(crl.issued_by, issuers)):
            return
    raise SignatureRefused("FORMAT_FAILURE", "a CRL in the signature is signed by no known authority")
