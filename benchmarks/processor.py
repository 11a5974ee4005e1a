"""What a process has used of the processor, and those below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def taken(root: int, *, alone: bool = False) -> float:
    """Return the processor seconds of a process and those below it, the ones that ended included.

    Args:
        root: the process.
        alone: without those below it.
    """
    seconds, found = 0.0, [root]
    for pid in found:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            children = [] if alone else list(_children(pid))
        except OSError:
            continue
        seconds += sum(int(fields[place]) for place in ((11, 12) if alone else (11, 12, 13, 14))) / _TICK
        found += children
    return seconds


def _children(pid: int) -> Iterator[int]:
    """Yield the processes that threads of a process began."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (thread / "children").read_text().split())
