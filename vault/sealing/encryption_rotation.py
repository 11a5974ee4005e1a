"""Changes the key-encryption key while the service runs, and takes one out that had its time.

Which key wraps is said where the keys are held; running processes find out by themselves (`storage.keys`). What is
left to do is said by the wrapped forms (`vault.sealing.rewrapping`). So a change that was cut short is finished by
calling it again, and never begun a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.errors import Conflict, NotFound
from vault.sealing.rewrapping import Progress, Rewrapped, Rewrapping

#: How long a key stays after the last wrap: an upload that began before the change may take this long to its end.
GRACE = timedelta(hours=24)
_ROUNDS = 5


class KeyChanger(Protocol):
    """Where key-encryption keys are held, for whoever changes them; all may raise storage.errors.StorageError."""

    def active(self) -> bytes:
        """Return the id of the key that wraps."""
        ...

    def next(self) -> bytes:
        """Return the id of the key that is to become active, empty for none."""
        ...

    def ids(self) -> frozenset[bytes]:
        """Return the ids of all keys."""
        ...

    def activated(self) -> str:
        """Return the RFC 3339 time since which the active key is; "" for the first."""
        ...

    def add(self) -> bytes:
        """Make the key that is to become active, durably; return its id."""
        ...

    def activate(self, now: str) -> None:
        """Let the key that waits wrap from now on."""
        ...

    def discard(self, name: bytes) -> None:
        """Take a key out."""
        ...


@dataclass(frozen=True, slots=True)
class EncryptionRotated:
    """A change of the key-encryption key.

    Attributes:
        active: id of the key that wraps now.
        old: ids of those before that are still held.
        resumed: True when an earlier change was finished and no key was made.
        done: what was wrapped anew, and what could not be.
    """

    active: bytes
    old: tuple[bytes, ...]
    resumed: bool
    done: Rewrapped


class EncryptionRotation:
    """Changes key-encryption keys."""

    def __init__(self, database: Database, keys: KeyChanger, rewrapping: Rewrapping, clock: Clock) -> None:
        """Args as stored."""
        self._database = database
        self._keys = keys
        self._rewrapping = rewrapping
        self._clock = clock

    def prepare(self) -> bytes:
        """Make the next key without using it, so that it can be brought to every host first; return its id.

        Raises:
            Conflict: KEYS_CHANGING.
            storage.errors.StorageError: the keys cannot be read or written.
        """
        with self._alone():
            return self._keys.next() or self._keys.add()

    def rotate(self, progress: Progress = lambda _: None) -> EncryptionRotated:
        """Change the key; after a crash at any step, called again, it finishes what was begun.

        Steps:
            1. Be the only one who does this.
            2. Make the next key, durably; or take up the one that waits; or, where something still names an older
               key than the active one, finish that change and make none.
            3. Make it active. Every process wraps with it from here on.
            4. Wrap anew what names another key: rows, then recovery files; again, while something is found that was
               written by those who had begun before.

        Args:
            progress: called with how many rows and files were changed so far.

        Raises:
            Conflict: KEYS_CHANGING.
            Unavailable: DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE; to be called again.
            storage.errors.StorageError: the keys cannot be read or written.
        """
        # 1
        with self._alone():
            # 2
            done = Rewrapped()
            resumed = bool(self._keys.next())
            if not resumed and len(self._keys.ids()) > 1:
                done = self._rewrapping.run(self._keys.active(), progress)
                resumed = bool(done.rows or done.records)
            if not resumed:
                self._keys.add()
            faults.point("encryption.added")
            # 3
            self._keys.activate(rfc3339(self._clock.now()))
            faults.point("encryption.activated")
            # 4
            active = self._keys.active()
            for _ in range(_ROUNDS):
                more = self._rewrapping.run(active, partial(_further, progress, done.rows + done.records))
                done = Rewrapped(done.rows + more.rows, done.records + more.records, more.findings)
                if not more.rows and not more.records:
                    break
            old = tuple(sorted(self._keys.ids() - {active}))
            return EncryptionRotated(active, old, resumed, done)

    def retire(self, name: bytes) -> None:
        """Take a key out that nothing names any more.

        Raises:
            NotFound: UNKNOWN_KEY.
            Conflict: KEYS_CHANGING; KEY_IN_USE: it is active or to become so, or something names it, or a recovery
                file cannot be asked; KEY_RECENT: writes that began before the change may not have come to their end.
            Unavailable: DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE.
            storage.errors.StorageError: the keys cannot be read or written.
        """
        with self._alone():
            if name not in self._keys.ids():
                raise NotFound("UNKNOWN_KEY")
            if name in (self._keys.active(), self._keys.next()):
                raise Conflict("KEY_IN_USE", "it is the active one, or the next", count=1)
            until = self._until()
            if self._clock.now() < until:
                raise Conflict("KEY_RECENT", until=rfc3339(until))
            if count := self._rewrapping.naming(name):
                raise Conflict("KEY_IN_USE", count=count)
            self._keys.discard(name)
            faults.point("encryption.retired")

    def _until(self) -> datetime:
        """Return the time until which keys before the active one must stay."""
        try:
            return parse_rfc3339(self._keys.activated()) + GRACE
        except ValueError:
            # Whoever changed the file by hand said no time: it counts from now.
            return self._clock.now() + GRACE

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._database.leading("encryption") as alone:
            if not alone:
                raise Conflict("KEYS_CHANGING")
            yield


def _further(progress: Progress, before: int, count: int) -> None:
    progress(before + count)
