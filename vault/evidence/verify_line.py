"""Verification of the proof of one journal line; nothing inside it is trusted for its own sake.

1. The file is in its one form (`line`).
2. The entry is in its one form and is a record (`line.entry`).
3. The opening is in its one form, shows all parts, and has the members that the registry asks of an event of the
   chain that the proof names (`line.opening`).
4. The opening opens the commitment of the entry (`line.commitment`).
5. The entry carries the tag of the key and counter that the proof names (`line.tag`; unchecked without the key).
6. The receipt is for the entry's own number, of the log that the proof names, and its path leads from the entry to
   the root of its checkpoint (`line.receipt`).
7. The verifier's policy accepts the checkpoint (`line.checkpoint`), and so says how many witnesses cosigned it.
8. The anchor, where there is one, is over that checkpoint, and its token dates it (`anchor`…; else pending).
9. A published ledger, where one is given, extends the checkpoint (`line.published`).
"""

from __future__ import annotations

from dataclasses import replace

from vault.evidence.errors import EvidenceRefused
from vault.evidence.findings import Dated, LineFinding, LineMember
from vault.evidence.journal_line import LineProof
from vault.evidence.ledger_source import newest_of
from vault.evidence.means import Means
from vault.evidence.report import Judgement, LedgerFinding, Outcome, Verdict, plain
from vault.evidence.verify_anchor import Anchored, accept_token, anchor_outcome, check_anchor_time
from vault.evidence.verify_ledger import accept_checkpoint, included, rests_on, signed_checkpoint
from vault.ledger.anchor import Anchor, verify_log_signatures
from vault.ledger.checkpoint import Checkpoint, CheckpointReport
from vault.ledger.entry import RecordEntry, decode
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.events import check_matter_opening, check_opening
from vault.ledger.opening import Opening, RevealedOpening
from vault.ledger.receipt import Receipt
from vault.ledger.tags import tag

_KEY_KEPT = (
    "the key of the tags is not in the file: whether the entry is this document's own is not shown by a tag"
)
_REFUSED = frozenset({"document.read-refused", "share.refused"})


def judge_line(data: bytes, means: Means, judgement: Judgement) -> Verdict:
    """Judge the proof of a line.

    Args:
        data: octets of the file.
        means: policy, trust of timestamp authorities, and a ledger to ask.
        judgement: told of each check.

    Returns:
        The verdict; always one, whatever the file holds.
    """
    # 1
    proof = judgement.attempt("line", LineProof.parse, data)
    if proof is None:
        return _verdict(judgement)
    judgement.passed("line", f"{len(data)} octets")
    # 2
    entry = judgement.attempt("line.entry", _record, proof)
    # 3
    opening = judgement.attempt("line.opening", _opening, proof)
    if entry is None or opening is None:
        return _verdict(judgement)
    judgement.passed("line.entry", f"entry {entry.seq}, {entry.time}")
    judgement.passed("line.opening", str(opening.document["event"]))
    # 4
    judgement.equal(
        "line.commitment",
        entry.commitment,
        opening.commitment(),
        "OPENING_MISMATCH",
        "it does not open the commitment of the entry",
    )
    # 5
    _check_tag(proof, entry, judgement)
    # 6
    receipt = judgement.attempt("line.receipt", included, proof.receipt, entry.seq, proof.entry, proof.origin)
    newest = signed = None
    if receipt is not None:
        judgement.passed("line.receipt", f"entry {entry.seq} under its checkpoint")
        # 7
        newest = judgement.attempt("line.checkpoint", accept_checkpoint, receipt.note, means.policy)
        if newest is not None:
            judgement.passed("line.checkpoint", f"size {newest.size}, {' '.join(newest.algorithms)}")
        signed = newest or signed_checkpoint(receipt.note, means.policy)
    # 8
    anchored = _judge_anchor(proof, entry, receipt, means, judgement)
    # 9
    _check_published(signed, means, judgement)
    return _verdict(judgement, _ledger(proof, entry, newest, anchored, judgement), _said(opening))


def _record(proof: LineProof) -> RecordEntry:
    entry = decode(proof.entry)
    if not isinstance(entry, RecordEntry):
        raise EvidenceRefused("ENTRY_INVALID", "it is not about a document or matter")
    return entry


def _opening(proof: LineProof) -> Opening:
    revealed = RevealedOpening.parse(proof.opening)
    event = str((revealed.document or {}).get("event", ""))
    if proof.chain == "matter":
        check_matter_opening(revealed)
    elif check_opening(revealed).chain.value != proof.chain:
        raise EvidenceRefused("OPENING_INVALID", f"{event} is no event of the chain {proof.chain}")
    return revealed.opened()


def _check_tag(proof: LineProof, entry: RecordEntry, judgement: Judgement) -> None:
    if proof.key is None:
        judgement.note("line.tag", Outcome.UNCHECKED, _KEY_KEPT)
        return
    message = (
        "the key and counter make another tag: the entry is not of this chain, or not in this place of it"
    )
    judgement.equal("line.tag", tag(proof.key, proof.counter), entry.tag, "TAG_MISMATCH", message)


def _judge_anchor(
    proof: LineProof, entry: RecordEntry, receipt: Receipt | None, means: Means, judgement: Judgement
) -> Anchored | None:
    if proof.dated is None:
        judgement.note("anchor", Outcome.PENDING, "no outside date of the ledger yet")
        return None
    dated = proof.dated
    anchor = judgement.attempt("anchor", Anchor.parse, dated.anchor)
    if anchor is None:
        return None
    judgement.passed("anchor", f"{anchor.checkpoint.origin}, size {anchor.checkpoint.size}")
    if receipt is None:
        judgement.note("anchor.checkpoint", Outcome.UNCHECKED, "the receipt was refused")
    elif checkpoint := judgement.attempt("anchor.checkpoint", _same_checkpoint, anchor, receipt, means):
        judgement.passed("anchor.checkpoint", f"size {checkpoint.size}, as in the receipt")
    anchored = judgement.attempt("anchor.token", accept_token, dated.token, dated.crls, anchor, means)
    if anchored is None:
        return None
    if tuple(sorted(set(dated.crls))) != dated.crls or set(dated.crls) - anchored.material(dated.crls).crls:
        judgement.refuse(
            "anchor.crls", "MATERIAL_MISMATCH", "a revocation list serves nothing, or stands twice"
        )
    check_anchor_time(anchored, [entry.time], None, judgement)
    return anchored


def _same_checkpoint(anchor: Anchor, receipt: Receipt, means: Means) -> CheckpointReport:
    if Checkpoint.parse(receipt.note).note.text != anchor.checkpoint.note.text:
        raise EvidenceRefused("ANCHOR_MISMATCH", "the receipt is for another checkpoint")
    if means.policy is None:
        raise LedgerProofRefused("LOG_UNKNOWN", "no key of the ledger was given", indeterminate=True)
    return verify_log_signatures(anchor, means.policy)


def _check_published(signed: CheckpointReport | None, means: Means, judgement: Judgement) -> None:
    if means.ledger is None or means.policy is None or signed is None:
        judgement.note("line.published", Outcome.UNCHECKED, "no published ledger was asked")
        return
    mark = len(judgement.checks)
    newer = judgement.attempt("line.published", newest_of, means.ledger, means.policy, signed)
    if newer is not None:
        judgement.passed("line.published", f"size {newer.size} extends the checkpoint of the receipt")
    elif len(judgement.checks) == mark:
        judgement.note("line.published", Outcome.UNCHECKED, "the ledger given is older than the proof")


def _ledger(
    proof: LineProof,
    entry: RecordEntry,
    newest: CheckpointReport | None,
    anchored: Anchored | None,
    judgement: Judgement,
) -> LedgerFinding:
    anchor = anchor_outcome(judgement)
    finding = LedgerFinding(
        verdict=judgement.worst,
        origin=proof.origin,
        size=newest.size if newest is not None else None,
        entries=(entry.seq,),
        recorded_at=entry.time,
        witnesses=newest.witnesses if newest is not None else (),
        rests_on=rests_on(newest),
        anchor="pending" if anchor is Outcome.PENDING else anchor.value,
    )
    if anchored is None or not judgement.worst is anchor is Outcome.PASSED:
        return finding
    return replace(finding, dated=Dated(None, anchored.time, anchored.authority, anchored.own))


def _said(opening: Opening) -> LineFinding:
    document, parties, context = opening.document, opening.parties, opening.context
    event = str(document["event"])
    texts = {
        "subject": document.get("document_id") if "matter_id" not in document else document["matter_id"],
        "document": document.get("document_id"),
        "action": document.get("action"),
        **{
            name: parties.get(name)
            for name in ("holder", "actor", "mandate", "role", "organisation", "service")
        },
        **{
            name: context.get(name)
            for name in ("purpose", "words", "case", "consent", "share", "requisition")
        },
    }
    return LineFinding(
        event=event,
        granted=event not in _REFUSED,
        said=tuple(
            LineMember(name, plain(str(value))) for name, value in texts.items() if value not in {None, ""}
        ),
    )


def _verdict(
    judgement: Judgement, ledger: LedgerFinding | None = None, line: LineFinding | None = None
) -> Verdict:
    return Verdict(
        judgement.worst,
        tuple(judgement.reasons),
        ledger=ledger,
        checks=tuple(judgement.checks),
        line=line,
    )
