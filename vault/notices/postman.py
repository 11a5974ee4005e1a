"""Sends deliveries by one channel, a task of its own: a slow gateway holds up its own letters and nothing else."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vault.clock import Clock
from vault.core import faults
from vault.db.contacts import ContactRows
from vault.db.engine import Database
from vault.domain.contacts import Contact, ContactState
from vault.domain.notices import Bounced, Channel, ChannelDown, ChannelName, Deferred, Letter, Unsure, Words
from vault.notices.bounces import note_bounce
from vault.notices.deliveries import Claim, Deliveries, DeliveryState
from vault.notices.texts import code_words, digest_words, news_words
from vault.tasks.runner import Task

_ROUND = 200
_MARGIN = timedelta(seconds=60)
_log = logging.getLogger("probans.notices")


class Postman:
    """One channel's letters; of all processes one works at a time."""

    def __init__(
        self,
        database: Database,
        rows: ContactRows,
        deliveries: Deliveries,
        channel: Channel,
        name: ChannelName,
        clock: Clock,
        *,
        link: str,
        doubt_after: int,
        interval: float = 1.0,
    ) -> None:
        """Take what it works with.

        Args:
            database: holds what waits.
            rows: opens addresses.
            deliveries: claims and ends.
            channel: what sends.
            name: which channel that is.
            clock: the service's time.
            link: the service's address, said in every letter.
            doubt_after: lasting refusals after which a contact is in doubt.
            interval: seconds between looks.
        """
        self._database = database
        self._rows = rows
        self._deliveries = deliveries
        self._channel = channel
        self._name = name
        self._clock = clock
        self._link = link
        self._doubt_after = doubt_after
        self._interval = interval
        self._failures = 0
        self._closed_until: datetime | None = None
        self._stop = threading.Event()

    @property
    def task(self) -> Task:
        """The postman, as it runs in the background; a round may take the longest time of each of its letters."""
        limit = _ROUND * (self._channel.longest_s + _MARGIN.total_seconds())
        return Task(f"letters-{self._name.value}", self.send_due, self._interval, limit, stop=self.close)

    def close(self) -> None:
        """Stop after the letter under way, for good."""
        self._stop.set()

    def send_due(self) -> int:
        """Send what is due, unless another process is at it; return how many letters left.

        Steps, for each:
            1. Claimed in a transaction: from here on it may have left.
            2. Sent.
            3. Noted in another transaction. After a crash before it, the letter leaves once more.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        if self._closed_until is not None and self._clock.now() < self._closed_until:
            return 0
        sent = 0
        with self._database.leading(f"outbox-{self._name.value}") as leader:
            if not leader:
                return 0
            try:
                for _ in range(_ROUND):
                    with self._database.reading() as connection:
                        due = self._deliveries.has_due(connection, self._name)
                    if not due or self._stop.is_set():
                        break
                    outcome = self._one()
                    sent += outcome is DeliveryState.SENT
                    if self._closed_until is not None:
                        break
            finally:
                self._channel.rest()
        return sent

    def _one(self) -> DeliveryState | None:
        lease = timedelta(seconds=self._channel.longest_s) + _MARGIN
        # 1
        with self._database.writing() as connection:
            claim = self._deliveries.claim(connection, self._name, lease)
        if claim is None:
            return None
        faults.point("delivery.claimed")
        failure: Exception | None = None
        try:
            # 2
            letter = self._letter(claim)
            if letter is not None:
                self._channel.send(letter)
        except Exception as error:  # one letter that cannot be written must not hold up the others
            failure, letter = error, None
        else:
            if letter is not None:
                faults.point("delivery.sent")
        # 3
        with self._database.writing() as connection:
            return self._note(connection, claim, failure, left=letter is not None)

    def _note(
        self, connection: Connection, claim: Claim, failure: Exception | None, *, left: bool
    ) -> DeliveryState | None:
        if isinstance(failure, ChannelDown):
            self._failures += 1
            wait = self._deliveries.wait(min(self._failures, 4))
            self._closed_until = self._clock.now() + wait
            _log.warning("channel is down", extra={"channel": self._name.value, "code": failure.code})
            self._deliveries.put_back(connection, claim, failure.code, wait)
            return None
        self._failures, self._closed_until = 0, None
        if isinstance(failure, Deferred | Unsure):
            self._deliveries.again(connection, claim, failure.code, unsure=isinstance(failure, Unsure))
            return None
        if isinstance(failure, Bounced):
            self._deliveries.end(connection, claim, DeliveryState.BOUNCED, failure.code)
            if failure.blames_address:
                note_bounce(connection, claim.mailing.contact_id, self._doubt_after)
            return DeliveryState.BOUNCED
        if failure is not None:
            code = str(getattr(failure, "code", None) or type(failure).__name__)
            _log.error("letter cannot be written", extra={"delivery": claim.id, "code": code})
            self._deliveries.end(connection, claim, DeliveryState.FAILED, code)
            return DeliveryState.FAILED
        if not left:
            self._deliveries.end(connection, claim, DeliveryState.FAILED, "CONTACT_GONE")
            return DeliveryState.FAILED
        self._deliveries.end(connection, claim, DeliveryState.SENT, "SENT")
        if claim.mailing.kind == "code":
            self._rows.change(connection, claim.mailing.contact_id, {"code_sealed": None})
        return DeliveryState.SENT

    def _letter(self, claim: Claim) -> Letter | None:
        """Write a letter; None when its contact is gone, or not to be used."""
        mailing = claim.mailing
        with self._database.reading() as connection:
            contact = self._rows.load(connection, mailing.contact_id)
            if contact is None:
                return None
            words = self._words(connection, claim, contact)
        if words is None:
            return None
        return Letter(
            contact.address,
            words,
            self._deliveries.token(claim.id),
            self._deliveries.message_id(claim.id),
            self._clock.now(),
        )

    def _words(self, connection: Connection, claim: Claim, contact: Contact) -> Words | None:
        mailing = claim.mailing
        language = self._rows.choices(connection, contact.safe_id).language
        if mailing.kind == "code":
            code = self._rows.code_to_send(connection, contact.id)
            if code is None:
                return None
            return code_words(self._name, f"{code[:5]}-{code[5:]}".upper(), language, self._link)
        if contact.state is not ContactState.CONFIRMED:
            return None
        if mailing.counts is not None:
            return digest_words(self._name, mailing.counts, language, self._link)
        return news_words(self._name, mailing.event, language, self._link)
