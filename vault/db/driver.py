"""The driver's own connection, for the few statements that run too often to go through SQLAlchemy."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

# Literals and quoted names are left as they are, but for the sign that psycopg would read as a placeholder.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\?|%")


class Driver(Protocol):
    """What both drivers can do in the transaction that is under way. Placeholders are question marks.

    Errors are sqlalchemy.exc.DBAPIError, or Unavailable(DATABASE_UNAVAILABLE) when the connection is lost.
    """

    @property
    def in_transaction(self) -> bool:
        """False when the transaction was ended by somebody."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run a statement; return a cursor with `fetchone`, `fetchall` and `rowcount`."""
        ...


class SqliteDriver:
    """sqlite3's connection. See `Driver`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        """See `Driver`."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> sqlite3.Cursor:
        """See `Driver`."""
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise as_sqlalchemy(sql, error, sqlite3.Error) from error


class Copying(ABC):
    """A driver that can load many rows at once; a base class, since asking for a protocol's methods takes long."""

    __slots__ = ()

    @abstractmethod
    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Insert rows into a table; names are not quoted."""


def driver_of(connection: Connection) -> Driver:
    """Return the driver's connection."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return SqliteDriver(raw)
    from vault.db.psycopg_driver import PsycopgDriver

    return PsycopgDriver(raw)


def as_sqlalchemy(sql: str, error: Exception, base: type[Exception]) -> BaseException:
    """Return a driver's error as SQLAlchemy raises it, the values left out.

    Args:
        sql: the statement.
        error: the driver's error.
        base: the class of all errors of that driver.
    """
    return DBAPIError.instance(sql, None, error, base, hide_parameters=True)


@lru_cache(maxsize=1024)
def pyformat(sql: str) -> str:
    """Write a statement's question marks as psycopg's placeholders."""
    return _TOKEN.sub(lambda found: "%s" if found[0] == "?" else found[0].replace("%", "%%"), sql)
