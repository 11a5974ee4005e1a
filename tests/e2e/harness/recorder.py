"""Runs a program under strace and reads the recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.harness.replay import Recording
from tests.e2e.harness.trace import CALLS

_LONGEST = str(1 << 26)


def record(folder: Path, root: Path, *arguments: str) -> Recording:
    """Run the workload in an empty folder, traced.

    Args:
        folder: where the trace goes.
        root: empty folder that the program works in.
        arguments: of `python -m`.
    """
    trace = folder / "trace"
    strace = ("strace", "-f", "-xx", "-s", _LONGEST, "-o", str(trace), "--seccomp-bpf")
    subprocess.run(
        [*strace, "-e", f"trace={CALLS}", sys.executable, "-m", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    return Recording(trace, root)
