"""Two services on one PostgreSQL: the database crashes, one of them is killed, and no promise is broken."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from signing.trust import TrustStore
from tests.e2e.harness.client import Cut, agent, holder
from tests.e2e.harness.judge import (
    Given,
    check_given,
    check_ledger,
    check_objects,
    check_records,
)
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server as Service
from tests.services.postgresql import Server
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.db import models
from vault.ledger.policy import Policy
from vault.settings import Settings

pytestmark = pytest.mark.needs("postgresql")
DOWN = 503
PATIENCE_S = 60.0


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


class Callers:
    """Clients that send documents one after the other, each until it is answered, at whichever service runs."""

    def __init__(self, services: list[Service], each: int) -> None:
        self.services = services
        self.given: dict[str, Given] = {}
        self.answers: Counter[tuple[int, str]] = Counter()
        self.slowest = 0.0
        self.failure: BaseException | None = None
        self._each = each
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S * 2)
            assert not thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self, number: int) -> None:
        try:
            for turn in range(self._each):
                self._send(number, Sample(number * 1000 + turn, is_act=turn % 2 == 0))
        except BaseException as error:
            self.failure = error

    def _send(self, number: int, sample: Sample) -> None:
        deadline = time.monotonic() + PATIENCE_S
        make: Callable[[Any], Any] = agent if sample.is_act else holder
        while time.monotonic() < deadline:
            client, begun = make(self.services[number % 2]), time.monotonic()
            try:
                reply = client.send(sample)
            except Cut:
                time.sleep(0.1)
                continue
            finally:
                client.close()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.answers[reply.status, reply.json.get("code", "")] += 1
            if reply.status != DOWN:
                assert reply.status in {200, 201, 202}, reply
                found = reply.json
                self.given[sample.key] = Given(sample, found["id"], found["entry"], reply.status)
                return
            assert int(reply.headers["retry-after"]) > 0
            time.sleep(0.1)
        raise AssertionError(f"{sample.key} was never answered")


def test_two_services_live_through_a_crash_of_the_database_and_of_one_of_them(
    server: Server, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    data, url = tmp_path / "data", server.create("safe")
    settings = {
        "DATABASE_URL": url,
        "PUBLISH_INTERVAL": "0.05",
        "DATABASE_TIMEOUT": "5",
        "LEDGER_TIMEOUT": "10",
    }
    services = [Service(data, settings=settings) for _ in range(2)]
    callers = Callers(services, each=16)
    callers.start()
    # However fast they are, most is still to be asked for.
    while len(callers.given) < 8 and callers.failure is None:
        time.sleep(0.01)
    server.stop(signal.SIGQUIT)  # no checkpoint: it recovers from its log at the next start
    time.sleep(1.0)
    server.start()
    time.sleep(1.0)
    services[0].kill()
    services[0].wait(10)
    services[0] = Service(data, settings=settings)
    callers.join()
    for given in callers.given.values():
        with closing(agent(services[1]) if given.sample.is_act else holder(services[1])) as client:
            again = client.send(given.sample)
        assert (again.json["id"], again.json["entry"]) == (given.document_id, given.seq)
        assert again.headers.get("idempotency-replayed") == "true"
    for service in services:
        service.stop()
    vault = open_vault(Settings(data=data, database_url=url, publish_interval=0.05), background=False)
    try:
        policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
        entries = check_ledger(vault, policy)
        check_objects(vault)
        check_records(vault)
        trust = TrustStore(vault.parts.pki.roots())
        for given in list(callers.given.values())[:6]:
            check_given(vault, given, trust, policy, tmp_path)
        with vault.parts.database.reading() as connection:
            documents = connection.scalar(select(func.count()).select_from(models.documents))
    finally:
        vault.close()
    assert (
        documents == len(callers.given) == len({given.document_id for given in callers.given.values()}) == 64
    )
    assert {status for status, _ in callers.answers} <= {200, 201, 202, DOWN}, callers.answers
    assert sum(count for (status, _), count in callers.answers.items() if status == DOWN), "nobody noticed"
    assert callers.slowest < 20
    figure(
        f"two services on one PostgreSQL, database crashed once, one service killed once: {documents} documents, "
        f"{entries} entries, none lost, none doubled; slowest answer {callers.slowest:.1f} s; {dict(callers.answers)}"
    )


def test_the_story_the_audit_and_the_recovery_on_postgresql(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBANS_DATABASE_URL", server.create("safe"))
    out = tmp_path / "demo"

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(build(), list(words))
        return done.exit_code, done.output

    assert run("demo", "--out", str(out), "--no-serve")[0] == 0
    trusting = ("--trust", str(out / "trust/roots.pem"), "--vkeys", str(out / "trust/ledger.vkeys"))
    for name in ("act.pdf", "act.asice", "attachment.asice"):
        assert run("verify", str(out / name), *trusting)[0] == 0, name
    assert not list((out / "data").glob("*.db*")), "nothing of the database is in the data folder"
    assert run("audit", str(out / "data"))[0] == 0
    server.drop("safe")
    server.create("safe")
    assert run("audit", str(out / "data"))[0] == 1
    code, told = run("recover", "--data", str(out / "data"))
    assert code == 0, told
    code, told = run("audit", str(out / "data"))
    assert (code, told.count("everything holds")) == (0, 6), told
