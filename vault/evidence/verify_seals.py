"""The seals of a bundle: over everything, on or beside the document, and what the ledger says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from signing.asic import Reference
from signing.base import KeyPurpose
from signing.validate import ValidatedSignature
from vault.evidence import layout
from vault.evidence.build import member_media_type
from vault.evidence.bundle import Bundle, DocumentDigest
from vault.evidence.layout import Index
from vault.evidence.means import Means
from vault.evidence.report import Judgement, Outcome, SignatureFinding
from vault.evidence.seals import (
    Material,
    SealFinding,
    detached_seal,
    material_inside,
    pdf_seals,
    read_manifest,
    token_material,
)
from vault.evidence.verify_anchor import Anchored
from vault.evidence.verify_ledger import Line
from vault.ledger.events import Event

_ROLES = {Event.ISSUED: KeyPurpose.ACT_SEAL, Event.DEPOSITED: KeyPurpose.RECEPTION_SEAL}
_EITHER = frozenset(_ROLES.values())
_MAX_INNER = 64 << 20  # octets of a PDF in which signatures of others are looked for
_MANY = 20  # reasons of one kind are cut there


def evidence_seal(
    bundle: Bundle, index: Index, document: DocumentDigest, means: Means, judgement: Judgement
) -> SealFinding | None:
    """Step 6."""
    name = "bundle.seal"
    if not bundle.sealed:
        judgement.note(name, Outcome.UNCHECKED, "absent: each inner part is judged on its own")
        return None
    raw = bundle.small[layout.EVIDENCE_MANIFEST]
    manifest = read_manifest("bundle.manifest", raw, layout.EVIDENCE_SIGNATURE, judgement)
    if manifest is not None:
        expected = _expected_references(bundle, index, document)
        found = {reference.name: reference for reference in manifest.references}
        wrong = [item for item in expected if found.get(item.name) != item]
        for item in wrong[:_MANY]:
            judgement.refuse(
                "bundle.manifest", "EVIDENCE_SEAL_MISMATCH", f"{item.name} is not the file that was sealed"
            )
        for extra in list(found.keys() - {item.name for item in expected})[:_MANY]:
            judgement.refuse(
                "bundle.manifest", "EVIDENCE_SEAL_MISMATCH", f"{extra} was sealed and is not here"
            )
        if not wrong and tuple(manifest.references) == tuple(expected):
            judgement.passed("bundle.manifest", f"covers {len(expected)} files: all")
        elif not wrong and found.keys() == {item.name for item in expected}:
            judgement.refuse("bundle.manifest", "EVIDENCE_SEAL_MISMATCH", "its list is in another order")
    signature = bundle.small[layout.EVIDENCE_SIGNATURE]
    return detached_seal(name, signature, raw, frozenset({KeyPurpose.EVIDENCE_SEAL}), means, judgement)


def _expected_references(bundle: Bundle, index: Index, document: DocumentDigest) -> list[Reference]:
    references: list[Reference] = []
    for name in bundle.names:
        if name in {layout.MIMETYPE_MEMBER, layout.EVIDENCE_MANIFEST, layout.EVIDENCE_SIGNATURE}:
            continue
        if name == bundle.document_member:
            references.append(Reference(name, index.media_type, bytes.fromhex(document.sha256)))
        else:
            digest = hashlib.sha256(bundle.small[name]).digest()
            references.append(Reference(name, member_media_type(name), digest))
    return references


def document_seal(
    bundle: Bundle,
    index: Index,
    document: DocumentDigest,
    sealing: Line | None,
    means: Means,
    judgement: Judgement,
) -> tuple[SealFinding, Material | None]:
    """Step 7."""
    if not bundle.carries_seal_beside:
        return _pdf_seal(bundle, means, judgement)
    raw = bundle.small[layout.SEAL_MANIFEST]
    manifest = read_manifest("document.manifest", raw, layout.SEAL_SIGNATURE, judgement)
    if manifest is not None:
        digest = bytes.fromhex(document.sha256)
        expected = (Reference(bundle.document_member, index.media_type, digest),)
        judgement.equal(
            "document.manifest",
            _references(expected),
            _references(manifest.references),
            "HASH_FAILURE",
            "it was made over another document",
        )
    roles = frozenset({_ROLES[sealing.event]}) if sealing is not None else _EITHER
    signature = bundle.small[layout.SEAL_SIGNATURE]
    seal = detached_seal("document.seal", signature, raw, roles, means, judgement)
    return seal, judgement.attempt("certificates", material_inside, seal.cms)


def _pdf_seal(bundle: Bundle, means: Means, judgement: Judgement) -> tuple[SealFinding, Material | None]:
    with bundle.document_path() as path:
        seals = pdf_seals(path, means, judgement)
        if len(seals) != 1:
            judgement.refuse("document.seal", "FORMAT_FAILURE", f"one seal must be there, not {len(seals)}")
            return SealFinding(SignatureFinding(Outcome.FAILED, "", "", None)), None
        seal = seals[0]
        if seal.valid is None:
            if seal.finding.verdict is Outcome.PASSED:
                judgement.refuse("document.seal", "SIG_CONSTRAINTS_FAILURE", "not a seal for acts")
            return seal, None
        if seal.valid.purposes != {KeyPurpose.ACT_SEAL}:
            judgement.refuse("document.seal", "SIG_CONSTRAINTS_FAILURE", "not a seal for acts")
        return seal, judgement.attempt("certificates", material_inside, seal.cms, path)


def other_signatures(
    bundle: Bundle, index: Index, means: Means, judgement: Judgement
) -> list[SignatureFinding]:
    """Report the signatures that others made in a PDF whose seal lies beside it; the verdict is not theirs."""
    if not bundle.carries_seal_beside or index.media_type != "application/pdf" or index.size > _MAX_INNER:
        return []
    apart = Judgement()
    with bundle.document_path() as path:
        seals = pdf_seals(path, means, apart, "inner")
    for number, seal in enumerate(seals):
        outcome = seal.finding.verdict.value
        judgement.note(f"inner.signature[{number}]", Outcome.UNCHECKED, f"{outcome}, {seal.finding.signer}")
    return [seal.finding for seal in seals]


def check_committed(bundle: Bundle, sealing: Line, seal: SealFinding, judgement: Judgement) -> None:
    """Step 8; the codes say which part is another one."""
    said = sealing.document["parts"]
    committed = dict(said) if isinstance(said, dict) else {}
    found: dict[str, str | None] = {"signature": hashlib.sha256(seal.cms).hexdigest() if seal.cms else None}
    if seal.valid is not None:
        found["token"] = (
            hashlib.sha256(seal.valid.timestamps[0].der).hexdigest() if seal.valid.timestamps else None
        )
        found["seal_certificate"] = seal.valid.signer.fingerprint(SHA256()).hex()
    if bundle.carries_seal_beside:
        found["manifest"] = hashlib.sha256(bundle.small[layout.SEAL_MANIFEST]).hexdigest()
    elif "manifest" in committed:
        found["manifest"] = None
    codes = {
        "signature": ("SEAL_MISMATCH", "the seal is not the one recorded"),
        "token": ("TOKEN_MISMATCH", "the timestamp is not the one recorded"),
        "seal_certificate": ("CERTIFICATE_MISMATCH", "the seal's certificate is not the one recorded"),
        "manifest": ("MANIFEST_MISMATCH", "the manifest is not the one recorded"),
    }
    for part, digest in found.items():
        code, message = codes[part]
        judgement.equal(f"entry[{sealing.seq}].{part}", committed.get(part), digest, code, message)


def check_material(
    bundle: Bundle,
    inside: Material | None,
    evidence: SealFinding | None,
    anchored: Anchored | None,
    means: Means,
    judgement: Judgement,
) -> None:
    """Step 9; where a seal or the anchor was refused, nobody knows what should be there."""
    if inside is None or (layout.ANCHOR in bundle.small and anchored is None):
        return
    expected = inside
    if evidence is not None:
        if evidence.valid is None:
            return
        expected |= evidence.own or Material()
    if anchored is not None:
        expected |= anchored.material(set(bundle.of_role("revocation").values()) - expected.crls)
    if evidence is not None and evidence.valid is not None:
        _check_last_token(evidence.valid, expected, means, judgement)
    for check, role, wanted, name_of in (
        ("certificates", "certificate", expected.certificates, layout.certificate_member),
        ("revocation", "revocation", expected.crls, layout.revocation_member),
    ):
        there = bundle.of_role(role)
        right = {name_of(der): der for der in wanted}
        wrong = sorted(name for name in there.keys() | right.keys() if there.get(name) != right.get(name))
        for name in wrong[:_MANY]:
            judgement.refuse(check, "MATERIAL_MISMATCH", f"{name}: not what the seals hold")
        if not wrong:
            whose = "of the seals and the anchor" if anchored is not None else "inside the seals"
            judgement.passed(check, f"{len(right)}, those {whose}")


def _check_last_token(
    valid: ValidatedSignature, expected: Material, means: Means, judgement: Judgement
) -> None:
    """The evidence seal's token is made after everything was listed: it may hold what is there, or an anchor."""
    anchors = {item.public_bytes(Encoding.DER) for item in (*means.trust.anchors, *means.tsa_trust.anchors)}
    for stamp in valid.timestamps:
        token = token_material(stamp.der)
        if token.certificates - expected.certificates - anchors or token.crls - expected.crls:
            judgement.refuse("bundle.seal", "MATERIAL_MISMATCH", "its timestamp holds other certificates")


def _references(references: Sequence[Reference]) -> str:
    return " ".join(f"{item.name} {item.media_type} {item.sha256.hex()}" for item in references)
