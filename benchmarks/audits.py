"""Audits of published files, beside bare hashing of the same entries: each measurement is a process of its own."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles
from vault.ledger.keys import LedgerKeys
from vault.ledger.tiles import ENTRIES, Tile, decode_bundle, encode_bundle
from vault.ledger.tree import TILE_WIDTH, fold

ORIGIN = "safe.example/ledger/1"
_STAMP = "2026-01-01T00:00:00.000Z"


def run(size: int, runs: int) -> Iterator[Figure]:
    """Measure audits of a log, and of one of a tenth of its size for the memory they need.

    Args:
        size: entries of the log.
        runs: repetitions, in turn.

    Yields:
        What each costs as a multiple of the other, and the peak memory.
    """
    raw = Figure("ledger: audit raw / bare", "times the time of bare SHA-256 and tree")
    whole = Figure("ledger: audit semantic / raw", "times the time of a raw audit")
    two = Figure("ledger: audit, one process / two", "times as fast")
    memory = Figure("ledger: audit, peak memory", "MiB")
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        log, tenth = Path(place) / "log", Path(place) / "tenth"
        keys = LedgerKeys.new(ORIGIN)
        for folder, count in ((log, size), (tenth, max(1, size // 10))):
            make_log(folder, keys, count)
            (folder / "vkeys").write_text("\n".join(keys.vkeys))
        bodies = bodies_of(log, size)
        for _ in range(runs):
            begun = time.perf_counter()
            bare_tree(bodies)
            bare = time.perf_counter() - begun
            raw_time, _ = _audit(log, "raw")
            whole_time, peak = _audit(log, "whole")
            two_time, _ = _audit(log, "whole", processes=2)
            for figure, value, names in (
                (raw, raw_time / bare, {"raw": raw_time, "bare": bare}),
                (whole, whole_time / raw_time, {"semantic": whole_time, "raw": raw_time}),
                (two, whole_time / two_time, {"one process": whole_time, "two processes": two_time}),
            ):
                figure.runs.append(value)
                for name, seconds in names.items():
                    figure.beside(f"{name}, entries/s", size / seconds)
            memory.runs.append(peak)
            memory.beside("a tenth of the entries", _audit(tenth, "whole")[1])
    yield from (raw, whole, two, memory)


def make_log(folder: Path, keys: LedgerKeys, size: int) -> None:
    """Write a published log of entries drawn by chance, in memory that does not grow with it."""
    drawn, computed, prev = random.Random(2), ComputedTiles(), b""
    genesis = {"origin": ORIGIN, "generation": 1, "keys": {}, "previous": ""}
    bundle: list[bytes] = []
    for seq in range(size):
        if seq:
            body = encode_record(seq, prev, _STAMP, drawn.randbytes(32), drawn.randbytes(32))
        else:
            body = encode(LogEntry(0, GENESIS_PREV, _STAMP, LogEvent.OPENED, genesis))
        bundle.append(body)
        prev = leaf_hash(body)
        for level, index, hashes in computed.add(prev):
            _write(folder, Tile(level, index).path, hashes)
        if len(bundle) == TILE_WIDTH or seq == size - 1:
            tile = Tile(ENTRIES, seq // TILE_WIDTH, len(bundle))
            _write(folder, tile.path, encode_bundle(bundle))
            bundle.clear()
    for level, index, hashes in computed.partial():
        _write(folder, Tile(level, index, len(hashes) // 32).path, hashes)
    note = keys.sign_checkpoint(size, computed.root(), datetime(2026, 1, 1, tzinfo=UTC))
    _write(folder, "checkpoint", note)


def bodies_of(folder: Path, size: int) -> list[bytes]:
    """Return the entries of a log that `make_log` wrote."""
    bodies: list[bytes] = []
    for index in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bodies += decode_bundle((folder / Tile(ENTRIES, index, width).path).read_bytes(), width)
    return bodies


def bare_tree(bodies: list[bytes]) -> bytes:
    """Leaf hashes and the nodes above them, in the same language, and nothing else."""
    row = [hashlib.sha256(b"\x00" + body).digest() for body in bodies]
    while len(row) >= TILE_WIDTH:
        full = len(row) // TILE_WIDTH * TILE_WIDTH
        row = [fold(b"".join(row[at : at + TILE_WIDTH])) for at in range(0, full, TILE_WIDTH)]
    return row[0]


def _write(folder: Path, path: str, data: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def _audit(log: Path, kind: str, processes: int = 1) -> tuple[float, float]:
    """Audit in a new process; return seconds, without its start, and its peak memory in MiB."""
    command = [sys.executable, "-m", "benchmarks.audit_once", str(log), kind, str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found["seconds"], found["peak_mib"]
