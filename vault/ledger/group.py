"""A commit group while it is put together, and what a work in it may do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from vault.core import faults
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of
from vault.db.models import metadata
from vault.errors import LedgerError
from vault.ledger.asking import Question, answers_to
from vault.ledger.entry import LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.stored import StoredTiles

T = TypeVar("T")
_NOT_DIGITS = {ord(sign): None for sign in "-:.TZ"}
_ENTRY = ("seq", "body", "leaf")


class Appended(NamedTuple):
    """An entry that becomes durable with its group.

    Attributes:
        seq: number of the entry.
        time: its time, RFC 3339.
        leaf: its leaf hash, 32 octets.
        record: name of the group's recovery file.
    """

    seq: int
    time: str
    leaf: bytes
    record: str


class Group:
    """The state of the chain while a group is put together.

    Attributes:
        answers: what works said they would ask, and what the database answered.
        broken: why a work could not be undone, or rows that it left for later not written: nothing may stay then.
    """

    __slots__ = (
        "answers",
        "broken",
        "connection",
        "driver",
        "last_leaf",
        "late",
        "name",
        "records",
        "rows",
        "size",
        "start",
        "time",
    )

    def __init__(self, connection: Connection, time: str, size: int, last_leaf: bytes) -> None:
        self.connection = connection
        self.driver = driver_of(connection)
        self.time = time
        self.start = self.size = size
        self.last_leaf = last_leaf
        # Sorted by name, recovery files are in the order of their groups, and of attempts at the same group.
        digits = time.translate(_NOT_DIGITS)
        self.name = f"{size:016d}-{digits}-{secrets.token_hex(6)}"
        self.rows: list[tuple[int, bytes, bytes]] = []
        self.records: list[bytes] = []
        self.late: list[tuple[str, tuple[str, ...], tuple[Any, ...]]] = []
        self.answers: dict[Question, dict[Any, Any]] = {}
        self.broken: BaseException | None = None

    def ask(self, works: Sequence[object]) -> None:
        """Ask what works that are about to run say they will ask, once for all of them."""
        self.answers = answers_to(self.driver, works)

    def take(self, body: bytes, record: bytes) -> Appended:
        """Add the next entry."""
        seq, leaf = self.size, leaf_hash(body)
        self.rows.append((seq, body, leaf))
        if record:
            self.records.append(record)
        self.last_leaf, self.size = leaf, seq + 1
        return Appended(seq, self.time, leaf, self.name)

    def run(self, work: Callable[[LedgerTransaction], T]) -> tuple[T | None, BaseException | None]:
        """Run one work; when it raises, its rows and entries are undone and the others stay.

        Returns:
            What it returned, and None; or None and what it raised.

        Raises:
            BaseException: where the group cannot go on: what it raised, or what `broken` says.
        """
        size, last_leaf, records = self.size, self.last_leaf, len(self.records)
        transaction = LedgerTransaction(self)
        try:
            result = work(transaction)
            transaction.end(undo=False)
        except BaseException as raised:
            try:
                transaction.end(undo=True)
            except BaseException as error:
                self.broken = error
                raise
            self.size, self.last_leaf = size, last_leaf
            del self.rows[size - self.start :], self.records[records:]
            broken = isinstance(raised, LedgerError) and raised.code == "LEDGER_TRANSACTION_BROKEN"
            if broken or self.broken is not None or not self.driver.in_transaction:
                raise
            return None, raised
        if self.broken is not None:  # and the work made light of it
            raise self.broken
        return result, None

    def flush(self) -> None:
        """Write the rows that works left for later, those of one table together."""
        tables: dict[tuple[str, tuple[str, ...]], list[tuple[Any, ...]]] = {}
        for table, columns, row in self.late:
            tables.setdefault((table, columns), []).append(row)
        self.late.clear()
        try:
            # One work may have left a row for a table before another work left the row that its own there names.
            for (table, columns), rows in sorted(tables.items(), key=lambda each: _rank(each[0][0])):
                insert_rows(self.driver, table, columns, rows)
        except BaseException as error:
            self.broken = error
            raise

    def write(self, write_records: Callable[[str, Sequence[bytes]], None], roots: dict[Any, bytes]) -> None:
        """Write entries, tiles, recovery file and head, everything but the commit."""
        self.flush()
        if not self.rows:
            return
        insert_rows(self.driver, "ledger_entries", _ENTRY, self.rows)
        StoredTiles(self.connection, roots).store_completed(self.start, self.size)
        advanced = self.driver.execute(
            "UPDATE ledger_head SET size = ?, last_leaf = ?, last_time = ? WHERE id = 1 AND size = ?",
            (self.size, self.last_leaf, self.time, self.start),
        )
        if advanced.rowcount != 1:
            raise LedgerError("LEDGER_HEAD_LOST", "another writer advanced the head", expected=self.start)
        if self.records:
            faults.point("ledger.before-record")
            write_records(self.name, self.records)
            faults.point("ledger.after-record")


class LedgerTransaction:
    """What a work may do; valid only while the work runs."""

    __slots__ = ("_group", "_late", "_open", "_saved")

    def __init__(self, group: Group) -> None:
        self._group = group
        self._late = len(group.late)
        self._open = True
        self._saved = False

    @property
    def connection(self) -> Connection:
        """The group's connection; neither commit nor roll it back."""
        self._check()
        group = self._group
        if not self._saved:
            # Only a work that looks at the database pays for its savepoint; it sees what others before it wrote.
            own = group.late[self._late :]
            del group.late[self._late :]
            group.flush()
            group.driver.execute("SAVEPOINT work")
            self._saved = True
            group.answers.clear()  # whatever it writes may be what others ask for
            for table, columns, row in own:
                insert_rows(group.driver, table, columns, [row])
        return group.connection

    def ask(self, question: Question, key: Any) -> Any:
        """Return the answer to a question for a key: at hand where the work said that it would ask.

        Once a work of the group has used `connection`, nothing is at hand any more.
        """
        self._check()
        known = self._group.answers.get(question, {})
        if key in known:
            return known[key]
        return question(driver_of(self.connection), (key,))[key]

    def forget(self, question: Question, key: Any) -> None:
        """Say that this work changes the answer for a key: the works after it ask again."""
        self._check()
        self._group.answers.get(question, {}).pop(key, None)

    @property
    def record(self) -> str:
        """Name of the group's recovery file."""
        self._check()
        return self._group.name

    def append(self, tag: bytes, commitment: bytes, record: bytes = b"") -> Appended:
        """Append a record entry.

        Args:
            tag: 32 octets.
            commitment: 32 octets.
            record: plain recovery record of the entry; it goes, in order, into the group's recovery file.

        Raises:
            LedgerError: ENTRY_INVALID.
        """
        self._check()
        if len(tag) != 32 or len(commitment) != 32:
            raise LedgerError("ENTRY_INVALID", "tag and commitment have 32 octets")
        group = self._group
        return group.take(encode_record(group.size, group.last_leaf, group.time, tag, commitment), record)

    def insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Write a row with the work's entries.

        Cheaper than through `connection`: where the work does not use that, the rows of a whole group are written
        together. A row that the database refuses then fails the whole group, so the caller must know it is right.

        Args:
            table: name of the table.
            columns: names of columns.
            row: one value for each.
        """
        self._check()
        if self._saved:
            insert_rows(self._group.driver, table, columns, [row])
        else:
            self._group.late.append((table, columns, row))

    def settle(self, statement: str, values: Sequence[Any]) -> bool:
        """Change one row that nothing else in the work looks at, as the last thing it does; say whether it was there.

        Cheaper than through `connection`. A work that goes on to raise may do so only when nothing was changed.

        Args:
            statement: SQL that changes one row or none, question marks for the values.
            values: for it.
        """
        self._check()
        return bool(self._group.driver.execute(statement, values).rowcount == 1)

    def append_log(self, event: str, body: Mapping[str, Any]) -> Appended:
        """Append an entry about the log itself, in clear.

        Raises:
            LedgerError: ENTRY_INVALID.
        """
        self._check()
        if event != LogEvent.KEYS_CHANGED.value:
            raise LedgerError("ENTRY_INVALID", "not an event of an open log", found=event)
        group = self._group
        entry = LogEntry(group.size, group.last_leaf, group.time, LogEvent.KEYS_CHANGED, body)
        return group.take(encode(entry), b"")

    def end(self, *, undo: bool) -> None:
        """Close it, keeping or undoing what the work wrote. Raises LedgerError(LEDGER_TRANSACTION_BROKEN)."""
        self._open = False
        if self._saved:
            driver = self._group.driver
            if not driver.in_transaction:
                raise LedgerError("LEDGER_TRANSACTION_BROKEN", "a work ended the group's transaction")
            if undo:
                driver.execute("ROLLBACK TO work")
            driver.execute("RELEASE work")
        elif undo:
            del self._group.late[self._late :]

    def _check(self) -> None:
        if not self._open:
            raise LedgerError("LEDGER_TRANSACTION_BROKEN", "used after its work")


@cache
def _ranks() -> Mapping[str, int]:
    return {table.name: rank for rank, table in enumerate(metadata.sorted_tables)}


def _rank(table: str) -> int:
    """Return where a table stands among all, those that its rows refer to before it."""
    return _ranks()[table]
