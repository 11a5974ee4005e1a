"""The chain: each entry names the one before; nothing can be taken out, put in or moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vault.errors import LedgerError
from vault.ledger.entry import GENESIS_PREV, Entry, LogEntry, LogEvent, decode, leaf_hash
from vault.ledger.tree import TreeHasher


@dataclass(frozen=True, slots=True)
class ChainReport:
    """A chain that holds.

    Attributes:
        size: entries seen, counted from entry 0.
        root: root of the tree of those entries.
        last_leaf: leaf hash of the last one; zeros when there is none.
        last_time: time of the last one; "" when there is none.
        origin: what entry 0 names; "" when there is none.
    """

    size: int
    root: bytes
    last_leaf: bytes
    last_time: str
    origin: str


class ChainVerifier:
    """Takes entries one after another from entry 0 and refuses the first that does not follow.

    Attributes:
        size: entries accepted.
        last_leaf: leaf hash of the last one.
        last_time: its time.
        origin: what entry 0 names.
    """

    def __init__(self) -> None:
        self.size = 0
        self.last_leaf = GENESIS_PREV
        self.last_time = ""
        self.origin = ""
        self._tree = TreeHasher()

    @classmethod
    def resume(cls, hasher: TreeHasher, first: bytes, origin: str) -> ChainVerifier:
        """Go on in the middle: what the next entry says of the one before it is taken as it stands.

        Args:
            hasher: holds the leaves of all entries before.
            first: octets of the next entry; still to be added.
            origin: identity of the log.

        Raises:
            LedgerError: ENTRY_INVALID.
        """
        verifier, entry = cls(), decode(first)
        verifier.size, verifier._tree = hasher.size, hasher
        verifier.last_leaf, verifier.last_time, verifier.origin = entry.prev, entry.time, origin
        return verifier

    def add(self, data: bytes) -> tuple[Entry, bytes]:
        """Check the next entry; return it and its leaf hash.

        Raises:
            LedgerError: CHAIN_BROKEN with `seq`, `what`, `expected` and `found`.
        """
        seq = self.size
        try:
            entry = decode(data)
        except LedgerError as error:
            raise _broken(seq, "form", "an entry in canonical form", error.detail) from error
        if entry.seq != seq:
            raise _broken(seq, "seq", seq, entry.seq)
        if entry.prev != self.last_leaf:
            raise _broken(seq, "prev", self.last_leaf.hex(), entry.prev.hex())
        if entry.time < self.last_time:
            raise _broken(seq, "time", f"at or after {self.last_time}", entry.time)
        opens = isinstance(entry, LogEntry) and entry.event is LogEvent.OPENED
        if opens is not (seq == 0):
            raise _broken(seq, "event", "log.opened at entry 0 and nowhere else", entry.seq)
        if isinstance(entry, LogEntry) and opens:
            self.origin = str(entry.body.get("origin", ""))
        self.last_leaf, self.last_time = leaf_hash(data), entry.time
        self.size += 1
        self._tree.add(self.last_leaf)
        return entry, self.last_leaf

    def root(self) -> bytes:
        """Return the root of the tree of the entries so far."""
        return self._tree.root()

    def report(self) -> ChainReport:
        """Return what was seen so far."""
        return ChainReport(self.size, self.root(), self.last_leaf, self.last_time, self.origin)


def verify_chain(entries: Iterable[bytes]) -> ChainReport:
    """Check a whole log from entry 0: form, seq, prev, time order, and that it opens once.

    Args:
        entries: octets of every entry in order.

    Raises:
        LedgerError: CHAIN_BROKEN with `seq`, `what`, `expected` and `found`.
    """
    verifier = ChainVerifier()
    for data in entries:
        verifier.add(data)
    return verifier.report()


def _broken(seq: int, what: str, expected: object, found: object) -> LedgerError:
    return LedgerError(
        "CHAIN_BROKEN",
        f"entry {seq}: {what}: expected {expected}, found {found}",
        seq=seq,
        what=what,
        expected=expected,
        found=found,
    )
