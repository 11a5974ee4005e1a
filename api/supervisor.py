"""Several processes that share one listening socket; a parent starts them, watches them and stops them.

The parent opens no safe and starts no thread. Each process is a fresh interpreter ("spawn"): libraries with
threads of their own do not survive a fork.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from api.shared_series import SLOT_OCTETS
from api.worker import STOP_SECONDS, Tokens, run_worker
from vault.errors import VaultError
from vault.observability.logs import configure
from vault.settings import Settings

_CONTEXT = multiprocessing.get_context("spawn")
_LONGEST_DELAY = 30.0
_log = logging.getLogger("probans.supervisor")


def run_workers(
    settings: Settings, listener: socket.socket, count: int, on_ready: Callable[[Tokens], None]
) -> None:
    """Run `count` processes until SIGTERM or SIGINT.

    Args:
        settings: of the safe; each process opens it.
        listener: bound and listening.
        count: processes.
        on_ready: told the personas' tokens once, when every process answers.

    Raises:
        VaultError: the error that kept a process from starting the first time.
    """
    configure(settings.log, settings.log_level)
    _Supervisor(settings, listener, count, on_ready).run()


class _Worker:
    """One slot: the process in it, and what it says through its pipe."""

    def __init__(self, settings: Settings, listener: socket.socket, block: Any, slot: int) -> None:
        self.slot = slot
        self.ready = False
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(
            target=work, args=(settings, listener, theirs, block, slot), name=f"probans-{slot}"
        )
        self.process.start()
        theirs.close()


class _Supervisor:
    """Starts, watches, restarts, stops."""

    def __init__(
        self, settings: Settings, listener: socket.socket, count: int, on_ready: Callable[[Tokens], None]
    ) -> None:
        self._settings, self._listener, self._on_ready = settings, listener, on_ready
        self._block = _CONTEXT.RawArray("B", SLOT_OCTETS * count)
        self._count = count
        self._workers: dict[int, _Worker] = {}
        self._restarts: dict[int, float] = {}
        self._failures = 0
        self._announced = False
        self._stopping = False

    def run(self) -> None:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for slot in range(self._count):
                self._start(slot)
            while not self._stopping:
                self._turn()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, slot: int) -> None:
        self._restarts.pop(slot, None)
        self._workers[slot] = _Worker(self._settings, self._listener, self._block, slot)

    def _turn(self) -> None:
        for slot, moment in list(self._restarts.items()):
            if time.monotonic() >= moment:
                self._start(slot)
        waited: list[Any] = [worker.process.sentinel for worker in self._workers.values()]
        waited += [worker.pipe for worker in self._workers.values() if not worker.ready]
        wait(waited, timeout=0.2)
        for worker in list(self._workers.values()):
            if not worker.ready and worker.pipe.poll():
                self._heard(worker)
            if worker.process.exitcode is not None:
                self._lost(worker)

    def _heard(self, worker: _Worker) -> None:
        try:
            said = worker.pipe.recv()
        except EOFError:
            return
        if isinstance(said, VaultError):
            if not self._announced:
                raise said
            _log.error("process %d cannot start: %s", worker.slot, said.code)
            return
        worker.ready = True
        self._failures = 0
        if not self._announced and all(each.ready for each in self._workers.values()):
            self._announced = True
            self._on_ready(said)

    def _lost(self, worker: _Worker) -> None:
        """A process ended by itself: start another, later and later while none comes up."""
        code = worker.process.exitcode
        worker.pipe.close()
        del self._workers[worker.slot]
        if not self._announced:
            raise VaultError("INTERNAL", f"process {worker.slot} ended with {code} before it was ready")
        delay = min(_LONGEST_DELAY, 0.5 * 2**self._failures)
        self._failures += 1
        _log.error("process %d ended with %s; another one starts in %.1f s", worker.slot, code, delay)
        self._restarts[worker.slot] = time.monotonic() + delay

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS + 10
        for worker in self._workers.values():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()


def work(
    settings: Settings, listener: socket.socket, pipe: Connection, block: MutableSequence[int], slot: int
) -> None:
    """Serve in a process of its own; stops when told to, or when the parent is gone."""
    # A terminal sends its interrupt to every process; the parent alone decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(pipe,), daemon=True).start()
    try:
        run_worker(settings, listener, pipe.send, block, slot, signals=(signal.SIGTERM,))
    except VaultError as error:
        # Sent as the base class: that is sure to be rebuilt on the other side.
        told = VaultError(error.code, error.detail)
        told.params = error.params
        pipe.send(told)


def _watch(pipe: Connection) -> None:
    """Wait for the end of the parent, which closes its side of the pipe."""
    try:
        pipe.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
