"""Appends to the ledger: group commit, one thread per process, any number of processes.

A group is one database transaction. In it each work's rows, the entries and the advance of the head (compare
and swap on the size) become durable together; the group's recovery file is durable before. So a crash
anywhere leaves either nothing or everything, and at most a recovery file that no row names.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time as clockwork
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core import faults, tracing
from vault.db.engine import Database
from vault.errors import LedgerError, Unavailable, VaultError
from vault.ledger.asking import Asking
from vault.ledger.group import Appended, Group, LedgerTransaction
from vault.ledger.stored import lock_head
from vault.ledger.waiting import FutureWaiter, Mailbox, Settled, TaskWaiter, ThreadWaiter, Waiter

__all__ = ["Appended", "Asking", "AsyncSubmitter", "LedgerTransaction", "LedgerWriter", "WriterConfig"]

T = TypeVar("T")
_Job = tuple[Callable[[LedgerTransaction], Any], Waiter]  # what to run, and who waits for it
MAX_STEP_BACK = timedelta(seconds=10)
_log = logging.getLogger("probans.ledger")


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """How groups are made.

    Attributes:
        max_group: works in one group at most.
        max_wait_ms: milliseconds to wait for more works before a group begins.
        time_limit_s: seconds `run` waits.
    """

    max_group: int = 512
    max_wait_ms: int = 0
    time_limit_s: float = 30.0


class LedgerWriter:
    """Commits works in groups.

    Attributes:
        on_commit: called with the ledger's size after each group that appended.
        admit: called by `run`, with its time limit, before a work is queued; may wait or refuse it.
        step_backs: how often the clock was found more than 10 s behind the ledger.
    """

    def __init__(
        self,
        database: Database,
        write_records: Callable[[str, Sequence[bytes]], None],
        clock: Clock,
        config: WriterConfig = WriterConfig(),
    ) -> None:
        """Make a writer; `start` begins.

        Args:
            database: an open ledger.
            write_records: makes a recovery file durable before it returns.
            clock: states the time of entries.
            config: group sizes and limits.
        """
        self.on_commit: Callable[[int], None] | None = None
        self.admit: Callable[[float], None] | None = None
        self.step_backs = 0
        self._database = database
        self._write_records = write_records
        self._clock = clock
        self._config = config
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._ending = False
        self._roots: dict[Any, bytes] = {}
        self._thread = threading.Thread(target=self._loop, name="probans-ledger", daemon=True)

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    def close(self) -> None:
        """Refuse new works, finish those that were submitted, and end the thread."""
        with self._gate:
            self._closed = True
            self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._loop()

    def submit(self, work: Callable[[LedgerTransaction], T]) -> Future[T]:
        """Queue a work; its result is there once the group is durable. Raises as `enqueue`."""
        waiter = FutureWaiter()
        self.enqueue(work, waiter)
        return waiter.future

    def run(self, work: Callable[[LedgerTransaction], T]) -> T:
        """Submit a work and wait for it.

        Raises:
            Unavailable: LEDGER_UNAVAILABLE after the time limit, or when the group could not be written, or when
                the answer to its commit was lost; what `admit` refuses with.
            LedgerError: as `enqueue`.
        """
        ((value, raised),) = self.run_all((work,))
        if raised is not None:
            raise raised
        result: T = value
        return result

    def run_all(self, works: Sequence[Callable[[LedgerTransaction], Any]]) -> list[Settled]:
        """Submit works that go into one group, and wait for them.

        Args:
            works: each keeps its rows or not by itself, as in any group.

        Returns:
            For each its result and None, or None and why it has none: what the work raised, or Unavailable as `run`.

        Raises:
            Unavailable: what `admit` refuses with.
            LedgerError: as `enqueue`.
        """
        if self.admit is not None:
            self.admit(self._config.time_limit_s)
        waiters = [ThreadWaiter() for _ in works]
        with tracing.span("ledger"):
            self._hand_in(list(zip(works, waiters, strict=True)))
            end = clockwork.monotonic() + self._config.time_limit_s
            return [waiter.outcome(end - clockwork.monotonic()) for waiter in waiters]

    def enqueue(self, work: Callable[[LedgerTransaction], Any], waiter: Waiter) -> None:
        """Queue a work and who is told of its outcome.

        Raises:
            Unavailable: LEDGER_UNAVAILABLE once closed.
            LedgerError: LEDGER_TRANSACTION_BROKEN when called from within a work.
        """
        self._hand_in([(work, waiter)])

    def _hand_in(self, jobs: list[_Job]) -> None:
        # The number of a thread that ended may be another's by now.
        if threading.get_ident() == self._thread.ident and self._thread.is_alive():
            raise LedgerError("LEDGER_TRANSACTION_BROKEN", "a work cannot wait for another one")
        with self._gate:
            if self._closed:
                raise Unavailable("LEDGER_UNAVAILABLE", "the writer is closed")
            self._queue.put(jobs)

    def _loop(self) -> None:
        while not self._ending:
            jobs: list[_Job] = []
            self._gather(jobs, block=True)
            if jobs and self._config.max_wait_ms:
                clockwork.sleep(self._config.max_wait_ms / 1000)
            if jobs:
                with tracing.span("ledger commit") as span:
                    span.note(works=len(jobs))
                    self._commit(jobs)

    def _gather(self, jobs: list[_Job], *, block: bool = False) -> None:
        """Take what is queued, up to the size of a group; what came together stays together, None ends the writer."""
        while len(jobs) < self._config.max_group and not self._ending:
            try:
                came = self._queue.get(block and not jobs)
            except queue.Empty:
                return
            if came is None:
                self._ending = True
            else:
                jobs += [job for job in came if job[1].begin()]

    def _commit(self, jobs: list[_Job]) -> None:
        """Commit one group and answer everybody in it."""
        results: list[Any] = []
        try:
            with self._database.writing() as connection:
                self._gather(jobs)  # those that came while the lock was another's
                # While no other work has changed anything, what they ask is at hand.
                jobs.sort(key=_asks_nothing)
                group = self._begin(connection)
                group.ask([work for work, _ in jobs])
                results = [group.run(work) for work, _ in jobs]
                group.write(self._write_records, self._roots)
                faults.point("ledger.before-commit")
            faults.point("ledger.after-commit")
        except BaseException as error:  # whoever waits must be answered
            self._roots.clear()  # it may hold tiles of entries that are not there
            _fail(jobs, results, error)
            return
        _settle(jobs, results)
        if group.rows and self.on_commit is not None:
            try:
                self.on_commit(group.size)
            except Exception:  # the entries are durable whatever the listener does
                _log.exception("what listens to commits failed")

    def _begin(self, connection: Connection) -> Group:
        """Read the head; time never runs backwards along the chain."""
        head = lock_head(connection)
        now = self._clock.now()
        time = rfc3339(now)
        if time < head.last_time:
            if parse_rfc3339(head.last_time) - now > MAX_STEP_BACK:
                self.step_backs += 1
                _log.warning("the clock is more than 10 s behind the ledger: %s < %s", time, head.last_time)
            time = head.last_time
        return Group(connection, time, head.size, head.last_leaf)


class AsyncSubmitter:
    """Submits works from the coroutines of one asyncio loop."""

    def __init__(self, writer: LedgerWriter) -> None:
        """Bind it to the running loop. Raises RuntimeError outside of one."""
        self._writer = writer
        self._mailbox = Mailbox(asyncio.get_running_loop())

    def submit(self, work: Callable[[LedgerTransaction], T]) -> asyncio.Future[T]:
        """Queue a work; to be awaited. Raises as `LedgerWriter.enqueue`."""
        waiter = TaskWaiter(self._mailbox)
        self._writer.enqueue(work, waiter)
        return waiter.future


def _asks_nothing(job: _Job) -> bool:
    return not isinstance(job[0], Asking)


def _settle(jobs: Sequence[_Job], outcomes: Sequence[tuple[Any, BaseException | None]]) -> None:
    """Tell everybody in a group."""
    for (_, waiter), (value, raised) in zip(jobs, outcomes, strict=True):
        waiter.settle(value, raised)
    for mailbox in {waiter.mailbox for _, waiter in jobs}:
        if mailbox is not None:
            mailbox.open()


def _fail(jobs: Sequence[_Job], results: Sequence[Any], error: BaseException) -> None:
    """Tell everybody in a group that nothing was written; a work that had raised gets its own error."""
    shown = error
    if not isinstance(error, VaultError):
        _log.error("a commit group could not be written", exc_info=error)
        shown = Unavailable("LEDGER_UNAVAILABLE", type(error).__name__)
        shown.__cause__ = error
    own = [raised for _, raised in results] + [None] * (len(jobs) - len(results))
    _settle(jobs, [(None, raised or shown) for raised in own])
