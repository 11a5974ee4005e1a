"""Locks by key for every process of a PostgreSQL database, on any host: advisory locks of one session."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from vault.errors import Unavailable

_PATIENCE_S = 10.0


class SessionLocks:
    """Holds any number of keys with one connection; the server frees them when this process or its connection dies.

    The server would give a session its own lock twice, so the threads of the process are kept apart here. When the
    connection is lost, another process may take what was held: who needs more than not to do work twice must be
    safe by a compare-and-swap or a row besides, as the publisher and twin requests are.

    A thread of its own keeps the connection in use: the server may end one that says nothing, and so take the locks
    from a process that is paused.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], beat_s: float) -> None:
        """Connect at the first use.

        Args:
            connect: gives a connection in autocommit mode, with time limits of its own.
            beat_s: seconds between two signs of life.
        """
        self._connect = connect
        self._beat_s = beat_s
        self._beating: threading.Thread | None = None
        self._end = threading.Event()
        self._mutex = threading.Lock()
        self._session: psycopg.Connection | None = None
        self._held: dict[int, psycopg.Connection] = {}

    @contextmanager
    def hold(self, key: bytes) -> Iterator[bool]:
        """Try to hold a key while the block runs; give False at once when another thread or process does.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        number = lock_number(key)
        session = self._take(number)
        try:
            yield session is not None
        finally:
            if session is not None:
                self._give(number, session)

    def holds(self, key: bytes) -> bool:
        """Tell whether a key that was taken is still held, as far as this process knows."""
        session = self._held.get(lock_number(key))
        return session is not None and session is self._session

    def close(self) -> None:
        """Free everything."""
        self._end.set()
        with self._mutex:
            self._drop()

    def _take(self, number: int) -> psycopg.Connection | None:
        # Whoever has it may be waiting for a server that does not answer: not all after him as long again.
        if not self._mutex.acquire(timeout=_PATIENCE_S):
            raise Unavailable("DATABASE_UNAVAILABLE", "no answer about a lock")
        try:
            if number in self._held:
                return None
            session = self._ask(number)
        except psycopg.Error as error:
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
        else:
            if session is not None:
                self._held[number] = session
            return session
        finally:
            self._mutex.release()

    def _ask(self, number: int) -> psycopg.Connection | None:
        """Return the session that has the lock now; None when another one has it."""
        if self._end.is_set():
            raise psycopg.OperationalError("closed")
        if self._session is not None:
            try:
                return self._session if _got(self._session, number) else None
            except psycopg.Error:
                self._drop()  # it may have died long ago: once more with a new one
        self._session = self._connect()
        if self._beating is None:
            self._beating = threading.Thread(target=self._beat, name="probans-locks", daemon=True)
            self._beating.start()
        try:
            return self._session if _got(self._session, number) else None
        except psycopg.Error:
            self._drop()
            raise

    def _give(self, number: int, session: psycopg.Connection) -> None:
        with self._mutex:
            self._held.pop(number, None)
            if session is self._session:
                try:
                    session.execute("SELECT pg_advisory_unlock(%s)", (number,))
                except psycopg.Error:
                    self._drop()  # the server frees it with the session

    def _beat(self) -> None:
        while not self._end.wait(self._beat_s):
            with self._mutex:
                try:
                    if self._session is not None:
                        self._session.execute("SELECT 1")
                except psycopg.Error:
                    self._drop()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(psycopg.Error):
                session.close()


def _got(session: psycopg.Connection, number: int) -> bool:
    row = session.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
    return row is not None and bool(row[0])


def lock_number(key: bytes) -> int:
    """Return the advisory lock that stands for a key: 64 bits of its digest, signed."""
    digest = hashlib.sha256(b"probans/lock/v1\n" + key).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
