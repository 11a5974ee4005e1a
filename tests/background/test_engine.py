"""Procrastinate shares tasks out among workers on a real PostgreSQL: once each, taken over, and over outages."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.services.postgresql import Server
from vault.clock import SystemClock
from vault.db.postgresql import connecting
from vault.errors import SettingsRefused, Unavailable
from vault.tasks import engine as task_engine
from vault.tasks.engine import EngineConfig, TaskEngine, prepare, schema_name
from vault.tasks.runner import Task, TaskRunner

pytestmark = pytest.mark.needs("postgresql")
QUICK = EngineConfig(beat_s=0.2, lost_s=1.0, poll_s=0.1)
SCHEMA = schema_name()


@pytest.fixture
def url(postgresql_server: Server) -> Iterator[str]:
    yield postgresql_server.create("safe")
    for name in postgresql_server.databases():
        postgresql_server.drop(name)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that this test may stop."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_engine, "SLOT_S", 2)
    monkeypatch.setattr(task_engine, "_PAUSE_S", 0.2)


class Seen:
    """A task that notes who runs it, and that it never runs twice at once among all who share it."""

    def __init__(self) -> None:
        self.by: list[str] = []
        self.clashes = 0
        self._busy = threading.Lock()

    def task(self, who: str, period_s: float = 0.05) -> Task:
        def run() -> int:
            if not self._busy.acquire(blocking=False):
                self.clashes += 1
                return 0
            try:
                self.by.append(who)
                time.sleep(0.01)
            finally:
                self._busy.release()
            return 1

        return Task("seen", run, period_s)


@contextmanager
def working(url: str, *tasks: Task, on_stuck: Callable[[Any], None] = lambda _: None) -> Iterator[TaskEngine]:
    engine = TaskEngine(connecting(make_url(url)), TaskRunner(tasks, SystemClock()), on_stuck, QUICK)
    ready = threading.Event()
    thread = threading.Thread(target=engine.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(20)
        yield engine
    finally:
        engine.stop()
        thread.join(20)
        assert not thread.is_alive()


def soon(what: Callable[[], bool], seconds: float = 20.0) -> float:
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, "it did not come"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_two_workers_share_a_task_and_never_run_it_at_once(url: str) -> None:
    seen = Seen()
    with working(url, seen.task("one")), working(url, seen.task("two")):
        soon(lambda: len(seen.by) > 40)
    assert seen.clashes == 0


def test_nothing_is_left_of_jobs_that_are_done(postgresql_server: Server, url: str) -> None:
    seen = Seen()
    with working(url, seen.task("one")):
        soon(lambda: len(seen.by) > 30)
    assert postgresql_server.execute(f"SELECT count(*) FROM {SCHEMA}.procrastinate_jobs", "safe") == [(0,)]
    assert postgresql_server.execute(f"SELECT count(*) FROM {SCHEMA}.procrastinate_workers", "safe") == [(0,)]


@pytest.mark.parametrize("next_waits", [False, True])
def test_a_job_of_a_worker_that_is_not_heard_of_goes_to_another_one(
    postgresql_server: Server, url: str, next_waits: bool
) -> None:
    parameters = connecting(make_url(url))
    prepare(parameters, SCHEMA)
    postgresql_server.execute(
        f"SET search_path = {SCHEMA};"
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '2 seconds');"
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
        " SELECT 'default', 'seen', 'seen', 'seen', '{\"timestamp\": 0}', 'doing', max(id)"
        " FROM procrastinate_workers",
        "safe",
    )
    if next_waits:
        postgresql_server.execute(
            f"SET search_path = {SCHEMA};"
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)"
            " VALUES ('default', 'seen', 'seen', 'seen', '{\"timestamp\": 2}')",
            "safe",
        )
    seen = Seen()
    with working(url, seen.task("one")):
        time.sleep(1.0)
        assert seen.by == [], "its worker still counts as alive"
        soon(lambda: bool(seen.by))


def test_a_task_goes_on_when_its_worker_stops(url: str) -> None:
    seen = Seen()
    with working(url, seen.task("one")):
        soon(lambda: len(seen.by) > 5)
        with working(url, seen.task("two")):
            pass
        soon(lambda: len(seen.by) > 50)
    with working(url, seen.task("two")):
        soon(lambda: seen.by[-1] == "two")
    assert seen.clashes == 0


def test_one_task_that_fails_or_hangs_holds_up_no_other(url: str) -> None:
    gate, seen, stuck = threading.Event(), Seen(), []

    def hang() -> int:
        gate.wait(20)
        return 0

    def fail() -> int:
        raise RuntimeError

    tasks = (Task("hanging", hang, 1.0, limit_s=0.5), Task("failing", fail, 0.05), seen.task("one"))
    try:
        with working(url, *tasks, on_stuck=stuck.append):
            soon(lambda: len(seen.by) > 20)
            soon(lambda: bool(stuck))
            gate.set()
    finally:
        gate.set()
    assert [task.name for task in stuck[0]] == ["hanging"]


def test_a_task_of_a_long_period_runs_once_in_that_many_slots(url: str) -> None:
    often, seldom = Seen(), Seen()
    slow = seldom.task("one", period_s=4.5)
    with working(url, often.task("one"), Task("seldom", slow.run, 4.5)):
        soon(lambda: len(seldom.by) == 2, 20)
        assert len(often.by) > 20


def test_workers_go_on_when_the_database_was_away(server: Server) -> None:
    url, seen = server.create("safe"), Seen()
    with working(url, seen.task("one")):
        soon(lambda: len(seen.by) > 5)
        server.stop(signal.SIGQUIT)
        time.sleep(3.0)
        server.start()
        stood = len(seen.by)
        soon(lambda: len(seen.by) > stood + 5, 40)


def test_no_database_no_start(server: Server) -> None:
    url = server.create("safe")
    server.stop()
    engine = TaskEngine(connecting(make_url(url)), TaskRunner([], SystemClock()), lambda _: None, QUICK)
    with pytest.raises(Unavailable, match="OperationalError"):
        engine.run(lambda: None)


# The schema of jobs


def schemas(server: Server) -> set[str]:
    found = server.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'probans_tasks_')", "safe"
    )
    return {name for (name,) in found}


def test_workers_that_start_at_once_make_one_schema(postgresql_server: Server, url: str) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            prepare(connecting(make_url(url)), SCHEMA)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert schemas(postgresql_server) == {SCHEMA}


def test_another_version_has_a_schema_of_its_own_which_goes_when_nobody_works_with_it(
    postgresql_server: Server, url: str
) -> None:
    parameters = connecting(make_url(url))
    older, unused, broken = "probans_tasks_00000001", "probans_tasks_00000002", "probans_tasks_00000003"
    beat = "INSERT INTO {}.procrastinate_workers (last_heartbeat) VALUES (now() - interval '{} minutes')"
    for name, minutes in ((older, 59), (unused, 61)):
        prepare(parameters, name)
        postgresql_server.execute(beat.format(name, minutes), "safe")
    postgresql_server.execute(f"CREATE SCHEMA {broken}", "safe")
    prepare(parameters, SCHEMA)
    assert schemas(postgresql_server) == {SCHEMA, older}


def test_a_user_who_may_make_no_schema_is_told_what_is_missing(postgresql_server: Server, url: str) -> None:
    postgresql_server.execute("CREATE ROLE plain LOGIN")
    try:
        plain = url.replace("probans@", "plain@")
        with pytest.raises(SettingsRefused, match="GRANT CREATE ON DATABASE"):
            prepare(connecting(make_url(plain)), SCHEMA)
        postgresql_server.execute("GRANT CREATE ON DATABASE safe TO plain")
        prepare(connecting(make_url(plain)), SCHEMA)
        postgresql_server.drop("safe")
    finally:
        postgresql_server.execute("DROP ROLE plain")
