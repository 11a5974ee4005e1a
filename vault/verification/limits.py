"""How much one file may cost to judge: the limits, the fence of the process, and the verdict when one is passed.

A limit says something about this machine and this program and nothing about the file: it is always INDETERMINATE.
"""

from __future__ import annotations

import mmap
import os
import resource
import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vault.evidence.findings import Check, Outcome, Reason, Verdict
from vault.files.qpdf_limits import limit_qpdf

_MIB = 1 << 20
#: qpdf's own limits inside a fenced process. They are wider than those of the service's own process
#: (`vault.files.pdf_guard`): there a file past them is refused, here it would be called damaged.
FLATE_LIMIT = 64 * _MIB
#: Exit status of a worker that could not get more memory.
MEMORY_STATUS = 86


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What judging one file may take.

    Attributes:
        memory: octets that it may allocate beyond what the process holds when it begins.
        processor: seconds of processor time for an empty file.
        octets_per_processor_second: a file gets a further second for so many octets.
        wall: seconds of wall time for an empty file.
        octets_per_wall_second: the same for wall time.
        output: octets of a verdict.
        file: octets of a file that it writes (copies of the states of a PDF are such).
        descriptors: open files.
    """

    memory: int = 512 * _MIB
    processor: float = 10.0
    octets_per_processor_second: int = 50_000_000
    wall: float = 20.0
    octets_per_wall_second: int = 20_000_000
    output: int = 4 * _MIB
    file: int = 512 * _MIB
    descriptors: int = 64

    def processor_seconds(self, size: int) -> int:
        """Return the whole seconds of processor time for a file of `size` octets."""
        return max(1, int(self.processor + size / self.octets_per_processor_second))

    def wall_seconds(self, size: int) -> float:
        """Return the seconds of wall time for a file of `size` octets."""
        return self.wall + size / self.octets_per_wall_second


DEFAULT_LIMITS = WorkerLimits()


class Stop(StrEnum):
    """Why no verdict came out of a worker; the value is the reason code."""

    TIME = "VERIFIER_TIME_LIMIT"
    MEMORY = "VERIFIER_MEMORY_LIMIT"
    OUTPUT = "VERIFIER_OUTPUT_LIMIT"
    CRASH = "VERIFIER_CRASHED"


_WORDS = {
    Stop.TIME: "judging this file took longer than it may",
    Stop.MEMORY: "judging this file took more memory than it may",
    Stop.OUTPUT: "the verdict on this file is larger than it may be",
    Stop.CRASH: "the program that judged this file ended before it had a verdict",
}


def stopped(why: Stop) -> Verdict:
    """Return the verdict on a file that could not be judged within the limits."""
    return Verdict(
        Outcome.INDETERMINATE,
        reasons=(Reason(why.value, f"verifier: {_WORDS[why]}"),),
        checks=(Check("verifier", Outcome.INDETERMINATE, "a verdict within the limits", _WORDS[why]),),
    )


def why_ended(status: int) -> Stop | None:
    """Tell from a wait status why a worker ended; None when it ended by itself and in order.

    The kernel ends a process at its limit of processor time by SIGXCPU, and when the machine runs out of memory
    by SIGKILL (the supervisor's own SIGKILL is told apart by the supervisor).
    """
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return None if code == 0 else Stop.MEMORY if code == MEMORY_STATUS else Stop.CRASH
    number = os.WTERMSIG(status)
    if number in {signal.SIGXCPU, signal.SIGALRM}:
        return Stop.TIME
    return Stop.MEMORY if number == signal.SIGKILL else Stop.CRASH


def fence(limits: WorkerLimits, size: int) -> None:
    """Limit this process for good; to be called in the child, before it looks at the file.

    RLIMIT_DATA counts what is allocated, not files that are mapped. The alarm ends a child whose supervisor is
    gone, and the group of its own lets the supervisor end whatever the child might start.
    """
    os.setsid()
    held = int(Path("/proc/self/statm").read_bytes().split()[5]) * mmap.PAGESIZE
    seconds = limits.processor_seconds(size)
    for kind, soft, hard in (
        (resource.RLIMIT_DATA, held + limits.memory, held + limits.memory),
        (resource.RLIMIT_CPU, seconds, seconds + 2),
        (resource.RLIMIT_FSIZE, limits.file, limits.file),
        (resource.RLIMIT_NOFILE, limits.descriptors, limits.descriptors),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, ceiling = resource.getrlimit(kind)
        allowed = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(kind, (min(soft, allowed), allowed))
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds(size) + 2)
    limit_qpdf(FLATE_LIMIT)
