"""A process that does the background work and answers no requests: `probans worker`."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from vault.backends.tasks import open_sharing
from vault.bootstrap import open_vault, opening
from vault.observability.logs import configure
from vault.settings import Settings
from vault.tasks.book import TaskBook
from vault.tasks.runner import Task

STUCK = 70
_log = logging.getLogger("probans.tasks")


def run_worker(
    settings: Settings,
    on_ready: Callable[[], None],
    signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> None:
    """Open the safe and do its tasks until told to stop; what was begun is finished first.

    A task whose run does not end within its limit ends the process with the code 70, as a crash would: whoever keeps
    the process starts it again, and meanwhile the others do its work.

    Args:
        settings: of the safe.
        on_ready: told once, as the work begins.
        signals: that stop it.

    Raises:
        VaultError: what `open_vault` refuses; SETTINGS_REFUSED without the libraries it takes.
    """
    configure(settings.log, settings.log_level)
    with opening(settings):
        vault = open_vault(settings, background=False)
    try:
        book = TaskBook(vault.parts.database, vault.parts.clock)
        vault.tasks.on_run = lambda: book.note(vault.tasks.states())
        sharing = open_sharing(settings, vault.tasks, _end)
        with _on_signals(signals, sharing.stop):
            sharing.run(on_ready)
    finally:
        vault.close()


def _end(stuck: Sequence[Task]) -> None:
    for task in stuck:
        _log.critical("task %s has not ended within %.0f s: this process ends", task.name, task.limit_s)
    # A thread cannot be ended otherwise, and whatever it waits for may hold up an end in order as well.
    os._exit(STUCK)


@contextmanager
def _on_signals(signals: Sequence[signal.Signals], stop: Callable[[], None]) -> Iterator[None]:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
