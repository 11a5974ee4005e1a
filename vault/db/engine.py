"""The database: read and write transactions, roles, schema changes. Kinds of databases have a module each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from vault.db.backend import Backend, KeyLocks
from vault.db.driver import driver_of
from vault.db.limits import DatabaseLimits
from vault.db.sqlite import SqliteBackend
from vault.errors import SettingsRefused, Unavailable

__all__ = ["Database", "DatabaseLimits"]

_MIGRATIONS = Path(__file__).with_name("migrations")
_DEFAULTS = DatabaseLimits()
_SERVERS = 4  # that may take the place of one another while one read waits
# What the server, the disk or the way to them is to blame for; the others are ours.
_OUTAGES = (OperationalError, InternalError, InterfaceError)


class Database:
    """A database with its locks.

    Attributes:
        guard: called within a write transaction on each run of the server, before anything else is read or written
            there; what it raises refuses that, and the next one asks again. None: nobody looks.
    """

    def __init__(self, backend: Backend) -> None:
        self.guard: Callable[[Connection], None] | None = None
        self._guarded: object = None
        self._guarding = threading.Lock()
        self._mine = threading.local()
        self._backend = backend

    @classmethod
    def open(cls, url: str, lock_folder: Path, limits: DatabaseLimits = _DEFAULTS) -> Database:
        """Open a database; nothing is created in it before `migrate`.

        Args:
            url: `sqlite:///path` (the file is made with mode 0600 when absent) or
                `postgresql+psycopg://user@host/name`, with any parameter of libpq behind a question mark.
            lock_folder: folder on this host, the same for every process of an SQLite database.
            limits: connections and waits of PostgreSQL.

        Raises:
            SettingsRefused: DATABASE_UNSUPPORTED.
            Unavailable: DATABASE_UNAVAILABLE: the server cannot be reached.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise SettingsRefused("DATABASE_UNSUPPORTED", "the database URL cannot be read") from error
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            return cls(SqliteBackend(parsed, lock_folder))
        if kind == "postgresql":
            return cls(_postgresql(parsed, limits))
        raise SettingsRefused("DATABASE_UNSUPPORTED", "the database must be SQLite or PostgreSQL")

    @property
    def engine(self) -> Engine:
        """SQLAlchemy engine; use `reading` and `writing`."""
        return self._backend.engine

    @property
    def locks(self) -> KeyLocks | None:
        """Locks that other hosts see too; None where all processes are on one host."""
        return self._backend.locks

    @contextmanager
    def reading(self, *, patient: bool = False) -> Iterator[Connection]:
        """Give a connection in a read transaction: one consistent state, and nothing it writes is kept.

        Args:
            patient: for audits and the like, whose statements may take as long as they need.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE when no connection can be had, or it is lost.
            VaultError: what `guard` raises: what an older copy says of rights and duties is no answer.
        """
        for _ in range(_SERVERS):
            with self._connected(write=False, patient=patient) as connection:
                try:
                    if self._is_guarded(connection):
                        yield connection
                        return
                finally:
                    with suppress(DBAPIError):  # then the connection is not used again
                        connection.rollback()
            self._guard_now()
        raise Unavailable("DATABASE_UNAVAILABLE", "another server at each try")

    def rows(self, sql: str, parameters: Sequence[Any]) -> Sequence[Any]:
        """Return what one statement reads, in a transaction of its own; for what is asked with every request.

        Args:
            sql: the statement, question marks as placeholders (`vault.db.driver`).
            parameters: their values.

        Raises:
            Unavailable, VaultError: as `reading`.
        """
        try:
            found = self._backend.glance(sql, parameters, self._is_guarded)
        except PoolTimeout as error:
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
        if found is None:
            with self.reading() as connection:
                found = driver_of(connection).execute(sql, parameters).fetchall()
        return found

    @contextmanager
    def writing(self, *, patient: bool = False) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end, rolled back on an exception.

        Blocks while another thread or process writes. Not to be nested.

        Args:
            patient: as in `reading`.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE when no connection can be had, or it is lost. Lost during the commit,
                nobody knows whether that was done: a repetition must find out by what it finds.
            VaultError: what `guard` raises.
        """
        with self._backend.turn(), self._connected(write=True, patient=patient) as connection:
            self._mine.writes = True
            try:
                self._ask_guard(connection)
                yield connection
            except BaseException:
                with suppress(DBAPIError):
                    connection.rollback()
                raise
            finally:
                self._mine.writes = False
            connection.commit()

    @contextmanager
    def leading(self, role: str) -> Iterator[bool]:
        """Try to be the one process and thread with a role; give False when another one has it.

        It is freed when its holder dies. On PostgreSQL a holder that lost its connection does not know at once that
        it is no longer alone: what it does must be safe besides.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        with self._backend.leading(role) as leader:
            yield leader

    def migrate(self) -> None:
        """Bring the schema to the newest version, in one transaction. Processes take turns."""
        with self.writing(patient=True) as connection:
            command.upgrade(_alembic(connection), "head")

    def downgrade(self, revision: str) -> None:
        """Bring the schema back to a revision (`base`: nothing left), in one transaction."""
        with self.writing(patient=True) as connection:
            command.downgrade(_alembic(connection), revision)

    def revision(self) -> str | None:
        """Return the schema's version, None before the first."""
        with self.reading() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def scrub(self) -> bool:
        """Remove what the database keeps of deleted values outside of its tables; False while it cannot."""
        return self._backend.scrub()

    def pool(self) -> tuple[int, int]:
        """Return how many connections of this process are in use, and how many may be."""
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            return 0, 0
        return pool.checkedout(), pool.size() + max(0, pool._max_overflow)  # noqa: SLF001 - told nowhere else

    def close(self) -> None:
        """Close every connection."""
        self._backend.close()

    def _is_guarded(self, connection: Connection) -> bool:
        """Tell whether the guard has nothing to ask about the server behind a connection, or asks already."""
        if self.guard is None or getattr(self._mine, "writes", False):
            return True
        return self._backend.incarnation(connection) == self._guarded

    def _guard_now(self) -> None:
        """Have the guard ask before anything is read; of all threads one does."""
        before = self._guarded
        with self._guarding:
            if self._guarded is before:
                with self.writing():
                    pass

    def _ask_guard(self, connection: Connection) -> None:
        if self.guard is None:
            return
        incarnation = self._backend.incarnation(connection)
        if incarnation != self._guarded:
            self.guard(connection)
            self._guarded = incarnation

    @contextmanager
    def _connected(self, *, write: bool, patient: bool) -> Iterator[Connection]:
        with self._begun(write=write, patient=patient) as connection:
            try:
                yield connection
            except DBAPIError as error:
                if isinstance(error, _OUTAGES) or error.connection_invalidated:
                    raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
                raise

    def _begun(self, *, write: bool, patient: bool) -> Connection:
        """Return a connection with a transaction begun; a second try where the pool's connections had died."""
        try:
            connection = self._try(write=write, patient=patient)
            if connection is None:
                self.engine.dispose()
                connection = self._try(write=write, patient=patient)
        except (DBAPIError, PoolTimeout) as error:
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
        if connection is None:
            raise Unavailable("DATABASE_UNAVAILABLE", "the connection was lost twice")
        return connection

    def _try(self, *, write: bool, patient: bool) -> Connection | None:
        """Connect and begin; None when the connection turned out to be dead."""
        connection = self.engine.connect()
        try:
            connection.begin()
            self._backend.begin(connection, write=write, patient=patient)
        except Exception as error:
            dead = self._backend.is_dead(connection)
            with suppress(DBAPIError):
                connection.invalidate(error)
                connection.close()
            if dead:
                return None
            raise
        return connection


def _postgresql(url: URL, limits: DatabaseLimits) -> Backend:
    try:
        from vault.db.postgresql import PostgresqlBackend
    except ImportError as error:
        raise SettingsRefused(
            "DATABASE_UNSUPPORTED", "PostgreSQL needs psycopg: install probans[postgresql]"
        ) from error
    return PostgresqlBackend(url, limits)


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
