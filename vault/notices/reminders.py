"""Reminders: at its time, each becomes a message like any other, unless it says nothing any more by then.

Those who plan them write rows: with `remind` in a transaction, or with `reminder_row` among the inserts of a
`vault.records.changes.Change`, so that recovery writes them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from vault.clock import Clock, rfc3339
from vault.db import models
from vault.domain.notices import Notice, payload
from vault.ids import new_id

TABLE = "reminders"
_BATCH = 100
_KEPT = timedelta(days=30)


class ReminderKind(StrEnum):
    """What somebody is reminded of."""

    APPOINTMENT = "appointment"
    DEADLINE = "deadline"


def reminder_row(
    *, safe_id: str, matter_id: str, kind: ReminderKind, due_at: datetime, until: datetime | None = None
) -> Mapping[str, Any]:
    """Return the row of a reminder.

    Args:
        safe_id: whose holder is reminded.
        matter_id: of what.
        kind: what it is.
        due_at: when to remind, UTC.
        until: from when on it says nothing any more (the appointment itself), UTC; a day after `due_at` when None.
    """
    return {
        "id": new_id("rmd"),
        "safe_id": safe_id,
        "matter_id": matter_id,
        "kind": kind.value,
        "due_at": rfc3339(due_at),
        "until": rfc3339(until or due_at + timedelta(days=1)),
        "done_at": None,
    }


def remind(
    connection: Connection,
    *,
    safe_id: str,
    matter_id: str,
    kind: ReminderKind,
    due_at: datetime,
    until: datetime | None = None,
) -> str:
    """Plan a reminder within the caller's write transaction (`tx.connection` of a ledger's); return its identifier.

    Args:
        connection: in a write transaction.
        safe_id: as in `reminder_row`, like those that follow.
        matter_id: of what.
        kind: what it is.
        due_at: when to remind.
        until: from when on it says nothing any more.
    """
    row = reminder_row(safe_id=safe_id, matter_id=matter_id, kind=kind, due_at=due_at, until=until)
    connection.execute(insert(models.reminders), dict(row))
    return str(row["id"])


def cancel_reminders(connection: Connection, matter_id: str) -> int:
    """Drop what is still to come about a matter, within the caller's write transaction; return how many."""
    table = models.reminders
    statement = delete(table).where(table.c.matter_id == matter_id, table.c.done_at.is_(None))
    return connection.execute(statement).rowcount


def has_due(connection: Connection, clock: Clock) -> bool:
    """Tell whether a reminder's time has come."""
    table = models.reminders
    query = select(table.c.id).where(table.c.done_at.is_(None), table.c.due_at <= rfc3339(clock.now()))
    return connection.execute(query.limit(1)).first() is not None


def release(connection: Connection, clock: Clock) -> int:
    """Put the reminders whose time has come in the outbox, within a write transaction; return how many.

    One that comes too late, since the service stood still or its database was rebuilt, is noted as done in silence.
    """
    table, now = models.reminders, rfc3339(clock.now())
    query = select(table).where(table.c.done_at.is_(None), table.c.due_at <= now).order_by(table.c.due_at)
    released = 0
    for row in connection.execute(query.limit(_BATCH)).mappings().all():
        if row["until"] > now:
            notice = Notice(f"reminder.{row['kind']}", matter_id=row["matter_id"], safe_id=row["safe_id"])
            message = {"topic": notice.topic, "payload": payload(notice), "created_at": now}
            connection.execute(insert(models.outbox), message)
            released += 1
        connection.execute(update(table).where(table.c.id == row["id"]).values(done_at=now))
    connection.execute(delete(table).where(table.c.done_at < rfc3339(clock.now() - _KEPT)))
    return released
