"""Looks at files that wait for the antivirus, and again at those judged with older signatures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from storage.errors import ObjectDamaged, ObjectMissing, StorageUnavailable
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.db.models import documents, metadata
from vault.db.repositories import Documents
from vault.domain.documents import Kind, ObjectRole
from vault.domain.states import Scan, Sealing, Status
from vault.errors import LedgerError, Unavailable
from vault.intake import receive
from vault.outbox import announce
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.records.objects import Shelf
from vault.scanning.antivirus import Antivirus
from vault.scanning.base import NotScanned, Reason, ScannerDown, Verdict
from vault.scanning.rows import (
    count,
    drop_row,
    due,
    keep_verdict,
    last_look,
    move_scan,
    record_name,
    unseen,
    verdict_change,
    write_verdict,
)
from vault.tasks.runner import Task

BATCH = 16
_TRIED_AGAIN = timedelta(hours=1)
_COUNTED = 10_000
# Of no signatures: tried again with the next batch.
_NOT_GIVEN = Verdict(Scan.PENDING, "", Reason.DAMAGED)
_IN_A_ROW = 3
_log = logging.getLogger("probans.antivirus")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """How the queue works.

    Attributes:
        spool: folder of unnamed files.
        interval: seconds between looks for work.
        per_minute: documents with a verdict that are looked at again in a minute.
    """

    spool: Path
    interval: float = 5.0
    per_minute: int = 600


@dataclass(frozen=True, slots=True)
class ScanFigures:
    """What operators ask.

    Attributes:
        up: whether the engine answered last.
        engine: what it is.
        note: one sentence.
        waiting: documents without verdict, counted up to 10,000.
        infected: documents kept from everybody, counted up to 10,000.
    """

    up: bool
    engine: str
    note: str
    waiting: int
    infected: int


class ScanQueue:
    """One per process; only one of all processes works at a time."""

    def __init__(
        self,
        database: Database,
        reader: Documents,
        shelf: Shelf,
        records: RecordBook,
        antivirus: Antivirus,
        clock: Clock,
        config: QueueConfig,
    ) -> None:
        """Take what it works with; nothing is started.

        Args:
            database: of the safe.
            reader: opens documents.
            shelf: holds their octets.
            records: recovery records; a verdict must survive the database.
            antivirus: looks.
            clock: the service's time.
            config: see there.
        """
        self._database = database
        self._reader = reader
        self._shelf = shelf
        self._records = records
        self._antivirus = antivirus
        self._clock = clock
        self._config = config
        # Where the walk over what came before the antivirus stands; after its end it begins again later.
        self._walked = -1
        self._walk_again = float("-inf")
        self._allowed = 0.0
        self._counted_at = time.monotonic()
        self._stop = threading.Event()

    @property
    def task(self) -> Task:
        """The queue, as it runs in the background."""
        # One large file takes the engine minutes, and a batch may be all of these.
        return Task(
            "antivirus", self.scan_waiting, self._config.interval, limit_s=3600.0, full=BATCH, stop=self.close
        )

    def close(self) -> None:
        """Stop after the file under way, for good."""
        self._stop.set()

    @property
    def is_up(self) -> bool:
        """Whether the engine answered when it was asked last."""
        return self._antivirus.state.up

    def figures(self) -> ScanFigures:
        """Return how the engine was when it was asked last, and what waits for it. Raises Unavailable."""
        state = self._antivirus.state
        with self._database.reading() as connection:
            waiting = count(connection, Scan.PENDING, _COUNTED)
            infected = count(connection, Scan.INFECTED, _COUNTED)
        said = (state.engine or "not asked yet") if state.up else f"{state.code}: {state.detail}"
        note = f"{said}; {waiting} waiting, {infected} infected"
        return ScanFigures(state.up, state.engine, note, waiting, infected)

    def scan_waiting(self) -> int:
        """Look at one batch; return how many documents were looked at, or found to be impossible to judge.

        A task lost or run twice does no harm: the rows say what is due, and what was looked at twice has one verdict.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE.
        """
        with self._database.leading("scan") as leader:
            if not leader:
                return 0
            try:
                engine = self._antivirus.engine(anew=True)
            except ScannerDown:
                return 0
            looked: list[_Looked] = []
            try:
                for each in self._looks(engine):
                    looked.append(each)
                    if [one.verdict for one in looked[-_IN_A_ROW:]] == [_NOT_GIVEN] * _IN_A_ROW:
                        raise Unavailable("STORAGE_UNAVAILABLE", "it is the store, not these files")
            finally:
                self._settle(looked)
            return sum(each.verdict.reason != Reason.DOWN for each in looked)

    def _looks(self, engine: str) -> Iterator[_Looked]:
        """Look at what is due, until the engine is down or the queue is to stop."""
        for document_id, first_seq in self._due(engine):
            if self._stop.is_set():
                return
            looked = self._look_twice(document_id, engine)
            self._walked = max(self._walked, first_seq)
            yield looked
            if looked.verdict.reason == Reason.DOWN:
                return

    def _due(self, engine: str) -> Sequence[tuple[str, int]]:
        """Return what to look at; beside what came while there was no antivirus, its first entry, else -1."""
        now = time.monotonic()
        most = float(self._config.per_minute)
        gained = (now - self._counted_at) * most / 60
        self._allowed, self._counted_at = min(most, self._allowed + gained), now
        tried_before = rfc3339(self._clock.now() - _TRIED_AGAIN)
        with self._database.reading() as connection:
            found = due(connection, engine, tried_before, int(self._allowed), BATCH)
            new = self._unseen(connection, BATCH - len(found)) if now >= self._walk_again else ()
        self._allowed -= sum(judged for _, judged in found)
        return [*((document_id, -1) for document_id, _ in found), *new]

    def _unseen(self, connection: Connection, most: int) -> Sequence[tuple[str, int]]:
        if most <= 0:
            return ()
        found, stands = unseen(connection, self._walked, most)
        if stands is None and not found:
            self._walked, self._walk_again = -1, time.monotonic() + _TRIED_AGAIN.total_seconds()
        elif stands is not None and not found:
            self._walked = stands
        return found

    def _look_twice(self, document_id: str, engine: str) -> _Looked:
        """Look at a document, once more where the engine failed at it and is well.

        One that it fails at twice while it is well counts as one that it cannot judge, lest it hold up those behind it.
        """
        looked = self._look(document_id, engine)
        for last in (False, True):
            if looked.verdict.reason != Reason.DOWN or not self._is_well():
                break
            if last:
                return replace(looked, verdict=Verdict(Scan.PENDING, engine, Reason.COMPLEX))
            looked = self._look(document_id, engine)
        return looked

    def _is_well(self) -> bool:
        try:
            self._antivirus.engine(anew=True)
        except ScannerDown:
            return False
        return True

    def _look(self, document_id: str, engine: str) -> _Looked:
        with self._database.reading() as connection:
            before = last_look(connection, document_id)
        return _Looked(document_id, before, self._verdict(document_id, engine))

    def _verdict(self, document_id: str, engine: str) -> Verdict:
        """Look at a document; one that cannot be read or judged stays as it is, for a reason."""
        try:
            with self._database.reading() as connection:
                document = self._reader.load(connection, document_id)
                key = self._reader.key(connection, document_id)
            if document is None or key is None:
                return Verdict(Scan.PENDING, engine, Reason.DAMAGED)
            part = document.parts.get(ObjectRole.ORIGINAL) or document.parts[ObjectRole.RECEIVED]
            with receive(self._shelf.read(key, part), folder=self._config.spool, limit=part.size) as spooled:
                return self._antivirus.look(spooled)
        except ScannerDown:
            return Verdict(Scan.PENDING, "", Reason.DOWN)
        except NotScanned as error:
            return Verdict(Scan.PENDING, engine, error.reason)
        except StorageUnavailable as error:
            _log.warning("document cannot be looked at", extra={"document": document_id, "code": error.code})
            return _NOT_GIVEN
        except (ObjectDamaged, ObjectMissing, LedgerError, KeyError) as error:
            # One that is damaged must not hold up those behind it; `probans audit` says what is wrong with it.
            code = getattr(error, "code", type(error).__name__)
            _log.error("document cannot be looked at", extra={"document": document_id, "code": code})
            return Verdict(Scan.PENDING, engine, Reason.DAMAGED)

    def _settle(self, looked: Sequence[_Looked]) -> None:
        """Write what was said, in one transaction.

        Steps:
            1. Verdicts that are news, by the rows as they are now and the table of transitions; of others, the look.
               What another process looked at meanwhile is left to it: this one may have slept for long.
            2. Their recovery record.
            3. Rows and messages.
        """
        if not looked:
            return
        now = rfc3339(self._clock.now())
        alarms: list[_Standing] = []
        with self._database.writing() as connection:
            # 1
            news = self._news(connection, looked, now)
            # 2
            if news:
                self._records.add(record_name(now), [change.encode() for _, _, change in news])
            faults.point("scan.recorded")
            # 3
            for before, verdict, change in news:
                write_verdict(connection, change)
                if topic := _topic(before, verdict):
                    announce(_Rows(connection), topic, before.id, now)
                if verdict.scan is Scan.INFECTED:
                    alarms.append(before)
        faults.point("scan.settled")
        for found in alarms:
            # Administrations have no mailbox here: operators tell them, and their agents see it.
            who = {"document": found.id, "administration": found.issuer_id or ""}
            _log.error("infected document", extra={**who, "code": "DOCUMENT_INFECTED"})

    def _news(
        self, connection: Connection, looked: Sequence[_Looked], now: str
    ) -> list[tuple[_Standing, Verdict, Change]]:
        """Return what changes; the looks that change nothing are written down."""
        news: list[tuple[_Standing, Verdict, Change]] = []
        for each in looked:
            document_id, verdict = each.document_id, each.verdict
            before = self._standing(connection, document_id)
            if before is None:
                drop_row(connection, document_id)
            elif last_look(connection, document_id) != each.before:
                continue
            elif verdict.reason or verdict.scan is before.scan:
                keep_verdict(connection, document_id, before.scan, verdict, now)
            else:
                move_scan(before.scan, verdict.scan)
                news.append((before, verdict, verdict_change(document_id, verdict, now)))
        return news

    @staticmethod
    def _standing(connection: Connection, document_id: str) -> _Standing | None:
        table = documents.c
        query = select(table.id, table.kind, table.issuer_id, table.scan, table.sealing).where(
            table.id == document_id, table.status != Status.DESTROYED.value
        )
        row = connection.execute(query).first()
        if row is None:
            return None
        return _Standing(row.id, Kind(row.kind), row.issuer_id, Scan(row.scan), Sealing(row.sealing))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A look at a document, and the one before it (`last_look`)."""

    document_id: str
    before: tuple[str, str] | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Standing:
    """What counts of a document's row when its verdict changes."""

    id: str
    kind: Kind
    issuer_id: str | None
    scan: Scan
    sealing: Sealing


class _Rows:
    """`vault.outbox.Rows` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Write a row."""
        values = dict(zip(columns, row, strict=True))
        self._connection.execute(metadata.tables[table].insert(), values)


def _topic(before: _Standing, verdict: Verdict) -> str:
    """Return what the holder is told, or "": of what nobody was told yet, nobody hears that it is infected."""
    if verdict.scan is Scan.CLEAN:
        news = {Scan.PENDING: "document.published", Scan.INFECTED: "scan.cleared"}.get(before.scan, "")
        return news if before.sealing is Sealing.SEALED else ""
    known = before.kind is Kind.ATTACHMENT or before.scan is not Scan.PENDING
    return "scan.infected" if known and verdict.scan is Scan.INFECTED else ""
