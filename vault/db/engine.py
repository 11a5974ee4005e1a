"""The database: connections set up for durability, read and write transactions, schema changes.

SQLite for now, in WAL with a sync at every commit. A write transaction first takes a blocking file lock:
left to its own busy wait, SQLite makes two writing processes wait up to seconds for each other.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from vault.db.wal import WalKeeper
from vault.errors import SettingsRefused, Unavailable

BUSY_TIMEOUT_MS = 10_000
_SCRUB_WAIT_MS = 2_000
_MIGRATIONS = Path(__file__).with_name("migrations")
_PRAGMAS = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "wal_autocheckpoint=16000",  # 64 MB: only where the keeper (wal.py) fell behind
)


class Database:
    """A database with its locks.

    Attributes:
        engine: SQLAlchemy engine; use `reading` and `writing`.
    """

    def __init__(self, engine: Engine, lock_folder: Path) -> None:
        self.engine = engine
        self._locks = lock_folder
        self._wal = WalKeeper(engine, lambda: self._locked("writer.lock"))

    @classmethod
    def open(cls, url: str, lock_folder: Path) -> Database:
        """Open a database; nothing is created in it before `migrate`.

        Args:
            url: `sqlite:///path`. The file is made with mode 0600 when absent.
            lock_folder: folder on this host, the same for every process of this database.

        Raises:
            SettingsRefused: DATABASE_UNSUPPORTED.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise SettingsRefused("DATABASE_UNSUPPORTED", "the database URL cannot be read") from error
        if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
            raise SettingsRefused("DATABASE_UNSUPPORTED", "the database must be an SQLite file")
        lock_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = Path(parsed.database)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        _sync_folder(path.parent)
        # hide_parameters: values of rows must not reach logs through error messages.
        engine = create_engine(parsed, pool_size=16, max_overflow=64, pool_timeout=10, hide_parameters=True)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return cls(engine, lock_folder)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in a read transaction: one consistent state, and nothing it writes is kept.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE when no connection can be had.
        """
        with self._connected("DEFERRED") as connection:
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end, rolled back on an exception.

        Blocks while another thread or process writes. Not to be nested.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE when no connection can be had.
        """
        with self._locked("writer.lock"), self._connected("IMMEDIATE") as connection:
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
            self._wal.committed()

    @contextmanager
    def leading(self, role: str) -> Iterator[bool]:
        """Try to be the one process and thread with a role; give False when another one has it.

        The kernel frees the role when its holder dies.
        """
        descriptor = self._open_lock(f"{role}.lock")
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def migrate(self) -> None:
        """Bring the schema to the newest version, in one transaction. Processes take turns."""
        with self.writing() as connection:
            command.upgrade(_alembic(connection), "head")

    def downgrade(self, revision: str) -> None:
        """Bring the schema back to a revision (`base`: nothing left), in one transaction."""
        with self.writing() as connection:
            command.downgrade(_alembic(connection), revision)

    def revision(self) -> str | None:
        """Return the schema's version, None before the first."""
        with self.reading() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def scrub(self) -> bool:
        """Empty the write-ahead log, which still holds what was deleted; False while readers keep it.

        Deleted values are overwritten in the database file itself (secure_delete), but the log keeps older
        copies of its pages until they happen to be overwritten.
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

    @contextmanager
    def _connected(self, mode: str) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except (DBAPIError, PoolTimeout) as error:
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
        with connection:
            try:
                connection.execution_options(begin=mode).begin()
            except DBAPIError as error:
                raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
            yield connection

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        descriptor = self._open_lock(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self, name: str) -> int:
        return os.open(self._locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    (mode,) = cursor.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise SettingsRefused("DATABASE_UNSUPPORTED", "this file system cannot hold a WAL database")
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
