"""Says how background work goes: the tasks of this process, or what workers wrote down of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from vault.clock import rfc3339
from vault.observability.health import Health
from vault.tasks.book import Written
from vault.tasks.runner import Task, TaskState

_PATIENCE_S = 120.0


def own_tasks(tasks: Sequence[Task], states: Mapping[str, TaskState]) -> Health:
    """Tell about the tasks of this process."""
    troubled = []
    for task in tasks:
        state = states[task.name]
        if (state.running_s or 0.0) > task.limit_s:
            troubled.append(f"{task.name} runs since {state.running_s:.0f} s")
        elif state.code:
            troubled.append(f"{task.name} fails ({state.code})")
    return _health(tasks, troubled)


def workers_tasks(tasks: Sequence[Task], written: Mapping[str, Written], now: datetime) -> Health:
    """Tell about the tasks that workers do; a task nobody has done for a while is named.

    Args:
        tasks: all there are.
        written: what workers wrote down.
        now: by the service's clock.
    """
    troubled = []
    for task in tasks:
        row = written.get(task.name)
        last = row.succeeded_at if row is not None else None
        if row is not None and row.failed_at is not None:
            troubled.append(f"{task.name} fails since {rfc3339(row.failed_at)} ({row.code})")
        elif last is None:
            troubled.append(f"{task.name} was never done")
        elif (now - last).total_seconds() > _PATIENCE_S + 3 * task.period_s:
            troubled.append(f"{task.name} was last done at {rfc3339(last)}")
    return _health(tasks, troubled)


def _health(tasks: Sequence[Task], troubled: Sequence[str]) -> Health:
    words = "; ".join(troubled)
    if troubled and len(troubled) == len(tasks):
        words = f"none of {len(tasks)} tasks is done: {words}"
    return Health(not troubled, words or f"{len(tasks)} tasks", needed=False)
