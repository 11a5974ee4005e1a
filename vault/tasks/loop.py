"""Runs tasks inside a process: one thread that keeps time, and as many others as tasks are at work.

What one task waits for holds up no other task: a slow gateway, a store that does not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from vault.tasks.runner import Task, TaskRunner

_STUCK_EVERY_S = 30.0
_log = logging.getLogger("probans.tasks")


class TaskLoop:
    """Every process may have one: tasks elect themselves. It runs while a `with` block does."""

    def __init__(self, runner: TaskRunner) -> None:
        self._runner = runner
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._at_work: set[str] = set()
        self._closing = False
        self._pool = ThreadPoolExecutor(max(1, len(runner.tasks)), "probans-task")
        self._thread = threading.Thread(target=self._keep_time, name="probans-tasks", daemon=True)

    def __enter__(self) -> TaskLoop:
        """Start in the background."""
        now = time.monotonic()
        self._due = {task.name: now + (0.0 if task.at_once else task.period_s) for task in self._runner.tasks}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; runs under way end with the thing they are at."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._runner.stop()
        self._thread.join()
        self._pool.shutdown()

    def _keep_time(self) -> None:
        told = time.monotonic()
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                for task in self._runner.tasks:
                    if task.name not in self._at_work and self._due[task.name] <= now:
                        self._at_work.add(task.name)
                        self._pool.submit(self._work, task)
                if now - told >= _STUCK_EVERY_S:
                    told = now
                    for task in self._runner.stuck():
                        _log.critical("task %s has not ended within %.0f s", task.name, task.limit_s)
                waiting = [due for name, due in self._due.items() if name not in self._at_work]
                self._changed.wait(max(0.0, min([*waiting, told + _STUCK_EVERY_S]) - now))

    def _work(self, task: Task) -> None:
        again = self._runner.run(task)
        with self._changed:
            self._at_work.discard(task.name)
            self._due[task.name] = time.monotonic() + (0.0 if again else task.period_s)
            self._changed.notify()
