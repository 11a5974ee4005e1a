"""Rebuilds the database from recovery records, the object store and the published ledger.

Steps:
    1. The published checkpoint must carry this log's signatures, and its entries must hash up to it.
    2. What the database has must be the beginning of what was published.
    3. Administrations, safes, accounts, contacts and labels are rebuilt from their records; in an older copy they are
       brought up to them (`vault.recovery.following`).
    4. Every published entry the database lacks is written again, with the rows its record holds.
    5. Destructions are replayed by tag for documents of an older copy whose records say nothing of them.
    6. Records of entries that were committed but never published are appended anew, in order and in one
       group, if all their objects are in the store: nobody can have been given a receipt of the lost entry
       numbers. Files of groups that began before the published size and stand in no entry were never
       committed: nobody was answered, and they are left for the sweep at start.
    7. What the antivirus said last of each document is written again.
    8. Records of what was destroyed or erased, which an older copy of the records brought back, are removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, exists, select
from sqlalchemy.exc import IntegrityError

from storage.base import LogStore, ObjectStore
from storage.errors import ObjectMissing
from vault.clock import Clock
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.engine import Database
from vault.db.functions import contains_octets
from vault.db.repositories import Documents
from vault.documents.lifecycle import destruction_change, first_digest
from vault.errors import LedgerError
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import CheckpointReport, verify_checkpoint
from vault.ledger.destruction import is_destruction
from vault.ledger.entry import LogEntry
from vault.ledger.policy import Policy
from vault.ledger.stated import remember_log_entry
from vault.ledger.stored import StoredTiles, find_head
from vault.ledger.tags import tag
from vault.ledger.tiles import CHECKPOINT_PATH, ENTRIES, Tile, decode_bundle
from vault.ledger.tree import TILE_WIDTH
from vault.ledger.writer import LedgerTransaction, LedgerWriter, WriterConfig
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.recovery.following import (
    Erased,
    drop_records_of_erased,
    follow_newer_records,
    forget_what_was_erased,
)
from vault.recovery.records import (
    Claim,
    Held,
    HeldRecords,
    claims,
    creates_document,
    group_start,
    is_destruction_record,
    is_taken,
    lacks_parent,
    read_records,
    record_names_in_use,
    with_remains,
)
from vault.scanning.rows import write_verdict
from vault.sealing.held_keys import demand_origin

_APPEND_LIMIT_S = 3600.0


@dataclass
class RecoveryReport:
    """What was done.

    Attributes:
        entries: ledger entries written again.
        changes: of those, how many had a record whose rows were written.
        appended: entries appended anew for records that were never published.
        destroyed: destructions replayed by tag.
        followed: rows without entries that an older copy had otherwise than their records.
        findings: what an operator must look at, one sentence each.
    """

    entries: int = 0
    changes: int = 0
    appended: int = 0
    destroyed: int = 0
    followed: int = 0
    findings: list[str] = field(default_factory=list)


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

    def _published(self) -> CheckpointReport | None:
        """Return the published checkpoint, None when nothing is published. Raises LedgerError: it is not this log's."""
        try:
            note = self._log.get(CHECKPOINT_PATH)
        except ObjectMissing:
            return None
        return verify_checkpoint(note, self._policy)

    def run(self, clock: Clock) -> RecoveryReport:
        """Recover; repeating it is harmless. The service must not run meanwhile.

        Raises:
            LedgerError: LEDGER_ORIGIN_MISMATCH; LEDGER_FORK when database and published ledger contradict each
                other; CHAIN_BROKEN, FORMAT_FAILURE and the like when the published ledger is damaged.
        """
        demand_origin(self._database, self._origin)
        report = RecoveryReport()
        held = read_records(self._records)
        report.findings += held.findings
        with self._database.writing(patient=True) as connection:
            # 3
            older = self._is_older(connection, held)
            if older:
                gone, findings = forget_what_was_erased(connection, held)
                report.followed, report.findings = gone, [*report.findings, *findings]
            erased = Erased(connection.scalar(select(models.ledger_head.c.last_time)), older=older)
            self._restore_registry(connection, held, erased)
            if older:
                report.followed += follow_newer_records(connection, held)
            new = self._restore_entries(connection, held, report)
            self._replay_destructions(connection, new, held, report)
        self._append_unpublished(held, clock, report)
        with self._database.writing(patient=True) as connection:
            # 7
            for change in held.verdicts:
                write_verdict(connection, change)
        # 8
        drop_records_of_erased(self._database, self._records, held, erased)
        return report

    def _is_older(self, connection: Connection, held: HeldRecords) -> bool:
        """Tell whether the database is a copy from before something that is published or recorded."""
        size, note = connection.scalar(select(models.ledger_head.c.size)), self._published()
        if size is None:
            return False
        groups = (group_start(each.record) or 0 for each in held.by_commitment.values())
        return (note is not None and note.size > size) or any(start >= size for start in groups)

    def _restore_registry(self, connection: Connection, held: HeldRecords, erased: Erased) -> None:
        """Write what has no entry: safes, administrations, accounts and the like, each after what it names.

        A crash between record and commit leaves a safe's or account's record without row, and the next try makes
        another: of two of one person, the one counts whose safe documents name.
        """
        in_use = held.safes_in_use()
        left = [change for change in held.registry if not erased.hold(change)]
        left.sort(key=lambda change: not change.names_any(in_use))
        while left:
            free = [
                change for change in left if not any(is_taken(connection, each) for each in claims(change))
            ]
            left = []
            for change in free:
                if lacks_parent(connection, change):
                    left.append(change)
                elif not any(is_taken(connection, each) for each in claims(change)):
                    change.apply(connection, 0, "")
            if len(left) == len(free):
                return

    def _restore_entries(
        self, connection: Connection, held: HeldRecords, report: RecoveryReport
    ) -> dict[bytes, tuple[int, bytes]]:
        """Write the entries that the database lacks; return (number, commitment) by tag."""
        new: dict[bytes, tuple[int, bytes]] = {}
        # Read once: a service that should not run meanwhile may publish more.
        note = self._published()
        published = note.size if note else 0
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
                remember_log_entry(connection, entry)
                generation = int(entry.body.get("generation", generation))
                continue
            new[entry.tag] = (seq, entry.commitment)
            if (found := held.by_commitment.get(entry.commitment)) is not None:
                self._apply(connection, found, seq, report)
        if note and chain.root() != note.root:
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

    def _apply(self, connection: Connection, found: Held, seq: int, report: RecoveryReport) -> None:
        change = found.change
        if not creates_document(change) and lacks_parent(connection, change):
            # Destroyed since: its first record is gone, and so is what this one would change. The destruction itself
            # knows what is left of the document, so that asking for it says that it was destroyed.
            change = with_remains(change)
            if lacks_parent(connection, change):
                return
        try:
            with connection.begin_nested():
                change.apply(connection, seq, found.record)
        except IntegrityError:
            report.findings.append(f"{found.change.document_id}: the rows of entry {seq} cannot be written")
            return
        report.changes += 1

    def _replay_destructions(
        self,
        connection: Connection,
        new: dict[bytes, tuple[int, bytes]],
        held: HeldRecords,
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
            digest = first_digest(document)
            counter = document.next_status
            unexplained: list[int] = []
            # Other entries, with records that are gone too, may stand before the destruction.
            while (entry := new.get(tag(status_key, counter))) is not None:
                seq, commitment = entry
                if is_destruction(status_key, document.id, digest, commitment):
                    change = destruction_change(key, document.private, replace(document, next_status=counter))
                    change.apply(connection, seq, "")
                    report.destroyed += 1
                    unexplained = []
                    break
                if commitment not in held.by_commitment:
                    unexplained.append(seq)
                counter += 1
            report.findings += [
                f"{document_id}: entry {seq} changes its status, and no record says how"
                for seq in unexplained
            ]

    def _append_unpublished(self, held: HeldRecords, clock: Clock, report: RecoveryReport) -> None:
        # 6
        with self._database.reading() as connection:
            head = find_head(connection)
        if head is None:
            return
        lost = [each for each in held.by_commitment.values() if (group_start(each.record) or 0) >= head.size]
        if not lost:
            return
        writer = LedgerWriter(
            self._database, self._records.add, clock, WriterConfig(time_limit_s=_APPEND_LIMIT_S)
        )
        writer.start()
        try:
            kept, appended, findings = writer.run(lambda tx: self._append_all(tx, lost))
        finally:
            writer.close()
        report.appended += appended
        report.findings += findings
        # What was appended lies in a new file now: a second copy would outlive a destruction.
        # A file that rows name was being committed by a service that should not have run meanwhile.
        with self._database.reading() as connection:
            named = record_names_in_use(connection)
        for name in {each.record for each in lost} - named:
            self._records.rewrite(name, lambda data: Change.decode(data).commitment in kept)

    def _append_all(self, tx: LedgerTransaction, lost: list[Held]) -> tuple[set[bytes], int, list[str]]:
        """Append what is missing; return the commitments still to be kept, a count, and findings."""
        kept: set[bytes] = set()
        findings: list[str] = []
        taken: set[Claim] = set()
        winners: list[Change] = []
        # Of attempts that contradict each other, the last was the one that was committed.
        for each in reversed(lost):
            own = set(claims(each.change))
            if own & taken or any(is_taken(tx.connection, claim) for claim in own):
                continue
            missing = [address for address in _addresses(each.change) if not self._has_object(address)]
            if missing:
                kept.add(each.change.commitment)
                findings.append(
                    f"{each.change.document_id}: object {missing[0]} is missing; put it back and recover again"
                )
                continue
            taken |= own
            winners.append(each.change)
        appended = 0
        for change in reversed(winners):
            if not lacks_parent(tx.connection, change):
                entry = tx.append(change.tag, change.commitment, change.encode())
                change.apply(tx.connection, entry.seq, entry.record)
                appended += 1
            elif is_destruction_record(change) and not _stands(tx.connection, change.commitment):
                # Its document is gone, but whoever holds a bundle must be able to find that in the ledger.
                entry = tx.append(change.tag, change.commitment, change.encode())
                whole = with_remains(change)
                if not lacks_parent(tx.connection, whole):
                    whole.apply(tx.connection, entry.seq, entry.record)
                appended += 1
        return kept, appended, findings

    def _has_object(self, address: str) -> bool:
        try:
            self._objects.stat(address)
        except ObjectMissing:
            return False
        return True


def _addresses(change: Change) -> Iterator[str]:
    return (row["address"] for table, row in change.inserts if table in {"objects", "matter_papers"})


def _stands(connection: Connection, commitment: bytes) -> bool:
    """Tell whether an entry with this commitment is in the ledger."""
    body = models.ledger_entries.c.body
    return bool(connection.scalar(select(exists().where(contains_octets(body, commitment.hex().encode())))))
