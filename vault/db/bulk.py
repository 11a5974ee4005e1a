"""Inserts of many rows with few statements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from vault.db.driver import Copying, Driver

_COPIED = 4  # rows from which a COPY, with its own exchanges, is cheaper
_MOST = 128  # rows in a statement: times the columns of any table, below every limit of parameters


def insert_rows(
    driver: Driver, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows: by COPY where the database has that, else up to 128 in one statement.

    Not `executemany`: SQLite's driver gives up the interpreter lock at each row, and beside busy threads waits up
    to 5 ms to have it back, holding the write lock meanwhile. The numbers of rows are powers of two, so that a few
    prepared statements serve all.

    Args:
        driver: in a write transaction.
        table: name of the table, not quoted.
        columns: names of columns, not quoted.
        rows: one value for each column, each row.
    """
    if len(rows) >= _COPIED and isinstance(driver, Copying):
        driver.copy_rows(table, columns, rows)
        return
    at = 0
    while at < len(rows):
        count = min(_MOST, 1 << ((len(rows) - at).bit_length() - 1))
        values = tuple(chain.from_iterable(rows[at : at + count]))
        driver.execute(_statement(table, columns, count), values)
        at += count


@lru_cache(maxsize=256)
def _statement(table: str, columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608 - names
