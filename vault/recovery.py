"""Rebuilds the database from recovery records, the object store and the published ledger.

Steps:
    1. The published checkpoint must carry this log's signatures, and its entries must hash up to it.
    2. What the database has must be the beginning of what was published.
    3. Safes are rebuilt from their records.
    4. Every published entry the database lacks is written again, with the rows its record holds.
    5. Destructions are replayed by tag for documents of an older copy whose records say nothing of them.
    6. Records of entries that were committed but never published are appended anew, in order, if all their
       objects are in the store: nobody can have been given a receipt of the lost entry numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, exists, select
from sqlalchemy.exc import IntegrityError

from storage.base import LogStore, ObjectStore
from storage.errors import ObjectMissing, StorageError
from vault.changes import Change
from vault.clock import Clock
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.domain.documents import ObjectRole
from vault.errors import LedgerError
from vault.keyring import Keyring
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import verify_checkpoint
from vault.ledger.destruction import is_destruction
from vault.ledger.entry import LogEntry
from vault.ledger.policy import Policy
from vault.ledger.stored import StoredTiles, find_head
from vault.ledger.tags import tag
from vault.ledger.tiles import CHECKPOINT_PATH, ENTRIES, Tile, decode_bundle
from vault.ledger.tree import TILE_WIDTH
from vault.ledger.writer import LedgerTransaction, LedgerWriter
from vault.lifecycle import destruction_change
from vault.records import RecordBook


@dataclass
class RecoveryReport:
    """What was done.

    Attributes:
        entries: ledger entries written again.
        changes: of those, how many had a record whose rows were written.
        appended: entries appended anew for records that were never published.
        destroyed: destructions replayed by tag.
        findings: what an operator must look at, one sentence each.
    """

    entries: int = 0
    changes: int = 0
    appended: int = 0
    destroyed: int = 0
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Held:
    """A change with the recovery file it lies in."""

    record: str
    change: Change


class Recovery:
    """Brings a database up to the published ledger."""

    def __init__(
        self,
        database: Database,
        log: LogStore,
        records: RecordBook,
        keyring: Keyring,
        objects: ObjectStore,
        policy: Policy,
        origin: str,
    ) -> None:
        self._database = database
        self._log = log
        self._records = records
        self._documents = Documents(keyring)
        self._objects = objects
        self._policy = policy
        self._origin = origin

    def published_size(self) -> int:
        """Return the size of the published checkpoint, 0 when nothing is published.

        Raises:
            LedgerError: the checkpoint is not this log's.
        """
        try:
            note = self._log.get(CHECKPOINT_PATH)
        except ObjectMissing:
            return 0
        return verify_checkpoint(note, self._policy).size

    def run(self, clock: Clock) -> RecoveryReport:
        """Recover; repeating it is harmless. The service must not run meanwhile.

        Raises:
            LedgerError: LEDGER_FORK when database and published ledger contradict each other; CHAIN_BROKEN,
                FORMAT_FAILURE and the like when the published ledger is damaged.
        """
        report = RecoveryReport()
        held, safes = self._read_records(report)
        with self._database.writing() as connection:
            for change in safes:
                row = change.inserts[0][1]
                known = select(exists().where(models.safes.c.id == row["id"]))
                if not connection.scalar(known):
                    change.apply(connection, 0, "")
            new = self._restore_entries(connection, held, report)
            self._replay_destructions(connection, new, held, report)
        self._append_unpublished(held, clock, report)
        return report

    def _read_records(self, report: RecoveryReport) -> tuple[dict[bytes, _Held], list[Change]]:
        held: dict[bytes, _Held] = {}
        safes: list[Change] = []
        for name in self._records.names():
            try:
                changes = [Change.decode(data) for data in self._records.read(name)]
            except (StorageError, LedgerError) as error:
                report.findings.append(f"recovery file {name} cannot be read: {error.code}")
                continue
            for change in changes:
                if change.tag:
                    held.setdefault(change.commitment, _Held(name, change))
                else:
                    safes.append(change)
        return held, safes

    def _restore_entries(
        self, connection: Connection, held: dict[bytes, _Held], report: RecoveryReport
    ) -> dict[bytes, tuple[int, bytes]]:
        """Write the entries that the database lacks; return (number, commitment) by tag."""
        new: dict[bytes, tuple[int, bytes]] = {}
        published = self.published_size()
        head = find_head(connection)
        start = head.size if head else 0
        chain, generation = ChainVerifier(), 1
        # 1, 2
        for body in self._published_entries(published):
            seq = chain.size
            entry, leaf = chain.add(body)
            if seq < start:
                if seq == start - 1 and head is not None and head.last_leaf != leaf:
                    raise LedgerError("LEDGER_FORK", "database and published ledger differ", seq=seq)
                continue
            # 4
            row = {"seq": seq, "body": body, "leaf": leaf}
            connection.execute(models.ledger_entries.insert(), row)
            report.entries += 1
            if isinstance(entry, LogEntry):
                generation = int(entry.body.get("generation", generation))
                continue
            new[entry.tag] = (seq, entry.commitment)
            if (found := held.get(entry.commitment)) is not None:
                self._apply(connection, found, seq)
                report.changes += 1
        if published:
            note = verify_checkpoint(self._log.get(CHECKPOINT_PATH), self._policy)
            if chain.root() != note.root:
                raise LedgerError("LEDGER_FORK", "the published entries do not hash up to the checkpoint")
        if published > start:
            StoredTiles(connection, {}).store_completed(start, published)
            if head is not None:
                generation = head.generation
            connection.execute(models.ledger_head.delete())
            connection.execute(
                models.ledger_head.insert(),
                {
                    "id": 1,
                    "origin": self._origin,
                    "generation": generation,
                    "size": published,
                    "last_leaf": chain.last_leaf,
                    "last_time": chain.last_time,
                },
            )
        return new

    def _published_entries(self, size: int) -> Iterator[bytes]:
        for index in range(-(-size // TILE_WIDTH)):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            yield from decode_bundle(self._log.get(Tile(ENTRIES, index, width).path), width)

    def _apply(self, connection: Connection, found: _Held, seq: int) -> None:
        if not _creates_document(found.change):
            known = select(exists().where(models.documents.c.id == found.change.document_id))
            if not connection.scalar(known):
                return  # destroyed since: its first record is gone, and so is what this one would change
        found.change.apply(connection, seq, found.record)

    def _replay_destructions(
        self,
        connection: Connection,
        new: dict[bytes, tuple[int, bytes]],
        held: dict[bytes, _Held],
        report: RecoveryReport,
    ) -> None:
        # 5
        table = models.documents
        for document_id in connection.scalars(
            select(table.c.id).where(table.c.wrapped_key.is_not(None))
        ).all():
            document = self._documents.load(connection, document_id)
            key = self._documents.key(connection, document_id)
            if document is None or key is None or document.private is None:
                continue
            status_key = bytes.fromhex(document.private.status_key)
            seq, commitment = new.get(tag(status_key, document.next_status), (None, b""))
            if seq is None:
                continue
            part = document.parts.get(ObjectRole.ORIGINAL) or document.parts[ObjectRole.RECEIVED]
            if is_destruction(status_key, document.id, part.sha256, commitment):
                destruction_change(key, document.private, document).apply(connection, seq, "")
                report.destroyed += 1
            elif commitment not in held:
                report.findings.append(
                    f"{document_id}: entry {seq} changes its status, and no record says how"
                )

    def _append_unpublished(self, held: dict[bytes, _Held], clock: Clock, report: RecoveryReport) -> None:
        # 6
        with self._database.reading() as connection:
            if find_head(connection) is None:
                return
        writer = LedgerWriter(self._database, self._records.write, clock)
        writer.start()
        try:
            for found in held.values():
                with self._database.reading() as connection:
                    lost = self._is_lost(connection, found.change)
                if lost:
                    try:
                        writer.run(partial(_append, found))
                        report.appended += 1
                    except IntegrityError:
                        continue  # an attempt that was repeated with success
        finally:
            writer.close()

    def _is_lost(self, connection: Connection, change: Change) -> bool:
        """Tell whether a record's rows are missing although they could stand."""
        table = models.document_entries
        for name, row in change.inserts:
            if name == "document_entries":
                criteria = (
                    table.c.document_id == row["document_id"],
                    table.c.chain == row["chain"],
                    table.c.counter == row["counter"],
                )
                if connection.scalar(select(exists().where(*criteria))):
                    return False
            if name == "objects" and not self._has_object(row["address"]):
                return False
        known = select(exists().where(models.documents.c.id == change.document_id))
        return _creates_document(change) or bool(connection.scalar(known))

    def _has_object(self, address: str) -> bool:
        try:
            self._objects.stat(address)
        except ObjectMissing:
            return False
        return True


def _creates_document(change: Change) -> bool:
    return any(name == "documents" for name, _ in change.inserts)


def _append(found: _Held, tx: LedgerTransaction) -> None:
    appended = tx.append(found.change.tag, found.change.commitment, found.change.encode())
    found.change.apply(tx.connection, appended.seq, appended.record)
