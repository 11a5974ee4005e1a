"""The entries of a published log, walked in pieces that other processes can take.

What a piece says is joined, in order, by `vault.ledger.published`: nothing here has seen the whole.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process

from vault.errors import VaultError
from vault.ledger.chain import BundleChain
from vault.ledger.files import LogReader, PublishedFiles, difference_within
from vault.ledger.findings import AuditReport, Problem
from vault.ledger.quick import leaves_of
from vault.ledger.tiles import Tile
from vault.ledger.tree import HASH_SIZE, TILE_WIDTH, fold

SHARD = 64 * TILE_WIDTH


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of a log.

    Attributes:
        files: where the log lies; for another process, something that can be pickled.
        start: first entry, a multiple of 256.
        end: entry after the last.
        size: of the log.
        origin: of the log, as its checkpoint says.
        kept: number of a bundle whose leaf hashes are wanted, or -1.
        raw: leave form and chain of the entries unread; only what the tree is made of.
    """

    files: PublishedFiles
    start: int
    end: int
    size: int
    origin: str
    kept: int = -1
    raw: bool = False


@dataclass(slots=True)
class Walked:
    """What was found in a piece.

    Attributes:
        start: its first entry.
        size: entries whose chain holds, with those before the piece; `start` when the first does not.
        prev: leaf hash of the entry before the piece: what was expected, or what its first entry says.
        time: time of that entry, or of the first entry where it was not known.
        last_leaf, last_time, origin: as in `Chain`, at the end.
        stated: entries of the log itself.
        roots: root of each full bundle, one after another.
        leaves: leaf hashes after them.
        kept: leaf hashes of the bundle that was asked for.
        files: bundles and tiles that were read.
        problems: tiles that are not those of the entries, with the number of their bundle.
        broken: why the walk ended early; of what comes after it, only where the entries of that bundle are not
            those in the tile was looked at (`changed`).
        changed: the first such entry: it may be the one before that which no longer follows it.
    """

    start: int
    size: int
    prev: bytes = b""
    time: str = ""
    last_leaf: bytes = b""
    last_time: str = ""
    origin: str = ""
    stated: tuple[bytes, ...] = ()
    roots: bytearray = field(default_factory=bytearray)
    leaves: bytes = b""
    kept: bytes = b""
    files: int = 0
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    broken: Problem | None = None
    changed: Problem | None = None


def walk(shard: Shard, chain: BundleChain | None = None) -> Walked:
    """Read the entries of a piece and compare their hashes with the published ones.

    Args:
        shard: the piece.
        chain: the end of the chain before it; where it is not known, what the first entry says of it is taken as
            it stands, and is for the caller to compare.
    """
    reader, walked = LogReader(shard.files), Walked(shard.start, shard.start)
    # The caller's own stays where it is.
    chain = copy(chain) if chain or shard.start else BundleChain()
    leaves: list[bytes] = []
    bodies: list[bytes] = []
    size = shard.start
    try:
        for index in range(shard.start // TILE_WIDTH, -(-shard.end // TILE_WIDTH)):
            width, leaves, bodies = min(TILE_WIDTH, shard.size - index * TILE_WIDTH), [], []
            bodies = reader.entries(index, width)
            walked.files += 1
            if shard.raw:
                leaves += leaves_of(bodies)
            else:
                chain = chain or BundleChain.from_entry(size, bodies[0], shard.origin)
                if index * TILE_WIDTH == shard.start:
                    walked.prev, walked.time = chain.last_leaf, chain.last_time
                chain.add_bundle(bodies, leaves)
            size, row = size + width, b"".join(leaves)
            if width == TILE_WIDTH:
                walked.files += 1
                walked.problems += [(index, item) for item in compare_tile(reader, Tile(0, index), row)]
                walked.roots += fold(row)
                leaves = []
            if index == shard.kept:
                walked.kept = row
    except VaultError as error:
        if bodies:
            # The tile knows which entry is not the one that was signed; the chain breaks only at the next.
            tile, row = Tile(0, index, width), b"".join(leaves_of(bodies))
            walked.changed = next(
                (item for item in compare_tile(reader, tile, row) if item.entry is not None), None
            )
        size += len(leaves)
        found = AuditReport()
        found.add_error(error, f"entry {size}", check="chain", entry=size)
        (walked.broken,) = found.problems
    walked.size, walked.leaves = size, b"".join(leaves)
    if chain is not None:
        walked.last_leaf, walked.last_time, walked.origin = chain.last_leaf, chain.last_time, chain.origin
        walked.stated = chain.stated
    return walked


def compare_tile(reader: LogReader, tile: Tile, hashes: bytes) -> list[Problem]:
    """Compare a published tile with the hashes that the entries make; name the first that is another."""
    found = AuditReport()
    try:
        published = reader.tile(tile.level, tile.index, tile.width)
    except VaultError as error:
        found.add_error(error, tile.path, expected="the tile that the entries make", check="tiles")
    else:
        if published != hashes:
            place = difference_within(hashes, published)
            at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
            found.add(
                "TILE_MISMATCH",
                f"{tile.path} hash {place}",
                hashes[at],
                published[at],
                check="tiles",
                entry=tile.index * TILE_WIDTH + place if tile.level == 0 else None,
            )
    return found.problems


def walk_in_processes(shards: Iterable[Shard], processes: int) -> Iterator[Walked]:
    """Walk pieces in several processes, this one among them; yields what was found in the order of the pieces.

    Only a few are under way at a time, so that memory does not grow with the log.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a process died.
    """
    others, waiting = max(1, processes - 1), iter(shards)
    # Spawned, not forked: this process may have threads, and locks that they hold.
    with ProcessPoolExecutor(others, mp_context=get_context("spawn"), initializer=_begin) as pool:
        under_way: deque[Future[Walked]] = deque()
        try:
            while True:
                while sum(not future.done() for future in under_way) < 2 * others:
                    if (shard := next(waiting, None)) is None:
                        break
                    under_way.append(pool.submit(walk, shard))
                if not under_way:
                    return
                busy = not under_way[0].done() and len(under_way) < 4 * processes
                # Rather than wait for the others, which take a while to start, take a piece as well.
                if busy and (shard := next(waiting, None)) is not None:
                    under_way.append(_walk_here(shard))
                else:
                    yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _walk_here(shard: Shard) -> Future[Walked]:
    walked: Future[Walked] = Future()
    walked.set_result(walk(shard))
    return walked


def can_travel(files: PublishedFiles) -> bool:
    """Tell whether another process can be told where a log lies."""
    try:
        pickle.dumps(files)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def _begin() -> None:
    """Let an interrupt be the parent's affair, and end when the parent is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
