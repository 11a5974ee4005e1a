"""Power loss of a witness: a cosignature that has left it is in its file, and each flush is needed for that.

As for the service (`test_power_loss`): its life is recorded once, replayed into a model of a disk, stopped at
every flush, and what is left is given back to it. Then it must be where it was when it last answered, refuse any
other history, and still have the keys it said it has.
"""

from __future__ import annotations

import base64
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import Plan
from tests.e2e.harness.disk import Disk, Survivors
from tests.e2e.harness.judge import demand
from tests.e2e.harness.recorder import record
from tests.e2e.harness.replay import Recording
from tests.e2e.harness.witness_workload import opened
from vault.ledger import tree
from vault.ledger.keys import LedgerKeys
from vault.ledger.vkeys import VerifierKey
from vault.ledger.witness_protocol import AddCheckpoint

pytestmark = [pytest.mark.needs("strace"), pytest.mark.timeout(1800)]

WORKLOAD = "tests.e2e.harness.witness_workload"
CLASSES = {
    "folder above": r"",
    "own folder": r"own",
    "folder of keys": r"own/keys",
    "octets of keys": r"own/keys/.+",
    "folder of the memory": r"own/memory",
    "memory": r"own/memory/witness\.db",
    "write-ahead log": r"own/memory/witness\.db-wal",
    "rollback journal": r"own/memory/witness\.db-journal",
}
# Flushes without which no promise is known to break, and why they stay.
SPARE = {
    "rollback journal": "SQLite's own, used once while the empty file becomes a write-ahead one",
}
SIZES = [0, 1, 2, 3, 7, 8, 8, 20, 0, 21, 40, 41, 64, 65, 100]


class Life:
    """A recorded life of a witness, and what it answered.

    Attributes:
        recording: every change of its files.
        places: points of the recording before each flush, and its end.
    """

    def __init__(self, folder: Path) -> None:
        self.log = LedgerKeys.new("safe.example/ledger/1")
        self.leaves = [tree.leaf_hash(b"%d" % number) for number in range(128)]
        root = folder / "root"
        root.mkdir()
        self.vkeys = "\n".join(self.log.vkeys)
        (folder / "log.vkeys").write_text(self.vkeys)
        self.requests = list(self._requests())
        lines = ["" if each is None else base64.b64encode(each[1]).decode() for each in self.requests]
        (folder / "requests").write_text("\n".join(lines))
        given = (str(root / "own"), str(folder / "log.vkeys"), str(folder / "requests"))
        self.recording: Recording = record(folder, root, WORKLOAD, *given)
        events = self.recording.events
        self.places = [
            *(place for place, event in enumerate(events) if event.kind == "flush"),
            len(events),
        ]
        answers = [event.detail[0] for event in events if event.kind == "answer"]
        self.started, statuses = answers[0], [each["status"] for each in answers[1:]]
        assert statuses.count(200) > 10
        assert {409, 422} <= set(statuses)
        self._answered = list(zip(filter(None, self.requests), statuses, strict=True))

    def _requests(self) -> Iterator[tuple[int, bytes] | None]:
        """Yield (size, request), None for a restart: growth, the same again, an old one, forks."""
        old = 0
        for place, size in enumerate(SIZES):
            yield size, self._request(old, size)
            if size >= old:
                old = size
            yield old, self._request(old, old, fork=True)
            if old:
                yield old, self._request(0, old)
            if place % 4 == 3:
                yield None

    def _request(self, old: int, size: int, *, fork: bool = False) -> bytes:
        root = b"\x01" * 32 if fork else self.root(size)
        proof = tuple(tree.consistency_proof(self, old, size)) if 0 < old < size else ()
        return AddCheckpoint(old, proof, self.log.sign_checkpoint(size, root, datetime.now(UTC))).encode()

    def tile(self, level: int, index: int, width: int) -> bytes:
        assert (level, index) == (0, 0)
        return b"".join(self.leaves[:width])

    def root(self, size: int) -> bytes:
        return tree.root(self, size)

    def disk(self, place: int, without: Callable[[str], bool] = lambda _: False) -> Disk:
        """Return the disk at a place; flushes whose label `without` takes did not happen."""
        disk = Disk(self.recording.folders, self.recording.root)
        for event in self.recording.events[:place]:
            if event.kind != "flush" or not without(event.label):
                disk.feed(event)
        return disk

    def check(self, disk: Disk, place: int, survivors: Survivors | random.Random, folder: Path) -> None:
        """Start the witness on what is left. Raises Broken, or what it refuses to start with."""
        folder.mkdir()
        try:
            disk.leave(folder, survivors)
            count = sum(event.kind == "answer" for event in self.recording.events[:place])
            self._keeps(folder / "own", count)
        finally:
            shutil.rmtree(folder)

    def _keeps(self, own: Path, answers: int) -> None:
        given = self._answered[: max(0, answers - 1)]
        signed = max((size for (size, _), status in given if status == 200), default=0)
        witness = opened(own, self.vkeys)
        try:
            if answers:
                demand(witness.keys.vkeys == self.started["vkeys"], "its keys are those it gave out")
            size, root = witness.head(self.log.origin)
            demand(size >= signed, f"it signed {signed} and remembers {size}")
            demand(root == self.root(size), "what it remembers is what it was sent")
            for old in {0, signed, size}:
                if size:
                    answer = witness.add_checkpoint(self._request(old, size, fork=True))
                    expected = 422 if old == size else 409
                    demand(answer.status == expected, f"a fork of {size} is answered {answer.status}")
            answer = witness.add_checkpoint(self._request(size, 101))
            demand(answer.status == 200, f"it goes on: {answer.status}")
            keys = [VerifierKey.parse(vkey) for vkey in witness.keys.vkeys]
            demand(len(answer.body.splitlines()) == len(keys), "with both keys")
        finally:
            witness.close()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def class_of(label: str) -> str:
    (found,) = [name for name, pattern in CLASSES.items() if re.fullmatch(pattern, label)]
    return found


def test_every_flush_is_of_a_known_class(life: Life) -> None:
    met = {class_of(event.label) for event in life.recording.events if event.kind == "flush"}
    assert met == set(CLASSES)


def test_between_commit_and_answer_its_file_is_flushed(life: Life) -> None:
    """After each cosignature that left there is no write before it that was not flushed."""
    events = life.recording.events
    waiting: set[int] = set()
    # The index of the write-ahead log lives in shared memory; SQLite makes it anew.
    index = {
        node
        for event in events
        if event.kind == "link"
        for name, node in [event.detail]
        if name.endswith("-shm")
    }
    checked = 0
    for place, event in enumerate(events):
        if event.kind == "write" and event.node not in index:
            waiting.add(event.node)
        elif event.kind == "flush":
            waiting.discard(event.node)
        elif event.kind == "answer" and event.detail[0].get("status") == 200:
            assert not waiting, f"event {place}: a cosignature left before its memory was durable"
            checked += 1
    assert checked > 10


def test_what_it_signed_survives_the_loss_of_all_that_was_not_flushed(
    life: Life, figure: Callable[[str], None], memory: Path
) -> None:
    for place in life.places:
        life.check(life.disk(place), place, "flushed", memory / "disk")
    figure(
        f"power loss of a witness: {len(life.requests)} requests and restarts, "
        f"{len(life.places)} flush boundaries restarted with flushed data only"
    )


@pytest.mark.parametrize("survivors", ["names", "octets", "all", None], ids=str)
def test_what_it_signed_survives_whatever_else_is_left(
    life: Life, plan: Plan, survivors: Survivors | None, memory: Path
) -> None:
    chance = random.Random(f"{plan.seed} {survivors}")
    places = chance.sample(range(len(life.recording.events) + 1), 40)
    for place in places:
        life.check(life.disk(place), place, survivors or chance, memory / "disk")


@pytest.mark.parametrize("left_out", CLASSES)
def test_without_its_flushes_a_promise_breaks(life: Life, left_out: str, memory: Path) -> None:
    broken = next((place for place in life.places if breaks(life, place, left_out, memory / "disk")), None)
    if left_out in SPARE:
        assert broken is None, f"needed after all: {left_out}"
    else:
        assert broken is not None, f"no restart misses the flushes of: {left_out}"


def breaks(life: Life, place: int, left_out: str, folder: Path) -> bool:
    disk = life.disk(place, lambda label: class_of(label) == left_out)
    try:
        life.check(disk, place, "flushed", folder)
    except Exception:  # a witness that does not start keeps no promise either
        return True
    return False
