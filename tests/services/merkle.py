"""Trees of logs: RFC 6962 read word for word, and small trees that a log signs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from vault.ledger import tree
from vault.ledger.keys import LedgerKeys
from vault.ledger.tree import TreeHasher
from vault.ledger.witness_protocol import AddCheckpoint


def split(count: int) -> int:
    """The largest power of two below a number of leaves."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


class Proofs:
    """The proofs of RFC 6962, over its MTH of the leaves from a first to before a last."""

    def __init__(self, mth: Callable[[int, int], bytes]) -> None:
        self._mth = mth

    def path(self, index: int, start: int, end: int) -> list[bytes]:
        """RFC 6962 section 2.1.1."""
        if end - start == 1:
            return []
        middle = start + split(end - start)
        if index < middle:
            return [*self.path(index, start, middle), self._mth(middle, end)]
        return [*self.path(index, middle, end), self._mth(start, middle)]

    def subproof(self, old: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        """RFC 6962 section 2.1.2; `old` counts from 0, not from `start`."""
        if old == end:
            return [] if whole else [self._mth(start, end)]
        middle = start + split(end - start)
        if old <= middle:
            return [*self.subproof(old, start, middle, whole=whole), self._mth(middle, end)]
        return [*self.subproof(old, middle, end, whole=False), self._mth(start, middle)]


class Tree:
    """A log's tree; of different seeds they differ from leaf 5 on."""

    def __init__(self, log: LedgerKeys, at: datetime, seed: int = 0, size: int = 600) -> None:
        self.log, self.at = log, at
        self.leaves = [tree.leaf_hash(b"%d" % i if i < 5 else b"%d/%d" % (seed, i)) for i in range(size)]

    def tile(self, level: int, index: int, width: int) -> bytes:
        row = self.leaves
        for _ in range(level):
            row = [tree.fold(b"".join(row[at : at + 256])) for at in range(0, len(row) // 256 * 256, 256)]
        return b"".join(row[index * 256 :][:width])

    def root(self, size: int) -> bytes:
        hasher = TreeHasher()
        for leaf in self.leaves[:size]:
            hasher.add(leaf)
        return hasher.root()

    def note(self, size: int, keys: LedgerKeys | None = None) -> bytes:
        return (keys or self.log).sign_checkpoint(size, self.root(size), self.at)

    def proof(self, old: int, size: int) -> tuple[bytes, ...]:
        return tuple(tree.consistency_proof(self, old, size)) if 0 < old < size else ()

    def request(self, old: int, size: int, keys: LedgerKeys | None = None) -> bytes:
        return AddCheckpoint(old, self.proof(old, size), self.note(size, keys)).encode()
