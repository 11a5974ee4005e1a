"""Joins what was found in the pieces of a published log: one chain, one tree, one root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from vault.errors import VaultError
from vault.ledger.audit_state import Position
from vault.ledger.chain import MAX_STATED, BundleChain, too_many_stated
from vault.ledger.checkpoint import CheckpointReport
from vault.ledger.entry import decode
from vault.ledger.files import ComputedTiles, LogReader
from vault.ledger.findings import AuditReport, Problem, Progress
from vault.ledger.shards import SHARD, Shard, Walked, can_travel, compare_tile, walk, walk_in_processes
from vault.ledger.tiles import Tile
from vault.ledger.tree import EMPTY_ROOT, HASH_SIZE, TILE_WIDTH


@dataclass(frozen=True, slots=True)
class Head:
    """Size and root of a tree.

    Attributes:
        size: its leaves.
        root: 32 octets.
    """

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be read, and how.

    Attributes:
        start: first entry, a multiple of 256.
        forked: an earlier head that this log did not prove to extend.
        processes: processes among which the entries are divided.
        raw: look at the tree alone.
        since: what names the checkpoint that is trusted already; "" without one.
        resumed: where an earlier run had come to.
        keep: takes, now and then, where this one has come to.
    """

    start: int
    forked: Head | None
    processes: int
    raw: bool
    since: str
    resumed: Position | None
    keep: Callable[[Position], None] | None


class Joiner:
    """One pass over the entries of a published log.

    Attributes:
        stated: octets of the entries of the log itself, in order.
        last_time: time of the last entry.
    """

    def __init__(
        self, reader: LogReader, checkpoint: CheckpointReport, report: AuditReport, progress: Progress
    ) -> None:
        self._reader = reader
        self._checkpoint = checkpoint
        self._report = report
        self._progress = progress
        self._computed = ComputedTiles()
        self._chain: BundleChain | None = None
        self._before: bytes | None = None
        self.stated: tuple[bytes, ...] = ()
        self.last_time = ""

    def run(self, run: Run) -> bool:
        """Read the entries; tell whether the pass came to its end, be it that the chain breaks."""
        report, size = self._report, self._checkpoint.size
        report.start = run.start
        ended = True
        try:
            self._begin(run)
            # 3, and 4 for full tiles
            ended = self._follow(run)
        except VaultError as error:
            at = error.params.get("seq")
            entry = at if isinstance(at, int) else run.start
            report.add_error(error, f"entry {entry}", check="chain", entry=entry)
        self._progress(size, size)
        report.size, report.root = self._computed.size, self._computed.root()
        report.checked = report.size - run.start
        if report.size == size:
            self._finish(run)
        return ended

    def _begin(self, run: Run) -> None:
        if run.resumed is not None:
            self._computed = ComputedTiles.restore(run.resumed.size, run.resumed.edge)
            self._chain = run.resumed.chain()
            self.stated = run.resumed.stated
            self._report.tiles = run.resumed.files
            self._report.problems += run.resumed.problems
        elif run.start:
            self._computed, _ = ComputedTiles.resume(self._reader, run.start, self._checkpoint.size)

    def _follow(self, run: Run) -> bool:
        """Walk the pieces and join them; False when that was cut short by something that is not the log's."""
        size = self._checkpoint.size
        try:
            for shard, walked in self._walked(run):
                self._join(shard, walked, run.forked)
                if walked.broken is not None:
                    if walked.changed is not None:
                        self._report.problems.append(walked.changed)
                    self._report.problems.append(walked.broken)
                    return not walked.broken.indeterminate
                if len(self.stated) > MAX_STATED:
                    raise too_many_stated(decode(self.stated[MAX_STATED]).seq)
                self._progress(shard.end, size)
                if run.keep is not None and shard.end < size:
                    run.keep(self._position(run))
        except BrokenProcessPool:
            at = self._computed.size
            expected, found = "processes that end their work", "one that died"
            self._report.add(
                "AUDIT_INTERRUPTED",
                f"entry {at}",
                expected,
                found,
                check="chain",
                entry=at,
                indeterminate=True,
            )
            return False
        return True

    def _walked(self, run: Run) -> Iterator[tuple[Shard, Walked]]:
        files, size, origin = self._reader.files, self._checkpoint.size, self._checkpoint.origin
        kept = run.forked.size // TILE_WIDTH if run.forked else -1
        starts = range(self._computed.size, size, SHARD)

        def shards() -> Iterator[Shard]:
            # One at a time: a checkpoint may claim more entries than memory could hold pieces.
            for start in starts:
                yield Shard(files, start, min(start + SHARD, size), size, origin, kept, run.raw)

        processes = min(run.processes, len(starts))
        if processes > 1 and can_travel(files):
            found = walk_in_processes(shards(), processes)
        else:
            found = (walk(shard, self._chain) for shard in shards())
        for shard, walked in zip(shards(), found, strict=True):
            yield shard, self._following(shard, walked)

    def _following(self, shard: Shard, walked: Walked) -> Walked:
        """Walk a piece again where it does not follow the one before, which it may not have known."""
        chain = self._chain
        if chain is None or (walked.prev == chain.last_leaf and walked.time >= chain.last_time):
            return walked
        return walk(shard, chain)

    def _join(self, shard: Shard, walked: Walked, forked: Head | None) -> None:
        report, computed = self._report, self._computed
        problems: dict[int, list[Problem]] = defaultdict(list)
        for bundle, problem in walked.problems:
            problems[bundle].append(problem)
        for at in range(0, len(walked.roots), HASH_SIZE):
            self._look_back(walked, forked)
            report.problems += problems[computed.size // TILE_WIDTH]
            for level, index, hashes in computed.add_full(bytes(walked.roots[at : at + HASH_SIZE])):
                self._compare(Tile(level, index), hashes)
        self._look_back(walked, forked)
        for at in range(0, len(walked.leaves), HASH_SIZE):
            list(computed.add(walked.leaves[at : at + HASH_SIZE]))  # too few to complete a tile
        report.tiles += walked.files
        if not shard.raw and walked.last_leaf:
            # A piece that was walked blindly knows the origin from the checkpoint alone.
            origin = self._chain.origin if self._chain else walked.origin
            self._chain = BundleChain(walked.size, walked.last_leaf, walked.last_time, origin)
            self.stated += walked.stated
            self.last_time = walked.last_time

    def _look_back(self, walked: Walked, forked: Head | None) -> None:
        """Note the root at the size of another history once the leaves up to there are at hand."""
        if forked is None or self._before is not None or self._computed.size != _floor(forked.size):
            return
        rest = walked.kept[: (forked.size % TILE_WIDTH) * HASH_SIZE]
        if len(rest) == (forked.size % TILE_WIDTH) * HASH_SIZE:
            hasher = self._computed.hasher()
            for at in range(0, len(rest), HASH_SIZE):
                hasher.add(rest[at : at + HASH_SIZE])
            self._before = hasher.root()

    def _finish(self, run: Run) -> None:
        report, size = self._report, self._checkpoint.size
        # 4
        for level, index, hashes in self._computed.partial():
            self._compare(Tile(level, index, len(hashes) // HASH_SIZE), hashes)
        # 5
        if report.root != self._checkpoint.root:
            where = f"checkpoint {size}"
            report.add("ROOT_MISMATCH", where, report.root, self._checkpoint.root, check="tree")
        elif run.forked is not None:
            self._judge(run.forked)
        # 6
        origin = self._chain.origin if self._chain else ""
        if origin != self._checkpoint.origin and not run.raw:
            report.add("ORIGIN_MISMATCH", "entry 0", self._checkpoint.origin, origin, check="origin", entry=0)

    def _judge(self, known: Head) -> None:
        """The entries make the signed root: so the log itself says what its tree was at the known size."""
        before = self._before if known.size else EMPTY_ROOT
        if before != known.root:
            where = f"entries 0 to {known.size - 1}"
            found = before or "no such tree"
            self._report.add("LEDGER_FORKED", where, known.root, found, check="consistency")

    def _compare(self, tile: Tile, hashes: bytes) -> None:
        self._report.tiles += 1
        self._report.problems += compare_tile(self._reader, tile, hashes)

    def _position(self, run: Run) -> Position:
        chain = self._chain or BundleChain()
        return Position(
            seen_size=self._checkpoint.size,
            seen_root=self._checkpoint.root,
            origin=self._checkpoint.origin,
            since=run.since,
            start=run.start,
            size=self._computed.size,
            edge=self._computed.edge(),
            last_leaf=chain.last_leaf,
            last_time=chain.last_time,
            opened=chain.origin,
            stated=self.stated,
            files=self._report.tiles,
            problems=tuple(self._report.problems),
        )


def _floor(size: int) -> int:
    return size // TILE_WIDTH * TILE_WIDTH
