"""A very large PDF: what memory its upload and its seal take, and how long the seal lasts beside a small one's."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.seal_bench import ONE_PAGE, Bench, Work, large_pdf
from vault.intake import Spooled, receive

SIZE = 1 << 30
_CHUNK = 1 << 16
_MIB = 1 << 20
_LARGE_EVERY = 5


def run(seconds: float, runs: int) -> Iterator[Figure]:
    """Measure, each repetition in a process of its own.

    Args:
        seconds: of seals in turns.
        runs: repetitions.
    """
    memory = Figure("seal-1GiB-peak-memory-over-base", "MiB", at_most=32.0)
    after = Figure("seal-1GiB-after-upload-over-17kB", "times", at_most=5.0)
    context = multiprocessing.get_context("spawn")
    for _ in range(runs):
        answers = context.SimpleQueue()
        worker = context.Process(target=_worker, args=(SIZE, seconds, answers))
        worker.start()
        (base, peak), small, large = answers.get()
        worker.join()
        memory.runs.append((peak - base) / _MIB)
        memory.beside("base", base / _MIB)
        memory.beside("MiB of the file", SIZE / _MIB)
        after.runs.append(min(large) / min(small))
        after.beside("at the medians", median(large) / median(small))
        after.beside("ms at the minimum", min(large) * 1000)
        after.beside("17 kB, ms at the minimum", min(small) * 1000)
    yield from (memory, after)


def _worker(
    size: int,
    seconds: float,
    answers: multiprocessing.SimpleQueue[tuple[tuple[int, int], list[float], list[float]]],
) -> None:
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        folder = Path(place)
        work = Bench(folder).work(ONE_PAGE, "p256")
        path = large_pdf(folder / "large.pdf", size)
        with _received(folder, ONE_PAGE) as small:
            for _ in range(20):
                _sealed(work, small)
            base = _peak()
            with _received(folder, path) as large:
                times: tuple[list[float], list[float]] = [], []
                end = time.perf_counter() + seconds
                while time.perf_counter() < end or not times[1]:
                    times[0].append(_sealed(work, small))
                    if len(times[0]) % _LARGE_EVERY == 0:
                        times[1].append(_sealed(work, large))
                answers.put(((base, _peak()), *times))


def _received(folder: Path, path: Path) -> Spooled:
    """Upload a file as the service takes it in."""
    with path.open("rb") as file:
        return receive(iter(lambda: file.read(_CHUNK), b""), folder=folder, limit=2 * SIZE)


def _sealed(work: Work, spooled: Spooled) -> float:
    begun = time.perf_counter()
    work.seal_uploaded(spooled.stream, spooled.path, spooled.size, spooled.hash_state)
    return time.perf_counter() - begun


def _peak() -> int:
    """Return the greatest memory that this process ever had, octets."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
