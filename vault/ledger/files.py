"""Reads published files (c2sp.org/tlog-tiles) wherever they lie, and computes what they must be from the entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.note import MAX_NOTE
from vault.ledger.tiles import CHECKPOINT_PATH, ENTRIES, Tile, decode_bundle
from vault.ledger.tree import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, TreeHasher, fold

MAX_TILE = TILE_WIDTH * HASH_SIZE
MAX_BUNDLE = TILE_WIDTH * (2 + 65_535)


class PublishedFiles(Protocol):
    """Where a published ledger lies: a folder, an address, a log store."""

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file under the ledger's prefix, None when it is not there.

        Raises:
            vault.errors.VaultError: it cannot be read, or has more than `limit` octets.
        """
        ...


class LogReader:
    """Reads checkpoint, tiles and entries; a full file stands in for a partial one that was collected.

    Attributes:
        files: where they lie.
    """

    def __init__(self, files: PublishedFiles) -> None:
        self.files = files

    def checkpoint(self) -> bytes:
        """Return the checkpoint note. Raises LedgerProofRefused(OBJECT_MISSING, indeterminate)."""
        note = self.files.read(CHECKPOINT_PATH, MAX_NOTE)
        if note is None:
            raise LedgerProofRefused("OBJECT_MISSING", "there is no checkpoint", indeterminate=True)
        return note

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first hashes of a tile; this makes it a `vault.ledger.tree.TileReader`.

        Raises:
            LedgerProofRefused: OBJECT_MISSING, FORMAT_FAILURE when its length is another.
        """
        data, found = self._read(Tile(level, index, width), MAX_TILE)
        if len(data) != found * HASH_SIZE:
            raise malformed("a tile has another length", expected=found * HASH_SIZE, found=len(data))
        return data[: width * HASH_SIZE]

    def entries(self, index: int, width: int) -> list[bytes]:
        """Return the first entries of a bundle. Raises LedgerProofRefused: OBJECT_MISSING, FORMAT_FAILURE."""
        data, found = self._read(Tile(ENTRIES, index, width), MAX_BUNDLE)
        return decode_bundle(data, found)[:width]

    def from_bundle(self, start: int, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield number and octets of the entries from `start`, a multiple of 256, up to `size`."""
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            yield from enumerate(self.entries(index, width), start=index * TILE_WIDTH)

    def _read(self, tile: Tile, limit: int) -> tuple[bytes, int]:
        data = self.files.read(tile.path, limit)
        if data is not None:
            return data, tile.width
        if not tile.full:
            data = self.files.read(Tile(tile.level, tile.index).path, limit)
        if data is None:
            raise LedgerProofRefused("OBJECT_MISSING", f"{tile.path} is not there", expected=tile.path)
        return data, TILE_WIDTH


class ComputedTiles:
    """Hash tiles computed from the leaves as they pass, to be compared with stored ones.

    Attributes:
        size: leaves so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[list[bytes]] = [[]]

    @classmethod
    def resume(cls, reader: LogReader, start: int, size: int) -> tuple[ComputedTiles, TreeHasher]:
        """Go on after `start` leaves, a multiple of 256, of a published tree of `size`.

        What is read here is bound by the root: it must come out as the checkpoint's in the end.

        Returns:
            The tiles, and a hasher that holds the same leaves.
        """
        edge = b""
        for level in range(1, _levels(start)):
            index, width = divmod(start >> (TILE_HEIGHT * level), TILE_WIDTH)
            published = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            edge += reader.tile(level, index, published)[: width * HASH_SIZE] if width else b""
        computed = cls.restore(start, edge)
        return computed, computed.hasher()

    @classmethod
    def restore(cls, start: int, edge: bytes) -> ComputedTiles:
        """Go on after `start` leaves, a multiple of 256, from what `edge` returned then.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE when that is not the edge of a tree of this size.
        """
        computed, at = cls(), 0
        computed.size = start
        for level in range(1, _levels(start)):
            width = (start >> (TILE_HEIGHT * level)) % TILE_WIDTH
            end = at + width * HASH_SIZE
            computed._rows.append(_split(edge[at:end]))
            at = end
        if start % TILE_WIDTH or len(edge) != at:
            raise malformed("not the right edge of a tree", expected=at, found=len(edge))
        return computed

    def edge(self) -> bytes:
        """Return the hashes of the tiles above the leaves that are not full, level by level."""
        return b"".join(b"".join(row) for row in self._rows[1:])

    def add(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add a leaf; yield level, index and hashes of every tile that it completes."""
        self.size += 1
        return self._add(0, leaf)

    def add_full(self, root: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add 256 leaves by the root of their tile; yield level, index and hashes of what completes above it."""
        self.size += TILE_WIDTH
        return self._add(1, root)

    def _add(self, level: int, node: bytes) -> Iterator[tuple[int, int, bytes]]:
        while True:
            while level >= len(self._rows):
                self._rows.append([])
            row = self._rows[level]
            row.append(node)
            if len(row) < TILE_WIDTH:
                return
            hashes = b"".join(row)
            row.clear()
            yield level, (self.size >> (TILE_HEIGHT * (level + 1))) - 1, hashes
            level, node = level + 1, fold(hashes)

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the tiles at the right edge that are not full."""
        for level, row in enumerate(self._rows):
            if row:
                yield level, self.size >> (TILE_HEIGHT * (level + 1)), b"".join(row)

    def hasher(self) -> TreeHasher:
        """Return a hasher that holds the same leaves."""
        return TreeHasher.resume(
            self.size, [peak for row in reversed(self._rows) for peak in _peaks(b"".join(row))]
        )

    def root(self) -> bytes:
        """Return the root of the tree of the leaves so far."""
        return self.hasher().root()


@dataclass(frozen=True, slots=True)
class Difference:
    """The first entry that two copies of a log state differently.

    Attributes:
        seq: its number.
        known: leaf hash in the copy kept from before, 32 octets.
        found: leaf hash in the copy to judge.
    """

    seq: int
    known: bytes
    found: bytes


def first_difference(
    known: LogReader, known_size: int, found: LogReader, found_size: int
) -> Difference | None:
    """Return the first difference in the entries that both copies have, None when there is none.

    Args:
        known: a copy kept from before.
        known_size: its size.
        found: the copy to judge.
        found_size: its size, not smaller.

    Raises:
        LedgerProofRefused: a tile is not there or has another form.
    """
    for index in range(-(-known_size // TILE_WIDTH)):
        one = known.tile(0, index, min(TILE_WIDTH, known_size - index * TILE_WIDTH))
        other = found.tile(0, index, min(TILE_WIDTH, found_size - index * TILE_WIDTH))[: len(one)]
        if one != other:
            place = difference_within(one, other)
            at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
            return Difference(index * TILE_WIDTH + place, one[at], other[at])
    return None


def difference_within(one: bytes, other: bytes) -> int:
    """Return the place of the first hash in which two tiles of one length differ."""
    places = range(0, len(one), HASH_SIZE)
    return next(at for at in places if one[at : at + HASH_SIZE] != other[at : at + HASH_SIZE]) // HASH_SIZE


def _levels(size: int) -> int:
    """Return how many levels of tiles a tree has, the leaves' included."""
    return max(1, -(-size.bit_length() // TILE_HEIGHT))


def _split(row: bytes) -> list[bytes]:
    return [row[at : at + HASH_SIZE] for at in range(0, len(row), HASH_SIZE)]


def _peaks(row: bytes) -> list[bytes]:
    """Return the roots of the complete subtrees that a row of fewer than 256 hashes makes, largest first."""
    peaks: list[bytes] = []
    at, count = 0, len(row) // HASH_SIZE
    for height in reversed(range(TILE_HEIGHT)):
        if count >> height & 1:
            end = at + (HASH_SIZE << height)
            peaks.append(fold(row[at:end]))
            at = end
    return peaks
