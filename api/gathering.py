"""Requests that are answered together: whatever waits while one group is under way is the next group.

A thread for each request costs several times what the work itself does: threads that take the interpreter lock from
one another find the processor's caches full of something else each time. So the files of small requests, which are in
memory anyway, are handed over in groups, and one thread takes all steps for all of them (`Pipeline.accept_all`).

Who comes alone does not wait: a request that comes while nothing is under way is a group of its own. Only the first
group after a crowd waits until as many are there, while they keep coming: their next requests are on their way. Where
they are not, the first to come alone waits once, 10 ms, however long ago the crowd was. A second group begins beside
the first once it is full or somebody has waited for a while, a third one later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response

from vault.errors import Unavailable

MOST = 64
# Requests inside at once; beyond, BUSY.
ROOM = 128
# Seconds for which a crowd is waited for: in all, and after the last one that came.
COMPANY_S, GAP_S = 0.05, 0.01
# Seconds that somebody waits before a group begins while so many others are under way; the last counts for more.
PATIENCE = (0.0, 0.1, 0.5)
THREADS = 16

Answer = Response | BaseException


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A request that waits.

    Attributes:
        request: its body is in memory.
        context: of its task: what is told in it carries its reference.
        since: moment of the loop's clock.
        future: for the answer.
    """

    request: Request
    context: Context
    since: float
    future: asyncio.Future[Response]


class Gathering:
    """Requests of one kind on their way to threads."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer]]) -> None:
        """Keep the work.

        Args:
            work: answers requests, in a thread; for each of them what is told its caller, or what is raised there.
        """
        self._work = work
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="probans-together")
        # A process that serves has one loop; an application in tests may be called from several.
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    async def answer(self, request: Request) -> Response:
        """Return the answer to a request. Raises Unavailable(BUSY), and what the work raises for it."""
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._threads, self._work)
        return await line.answer(request)


class _Line:
    """Those who wait in one loop; everything but the work itself happens there."""

    def __init__(
        self, threads: ThreadPoolExecutor, work: Callable[[Sequence[Asked]], Sequence[Answer]]
    ) -> None:
        self._threads, self._work = threads, work
        self._waiting: deque[Asked] = deque()
        self._running = 0
        self._inside = 0
        # What calls `_begin`, and whether that is at the end of this turn of the loop.
        self._timer: asyncio.Handle | None = None
        self._soon = False
        # How many were inside when a group ended, and when that was.
        self._crowd = 1
        self._ended = 0.0

    async def answer(self, request: Request) -> Response:
        if self._inside >= ROOM:
            raise Unavailable("BUSY")
        loop = asyncio.get_running_loop()
        asked = Asked(request, copy_context(), loop.time(), loop.create_future())
        self._waiting.append(asked)
        self._wake(loop)
        self._inside += 1
        try:
            return await asked.future
        finally:
            self._inside -= 1

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have `_begin` called soon, unless those who wait are waiting for somebody still."""
        if self._timer is not None:
            if self._soon or self._due() > loop.time():
                return
            self._timer.cancel()
        # Those that are read in the same turn of the loop come along.
        self._timer, self._soon = loop.call_soon(self._begin, loop), True

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin what groups there are to begin, and come back when somebody will have waited long enough."""
        self._timer = None
        while self._waiting and self._running < THREADS:
            due = self._due()
            if due > loop.time():
                self._timer, self._soon = loop.call_at(due, self._begin, loop), False
                return
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
            self._running += 1
            self._threads.submit(self._run, loop, group)

    def _due(self) -> float:
        """Return when the next group begins, as far as is known now."""
        first, last, waiting = self._waiting[0].since, self._waiting[-1].since, len(self._waiting)
        if waiting >= MOST and self._running <= 1:
            return first
        if not self._running and waiting < self._crowd:
            return min(max(first, self._ended) + COMPANY_S, max(last, self._ended) + GAP_S)
        return first + PATIENCE[min(self._running, len(PATIENCE) - 1)]

    def _run(self, loop: asyncio.AbstractEventLoop, group: Sequence[Asked]) -> None:
        """Do the work, in a thread; wake the loop once for all."""
        answers: Sequence[Answer]
        try:
            answers = self._work(group)
        except BaseException as error:
            answers = [error] * len(group)
        loop.call_soon_threadsafe(self._end, loop, group, answers)

    def _end(
        self, loop: asyncio.AbstractEventLoop, group: Sequence[Asked], answers: Sequence[Answer]
    ) -> None:
        self._running -= 1
        self._crowd, self._ended = min(self._inside, MOST), loop.time()
        for asked, answer in zip(group, answers, strict=True):
            if asked.future.done():  # whoever waited is gone
                continue
            if isinstance(answer, Response):
                asked.future.set_result(answer)
            elif isinstance(answer, StopIteration):  # which no future takes
                asked.future.set_exception(RuntimeError("an iterator's end went astray"))
            else:
                asked.future.set_exception(answer)
        if self._timer is not None:
            self._timer.cancel()
        self._begin(loop)
