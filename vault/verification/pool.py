"""Judges files in processes of their own, so that no file can hurt the service, the next file, or the command.

Whatever a file does to the process that judges it, what comes out is a verdict: a crash, a hang, too much memory
or too long an answer is INDETERMINATE with its reason.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from plumbing.disk import in_memory
from vault.errors import Unavailable
from vault.evidence.findings import Verdict
from vault.evidence.wire import to_wire
from vault.verification.child import fork_child, judged_by, verdict_of
from vault.verification.limits import DEFAULT_LIMITS, Stop, WorkerLimits, stopped
from vault.verification.question import Question, answer
from vault.verification.worker import ENDINGS, send_job

_COMMAND = (sys.executable, "-I", "-m", "vault.verification.worker")
_CHUNK = 1 << 16
_GRACE = 10.0  # seconds that the template has beyond the time of its child
_CLOSING = 5.0
_TRIES = 2


class VerdictPool(Protocol):
    """Judges files."""

    def start(self) -> None:
        """Get ready, without waiting for it, so that the first file does not wait."""
        ...

    def judge(self, path: Path, *, originals: Sequence[Path] = ()) -> Verdict:
        """Return the verdict on a file, always one, whatever the file holds.

        Args:
            path: the file.
            originals: documents that it must be, or be about.

        Raises:
            OSError: the file itself cannot be opened.
            Unavailable: BUSY when too many files are being judged.
        """
        ...


class InProcess:
    """Judges in this very process: for files that the caller made himself, and for debugging."""

    def __init__(self, question: Callable[[], Question]) -> None:
        """Take what to ask about each file."""
        self._question = question

    def start(self) -> None:
        """See `VerdictPool.start`: there is nothing to do."""

    def judge(self, path: Path, *, originals: Sequence[Path] = ()) -> Verdict:
        """See `VerdictPool.judge`; nothing keeps the file from exhausting the process."""
        return answer(self._question(), path, originals)


def judge_in_fork(work: Callable[[], Verdict], size: int, limits: WorkerLimits = DEFAULT_LIMITS) -> Verdict:
    """Judge in a fenced child forked from this process, which must have one thread: the command line.

    Args:
        work: judges the file.
        size: octets of the file, on which the limits depend.
        limits: of the child.

    Returns:
        The verdict, or why there is none.
    """
    try:
        ended = judged_by(fork_child(lambda: to_wire(work()), limits, size))
    except BlockingIOError:
        ended = Stop.MEMORY  # no further process is to be had
    return stopped(ended) if isinstance(ended, Stop) else ended


class TemplatePool:
    """Judges in children of a template process; safe for threads, for services."""

    def __init__(
        self,
        question: Callable[[], Question],
        *,
        limits: WorkerLimits = DEFAULT_LIMITS,
        at_once: int | None = None,
        patience: float = 60.0,
        waiting: int = 16,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """Prepare; the template starts with the first file, or with `start`.

        Args:
            question: what to ask about each file.
            limits: of each child; the template itself must have the same.
            at_once: files judged at the same time; None: as many as there are processors, at least two.
            patience: seconds a file waits for its turn before the caller is told that the service is busy.
            waiting: files that may wait; hanging files must not take every thread of the service.
            command: starts the template; the number of the socket's descriptor is added.
        """
        self._question = question
        self._limits = limits
        at_once = at_once or max(2, os.cpu_count() or 1)
        self._turns = threading.BoundedSemaphore(at_once)
        self._room = threading.BoundedSemaphore(at_once + waiting)
        self._patience = patience
        self._command = tuple(command)
        self._guard = threading.Lock()
        self._template: _Template | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """See `VerdictPool.start`."""
        with contextlib.suppress(OSError, Unavailable):
            self._current()

    def judge(self, path: Path, *, originals: Sequence[Path] = ()) -> Verdict:
        """See `VerdictPool.judge`."""
        with contextlib.ExitStack() as held:
            for places, patience in ((self._room, 0.0), (self._turns, self._patience)):
                if not places.acquire(timeout=patience):
                    raise Unavailable("BUSY")
                held.callback(places.release)
            files = [held.enter_context(each.open("rb")) for each in (path, *originals)]
            ended = self._judge([file.fileno() for file in files])
        return stopped(ended) if isinstance(ended, Stop) else ended

    def close(self) -> None:
        """End the template and its children; judging afterwards is refused."""
        with self._guard:
            template, self._template, self._closed = self._template, None, True
        if template is not None:
            template.close()

    def _judge(self, files: Sequence[int]) -> Verdict | Stop:
        """Ask, and where the template dies ask a new one once: it may have been another file's doing."""
        for _ in range(_TRIES):
            try:
                template = self._current()
            except OSError:
                return Stop.MEMORY  # the machine has no process or no memory left
            answered = self._ask(template, files)
            if answered:
                return verdict_of(ENDINGS.get(answered[:1], Stop.CRASH), answered[1:])
            self._drop(template)
        return Stop.CRASH

    def _ask(self, template: _Template, files: Sequence[int]) -> bytes:
        """Return what the template answers; b"" when it is dead or does not answer in time."""
        size = os.fstat(files[0]).st_size
        deadline = time.monotonic() + self._limits.wall_seconds(size) + _GRACE
        mine, theirs = socket.socketpair()
        with mine, theirs, in_memory(self._question().octets(), "question") as question:
            try:
                send_job(template.jobs, theirs, question, files[0], files[1:])
                theirs.close()
                return _read(mine, deadline, self._limits.output + 1)
            except OSError:
                return b""

    def _current(self) -> _Template:
        with self._guard:
            if self._closed:
                raise Unavailable("BUSY", "the service is closing")
            if self._template is None or not self._template.alive:
                if self._template is not None:
                    self._template.close()
                self._template = _Template(self._command)
            return self._template

    def _drop(self, template: _Template) -> None:
        with self._guard:
            if self._template is template:
                self._template = None
        template.close()


class _Template:
    """A running template process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                    [*command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                    cwd="/",
                )
            except OSError:
                self.jobs.close()
                raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self.jobs.close()
        try:
            self._process.wait(_CLOSING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _read(answer_socket: socket.socket, deadline: float, limit: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    while True:
        answer_socket.settimeout(max(0.001, deadline - time.monotonic()))
        part = answer_socket.recv(_CHUNK)
        if not part:
            return b"".join(parts)
        length += len(part)
        if length > limit:
            return b"O"
        parts.append(part)
