"""What an older copy of the database says of people, brought up to what their recovery records say.

What has ledger entries is written again entry by entry. Contacts, choices, labels, accounts and services have none:
their records hold them as they are, and where a record is gone, what it was of was erased. Without this an older copy
would bring back an address that its holder took away, or an identity that leads to an account no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, true, update

from vault.db import models
from vault.db.contacts import ContactRows
from vault.recovery_records import HeldRecords

Row = Mapping[str, Any]
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
