"""The RFC 6962 Merkle tree over tiles: roots, inclusion and consistency proofs, and their verification.

Nothing here reads or writes anything but through a `TileReader`, so the same code proves from the database,
from a copied ledger and from a web server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from vault.ledger.entry import leaf_hash
from vault.ledger.errors import LedgerProofRefused

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
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
    sha256 = hashlib.sha256
    while len(hashes) > HASH_SIZE:
        hashes = b"".join(
            [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)]
        )
    return hashes


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
    """Hashes of ranges of leaves, each tile read once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    def _hashes(self, level: int, index: int) -> bytes:
        known = self._tiles.get((level, index))
        if known is None:
            width = min(TILE_WIDTH, (self._size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
            known = self._reader.tile(level, index, width)
            if len(known) != width * HASH_SIZE:
                raise LedgerProofRefused(
                    "TILE_DAMAGED", "a tile has another length", expected=width * HASH_SIZE, found=len(known)
                )
            self._tiles[level, index] = known
        return known

    def complete(self, start: int, height: int) -> bytes:
        """Return the hash of the 2^height leaves from `start`, a multiple of that number."""
        level, inside = divmod(height, TILE_HEIGHT)
        first = start >> (TILE_HEIGHT * level)
        index, offset = divmod(first, TILE_WIDTH)
        hashes = self._hashes(level, index)
        return fold(hashes[offset * HASH_SIZE : (offset + (1 << inside)) * HASH_SIZE])

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
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(nodes.range(middle, end))
            end = middle
        else:
            proof.append(nodes.range(start, middle))
            start = middle
    proof.reverse()
    return proof


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
