"""Copies SQLite's write-ahead log back into the database beside the commits, not within one.

Left to itself, SQLite copies it back in the commit that makes the log too long, which then takes 30 ms and more
while everybody waits. Here a thread copies while commits go on, and takes the writers' lock only for what came
meanwhile; the next commit then begins the log anew, so that its file does not grow.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

_EVERY = 250  # commits; so that the syncs of the copying are few beside those of the commits
_log = logging.getLogger("probans.database")


class WalKeeper:
    """One for each process and database; several processes may copy, SQLite lets one at a time."""

    def __init__(self, engine: Engine, locked: Callable[[], AbstractContextManager[None]]) -> None:
        """Make a keeper; its thread starts when there is something to copy.

        Args:
            engine: of the database.
            locked: holds the lock that writers take.
        """
        self._engine = engine
        self._locked = locked
        self._commits = 0
        self._due = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Count a commit; called with the writers' lock held."""
        self._commits += 1
        if self._commits < _EVERY or self._closed:
            return
        self._commits = 0
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="probans-wal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            try:
                self._copy()
                self._copy()
                with self._locked():
                    self._copy()
            except (DBAPIError, OSError):  # the log stays, and SQLite copies it at 64 MB
                _log.exception("the write-ahead log could not be copied back")

    def _copy(self) -> None:
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        finally:
            connection.close()
