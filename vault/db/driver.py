"""The driver's own connection, for the few statements that run too often to go through SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Connection

# Literals and quoted names are left as they are, but for the sign that psycopg would read as a placeholder.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\?|%")


class Driver(Protocol):
    """What both drivers can do in the transaction that is under way. Placeholders are question marks."""

    @property
    def in_transaction(self) -> bool:
        """False when the transaction was ended by somebody, or the connection is lost."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run a statement; return a cursor with `fetchone`, `fetchall` and `rowcount`."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """Run a statement for each row."""
        ...


def driver_of(connection: Connection) -> Driver:
    """Return the driver's connection: of SQLite it is sqlite3's own."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        found: Driver = raw
        return found
    from vault.db.postgresql import PsycopgDriver

    return PsycopgDriver(raw)


@lru_cache(maxsize=1024)
def pyformat(sql: str) -> str:
    """Write a statement's question marks as psycopg's placeholders."""
    return _TOKEN.sub(lambda found: "%s" if found[0] == "?" else found[0].replace("%", "%%"), sql)
