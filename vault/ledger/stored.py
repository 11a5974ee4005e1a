"""The ledger as the database holds it: head, entries, full tiles, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from vault.db.driver import driver_of
from vault.errors import LedgerError
from vault.ledger.tree import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, fold

_PAGE = 4096
_MAX_ROOTS = 1 << 16
_HEAD = "SELECT origin, generation, size, last_leaf, last_time FROM ledger_head WHERE id = 1"


@dataclass(frozen=True, slots=True)
class Head:
    """The row that every writer advances.

    Attributes:
        origin: identity of the log.
        generation: number of the log's generation, from 1.
        size: number of entries.
        last_leaf: leaf hash of the last entry.
        last_time: its time.
    """

    origin: str
    generation: int
    size: int
    last_leaf: bytes
    last_time: str


def find_head(connection: Connection) -> Head | None:
    """Return the head, None before the ledger is opened."""
    row = connection.exec_driver_sql(_HEAD).fetchone()
    return None if row is None else Head(*row)


def read_head(connection: Connection) -> Head:
    """Return the head. Raises LedgerError(LEDGER_NOT_OPENED)."""
    return _demanded(find_head(connection))


def lock_head(connection: Connection) -> Head:
    """Return the head, for a transaction that advances it: PostgreSQL keeps its row from everybody else until then.

    SQLite has nothing finer than the write lock, which the transaction has already.

    Raises:
        LedgerError: LEDGER_NOT_OPENED.
    """
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    row = driver_of(connection).execute(_HEAD + lock).fetchone()
    return _demanded(None if row is None else Head(*row))


def _demanded(head: Head | None) -> Head:
    if head is None:
        raise LedgerError("LEDGER_NOT_OPENED", "this database has no ledger yet")
    return head


def entry_body(connection: Connection, seq: int) -> bytes | None:
    """Return the octets of an entry, None when there is none of that number."""
    row = connection.exec_driver_sql("SELECT body FROM ledger_entries WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else bytes(row[0])


def entries(connection: Connection, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, octets and stored leaf hash of the entries in [start, end), a page at a time."""
    for first in range(start, end, _PAGE):
        yield from connection.exec_driver_sql(
            "SELECT seq, body, leaf FROM ledger_entries WHERE seq >= ? AND seq < ? ORDER BY seq",
            (first, min(first + _PAGE, end)),
        ).fetchall()


class StoredTiles:
    """Reads hash tiles from the database; a `TileReader` within one transaction.

    Roots of full tiles never change, so they are remembered in a dictionary that outlives the transaction.
    """

    def __init__(self, connection: Connection, roots: dict[tuple[int, int], bytes]) -> None:
        self._connection = connection
        self._roots = roots

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return a tile's first hashes. Raises LedgerError(TILE_MISSING)."""
        if width == TILE_WIDTH:
            return self._full(level, index)
        return self.computed(level, index, width)

    def computed(self, level: int, index: int, width: int) -> bytes:
        """Return a tile's first hashes from the level below, not from the stored tile itself."""
        start = index * TILE_WIDTH
        if level:
            return b"".join([self.root(level - 1, below) for below in range(start, start + width)])
        leaves = self._connection.exec_driver_sql(
            "SELECT leaf FROM ledger_entries WHERE seq >= ? AND seq < ? ORDER BY seq", (start, start + width)
        ).fetchall()
        hashes = b"".join([leaf for (leaf,) in leaves])
        if len(hashes) != width * HASH_SIZE:
            raise LedgerError("TILE_MISSING", "leaves are missing", level=level, tile=index)
        return hashes

    def root(self, level: int, index: int) -> bytes:
        """Return the root of a full tile."""
        known = self._roots.get((level, index))
        if known is None:
            if len(self._roots) >= _MAX_ROOTS:
                self._roots.clear()
            known = self._roots[level, index] = fold(self._full(level, index))
        return known

    def _full(self, level: int, index: int) -> bytes:
        row = self._connection.exec_driver_sql(
            "SELECT hashes FROM ledger_tiles WHERE level = ? AND tile = ?", (level, index)
        ).fetchone()
        if row is None or len(row[0]) != TILE_WIDTH * HASH_SIZE:
            raise LedgerError("TILE_MISSING", "a full tile is not stored", level=level, tile=index)
        return bytes(row[0])

    def store_completed(self, old: int, new: int) -> None:
        """Store every tile that became full when the ledger grew from `old` to `new` entries.

        The entries must be there already. From 0 it rebuilds all tiles, for recovery.
        """
        for level in range(TILE_HEIGHT):
            before, after = old >> (TILE_HEIGHT * (level + 1)), new >> (TILE_HEIGHT * (level + 1))
            if before == after:
                return
            for index in range(before, after):
                hashes = self.computed(level, index, TILE_WIDTH)
                self._connection.exec_driver_sql(
                    "INSERT INTO ledger_tiles (level, tile, hashes) VALUES (?, ?, ?)", (level, index, hashes)
                )
                self._roots[level, index] = fold(hashes)


def latest_checkpoint(connection: Connection) -> tuple[int, bytes] | None:
    """Return size and note of the newest checkpoint, None before the first."""
    row = connection.exec_driver_sql(
        "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], bytes(row[1]))
