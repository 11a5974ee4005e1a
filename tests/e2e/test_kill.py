"""`kill -9` under load, at every named point between two durable steps and at any moment.

After each kill the folder is audited as it lies; then the service starts again on it, and every answered
document is there and proves itself, retries make no double, and nothing personal lies in clear.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.e2e.conftest import Plan
from tests.e2e.harness.client import holder
from tests.e2e.harness.judge import (
    Given,
    check_ledger,
    check_records,
)
from tests.e2e.harness.samples import CANARY, Sample
from tests.e2e.harness.server import Server, killed_start
from tests.e2e.harness.siege import ANY_MOMENT, Siege, clear_text
from tests.e2e.harness.witnesses import POINTS as WITNESS_POINTS
from vault.bootstrap import open_vault
from vault.db import models
from vault.ledger.policy import Policy
from vault.settings import Settings

pytestmark = pytest.mark.timeout(7200)

REPOSITORY = Path(__file__).resolve().parents[2]
POINTS = (
    "pipeline.received",
    "pipeline.sealed",
    "pipeline.before-ledger",
    "pipeline.after-ledger",
    "store.before-commit",
    "store.after-commit",
    "ledger.before-record",
    "ledger.after-record",
    "ledger.before-commit",
    "ledger.after-commit",
    "lifecycle.before-forget",
    "records.before-rewrite",
    "publish.before-bundles",
    "publish.before-tiles",
    "publish.before-checkpoint",
    "publish.after-checkpoint",
    "anchor.before-token",
    "anchor.after-token",
    "anchor.after-text",
    "anchor.after-lists",
    "anchor.before-row",
    "anchor.after-row",
)
# Passed with witnesses only: see the suite with them.
WITNESSING_POINTS = (
    "witnessing.before-keep",
    "witnessing.after-keep",
    "witnessing.before-publish",
    "witnessing.after-publish",
)
ALARM_POINTS = ("witnessing.before-alarm", "witnessing.after-alarm")
# A change of ledger keys: tests/integration/test_key_rotation.py kills it at each.
ROTATION_POINTS = (
    "keys.made",
    "keys.stated",
    "publish.before-handover",
    "publish.after-handover",
    "keys.published",
)
# A change of the key-encryption key: tests/integration/test_encryption_rotation.py kills it at each.
ENCRYPTION_POINTS = (
    "encryption.added",
    "encryption.activated",
    "encryption.before-rows",
    "encryption.after-rows",
    "encryption.before-record",
    "encryption.after-record",
    "encryption.retired",
)
# The registration of an administration by an operator: tests/integration/test_key_cabinet.py stops there.
ADMINISTRATION_POINTS = ("administrations.recorded",)
# The beginning of a later generation: tests/integration/test_generations.py kills it at each.
GENERATION_POINTS = ("generation.before-commit", "generation.after-commit")
# Passed at the first start only, before any request.
FIRST_START_POINTS = ("safes.recorded",)
# Logins: tests/integration/logins/test_accounts.py kills them there.
LOGIN_POINTS = ("accounts.recorded",)
# The registration of a system by an operator: tests/integration/test_systems.py kills it there.
SYSTEM_POINTS = ("systems.recorded",)

# Notifications: tests/notices kills at each.
NOTICE_POINTS = ("contacts.recorded", "contacts.forgotten", "delivery.claimed", "delivery.sent")
# Labels of documents: tests/integration/people/test_labels.py stops there.
LABEL_POINTS = ("labels.recorded",)
# What the antivirus says: tests/scanning/test_scan_kill.py kills it at each.
SCAN_POINTS = ("scan.looked", "scan.recorded", "scan.settled")
# A move of the whole safe: tests/e2e/test_migrate.py kills it at each.
MOVE_POINTS = (
    "move.begun",
    "move.claimed",
    "move.object",
    "move.record",
    "move.copied",
    "move.rows",
    "move.committed",
)
# Batches of acts: tests/e2e/test_batch_kill.py kills at each.
BATCH_POINTS = ("batch.loading", "batch.loaded", "batch.chunk", "batch.erasing")
# Between what two stores do: tests/e2e/test_kill_sites.py kills the service at each.
SITE_POINTS = (
    "sites.written",
    "sites.before-owed",
    "sites.after-owed",
    "sites.record-replaced",
    "sites.record-deleted",
    "sites.paid",
)


def test_the_list_of_points_is_the_codes() -> None:
    found: Iterator[str] = (
        name
        for package in ("vault", "api", "storage", "signing", "timestamping", "identity", "plumbing")
        for path in (REPOSITORY / package).rglob("*.py")
        for name in re.findall(r'(?:faults|sites|self)\.point\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    )
    assert sorted(set(found)) == sorted(
        (
            *POINTS,
            *FIRST_START_POINTS,
            *LOGIN_POINTS,
            *ROTATION_POINTS,
            *GENERATION_POINTS,
            *NOTICE_POINTS,
            *WITNESSING_POINTS,
            *ALARM_POINTS,
            *WITNESS_POINTS,
            *SYSTEM_POINTS,
            *LABEL_POINTS,
            *ENCRYPTION_POINTS,
            *ADMINISTRATION_POINTS,
            *SCAN_POINTS,
            *MOVE_POINTS,
            *BATCH_POINTS,
            *SITE_POINTS,
        )
    )


def test_the_canary_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"..." + CANARY.encode() + b"...")
    (tmp_path / f"{CANARY}.pdf").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"nothing")
    (tmp_path / "d").write_bytes(b"...%PDF-1.7")
    assert sorted(clear_text(tmp_path)) == sorted(["a/b", "d", f"{CANARY}.pdf"])


def test_what_is_lost_changed_or_doubled_would_be_noticed(tmp_path: Path) -> None:
    siege = Siege(tmp_path, 1)
    server = Server(siege.data)
    try:
        for number in range(3):
            siege.load.send(holder(server), Sample(number, is_act=False))
        siege.check(server, bundles=3)
    finally:
        server.stop()
    siege.check_as_it_lies()
    given = dict(siege.load.given)
    # An answer nobody remembers, and a document nobody asked for.
    siege.load.given["x"] = Given(Sample(9, is_act=False), "doc_x", 1, 201)
    with pytest.raises(AssertionError):
        siege.check_as_it_lies()
    siege.load.given = given
    siege.load.asked.popitem()
    with pytest.raises(AssertionError):
        siege.check_as_it_lies()
    siege.load.asked["again"] = Sample(2, is_act=False)
    # An object that is gone.
    for path in (siege.data / "objects/objects").glob("*/*"):
        path.unlink()
    server = Server(siege.data)
    try:
        siege._seen.clear()
        with pytest.raises(AssertionError):
            siege.check(server, bundles=0)
    finally:
        server.stop()


def besiege(
    folder: Path, seed: int, kills: int, figure: Callable[[str], None], bundles: int | None = None
) -> None:
    siege = Siege(folder, seed)
    # Each point once; the rest, up to a quarter as many, at any moment.
    loose = min(kills - len(POINTS), len(POINTS) // 4)
    rounds = [*POINTS, *[ANY_MOMENT] * loose]
    begun = time.monotonic()
    for place in range(kills):
        if place % len(rounds) == 0:
            siege.chance.shuffle(rounds)
        siege.strike(rounds[place % len(rounds)])
    siege.end(bundles)
    assert set(siege.kills) == {*POINTS, ANY_MOMENT}
    load = siege.load
    figure(
        f"kill -9: {kills} kills, seed {seed}, {sum(siege.in_flight)} requests in flight "
        f"({min(siege.in_flight)} to {max(siege.in_flight)} each), {load.requests} answered, "
        f"{len(load.given)} documents, {len(load.destroyed)} destroyed, {siege.bundles} bundles verified, "
        f"{siege.tokens} anchors in one chain, "
        f"{load.replayed} retries recognised, 0 lost, 0 doubled, {time.monotonic() - begun:.0f} s"
    )
    for point, count in sorted(siege.kills.items()):
        figure(f"  killed at {point}: {count}")


def test_kills_at_every_point(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    besiege(tmp_path, plan.seed, len(POINTS) + 1, figure, bundles=12)


@pytest.mark.parametrize(
    "trap",
    [
        ("safes.recorded", "1"),
        ("safes.recorded", "2"),
        ("publish.before-tiles", "1"),
        ("publish.after-checkpoint", "1"),
    ],
    ids="-".join,
)
def test_a_first_start_that_is_killed_is_taken_up_again(tmp_path: Path, trap: tuple[str, str]) -> None:
    data = tmp_path / "data"
    assert f"killed at {trap[0]}" in killed_start(data, *trap)
    takes_up(data)


def test_a_first_start_killed_at_any_moment_is_taken_up_again(tmp_path: Path, plan: Plan) -> None:
    data, chance = tmp_path / "data", random.Random(plan.seed)
    for _ in range(5):
        killed_start(data, after=chance.uniform(0.9, 1.5))
    takes_up(data)


def test_one_process_of_two_is_killed_and_the_other_goes_on(
    tmp_path: Path, plan: Plan, figure: Callable[[str], None]
) -> None:
    siege = Siege(tmp_path, plan.seed)
    load = siege.load
    server = Server(siege.data, workers=2)
    try:
        workers = workers_of(server)
        with load.running(server, writers=3, readers=2):
            time.sleep(1)
            # One listening socket is shared: which process got how many of the connections is chance.
            os.kill(max(workers, key=sockets_of), signal.SIGKILL)
            time.sleep(2)
        assert not load.wrong, load.wrong
        cut = load.cut
        assert cut >= 1
        wait_for(lambda: len(workers_of(server)) == 2 and set(workers_of(server)) != set(workers))
        siege.check(server, bundles=4)
        assert not load.unanswered
        left = workers_of(server)
        server.kill()
        server.wait(30)
        wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in left))
    finally:
        server.stop()
    siege.check_as_it_lies()
    siege.end(bundles=4)
    figure(
        f"one process of two killed: {cut} of 8 clients cut, {len(load.given)} documents, 0 lost, 0 doubled"
    )


def workers_of(server: Server) -> list[int]:
    """Return the processes that answer; Python's own helper is not one of them."""
    return [
        process
        for process in server.processes()[1:]
        if b"resource_tracker" not in Path(f"/proc/{process}/cmdline").read_bytes()
    ]


def sockets_of(process: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(link.readlink()).startswith("socket:")
    return found


def wait_for(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def takes_up(data: Path) -> None:
    """Start, submit, stop; there is one safe for each holder, and the ledger holds."""
    server = Server(data)
    try:
        assert holder(server).send(Sample(1, is_act=False)).status == 201
    finally:
        server.stop()
    vault = open_vault(Settings(data=data), background=False)
    try:
        check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
        check_records(vault)
        with vault.parts.database.reading() as connection:
            safes = connection.scalars(select(models.safes.c.holder_ix)).all()
        assert len(safes) == len(set(safes)) == 2
    finally:
        vault.close()


@pytest.mark.soak("kill")
def test_long_form(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    besiege(tmp_path, plan.seed, plan.count or 200, figure)
