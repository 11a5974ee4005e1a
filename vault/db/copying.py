"""Copies all rows of one database into another one, of whatever kind, within the callers' transactions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, exists, func, select, text
from sqlalchemy.exc import DBAPIError

from vault.db.base import metadata
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of
from vault.errors import Conflict

_BATCH = 1000
_MODULUS = 1 << 256
# A row may name another one of its table: that one must be there first.
_PARENTS_FIRST = {"matters": "first_seq"}


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds, whatever the order: two databases with the same rows have the same.

    Attributes:
        rows: how many.
        digest: sum of the SHA-256 of all rows, modulo 2^256.
    """

    rows: int = 0
    digest: int = 0

    def and_rows(self, rows: Sequence[Sequence[Any]]) -> Content:
        """Return the content with more rows."""
        total = sum(int.from_bytes(hashlib.sha256(_octets(row)).digest(), "big") for row in rows)
        return Content(self.rows + len(rows), (self.digest + total) % _MODULUS)


def is_empty(connection: Connection) -> bool:
    """Tell whether no table holds a row."""
    return not any(
        connection.scalar(select(exists(select(text("1")).select_from(table))))
        for table in metadata.sorted_tables
    )


def count_rows(connection: Connection) -> int:
    """Return how many rows there are in all tables."""
    return sum(
        connection.scalar(select(func.count()).select_from(table)) or 0 for table in metadata.sorted_tables
    )


def contents(connection: Connection, passed: Callable[[int], None]) -> dict[str, Content]:
    """Return what every table holds.

    Args:
        connection: in a transaction.
        passed: called with the number of rows that were read more.
    """
    found = {}
    for table in metadata.sorted_tables:
        content = Content()
        for rows in _batches(connection, table):
            content = content.and_rows(rows)
            passed(len(rows))
        found[table.name] = content
    return found


def copy_tables(source: Connection, target: Connection, passed: Callable[[int], None]) -> dict[str, Content]:
    """Copy every row, parents first, by COPY where the database has that; then set what numbers new rows.

    Args:
        source: in a read transaction.
        target: in a write transaction; of the same schema, its tables empty.
        passed: called with the number of rows that were copied more.

    Returns:
        What every table of the source holds.

    Raises:
        Conflict: MOVE_ROWS_REFUSED: the target's database does not take a table's rows.
    """
    found = {}
    for table in metadata.sorted_tables:
        content, columns = Content(), tuple(column.name for column in table.columns)
        for rows in _batches(source, table):
            try:
                insert_rows(driver_of(target), table.name, columns, rows)
            except DBAPIError as error:
                raise Conflict("MOVE_ROWS_REFUSED", f"{table.name}: {type(error.orig).__name__}") from error
            content = content.and_rows(rows)
            passed(len(rows))
        found[table.name] = content
        _go_on_numbering(target, table)
    return found


def _batches(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    query = select(table)
    if table.name in _PARENTS_FIRST:
        query = query.order_by(table.c[_PARENTS_FIRST[table.name]])
    result = connection.execute(query.execution_options(yield_per=_BATCH))
    for rows in result.partitions():
        yield [tuple(row) for row in rows]


def _go_on_numbering(connection: Connection, table: Table) -> None:
    """Let the numbers that the database gives follow those that are there; SQLite does by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        if column.autoincrement is True:
            highest = select(func.max(column)).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))


def _octets(row: Sequence[Any]) -> bytes:
    """Return a row as octets: both kinds of databases give texts, integers, octets and None."""
    return repr(tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)).encode()
