"""What monitoring asks about work that waits; one answer whichever process gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, select

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.domain.notices import ChannelName
from vault.domain.states import Reception, Scan, Sealing
from vault.notices.deliveries import DeliveryState

#: What there is more of is not counted: a scrape must not cost more the worse things are.
MOST = 10_000
_LATELY = timedelta(days=1)
_ENDS = (DeliveryState.BOUNCED, DeliveryState.EXPIRED, DeliveryState.UNSURE, DeliveryState.FAILED)


@dataclass(frozen=True, slots=True)
class Queue:
    """Things that wait.

    Attributes:
        size: how many, up to 10,000.
        age: seconds for which the first of them waits; None when there is none.
    """

    size: int
    age: float | None


@dataclass(frozen=True, slots=True)
class WorkFigures:
    """Work that waits, and what failed of it.

    Attributes:
        sealing: documents that were received without a seal.
        outbox: messages nobody has been told of.
        letters: by channel, messages that are to leave.
        failed: by how they ended, messages that did not arrive, among the last 10,000 of the last 24 hours.
        scans: by verdict, documents that wait for the antivirus or are kept from everybody, up to 10,000 each.
        tasks: by name, when workers last did a task well; empty where every process does them itself.
    """

    sealing: Queue
    outbox: Queue
    letters: Mapping[str, Queue]
    failed: Mapping[str, int]
    scans: Mapping[str, int]
    tasks: Mapping[str, datetime]


def work_figures(database: Database, clock: Clock) -> WorkFigures:
    """Read the figures. Raises Unavailable."""
    now = clock.now()
    documents, outbox, letters, scans = (
        models.documents,
        models.outbox,
        models.deliveries,
        models.document_scans,
    )
    waiting = (
        documents.c.sealing == Sealing.WAITING.value,
        documents.c.reception == Reception.RECEIVED.value,
        documents.c.wrapped_key.is_not(None),
    )
    with database.reading() as connection:
        return WorkFigures(
            sealing=_queue(connection, now, documents.c.created_at, documents.c.first_seq, *waiting),
            outbox=_queue(connection, now, outbox.c.created_at, outbox.c.id, outbox.c.delivered_at.is_(None)),
            letters={
                channel.value: _queue(
                    connection,
                    now,
                    letters.c.created_at,
                    letters.c.next_try_at,
                    letters.c.channel == channel.value,
                    letters.c.next_try_at.is_not(None),
                )
                for channel in ChannelName
            },
            failed=_failed(connection, rfc3339(now - _LATELY)),
            scans={
                verdict.value: _count(connection, scans.c.document_id, scans.c.verdict == verdict.value)
                for verdict in (Scan.PENDING, Scan.INFECTED)
            },
            tasks=_tasks(connection),
        )


def _count(connection: Connection, column: Column[Any], *where: ColumnElement[bool]) -> int:
    some = select(column).where(*where).limit(MOST).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def _queue(
    connection: Connection,
    now: datetime,
    since: Column[Any],
    order: Column[Any],
    *where: ColumnElement[bool],
) -> Queue:
    """Count what waits, and find the oldest of the first 10,000 by an order that has an index."""
    some = select(since.label("since")).where(*where).order_by(order).limit(MOST).subquery()
    found = connection.execute(select(func.count(), func.min(some.c.since)).select_from(some)).one()
    oldest = None if found[1] is None else max(0.0, (now - parse_rfc3339(found[1])).total_seconds())
    return Queue(found[0], oldest)


def _failed(connection: Connection, since: str) -> Mapping[str, int]:
    table = models.deliveries
    ended = select(table.c.state).where(table.c.ended_at > since).order_by(table.c.ended_at.desc())
    some = ended.limit(MOST).subquery()
    rows = connection.execute(select(some.c.state, func.count()).group_by(some.c.state))
    found = {row[0]: row[1] for row in rows}
    return {end.value: found.get(end.value, 0) for end in _ENDS}


def _tasks(connection: Connection) -> Mapping[str, datetime]:
    table = models.task_runs
    rows = connection.execute(select(table.c.name, table.c.succeeded_at).order_by(table.c.name))
    return {name: parse_rfc3339(at) for name, at in rows if at is not None}
