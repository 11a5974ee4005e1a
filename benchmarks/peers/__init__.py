"""Other people's logs, measured in the same run as ours.

Tessera's POSIX driver. What an answer means there and here:

- Tessera gives an index once the entry's bundle, every tile above it, partial ones too, and the tree state are written
  and synced: sequenced and integrated. Signing and publishing a checkpoint goes on beside that, at the library's
  own interval; nobody waits for it. No antispam, no witnesses.
- Our writer answers once entry, opening, the tiles that became full, and the head are committed and synced. Partial
  tiles and the checkpoint come with publication, as with theirs nobody waits for it.

So theirs does more of the tree before it answers; ours writes more than twice the octets (280 of an entry, 600 of its
opening, 32 of its leaf hash; theirs has entries of 400 octets) and keeps them in a database with indices.
Batches are of as many entries as there are writers, the best there is in a closed loop. Each repetition tries the
ages of `AGES`; we are compared with the one whose median is better.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure

TESSERA = Path(__file__).resolve().parents[2] / ".cache" / "judges" / "tessera-bench"
WRITERS = 64
OCTETS = 400
AGES = ("5ms", "250ms")  # found best on two cores, and the library's default

Measured = tuple[float, list[float]]


def tessera(folder: Path, seconds: float, age: str = AGES[0], writers: int = WRITERS) -> Measured:
    """Measure Tessera's POSIX driver.

    Args:
        folder: where its log goes, on the disk that ours is measured on; it is removed.
        seconds: length of the measurement.
        age: of the oldest entry, at which a batch is written though it is not full.
        writers: writers at once, each waiting for its entry.

    Returns:
        Entries/s, and [wait of 99 in 100 at most, longest] in ms.

    Raises:
        OSError: the program is not there; see `here`.
        subprocess.SubprocessError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-", dir=folder) as log:
        command = [str(TESSERA), "-folder", log, "-time", f"{seconds}s", "-octets", str(OCTETS)]
        command += ["-batch-age", age, "-writers", str(writers), "-batch-size", str(writers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + 10 * seconds)
    found = json.loads(done.stdout)
    return float(found["per_second"]), [float(found["p99_ms"]), float(found["max_ms"])]


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
    mine: list[Measured] = []
    theirs: dict[str, list[Measured]] = {age: [] for age in AGES}
    for _ in range(runs):
        mine.append(ours())
        for age, measured in theirs.items():
            measured.append(tessera(folder, seconds, age))
    best = max(AGES, key=lambda age: median(rate for rate, _ in theirs[age]))
    rates = Figure(f"peers: {WRITERS} submitters, entries with openings", "entries/s")
    waits = Figure(f"peers: {WRITERS} submitters, wait of 99 in 100 at most", "ms")
    ratio = Figure(f"peers: our rate over Tessera's, batches after {best}", "times")
    for number, (rate, (p99, longest)) in enumerate(mine):
        rates.runs.append(rate)
        waits.runs.append(p99)
        waits.beside("longest", longest)
        for age, measured in theirs.items():
            name = f"Tessera's POSIX driver, batches after {age}"
            rates.beside(name, measured[number][0])
            waits.beside(name, measured[number][1][0])
            waits.beside(f"{name}, longest", measured[number][1][1])
        ratio.runs.append(rate / theirs[best][number][0])
    yield from (rates, waits, ratio)
