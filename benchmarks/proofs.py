"""Inclusion proofs from published tiles, beside the bare hashing of a path and the bare reading of the files."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.audits import ORIGIN, make_log
from benchmarks.figures import Figure
from vault.evidence.ledger_source import FolderLedger
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.files import LogReader
from vault.ledger.keys import LedgerKeys
from vault.ledger.pyramids import PyramidCache
from vault.ledger.tree import (
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileReader,
    inclusion_proof,
    node_hash,
    verify_inclusion,
)


def run(size: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure proofs from a log made for it.

    Args:
        size: entries of the log.
        seconds: length of each measurement.
        runs: repetitions.
    """
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        log = Path(place) / "log"
        make_log(log, LedgerKeys.new(ORIGIN), size)
        yield from measure(log, seconds, runs)


def measure(log: Path, seconds: float, runs: int) -> Iterator[Figure]:
    """Prove entries drawn by chance under the newest checkpoint of a published log.

    Warm: every tile was asked for before, from a cache of the product's own size. Cold: nothing is remembered, each
    proof reads its tile files again (from the system's memory of the disk) and hashes what is inside them.

    Args:
        log: folder of the published log.
        seconds: length of each measurement.
        runs: repetitions.
    """
    reader = LogReader(FolderLedger(log))
    checkpoint = Checkpoint.parse(reader.checkpoint())
    size, drawn = checkpoint.size, random.Random(1)
    cached = PyramidCache().over(reader)
    for index in range(0, size, TILE_WIDTH):
        inclusion_proof(cached, index, size)

    def prove(tiles: TileReader) -> None:
        inclusion_proof(tiles, drawn.randrange(size), size)

    def prove_and_verify() -> None:
        index = drawn.randrange(size)
        proof = inclusion_proof(cached, index, size)
        verify_inclusion(_hash(cached, 0, index, size), index, size, proof, checkpoint.root)

    height = (size - 1).bit_length()

    def hash_path() -> None:
        node = sibling = drawn.randbytes(HASH_SIZE)
        for _ in range(height):
            node = node_hash(node, sibling)

    def read_files() -> None:
        _hashes_of_a_path(reader, drawn.randrange(size), size)

    warm = Figure("ledger: inclusion proofs, tiles remembered", "proofs/s")
    verified = Figure("ledger: inclusion proofs, tiles remembered, each verified to the root", "proofs/s")
    cold = Figure("ledger: inclusion proofs, tiles from files each time", "proofs/s")
    for _ in range(runs):
        hashed = _rate(hash_path, seconds)
        warm.runs.append(_rate(lambda: prove(cached), seconds))
        verified.runs.append(_rate(prove_and_verify, seconds))
        cold.runs.append(_rate(lambda: prove(reader), seconds))
        for figure in (warm, verified, cold):
            figure.beside("bare hashing of a path", hashed)
        cold.beside("bare reading of the tiles of a path", _rate(read_files, seconds))
    yield from (warm, verified, cold)


def _rate(work: Callable[[], None], seconds: float) -> float:
    """Return how often a second something is done."""
    count, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        work()
        count += 1
    return count / (now - begun)


def _hash(tiles: TileReader, level: int, place: int, size: int) -> bytes:
    """Return one hash of a tile."""
    index, inside = divmod(place, TILE_WIDTH)
    width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
    return tiles.tile(level, index, width)[inside * HASH_SIZE : (inside + 1) * HASH_SIZE]


def _hashes_of_a_path(tiles: TileReader, index: int, size: int) -> None:
    """Read the tile of each level that a leaf's path goes through, as far as the tree has it."""
    level = 0
    while index < size >> (TILE_HEIGHT * level) and size >> (TILE_HEIGHT * level) > 1:
        _hash(tiles, level, index, size)
        level, index = level + 1, index >> TILE_HEIGHT
