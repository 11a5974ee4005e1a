"""The ledger: group commit beside raw SQLite and fdatasync, inclusion proofs."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.audits import ORIGIN, make_log
from benchmarks.figures import Figure
from benchmarks.writers import Bench, fdatasyncs, raw_sqlite
from vault.evidence.ledger_source import FolderLedger
from vault.ledger.files import LogReader
from vault.ledger.keys import LedgerKeys
from vault.ledger.tree import TILE_WIDTH, inclusion_proof


def run(size: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure everything.

    Args:
        size: entries of the log that is proven from.
        seconds: length of each measurement of writers and proofs.
        runs: repetitions.
    """
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as folder:
        yield from _writers(Path(folder), seconds, runs)
        yield from _readers(Path(folder), size, seconds, runs)


def _writers(folder: Path, seconds: float, runs: int) -> Iterator[Figure]:
    bench = Bench(folder / "writers")
    kinds: dict[str, Callable[[], tuple[float, list[float]]]] = {
        "64 asyncio submitters": lambda: bench.submitters(seconds),
        "64 blocking threads": lambda: bench.threads(seconds),
        "two processes of 64 submitters": lambda: bench.processes(seconds, 2),
    }
    rates = {kind: Figure(f"ledger: {kind}, entries with openings", "entries/s") for kind in kinds}
    waits = {kind: Figure(f"ledger: {kind}, wait of 99 in 100 at most", "ms") for kind in kinds}
    for number in range(runs):
        raw = raw_sqlite(folder / f"raw-{number}.db", seconds)
        synced = fdatasyncs(folder / "synced", seconds)
        for kind, measure in kinds.items():
            rate, quantiles = measure()
            rates[kind].runs.append(rate)
            rates[kind].beside("raw sqlite3, groups of 64", raw)
            rates[kind].beside("fdatasync/s", synced)
            waits[kind].runs.append(quantiles[0])
            waits[kind].beside("longest", quantiles[1])
        rates["two processes of 64 submitters"].beside("one process", rates["64 asyncio submitters"].runs[-1])
    bench.close()
    for kind in kinds:
        yield rates[kind]
        yield waits[kind]


def _readers(folder: Path, size: int, seconds: float, runs: int) -> Iterator[Figure]:
    log = folder / "log"
    make_log(log, LedgerKeys.new(ORIGIN), size)
    proofs = Figure("ledger: inclusion proofs, tiles in memory", "proofs/s")
    cold = Figure("ledger: inclusion proofs, tiles from files each time", "proofs/s")
    for _ in range(runs):
        proofs.runs.append(_proofs(_Kept(LogReader(FolderLedger(log))), size, seconds))
        cold.runs.append(_proofs(LogReader(FolderLedger(log)), size, seconds))
    yield from (proofs, cold)


class _Kept:
    """Tiles read once."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._tiles: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int, width: int) -> bytes:
        found = self._tiles.get((level, index))
        if found is None:
            found = self._tiles[level, index] = self._reader.tile(level, index, width)
        return found


def _proofs(reader: _Kept | LogReader, size: int, seconds: float) -> float:
    chosen, count = random.Random(1), 0
    if isinstance(reader, _Kept):
        for index in range(0, size, TILE_WIDTH):
            inclusion_proof(reader, index, size)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        inclusion_proof(reader, chosen.randrange(size), size)
        count += 1
    return count / seconds
