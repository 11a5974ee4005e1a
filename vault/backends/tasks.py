"""Chooses who shares tasks out among worker processes: Procrastinate on PostgreSQL, nobody where one host has all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import make_url

from vault.errors import SettingsRefused
from vault.settings import Settings
from vault.tasks.loop import TaskLoop
from vault.tasks.runner import Task, TaskRunner

_LOOK_S = 5.0


class Sharing(Protocol):
    """Runs the tasks of a worker process."""

    def run(self, on_ready: Callable[[], None]) -> None:
        """Work until `stop`, and tell once that the work begins. Raises SettingsRefused, Unavailable."""
        ...

    def stop(self) -> None:
        """Stop; runs under way end with the thing they are at. From any thread, or from a signal."""
        ...


class OneHost:
    """The tasks in the process itself; locks of the operating system keep other processes of the host out."""

    def __init__(self, runner: TaskRunner, on_stuck: Callable[[Sequence[Task]], None]) -> None:
        self._runner = runner
        self._on_stuck = on_stuck
        self._stop = threading.Event()

    def run(self, on_ready: Callable[[], None]) -> None:
        """See `Sharing`."""
        with TaskLoop(self._runner):
            on_ready()
            while not self._stop.wait(_LOOK_S):
                if stuck := self._runner.stuck():
                    self._on_stuck(stuck)

    def stop(self) -> None:
        """See `Sharing`."""
        self._stop.set()


def open_sharing(
    settings: Settings, runner: TaskRunner, on_stuck: Callable[[Sequence[Task]], None]
) -> Sharing:
    """Return what runs the tasks of a worker process.

    Args:
        settings: see `Settings`.
        runner: has the tasks.
        on_stuck: told of tasks whose run does not end; it must end the process, since nothing else frees them.

    Raises:
        SettingsRefused: SETTINGS_REFUSED: Procrastinate is not installed.
    """
    url = make_url(settings.database_address)
    if url.get_backend_name() != "postgresql":
        return OneHost(runner, on_stuck)
    try:
        from vault.db.postgresql import connecting
        from vault.tasks.engine import TaskEngine
    except ImportError as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            "A worker on PostgreSQL needs the extra `postgresql`: pip install 'probans[postgresql]'.",
        ) from error
    return TaskEngine(connecting(url), runner, on_stuck)
