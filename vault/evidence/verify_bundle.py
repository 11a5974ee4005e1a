"""Verification of an evidence bundle, step by step; nothing inside it is trusted for its own sake.

1. The container is strict and has exactly the members of the format.
2. evidence.json is in its one form and lists exactly these members, each with its digest and size.
3. The instructions are texts that we published.
4. The ledger entries, and their openings against the entries' commitments.
5. The document has the digest and size of evidence.json, and of the opening.
6. The evidence seal, where there is one, covers every other member and is a seal for bundles.
7. The document's own seal: in the PDF, or beside the document over its manifest.
8. The seal, token, manifest and certificate found are the ones that the opening commits to.
9. The certificates and CRLs in the folders are those inside the seals and tokens, no more and no fewer.
10. The tags: all entries are the document's, from the first on, none left out.
11. The receipts: each entry is in the tree, under a checkpoint that the verifier's policy accepts.
12. The course of events and of times is possible; the anchor, where there is one, is over the checkpoint of
    the receipts and gives it an outside date.
13. The status, brought up to date from a published ledger where one is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

from vault.evidence import layout
from vault.evidence.bundle import Bundle, DocumentDigest, open_bundle
from vault.evidence.layout import Index, Listed
from vault.evidence.means import Means
from vault.evidence.report import (
    Judgement,
    LedgerFinding,
    Outcome,
    SignatureFinding,
    StatusFinding,
    Verdict,
)
from vault.evidence.texts import CADES, PADES, known_digests
from vault.evidence.verify_anchor import anchor_outcome, dated, judge_anchor
from vault.evidence.verify_ledger import (
    Line,
    check_events,
    check_receipts,
    check_tags,
    check_time,
    ledger_finding,
    read_lines,
    status_finding,
)
from vault.evidence.verify_seals import (
    check_committed,
    check_material,
    document_seal,
    evidence_seal,
    other_signatures,
)
from vault.ledger.events import Event


def verify_bundle(file: BinaryIO, means: Means) -> Verdict:
    """Judge an evidence bundle.

    Args:
        file: the container, seekable.
        means: what the verifier trusts, and the files that must be the document.

    Returns:
        The verdict; never raises on what the container holds.
    """
    judgement = Judgement()
    # 1
    bundle = open_bundle(file, judgement)
    if bundle is None:
        return _verdict(judgement)
    # 2
    index = judgement.attempt("evidence.json", Index.parse, bundle.small[layout.INDEX])
    if index is None:
        return _verdict(judgement)
    # 4
    mark = len(judgement.checks)
    lines = read_lines(bundle, judgement)
    # 5
    sizes = frozenset(size for line in lines if isinstance(size := line.document.get("size"), int))
    document = judgement.attempt(f"member {bundle.document_member}", bundle.digest_document, sizes)
    if document is None:
        return _verdict(judgement)
    # 2, 3, 5
    _check_index(bundle, index, document, judgement)
    _check_instructions(bundle, judgement)
    for original in means.originals:
        _check_original(document, original.digest("sha256"), judgement)
    # 12
    complete = len(lines) == len(layout.sequence_numbers(bundle.names))
    sealing = check_events(lines, judgement, complete=complete)
    for line in lines:
        _check_document(bundle, index, line, document, judgement)
    # 6
    evidence = evidence_seal(bundle, index, document, means, judgement)
    # 7
    seal, material = document_seal(bundle, index, document, sealing, means, judgement)
    # 8
    if sealing is not None:
        check_committed(bundle, sealing, seal, judgement)
    # 12
    sealed_at = seal.valid.best_time if seal.valid is not None and seal.valid.timestamps else None
    anchored = judge_anchor(bundle, lines, sealed_at, means, judgement)
    # 9
    check_material(bundle, material, evidence, anchored, means, judgement)
    # 10, 11
    if complete:
        check_tags(lines, bytes.fromhex(index.status_key), judgement)
    newest, signed = check_receipts(bundle, lines, index, means, judgement)
    # 12
    if sealing is not None and sealed_at is not None:
        check_time(sealing, sealed_at, judgement)
    # 13
    status = status_finding(lines, index, newest, signed, means, judgement)
    bounds = dated(anchored, sealing, sealed_at)
    ledger = ledger_finding(
        lines, index, newest, _ledger_outcome(judgement, mark), anchor_outcome(judgement), bounds
    )
    findings = [seal.finding, *([evidence.finding] if evidence is not None else [])]
    findings += other_signatures(bundle, index, means, judgement)
    return _verdict(judgement, tuple(findings), ledger, status)


def _verdict(
    judgement: Judgement,
    signatures: tuple[SignatureFinding, ...] = (),
    ledger: LedgerFinding | None = None,
    status: StatusFinding | None = None,
) -> Verdict:
    reasons, checks = tuple(judgement.reasons), tuple(judgement.checks)
    return Verdict(judgement.worst, reasons, signatures, ledger, status, checks)


def _ledger_outcome(judgement: Judgement, mark: int) -> Outcome:
    outcomes = [
        check.outcome
        for check in judgement.checks[mark:]
        if check.name.startswith(("entry[", "events", "status", "anchor"))
    ]
    if Outcome.FAILED in outcomes:
        return Outcome.FAILED
    return Outcome.INDETERMINATE if Outcome.INDETERMINATE in outcomes else Outcome.PASSED


def _check_index(bundle: Bundle, index: Index, document: DocumentDigest, judgement: Judgement) -> None:
    """Step 2: evidence.json says exactly what is there."""
    listed = {item.name: item for item in index.members}
    found = {item.name: item for item in bundle.listed(document)}
    mark = len(judgement.checks)
    for name in [name for name in listed if name not in found][:20]:
        judgement.refuse("members", "MEMBER_MISSING", f"{name} is not there", expected=name)
    for name in [name for name in found if name not in listed][:20]:
        judgement.refuse("members", "MEMBER_UNKNOWN", f"{name} is not in evidence.json", found=name)
    for name, item in found.items():
        if name in listed and listed[name] != item:
            judgement.refuse(
                "evidence.json",
                "INDEX_FILE_MISMATCH",
                f"{name} is another",
                _described(listed[name]),
                _described(item),
            )
    kind = CADES if bundle.carries_seal_beside else PADES
    said = (index.kind, index.name, index.sha256, index.size)
    there = (kind, bundle.document_name, document.sha256, document.size)
    if said != there:
        judgement.refuse(
            "evidence.json", "INDEX_FILE_MISMATCH", "it is about another document", str(said), str(there)
        )
    if tuple(listed) != tuple(found) and listed.keys() == found.keys():
        judgement.refuse("evidence.json", "INDEX_FILE_MISMATCH", "its list is in another order")
    if len(judgement.checks) == mark:
        judgement.passed("evidence.json", f"{len(found)} members listed")


def _check_instructions(bundle: Bundle, judgement: Judgement) -> None:
    """Step 3."""
    kind = CADES if bundle.carries_seal_beside else PADES
    for name in (layout.LISEZMOI, layout.README):
        if hashlib.sha256(bundle.small[name]).hexdigest() in known_digests(name, kind):
            judgement.passed(name, "as published")
        else:
            judgement.refuse(name, "INSTRUCTIONS_MISMATCH", "not a text that we published")


def _check_original(document: DocumentDigest, given: bytes | None, judgement: Judgement) -> None:
    if given is None:
        message = "its SHA-256 is not given"
        judgement.refuse("original", "SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
        return
    message = "the file given is not the document of this bundle"
    judgement.equal("original", document.sha256, given.hex(), "HASH_FAILURE", message)


def _check_document(
    bundle: Bundle, index: Index, line: Line, document: DocumentDigest, judgement: Judgement
) -> None:
    """Step 5: the opening is about this document.

    What was received is the document itself, or, for a PDF sealed later, the octets before the seal.
    """
    said = line.document
    name = f"entry[{line.seq}].document"
    if line.event is Event.RECEIVED and not bundle.carries_seal_beside:
        size = said.get("size")
        digest = document.prefixes.get(size) if isinstance(size, int) else None
        judgement.equal(name, said.get("sha256"), digest, "DOCUMENT_MISMATCH", "another file was received")
        return
    fields = {"sha256": document.sha256, "size": document.size, "media_type": index.media_type}
    expected = {key: said.get(key, value) for key, value in fields.items()}
    judgement.equal(name, _text(expected), _text(fields), "DOCUMENT_MISMATCH", "it is about another document")
    context = line.opening.context
    if context is not None and line.status is not None and context.get("file_name") not in {"", None}:
        judgement.equal(
            f"entry[{line.seq}].file_name",
            context["file_name"],
            bundle.document_name,
            "DOCUMENT_MISMATCH",
            "the document has another name",
        )


def _text(fields: Mapping[str, object]) -> str:
    return " ".join(f"{key} {value}" for key, value in fields.items())


def _described(item: Listed) -> str:
    return f"{item.role}, sha256 {item.sha256}, {item.size} octets"
