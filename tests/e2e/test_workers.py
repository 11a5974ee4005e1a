"""Two workers on one PostgreSQL: one is paused in the middle of a batch, the other one killed; all is done once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.e2e.harness.judge import check_ledger, check_objects, check_records
from tests.e2e.harness.tsa import Authority
from tests.services.postgresql import Server
from vault.bootstrap import open_vault
from vault.db import models
from vault.db.session_locks import lock_number
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.ledger.policy import Policy
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("postgresql")
DOCUMENTS = 60
WITHIN_S = 60.0


class SlowAuthority(Authority):
    """Takes its time, so that a batch lasts."""

    pause_s = 0.0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(self.pause_s)
        super().answer(handler)


class Worker:
    """`probans worker` as a process."""

    def __init__(self, name: str, data: Path, settings: dict[str, str], url: str) -> None:
        self.name = name
        self.log = data.parent / f"worker-{name}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PROBANS_")}
        environment |= {f"PROBANS_{key}": value for key, value in settings.items()}
        environment["PROBANS_DATABASE_URL"] = f"{url}&application_name={name}"
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from vault.cli.main import run; run()",
                    "worker",
                    "--data",
                    str(data),
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=Path(__file__).resolve().parents[2],
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == b"Probans: worker\n", self.log.read_text()[-2000:]

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        self.tell(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(40)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@contextmanager
def opened(settings: Settings) -> Iterator[Vault]:
    vault = open_vault(settings, background=False)
    try:
        yield vault
    finally:
        vault.close()


def sealed(server: Server) -> int:
    return int(server.execute("SELECT count(*) FROM documents WHERE sealing = 'sealed'", "safe")[0][0])


def healer(server: Server) -> str | None:
    """Return the name of the worker that seals now."""
    number = lock_number(b"twin healer") % 2**64
    found = server.execute(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
        f" AND granted AND objsubid = 1 AND classid = {number >> 32} AND objid = {number % 2**32}",
        "safe",
    )
    return str(found[0][0]) if found else None


def wait_for(what: Callable[[], bool], seconds: float) -> float:
    """Return after how many seconds it was so."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, "it did not come"
        time.sleep(0.05)
    return time.monotonic() - begun


def test_a_batch_goes_on_when_its_worker_is_paused_and_when_its_worker_is_killed(
    server: Server, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    data, url = tmp_path / "data", server.create("safe")
    authority = SlowAuthority(data, tmp_path / "strange")
    settings = {"TSA_URL": authority.url, "TSA_TIMEOUT": "5", "PUBLISH_INTERVAL": "0.05"}
    in_process = Settings(
        data=data, database_url=url, tsa_url=authority.url, tsa_timeout=5, publish_interval=0.05
    )
    with opened(in_process) as vault:
        holder = vault.personas.named("camille").actor
        for number in range(DOCUMENTS):
            content = f"pièce {number}".encode()
            done = vault.submissions.deposit(
                holder, NewDocument("camille", "Pièce", "p.txt"), iter((content,)), Transfer(f"key-{number}")
            )
            assert done.status_code == 202
    workers = {}
    try:
        for name in ("one", "two"):
            workers[name] = Worker(name, data, settings, url)
        authority.pause_s = 0.3
        with authority.running():
            wait_for(lambda: sealed(server) >= 3, 45)
            first = healer(server)
            assert first is not None
            (second,) = {"one", "two"} - {first}
            # Paused in the middle of a document, with the lock, the job and the rest of its batch in its hands.
            workers[first].tell(signal.SIGSTOP)
            time.sleep(1.0)  # what it had sent to the database already is done there
            stood = sealed(server)
            paused_s = wait_for(lambda: sealed(server) > stood, WITHIN_S)
            wait_for(lambda: healer(server) == second, 10)
            workers[first].tell(signal.SIGCONT)
            # It goes on with what it had read before, until it finds that it is not alone.
            time.sleep(8.0)
            wait_for(lambda: healer(server) == second, 10)
            assert sealed(server) < DOCUMENTS - 5
            workers[second].tell(signal.SIGKILL)
            workers[second].process.wait()
            stood = sealed(server)
            killed_s = wait_for(lambda: sealed(server) > stood, WITHIN_S)
            authority.pause_s = 0.0
            wait_for(lambda: sealed(server) == DOCUMENTS, 60)
            assert workers[first].end() == 0
    finally:
        for worker in workers.values():
            worker.process.kill()
            worker.process.wait()
    with opened(in_process) as vault:
        entries = check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
        check_objects(vault)
        check_records(vault)
        with vault.parts.database.reading() as connection:
            table = models.documents
            seals = connection.execute(
                select(table.c.id, table.c.next_status).where(table.c.sealing == "sealed")
            ).all()
            told = connection.execute(
                select(models.outbox.c.payload, func.count())
                .where(models.outbox.c.topic == "document.published")
                .group_by(models.outbox.c.payload)
            ).all()
    assert len(seals) == DOCUMENTS
    assert {count for _, count in seals} == {2}, "received once, sealed once"
    assert Counter(count for _, count in told) == {1: DOCUMENTS}
    figure(
        f"two workers on one PostgreSQL, {DOCUMENTS} waiting seals: {paused_s:.1f} s until the batch went on after its "
        f"worker was paused, {killed_s:.1f} s after its worker was killed; {entries} entries, each seal once"
    )
