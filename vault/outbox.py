"""Messages that leave after the transaction that made them true; identifiers only, no personal data.

Step 8 of the pipeline. The courier turns what waits in the outbox into deliveries, digests and reminders' news: work on
the database alone, which no slow gateway holds up. `vault.notices.postman` sends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from vault.clock import Clock, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.domain.notices import Notice, payload, read_payload
from vault.ids import new_id
from vault.notices.deliveries import Deliveries, DeliveryState
from vault.tasks.runner import Task

_BATCH = 100
_KEPT = timedelta(days=30)
_PRUNED_EVERY = timedelta(hours=1)
_log = logging.getLogger("probans.outbox")


class Notifier(Protocol):
    """Is told of each message, as it is handed on."""

    def deliver(self, topic: str, subject_id: str) -> None:
        """Take the topic and the opaque identifier of a document or matter."""
        ...


class LogNotifier:
    """Writes messages to the service's log: the embedded default, where no gateway is set."""

    def deliver(self, topic: str, subject_id: str) -> None:
        """Log the topic and the opaque identifier of the document or matter."""
        _log.info("notification", extra={"topic": topic, "document": subject_id})


class Spreading(Protocol):
    """Decides who is told of a notice, and how."""

    def spread(self, connection: Connection, outbox_id: int, notice: Notice) -> None:
        """Write deliveries and digest items within the caller's transaction."""
        ...

    def concerned(self, connection: Connection, notices: Mapping[int, Notice]) -> Set[int]:
        """Return which of some notices, by number, anybody may have to be told of; `spread` decides about those."""
        ...

    def has_due(self, connection: Connection) -> bool:
        """Tell whether the clock alone makes anything due."""
        ...

    def tick(self, connection: Connection) -> None:
        """Write what is due by the clock alone: digests, reminders."""
        ...


class Rows(Protocol):
    """Takes rows of a transaction; `vault.ledger.writer.LedgerTransaction` is one."""

    def insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Write a row with the transaction."""
        ...


def announce(rows: Rows, topic: str, document_id: str, created_at: str) -> None:
    """Put a message in the outbox within the caller's transaction; it is for the holder of the document's safe."""
    _put(rows, Notice(topic, document_id=document_id), created_at)


def announce_matter(rows: Rows, topic: str, matter_id: str, safe_id: str, created_at: str) -> None:
    """Put a message about a matter in the outbox within the caller's transaction; it is for that safe's holder."""
    _put(rows, Notice(topic, matter_id=matter_id, safe_id=safe_id), created_at)


def _put(rows: Rows, notice: Notice, created_at: str) -> None:
    rows.insert("outbox", ("topic", "payload", "created_at"), (notice.topic, payload(notice), created_at))


class OutboxCourier:
    """Hands on what waits, in order, each message once; one that cannot be handed on does not hold up the others."""

    def __init__(
        self,
        database: Database,
        spreading: Spreading,
        clock: Clock,
        notifier: Notifier | None = None,
        interval: float = 1.0,
    ) -> None:
        """Take what it works with.

        Args:
            database: holds the outbox.
            spreading: decides who is told.
            clock: the service's time.
            notifier: told of everything besides; None: nobody.
            interval: seconds between looks.
        """
        self._database = database
        self._spreading = spreading
        self._clock = clock
        self._notifier = notifier
        self._interval = interval
        self._pruned_at = ""

    @property
    def task(self) -> Task:
        """The courier, as it runs in the background."""
        return Task("outbox", self.deliver_waiting, self._interval, full=_BATCH)

    def deliver_waiting(self) -> int:
        """Hand on one batch, unless another process is at it; return how many messages it had.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        with self._database.leading("outbox") as leader:
            if not leader:
                return 0
            done = self._hand_on()
            self._keep_time()
            return done

    def _hand_on(self) -> int:
        table = models.outbox
        query = select(table).where(table.c.delivered_at.is_(None)).order_by(table.c.id).limit(_BATCH)
        with self._database.reading() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return 0
        now = rfc3339(self._clock.now())
        with self._database.writing() as connection:
            # Read here: a leader that lost its connection may not know yet that there is another one.
            waiting: Sequence[RowMapping] = connection.execute(query).mappings().all()
            codes = self._together(connection, waiting)
            if codes is None:
                codes = {row["id"]: self._one(connection, row) for row in waiting}
            done = update(table).where(table.c.id.in_([row["id"] for row in waiting]))
            connection.execute(done.values({"delivered_at": now, "attempts": table.c.attempts + 1}))
            for number, code in codes.items():
                if code:
                    connection.execute(insert(models.deliveries), _refused(number, code, now))
        return len(waiting)

    def _together(self, connection: Connection, waiting: Sequence[RowMapping]) -> dict[int, str] | None:
        """Hand messages on in one savepoint; None, with nothing done, when one stood in the way of the others."""
        try:
            with connection.begin_nested():
                notices = {row["id"]: read_payload(row["topic"], row["payload"]) for row in waiting}
                # Most holders have given no address: they are passed over with one look for all.
                for number in sorted(self._spreading.concerned(connection, notices)):
                    self._spreading.spread(connection, number, notices[number])
        except DBAPIError:
            raise  # the database is at fault, not a message: all wait
        except Exception:  # whatever it is, it is found again, and said, one by one
            return None
        return {number: self._told(number, notice) for number, notice in notices.items()}

    def _told(self, number: int, notice: Notice) -> str:
        """Tell the notifier of a message that was handed on; return why it could not be told, or ""."""
        if self._notifier is None:
            return ""
        try:
            self._notifier.deliver(notice.topic, notice.subject_id)
        except Exception as error:  # whatever is wrong with one message, the others leave
            return _said(number, error)
        return ""

    def _one(self, connection: Connection, row: RowMapping) -> str:
        """Hand one message on; return why it cannot be, or ""."""
        try:
            with connection.begin_nested():
                notice = read_payload(row["topic"], row["payload"])
                self._spreading.spread(connection, row["id"], notice)
                if self._notifier is not None:
                    self._notifier.deliver(notice.topic, notice.subject_id)
        except DBAPIError:
            raise  # the database is at fault, not the message: all wait
        except Exception as error:  # whatever is wrong with one message, the others leave
            return _said(row["id"], error)
        return ""

    def _keep_time(self) -> None:
        now = self._clock.now()
        with self._database.reading() as connection:
            due = self._spreading.has_due(connection)
        old = rfc3339(now - _PRUNED_EVERY) >= self._pruned_at
        if not (due or old):
            return
        with self._database.writing() as connection:
            self._spreading.tick(connection)
            before, table = rfc3339(now - _KEPT), models.outbox
            Deliveries.prune(connection, before)
            connection.execute(delete(table).where(table.c.delivered_at < before))
        self._pruned_at = rfc3339(now)


def _said(number: int, error: Exception) -> str:
    """Log that a message cannot be handed on; return the code."""
    code = str(getattr(error, "code", None) or "PAYLOAD_INVALID")
    _log.error("message cannot be handed on", extra={"outbox": number, "code": code})
    return code


def _refused(outbox_id: int, code: str, now: str) -> dict[str, Any]:
    """Return the row that says that a message could not be handed on."""
    delivery_id = new_id("dlv")
    return {
        "id": delivery_id,
        "outbox_id": outbox_id,
        "channel": "",
        "kind": "notice",
        "event": "",
        "state": DeliveryState.FAILED.value,
        "attempts": 0,
        "unsure": 0,
        "created_at": now,
        "ended_at": now,
        "last_code": code[:40],
        "token_ix": delivery_id.encode()[:32],
    }
