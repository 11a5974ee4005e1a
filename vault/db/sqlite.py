"""SQLite: in WAL with a sync at every commit, locks between processes by files.

A write transaction first takes a blocking file lock: left to its own busy wait, SQLite makes two writing processes
wait up to seconds for each other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError

from plumbing.disk import sync_folder
from plumbing.locks import if_free, in_turn, lock_file
from vault.db.backend import KeyLocks
from vault.db.driver import driver_of
from vault.db.wal import WalKeeper
from vault.errors import SettingsRefused, Unavailable

BUSY_TIMEOUT_MS = 10_000
_SCRUB_WAIT_MS = 2_000
_PRAGMAS = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "wal_autocheckpoint=16000",  # 64 MB: only where the keeper (wal.py) fell behind
)

# sqlite3 looks for an adapter of every `bytes` it binds; finding none takes it four times as long as finding this one.
sqlite3.register_adapter(bytes, bytearray)


class SqliteBackend:
    """One SQLite file, its processes on one host. See `vault.db.backend.Backend`."""

    def __init__(self, url: URL, lock_folder: Path) -> None:
        """Make the file with mode 0600 when absent. Raises SettingsRefused(DATABASE_UNSUPPORTED)."""
        if not url.database or url.database == ":memory:":
            raise SettingsRefused("DATABASE_UNSUPPORTED", "an SQLite database must be a file")
        lock_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = Path(url.database)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        sync_folder(self._path.parent)
        self._lock_folder = str(lock_folder)  # joining a `Path` takes longer than taking the lock
        # hide_parameters: values of rows must not reach logs through error messages.
        self.engine = create_engine(url, pool_size=16, max_overflow=64, pool_timeout=10, hide_parameters=True)
        event.listen(self.engine, "do_connect", self._look)
        event.listen(self.engine, "connect", _configure)
        self._wal = WalKeeper(self.engine, lambda: in_turn(self._open_lock("writer.lock")))

    @property
    def locks(self) -> KeyLocks | None:
        """None: files serve, since all processes are on this host."""
        return None

    def begin(self, connection: Connection, *, write: bool, patient: bool) -> None:
        """Begin a transaction; only the file lock makes it wait for others.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE: the file is gone, or another one than this connection has open. What
                was written then would be nowhere.
        """
        if self._file() != connection.info["file"]:
            raise Unavailable("DATABASE_UNAVAILABLE", "the database's file is gone, or another one is there")
        driver_of(connection).execute("BEGIN IMMEDIATE" if write else "BEGIN DEFERRED")

    def glance(
        self, sql: str, parameters: Sequence[Any], is_guarded: Callable[[Any], bool]
    ) -> list[Any] | None:
        """Read with one statement, which is a transaction by itself.

        SQLAlchemy's connection, BEGIN and ROLLBACK take three times as long as the statement, and each gives the
        interpreter lock away, for which a busy process lets it wait.
        """
        try:
            connection = self.engine.raw_connection()
            try:
                if self._file() != connection.info["file"] or not is_guarded(connection):
                    return None
                driver: Any = connection.driver_connection
                rows: list[Any] = driver.execute(sql, parameters).fetchall()
                return rows
            finally:
                connection.close()
        except (DBAPIError, sqlite3.Error):
            return None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the writers' file lock; blocks."""
        with in_turn(self._open_lock("writer.lock")):
            yield
            self._wal.committed()

    @contextmanager
    def leading(self, role: str) -> Iterator[bool]:
        """Try to hold the role's file lock; the kernel frees it when its holder dies."""
        with if_free(self._open_lock(f"{role}.lock")) as leads:
            yield leads

    def incarnation(self, connection: Connection) -> object:
        """Return which file a connection has open: a copy that was put in its place has another number."""
        return connection.info["file"]

    def is_dead(self, connection: Connection) -> bool:
        """Tell whether a connection has another file open than the one that is there."""
        found = self._file()
        return found is not None and found != connection.info["file"]

    def scrub(self) -> bool:
        """Empty the write-ahead log.

        Deleted values are overwritten in the database file itself (secure_delete), but the log keeps older copies of
        its pages until they happen to be overwritten.
        """
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_SCRUB_WAIT_MS}")
            (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.close()
        finally:
            connection.close()
        return not busy

    def close(self) -> None:
        """Close every connection."""
        self._wal.close()
        self.engine.dispose()

    def _file(self) -> tuple[int, int] | None:
        """Return the numbers of the file that is there now, None where there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _look(self, _dialect: object, record: Any, _arguments: object, _parameters: object) -> None:
        """Note which file is there before SQLite opens it: replaced meanwhile, it is another one at the first use.

        Where none is, SQLite would make one: an empty database, to which nothing must be written.
        """
        record.info["file"] = self._file()
        if record.info["file"] is None:
            raise sqlite3.OperationalError("the database's file is gone")

    def _open_lock(self, name: str) -> int:
        return lock_file(f"{self._lock_folder}/{name}")


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    (mode,) = cursor.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise SettingsRefused("DATABASE_UNSUPPORTED", "this file system cannot hold a WAL database")
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
