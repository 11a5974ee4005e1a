"""psycopg's connection with what it lacks: limits of time, errors that quote no rows, commits that are ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from vault.db.driver import Copying, as_sqlalchemy, pyformat
from vault.errors import Unavailable

_QUOTING = ("22", "23")  # classes of errors about values
_WARNING = "01000"  # one without a code of its own: the text is in the server's language


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server leaves it without an answer for too long.

    Its errors do not quote rows: what the server says of a row that breaks a rule is the whole row. Its commits raise
    where the server only warns, or does not even that.

    Attributes:
        limit: seconds; None waits for ever.
    """

    limit: float | None = None
    _warned = False

    def watch(self) -> None:
        """Listen to the server's warnings from now on."""
        self.add_notice_handler(self._note)

    def commit(self) -> None:
        """Commit.

        Raises:
            psycopg.errors.InFailedSqlTransaction: a statement failed and nobody rolled back: the server would roll back
                now and report success.
            psycopg.OperationalError: the server gave up waiting for its standby and warned: committed here, perhaps
                nowhere else.
        """
        if self.info.transaction_status == TransactionStatus.INERROR:
            self.rollback()
            raise psycopg.errors.InFailedSqlTransaction("a statement of this transaction had failed")
        self._warned = False
        super().commit()
        if self._warned:
            self.close()
            raise psycopg.OperationalError("the commit was not replicated")

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        self._warned = self._warned or notice.sqlstate == _WARNING

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server. Raises psycopg.OperationalError after the limit."""
        try:
            return super().wait(gen, interval, self.limit if timeout is None else timeout)
        except psycopg.Error as error:
            # After an error that the server reported, it is waiting for us, not we for it.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            error.args = (_without_values(error),)
            raise


def _without_values(error: psycopg.Error) -> str:
    found = error.diag
    if (error.sqlstate or "")[:2] not in _QUOTING:
        return found.message_primary or str(error)
    where = (found.table_name, found.column_name, found.constraint_name)
    return " ".join((type(error).__name__, *(name for name in where if name)))


class PsycopgDriver(Copying):
    """psycopg's connection, as `vault.db.driver.Driver`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        """True within a transaction, one that only a rollback can go on from included. Raises as every `Driver`."""
        if self._connection.closed:
            raise Unavailable("DATABASE_UNAVAILABLE", "the connection is lost")
        return self._connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Run a statement. Raises as every `Driver`."""
        try:
            return self._connection.execute(query(pyformat(sql)), parameters)
        except psycopg.Error as error:
            raise self._shown(sql, error) from error

    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Insert rows by COPY. Raises as every `Driver`."""
        sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        try:
            with self._connection.cursor() as cursor, cursor.copy(query(sql)) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise self._shown(sql, error) from error

    def _shown(self, sql: str, error: psycopg.Error) -> BaseException:
        if self._connection.closed:
            return Unavailable("DATABASE_UNAVAILABLE", type(error).__name__)
        return as_sqlalchemy(sql, error, psycopg.Error)


def query(statement: str) -> bytes:
    """Pass a statement that is not a literal of this module."""
    return statement.encode()
