"""Deliveries: one message to one contact each, with its attempts, until it ended. At least once, and at most once more.

What sends holds one delivery at a time: it is claimed in a transaction of its own before a word leaves, so that after a
crash the next one knows that this one may have arrived. It is sent once more, under the same Message-ID; a second
uncertainty ends it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.domain.notices import ChannelName, Event
from vault.ids import id_of, new_id

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)
GIVEN_UP_AFTER = timedelta(days=5)
# News of one kind within it reach a contact as one message: it says nothing that the second would add to.
QUIET = timedelta(minutes=15)
_MOST_UNSURE = 2
_RANDOM = secrets.SystemRandom()


class DeliveryState(StrEnum):
    """How far a delivery is; the last five are its end."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    UNSURE = "unsure"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Mailing:
    """A message to be delivered.

    Attributes:
        kind: `notice`, `digest` or `code`.
        event: what kind of news; of digests and codes, SERVICE.
        safe_id: whose holder is told.
        contact_id: where.
        channel: by what way.
        outbox_id: the message of the outbox it comes from, if it does.
        counts: of a digest, how many pieces of news by event.
    """

    kind: str
    event: Event
    safe_id: str
    contact_id: str
    channel: ChannelName
    outbox_id: int | None = None
    counts: Mapping[Event, int] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that the caller, and nobody else, is about to send.

    Attributes:
        id: `dlv_…`.
        attempts: this one counted.
        unsure: earlier attempts that may have arrived.
        created_at: since when it waits, UTC.
        mailing: what to send.
    """

    id: str
    attempts: int
    unsure: int
    created_at: datetime
    mailing: Mailing


class Deliveries:
    """Writes and claims deliveries."""

    def __init__(self, keyring: Keyring, clock: Clock, jitter: Callable[[], float] = _RANDOM.random) -> None:
        """Take what it works with.

        Args:
            keyring: derives tokens.
            clock: the service's time.
            jitter: returns a number of [0, 1), so that what failed together is not tried again together.
        """
        self._keyring = keyring
        self._clock = clock
        self._jitter = jitter

    def token(self, delivery_id: str) -> str:
        """Return the opaque token under which a bounce of this delivery comes back, the same at each attempt."""
        return id_of("t", self._keyring.index("bounce-token", delivery_id))[2:]

    def message_id(self, delivery_id: str) -> str:
        """Return what names this message to those who carry it, the same at each attempt."""
        return self._keyring.index("message-id", delivery_id)[:16].hex()

    def add(self, connection: Connection, mailing: Mailing) -> str:
        """Have a message delivered, within the caller's write transaction; return the delivery's identifier."""
        delivery_id = new_id("dlv")
        now = rfc3339(self._clock.now())
        counts = mailing.counts
        row = {
            "id": delivery_id,
            "outbox_id": mailing.outbox_id,
            "safe_id": mailing.safe_id,
            "contact_id": mailing.contact_id,
            "channel": mailing.channel.value,
            "kind": mailing.kind,
            "event": mailing.event.value,
            "counts": None
            if counts is None
            else orjson.dumps({k.value: n for k, n in counts.items()}).decode(),
            "state": DeliveryState.WAITING.value,
            "attempts": 0,
            "unsure": 0,
            "created_at": now,
            "next_try_at": self._begins(connection, mailing, now),
            "token_ix": self._keyring.index("bounce", self.token(delivery_id)),
        }
        connection.execute(insert(models.deliveries), row)
        return delivery_id

    def is_said_already(self, connection: Connection, contact_id: str, event: Event) -> bool:
        """Tell whether a message that says the same to the same contact waits for its first attempt."""
        table = models.deliveries
        query = select(func.count()).where(
            table.c.contact_id == contact_id,
            table.c.event == event.value,
            table.c.kind == "notice",
            table.c.state == DeliveryState.WAITING.value,
            table.c.attempts == 0,
        )
        return bool(connection.scalar(query))

    def has_due(self, connection: Connection, channel: ChannelName) -> bool:
        """Tell whether there is anything to send by a channel now."""
        table = models.deliveries
        now = rfc3339(self._clock.now())
        query = select(func.count()).where(table.c.channel == channel.value, table.c.next_try_at <= now)
        return bool(connection.scalar(query))

    def claim(self, connection: Connection, channel: ChannelName, lease: timedelta) -> Claim | None:
        """Take the delivery that is due longest, within a write transaction; None when there is none.

        What another one claimed longer ago than its lease may have arrived, and nobody will say. It is taken over once.

        Args:
            connection: in a write transaction.
            channel: by what way.
            lease: longer than an attempt takes.
        """
        table = models.deliveries
        now = self._clock.now()
        while True:
            query = (
                select(table)
                .where(table.c.channel == channel.value, table.c.next_try_at <= rfc3339(now))
                .order_by(table.c.next_try_at, table.c.id)
                .limit(1)
            )
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            unsure = row["unsure"] + (row["state"] == DeliveryState.SENDING.value)
            if unsure >= _MOST_UNSURE:
                self._write(connection, row["id"], _ended(DeliveryState.UNSURE, "INTERRUPTED", now))
                continue
            try:
                mailing = _mailing(row)
            except (ValueError, TypeError, AttributeError):
                self._write(connection, row["id"], _ended(DeliveryState.FAILED, "ROW_DAMAGED", now))
                continue
            values = {
                "state": DeliveryState.SENDING.value,
                "attempts": row["attempts"] + 1,
                "unsure": unsure,
                "next_try_at": rfc3339(now + lease),
            }
            self._write(connection, row["id"], values)
            return Claim(row["id"], row["attempts"] + 1, unsure, parse_rfc3339(row["created_at"]), mailing)

    def end(self, connection: Connection, claim: Claim, state: DeliveryState, code: str) -> None:
        """Note that a delivery has ended."""
        self._write(connection, claim.id, _ended(state, code, self._clock.now()), claim.attempts)

    def again(self, connection: Connection, claim: Claim, code: str, *, unsure: bool = False) -> None:
        """Have a delivery tried later, or end it when it waited too long or may have arrived twice."""
        now = self._clock.now()
        doubts = claim.unsure + unsure
        values: Mapping[str, Any]
        if doubts >= _MOST_UNSURE:
            values = _ended(DeliveryState.UNSURE, code, now)
        elif now - claim.created_at >= GIVEN_UP_AFTER:
            values = _ended(DeliveryState.EXPIRED, code, now)
        else:
            values = {
                "state": DeliveryState.WAITING.value,
                "unsure": doubts,
                "next_try_at": rfc3339(now + self.wait(claim.attempts)),
                "last_code": code,
            }
        self._write(connection, claim.id, values, claim.attempts)

    def put_back(self, connection: Connection, claim: Claim, code: str, wait: timedelta) -> None:
        """Have a delivery wait for its way to open again; the attempt does not count against it."""
        now = self._clock.now()
        values = (
            _ended(DeliveryState.EXPIRED, code, now)
            if now - claim.created_at >= GIVEN_UP_AFTER
            else {
                "state": DeliveryState.WAITING.value,
                "attempts": claim.attempts - 1,
                "next_try_at": rfc3339(now + wait),
                "last_code": code,
            }
        )
        self._write(connection, claim.id, values, claim.attempts)

    def wait(self, failures: int) -> timedelta:
        """Return how long to wait after so many failures: from a minute on doubling up to six hours, ± 50 %."""
        doubled = _FIRST_WAIT * (1 << min(failures - 1, 16))
        return min(doubled, _LONGEST_WAIT) * (0.5 + self._jitter())

    def codes_since(self, connection: Connection, safe_id: str, since: str) -> int:
        """Return how many codes a safe had sent since an RFC 3339 time."""
        table = models.deliveries
        query = select(func.count()).where(
            table.c.safe_id == safe_id, table.c.kind == "code", table.c.created_at > since
        )
        return connection.scalar(query) or 0

    @staticmethod
    def prune(connection: Connection, before: str) -> None:
        """Delete what ended before an RFC 3339 time."""
        table = models.deliveries
        connection.execute(delete(table).where(table.c.ended_at < before))

    def _begins(self, connection: Connection, mailing: Mailing, now: str) -> str:
        """Return when a message may leave: reminders and codes at once, news not right after others of their kind."""
        if mailing.kind != "notice" or mailing.event is Event.REMINDER:
            return now
        table = models.deliveries
        last = connection.scalar(
            select(func.max(table.c.ended_at)).where(
                table.c.contact_id == mailing.contact_id,
                table.c.event == mailing.event.value,
                table.c.kind == "notice",
                table.c.state == DeliveryState.SENT.value,
            )
        )
        return now if last is None else max(now, rfc3339(parse_rfc3339(last) + QUIET))

    @staticmethod
    def _write(
        connection: Connection, delivery_id: str, values: Mapping[str, Any], attempts: int | None = None
    ) -> None:
        """Change a row; with `attempts`, only while nobody else claimed it since."""
        table = models.deliveries
        statement = update(table).where(table.c.id == delivery_id, table.c.ended_at.is_(None))
        if attempts is not None:
            statement = statement.where(table.c.attempts == attempts)
        connection.execute(statement.values(dict(values)))


def _mailing(row: RowMapping) -> Mailing:
    counts = None if row["counts"] is None else orjson.loads(row["counts"])
    return Mailing(
        kind=row["kind"],
        event=Event(row["event"]),
        safe_id=row["safe_id"],
        contact_id=row["contact_id"],
        channel=ChannelName(row["channel"]),
        outbox_id=row["outbox_id"],
        counts=None if counts is None else {Event(name): int(count) for name, count in counts.items()},
    )


def _ended(state: DeliveryState, code: str, now: datetime) -> Mapping[str, Any]:
    return {"state": state.value, "next_try_at": None, "ended_at": rfc3339(now), "last_code": code[:40]}
