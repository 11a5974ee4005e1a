"""Changes the keys that sign the ledger, openly: the change is an entry, and both pairs sign for a time.

Which keys sign is read from the entries by whoever signs, in the transaction that reads the head. So no process
needs to be told, and nothing has to happen at the same time anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.errors import Conflict, Unavailable
from vault.ledger.group import LedgerTransaction
from vault.ledger.key_folder import LedgerKeyFolder
from vault.ledger.keys import LedgerKeys
from vault.ledger.publisher import Publisher
from vault.ledger.stated import append_change, read_succession, stated_seals, time_of
from vault.ledger.stored import latest_checkpoint, read_head
from vault.ledger.succession import Statement
from vault.ledger.vkeys import VerifierKey

T = TypeVar("T")
_PUBLISHED_WITHIN_S = 60.0
_POLL_S = 0.05


class Writer(Protocol):
    """Appends to the ledger."""

    def run(self, work: Callable[[LedgerTransaction], T]) -> T:
        """See `vault.ledger.writer.LedgerWriter.run`."""
        ...


@dataclass(frozen=True, slots=True)
class Rotated:
    """A change of keys that is published.

    Attributes:
        seq: number of the entry.
        until: RFC 3339 time until which the pair before signs too.
        vkeys: the new pair.
        resumed: True when an earlier change, which was cut short, was finished and none was made.
    """

    seq: int
    until: str
    vkeys: tuple[str, ...]
    resumed: bool


class KeyRotation:
    """Changes keys, and discards those that had their time."""

    def __init__(
        self,
        database: Database,
        folder: LedgerKeyFolder,
        writer: Writer,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        """Args as stored."""
        self._database = database
        self._folder = folder
        self._writer = writer
        self._publisher = publisher
        self._clock = clock

    def rotate(self, overlap: timedelta) -> Rotated:
        """Change the keys; after a crash at any step, called again, it finishes what was begun.

        Steps:
            1. Be the only one who does this.
            2. Make the new pair, durable under the name `next`; or take up the one that lies there.
            3. Unless the ledger states it already, append the entry that does. From here on both pairs sign. No third
               joins them: while an overlap runs, only a change without one is made, which ends it.
            4. Wait until the change and its handover are published.
            5. Give the pair its lasting name.

        Args:
            overlap: for how long after the entry the pair before signs too.

        Raises:
            Conflict: KEYS_CHANGING, another process is at it; KEYS_OVERLAPPING, an earlier change's overlap runs.
            Unavailable: LEDGER_UNAVAILABLE, LOG_STORE_UNAVAILABLE; to be called again.
            LedgerError: as `Publisher.publish`.
        """
        # 1
        with self._database.leading("keys") as alone:
            if not alone:
                raise Conflict("KEYS_CHANGING")
            # 2
            pair = self._folder.make_next()
            faults.point("keys.made")
            # 3
            statement = self._stated(pair)
            resumed = statement is not None
            if statement is None:
                if overlap:
                    self._refuse_third()
                self._append(pair, overlap)
                faults.point("keys.stated")
                statement = self._stated(pair)
            if statement is None:
                raise Unavailable("LEDGER_UNAVAILABLE", "the change of keys is not in the ledger")
            # 4
            self._await_published(statement.seq + 1)
            faults.point("keys.published")
            # 5
            self._folder.settle()
        return Rotated(statement.seq, statement.until, tuple(pair.vkeys), resumed)

    def discard_retired(self) -> list[str]:
        """Delete the private keys that no checkpoint will ever need again; return their public ones.

        Needed are the pairs that sign at the size that is published, and all that came after.

        Raises:
            Conflict: KEYS_CHANGING.
            LedgerError: KEYS_CHANGE_INVALID, ENTRY_INVALID; the database is damaged.
        """
        with self._database.leading("keys") as alone:
            if not alone:
                raise Conflict("KEYS_CHANGING")
            gone = [pair for pair in self._retired() if self._folder.discard(pair)]
        return [key.vkey for pair in gone for key in pair]

    def _retired(self) -> list[tuple[VerifierKey, ...]]:
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
            if latest is None:
                return []
            succession = read_succession(connection)
            needed = succession.in_force(latest[0], time_of(connection, latest[0] - 1))
        return [
            each.keys for each in succession.statements if each.seq < latest[0] and each.keys not in needed
        ]

    def _refuse_third(self) -> None:
        """Refuse a change while two pairs sign: with a third, requests outgrow what witnesses take."""
        with self._database.reading() as connection:
            head, succession = read_head(connection), read_succession(connection)
        now = max(head.last_time, rfc3339(self._clock.now()))
        if len(succession.in_force(head.size + 1, now)) > 1:
            raise Conflict("KEYS_OVERLAPPING", until=succession.statements[-1].until)

    def _stated(self, pair: LedgerKeys) -> Statement | None:
        with self._database.reading() as connection:
            return _statement(connection, pair)

    def _append(self, pair: LedgerKeys, overlap: timedelta) -> None:
        until = self._clock.now() + overlap

        def work(tx: LedgerTransaction) -> None:
            # An earlier try may have been given up and have come to its end all the same.
            if _statement(tx.connection, pair) is None:
                append_change(tx, pair.held(), stated_seals(tx.connection), until)

        self._writer.run(work)

    def _await_published(self, size: int) -> None:
        """Publish, or wait for the process that does."""
        deadline = time.monotonic() + _PUBLISHED_WITHIN_S
        while self._publisher.publish() < size:
            if time.monotonic() > deadline:
                raise Unavailable("LOG_STORE_UNAVAILABLE", "the change of keys is not published yet")
            time.sleep(_POLL_S)


def _statement(connection: Connection, pair: LedgerKeys) -> Statement | None:
    """Return the statement of a pair, None where the ledger does not state it."""
    found = read_succession(connection).statements
    return next((each for each in found if each.keys == pair.held()), None)
