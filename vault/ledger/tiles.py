"""Names and contents of published files (c2sp.org/tlog-tiles): hash tiles and entry bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vault.ledger.errors import malformed
from vault.ledger.tree import TILE_HEIGHT, TILE_WIDTH

ENTRIES = -1
MAX_LEVEL = 7
CHECKPOINT_PATH = "checkpoint"
TILE_TYPE = "application/octet-stream"
CHECKPOINT_TYPE = "text/plain; charset=utf-8"
_PATH = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Coordinates of a published file.

    Attributes:
        level: of the tree, 0 for leaf hashes; `ENTRIES` for an entry bundle.
        index: number of the tile within the level.
        width: hashes or entries in it; 256 for a full one.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path under the log's prefix, such as `tile/0/x001/234.p/7`."""
        base = "entries" if self.level == ENTRIES else str(self.level)
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        suffix = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{base}/{'/'.join(reversed(groups))}{suffix}"

    @property
    def full(self) -> bool:
        """True for a tile that will never change."""
        return self.width == TILE_WIDTH

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path. Raises LedgerProofRefused(FORMAT_FAILURE) unless it is the one form of that tile."""
        match = _PATH.fullmatch(path)
        if match is not None and path.isascii():
            level = ENTRIES if match[1] == "entries" else int(match[1])
            width = int(match[3]) if match[3] else TILE_WIDTH
            tile = cls(level, int(re.sub(r"[x/]", "", match[2])), width)
            if tile.path == path:
                return tile
        raise malformed("not the path of a tile", found=path[:200])


def changed_tiles(old: int, new: int) -> Iterator[Tile]:
    """Yield the hash tiles that a tree of `new` leaves has and one of `old` had not, level by level.

    Each partial tile of the new tree is named in its new width only.
    """
    for level in range(MAX_LEVEL + 1):
        before, after = old >> (TILE_HEIGHT * level), new >> (TILE_HEIGHT * level)
        if after == 0:
            return
        for index in range(before // TILE_WIDTH, after // TILE_WIDTH):
            yield Tile(level, index)
        if after % TILE_WIDTH and after != before:
            yield Tile(level, after // TILE_WIDTH, after % TILE_WIDTH)


def changed_bundles(old: int, new: int) -> Iterator[Tile]:
    """Yield the entry bundles that a log of `new` entries has and one of `old` had not."""
    for index in range(old // TILE_WIDTH, new // TILE_WIDTH):
        yield Tile(ENTRIES, index)
    if new % TILE_WIDTH and new != old:
        yield Tile(ENTRIES, new // TILE_WIDTH, new % TILE_WIDTH)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Write entries, each behind its length (unsigned 16-bit big-endian)."""
    pieces: list[bytes] = []
    for entry in entries:
        pieces += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(pieces)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Read exactly `width` entries. Raises LedgerProofRefused(FORMAT_FAILURE)."""
    # Entries of one length, as almost all are, are cut out without reading each length by itself.
    step = 2 + int.from_bytes(data[:2], "big")
    if len(data) == width * step and all(data[at::step] == data[at : at + 1] * width for at in (0, 1)):
        return [data[at : at + step - 2] for at in range(2, len(data) + 1, step)]
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise malformed("an entry bundle is cut short")
        entries.append(data[start:at])
    if len(entries) != width:
        raise malformed("an entry bundle has another width", expected=width, found=len(entries))
    return entries
