"""The chain: each entry names the one before; nothing can be taken out, put in or moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.errors import LedgerError
from vault.ledger.entry import GENESIS_PREV, Entry, LogEntry, LogEvent, decode, leaf_hash
from vault.ledger.quick import last_time_of, leaves_of
from vault.ledger.tree import TreeHasher

# Entries of the log itself: far more than any log has keys, and no more than a reader can hold.
MAX_STATED = 1024


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


class Chain:
    """Takes entries one after another and refuses the first that does not follow; keeps nothing but the end.

    Attributes:
        size: entries accepted, with those before the first.
        last_leaf: leaf hash of the last one.
        last_time: its time.
        origin: what entry 0 names.
        stated: octets of the entries of the log itself that were accepted.
    """

    def __init__(
        self, size: int = 0, last_leaf: bytes = GENESIS_PREV, last_time: str = "", origin: str = ""
    ) -> None:
        """Begin at entry 0, or after entries that were accepted before."""
        self.size = size
        self.last_leaf = last_leaf
        self.last_time = last_time
        self.origin = origin
        self.stated: tuple[bytes, ...] = ()

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
        if isinstance(entry, LogEntry):
            if len(self.stated) == MAX_STATED:
                raise too_many_stated(seq)
            self.stated += (data,)
        self.last_leaf, self.last_time = leaf_hash(data), entry.time
        self.size += 1
        return entry, self.last_leaf


class BundleChain(Chain):
    """A chain that takes a bundle of entries at a time."""

    @classmethod
    def from_entry(cls, seq: int, first: bytes, origin: str) -> BundleChain:
        """Begin in the middle: what the next entry says of the one before it is taken as it stands.

        Args:
            seq: number of the next entry.
            first: its octets; still to be added.
            origin: identity of the log.

        Raises:
            LedgerError: ENTRY_INVALID.
        """
        entry = decode(first)
        return cls(seq, entry.prev, entry.time, origin)

    def add_bundle(self, bodies: Sequence[bytes], leaves: list[bytes]) -> None:
        """Check the entries of a bundle: at once where they are plainly in order, else one by one.

        Args:
            bodies: octets of the next entries, at least one.
            leaves: takes the leaf hash of each entry accepted, of those before a refused one too.

        Raises:
            LedgerError: as `add`.
        """
        hashed = leaves_of(bodies)
        # Entry 0 is none of those that the quick check knows.
        time = last_time_of(bodies, hashed, self.size, self.last_leaf, self.last_time) if self.size else None
        if time is None:
            for body in bodies:
                _, leaf = self.add(body)
                leaves.append(leaf)
            return
        leaves += hashed
        self.size += len(bodies)
        self.last_leaf, self.last_time = hashed[-1], time


class ChainVerifier(Chain):
    """A chain that also computes the tree of its entries."""

    def __init__(self) -> None:
        """Begin at entry 0."""
        super().__init__()
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
        """See `Chain.add`."""
        entry, leaf = super().add(data)
        self._tree.add(leaf)
        return entry, leaf

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


def too_many_stated(seq: int) -> LedgerError:
    """Return the error for an entry of the log itself beyond the number that a log may have."""
    return _broken(seq, "event", f"at most {MAX_STATED} entries of the log itself", "one more")


def _broken(seq: int, what: str, expected: object, found: object) -> LedgerError:
    return LedgerError(
        "CHAIN_BROKEN",
        f"entry {seq}: {what}: expected {expected}, found {found}",
        seq=seq,
        what=what,
        expected=expected,
        found=found,
    )
