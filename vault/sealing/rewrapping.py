"""Finds every wrapped key, in rows and in recovery records, and wraps it anew with the active key-encryption key.

Nothing is remembered of how far a change has come: each wrapped form names the key that opens it. So whatever is cut
short begins again where it stands, and what others write meanwhile is found like the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Table, bindparam, func, select, update

from storage.errors import KeyRefused, ObjectDamaged, ObjectMissing, StorageError, StorageUnavailable
from storage.wrapped import ID, named_key
from vault.core import faults
from vault.core.keyring import Keyring
from vault.db.contacts import choices_key_name
from vault.db.engine import Database
from vault.db.models import metadata
from vault.errors import LedgerError, SettingsRefused, Unavailable
from vault.records.book import RecordBook
from vault.records.changes import Change

COLUMN = "wrapped_key"
_BATCH = 200
_TRIED = 16
_AFTER_VERSION = 2  # SQL counts octets from 1
_UNREADABLE = (StorageError, LedgerError)

#: For whom the key of a row is wrapped: its associated data names this, so that keys cannot be swapped.
OWNERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "accounts": lambda row: str(row["id"]),
    "batches": lambda row: str(row["id"]),
    "documents": lambda row: str(row["id"]),
    "matters": lambda row: str(row["id"]),
    "notice_choices": lambda row: choices_key_name(row["safe_id"]),
    "notice_contacts": lambda row: str(row["id"]),
    "pending_logins": lambda row: bytes(row["state_ix"]).hex(),
    "safes": lambda row: str(row["id"]),
}

Progress = Callable[[int], None]


@dataclass(slots=True)
class Rewrapped:
    """What a pass over everything found.

    Attributes:
        rows: rows whose key was wrapped anew.
        records: recovery files that were written anew.
        findings: what cannot be opened, one sentence each; nothing of it was changed.
    """

    rows: int = 0
    records: int = 0
    findings: list[str] = field(default_factory=list)


class Rewrapping:
    """Wraps keys anew while the service runs; the caller sees to it that one process does it at a time."""

    def __init__(self, database: Database, keyring: Keyring, records: RecordBook) -> None:
        """Args as stored."""
        self._database = database
        self._keyring = keyring
        self._records = records

    def run(self, active: bytes, progress: Progress = lambda _: None) -> Rewrapped:
        """Wrap anew whatever names another key than the active one.

        Args:
            active: its id.
            progress: called with how many rows and files were changed so far.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE; to be called again.
        """
        done = Rewrapped()
        for table in tables():
            for batch in self._stale(table, active):
                done.rows += self._rewrap_rows(table, batch, done)
                progress(done.rows + done.records)
        for name in self._records.names():
            done.records += self._rewrap_record(name, active, done)
            progress(done.rows + done.records)
        return done

    def naming(self, name: bytes) -> int:
        """Count the rows and recovery files that name a key, and the files that cannot be asked. Raises Unavailable."""
        with self._database.reading(patient=True) as connection:
            count = sum(
                connection.scalar(
                    select(func.count()).select_from(table).where(_named(table) == _key()), {"key": name}
                )
                or 0
                for table in tables()
            )
        for record in self._records.names():
            try:
                count += name in self._named_by(record)
            except _UNREADABLE:
                count += 1
        return count

    def _stale(self, table: Table, active: bytes) -> Iterator[list[tuple[Mapping[str, Any], bytes]]]:
        """Yield primary keys and wrapped keys, in batches; rows that cannot be opened do not come twice."""
        (primary,) = table.primary_key.columns
        stale = table.c[COLUMN].is_not(None) & (_named(table) != _key())
        query = select(primary, table.c[COLUMN]).where(stale).order_by(primary).limit(_BATCH)
        last: Any = None
        while True:
            page = query if last is None else query.where(primary > last)
            with self._database.reading() as connection:
                rows = connection.execute(page, {"key": active}).all()
            if not rows:
                return
            last = rows[-1][0]
            yield [({primary.name: row[0]}, bytes(row[1])) for row in rows]

    def _rewrap_rows(
        self, table: Table, batch: list[tuple[Mapping[str, Any], bytes]], done: Rewrapped
    ) -> int:
        changes = []
        for key, wrapped in batch:
            try:
                changes.append((key, wrapped, self._keyring.rewrap(OWNERS[table.name](key), wrapped)))
            except KeyRefused:
                done.findings.append(f"{table.name} {_shown(key)}: its key does not open")
        (primary,) = table.primary_key.columns
        faults.point("encryption.before-rows")
        start = time.monotonic()
        changed = 0
        with self._database.writing() as connection:
            for key, old, new in changes:
                # Only if it is still what was read: a row that was erased meanwhile stays so.
                where = (primary == key[primary.name], table.c[COLUMN] == old)
                changed += connection.execute(update(table).where(*where).values({COLUMN: new})).rowcount
        faults.point("encryption.after-rows")
        # As long again for those who wait for their turn to write.
        time.sleep(time.monotonic() - start)
        return changed

    def _rewrap_record(self, name: str, active: bytes, done: Rewrapped) -> bool:
        try:
            if self._named_by(name) <= {active}:
                return False
            faults.point("encryption.before-record")
            # Destructions and others that rewrite files have their turn too: read again in it, so that nothing that
            # was taken out meanwhile comes back.
            with self._database.writing():
                self._records.write(name, [self._renewed(each) for each in self._records.read(name)])
        except ObjectMissing:
            return False
        except StorageUnavailable as error:
            raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
        except _UNREADABLE as error:
            done.findings.append(f"recovery file {name} cannot be read: {error.code}")
            return False
        faults.point("encryption.after-record")
        return True

    def _named_by(self, name: str) -> set[bytes]:
        """Return the ids of the keys that a recovery file and the rows in it name, each of its copies counted.

        None for one that is gone; and no key's id besides where one copy is damaged and another is not: writing the
        file anew heals it.
        """
        found: set[bytes] = set()
        try:
            copies = self._records.every_copy(name)
        except (ObjectDamaged, KeyRefused):
            copies = [self._records.opened(name)]
            found.add(b"")
        for own, records in copies:
            changes = [Change.decode(record) for record in records]
            found |= {own, *(named_key(row[COLUMN]) for change in changes for row in _wrapped_in(change))}
        return found

    def _renewed(self, record: bytes) -> bytes:
        """Return a record with the keys in its rows wrapped anew."""
        change = Change.decode(record)
        return replace(
            change,
            inserts=tuple((table, self._row(table, row, row)) for table, row in change.inserts),
            updates=tuple(
                (table, key, self._row(table, {**key, **values}, values))
                for table, key, values in change.updates
            ),
            remains=tuple((table, self._row(table, row, row)) for table, row in change.remains),
        ).encode()

    def _row(self, table: str, whole: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not _is_wrapped(values):
            return values
        return {**values, COLUMN: self._keyring.rewrap(OWNERS[table](whole), values[COLUMN])}


def demand_own_keys(database: Database, keyring: Keyring) -> None:
    """Refuse key-encryption keys that open nothing of this safe: those of another, brought here by mistake.

    One row that does not open is damaged; that none of several does is no chance.

    Raises:
        SettingsRefused: KEYS_UNUSABLE.
    """
    table = metadata.tables["safes"]
    query = select(table.c.id, table.c[COLUMN]).order_by(table.c.created_at.desc()).limit(_TRIED)
    with database.reading() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        try:
            keyring.open_key(row.id, bytes(row[1]))
        except KeyRefused:
            continue
        return
    if rows:
        raise SettingsRefused("KEYS_UNUSABLE", "the key-encryption keys open nothing of this safe")


def tables() -> list[Table]:
    """Return every table with wrapped keys, those that others name first."""
    return [table for table in metadata.sorted_tables if COLUMN in table.c]


def _named(table: Table) -> ColumnElement[bytes]:
    return func.substr(table.c[COLUMN], _AFTER_VERSION, ID, type_=LargeBinary)


def _key() -> ColumnElement[bytes]:
    return bindparam("key", type_=LargeBinary)


def _wrapped_in(change: Change) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a change that hold a wrapped key."""
    rows = [row for _, row in (*change.inserts, *change.remains)]
    rows += [values for _, _, values in change.updates]
    return filter(_is_wrapped, rows)


def _is_wrapped(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get(COLUMN), bytes)


def _shown(key: Mapping[str, Any]) -> str:
    return ", ".join(each.hex() if isinstance(each, bytes) else str(each) for each in key.values())
