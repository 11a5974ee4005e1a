"""Hash tiles with the hashes that stand above their own row, and a bounded memory of them.

A tile (c2sp.org/tlog-tiles) holds one row of hashes in every eight; an audit path wants one hash of each row. The
rows between are hashed once a tile and kept, so that a proof from tiles seen before is slices of octets.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Protocol

from vault.ledger.errors import LedgerProofRefused

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Pyramid = tuple[bytes, ...]


class TileReader(Protocol):
    """Where the hashes of a tree are read."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes (32 octets each, 1 to 256) of a hash tile."""
        ...


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 (section 2.1) hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """Return the root of a complete subtree given its 2^k row of hashes, 32 octets each."""
    while len(hashes) > HASH_SIZE:
        hashes = _above(hashes)
    return hashes


def read_pyramid(reader: TileReader, level: int, index: int, width: int) -> Pyramid:
    """Read a tile and hash the rows inside it.

    Returns:
        8 rows at most: row h holds the `width` >> h roots of complete subtrees of 2^h hashes of the tile, one after
        another; the row of a full tile's one root belongs to the level above.

    Raises:
        LedgerProofRefused: TILE_DAMAGED, the reader gave another length.
    """
    hashes = reader.tile(level, index, width)
    if len(hashes) != width * HASH_SIZE:
        raise LedgerProofRefused(
            "TILE_DAMAGED", "a tile has another length", expected=width * HASH_SIZE, found=len(hashes)
        )
    rows = [hashes]
    while len(rows) < TILE_HEIGHT and len(hashes) >= 2 * HASH_SIZE:
        hashes = _above(hashes)
        rows.append(hashes)
    return tuple(rows)


def _above(row: bytes) -> bytes:
    """Return the row of the parents; the last hash of an odd row has none."""
    sha256 = hashlib.sha256
    end = len(row) - len(row) % (2 * HASH_SIZE)
    return b"".join([sha256(b"\x01" + row[at : at + 64]).digest() for at in range(0, end, 64)])


class PyramidCache:
    """Remembers the pyramids used last, of one log only; any thread may use it.

    A pyramid is known by level, number and width of its tile, and the hashes under such a name never change while
    the log only grows. It is what it was when it was read: a tile that was wrong gives wrong proofs until `clear`, so
    verify what is proven from a cache against the root of a checkpoint. Never audit through one: it would hide what
    happened to a tile since.

    Memory: 17 kB a pyramid at most; the 4,096 of the default are 70 MB and all tiles of a log of 1,000,000 entries.
    """

    def __init__(self, limit: int = 4096) -> None:
        """Make an empty cache.

        Args:
            limit: pyramids to keep, at least one.
        """
        if limit < 1:
            raise ValueError("a cache keeps at least one pyramid")
        self._limit = limit
        self._kept: OrderedDict[tuple[int, int, int], Pyramid] = OrderedDict()
        self._lock = threading.Lock()

    def over(self, reader: TileReader) -> CachedTiles:
        """Return a reader of the same log that asks `reader` only for what is not remembered."""
        return CachedTiles(self, reader)

    def pyramid(self, reader: TileReader, level: int, index: int, width: int) -> Pyramid:
        """Return a pyramid, from `reader` if need be. Raises what `read_pyramid` raises."""
        key = (level, index, width)
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
        # Outside the lock: two threads may read the same tile, none waits for the database of another.
        found = read_pyramid(reader, level, index, width)
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        """Return how many pyramids are kept."""
        return len(self._kept)


class CachedTiles:
    """A `TileReader` behind a cache; made by `PyramidCache.over`."""

    def __init__(self, cache: PyramidCache, reader: TileReader) -> None:
        self._cache = cache
        self._reader = reader

    def tile(self, level: int, index: int, width: int) -> bytes:
        """See `TileReader.tile`."""
        return self.pyramid(level, index, width)[0]

    def pyramid(self, level: int, index: int, width: int) -> Pyramid:
        """Return a tile with the rows inside it."""
        return self._cache.pyramid(self._reader, level, index, width)
