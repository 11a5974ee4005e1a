"""Group commit without a thread of its own: one waiting caller does the work of all who came meanwhile."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from storage.errors import StorageUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Request(Generic[Item, Result]):
    """One caller's items; `results` stays None until a leader has dealt with them."""

    __slots__ = ("failed", "items", "leads", "results", "wake")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.results: list[Result] | None = None
        self.failed = False
        self.leads = False
        self.wake = threading.Event()


class GroupCommit(Generic[Item, Result]):
    """Gathers the items of many threads and hands them to one function, a group at a time.

    The first caller leads: it takes all who are queued, runs the group in its own thread, then wakes its
    followers and makes the head of the queue the next leader. It waits for company only when the group
    before had some, at most `window` seconds, and no longer than until as many have come as were in that
    group. So a lone caller never waits, and a crowd is served in full groups.
    """

    def __init__(self, run: Callable[[list[Item]], list[Result]], window: float, limit: int) -> None:
        """Say what to do with a group.

        Args:
            run: deals with the items and returns one result for each, in order.
            window: longest wait for company, in seconds.
            limit: most items in a group; a caller's own items always stay together.
        """
        self._run = run
        self._window = window
        self._limit = limit
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._queue: deque[_Request[Item, Result]] = deque()
        self._queued = 0
        self._leading = False
        self._expected = 1

    def submit(self, items: Sequence[Item]) -> list[Result]:
        """Wait until a group with these items has run; return their results, in order.

        Raises:
            StorageUnavailable: the thread that ran the group was interrupted. That thread itself raises
                what interrupted it.
        """
        request: _Request[Item, Result] = _Request(items)
        with self._lock:
            follows = self._leading
            self._leading = True
            if follows:
                self._queue.append(request)
                self._queued += len(items)
                self._arrived.notify()
        if follows:
            try:
                request.wake.wait()
            except BaseException:
                self._abandon(request)
                raise
        if request.results is None and not request.failed:
            self._lead(request)
        if request.results is None:
            raise StorageUnavailable("the group's leader was interrupted: commit again")
        return request.results

    def _lead(self, own: _Request[Item, Result]) -> None:
        """Run one group that begins with the leader's own request, which is no longer in the queue."""
        group = [own]
        try:
            self._gather(group)
            results = self._run([item for request in group for item in request.items])
            start = 0
            for request in group:
                request.results = results[start : start + len(request.items)]
                start += len(request.items)
        finally:
            with self._lock:
                self._promote()
            for request in group:
                request.failed = request.results is None
                request.wake.set()

    def _gather(self, group: list[_Request[Item, Result]]) -> None:
        size = len(group[0].items)
        with self._lock:
            deadline = time.monotonic() + self._window
            while size + self._queued < self._expected and (left := deadline - time.monotonic()) > 0:
                self._arrived.wait(left)
            while self._queue and size + len(self._queue[0].items) <= self._limit:
                group.append(self._queue.popleft())
                size += len(group[-1].items)
                self._queued -= len(group[-1].items)
            self._expected = min(size, self._limit) if len(group) > 1 else 1

    def _promote(self) -> None:
        """Hand the lead to the head of the queue; the lock is held."""
        if not self._queue:
            self._leading = False
            return
        heir = self._queue.popleft()
        self._queued -= len(heir.items)
        heir.leads = True
        heir.wake.set()

    def _abandon(self, request: _Request[Item, Result]) -> None:
        """Forget a request whose thread was interrupted while it waited."""
        with self._lock:
            if request.leads:
                self._promote()
            elif request in self._queue:
                self._queue.remove(request)
                self._queued -= len(request.items)
