"""Inserts of many rows, and look-ups of many keys, with few statements."""

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


def rows_of(driver: Driver, query: str, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return what a query finds for any of some keys, up to 128 asked for in one statement.

    Args:
        driver: in a transaction.
        query: ends with ` IN `; question marks stand nowhere in it.
        keys: at least one.
    """
    found: list[tuple[Any, ...]] = []
    for at in range(0, len(keys), _MOST):
        asked = list(keys[at : at + _MOST])
        # Powers of two here too, filled up with one key again.
        count = 1 << (len(asked) - 1).bit_length()
        asked += asked[-1:] * (count - len(asked))
        found += driver.execute(f"{query}({', '.join('?' * count)})", asked).fetchall()
    return found
