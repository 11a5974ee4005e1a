"""Rows of what the antivirus said, and their recovery records.

A verdict makes no ledger entry: it is an engine's opinion of a day, not an event of the document, and would go out
with every bundle for ever. Its recovery record is a file for each round of the antivirus, which holds identifiers and
verdicts alone. A round that changed nothing has none: what it said can be said again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from vault.db.models import document_scans, documents
from vault.domain.states import SCAN, Scan, Sealing, Status
from vault.errors import Conflict
from vault.ids import new_id
from vault.records.changes import Change
from vault.scanning.base import Reason, Verdict

_PAGE, _PAGES = 500, 20


def scan_row(document_id: str, verdict: Verdict, looked_at: str) -> tuple[str, Mapping[str, Any]]:
    """Return table and row of a verdict.

    Args:
        document_id: the document.
        verdict: what is known of it.
        looked_at: RFC 3339 time of the look, or of the try.
    """
    row = {
        "document_id": document_id,
        "verdict": verdict.scan.value,
        "engine": verdict.engine,
        "looked_at": looked_at,
        "reason": verdict.reason,
        "found": verdict.found,
    }
    return document_scans.name, row


def move_scan(current: Scan, wanted: Scan) -> Scan:
    """Return `wanted` when the table of transitions allows it. Raises Conflict(STATE_CONFLICT)."""
    if wanted not in SCAN[current]:
        raise Conflict("STATE_CONFLICT", current=current.value, wanted=wanted.value)
    return wanted


def verdict_change(document_id: str, verdict: Verdict, looked_at: str) -> Change:
    """Return the change of a document's verdict; `write_verdict` applies it."""
    return Change(
        document_id,
        b"",
        b"",
        inserts=(scan_row(document_id, verdict, looked_at),),
        updates=(("documents", {"id": document_id}, {"scan": verdict.scan.value}),),
    )


def is_verdict(change: Change) -> bool:
    """Tell whether a recovery record is one of a verdict."""
    return not change.tag and any(table == document_scans.name for table, _ in change.inserts)


def write_verdict(connection: Connection, change: Change) -> None:
    """Write a verdict in place of the one before; nothing where the document is gone."""
    alive = select(documents.c.id).where(
        documents.c.id == change.document_id, documents.c.status != Status.DESTROYED.value
    )
    if connection.scalar(alive) is not None:
        drop_row(connection, change.document_id)
        change.apply(connection, 0, "")


def record_name(looked_at: str) -> str:
    """Return a name for a round's recovery file: in the order of time."""
    return f"scans-{re.sub('[^0-9]', '', looked_at)}-{new_id('rnd')}"


def keep_verdict(
    connection: Connection, document_id: str, current: Scan, verdict: Verdict, looked_at: str
) -> None:
    """Write down a look that did not change the verdict: by what signatures, or why there was none."""
    values = {"verdict": current.value, "looked_at": looked_at, "reason": verdict.reason}
    if verdict.reason != Reason.DOWN:
        values["engine"] = verdict.engine
    if not verdict.reason:
        values["found"] = verdict.found
    table = document_scans
    done = connection.execute(update(table).where(table.c.document_id == document_id).values(values))
    if done.rowcount == 0:
        row = {"document_id": document_id, "engine": "", "found": "", **values}
        connection.execute(insert(table), row)


def last_look(connection: Connection, document_id: str) -> tuple[str, str] | None:
    """Return by what signatures a document was looked at last, and when; None: never."""
    table = document_scans.c
    row = connection.execute(
        select(table.engine, table.looked_at).where(table.document_id == document_id)
    ).first()
    return None if row is None else (row.engine, row.looked_at)


def drop_row(connection: Connection, document_id: str) -> None:
    """Remove the row of a document that is gone."""
    connection.execute(delete(document_scans).where(document_scans.c.document_id == document_id))


def due(
    connection: Connection, engine: str, tried_before: str, rescans: int, limit: int
) -> Sequence[tuple[str, bool]]:
    """Return documents to look at: those that wait, then those judged with other signatures, longest ago first.

    Args:
        connection: in a read transaction.
        engine: what the engine is now.
        tried_before: RFC 3339 time; what these very signatures could not judge is tried again after it.
        rescans: how many of those that have a verdict.
        limit: how many in all.

    Returns:
        Identifiers, each with whether it had a verdict.
    """
    table = document_scans.c
    other = (table.engine < engine, table.engine > engine)
    found: list[tuple[str, bool]] = []

    def take(verdict: Scan, where: ColumnElement[bool], most: int, *, judged: bool) -> None:
        query = select(table.document_id).where(table.verdict == verdict.value, where)
        query = query.order_by(table.engine, table.looked_at).limit(max(0, most))
        found.extend((each, judged) for each in connection.scalars(query))

    for verdict in (Scan.PENDING, Scan.UNSCANNED):
        again = and_(table.engine == engine, table.looked_at < tried_before)
        take(verdict, or_(*other, again), limit - len(found), judged=False)
    waiting = len(found)
    # One range of the index each.
    for verdict in (Scan.INFECTED, Scan.CLEAN):
        for where in other:
            take(verdict, where, min(limit, waiting + rescans) - len(found), judged=True)
    return found


def unseen(connection: Connection, after: int, limit: int) -> tuple[Sequence[tuple[str, int]], int | None]:
    """Return documents that came while there was no antivirus, in order of reception, with their first entries.

    Sealed ones are walked, page by page on their index, since they may be few among millions.

    Args:
        connection: in a read transaction.
        after: first entry of the last one that was seen; -1 to begin.
        limit: how many.

    Returns:
        What was found, and where the walk stands; None at its end.
    """
    table = documents.c
    found: list[tuple[str, int]] = []
    for _ in range(_PAGES):
        query = (
            select(table.id, table.first_seq, table.scan, table.status)
            .where(table.sealing == Sealing.SEALED.value, table.first_seq > after)
            .order_by(table.first_seq)
            .limit(_PAGE)
        )
        page = connection.execute(query).all()
        candidates = {
            row.id: row.first_seq
            for row in page
            if row.scan == Scan.UNSCANNED.value and row.status != Status.DESTROYED.value
        }
        rows = select(document_scans.c.document_id).where(document_scans.c.document_id.in_(candidates))
        known = set(connection.scalars(rows)) if candidates else set()
        for document_id, first_seq in candidates.items():
            if document_id not in known:
                found.append((document_id, first_seq))
            if len(found) == limit:
                return found, first_seq
        if len(page) < _PAGE:
            return found, None
        after = page[-1].first_seq
    return found, after


def count(connection: Connection, verdict: Scan, most: int) -> int:
    """Return how many documents have a verdict, counted up to a number."""
    table = document_scans.c
    query = select(table.document_id).where(table.verdict == verdict.value).limit(most)
    return len(connection.scalars(query).all())
