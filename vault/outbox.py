"""Messages that leave after the transaction that made them true; identifiers only, no personal data."""

from __future__ import annotations

import logging
import threading
from typing import Any, Protocol

import orjson
from sqlalchemy import select, update

from vault.clock import Clock, rfc3339
from vault.db import models
from vault.db.engine import Database

_BATCH = 100
_log = logging.getLogger("probans.outbox")


class Notifier(Protocol):
    """Takes one message out of the service."""

    def deliver(self, topic: str, document_id: str) -> None:
        """Deliver, or raise: the message stays and is tried again."""
        ...


class LogNotifier:
    """Writes messages to the service's log: the embedded default, where no mail gateway is set."""

    def deliver(self, topic: str, document_id: str) -> None:
        """Log the topic and the opaque document identifier."""
        _log.info("notification", extra={"topic": topic, "document": document_id})


class Rows(Protocol):
    """Takes rows of a transaction; `vault.ledger.writer.LedgerTransaction` is one."""

    def insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Write a row with the transaction."""
        ...


def announce(rows: Rows, topic: str, document_id: str, created_at: str) -> None:
    """Put a message in the outbox within the caller's transaction."""
    payload = orjson.dumps({"document": document_id}).decode()
    rows.insert("outbox", ("topic", "payload", "created_at"), (topic, payload, created_at))


def announce_matter(rows: Rows, topic: str, matter_id: str, safe_id: str, created_at: str) -> None:
    """Put a message about a matter in the outbox within the caller's transaction; it is for that safe's holder."""
    payload = orjson.dumps({"matter": matter_id, "safe": safe_id}).decode()
    rows.insert("outbox", ("topic", "payload", "created_at"), (topic, payload, created_at))


class OutboxCourier:
    """Step 8: delivers what waits, at least once, in order."""

    def __init__(self, database: Database, notifier: Notifier, clock: Clock, interval: float = 1.0) -> None:
        self._database = database
        self._notifier = notifier
        self._clock = clock
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="probans-outbox", daemon=True)

    def start(self) -> None:
        """Start delivering in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the message under way."""
        self._stop.set()
        self._thread.join()

    def deliver_waiting(self) -> int:
        """Deliver one batch, unless another process is at it; return how many messages went out."""
        with self._database.leading("outbox") as leader:
            return self._deliver_batch() if leader else 0

    def _deliver_batch(self) -> int:
        table = models.outbox
        with self._database.reading() as connection:
            query = select(table.c.id, table.c.topic, table.c.payload).where(table.c.delivered_at.is_(None))
            waiting = connection.execute(query.order_by(table.c.id).limit(_BATCH)).all()
        delivered: list[int] = []
        failed: list[int] = []
        for message, topic, payload in waiting:
            if self._stop.is_set():
                break
            try:
                subject = orjson.loads(payload)
                self._notifier.deliver(topic, subject.get("document") or subject["matter"])
                delivered.append(message)
            except Exception:  # a gateway may fail in any way; the message stays
                _log.warning("notification not delivered", extra={"topic": topic}, exc_info=False)
                failed.append(message)
                break
        if delivered or failed:
            with self._database.writing() as connection:
                if delivered:
                    stamp = {"delivered_at": rfc3339(self._clock.now())}
                    connection.execute(update(table).where(table.c.id.in_(delivered)).values(stamp))
                for message in failed:
                    connection.execute(
                        update(table).where(table.c.id == message).values(attempts=table.c.attempts + 1)
                    )
        return len(delivered)

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                while self.deliver_waiting() == _BATCH:
                    pass
            except Exception:
                _log.exception("outbox courier")
