"""Seals and signatures, as findings: the PDF's own, the one beside a document, the one over a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asn1crypto import cms as asn1_cms
from asn1crypto.core import ObjectIdentifier
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.asic import Manifest, parse_manifest
from signing.base import KeyPurpose
from signing.cms_read import ParsedCms, parse_cms
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE, refusing
from signing.judge import judge_pdf
from signing.judgement import JudgedSignature
from signing.keys import PROBANS_ARC
from signing.own_pdf import check_own_pdf
from signing.pdf_signatures import PdfSignature, pdf_signatures
from signing.pdf_values import split_contents
from signing.roles import stated_purposes
from signing.validate import (
    Evidence,
    ValidatedSignature,
    ValidTimestamp,
    validate_cms_signature,
    validate_pdf_signature,
)
from timestamping.own_tokens import OwnTokenVerifier
from vault.clock import rfc3339
from vault.evidence.judged import common_name, file_signature, timestamp_finding
from vault.evidence.means import Means
from vault.evidence.report import Judgement, Outcome, SignatureFinding, TimestampFinding

# Acts of administrations, and the service's own reports: which it is, the check says.
_IN_PDFS = frozenset({KeyPurpose.ACT_SEAL, KeyPurpose.EVIDENCE_SEAL})
_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
# What the identifiers of all purposes begin with, as it stands in a certificate.
_PURPOSE_ARC: bytes = ObjectIdentifier(PROBANS_ARC).contents


@dataclass(frozen=True, slots=True)
class Material:
    """Certificates and CRLs inside a seal, its tokens and (PDF) its validation material, DER."""

    certificates: frozenset[bytes] = frozenset()
    crls: frozenset[bytes] = frozenset()

    def __or__(self, other: Material) -> Material:
        """Return both together."""
        return Material(self.certificates | other.certificates, self.crls | other.crls)


@dataclass(frozen=True, slots=True)
class SealFinding:
    """A seal that was looked for.

    Attributes:
        finding: for the report.
        valid: what validation established; None when it refused.
        cms: DER of the CMS; b"" when it could not be read.
        own: certificates and CRLs of the CMS itself; None when it was refused.
    """

    finding: SignatureFinding
    valid: ValidatedSignature | None = None
    cms: bytes = b""
    own: Material | None = None


def pdf_seals(path: Path, means: Means, judgement: Judgement, part: str = "document") -> list[SealFinding]:
    """Judge every signature and document timestamp of a PDF, each as checks of its own.

    1. Signatures are listed; usage rights of viewers are none. 2. Where a signer's certificate states a purpose of
    a safe, our own form is demanded, with nothing after it (`validate_pdf_signature`): a stranger who states
    one only makes the rules stricter. 3. The others, and document timestamps, are judged by what they are
    (`judge_pdf`).
    """
    # 1
    listed = judgement.attempt(f"{part}.signatures", pdf_signatures, path) or []
    if any(signature.usage_rights for signature in listed):
        words = "usage rights of a viewer, which say nothing about the content"
        judgement.note(f"{part}.usage_rights", Outcome.UNCHECKED, words)
    signatures = [signature for signature in listed if not signature.usage_rights]
    own = [not signature.is_document_timestamp and _is_own(signature) for signature in signatures]
    judged: Sequence[JudgedSignature] | None = ()
    if not all(own):
        judged = judgement.attempt(
            f"{part}.signatures",
            judge_pdf,
            path,
            means.trust,
            means.tsa_trust,
            means.data,
            means.judging,
            means.proofs,
            tokens=means.token_verifier,
            listed=listed,
        )
    seals: list[SealFinding] = []
    for number, signature in enumerate(signatures):
        # 2
        if own[number]:
            name = f"{part}.seal" if number == 0 else f"{part}.seal[{number}]"
            seals.append(_pdf_seal(name, signature, means, judgement, part))
        # 3
        elif judged is not None:
            finding = file_signature(judged[number], f"{part}.signature[{number}]", judgement, part)
            seals.append(SealFinding(finding, cms=judged[number].cms))
    return seals


def own_pdf_seal(
    path: Path, means: Means, judgement: Judgement, part: str = "document"
) -> SealFinding | None:
    """Judge a PDF that the asker's own service sealed, quickly; None leaves it to `pdf_seals`.

    For who keeps the seal's key, or has the file's digest from elsewhere: the quick check believes that this key
    never signed anything but what the sealer writes (`signing.own_pdf`). A stranger's file gets the full engine.
    """
    valid = check_own_pdf(path, means.trust, OwnTokenVerifier(means.tsa_trust), _IN_PDFS)
    return None if valid is None else _passed(f"{part}.seal", valid, judgement, part)


def detached_seal(
    name: str,
    signature: bytes,
    manifest: bytes,
    roles: frozenset[KeyPurpose],
    means: Means,
    judgement: Judgement,
) -> SealFinding:
    """Validate a CAdES seal of ours over a manifest; `name` is also the name of the check."""
    digest = hashlib.sha256(manifest).digest()
    return own_seal(name, signature, digest, roles, means, judgement, name.partition(".")[0])


def own_seal(
    name: str,
    signature: bytes,
    digest: bytes,
    roles: frozenset[KeyPurpose],
    means: Means,
    judgement: Judgement,
    part: str,
) -> SealFinding:
    """Validate a CAdES seal of ours over octets with this SHA-256; `name` is also the name of the check."""

    def verify() -> tuple[ValidatedSignature, Material]:
        parsed = parse_cms(signature, strict=True)
        valid = validate_cms_signature(
            parsed,
            digest,
            means.trust,
            means.timestamps,
            evidence=Evidence(timestamp_anchors=means.tsa_trust.anchors),
            purposes=roles,
            now=means.now,
        )
        if not valid.purposes:
            raise SignatureRefused(
                "SIG_CONSTRAINTS_FAILURE", "the certificate states no purpose of a safe", indeterminate=True
            )
        return valid, _own(parsed)

    mark = len(judgement.checks)
    verified = judgement.attempt(name, verify)
    if verified is None:
        outcome = judgement.outcome_since(mark)
        signer = _signer_of(lambda: parse_cms(signature, strict=False).signer)
        return SealFinding(SignatureFinding(outcome, "", signer, None, part=part), cms=signature)
    valid, own = verified
    judgement.passed(name, _summary(valid))
    return SealFinding(_finding(valid, part), valid, signature, own)


def read_manifest(name: str, data: bytes, signature_name: str, judgement: Judgement) -> Manifest | None:
    """Read a manifest of ours and check which signature it says it belongs to."""
    manifest = judgement.attempt(name, parse_manifest, data, strict=True)
    if manifest is not None and manifest.signature_name != signature_name:
        found = manifest.signature_name
        judgement.refuse(name, "FORMAT_FAILURE", "it belongs to another signature", signature_name, found)
        return None
    return manifest


def material_inside(cms: bytes, pdf: Path | None = None) -> Material:
    """List what is inside a seal and its timestamps: what a bundle's folders must hold, and nothing else.

    Args:
        cms: the seal, DER.
        pdf: the sealed PDF, whose validation material (DSS dictionary) counts too.

    Raises:
        SignatureRefused: FORMAT_FAILURE when it cannot be read.
    """
    with refusing("the material of the seal"):
        parsed = parse_cms(cms, strict=False)
        material = _own(parsed)
        for token in parsed.tokens:
            material |= token_material(token)
        for signature in pdf_signatures(pdf) if pdf is not None else ():
            material |= Material(frozenset(signature.certificates), frozenset(signature.crls))
        return material


def _own(parsed: ParsedCms) -> Material:
    return Material(
        frozenset(item.public_bytes(Encoding.DER) for item in parsed.certificates), frozenset(parsed.crls)
    )


def token_material(token: bytes) -> Material:
    """List the certificates and CRLs inside a timestamp token."""
    signed_data = asn1_cms.ContentInfo.load(token)["content"]
    return Material(
        frozenset(item.chosen.dump() for item in signed_data["certificates"] or ()),
        frozenset(item.chosen.dump() for item in signed_data["crls"] or ()),
    )


def _is_own(signature: PdfSignature) -> bool:
    """Whether the certificate behind a signature states a purpose of a safe.

    Where the octets of such a purpose are nowhere, none is stated; this spares reading most signatures twice.
    """
    if _PURPOSE_ARC not in signature.contents:
        return False
    try:
        with refusing("the signer"):
            return bool(stated_purposes(parse_cms(_cms_of(signature.contents), strict=False).signer))
    except SignatureRefused:
        return False


def _pdf_seal(
    name: str, signature: PdfSignature, means: Means, judgement: Judgement, part: str
) -> SealFinding:
    mark = len(judgement.checks)
    valid = judgement.attempt(
        name,
        validate_pdf_signature,
        signature,
        means.trust,
        means.timestamps,
        evidence=Evidence(timestamp_anchors=means.tsa_trust.anchors),
        purposes=_IN_PDFS,
        now=means.now,
    )
    if valid is None:
        cms = _cms_of(signature.contents)
        finding = SignatureFinding(
            judgement.outcome_since(mark),
            "",
            _signer_of(lambda: parse_cms(cms, strict=False).signer),
            None,
            covers_whole_file=signature.covers_whole_file,
            part=part,
        )
        return SealFinding(finding, cms=cms)
    return _passed(name, valid, judgement, part)


def _passed(name: str, valid: ValidatedSignature, judgement: Judgement, part: str) -> SealFinding:
    report = KeyPurpose.EVIDENCE_SEAL in valid.purposes
    judgement.passed(name, f"{_summary(valid)}{', a report of the service and no act' if report else ''}")
    return SealFinding(_finding(valid, part), valid, valid.cms)


def _cms_of(contents: bytes) -> bytes:
    """Return the CMS without the zero octets after it: they are not what the ledger recorded."""
    try:
        return split_contents(contents)[0]
    except _UNREADABLE:
        return contents


def _finding(valid: ValidatedSignature, part: str) -> SignatureFinding:
    return SignatureFinding(
        verdict=Outcome.PASSED,
        level=f"{valid.form}-{valid.level}",
        signer=common_name(valid.signer),
        signing_time=rfc3339(valid.best_time) if valid.timestamps else None,
        timestamps=tuple(_stamp(stamp) for stamp in valid.timestamps),
        covers_whole_file=valid.covers_whole_file,
        changes_after=valid.changes_after,
        part=part,
    )


def _stamp(stamp: ValidTimestamp) -> TimestampFinding:
    return timestamp_finding(stamp.gen_time, stamp.signer, stamp.policy, Outcome.PASSED)


def _summary(valid: ValidatedSignature) -> str:
    at = f", {rfc3339(valid.best_time)}" if valid.timestamps else ""
    return f"{valid.form}-{valid.level}, {common_name(valid.signer)}{at}"


def _signer_of(read: Callable[[], x509.Certificate]) -> str:
    """Name who a refused signature says made it; "" where that cannot be read."""
    try:
        with refusing("the signer"):
            return common_name(read())
    except SignatureRefused:
        return ""
