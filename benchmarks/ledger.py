"""The ledger: group commit beside raw SQLite and fdatasync, audit beside bare hashing, inclusion proofs."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.writers import Bench, fdatasyncs, raw_sqlite
from vault.evidence.ledger_source import FolderLedger
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles, LogReader
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.published import audit_published
from vault.ledger.tiles import Tile, changed_bundles, encode_bundle
from vault.ledger.tree import TILE_WIDTH, TreeHasher, fold, inclusion_proof

ORIGIN = "safe.example/ledger/1"


def run(size: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure everything.

    Args:
        size: entries of the log that is audited and proven from.
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
    keys = LedgerKeys.new(ORIGIN)
    bodies = _make(log, keys, size)
    policy = Policy.from_vkeys("\n".join(keys.vkeys))
    audits = Figure("ledger: audit of published files", "entries/s")
    proofs = Figure("ledger: inclusion proofs, tiles in memory", "proofs/s")
    cold = Figure("ledger: inclusion proofs, tiles from files each time", "proofs/s")
    for _ in range(runs):
        begun = time.perf_counter()
        report = audit_published(FolderLedger(log), policy)
        audits.runs.append(size / (time.perf_counter() - begun))
        if not report.ok:
            raise SystemExit(f"the audit found problems: {report.problems}")
        begun = time.perf_counter()
        _bare(bodies)
        audits.beside("bare SHA-256 and tree, entries in memory", size / (time.perf_counter() - begun))
        proofs.runs.append(_proofs(_Kept(LogReader(FolderLedger(log))), size, seconds))
        cold.runs.append(_proofs(LogReader(FolderLedger(log)), size, seconds))
    yield from (audits, proofs, cold)


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


def _bare(bodies: list[bytes]) -> bytes:
    """Leaf hashes and root, in the same language, and nothing else."""
    row = [hashlib.sha256(b"\x00" + body).digest() for body in bodies]
    while len(row) >= TILE_WIDTH:
        full = len(row) // TILE_WIDTH * TILE_WIDTH
        row = [fold(b"".join(row[at : at + TILE_WIDTH])) for at in range(0, full, TILE_WIDTH)]
    return row[0]


def _make(folder: Path, keys: LedgerKeys, size: int) -> list[bytes]:
    """Write a published log of entries drawn by chance; return its entries."""
    stamp, drawn = "2026-01-01T00:00:00.000Z", random.Random(2)
    body = {"origin": ORIGIN, "generation": 1, "keys": {}, "previous": ""}
    bodies = [encode(LogEntry(0, GENESIS_PREV, stamp, LogEvent.OPENED, body))]
    computed, hasher, prev = ComputedTiles(), TreeHasher(), b""
    files: dict[str, bytes] = {}
    for seq in range(size):
        if seq:
            bodies.append(encode_record(seq, prev, stamp, drawn.randbytes(32), drawn.randbytes(32)))
        prev = leaf_hash(bodies[-1])
        hasher.add(prev)
        files |= {Tile(level, index).path: hashes for level, index, hashes in computed.add(prev)}
    files |= {
        Tile(level, index, len(hashes) // 32).path: hashes for level, index, hashes in computed.partial()
    }
    for bundle in changed_bundles(0, size):
        start = bundle.index * TILE_WIDTH
        files[bundle.path] = encode_bundle(bodies[start : start + bundle.width])
    files["checkpoint"] = keys.sign_checkpoint(size, hasher.root(), datetime(2026, 1, 1, tzinfo=UTC))
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return bodies
