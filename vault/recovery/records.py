"""What the recovery files hold, sorted for `vault.recovery.rebuilding` and for the sweep at start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table, UniqueConstraint, and_, exists, select

from storage.errors import StorageError
from vault.db import models
from vault.errors import LedgerError
from vault.records.book import RecordBook
from vault.records.changes import SEQ, Change
from vault.scanning.rows import is_verdict

DESTROYED = "document.destroyed"
_GROUP = re.compile(r"(\d{16})-.+")


@dataclass(frozen=True, slots=True)
class Held:
    """A change with the recovery file it lies in."""

    record: str
    change: Change


@dataclass(slots=True)
class HeldRecords:
    """Everything that could be read.

    Attributes:
        by_commitment: changes of ledger entries, in the order of their files.
        registry: changes without entry: safes and administrations.
        verdicts: what the antivirus said, oldest first.
        findings: files that could not be read, one sentence each.
    """

    by_commitment: dict[bytes, Held] = field(default_factory=dict)
    registry: list[Change] = field(default_factory=list)
    verdicts: list[Change] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def safes_in_use(self) -> set[str]:
        """Return the safes that documents name."""
        return {
            row["safe_id"]
            for held in self.by_commitment.values()
            for table, row in (*held.change.inserts, *held.change.remains)
            if table in {"documents", "matters"}
        }


def read_records(book: RecordBook) -> HeldRecords:
    """Read every recovery file; one that is damaged is a finding."""
    held = HeldRecords()
    for name in book.names():
        try:
            changes = [Change.decode(data) for data in book.read(name)]
        except (StorageError, LedgerError) as error:
            held.findings.append(f"recovery file {name} cannot be read: {error.code}")
            continue
        for change in changes:
            if change.tag:
                # A recovery that was cut short may have left a change in its old file too: the newer counts.
                held.by_commitment.pop(change.commitment, None)
                held.by_commitment[change.commitment] = Held(name, change)
            elif is_verdict(change):
                held.verdicts.append(change)
            else:
                held.registry.append(change)
    return held


def group_start(name: str) -> int | None:
    """Return the size of the ledger when the group of a recovery file began; None for other files."""
    match = _GROUP.fullmatch(name)
    return int(match[1]) if match else None


def record_names_in_use(connection: Connection) -> set[str]:
    """Return the recovery files that entries of documents and matters name."""
    tables = (models.document_entries, models.matter_entries)
    return {name for table in tables for name in connection.scalars(select(table.c.record).distinct())}


def creates_document(change: Change) -> bool:
    """Tell whether a change brings a document into being."""
    return any(table == "documents" for table, _ in change.inserts)


def is_destruction_record(change: Change) -> bool:
    """Tell whether a change is the destruction of a document."""
    return any(row.get("event") == DESTROYED for _, row in change.inserts)


def with_remains(change: Change) -> Change:
    """Return a destruction that also writes what the database keeps of a document whose own records are gone."""
    return replace(change, inserts=(*change.remains, *change.inserts), remains=())


Claim = tuple[str, tuple[str, ...], tuple[Any, ...]]


def claims(change: Change) -> Iterator[Claim]:
    """Yield (table, columns, values) that no two rows may share, for every row of a change."""
    for name, row in change.inserts:
        table = models.metadata.tables[name]
        for columns in _unique(table):
            values = tuple(row.get(column) for column in columns)
            if None not in values and SEQ not in values:
                yield name, columns, values


def is_taken(connection: Connection, claim: Claim) -> bool:
    """Tell whether a row with these values stands in the database."""
    name, columns, values = claim
    table = models.metadata.tables[name]
    where = (table.c[column] == value for column, value in zip(columns, values, strict=True))
    return bool(connection.scalar(select(exists().where(and_(*where)))))


def lacks_parent(connection: Connection, change: Change) -> bool:
    """Tell whether a row of a change names a safe, administration or document that is not there."""
    own = {(name, "id", row.get("id")) for name, row in change.inserts}
    for name, row in change.inserts:
        for key in models.metadata.tables[name].foreign_keys:
            value, target = row.get(key.parent.name), key.column
            claim = (target.table.name, target.name, value)
            if value is None or claim in own:
                continue
            if not is_taken(connection, (target.table.name, (target.name,), (value,))):
                return True
    return False


def _unique(table: Table) -> Iterator[tuple[str, ...]]:
    yield tuple(column.name for column in table.primary_key.columns)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield tuple(column.name for column in constraint.columns)
