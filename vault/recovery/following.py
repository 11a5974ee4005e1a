"""What an older copy of the database says of people, brought up to what their recovery records say.

What has ledger entries is written again entry by entry. Contacts, choices, labels, accounts and services have none:
their records hold them as they are, and where a record is gone, what it was of was erased. Without this an older copy
would bring back an address that its holder took away, or an identity that leads to an account no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, true, update

from vault.clock import parse_rfc3339, rfc3339
from vault.db import models
from vault.db.contacts import ContactRows
from vault.db.engine import Database
from vault.matters.labels import labels_record
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.recovery.records import HeldRecords, claims, is_destruction_record, is_taken

Row = Mapping[str, Any]
# Since when a row was there, for what can be erased.
_DATES = {
    "notice_contacts": "created_at",
    "notice_choices": "changed_at",
    "accounts": "created_at",
    "account_identities": "linked_at",
}
# A transaction may have taken its time before the one that committed before it.
_SLACK = timedelta(minutes=1)
# Nobody misses them, and what was ended since must not count again.
_SHORT_LIVED = (models.sessions, models.pending_logins, models.share_tokens, models.system_tokens)


def forget_what_was_erased(connection: Connection, held: HeldRecords) -> tuple[int, list[str]]:
    """Delete rows whose records are gone or say otherwise; to be done before what is missing is written.

    Steps:
        1. Records must be whole: those of all safes are there, and every file can be read. Else nothing is deleted,
           since nobody could tell what was erased from what was lost.
        2. Sessions and tokens end: people and software log in again.
        3. Contacts, choices, labels, identities and accounts go that no record has.

    Returns:
        How many rows of step 3 went, and findings.
    """
    rows = _by_table(held)
    # 1
    safes = {row["id"] for row in rows["safes"]}
    missing = sum(1 for each in connection.scalars(select(models.safes.c.id)) if each not in safes)
    if missing or held.findings:
        why = (
            f"the recovery records of {missing} safes are not there"
            if missing
            else "not every record can be read"
        )
        return 0, [f"{why}: contacts, labels and identities erased since this copy may be back"]
    # 2
    for table in _SHORT_LIVED:
        connection.execute(delete(table))
    # 3
    gone = 0
    contacts = {row["id"] for row in rows["notice_contacts"]}
    for each in connection.scalars(select(models.notice_contacts.c.id)).all():
        if each not in contacts:
            ContactRows.drop(connection, each)
            gone += 1
    gone += _drop(connection, models.notice_choices, rows["notice_choices"], ("safe_id",))
    gone += _drop(connection, models.document_labels, rows["document_labels"], ("document_id", "label_ix"))
    gone += _drop(
        connection, models.account_identities, rows["account_identities"], ("identity_ix", "account_id")
    )
    gone += _drop(connection, models.accounts, rows["accounts"], ("id",))
    return gone, []


def follow_newer_records(connection: Connection, held: HeldRecords) -> int:
    """Change rows to what their records say; to be done after what is missing was written. Returns how many."""
    rows = _by_table(held)
    followed = _update(connection, models.notice_contacts, rows["notice_contacts"], _confirmed_since)
    for table in (models.notice_choices, models.accounts, models.account_identities, models.services):
        followed += _update(connection, table, rows[table.name], _differs)
    # A document's labels are one record: where one of them was there, none was written.
    return followed + sum(
        _insert_missing(connection, models.document_labels, row) for row in rows["document_labels"]
    )


class Erased:
    """Tells records of what was erased from those of what a copy of the database does not know yet.

    A database knew everything that is older than its last entry: what it has no more was erased, even if an older
    copy of the records still holds it.
    """

    def __init__(self, last_time: str | None, *, older: bool) -> None:
        """Take the time of the database's last entry, None for an empty one, and whether entries are missing in it."""
        self._older = older
        self._known = rfc3339(parse_rfc3339(last_time) - _SLACK) if last_time is not None else ""
        self.changes: list[Change] = []

    def hold(self, change: Change) -> bool:
        """Tell whether what a change writes must not come back where it is not there; remember that."""
        erased = self._known != "" and any(self._is_erased(table, row) for table, row in change.inserts)
        if erased:
            self.changes.append(change)
        return erased

    def _is_erased(self, table: str, row: Row) -> bool:
        if table == "document_labels":
            return not self._older  # they carry no date
        return table in _DATES and row[_DATES[table]] < self._known


def _by_table(held: HeldRecords) -> dict[str, list[Row]]:
    names = (
        "safes",
        "accounts",
        "account_identities",
        "notice_contacts",
        "notice_choices",
        "document_labels",
    )
    found: dict[str, list[Row]] = {name: [] for name in (*names, "services")}
    for change in held.registry:
        for table, row in change.inserts:
            if table in found:
                found[table].append(row)
    return found


def _drop(connection: Connection, table: Table, known: list[Row], columns: tuple[str, ...]) -> int:
    """Delete the rows that no record has, by some of their columns; return how many."""
    kept = {tuple(row[name] for name in columns) for row in known}
    gone = [
        row for row in _rows(connection, table, true()) if tuple(row[name] for name in columns) not in kept
    ]
    for row in gone:
        connection.execute(delete(table).where(_key(table, row)))
    return len(gone)


def _update(connection: Connection, table: Table, known: list[Row], newer: Callable[[Row, Row], bool]) -> int:
    followed = 0
    for row in known:
        where = _key(table, row)
        if any(newer(row, present) for present in _rows(connection, table, where)):
            connection.execute(update(table).where(where).values(dict(row)))
            followed += 1
    return followed


def _insert_missing(connection: Connection, table: Table, row: Row) -> int:
    if _rows(connection, table, _key(table, row)):
        return 0
    connection.execute(insert(table), dict(row))
    return 1


def _differs(record: Row, row: Row) -> bool:
    return any(row[name] != value for name, value in record.items())


def _confirmed_since(record: Row, row: Row) -> bool:
    """A contact's record knows nothing of codes and bounces: only a later confirmation says more than the row."""
    return (record["confirmed_at"] or "") > (row["confirmed_at"] or "")


def _key(table: Table, row: Row) -> ColumnElement[bool]:
    return and_(*(column == row[column.name] for column in table.primary_key.columns))


def _rows(connection: Connection, table: Table, where: ColumnElement[bool]) -> list[Row]:
    found = connection.execute(select(table).where(where)).mappings().all()
    return [{str(name): value for name, value in row.items()} for row in found]


def drop_records_of_erased(
    database: Database, records: RecordBook, held: HeldRecords, erased: Erased
) -> None:
    """Remove records of what was destroyed or erased, which an older copy of the record store brought back.

    With the key-encryption key they would open what the object store still keeps. What was only brought back into
    an older database is removed by the next start as well (`vault.documents.lifecycle`).

    Raises:
        storage.errors.StorageError: a record cannot be rewritten.
    """
    table = models.documents
    with database.reading() as connection:
        destroyed = set(connection.scalars(select(table.c.id).where(table.c.wrapped_key.is_(None))))

    def stays(change: Change) -> bool:
        return change.document_id not in destroyed or is_destruction_record(change)

    for name in {each.record for each in held.by_commitment.values() if not stays(each.change)}:
        records.rewrite(name, lambda data: stays(Change.decode(data)))
    for change in held.registry:
        if change.document_id in destroyed:
            records.delete(labels_record(change.document_id))
    with database.reading() as connection:
        gone = [each for each in erased.changes if not any(is_taken(connection, one) for one in claims(each))]
    for change in gone:
        tables = {table for table, _ in change.inserts}
        if "document_labels" in tables:
            records.delete(labels_record(change.document_id))
        elif tables <= {"notice_contacts", "notice_choices"}:
            records.delete(change.document_id)  # which is its name
