"""The list of tasks: run one at a time, counted, tried again; inside a process, a slow one holds up no other one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from vault.clock import SystemClock
from vault.errors import LedgerError, Unavailable
from vault.observability.task_health import own_tasks, workers_tasks
from vault.tasks.loop import TaskLoop
from vault.tasks.runner import Task, TaskRunner


def runner(*tasks: Task) -> TaskRunner:
    return TaskRunner(tasks, SystemClock())


def soon(what: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def failing(error: Exception) -> Callable[[], int]:
    def run() -> int:
        raise error

    return run


def test_what_a_run_did_is_counted() -> None:
    results = iter([2, 3])
    task = Task("t", lambda: next(results), 1.0, full=3)
    run = runner(task)
    assert run.run(task) is False
    assert run.run(task) is True, "as much as one run does at most: there may be more"
    state = run.states()["t"]
    assert (state.runs, state.done, state.failures, state.code) == (2, 5, 0, "")
    assert state.succeeded_at is not None
    assert state.running_s is None


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (Unavailable("DATABASE_UNAVAILABLE", "gone"), "DATABASE_UNAVAILABLE", logging.WARNING),
        (LedgerError("LEDGER_BEHIND", "older"), "LEDGER_BEHIND", logging.ERROR),
        (KeyError("x"), "KeyError", logging.ERROR),
    ],
)
def test_a_failure_is_told_once_and_counted_each_time(
    error: Exception, code: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task("t", failing(error), 1.0)
    run = runner(task)
    for _ in range(3):
        assert run.run(task) is False
    state = run.states()["t"]
    assert (state.runs, state.failures, state.in_a_row, state.code) == (3, 3, 3, code)
    assert state.succeeded_at is None
    assert [record.levelno for record in caplog.records] == [level]
    assert code in caplog.text
    health = own_tasks(run.tasks, run.states())
    assert not health.ok
    assert not health.needed
    assert code in health.note


def test_it_is_told_that_a_task_works_again(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [Unavailable("DATABASE_UNAVAILABLE")]

    def run_once() -> int:
        if errors:
            raise errors.pop()
        return 0

    task = Task("t", run_once, 1.0)
    run = runner(task)
    run.run(task)
    run.run(task)
    assert "works again" in caplog.text
    assert run.states()["t"].in_a_row == 0
    assert own_tasks(run.tasks, run.states()).ok


def test_who_listens_is_called_after_each_run_and_cannot_break_it(caplog: pytest.LogCaptureFixture) -> None:
    task = Task("t", lambda: 1, 1.0)
    run = runner(task)
    run.on_run = failing(Unavailable("DATABASE_UNAVAILABLE"))  # type: ignore[assignment]
    run.run(task)
    assert not caplog.records
    run.on_run = failing(ValueError("x"))  # type: ignore[assignment]
    run.run(task)
    assert "cannot be told" in caplog.text
    assert run.states()["t"].runs == 2


def test_a_run_past_its_limit_is_stuck() -> None:
    gate, begun = threading.Event(), threading.Event()

    def wait() -> int:
        begun.set()
        gate.wait(10)
        return 0

    task, other = Task("slow", wait, 1.0, limit_s=0.05), Task("other", lambda: 0, 1.0)
    run = runner(task, other)
    thread = threading.Thread(target=run.run, args=(task,))
    thread.start()
    begun.wait(10)
    assert run.stuck() == []
    soon(lambda: run.stuck() == [task])
    assert "slow runs since" in own_tasks(run.tasks, run.states()).note
    gate.set()
    thread.join()
    assert run.stuck() == []


# Inside a process


def test_each_task_runs_at_its_own_pace_and_a_slow_one_holds_up_nobody() -> None:
    gate, ran = threading.Event(), {"quick": 0, "slow": 0, "broken": 0}

    def slow() -> int:
        ran["slow"] += 1
        gate.wait(10)
        return 0

    def quick() -> int:
        ran["quick"] += 1
        return 0

    def broken() -> int:
        ran["broken"] += 1
        raise RuntimeError

    with TaskLoop(runner(Task("slow", slow, 0.01), Task("quick", quick, 0.01), Task("broken", broken, 0.01))):
        soon(lambda: ran["quick"] > 20 and ran["broken"] > 20)
        assert ran["slow"] == 1, "never twice at once"
        gate.set()
        soon(lambda: ran["slow"] > 3)


def test_the_first_run_waits_for_a_period_unless_it_is_to_be_at_once() -> None:
    ran: list[str] = []

    def noted(name: str) -> Callable[[], int]:
        def run() -> int:
            ran.append(name)
            return 0

        return run

    with TaskLoop(runner(Task("later", noted("later"), 60.0), Task("now", noted("now"), 60.0, at_once=True))):
        soon(lambda: ran == ["now"])
        time.sleep(0.1)
    assert ran == ["now"]


def test_a_full_run_is_followed_at_once() -> None:
    left = [5]

    def run() -> int:
        left[0] -= 1
        return int(left[0] > 0)

    with TaskLoop(runner(Task("t", run, 60.0, full=1, at_once=True))):
        soon(lambda: left[0] == 0)


def test_closing_waits_for_what_is_at_work_and_has_it_end_early() -> None:
    stop, ended = threading.Event(), threading.Event()

    def run() -> int:
        assert stop.wait(10)
        ended.set()
        return 0

    with TaskLoop(runner(Task("t", run, 60.0, at_once=True, stop=stop.set))):
        time.sleep(0.05)
    assert ended.is_set()


def test_no_tasks_no_work() -> None:
    with TaskLoop(runner()):
        pass


def test_tasks_of_workers_that_nobody_does_are_named() -> None:
    now = SystemClock().now()
    health = workers_tasks((Task("t", lambda: 0, 1.0), Task("u", lambda: 0, 1.0)), {}, now)
    assert not health.ok
    assert health.note.startswith("none of 2 tasks is done")


def test_a_run_that_hangs_is_still_known_after_another_shift_began() -> None:
    """A worker that lost the database and found it again begins a new shift beside the run it could not end."""
    hang, begun = threading.Event(), []

    def run_once() -> int:
        begun.append(threading.get_ident())
        if len(begun) == 1:
            hang.wait(30)
        return 0

    task = Task("t", run_once, 1.0, limit_s=0.1)
    run = runner(task)
    first = threading.Thread(target=run.run, args=(task,))
    first.start()
    soon(lambda: bool(begun))
    time.sleep(0.15)
    try:
        assert run.run(task) is False
        assert len(begun) == 1
        assert run.stuck() == [task]
    finally:
        hang.set()
        first.join()
    assert run.run(task) is False
    assert (len(begun), run.states()["t"].runs, run.stuck()) == (2, 2, [])
