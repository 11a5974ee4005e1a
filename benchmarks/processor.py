"""What a process has used of the processor, and those below it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def taken(root: int, *, alone: bool = False) -> float:
    """Return the processor seconds of a process and those below it, the ones that ended included.

    Args:
        root: the process.
        alone: without those below it.
    """
    if alone:
        return sum(map(int, _stat(root)[11:13])) / _TICK
    # The kernel's list of a process's children may lack some while processes begin and end; everybody's parents do not.
    stats: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                stats[int(folder.name)] = _stat(int(folder.name))
    found = [root]
    for pid in found:
        found += [child for child, fields in stats.items() if int(fields[1]) == pid]
    return sum(int(field) for pid in found for field in stats[pid][11:15]) / _TICK


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from the third on: what stands before may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
