"""Audits of a ledger from its published files alone: everything, or what is new since a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vault.errors import VaultError
from vault.ledger.audit_state import Position, StateFile
from vault.ledger.checkpoint import CheckpointReport
from vault.ledger.files import LogReader, PublishedFiles, first_difference
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.ledger.generations import check_previous
from vault.ledger.handover import Followed, follow_log
from vault.ledger.joining import Head, Joiner, Run
from vault.ledger.policy import Policy
from vault.ledger.succession import check_signers, read_succession_of
from vault.ledger.tree import TILE_WIDTH, consistency_proof, verify_consistency


@dataclass(frozen=True, slots=True)
class Known:
    """A state of the log that is trusted already.

    Attributes:
        checkpoint: accepted by the policy.
        copy: the files that were published then, where they were kept: a fork's first entry is found with them.
    """

    checkpoint: CheckpointReport
    copy: LogReader | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How an audit is done; what it finds does not depend on it.

    Attributes:
        processes: processes among which the entries are divided, where there are enough of them.
        state: remembers where the audit has come to; one that was cut short goes on from there.
        raw: look at the tree alone: entries to leaf hashes, every tile, the root. Form, chain and order of the
            entries are left out, so that the cost of both can be told apart; it is no audit.
    """

    processes: int = 1
    state: StateFile | None = None
    raw: bool = False


_ALONE = Work()


def audit_published(
    files: PublishedFiles,
    policy: Policy,
    *,
    since: Known | None = None,
    progress: Progress = quiet,
    work: Work = _ALONE,
) -> AuditReport:
    """Audit a ledger from its published files alone.

    Steps:
        1. The log's keys in the policy, or those that they handed over to, signed the checkpoint.
        2. It extends the checkpoint that was trusted before, if any.
        3. Every bundle that its size demands is there; its entries are in canonical form and form the chain, in
           order of number and time.
        4. Every tile is the one that the entries make.
        5. The root of the entries is the checkpoint's.
        6. The log's own entry 0 names the checkpoint's origin.
        7. The keys that signed are those that its entries name at this size.
        8. The witnesses that the policy asks for cosigned it. This comes last: a log that signs two histories is
           found in 2, whoever of its witnesses is away.

    Args:
        files: where they lie; each process has its own, so where there are several it must be possible to pickle
            it: what cannot be is read by this process alone.
        policy: keys and witnesses that are trusted.
        since: entries before it are not read again; where the log does not extend it, all are, to tell a
            damaged copy from a log that signed two histories.
        progress: called with entries done and entries in all.
        work: how it is done.

    Returns:
        What was found; it never raises for what the files hold.

    Raises:
        LedgerError: AUDIT_STATE_INVALID when the state is damaged, or of another audit.
    """
    report, reader = AuditReport(), LogReader(files)
    # 1
    followed = accepted_checkpoint(reader, policy, report)
    if followed is not None:
        # 2 to 7
        _audit(reader, followed, report, since, progress, work)
        # 8
        report_witnesses(report, followed)
    return report


def _audit(
    reader: LogReader,
    followed: Followed,
    report: AuditReport,
    since: Known | None,
    progress: Progress,
    work: Work,
) -> None:
    """Audit what lies under a checkpoint that the log signed."""
    checkpoint = followed.checkpoint
    # 2
    known = since.checkpoint if since else None
    if known is not None and known.origin != checkpoint.origin:
        report.add("LOG_MISMATCH", "checkpoint", known.origin, checkpoint.origin, check="consistency")
        return
    name = f"{known.size} {known.root.hex()}" if known else ""
    resumed = _resumed(work.state, checkpoint.origin, name)
    before = [Head(known.size, known.root)] if known else []
    seen = [Head(resumed.seen_size, resumed.seen_root)] if resumed else []
    longest = max(head.size for head in [Head(0, b""), *before, *seen])
    if checkpoint.size < longest:
        expected, found = f"at least {longest} entries", f"{checkpoint.size} entries"
        report.add("LEDGER_TRUNCATED", "checkpoint", expected, found, check="consistency")
        return
    forked = next((head for head in [*before, *seen] if not _extends(reader, head, checkpoint)), None)
    start = (known.size - 1) // TILE_WIDTH * TILE_WIDTH if known and known.size and not forked else 0
    if forked or (resumed and resumed.start != start):
        resumed = None
    # What an earlier run saw is evidence of a fork: it stays.
    state = None if forked else work.state
    keep = state.write if state and not work.raw else None
    run = Run(start, forked, work.processes, work.raw, name, resumed, keep)
    joiner = Joiner(reader, checkpoint, report, progress)
    ended = joiner.run(run)
    # 7
    if report.size == checkpoint.size and not work.raw:
        check_keys_used(report, followed, joiner.stated, joiner.last_time)
    if state and ended:
        state.remove()
    if since is not None and any(item.code == "LEDGER_FORKED" for item in report.problems):
        _locate(since, reader, report)


def _resumed(state: StateFile | None, origin: str, since: str) -> Position | None:
    """Return where an earlier run of the same audit had come to. Raises LedgerError(AUDIT_STATE_INVALID)."""
    position = state.read() if state else None
    if state and position and position.origin != origin:
        raise state.refusal(f"it is of an audit of {position.origin}")
    if state and position and position.since != since:
        raise state.refusal("it is of an audit that trusted another checkpoint from the start")
    return position


def accepted_checkpoint(reader: LogReader, policy: Policy, report: AuditReport) -> Followed | None:
    """Return the checkpoint that the policy's log keys, or those they handed over to, signed; else list why not.

    What witnesses lack is for `report_witnesses`, once the log has been looked at.
    """
    try:
        followed = follow_log(reader, reader.checkpoint(), policy)
    except VaultError as error:
        report.add_error(error, "checkpoint", expected="accepted by the policy", check="signatures")
        return None
    report.origin, report.witnesses = followed.checkpoint.origin, followed.checkpoint.witnesses
    report.checkpoints = 1
    return followed


def report_witnesses(report: AuditReport, followed: Followed) -> None:
    """List what the policy asks of witnesses and the checkpoint lacks."""
    if followed.refused is not None:
        report.add_error(
            followed.refused, "checkpoint", expected="accepted by the policy", check="signatures"
        )


def audit_previous(files: PublishedFiles, policy: Policy, known: CheckpointReport) -> AuditReport:
    """Audit that a generation of a log goes on from what is known of the one before.

    Args:
        files: where the later one lies.
        policy: keys that are trusted.
        known: the last checkpoint known of the one before, accepted.
    """
    report, reader = AuditReport(), LogReader(files)
    followed = accepted_checkpoint(reader, policy, report)
    if followed is None:
        return report
    report.size, report.root, report.checked = followed.checkpoint.size, followed.checkpoint.root, 1
    try:
        check_previous(reader, followed.checkpoint, known)
    except VaultError as error:
        report.add_error(error, "entry 0", check="previous", entry=0)
    report_witnesses(report, followed)
    return report


def check_keys_used(report: AuditReport, followed: Followed, stated: Sequence[bytes], last_time: str) -> None:
    """List a checkpoint that other keys signed than its entries name; nothing is known of a log that names none.

    Args:
        report: takes what is wrong, and where keys were changed.
        followed: the checkpoint.
        stated: entries of the log itself.
        last_time: time of the last entry.
    """
    try:
        succession = read_succession_of(stated)
        report.keys_changed = tuple(change.seq for change in succession.changes())
        if succession.statements:
            check_signers(followed.note, succession, last_time, followed.policy)
    except VaultError as error:
        report.add_error(error, "keys of the log", check="keys", entry=_number(error.params.get("seq")))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _extends(reader: LogReader, known: Head, newest: CheckpointReport) -> bool:
    try:
        proof = consistency_proof(reader, known.size, newest.size)
        verify_consistency(known.size, newest.size, proof, known.root, newest.root)
    except VaultError:
        return False
    return True


def _locate(since: Known, reader: LogReader, report: AuditReport) -> None:
    """Name the first entry that is another one than in the copy kept from before."""
    if since.copy is None:
        return
    try:
        found = first_difference(since.copy, since.checkpoint.size, reader, report.size)
    except VaultError as error:
        report.add_error(error, "the copy kept from before", check="consistency")
        return
    if found is not None:
        where = f"entry {found.seq}"
        report.add("ENTRY_REWRITTEN", where, found.known, found.found, check="consistency", entry=found.seq)
