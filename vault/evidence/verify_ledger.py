"""The ledger's side of a bundle: entries, openings, tags, receipts, events, status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vault.clock import parse_rfc3339, rfc3339
from vault.domain.states import STATUS, Status
from vault.evidence import layout
from vault.evidence.bundle import Bundle
from vault.evidence.errors import EvidenceRefused
from vault.evidence.findings import Dated
from vault.evidence.layout import Index
from vault.evidence.ledger_source import look_up
from vault.evidence.means import TIME_TOLERANCE, Means
from vault.evidence.report import Judgement, LedgerFinding, Outcome, StatusFinding
from vault.ledger.checkpoint import Checkpoint, CheckpointReport, verify_checkpoint
from vault.ledger.entry import RecordEntry, decode, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.events import Chain, Event, check_opening
from vault.ledger.opening import RevealedOpening
from vault.ledger.policy import NO_QUORUM, Policy
from vault.ledger.receipt import Receipt, parse_receipt
from vault.ledger.tags import tag
from vault.ledger.tree import verify_inclusion

_SEALING = frozenset({Event.ISSUED, Event.DEPOSITED})
_ALONE = "rests on the operator's key alone: no witness cosigned"


@dataclass(frozen=True, slots=True)
class Line:
    """A status entry of a bundle whose own parts hold together.

    Attributes:
        seq: its number.
        data: octets of the entry.
        entry: the entry.
        opening: what it commits to, verified.
        event: what happened.
        status: the status it brings, or None.
    """

    seq: int
    data: bytes
    entry: RecordEntry
    opening: RevealedOpening
    event: Event
    status: Status | None

    @property
    def document(self) -> dict[str, object]:
        """The document part of the opening."""
        return dict(self.opening.document or {})


def read_lines(bundle: Bundle, judgement: Judgement) -> list[Line]:
    """Read the status entries, each with its opening.

    1. The entry is in its one form, a record, and bears the number of its file (`entry[n]`). 2. The opening
    is in its one form and shows the document part (`entry[n].opening`). 3. It opens the entry's commitment.
    4. Its members are those that the registry asks of a status event.
    """
    lines = [_read_line(bundle, seq, judgement) for seq in layout.sequence_numbers(bundle.names)]
    return [line for line in lines if line is not None]


def _read_line(bundle: Bundle, seq: int, judgement: Judgement) -> Line | None:
    data = bundle.small[layout.entry_member(seq, "json")]
    shown = bundle.small[layout.entry_member(seq, "opening.json")]

    def entry() -> RecordEntry:
        found = decode(data)
        if not isinstance(found, RecordEntry):
            raise EvidenceRefused("ENTRY_INVALID", "it is not about a document")
        if found.seq != seq:
            raise EvidenceRefused("INDEX_MISMATCH", f"it is entry {found.seq}")
        return found

    def opening() -> tuple[RevealedOpening, Event, Status | None]:
        found = RevealedOpening.parse(shown)
        spec = check_opening(found)
        if spec.chain is not Chain.STATUS:
            raise EvidenceRefused("OPENING_INVALID", "it is no status event")
        return found, spec.event, spec.status

    # 1
    read = judgement.attempt(f"entry[{seq}]", entry)
    # 2, 4
    opened = judgement.attempt(f"entry[{seq}].opening", opening)
    if read is None or opened is None:
        return None
    judgement.passed(f"entry[{seq}]", f"{opened[1].value}, {read.time}")
    # 3
    if not judgement.equal(
        f"entry[{seq}].opening",
        read.commitment,
        opened[0].commitment(),
        "OPENING_MISMATCH",
        "it does not open the commitment of the entry",
    ):
        return None
    return Line(seq, data, read, *opened)


def check_tags(lines: list[Line], status_key: bytes, judgement: Judgement) -> None:
    """Check that the entries are the document's, all from the first, none left out (`entry[n].tag`)."""
    for counter, line in enumerate(lines):
        judgement.equal(
            f"entry[{line.seq}].tag",
            tag(status_key, counter),
            line.entry.tag,
            "TAG_MISMATCH",
            f"it is not status entry {counter} of this document",
        )


def check_events(lines: list[Line], judgement: Judgement, *, complete: bool) -> Line | None:
    """Check that the events can have happened in this order (`events`); returns the one that sealed.

    Where an entry was refused already (`complete` false), the course of events is not judged.

    1. At most one reception, first; then exactly one issue or deposit. 2. Each later event is a legal
    transition of the status. 3. Times do not go back.
    """
    sealing = next((line for line in lines if line.event in _SEALING), None)
    if not complete:
        judgement.note("events", Outcome.UNCHECKED, "an entry was refused")
        return sealing
    # 1
    names = [line.event for line in lines]
    start = 1 if names[:1] == [Event.RECEIVED] else 0
    legal = len(names) > start and names[start] in _SEALING
    # 2
    status = Status.VALID
    for line in lines[start + 1 :]:
        legal = legal and line.status is not None and line.status in STATUS[status]
        status = line.status or status
    # 3
    times = [line.entry.time for line in lines]
    shown = " ".join(name.value for name in names)
    if not legal:
        judgement.refuse("events", "EVENT_SEQUENCE", "not a possible course of events", found=shown)
    elif times != sorted(times):
        judgement.refuse("events", "TIME_ORDER", "the time goes back", found=" ".join(times))
    else:
        judgement.passed("events", shown)
    return sealing


def check_time(line: Line, sealed_at: datetime, judgement: Judgement) -> None:
    """Check that the seal's timestamp is not younger than the entry that records it (`entry[n].time`)."""
    name = f"entry[{line.seq}].time"
    recorded = parse_rfc3339(line.entry.time)
    if sealed_at <= recorded + TIME_TOLERANCE:
        judgement.passed(name, f"timestamp {rfc3339(sealed_at)} before entry {line.entry.time}")
    else:
        judgement.refuse(
            name,
            "TIME_ORDER",
            "the timestamp is younger than the entry",
            f"at most {line.entry.time}",
            rfc3339(sealed_at),
        )


def check_receipts(
    bundle: Bundle, lines: list[Line], index: Index, means: Means, judgement: Judgement
) -> tuple[CheckpointReport | None, CheckpointReport | None]:
    """Check the receipt of each entry.

    1. Its form, and that it is for the entry's own number (`entry[n].receipt`). 2. The checkpoint is of the
    log that evidence.json names. 3. The path leads from the entry to the checkpoint's root. 4. The policy
    accepts the checkpoint (`entry[n].checkpoint`); keys inside the bundle are never trusted.

    Returns:
        The newest checkpoint that the policy accepts, or None; and the newest that the log's keys signed, cosigned
        by enough witnesses or not: it proves nothing by itself, but a ledger that is accepted must extend it.
    """
    accepted: dict[bytes, CheckpointReport | None] = {}
    for line in lines:
        name = f"entry[{line.seq}].receipt"
        # 1, 2, 3
        proof = bundle.small[layout.entry_member(line.seq, "tlog-proof")]
        receipt = judgement.attempt(name, included, proof, line.seq, line.data, index.origin)
        if receipt is None:
            continue
        judgement.passed(name, f"entry {line.seq} under its checkpoint")
        # 4
        if receipt.note not in accepted:
            checkpoint = judgement.attempt(
                f"entry[{line.seq}].checkpoint",
                accept_checkpoint,
                receipt.note,
                means.policy,
            )
            accepted[receipt.note] = checkpoint
            if checkpoint is not None:
                judgement.passed(
                    f"entry[{line.seq}].checkpoint",
                    f"size {checkpoint.size}, {' '.join(checkpoint.algorithms)}",
                )
    signed = [
        signed_checkpoint(note, means.policy) if report is None else report
        for note, report in accepted.items()
    ]
    return _newest(accepted.values()), _newest(signed)


def _newest(reports: Iterable[CheckpointReport | None]) -> CheckpointReport | None:
    return max((report for report in reports if report), key=lambda report: report.size, default=None)


def signed_checkpoint(note: bytes, policy: Policy | None) -> CheckpointReport | None:
    """Read a checkpoint that the log's keys signed, whoever cosigned it; None for any other."""
    try:
        return verify_checkpoint(note, replace(policy, quorum=NO_QUORUM)) if policy else None
    except LedgerProofRefused:
        return None


def included(proof: bytes, seq: int, entry: bytes, origin: str) -> Receipt:
    """Verify that a receipt puts an entry into the ledger.

    1. It is for the entry's own number. 2. It is of that log. 3. Its path leads from the entry to the root of its
    checkpoint, which nobody has accepted yet.

    Args:
        proof: octets of the receipt.
        seq: number of the entry.
        entry: its octets.
        origin: name of the log.

    Raises:
        EvidenceRefused: FORMAT_FAILURE, INDEX_MISMATCH (1), LOG_MISMATCH (2), ENTRY_NOT_IN_LEDGER (3).
    """
    # 1
    receipt = parse_receipt(proof)
    if receipt.extra is not None:
        raise EvidenceRefused("FORMAT_FAILURE", "a receipt that is evidence has no extra line")
    if receipt.index != seq:
        raise EvidenceRefused("INDEX_MISMATCH", f"it is for index {receipt.index}")
    # 2
    checkpoint = Checkpoint.parse(receipt.note)
    if checkpoint.origin != origin:
        raise EvidenceRefused("LOG_MISMATCH", f"it is of {checkpoint.origin}")
    # 3
    try:
        verify_inclusion(leaf_hash(entry), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    except LedgerProofRefused as error:
        raise EvidenceRefused("ENTRY_NOT_IN_LEDGER", "the path does not lead to the root") from error
    return receipt


def accept_checkpoint(note: bytes, policy: Policy | None) -> CheckpointReport:
    """Verify a checkpoint by a policy. Raises LedgerProofRefused (LOG_UNKNOWN without a policy)."""
    if policy is None:
        raise LedgerProofRefused("LOG_UNKNOWN", "no key of the ledger was given", indeterminate=True)
    return verify_checkpoint(note, policy)


def rests_on(newest: CheckpointReport | None) -> str:
    """Say in plain English what the word of an accepted checkpoint rests on."""
    if newest is None:
        return "nothing: no checkpoint was accepted"
    return f"cosigned by {len(newest.witnesses)} witnesses" if newest.witnesses else _ALONE


def ledger_finding(
    lines: list[Line],
    index: Index,
    newest: CheckpointReport | None,
    outcome: Outcome,
    anchor: Outcome,
    dated: Dated | None,
) -> LedgerFinding:
    """Say what the ledger proves, and between which dates it did so where an anchor says it."""
    witnesses = newest.witnesses if newest is not None else ()
    return LedgerFinding(
        verdict=outcome,
        origin=index.origin,
        size=newest.size if newest is not None else None,
        entries=tuple(line.seq for line in lines),
        recorded_at=lines[0].entry.time if lines else None,
        witnesses=witnesses,
        rests_on=rests_on(newest),
        anchor="pending" if anchor is Outcome.PENDING else anchor.value,
        dated=dated if anchor is outcome is Outcome.PASSED else None,
    )


def status_finding(
    lines: list[Line],
    index: Index,
    newest: CheckpointReport | None,
    signed: CheckpointReport | None,
    means: Means,
    judgement: Judgement,
) -> StatusFinding:
    """Say whether the document is in force, from the bundle or, newer, from a published ledger (`status`).

    The bundle alone cannot show that an entry was left off its end: hence "as of". A ledger that the policy accepts
    is believed about later entries even where the bundle is from before its witnesses cosigned.

    Args:
        lines: status entries of the bundle, in order.
        index: of the bundle.
        newest: newest checkpoint of the bundle that the policy accepts.
        signed: newest that the log's keys signed.
        means: policy, and the ledger to ask.
        judgement: gains `status`.
    """
    last = lines[-1] if lines else None
    if last is None:
        return StatusFinding("unknown", None, None, "none")
    value = last.status.value if last.status is not None else "received"
    from_bundle = StatusFinding(
        value, newest.size if newest is not None else None, _stated(newest) or last.entry.time, "bundle"
    )
    if means.ledger is None:
        judgement.note("status", Outcome.UNCHECKED, "as of the bundle: no ledger was asked")
        return from_bundle
    source, policy = means.ledger, means.policy
    if policy is None or signed is None:
        if policy is None:
            judgement.refuse("status", "LOG_UNKNOWN", "the ledger cannot be asked without its keys")
        else:  # why, the checks of its checkpoints say
            judgement.note(
                "status", Outcome.UNCHECKED, "no checkpoint of the bundle to compare the ledger with"
            )
        return from_bundle
    key = bytes.fromhex(index.status_key)
    mark = len(judgement.checks)
    news = judgement.attempt("status", look_up, source, policy, signed, key, len(lines), last.seq)
    if news is None:
        if len(judgement.checks) == mark:
            judgement.note("status", Outcome.UNCHECKED, "the ledger given is older than the bundle")
        return from_bundle
    size, time = news.checkpoint.size, _stated(news.checkpoint)
    if news.later:
        judgement.passed("status", f"changed by entry {', '.join(map(str, news.later))}, size {size}")
        return StatusFinding("changed", size, time, "ledger")
    judgement.passed("status", f"no later entry, size {size}")
    return StatusFinding(value, size, time, "ledger")


def _stated(checkpoint: CheckpointReport | None) -> str | None:
    if checkpoint is None or checkpoint.log_time is None:
        return None
    try:
        return rfc3339(datetime.fromtimestamp(checkpoint.log_time, UTC))
    except (ValueError, OverflowError, OSError):
        return None
