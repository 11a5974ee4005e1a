"""Seals of level B-T beside the least that any seal costs, pyHanko and EU DSS, in turns within one run.

Figures are ratios; the milliseconds they are made of stand beside them. `seal-b-t-rsa-17kB-over-floor` is the
smallest time of a seal over the smallest time of its floor (`Work.floor`), qpdf's opening of the file included.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from benchmarks import seal_large
from benchmarks.figures import Figure, percentile
from benchmarks.peers.sealers import Dss, PyHanko
from benchmarks.seal_bench import BOOK, ONE_PAGE, Bench, Work, many_pages

KEYS = ("rsa", "p256")
# Goals, by key: over the floor, smallest and at both 99th percentiles.
_OVER_FLOOR = {"rsa": 1.4, "p256": 7.0}
_AT_P99 = {"rsa": 2.0}
_DSS_WARM_UP, _DSS_EACH = 150, 20
_SLOW_EVERY = 25  # pyHanko takes its turn after so many of ours
_WELL = "pyhanko-used-well-over-ours"


def run(pages: int, seconds: float, runs: int) -> Iterator[Figure]:
    """Measure seals.

    Args:
        pages: of the large documents.
        seconds: length of each measurement.
        runs: repetitions, each in turn with its baselines.
    """
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        folder = Path(place)
        bench = Bench(folder)
        for name in KEYS:
            yield from _one_page(bench, name, seconds, runs)
        for name in KEYS:
            yield from _over_floor(bench.work(BOOK, name), f"seal-b-t-{name}-117-pages", seconds, runs)
        for kind in ("table", "stream"):
            path = many_pages(folder / f"{kind}.pdf", pages, streams=kind == "stream")
            for name in KEYS:
                figures = _over_floor(
                    bench.work(path, name), f"seal-b-t-{name}-{pages}-pages-{kind}", seconds, runs, slow=True
                )
                yield from _aimed(figures, {"over-floor-open-apart": (3.0, None), _WELL: (None, 3.0)})
        for name in KEYS:
            yield _check(bench, name, seconds, runs)
    for name in KEYS:
        yield _processes(name, seconds, runs)
    yield from seal_large.run(seconds, runs)


def _one_page(bench: Bench, name: str, seconds: float, runs: int) -> Iterator[Figure]:
    work = bench.work(ONE_PAGE, name)
    with Dss(bench, name, ONE_PAGE) as dss:
        if dss.here:
            dss.milliseconds(_DSS_WARM_UP)
        else:
            print("no EU DSS, so no figures of it: tools/install.sh dss", file=sys.stderr)
        figures = _over_floor(work, f"seal-b-t-{name}-17kB", seconds, runs, slow=True, plain=True, dss=dss)
        goals: dict[str, tuple[float | None, float | None]] = {
            "over-floor": (_OVER_FLOOR[name], None),
            "over-floor-at-p99": (_AT_P99.get(name), None),
        }
        if name == "p256":
            goals |= {
                "p99-over-minimum": (3.0, None),
                "dss-warm-over-ours": (None, 15.0),
                _WELL: (None, 60.0),
            }
        yield from _aimed(figures, goals)


def _aimed(
    figures: Iterable[Figure], goals: Mapping[str, tuple[float | None, float | None]]
) -> Iterator[Figure]:
    """Give figures their goals (at most, at least) by the end of their names."""
    for figure in figures:
        for end, aim in goals.items():
            if figure.name.endswith(f"-{end}"):
                figure.at_most, figure.at_least = aim
        yield figure


class _Turns:
    """Times of one repetition, in seconds, by what was done."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.floor: list[float] = []
        self.ours: list[float] = []
        self.apart: list[float] = []
        self.others: dict[str, list[float]] = {}

    def once(self) -> None:
        """Take the floor, then seal."""
        self.floor.append(timed(self._work.floor))
        self.ours.append(timed(self._work.seal))
        self.apart.append(self.ours[-1] - self._work.opened)

    def other(self, name: str, act: Callable[[], object]) -> None:
        """Let another implementation take its turn."""
        self.others.setdefault(name, []).append(timed(act))


def _over_floor(
    work: Work,
    name: str,
    seconds: float,
    runs: int,
    *,
    slow: bool = False,
    plain: bool = False,
    dss: Dss | None = None,
) -> Iterator[Figure]:
    over, apart = Figure(f"{name}-over-floor", "times"), Figure(f"{name}-over-floor-open-apart", "times")
    rare = Figure(f"{name}-over-floor-at-p99", "times")
    spread = Figure(f"{name}-p99-over-minimum", "times")
    peers: dict[str, Figure] = {}
    well = PyHanko(work.bench, work.key, work.data)
    work.seal()
    work.write(work.bench.folder / "proved.pdf")
    for _ in range(runs):
        turns = _Turns(work)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or not turns.ours:
            turns.once()
            if slow and len(turns.ours) % _SLOW_EVERY == 1:
                turns.other("pyhanko-used-well", well.used_well)
        if plain:
            for _ in range(4):
                turns.other("pyhanko-plain", well.used_plainly)
        if dss is not None and dss.here:
            turns.others["dss-warm"] = [each / 1000 for each in dss.milliseconds(_DSS_EACH)]
        _note(turns, over, apart, rare, spread)
        for peer, taken in turns.others.items():
            figure = peers.setdefault(peer, Figure(f"{name}-{peer}-over-ours", "times"))
            figure.runs.append(median(taken) / median(turns.ours))
            figure.beside("at the minima", min(taken) / min(turns.ours))
            figure.beside("ms at the minimum", min(taken) * 1000)
            figure.beside("ms at the median", median(taken) * 1000)
    yield from (over, apart, rare, spread, *peers.values())


def _note(turns: _Turns, over: Figure, apart: Figure, rare: Figure, spread: Figure) -> None:
    least = min(turns.floor)
    for figure, ours in ((over, turns.ours), (apart, turns.apart)):
        figure.runs.append(min(ours) / least)
        figure.beside("at the medians", median(ours) / median(turns.floor))
        figure.beside("ms at the minimum", min(ours) * 1000)
        figure.beside("ms at the median", median(ours) * 1000)
        figure.beside("floor, ms at the minimum", least * 1000)
        figure.beside("floor, ms at the median", median(turns.floor) * 1000)
    rare.runs.append(percentile(turns.ours, 0.99) / percentile(turns.floor, 0.99))
    rare.beside("over the floor's minimum", percentile(turns.ours, 0.99) / least)
    rare.beside("opening apart", percentile(turns.apart, 0.99) / percentile(turns.floor, 0.99))
    rare.beside("ms", percentile(turns.ours, 0.99) * 1000)
    rare.beside("floor, ms", percentile(turns.floor, 0.99) * 1000)
    spread.runs.append(percentile(turns.ours, 0.99) / min(turns.ours))
    spread.beside("the floor's own", percentile(turns.floor, 0.99) / least)


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that doing something takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _check(bench: Bench, name: str, seconds: float, runs: int) -> Figure:
    """Check a file of our own: beside one hash of it and two verifications, and beside the full validation."""
    work = bench.work(ONE_PAGE, name)
    work.seal()
    path = work.write(bench.folder / f"own-{name}.pdf")
    least, quick, full = bench.checks(work, path)
    figure = Figure(f"check-own-{name}-17kB-over-floor", "times", at_most=2.0)
    for _ in range(runs):
        times: list[list[float]] = [[], [], []]
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or not times[0]:
            times[0].append(timed(least))
            times[1].append(timed(quick))
            if len(times[1]) % _SLOW_EVERY == 1:
                times[2].append(timed(full))
        figure.runs.append(min(times[1]) / min(times[0]))
        figure.beside("at the medians", median(times[1]) / median(times[0]))
        figure.beside("at both 99th percentiles", percentile(times[1], 0.99) / percentile(times[0], 0.99))
        figure.beside("full validation over the floor", min(times[2]) / min(times[0]))
        figure.beside("ms at the minimum", min(times[1]) * 1000)
        figure.beside("floor, ms at the minimum", min(times[0]) * 1000)
    return figure


def _processes(name: str, seconds: float, runs: int) -> Figure:
    """Compare two processes that seal at the same time with one alone; each begins when all are ready."""
    figure = Figure(f"seal-b-t-{name}-17kB-two-processes-over-one", "times", at_least=1.8)
    for _ in range(runs):
        one, two = (sum(_rates(name, seconds, count)) for count in (1, 2))
        figure.runs.append(two / one)
        figure.beside("seals/s of one", one)
        figure.beside("seals/s of two", two)
        bare = [sum(_rates(name, seconds, count, floor=True)) for count in (1, 2)]
        figure.beside("the floor's own, two over one", bare[1] / bare[0])
    return figure


def _rates(name: str, seconds: float, count: int, *, floor: bool = False) -> list[float]:
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(count), context.SimpleQueue()
    workers = [
        context.Process(target=_worker, args=(name, seconds, floor, ready, answers)) for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    rates = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return rates


def _worker(
    name: str, seconds: float, floor: bool, ready: Barrier, answers: multiprocessing.SimpleQueue[float]
) -> None:
    with tempfile.TemporaryDirectory(prefix="probans-bench-") as place:
        work = Bench(Path(place)).work(ONE_PAGE, name)
        act = work.floor if floor else work.seal
        for _ in range(5):
            act()
        ready.wait()
        count, begun = 0, time.perf_counter()
        while time.perf_counter() < begun + seconds:
            act()
            count += 1
        answers.put(count / (time.perf_counter() - begun))
