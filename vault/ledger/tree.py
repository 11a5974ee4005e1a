"""The RFC 6962 Merkle tree over tiles: roots, inclusion and consistency proofs, and their verification.

Nothing here reads or writes anything but through a `TileReader`, so the same code proves from the database,
from a copied ledger and from a web server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from vault.ledger.entry import leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.pyramids import (
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    CachedTiles,
    Pyramid,
    TileReader,
    fold,
    node_hash,
    read_pyramid,
)

EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_PROOF = 63

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_PROOF",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "TileReader",
    "TreeHasher",
    "consistency_proof",
    "fold",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root",
    "verify_consistency",
    "verify_inclusion",
]


class TreeHasher:
    """Computes roots while leaves are added one after another, in memory that grows with log(size)."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    @classmethod
    def resume(cls, size: int, peaks: Sequence[bytes]) -> TreeHasher:
        """Go on after `size` leaves.

        Args:
            size: leaves already added.
            peaks: roots of the complete subtrees they make, largest first, one for each bit set in `size`.
        """
        if len(peaks) != size.bit_count():
            raise LedgerProofRefused("TILE_DAMAGED", "not one hash for each complete subtree")
        hasher = cls()
        hasher.size = size
        hasher._stack = list(peaks)
        return hasher

    def add(self, leaf: bytes) -> None:
        """Add the next leaf hash."""
        node, count = leaf, self.size
        while count & 1:
            node = node_hash(self._stack.pop(), node)
            count >>= 1
        self._stack.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self._stack:
            return EMPTY_ROOT
        node = self._stack[-1]
        for left in self._stack[-2::-1]:
            node = node_hash(left, node)
        return node


class _Nodes:
    """Hashes of ranges of leaves, each tile asked for once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        self._read = reader.pyramid if isinstance(reader, CachedTiles) else partial(read_pyramid, reader)
        self._size = size
        self._pyramids: dict[tuple[int, int], Pyramid] = {}

    def pyramid(self, level: int, index: int) -> Pyramid:
        """Return a tile of this tree, as wide as the tree has it, with the rows inside it."""
        known = self._pyramids.get((level, index))
        if known is None:
            width = min(TILE_WIDTH, (self._size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            known = self._pyramids[level, index] = self._read(level, index, width)
        return known

    def complete(self, start: int, height: int) -> bytes:
        """Return the hash of the 2^height leaves from `start`, a multiple of that number."""
        level, inside = divmod(height, TILE_HEIGHT)
        index, offset = divmod(start >> (TILE_HEIGHT * level), TILE_WIDTH)
        at = (offset >> inside) * HASH_SIZE
        return self.pyramid(level, index)[inside][at : at + HASH_SIZE]

    def path(self, index: int, height: int) -> list[bytes]:
        """Return the audit path of a leaf within the complete subtree of 2^height leaves it stands in."""
        path: list[bytes] = []
        for level in range(-(-height // TILE_HEIGHT)):
            rows = self.pyramid(level, index >> (TILE_HEIGHT * (level + 1)))
            place = index >> (TILE_HEIGHT * level) & (TILE_WIDTH - 1)
            for inside in range(min(TILE_HEIGHT, height - TILE_HEIGHT * level)):
                at = (place >> inside ^ 1) * HASH_SIZE
                path.append(rows[inside][at : at + HASH_SIZE])
        return path

    def range(self, start: int, end: int) -> bytes:
        """Return MTH(D[start:end]) for a range that the RFC 6962 splitting rule makes."""
        count = end - start
        if count & (count - 1) == 0:
            return self.complete(start, count.bit_length() - 1)
        middle = start + _split(count)
        return node_hash(self.complete(start, _split(count).bit_length() - 1), self.range(middle, end))


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count` (which is at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def root(reader: TileReader, size: int) -> bytes:
    """Return the root of the tree of `size` leaves. Raises what the reader raises, LedgerProofRefused."""
    return _Nodes(reader, size).range(0, size) if size else EMPTY_ROOT


def inclusion_proof(reader: TileReader, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf, from its sibling up (RFC 6962 section 2.1.1).

    Raises:
        ValueError: the index is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    nodes = _Nodes(reader, size)
    above: list[bytes] = []
    start, end = 0, size
    while (count := end - start) & (count - 1):
        middle = start + _split(count)
        if index < middle:
            above.append(nodes.range(middle, end))
            end = middle
        else:
            above.append(nodes.range(start, middle))
            start = middle
    return [*nodes.path(index, count.bit_length() - 1), *reversed(above)]


def consistency_proof(reader: TileReader, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `new` leaves extends that of `old` (RFC 6962 section 2.1.2).

    Raises:
        ValueError: not 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    if old in {0, new}:
        return []
    nodes = _Nodes(reader, new)
    proof: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(nodes.range(middle, end))
            end = middle
        else:
            proof.append(nodes.range(start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(nodes.range(start, end))
    proof.reverse()
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Check an audit path (RFC 9162 section 2.1.3.2).

    Args:
        leaf: leaf hash, 32 octets.
        index: number of the leaf.
        size: leaves in the tree.
        proof: hashes from the leaf's sibling up.
        expected: root of the tree.

    Raises:
        LedgerProofRefused: INCLUSION_PROOF_INVALID.
    """
    if not 0 <= index < size:
        raise LedgerProofRefused("INCLUSION_PROOF_INVALID", "index outside the tree", index=index, size=size)
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_SIZE:
            raise LedgerProofRefused("INCLUSION_PROOF_INVALID", "too many hashes, or of another size")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or node != expected:
        raise LedgerProofRefused(
            "INCLUSION_PROOF_INVALID", "the path ends elsewhere", expected=expected.hex(), found=node.hex()
        )


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that one tree extends another (RFC 9162 section 2.1.4.2).

    Raises:
        LedgerProofRefused: CONSISTENCY_PROOF_INVALID.
    """
    if not 0 <= old <= new or any(len(node) != HASH_SIZE for node in proof):
        raise LedgerProofRefused("CONSISTENCY_PROOF_INVALID", "sizes or hashes out of range")
    if old in {0, new}:
        found: tuple[bytes, bytes] | None = (EMPTY_ROOT if old == 0 else new_root, new_root)
        found = None if proof else found
    else:
        found = _walk(old, new, [old_root, *proof] if old & (old - 1) == 0 else list(proof))
    if found != (old_root, new_root):
        raise LedgerProofRefused("CONSISTENCY_PROOF_INVALID", "the proof does not lead to both roots")


def _walk(old: int, new: int, hashes: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the two roots a consistency proof leads to, or None for a proof of another length."""
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    if not hashes:
        return None
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    return (first, second) if last == 0 else None
