"""`kill -9` under load, at every named point between two durable steps and at any moment.

After each kill the folder is audited as it lies; then the service starts again on it, and every answered
document is there and proves itself, retries make no double, and nothing personal lies in clear.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from signing.trust import TrustStore
from storage.filesystem import FilesystemLogStore
from tests.e2e.conftest import Plan
from tests.e2e.harness.client import Cut, agent, holder
from tests.e2e.harness.judge import (
    Given,
    check_bundle,
    check_forgotten,
    check_ledger,
    check_objects,
    check_records,
)
from tests.e2e.harness.load import Load
from tests.e2e.harness.samples import CANARY, Sample
from tests.e2e.harness.server import Server, killed_start
from vault.bootstrap import open_vault
from vault.db import models
from vault.db.engine import Database
from vault.ledger.audit import audit_database, audit_log_store
from vault.ledger.keys import LedgerKeys
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
)
# Passed at the first start only, before any request.
FIRST_START_POINTS = ("safes.recorded",)
# The witness is a program of its own, and no request for documents passes through it.
WITNESS_POINTS = ("witness.before-commit", "witness.before-answer")
SETTINGS = {"RETENTION_DAYS": 0, "PUBLISH_INTERVAL": 0.05}
ANY_MOMENT = "any moment"
# In titles, names, references and attachments; and the first octets of every PDF.
PERSONAL = (CANARY.encode(), CANARY.encode("utf-16-le"), b"%PDF-")


class Siege:
    """One data folder, killed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.scratch = folder
        self.data = folder / "site" / "data"
        self.data.parent.mkdir()
        self.load = Load(seed)
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.in_flight: list[int] = []
        self.bundles = 0
        self._seen: set[str] = set()
        self._trust: tuple[TrustStore, Policy] | None = None

    def trust(self) -> tuple[TrustStore, Policy]:
        """Return roots and policy as they were given out after the first start."""
        if self._trust is None:
            keys = LedgerKeys.open(self.data / "keys/ledger", Settings().origin, create=False)
            policy = Policy.from_vkeys("\n".join(keys.vkeys) + "\n")
            self._trust = TrustStore.from_pem((self.data / "keys/pki/roots.pem").read_bytes()), policy
        return self._trust

    def strike(self, point: str) -> None:
        """Start the service, check what it kept, load it, kill it."""
        server = Server(self.data, settings=SETTINGS)
        try:
            self.check(server, bundles=4)
            with self.load.running(server, writers=2, readers=2, destroyers=1):
                time.sleep(0.15)
                if point == ANY_MOMENT:
                    time.sleep(self.chance.uniform(0, 0.5))
                    server.kill()
                else:
                    passage = self.chance.randint(1, 5)
                    # The trap may close before the answer to this request is out.
                    with suppress(Cut):
                        holder(server).ask("POST", f"/test/trap?point={point}&passage={passage}")
                assert server.wait(60) == -signal.SIGKILL
        finally:
            server.stop()
        assert not self.load.wrong, self.load.wrong
        assert server.killed_at == (None if point == ANY_MOMENT else point)
        assert self.load.cut >= 1, f"no request was under way at {point}"
        self.kills[point] += 1
        self.in_flight.append(self.load.cut)
        self.check_as_it_lies()

    def check(self, server: Server, bundles: int | None) -> None:
        """Check what was answered since the last check; retry what was not, and some of what was."""
        load, client, clerk = self.load, holder(server), agent(server)
        for sample in load.unanswered:
            load.send(clerk if sample.is_act else client, sample)
        new = [each for each in load.living() if each.document_id not in self._seen]
        old = [each for each in load.living() if each.document_id in self._seen]
        again = [*new[-5:], *self.chance.sample(old, min(3, len(old)))]
        before = load.replayed
        for each in again:
            load.send(clerk if each.sample.is_act else client, each.sample)
        assert load.replayed - before == len(again), "each retry is recognised"
        proven = new if bundles is None else new[-bundles:]
        for each in [*new, *self.chance.sample(old, min(3, len(old)))]:
            self._check_document(server, each, with_bundle=each in proven)
        for document in self.load.destroyed:
            assert client.ask("GET", f"/v1/documents/{document}/original").status == 410
        assert not load.wrong, load.wrong
        self._seen |= {each.document_id for each in new}

    def _check_document(self, server: Server, each: Given, *, with_bundle: bool) -> None:
        client = holder(server)
        original = client.ask("GET", f"/v1/documents/{each.document_id}/original")
        assert original.status == 200, (each, original)
        sent = each.sample.content()
        if each.sample.is_act:
            assert original.body.startswith(sent)
        else:
            assert original.body == sent
        if with_bundle:
            bundle = client.ask("GET", f"/v1/documents/{each.document_id}/evidence")
            assert bundle.status == 200, (each, bundle)
            check_bundle(bundle.body, *self.trust(), self.scratch)
            self.bundles += 1
        client.close()

    def check_as_it_lies(self) -> None:
        """Audit the ledger, count documents and look for clear text, before anything is started again."""
        # On a copy: opening a database repairs it, and that is the service's own work to do.
        copied = self.scratch / "copied"
        copied.mkdir()
        for path in self.data.glob("probans.db*"):
            shutil.copy2(path, copied / path.name)
        database = Database.open(f"sqlite:///{copied / 'probans.db'}", copied)
        try:
            kept = audit_database(database)
            assert kept.ok, kept.problems
            with database.reading() as connection:
                documents = list(connection.scalars(select(models.documents.c.id)))
        finally:
            database.close()
            shutil.rmtree(copied)
        published = audit_log_store(FilesystemLogStore(self.data / "ledger"), self.trust()[1])
        assert published.ok, published.problems
        assert published.size <= kept.size
        assert {each.document_id for each in self.load.given.values()} <= set(documents)
        assert len(documents) <= len(self.load.asked)
        assert clear_text(self.data.parent) == []

    def end(self, bundles: int | None) -> None:
        """Check everything once more: every document, object, record, and that there is no double."""
        server = Server(self.data, settings=SETTINGS)
        try:
            self._seen.clear()
            self.check(server, bundles=bundles)
        finally:
            server.stop()
        self.check_as_it_lies()
        vault = open_vault(Settings(data=self.data), background=False)
        try:
            check_ledger(vault, self.trust()[1])
            check_objects(vault)
            check_records(vault)
            assert check_forgotten(vault) >= len(self.load.destroyed)
            with vault.parts.database.reading() as connection:
                documents = list(connection.scalars(select(models.documents.c.id)))
        finally:
            vault.close()
        assert not self.load.unanswered
        assert sorted(documents) == sorted(each.document_id for each in self.load.given.values())


def clear_text(folder: Path) -> list[str]:
    """Return the names of files that hold something personal in clear, or are named by it."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if CANARY in path.name or (path.is_file() and any(each in path.read_bytes() for each in PERSONAL))
    ]


def test_the_list_of_points_is_the_codes() -> None:
    found: Iterator[str] = (
        name
        for package in ("vault", "api", "storage", "signing", "timestamping")
        for path in (REPOSITORY / package).rglob("*.py")
        for name in re.findall(r'faults\.point\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    )
    assert sorted(set(found)) == sorted((*POINTS, *FIRST_START_POINTS, *WITNESS_POINTS))


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
    rounds = [POINTS[place] if place < len(POINTS) else ANY_MOMENT for place in range(len(POINTS) * 5 // 4)]
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
        f"{load.replayed} retries recognised, 0 lost, 0 doubled, {time.monotonic() - begun:.0f} s"
    )
    for point, count in sorted(siege.kills.items()):
        figure(f"  killed at {point}: {count}")


def test_kills_at_every_point(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    besiege(tmp_path, plan.seed, 20, figure, bundles=40)


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
