"""Opens a safe within a transaction, its recovery record first."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from vault.core import faults
from vault.db.repositories import Safes
from vault.ids import new_id
from vault.records.book import RecordBook
from vault.records.changes import Change


def open_safe_within(
    connection: Connection,
    records: RecordBook,
    safes: Safes,
    holder: str,
    name: str,
    now: str,
    company: Mapping[str, str] | None = None,
) -> str:
    """Open a holder's safe, or return the one there is.

    Args:
        connection: a write transaction: its turn keeps two openings for one holder apart.
        records: where the recovery record goes, durable before the caller commits.
        safes: finds and makes rows.
        holder: the holder's identifier.
        name: the holder's name.
        now: RFC 3339 time of the opening.
        company: register and number of a company; None: a person.

    Returns:
        The safe's identifier.

    Raises:
        storage.errors.StorageUnavailable: the record cannot be written; the transaction must not commit.
    """
    if (safe_id := safes.of_holder(connection, holder)) is not None:
        return safe_id
    safe_id = new_id("safe")
    change = Change(
        safe_id, b"", b"", inserts=(("safes", safes.new_row(safe_id, holder, name, now, company)),)
    )
    records.add(safe_id, [change.encode()])
    faults.point("safes.recorded")
    change.apply(connection, 0, safe_id)
    return safe_id
