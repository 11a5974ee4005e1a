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
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        """Connect at the first use.

        Args:
            connect: gives a connection in autocommit mode, with time limits of its own.
        """
        self._connect = connect
        self._mutex = threading.Lock()
        self._session: psycopg.Connection | None = None
        self._held: set[int] = set()
        self._closed = False

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

    def close(self) -> None:
        """Free everything."""
        with self._mutex:
            self._closed = True
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
                self._held.add(number)
            return session
        finally:
            self._mutex.release()

    def _ask(self, number: int) -> psycopg.Connection | None:
        """Return the session that has the lock now; None when another one has it."""
        if self._closed:
            raise psycopg.OperationalError("closed")
        if self._session is not None:
            try:
                return self._session if _got(self._session, number) else None
            except psycopg.Error:
                self._drop()  # it may have died long ago: once more with a new one
        self._session = self._connect()
        try:
            return self._session if _got(self._session, number) else None
        except psycopg.Error:
            self._drop()
            raise

    def _give(self, number: int, session: psycopg.Connection) -> None:
        with self._mutex:
            self._held.discard(number)
            if session is self._session:
                try:
                    session.execute("SELECT pg_advisory_unlock(%s)", (number,))
                except psycopg.Error:
                    self._drop()  # the server frees it with the session

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
