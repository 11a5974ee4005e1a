"""The whole issue path beside the raw signatures in it, in turns within one run.

A document is issued as the service does it, without HTTP: received, inspected, sealed and timestamped, encrypted, made
durable, entered in the ledger with its rows and its recovery record, published and announced. Everything on the
embedded defaults (SQLite and files), in a folder of the system's temporary folder: set TMPDIR to measure another disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.figures import Figure
from benchmarks.processes import demand_documents, line_of

KEYS = ("p256", "rsa")
PROCESSES = 2
THREADS = 1  # of each process, where documents go in groups: more than the cores take one another's caches
GROUP = 64  # documents that are issued together
LINES = 1_000  # of a batch
ROOT = Path(__file__).resolve().parents[1]


def run(seconds: float, runs: int) -> Iterator[Figure]:
    """Measure the path.

    Args:
        seconds: length of each measurement.
        runs: repetitions, each in turn with its baselines.
    """
    for key in KEYS:
        with tempfile.TemporaryDirectory(prefix="probans-bench-") as place, Crew(Path(place), key) as crew:
            crew.all("issue", seconds, THREADS, GROUP)  # connections, caches
            crew.all("batch", seconds, THREADS, LINES)
            yield from _rates(crew, key, seconds, runs)
            yield from _steps(crew, key, seconds)
            crew.check()


def _rates(crew: Crew, key: str, seconds: float, runs: int) -> Iterator[Figure]:
    """Compare documents one at a time, and in groups, with signatures on both cores."""
    alone = Figure(f"path-{key}-one-at-a-time", "documents/s")
    groups = Figure(f"path-{key}-groups", "documents/s")
    share = Figure(f"path-{key}-groups-of-raw-signatures", "times")
    spent = Figure(f"path-{key}-cpu", "ms")
    batches = Figure(f"path-{key}-batch-of-groups", "times", at_least=0.8)
    for _ in range(runs):
        signs = crew.all("sign", seconds / 2)
        floor = crew.all("floor", seconds / 2)
        one = crew.all("issue", seconds)
        many = crew.all("issue", seconds, THREADS, GROUP)
        batch = crew.all("batch", seconds, THREADS, LINES)
        batches.runs.append(batch.rate / many.rate)
        batches.beside("documents/s of batches", batch.rate)
        batches.beside("ms of the processor", batch.cpu / batch.count * 1000)
        batches.beside("of the processor in groups", batch.cpu / batch.count / (many.cpu / many.count))
        alone.runs.append(one.rate)
        alone.beside("ms at the median", one.median * 1000)
        alone.beside("ms at the 99th percentile", one.p99 * 1000)
        alone.beside("ms of the processor", one.cpu / one.count * 1000)
        groups.runs.append(many.rate)
        groups.beside("ms of a group at the median", many.median * 1000)
        groups.beside("ms of a group at the 99th percentile", many.p99 * 1000)
        share.runs.append(many.rate / signs.rate)
        share.beside("raw signatures/s of both cores", signs.rate)
        share.beside("floors/s (hash, two signatures) of both cores", floor.rate)
        share.beside("of the floors", many.rate / floor.rate)
        spent.runs.append(many.cpu / many.count * 1000)
        spent.beside("of a floor", floor.cpu / floor.count * 1000)
    yield from (alone, groups, share, spent, batches)


def _steps(crew: Crew, key: str, seconds: float) -> Iterator[Figure]:
    """Say which steps take the processor; apart, since counting takes time too."""
    for name, threads, group in (("one-at-a-time", 1, 1), ("groups", THREADS, GROUP)):
        found = crew.all("issue", seconds, threads, group, processes=1, steps=True)
        figure = Figure(f"path-{key}-cpu-by-step-{name}", "ms")
        figure.runs.append(found.cpu / found.count * 1000)
        for step, taken in sorted(found.steps.items()):
            figure.beside(step, taken / found.count * 1000)
        yield figure


class Measured:
    """What processes measured at the same time, taken together."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.count = sum(answer["count"] for answer in answers)
        self.rate = sum(answer["rate"] for answer in answers)
        self.cpu = sum(answer["cpu"] for answer in answers)
        self.median = max(answer["median"] for answer in answers)
        self.p99 = max(answer["p99"] for answer in answers)
        self.steps = sum((Counter(answer["steps"]) for answer in answers), Counter[str]())


class Crew:
    """Processes on one safe."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder / "data"
        self._issued = PROCESSES  # each begins with one
        command = [sys.executable, "-m", "benchmarks.path_worker", str(self._folder), key]
        self._running = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        for process in self._running:
            line_of(process)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; a second call does nothing."""
        for process in self._running:
            process.communicate()
        self._running = []

    def all(
        self,
        what: str,
        seconds: float,
        threads: int = 1,
        group: int = 1,
        *,
        processes: int = PROCESSES,
        steps: bool = False,
    ) -> Measured:
        """Have processes do one thing at the same time."""
        asked = {"what": what, "threads": threads, "group": group, "seconds": seconds, "steps": steps}
        for process in self._running[:processes]:
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        found = Measured([json.loads(line_of(process)) for process in self._running[:processes]])
        self._issued += found.count if what in {"issue", "batch"} else 0
        return found

    def check(self) -> None:
        """Close the safe, and look whether everything that was issued is there."""
        self.__exit__(None, None, None)
        demand_documents(self._folder, self._issued)
