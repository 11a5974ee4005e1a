"""Power loss: every answer survives what a disk may lose, and each flush is needed for that.

A safe's life is recorded once with strace. The recording is replayed into a model of a disk, stopped at many
points, and what may be left there is given back to the service. Then one class of flushes after the other is
left out of the replay: the same check must find a promise broken.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Plan
from tests.e2e.harness.disk import Disk, Survivors
from tests.e2e.harness.promises import Answer, keeps
from tests.e2e.harness.recorder import record
from tests.e2e.harness.replay import Recording

pytestmark = [pytest.mark.needs("strace"), pytest.mark.timeout(3600)]

WORKLOAD = "tests.e2e.harness.workload"
CLASSES = {
    "folder above the data": r"",
    "data folder": r"data",
    "database": r"data/probans\.db",
    "write-ahead log": r"data/probans\.db-wal",
    "rollback journal": r"data/probans\.db-journal",
    "octets of objects": r"data/objects/staging/.+",
    "names of objects": r"data/objects/objects/[0-9a-f]{2}",
    "folders of objects": r"data/objects|data/objects/objects",
    "octets of recovery records": r"data/records/\.staging/.+",
    "names of recovery records": r"data/records/[0-9a-f]{2}",
    "folders of recovery records": r"data/records",
    "octets of the published ledger": r"data/ledger/\.staging/.+",
    "names of the published ledger": r"data/ledger|data/ledger/tile.*",
    "octets of keys": r"data/keys/(.*/)?[^/]+\.[^/]+",
    "names of keys": r"data/keys(/(ledger|pki))?",
    "staging folders": r"data/(objects/staging|(records|ledger)/\.staging)",
}
# Flushes without which no promise is known to break, and why they stay.
SPARE = {
    "rollback journal": "SQLite's own, used once while the empty database becomes a write-ahead one",
    "staging folders": "a staging folder that is lost is made again; the flush of the folder above costs nothing",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of the recording at which the power may fail.

    Attributes:
        place: number of events before it.
        answers: how many answers were given by then.
        is_fresh: the first point after an answer at which a flush comes next, or the end.
    """

    place: int
    answers: int
    is_fresh: bool


class Life:
    """A recorded life of a safe."""

    def __init__(self, recording: Recording, root: Path) -> None:
        self.recording = recording
        self.root = root
        self.answers: list[Answer] = [event.detail[0] for event in recording.events if event.kind == "answer"]
        self.moments = list(self._moments())

    def _moments(self) -> Iterator[Moment]:
        """Yield the points before each flush: between two flushes nothing more becomes durable."""
        answers = seen = 0
        for place, event in enumerate(self.recording.events):
            if event.kind == "flush":
                yield Moment(place, answers, answers > seen)
                seen = answers
            answers += event.kind == "answer"
        yield Moment(len(self.recording.events), answers, answers > seen)

    def disks(
        self, moments: Sequence[Moment], without: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[Moment, Disk]]:
        """Yield the disk at each moment, in order; flushes whose label `without` takes did not happen."""
        disk = Disk(self.recording.folders, self.recording.root)
        done = 0
        for moment in sorted(moments, key=lambda each: each.place):
            for event in self.recording.events[done : moment.place]:
                if event.kind != "flush" or not without(event.label):
                    disk.feed(event)
            done = moment.place
            yield moment, disk

    def check(
        self, disk: Disk, moment: Moment, survivors: Survivors | random.Random, folder: Path, *, whole: bool
    ) -> None:
        """Start the service on what a power loss leaves. Raises what `keeps` raises."""
        folder.mkdir()
        try:
            disk.leave(folder, survivors)
            some = None if whole else random.Random(moment.place)
            keeps(folder, self.answers[: moment.answers], self.answers[0], some)
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A short life: 14 documents, and everything else a safe does, once."""
    return recorded(tmp_path_factory.mktemp("recorded"), reads=0)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of restarts need not wait for a real disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


def recorded(folder: Path, reads: int) -> Life:
    """Record a life with so many reads by eight threads near its end."""
    root = folder / "root"
    root.mkdir()
    return Life(record(folder, root, WORKLOAD, str(root / "data"), str(reads)), root)


def class_of(label: str) -> str:
    """Return the class of a flush by the path of what is flushed."""
    (found,) = [name for name, pattern in CLASSES.items() if re.fullmatch(pattern, label)]
    return found


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return octets, mode and (of objects: it is their retention) modification time of every file."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes(),
            path.stat().st_mode,
            path.stat().st_mtime_ns if path.match("objects/objects/*/*") else 0,
        )
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_the_model_of_the_disk_ends_where_the_real_one_does(life: Life, tmp_path: Path) -> None:
    ((_, disk),) = life.disks(life.moments[-1:])
    disk.leave(tmp_path, "all")
    real = contents(life.root)
    assert contents(tmp_path) == real
    assert len(real) > 50


def test_every_flush_is_of_a_known_class(life: Life) -> None:
    met = {class_of(event.label) for event in life.recording.events if event.kind == "flush"}
    assert met == set(CLASSES)


def test_answers_survive_the_loss_of_all_that_was_not_flushed(
    life: Life, plan: Plan, figure: Callable[[str], None], memory: Path
) -> None:
    fresh = [moment for moment in life.moments if moment.is_fresh]
    others = random.Random(plan.seed).sample([each for each in life.moments if not each.is_fresh], 60)
    for moment, disk in life.disks([*fresh, *others]):
        life.check(disk, moment, "flushed", memory / "disk", whole=False)
    figure(
        f"power loss: {len(life.answers)} answers, {len(life.moments)} flush boundaries, "
        f"{len(fresh)} after an answer and {len(others)} others restarted with flushed data only"
    )


@pytest.mark.parametrize("survivors", ["names", "octets", "all", None], ids=str)
def test_answers_survive_whatever_else_is_left(
    life: Life, plan: Plan, survivors: Survivors | None, memory: Path
) -> None:
    """All names, all octets, all of both; or, for None, what chance leaves of either, writes torn."""
    chance = random.Random(f"{plan.seed} {survivors}")
    moments = [life.moments[-1], *scattered(life, chance, 6 if survivors else 30)]
    for moment, disk in life.disks(moments):
        life.check(disk, moment, survivors or chance, memory / "disk", whole=False)


def scattered(life: Life, chance: random.Random, count: int) -> list[Moment]:
    """Return moments anywhere, in the midst of writes too."""
    places = sorted(chance.sample(range(len(life.recording.events)), count))
    return [
        Moment(place, sum(event.kind == "answer" for event in life.recording.events[:place]), False)
        for place in places
    ]


@pytest.mark.parametrize("left_out", CLASSES)
def test_without_its_flushes_a_promise_breaks(life: Life, plan: Plan, left_out: str, memory: Path) -> None:
    """Each class of flushes is needed: without it some restart finds a broken promise."""
    chance = random.Random(plan.seed)
    fresh = [moment for moment in life.moments if moment.is_fresh]
    others = [moment for moment in life.moments if not moment.is_fresh]
    tries = fresh[::3] if left_out in SPARE else [*fresh, *chance.sample(others, 30)]
    broken = next((each for each in tries if breaks(life, each, left_out, memory / "disk")), None)
    if left_out in SPARE:
        assert broken is None, f"needed after all: {left_out}"
    else:
        assert broken is not None, f"no restart misses the flushes of: {left_out}"


def breaks(life: Life, moment: Moment, left_out: str, folder: Path) -> bool:
    """Tell whether a promise is broken when flushes of a class did not happen."""
    ((_, disk),) = life.disks([moment], lambda label: class_of(label) == left_out)
    try:
        life.check(disk, moment, "flushed", folder, whole=False)
    except Exception:  # a service that does not start keeps no promise either
        return True
    return False


@pytest.mark.soak("power-loss")
def test_long_form(plan: Plan, figure: Callable[[str], None], tmp_path: Path, memory: Path) -> None:
    """Every flush boundary of a life that fills a tile, and chance in the midst of writes."""
    life = recorded(tmp_path, reads=300)
    for moment, disk in life.disks(life.moments):
        # Reads, of which there are many, are checked everywhere; every bundle after each other answer only.
        whole = moment.is_fresh and life.answers[moment.answers - 1]["kind"] != "read"
        life.check(disk, moment, "flushed", memory / "disk", whole=whole)
    figure(
        f"{len(life.answers)} answers; {len(life.moments)} flush boundaries restarted with flushed data only"
    )
    chance = random.Random(plan.seed)
    by_chance = scattered(life, chance, plan.count or 200)
    for moment, disk in life.disks(by_chance):
        life.check(disk, moment, chance, memory / "disk", whole=False)
    figure(f"{len(by_chance)} moments by chance restarted with any subset of the unflushed, writes torn")
    some = sorted(chance.sample(life.moments, min(150, len(life.moments))), key=lambda each: each.place)
    for left_out in CLASSES:
        tries = some if left_out in SPARE else life.moments
        broken = next((each for each in tries if breaks(life, each, left_out, memory / "disk")), None)
        assert (broken is None) == (left_out in SPARE), left_out
        figure(
            f"flushes left out, {left_out}: "
            + (
                f"no promise broken at {len(tries)} boundaries"
                if broken is None
                else f"broken at flush boundary {life.moments.index(broken) + 1}, after {broken.answers} answers"
            )
        )
