"""Other people's logs, measured in the same run as ours.

Tessera's POSIX driver. What an answer means there and here:

- Tessera gives an index once the entry's bundle, every tile above it, partial ones too, and the tree state are written
  and synced: sequenced and integrated. Signing and publishing a checkpoint goes on beside that, at the library's
  own interval; nobody waits for it. No antispam, no witnesses.
- Our writer answers once entry, opening, the tiles that became full, and the head are committed and synced. Partial
  tiles and the checkpoint come with publication, as with theirs nobody waits for it.

So theirs does more of the tree before it answers; ours writes more than twice the octets (280 of an entry, 600 of its
opening, 32 of its leaf hash; theirs has entries of 400 octets) and keeps them in a database with indices.
Batches are of as many entries as there are writers, the best there is in a closed loop; each repetition tries the
ages of `AGES` and keeps the better rate.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

TESSERA = Path(__file__).resolve().parents[2] / ".cache" / "judges" / "tessera-bench"
WRITERS = 64
OCTETS = 400
AGES = ("5ms", "250ms")  # found best on two cores, and the library's default

Measured = tuple[float, list[float]]


def tessera(folder: Path, seconds: float, writers: int = WRITERS) -> Measured:
    """Measure Tessera's POSIX driver.

    Args:
        folder: where its logs go, on the disk that ours is measured on; they are removed.
        seconds: length of the measurement with each age of a batch.
        writers: writers at once, each waiting for its entry.

    Returns:
        Entries/s, and [wait of 99 in 100 at most, longest] in ms; those of the better age.

    Raises:
        OSError: the program is not there; see `here`.
        subprocess.SubprocessError: it failed.
    """
    tries = [_tessera(folder, seconds, writers, age) for age in AGES]
    best = max(tries, key=lambda found: float(found["per_second"]))
    return float(best["per_second"]), [float(best["p99_ms"]), float(best["max_ms"])]


def _tessera(folder: Path, seconds: float, writers: int, age: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tessera-", dir=folder) as log:
        command = [
            str(TESSERA),
            "-folder",
            log,
            "-time",
            f"{seconds}s",
            "-octets",
            str(OCTETS),
            "-batch-age",
            age,
        ]
        command += ["-writers", str(writers), "-batch-size", str(writers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + 10 * seconds)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def here() -> bool:
    """True if Tessera can be measured; else a line on standard error says how to get it."""
    if TESSERA.is_file():
        return True
    print("no tessera-bench, so no comparison with Tessera: tools/install.sh tessera-bench", file=sys.stderr)
    return False


def compare(folder: Path, seconds: float, runs: int, ours: Callable[[], Measured]) -> Iterator[Figure]:
    """Measure our writers and Tessera's in turns.

    Args:
        folder: see `tessera`.
        seconds: length of each measurement.
        runs: repetitions.
        ours: entries/s and [wait of 99 in 100 at most, longest] in ms of 64 writers of our ledger.

    Yields:
        Our rate and our wait beside theirs, and how many times as fast we are; nothing where Tessera is not `here`.
    """
    if not here():
        return
    name = f"Tessera's POSIX driver, {WRITERS} writers, entries of {OCTETS} octets"
    rates = Figure(f"peers: {WRITERS} submitters, entries with openings", "entries/s")
    waits = Figure(f"peers: {WRITERS} submitters, wait of 99 in 100 at most", "ms")
    ratio = Figure("peers: our rate over Tessera's", "times")
    for _ in range(runs):
        rate, (p99, longest) = ours()
        their_rate, (their_p99, their_longest) = tessera(folder, seconds)
        rates.runs.append(rate)
        rates.beside(name, their_rate)
        waits.runs.append(p99)
        waits.beside("longest", longest)
        waits.beside(name, their_p99)
        waits.beside("longest there", their_longest)
        ratio.runs.append(rate / their_rate)
    yield from (rates, waits, ratio)
