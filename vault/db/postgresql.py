"""PostgreSQL through psycopg 3: any number of hosts.

Writers take turns by an advisory lock that a transaction takes as it begins and that its end frees; the ledger's
writer locks the head row besides (`vault.ledger.stored.lock_head`). So READ COMMITTED is what a write transaction
runs under: each of its statements sees all that was committed before, and since nobody else writes meanwhile, that
is one state. SERIALIZABLE would take its snapshot before the turn has come and then fail with an error to repeat,
preventing nothing that could otherwise happen. Reads are REPEATABLE READ, READ ONLY: one state, never an error.

Nothing waits for ever. The server ends statements, waits for locks and transactions left open (that is how a
paused process loses its turn), and psycopg's own wait is limited for a server that does not answer at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError

from vault.db.backend import KeyLocks
from vault.db.driver import pyformat
from vault.db.limits import DatabaseLimits
from vault.db.psycopg_driver import LimitedConnection, query
from vault.db.session_locks import SessionLocks, lock_number
from vault.errors import SettingsRefused, Unavailable

_DRIVERS = ("postgresql", "postgresql+psycopg")
_GRACE_S = 10.0  # beyond the server's own limit, before it is taken for dead
_LEASE_S = 20.0  # without a word, before a process loses its locks
_CONNECTING = {
    "connect_timeout": 5,
    "application_name": "probans",
    "client_encoding": "UTF8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_SAFE_COMMITS = ("on", "remote_apply", "remote_write", "local")  # all of them sync the server's own disk
_REPLICATED_COMMITS = ("on", "remote_apply")
_WRITERS_TURN = lock_number(b"writer")
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# READ WRITE is an error on a standby, so that it is found out here.
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_PATIENT = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = '10min'",
    "SET LOCAL idle_in_transaction_session_timeout = '10min'",
)
_TAKE_TURN = f"SELECT pg_advisory_xact_lock({_WRITERS_TURN})"
_log = logging.getLogger("probans.database")


class PostgresqlBackend:
    """One PostgreSQL database. See `vault.db.backend.Backend`."""

    def __init__(self, url: URL, limits: DatabaseLimits) -> None:
        """Connect once, to see whether the server keeps what it commits.

        Raises:
            SettingsRefused: DATABASE_UNSUPPORTED: another driver, or a server that may lose commits.
            Unavailable: DATABASE_UNAVAILABLE.
        """
        if url.drivername not in _DRIVERS:
            raise SettingsRefused("DATABASE_UNSUPPORTED", "PostgreSQL is used through postgresql+psycopg://")
        self._limits = limits
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=limits.connections,
            max_overflow=0,
            pool_timeout=limits.lock_s,
            pool_use_lifo=True,
            hide_parameters=True,  # values of rows must not reach logs through error messages
        )
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "connect", self._configure)
        event.listen(self.engine, "before_cursor_execute", _translate, retval=True)
        self._opened = False
        arguments, parameters = self.engine.dialect.create_connect_args(self.engine.url)
        self._locks = SessionLocks(lambda: self._session(arguments, parameters), _LEASE_S / 4)
        try:
            self.engine.connect().close()
        except DBAPIError as error:
            self.close()
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error
        except BaseException:
            self.close()
            raise
        self._opened = True

    @property
    def locks(self) -> KeyLocks:
        """Advisory locks."""
        return self._locks

    def begin(self, connection: Connection, *, write: bool, patient: bool) -> None:
        """Begin a transaction, the writers' turn included, with one message.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE: the connection is dead, the server is a standby, or the turn did not
                come in time.
        """
        raw = _raw(connection)
        # One that was patient before may come back from the pool.
        raw.limit = None if patient else self._limits.statement_s + _GRACE_S
        statements = (
            _WRITE if write else _READ,
            *(_PATIENT if patient else ()),
            *((_TAKE_TURN,) if write else ()),
        )
        try:
            raw.execute(query("; ".join(statements)), prepare=False)
        except psycopg.Error as error:
            raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error

    def glance(
        self, sql: str, parameters: Sequence[Any], is_guarded: Callable[[Any], bool]
    ) -> list[Any] | None:
        """None: the server's transactions are how a lost connection is noticed."""
        return None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do nothing: a transaction takes its turn as it begins."""
        yield

    @contextmanager
    def leading(self, role: str) -> Iterator[bool]:
        """Try to hold the role's advisory lock."""
        with self._locks.hold(b"role " + role.encode()) as held:
            yield held

    def incarnation(self, connection: Connection) -> object:
        """Return address and start time of the server behind a connection, and the number of its database there."""
        return connection.info.get("incarnation")

    def is_dead(self, connection: Connection) -> bool:
        """Tell whether the driver's connection is closed."""
        return connection.invalidated or _raw(connection).closed

    def scrub(self) -> bool:
        """Do nothing.

        No SQL command overwrites what was deleted: old versions of rows stay until autovacuum, the write-ahead log
        and backups for as long as the operator keeps them. What they hold of a destroyed document is its key, wrapped
        by the key-encryption key; when that one is replaced and destroyed, they cannot be read any more.
        """
        return True

    def close(self) -> None:
        """Close every connection."""
        self._locks.close()
        self.engine.dispose()

    def _connect(
        self, _dialect: object, _record: object, arguments: Any, parameters: Any
    ) -> LimitedConnection:
        connection = LimitedConnection.connect(*arguments, **{**_CONNECTING, **parameters})
        connection.limit = self._limits.statement_s + _GRACE_S
        connection.autocommit = True  # the driver begins nothing by itself
        connection.watch()
        return connection

    def _session(self, arguments: Any, parameters: Any) -> LimitedConnection:
        """Return a connection for locks; questions about locks are answered at once.

        The server ends it, and frees what it holds, when nothing was heard of it for some seconds: a process that is
        paused, or whose host is gone without a word, would keep its locks otherwise for as long as TCP believes in it.
        """
        connection = self._connect(None, None, arguments, parameters)
        connection.limit = _GRACE_S
        connection.execute(query(f"SET idle_session_timeout = {round(_LEASE_S * 1000)}"))
        return connection

    def _configure(self, connection: LimitedConnection, record: Any) -> None:
        """Set the server's limits for a new connection, and refuse a server that may lose what it commits."""
        limits = {
            "statement_timeout": self._limits.statement_s,
            "lock_timeout": self._limits.lock_s,
            "idle_in_transaction_session_timeout": self._limits.idle_s,
        }
        statements = (f"SET {name} = {round(seconds * 1000)}" for name, seconds in limits.items())
        connection.execute(query("; ".join(statements)))
        row = connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('synchronous_standby_names'), current_setting('server_encoding'),"
            " inet_server_addr()::text, inet_server_port(), pg_postmaster_start_time()::text,"
            " (SELECT oid::text FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        problem = _unfit(*row[:4], replicated=self._limits.replicated)
        if problem and not self._opened:
            raise SettingsRefused("DATABASE_UNSUPPORTED", problem)
        if problem:
            _log.critical("the database server is refused: %s", problem)
            raise Unavailable("DATABASE_UNAVAILABLE", problem)
        record.info["incarnation"] = tuple(row[4:])


def connecting(url: URL) -> dict[str, Any]:
    """Return libpq's parameters for connections beside the pool, as `vault.tasks.engine` makes them."""
    engine = create_engine(url.set(drivername="postgresql+psycopg"))  # only to be asked
    _, parameters = engine.dialect.create_connect_args(engine.url)
    return {**_CONNECTING, **parameters}


def _unfit(fsync: str, commits: str, standbys: str, encoding: str, *, replicated: bool) -> str:
    """Say why a server cannot be used; "" when it can."""
    if fsync != "on":
        return "PostgreSQL runs with fsync = off: it would lose what it committed"
    if commits not in _SAFE_COMMITS:
        return f"PostgreSQL runs with synchronous_commit = {commits}: it would lose what it committed"
    if encoding != "UTF8":
        return f"the database's encoding is {encoding}, it must be UTF8"
    if replicated and (commits not in _REPLICATED_COMMITS or not standbys.strip()):
        return "commits do not wait for a standby: set synchronous_standby_names, and synchronous_commit = on"
    return ""


def _translate(
    _connection: Connection, _cursor: object, statement: str, parameters: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    """Write the placeholders of `exec_driver_sql` as psycopg wants them; compiled statements have them already."""
    if context is not None and context.compiled is None:
        statement = pyformat(statement)
    return statement, parameters


def _raw(connection: Connection) -> LimitedConnection:
    return cast("LimitedConnection", connection.connection.driver_connection)
