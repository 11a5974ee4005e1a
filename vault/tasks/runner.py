"""What runs in the background: one list of tasks, whoever runs them, and how each of them goes.

What is pending stands in the rows of the domain, nowhere else. A task looks there, does a bounded piece of it and
returns; it elects itself among all processes. So one that is run twice, by two processes at once, or not at all for a
while does no harm, and a process that is killed leaves nothing that the next look does not find.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from vault.clock import Clock
from vault.errors import Unavailable, VaultError

_SAID_AGAIN_S = 60.0
_log = logging.getLogger("probans.tasks")


def nothing() -> None:
    """Do nothing: for tasks that need not be told to end early."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something that runs again and again.

    Attributes:
        name: in logs, figures and locks.
        run: looks for what is pending and does a piece of it, unless another process is at it; returns how much.
        period_s: seconds from the end of one run to the next.
        limit_s: seconds a run may take before it counts as stuck; a worker process ends then, so that another host
            takes over.
        full: a run that did so much is followed by the next one at once; 0: none is.
        at_once: the first run does not wait for a period.
        stop: has a run under way end early; runs after it may do nothing.
    """

    name: str
    run: Callable[[], int]
    period_s: float
    limit_s: float = 300.0
    full: int = 0
    at_once: bool = False
    stop: Callable[[], None] = nothing


@dataclass(frozen=True, slots=True)
class TaskState:
    """How a task went in this process since it started.

    Attributes:
        runs: that ended, well or not.
        failures: of them, those that ended with an error.
        in_a_row: failures since the last run that went well.
        done: things done, as its function counts them.
        succeeded_at: end of the last run that went well, by the service's clock; None before the first.
        code: of the last failure; "" when the last run went well.
        running_s: seconds since the run under way began; None between runs.
    """

    runs: int = 0
    failures: int = 0
    in_a_row: int = 0
    done: int = 0
    succeeded_at: datetime | None = None
    code: str = ""
    running_s: float | None = None


@dataclass(slots=True)
class _Kept:
    state: TaskState = field(default_factory=TaskState)
    begun: float | None = None
    said: tuple[str, float] = ("", 0.0)


class TaskRunner:
    """Runs tasks, each one run at a time, and notes how they went; any thread may call it.

    Attributes:
        tasks: the list.
        on_run: called after each run, in the same thread; what it raises is logged. None: nobody is told.
    """

    def __init__(self, tasks: Sequence[Task], clock: Clock) -> None:
        """Take the list.

        Args:
            tasks: with names of their own.
            clock: the service's time, for what is shown.
        """
        self.tasks = tuple(tasks)
        self.on_run: Callable[[], None] | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = {task.name: _Kept() for task in tasks}

    def run(self, task: Task) -> bool:
        """Run a task once, unless a run of it is under way here; whatever it raises is logged and counted.

        Returns:
            Whether the next run should follow at once.
        """
        kept = self._kept[task.name]
        with self._lock:
            if kept.begun is not None:
                return False
            kept.begun = time.monotonic()
        again = self._run(task, kept)
        if self.on_run is not None:
            try:
                self.on_run()
            except Unavailable:
                pass  # nobody can be told now; the tasks themselves say why
            except Exception:
                _log.exception("how tasks went cannot be told")
        return again

    def _run(self, task: Task, kept: _Kept) -> bool:
        try:
            done = task.run()
        except Exception as error:  # a task that fails is tried again, and holds up no other one
            self._failed(task, kept, error)
            return False
        except BaseException:
            with self._lock:
                kept.begun = None
            raise
        with self._lock:
            kept.begun, state = None, kept.state
            kept.state = replace(
                state,
                runs=state.runs + 1,
                in_a_row=0,
                done=state.done + done,
                succeeded_at=self._clock.now(),
                code="",
            )
        if state.code:
            _log.warning("task %s works again", task.name)
        return bool(task.full) and done >= task.full

    def stop(self) -> None:
        """Have runs under way end early."""
        for task in self.tasks:
            task.stop()

    def stuck(self) -> list[Task]:
        """Return the tasks whose run under way takes longer than it may."""
        states = self.states()
        return [task for task in self.tasks if (states[task.name].running_s or 0.0) > task.limit_s]

    def states(self) -> Mapping[str, TaskState]:
        """Return how each task went, by name."""
        now = time.monotonic()
        with self._lock:
            return {
                name: replace(kept.state, running_s=None if kept.begun is None else now - kept.begun)
                for name, kept in self._kept.items()
            }

    def _failed(self, task: Task, kept: _Kept, error: Exception) -> None:
        code = str(getattr(error, "code", None) or type(error).__name__)
        now = time.monotonic()
        with self._lock:
            kept.begun, state = None, kept.state
            kept.state = replace(
                state,
                runs=state.runs + 1,
                failures=state.failures + 1,
                in_a_row=state.in_a_row + 1,
                code=code,
            )
            known, at = kept.said
            told_lately = state.in_a_row > 0 and known == code and now - at < _SAID_AGAIN_S
            if not told_lately:
                kept.said = (code, now)
        if told_lately:
            return
        if isinstance(error, Unavailable):
            _log.warning("task %s waits: %s %s", task.name, code, error.detail)
        elif isinstance(error, VaultError):
            # What it was raised from may quote an address or a file.
            _log.error("task %s failed: %s", task.name, code)
        else:
            _log.error("task %s failed: %s", task.name, code, exc_info=error)
