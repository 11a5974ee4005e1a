"""One fenced child process that judges one file, and its supervisor's side.

The child is forked, never started anew: it has everything imported already, and what it does to itself dies with
it. Only octets come back, through a pipe, and they are read as strictly as a stranger's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from select import POLLHUP, POLLIN, poll

from vault.evidence.findings import Verdict
from vault.evidence.wire import WireRefused, from_wire
from vault.verification.limits import MEMORY_STATUS, Stop, WorkerLimits, fence, why_ended

_CHUNK = 1 << 16


@dataclass(slots=True)
class Child:
    """A running child; its supervisor reads `pipe` whenever it has something, until `finished`.

    Attributes:
        pid: of the child.
        pipe: descriptor, non-blocking, that carries the verdict.
        deadline: `time.monotonic` at which its time is over.
        limit: octets of output allowed.
        finished: it has ended and was waited for.
        stop: why there is no verdict; None while it runs or when it ended in order.
    """

    pid: int
    pipe: int
    deadline: float
    limit: int
    finished: bool = False
    stop: Stop | None = None
    _parts: list[bytes] = field(default_factory=list)
    _length: int = 0

    def read(self) -> bool:
        """Take what the pipe holds; returns whether the child has come to its end and was waited for."""
        while not self.finished:
            try:
                part = os.read(self.pipe, _CHUNK)
            except BlockingIOError:
                return False
            self._length += len(part)
            if self._length > self.limit:
                self.end(Stop.OUTPUT)
            elif part:
                self._parts.append(part)
            else:
                self._wait_for_end()
        return True

    def end(self, why: Stop) -> None:
        """Kill the child and everything it started."""
        if self.finished:
            return
        self.stop = why
        for kill in (os.killpg, os.kill):  # the group exists once the child has fenced itself
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._close()

    @property
    def answer(self) -> bytes:
        """What it wrote."""
        return b"".join(self._parts)

    def _wait_for_end(self) -> None:
        # The pipe is closed, so the child is about to end; if it does not, its time ends it.
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > self.deadline:
                self.end(Stop.TIME)
                return
            time.sleep(0.0005)
        self.stop = why_ended(ended[1])
        self._close()

    def _close(self) -> None:
        self.finished = True
        os.close(self.pipe)


def fork_child(
    work: Callable[[], bytes], limits: WorkerLimits, size: int, *, keep: Iterable[int] = ()
) -> Child:
    """Start a child that runs `work` behind the fence and sends what it returns.

    The caller must be the only thread of its process.

    Args:
        work: judges the file and writes the verdict as octets.
        limits: of the child.
        size: octets of the file.
        keep: descriptors that the child needs; all others above standard error are closed in it.
    """
    reading, writing = os.pipe()
    deadline = time.monotonic() + limits.wall_seconds(size)
    pid = os.fork()
    if pid == 0:
        _run(work, limits, size, writing, keep)
    os.close(writing)
    os.set_blocking(reading, False)
    return Child(pid, reading, deadline, limits.output)


def judged_by(child: Child) -> Verdict | Stop:
    """Wait for a child, within its time; returns its verdict or why there is none."""
    watch = poll()
    watch.register(child.pipe, POLLIN | POLLHUP)
    try:
        while not child.read():
            left = child.deadline - time.monotonic()
            if left <= 0:
                child.end(Stop.TIME)
                break
            watch.poll(max(1, int(left * 1000)))
    finally:
        # An interrupted wait leaves nothing running.
        child.end(Stop.CRASH)
    return verdict_of(child.stop, child.answer)


def verdict_of(stop: Stop | None, answer: bytes) -> Verdict | Stop:
    """Read what a child left behind; octets that are no verdict are a crash."""
    if stop is not None:
        return stop
    try:
        return from_wire(answer)
    except WireRefused:
        return Stop.CRASH


def _run(
    work: Callable[[], bytes], limits: WorkerLimits, size: int, writing: int, keep: Iterable[int]
) -> None:
    """Be the child; never returns, and never lets the supervisor's own clean-up run in it."""
    status = 1
    try:
        _only({writing, *keep})
        fence(limits, size)
        answer = memoryview(work())
        while answer:
            answer = answer[os.write(writing, answer) :]
        status = 0
    except MemoryError:
        status = MEMORY_STATUS
    except BaseException:
        status = 1
    finally:
        os._exit(status)


def _only(keep: set[int]) -> None:
    """Close every descriptor but standard ones and those to keep; standard ones lead nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    start = 3
    for number in sorted(keep):
        os.closerange(start, number)
        start = number + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))
