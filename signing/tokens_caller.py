"""One thread for all that touches a PKCS#11 module: callers take turns, and none waits longer than it said."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from signing.errors import SigningUnavailable
from signing.turns import PATIENCE_S, Pace

_Result = TypeVar("_Result")


class _Job(Generic[_Result]):
    """A call that waits, runs, or is over."""

    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work = work
        self._result: _Result
        self._error: BaseException | None = None
        self.over = threading.Event()
        self.given_up = self.well = False

    def run(self) -> None:
        try:
            self._result = self._work()
            self.well = True
        except BaseException as error:
            # It is raised again where the result is waited for.
            self._error = error
        self.over.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self.over.set()

    def result(self) -> _Result:
        if self._error is not None:
            raise self._error
        return self._result


class OneCaller:
    """Runs calls one after another in a thread of its own.

    PKCS#11 modules are entered by one thread at a time: the binding initialises them without locks, and SoftHSM2
    then fails or hangs when two threads meet in it. No call into a module can be broken off from outside. When the
    time of a running call is over, its caller goes, everybody who waits is told, and new callers are refused at once
    until that call has come back; the module counts as down so long. Its result is thrown away.

    Nobody waits long for a turn (`signing.turns`), and who would is refused at once: a slow token must not take the
    threads that other keys' seals need.
    """

    def __init__(self, name: str) -> None:
        """Name the thread; it starts with the first call."""
        self._name = name
        self._begin()
        _callers.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Job[object]] = deque()
        self._running: _Job[object] | None = None
        self._since = 0.0
        self._pace = Pace()
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Begin anew in a forked process: threads and held locks stayed in the other one."""
        self._begin()

    @property
    def stuck(self) -> bool:
        """True while a call runs whose time is over."""
        running = self._running
        return running is not None and running.given_up

    def call(self, work: Callable[[], _Result], seconds: float) -> _Result:
        """Run a call and return its result, waiting for its turn included.

        Raises:
            SigningUnavailable: the time is over, or that of a call before which did not come back yet; or a turn did
                not come soon, or would not.
            Exception: what the call raises.
        """
        job = _Job(work)
        begun = time.monotonic()
        with self._changed:
            if self.stuck:
                raise SigningUnavailable("a call to the token has not come back in its time")
            if self._running is not None and self._pace.is_hopeless(
                len(self._waiting), 1, begun - self._since
            ):
                raise SigningUnavailable("the token is slow, and others are before")
            self._waiting.append(job)  # type: ignore[arg-type]
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()
        if not job.over.wait(min(seconds, PATIENCE_S)):
            self._leave_line(job)  # type: ignore[arg-type]
            if not job.over.wait(max(0.0, begun + seconds - time.monotonic())):
                self._give_up(job)  # type: ignore[arg-type]
        return job.result()

    def _leave_line(self, job: _Job[object]) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                raise SigningUnavailable("the token was busy with others for too long")

    def _give_up(self, job: _Job[object]) -> None:
        with self._changed:
            if job.over.is_set():
                return
            job.given_up = True
            while self._waiting:
                self._waiting.popleft().fail(
                    SigningUnavailable("a call to the token has not come back in its time")
                )
        raise SigningUnavailable("the token did not answer in time")

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._waiting:
                    self._changed.wait()
                job = self._running = self._waiting.popleft()
                self._since = time.monotonic()
            job.run()
            self._pace.came_back(time.monotonic() - self._since, well=job.well)
            del job


_callers: WeakSet[OneCaller] = WeakSet()


def _after_fork() -> None:
    for caller in _callers:
        caller.after_fork()


os.register_at_fork(after_in_child=_after_fork)
