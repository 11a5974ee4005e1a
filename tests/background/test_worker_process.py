"""`probans worker` as a process, on SQLite; and a serving process that leaves the work to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from vault.bootstrap import open_vault
from vault.db.models import outbox
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.service import Vault
from vault.settings import Settings
from vault.worker import STUCK

HERE = Path(__file__).resolve().parents[2]
RUN = "from vault.cli.main import run; run()"


def start(code: str, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PROBANS_")}
    environment |= {f"PROBANS_{key}": value for key, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=HERE,
    )


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line == b"Probans: worker\n", process.stderr.read()[-2000:]


def soon(what: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def deposit(vault: Vault) -> None:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", "p.txt")
    vault.submissions.deposit(holder, new, iter((b"content",)), Transfer("key"))


def handed_on(vault: Vault) -> bool:

    with vault.parts.database.reading() as connection:
        return all(connection.scalars(select(outbox.c.delivered_at)))


def test_a_serving_process_leaves_the_work_to_the_worker(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with closing(open_vault(Settings(data=data, tasks="worker", sweep_interval=0.2))) as vault:
        deposit(vault)
        time.sleep(2.0)
        assert not handed_on(vault), "nobody does it"
        told = vault.health()["tasks"]
        assert not told.ok
        assert not told.needed
        assert "never done" in told.note
        worker = start(RUN, "worker", "--data", str(data), SWEEP_INTERVAL="0.2")
        try:
            ready(worker)
            soon(lambda: handed_on(vault))
            soon(lambda: vault.health()["tasks"].ok, 40)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
        finally:
            worker.kill()
            worker.communicate()


def test_inside_is_what_happens_when_nothing_is_set(tmp_path: Path) -> None:
    with closing(open_vault(Settings(data=tmp_path / "data"))) as vault:
        deposit(vault)
        soon(lambda: handed_on(vault))
        assert vault.health()["tasks"].ok


def test_a_worker_whose_task_does_not_end_ends_itself(tmp_path: Path) -> None:
    code = """
        import threading
        from dataclasses import replace
        from vault.backends import tasks as bootstrap_tasks
        from vault.maintenance.healing import Healer
        plain = Healer.task.fget
        bootstrap_tasks._LOOK_S = 0.1
        Healer.task = property(lambda self: replace(
            plain(self), run=threading.Event().wait, period_s=0.01, limit_s=0.2))
    """
    worker = start(textwrap.dedent(code) + RUN, "worker", "--data", str(tmp_path / "data"))
    try:
        assert worker.wait(60) == STUCK
        assert worker.stderr is not None
        assert b"task healing has not ended" in worker.stderr.read()
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize("url", ["postgresql+psycopg://nobody@127.0.0.1:1/safe", "mysql://x/y"])
def test_a_worker_that_cannot_start_says_why(tmp_path: Path, url: str) -> None:
    worker = start(RUN, "worker", "--data", str(tmp_path / "data"), DATABASE_URL=url)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert b"DATABASE_UN" in errors


def test_without_procrastinate_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault.backends.tasks import open_sharing
    from vault.clock import SystemClock
    from vault.errors import SettingsRefused
    from vault.tasks.runner import TaskRunner

    monkeypatch.setitem(sys.modules, "vault.tasks.engine", None)
    settings = Settings(data=tmp_path, database_url="postgresql+psycopg://x@/y")
    with pytest.raises(SettingsRefused, match=r"probans\[postgresql\]"):
        open_sharing(settings, TaskRunner([], SystemClock()), lambda _: None)
