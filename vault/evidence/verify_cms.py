"""CMS signatures of any maker (CAdES, plain PKCS #7), in files of their own or in a container."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from asn1crypto.cms import ContentInfo
from cryptography import x509

from signing.base import KeyPurpose
from signing.errors import SignatureRefused
from signing.foreign_cms import ForeignCms, check_shown, content_inside, read_foreign, signer_count
from signing.hostile import refusing
from signing.judge import judge_cms
from signing.judgement import OutsideData
from signing.roles import stated_purposes
from timestamping.algorithms import READABLE
from vault.evidence.judged import file_signature
from vault.evidence.means import Means
from vault.evidence.originals import Original
from vault.evidence.report import Judgement, SignatureFinding
from vault.evidence.seals import own_seal
from vault.evidence.verify_alone import NO_DATA, Judged

_SEALS = frozenset({KeyPurpose.ACT_SEAL, KeyPurpose.RECEPTION_SEAL, KeyPurpose.EVIDENCE_SEAL})


def judge_cms_file(data: bytes, means: Means, judgement: Judgement, part: str = "document") -> Judged:
    """Judge a CMS signature with its content inside, or over the originals.

    1. It can be read, has signers, and shows a PDF viewer nothing beside its content. 2. Its content is what is
    inside, else the first original. 3. Each signer is judged by himself. 4. Every original is what was signed.

    Args:
        data: the CMS, DER or BER.
        means: what the verifier trusts, and the originals.
        judgement: told of each check.
        part: which part of the file it is.
    """
    # 1
    if _has_no_signer(data):
        message = "it carries certificates or data, and no signature"
        judgement.refuse(part, "NO_SIGNATURE_FOUND", message, indeterminate=True)
        return Judged()
    count = judgement.attempt(f"{part}.signatures", signer_count, data)
    if count is None:
        return Judged()
    # 2
    mark = len(judgement.checks)
    judgement.attempt(f"{part}.content", check_shown, data)
    content = judgement.attempt(f"{part}.content", content_inside, data)
    if len(judgement.checks) > mark:
        return Judged()
    digest = _digest_of(content, means.originals)
    # 3
    attached = content is not None
    findings = tuple(
        _signer(
            data,
            digest,
            f"{part}.signature[{number}]",
            means,
            judgement,
            part,
            number=number if count > 1 else None,
            attached=attached,
            alone=True,
        )
        for number in range(count)
    )
    # 4
    others = means.originals if content is not None else means.originals[1:]
    for number, original in enumerate(others, len(means.originals) - len(others)):
        _check_same(f"original[{number}]", original, digest, judgement)
    return Judged(findings)


def judge_cms_over(
    data: bytes,
    covered: Sequence[Original],
    name: str,
    means: Means,
    judgement: Judgement,
    part: str = "document",
) -> Judged:
    """Judge a detached CMS signature with one signer, over a member of a container.

    Args:
        data: the CMS, DER or BER.
        covered: the member; none when nothing says what it covers.
        name: of the check, before the names of steps.
        means: what the verifier trusts.
        judgement: told of each check.
        part: which part of the file it is.
    """
    mark = len(judgement.checks)
    content = judgement.attempt(name, content_inside, data)
    if content is not None:
        judgement.refuse(name, "FORMAT_FAILURE", "a signature in a container holds no content of its own")
    if len(judgement.checks) > mark:
        return Judged((SignatureFinding(judgement.outcome_since(mark), "", "", None, part=part),))
    return Judged((_signer(data, _digest_of(None, covered), name, means, judgement, part),))


def material_of(data: bytes, means: Means) -> OutsideData:
    """Return the certificates and revocation data that a CMS signature brings; none of one that cannot be read."""
    read = _read(data, None, means)
    return OutsideData() if read is None else OutsideData(read.certificates, read.crls, read.ocsps)


def _signer(
    data: bytes,
    digest: Callable[[str], bytes],
    name: str,
    means: Means,
    judgement: Judgement,
    part: str,
    *,
    number: int | None = None,
    attached: bool = False,
    alone: bool = False,
) -> SignatureFinding:
    read = _read(data, number, means)
    if read is not None and not attached and number is None and _is_own(read.signer):
        mark = len(judgement.checks)
        sha256 = judgement.attempt(name, digest, "sha256")
        if sha256 is None:
            return SignatureFinding(judgement.outcome_since(mark), "", "", None, part=part)
        return own_seal(name, data, sha256, _SEALS, means, judgement, part).finding
    judged = judge_cms(
        data,
        digest,
        form=_form(read) if alone else "CAdES",
        purposes=frozenset(),
        trust=means.trust,
        tsa_trust=means.tsa_trust,
        data=means.data,
        policy=means.judging,
        tokens=means.token_verifier,
        proofs=means.proofs,
        attached=attached,
        number=number,
    )
    return file_signature(judged, name, judgement, part)


def _read(data: bytes, number: int | None, means: Means) -> ForeignCms | None:
    try:
        return read_foreign(data, means.data.certificates, number=number)
    except SignatureRefused:
        return None  # judging says why


def _is_own(signer: x509.Certificate) -> bool:
    """Whether a signer's certificate states a purpose of a safe: then the safes' one form is demanded."""
    try:
        with refusing("the signer"):
            return bool(stated_purposes(signer))
    except SignatureRefused:
        return False


def _form(read: ForeignCms | None) -> str:
    """Name the form of a signature in a file of its own: plain PKCS #7 where no attribute names the certificate.

    Without any signed attributes it is not taken for one: its value would also fit the attributes of another
    signature, taken for content (RFC 5652 section 11).
    """
    plain = read is not None and bool(read.attributes) and not read.certificate_ids
    return "PKCS7" if plain else "CAdES"


def _digest_of(content: bytes | None, covered: Sequence[Original]) -> Callable[[str], bytes]:
    def digest(algorithm: str) -> bytes:
        if content is not None:
            return hashlib.new(algorithm, content, usedforsecurity=False).digest()
        found = covered[0].digest(algorithm) if covered else None
        if found is None:
            message = f"the {algorithm} digest of {covered[0].name} is not given" if covered else NO_DATA
            raise SignatureRefused("SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
        return found

    return digest


def _check_same(name: str, original: Original, digest: Callable[[str], bytes], judgement: Judgement) -> None:
    """Compare by the first algorithm in which both digests can be had."""
    for algorithm in dict.fromkeys(READABLE.values()):
        given = original.digest(algorithm)
        if given is not None:
            found = judgement.attempt(name, digest, algorithm)
            if found is not None:
                judgement.equal(name, given, found, "HASH_FAILURE", f"{original.name} is not what was signed")
            return
    message = f"no digest of {original.name} can be compared"
    judgement.refuse(name, "SIGNED_DATA_NOT_FOUND", message, indeterminate=True)


def _has_no_signer(data: bytes) -> bool:
    try:
        with refusing("the CMS"):
            return len(ContentInfo.load(data, strict=True)["content"]["signer_infos"]) == 0
    except SignatureRefused:
        return False  # what cannot be read is refused later, with the reason
