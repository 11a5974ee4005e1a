"""Moves a safe to other stores and another database, its ledger going on where it ended.

Steps:
    1. Nobody is in the safe, and nobody comes: its lock is held, and a note is left (`vault.maintenance.moved`).
    2. What would hinder is found before anything is written: another schema, another origin, keys that differ, a new
       place that is in use.
    3. The new place is claimed by the published checkpoint: a service that starts there now finds its database behind
       what is published, and refuses.
    4. Objects, published files and recovery records are copied.
    5. Every object that the database names is there with its octets and its lock; a second copy finds nothing to do.
    6. All rows are copied in one transaction. They are compared with ours before it commits: with that commit the
       safe lives in the new place.
    7. The new place is audited, and the note says that the move is done.

A move that is cut short anywhere is begun anew with the same command: what is there already is found there. Until
step 6 it can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection

from storage.errors import ObjectMissing
from vault.backends.moving import End, place_of
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db.copying import Content, contents, copy_tables, count_rows, is_empty
from vault.db.engine import Database
from vault.errors import Conflict
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.findings import AuditReport, Progress
from vault.ledger.generations import prefix_of
from vault.ledger.stored import Head, StoredTiles, find_head, read_head
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.maintenance.moved import Note, Stage, read_note, remove_note, write_note
from vault.maintenance.moving_keys import bring_keys
from vault.maintenance.moving_stores import copy_log, copy_objects, copy_records, put_log_file
from vault.maintenance.scrubbing import Pace, scrub

Shown = Callable[[str], AbstractContextManager[Progress]]
Judge = Callable[[], Mapping[str, AuditReport]]


@dataclass(slots=True)
class MoveReport:
    """What was done.

    Attributes:
        to: the new place in words.
        origin: of the ledger.
        size: its entries when it moved.
        already: the move was finished before.
        objects, files, records, keys: how many were copied by this run; of keys, their names.
        rows: how many the database has that was moved.
        audits: of the new place, by name; empty when `already`.
    """

    to: str
    origin: str = ""
    size: int = 0
    already: bool = False
    objects: int = 0
    files: int = 0
    records: int = 0
    keys: list[str] = field(default_factory=list)
    rows: int = 0
    audits: Mapping[str, AuditReport] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """PASSED, INDETERMINATE: something of the new place could not be decided."""
        verdicts = {report.verdict for report in self.audits.values()}
        return "INDETERMINATE" if "INDETERMINATE" in verdicts else "PASSED"


class Move:
    """One move; the caller holds the safe's lock (`vault.maintenance.moved.alone_in`)."""

    def __init__(self, source: End, target: End, clock: Clock, *, with_keys: bool, shown: Shown) -> None:
        """Prepare; nothing is written.

        Args:
            source: the safe.
            target: the new place.
            clock: the machine's.
            with_keys: whether key files are copied too.
            shown: shows progress by the name of a step.
        """
        self._source = source
        self._target = target
        self._clock = clock
        self._with_keys = with_keys
        self._shown = shown

    def run(self, judge: Judge) -> MoveReport:
        """Do what is left to do.

        Args:
            judge: audits the new place.

        Raises:
            Conflict: MOVE_…; what stands in the note, and what was copied, stays.
            SettingsRefused, LedgerError, StorageError, Unavailable: of either end.
        """
        report = MoveReport(place_of(self._target.settings))
        note = read_note(self._source.settings.data)
        if note is not None and note.to != report.to:
            raise Conflict("MOVE_ELSEWHERE", to=note.to)
        with self._source.database.reading(patient=True) as connection:
            head = read_head(connection)
            report.origin, report.size = head.origin, head.size
        if note is not None and note.stage is Stage.DONE:
            report.already = True
            return report
        # 2
        self._compare(head)
        with self._source.database.reading(patient=True) as connection:
            report.rows = count_rows(connection)
        lives_there = note is not None and note.stage is Stage.COMMITTING and self._lives_there(head)
        if not lives_there:
            self._copy(head, note, report)
        # 7
        report.audits = judge()
        failed = [name for name, each in report.audits.items() if each.verdict == "FAILED"]
        if failed:
            problem = report.audits[failed[0]].problems[0]
            raise Conflict("MOVE_UNVERIFIED", f"{failed[0]}: {problem.code} {problem.where}")
        self._write_note(Stage.DONE, head)
        return report

    def _compare(self, head: Head) -> None:
        if head.origin != self._target.settings.origin:
            raise Conflict("MOVE_ORIGIN", origin=head.origin, found=self._target.settings.origin)
        ours = self._source.database.revision()
        self._target.database.migrate()
        theirs = self._target.database.revision()
        if ours != theirs:
            raise Conflict("MOVE_VERSIONS", f"{ours}, here {theirs}")

    def _lives_there(self, head: Head) -> bool:
        """Tell whether the rows are in the new place, from which on its ledger may have grown."""
        with self._target.database.reading(patient=True) as connection:
            found = find_head(connection)
            if found is None:
                return False
            if found.origin != head.origin or found.size < head.size:
                raise Conflict("MOVE_TARGET_TAKEN", "its database holds another ledger")
            root = tree.root(StoredTiles(connection, {}), head.size)
        with self._source.database.reading(patient=True) as connection:
            if root != tree.root(StoredTiles(connection, {}), head.size):
                raise Conflict("MOVE_TARGET_TAKEN", "its database holds another history of this ledger")
        return True

    def _copy(self, head: Head, note: Note | None, report: MoveReport) -> None:
        source, target = self._source.stores, self._target.stores
        checkpoint = prefix_of(head.origin) + CHECKPOINT_PATH
        self._demand_free(checkpoint, head)
        report.keys = bring_keys(self._source.settings, self._target.settings, copy=self._with_keys)
        # 1
        if note is None:
            self._write_note(Stage.BEGUN, head)
        faults.point("move.begun")
        # 3
        put_log_file(source.root_log, target.root_log, checkpoint)
        faults.point("move.claimed")
        # 4
        now = self._clock.now()
        with self._counted("objects", sum(1 for _ in source.objects.addresses())) as passed:
            report.objects = copy_objects(source.objects, target.objects, now, passed)
        with self._counted("ledger", sum(1 for _ in source.root_log.list())) as passed:
            report.files = copy_log(source.root_log, target.root_log, passed)
        with self._counted("records", sum(1 for _ in source.records.names())) as passed:
            report.records = copy_records(source.records, target.records, passed)
        faults.point("move.copied")
        # 5
        self._verify_stores()
        # 6
        self._write_note(Stage.COMMITTING, head)
        with self._counted("rows", 2 * report.rows) as passed:
            self._copy_rows(passed)
        faults.point("move.committed")

    def _demand_free(self, checkpoint: str, head: Head) -> None:
        """Refuse a place in which something lies that no move of this safe put there."""
        target = self._target.stores
        with self._target.database.reading(patient=True) as connection:
            if not is_empty(connection):
                raise Conflict("MOVE_TARGET_TAKEN", "its database is not empty")
        try:
            self._source.stores.root_log.get(checkpoint)
        except ObjectMissing as error:
            raise Conflict(
                "MOVE_UNSUPPORTED", "nothing is published yet: start and stop the service once"
            ) from error
        try:
            claim = Checkpoint.parse(target.root_log.get(checkpoint))
        except ObjectMissing:
            claim = None
        except LedgerProofRefused as error:
            raise Conflict("MOVE_TARGET_TAKEN", "its checkpoint cannot be read") from error
        if claim is None:
            self._demand_empty()
            return
        with self._source.database.reading(patient=True) as connection:
            ours = (
                claim.origin == head.origin
                and claim.size <= head.size
                and claim.root == tree.root(StoredTiles(connection, {}), claim.size)
            )
        if not ours:
            raise Conflict("MOVE_TARGET_TAKEN", f"it holds {claim.origin} at {claim.size}")

    def _demand_empty(self) -> None:
        stores = self._target.stores
        lists = {
            "published files": stores.root_log.list(),
            "objects": stores.objects.addresses(),
            "recovery records": stores.records.names(),
        }
        for what, names in lists.items():
            if next(iter(names), None) is not None:
                raise Conflict("MOVE_TARGET_TAKEN", f"it holds {what}")

    def _verify_stores(self) -> None:
        source, target = self._source, self._target.stores
        with self._shown("verify") as progress:
            found = scrub(source.database, target.objects, self._clock, pace=Pace(0), progress=progress)
        if found.problems:
            first = found.problems[0]
            raise Conflict("MOVE_UNVERIFIED", f"{first.code} {first.where}, {len(found.problems)} in all")
        changed = copy_log(source.stores.root_log, target.root_log, _unseen)
        changed += copy_records(source.stores.records, target.records, _unseen)
        if changed:
            raise Conflict("MOVE_UNVERIFIED", f"{changed} files are not there as they were written")

    def _copy_rows(self, passed: Callable[[int], None]) -> None:
        database = self._target.database
        with self._source.database.reading(patient=True) as source, database.writing(patient=True) as target:
            if not is_empty(target):
                raise Conflict("MOVE_TARGET_TAKEN", "its database is not empty any more")
            ours = copy_tables(source, target, passed)
            faults.point("move.rows")
            _demand_same(ours, target, passed)

    @contextmanager
    def _counted(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how many of a known number are done."""
        with self._shown(name) as progress:
            done = 0

            def passed(more: int) -> None:
                nonlocal done
                done += more
                progress(done, max(done, total))

            yield passed

    def _write_note(self, stage: Stage, head: Head) -> None:
        data = self._source.settings.data
        note = read_note(data) or Note(
            place_of(self._target.settings), head.origin, rfc3339(self._clock.now()), stage
        )
        write_note(data, replace(note, stage=stage))


def take_back(data: Path, target: Database | None) -> Note:
    """Give up a move that was begun: the safe lives where it was; return what the note said.

    What was copied stays in the new place: it is encrypted, and locks may keep it. The caller holds the safe's lock.

    Args:
        data: folder of the safe.
        target: database of the new place; needed once the move had come as far as its rows.

    Raises:
        Conflict: MOVE_NOT_BEGUN; MOVE_COMMITTED: the safe lives there; MOVE_UNDECIDED: only that database can say.
    """
    note = read_note(data)
    if note is None:
        raise Conflict("MOVE_NOT_BEGUN")
    if note.stage is Stage.DONE:
        raise Conflict("MOVE_COMMITTED", to=note.to)
    if note.stage is Stage.COMMITTING:
        if target is None:
            raise Conflict("MOVE_UNDECIDED", to=note.to)
        target.migrate()
        with target.reading(patient=True) as connection:
            if not is_empty(connection):
                raise Conflict("MOVE_COMMITTED", to=note.to)
    remove_note(data)
    return note


def _demand_same(ours: Mapping[str, Content], target: Connection, passed: Callable[[int], None]) -> None:
    theirs = contents(target, passed)
    differing = [name for name, content in ours.items() if theirs[name] != content]
    if differing:
        raise Conflict("MOVE_UNVERIFIED", f"rows that came out otherwise: {', '.join(differing)}")


def _unseen(_more: int) -> None:
    """Show nothing."""
