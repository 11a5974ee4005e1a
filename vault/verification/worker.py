"""The template process: it holds everything imported and forks one fenced child for each file.

    python -I -m vault.verification.worker DESCRIPTOR

It is started by exec, so that nothing of the service is in it: no keys, no database, no environment. It has one
thread, which is what makes forking safe. It never looks at a file itself. `DESCRIPTOR` is a socket on which jobs
come (`send_job`); when it is closed, the template kills its children and ends.

A job is one message with descriptors (SCM_RIGHTS): a socket for the answer, the question (JSON), the file, then
originals. The answer is one octet that says how the child ended, then the verdict (`vault.evidence.wire`).
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vault.verification.child import Child, fork_child
from vault.verification.limits import DEFAULT_LIMITS, Stop, WorkerLimits
from vault.verification.question import prepared
from vault.verification.warmth import warm

JOB = b"J"
MAX_DESCRIPTORS = 64
#: First octet of an answer.
ENDINGS: dict[bytes, Stop | None] = {
    b"V": None,
    b"T": Stop.TIME,
    b"M": Stop.MEMORY,
    b"O": Stop.OUTPUT,
    b"C": Stop.CRASH,
}
_LETTERS = {stop: letter for letter, stop in ENDINGS.items()}
_PATIENCE = 5.0  # seconds for whoever asked to take the answer

Work = Callable[[Path, Sequence[Path]], bytes]


@dataclass(slots=True)
class _Running:
    child: Child
    answer: socket.socket


def send_job(
    template: socket.socket, answer: socket.socket, question: int, file: int, originals: Sequence[int] = ()
) -> None:
    """Hand a job to the template. Raises OSError when it is gone."""
    socket.send_fds(template, [JOB], [answer.fileno(), question, file, *originals])


class Template:
    """Takes jobs, forks, supervises, answers; one thread."""

    def __init__(self, jobs: socket.socket, prepare: Callable[[bytes], Work], limits: WorkerLimits) -> None:
        """Take over.

        Args:
            jobs: where jobs come.
            prepare: reads a question, in the template; what it returns judges, in a child: (file, originals) to
                the octets of a verdict. A question comes from the service, so it is no stranger's.
            limits: of each child.
        """
        self._jobs = jobs
        self._prepare = prepare
        self._limits = limits
        self._running: dict[int, _Running] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Serve until the service is gone."""
        self._selector.register(self._jobs, selectors.EVENT_READ)
        try:
            while self._step():
                pass
        finally:
            for running in self._running.values():
                running.child.end(Stop.CRASH)

    def _step(self) -> bool:
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is self._jobs:
                if not self._take():
                    return False
            else:
                self._look(key.data)
        now = time.monotonic()
        for running in [each for each in self._running.values() if each.child.deadline <= now]:
            self._finish(running, Stop.TIME)
        return True

    def _patience(self) -> float | None:
        deadlines = [running.child.deadline for running in self._running.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _take(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._jobs, len(JOB), MAX_DESCRIPTORS)
        except OSError:
            return False
        try:
            if message == JOB and len(descriptors) >= 3:
                self._start(descriptors)
        finally:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        return message == JOB

    def _start(self, descriptors: list[int]) -> None:
        asking, question, file, *originals = descriptors
        answer = socket.socket(fileno=os.dup(asking))
        size = os.fstat(file).st_size
        work, opened = self._prepare(_path(question).read_bytes()), [_path(each) for each in originals]
        try:
            child = fork_child(lambda: work(_path(file), opened), self._limits, size, keep=(file, *originals))
        except OSError:
            # No process or no memory for one: that says nothing about the file.
            _send(answer, _LETTERS[Stop.MEMORY])
            answer.close()
            return
        running = _Running(child, answer)
        self._running[child.pipe] = running
        self._selector.register(child.pipe, selectors.EVENT_READ, running)
        # Whoever asked went away: nothing comes on this socket but its end.
        self._selector.register(answer, selectors.EVENT_READ, running)

    def _look(self, running: _Running) -> None:
        if running.child.pipe not in self._running:
            return
        if running.child.read():
            self._finish(running, running.child.stop)
        elif _gone(running.answer):
            self._finish(running, Stop.CRASH)

    def _finish(self, running: _Running, stop: Stop | None) -> None:
        del self._running[running.child.pipe]
        self._selector.unregister(running.child.pipe)
        self._selector.unregister(running.answer)
        if stop is not None:
            running.child.end(stop)
        _send(running.answer, _LETTERS[stop] + (running.child.answer if stop is None else b""))
        running.answer.close()


def _gone(answer: socket.socket) -> bool:
    try:
        return answer.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(answer: socket.socket, data: bytes) -> None:
    answer.settimeout(_PATIENCE)
    with contextlib.suppress(OSError):
        answer.sendall(data)


def _path(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")


def main(
    arguments: Sequence[str], prepare: Callable[[bytes], Work], limits: WorkerLimits | None = None
) -> int:
    """Serve on the socket that the arguments name; returns the exit status."""
    # An interrupt at the terminal is for the service, which closes the socket when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    jobs = socket.socket(fileno=int(arguments[0]))
    Template(jobs, prepare, limits or DEFAULT_LIMITS).serve()
    return 0


if __name__ == "__main__":
    warm()
    gc.collect()
    gc.freeze()  # what the template holds is then not touched, and so not copied, in each child
    sys.exit(main(sys.argv[1:], prepared))
