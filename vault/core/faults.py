"""Named points between durable steps, where crash tests may stop the process.

In production nothing is installed and a point costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Install (or with None remove) what runs at every point; used by crash tests only."""
    global _hook  # noqa: PLW0603 - one process-wide switch is the point
    _hook = hook


def point(name: str) -> None:
    """Mark that the step `name` has been reached."""
    if _hook is not None:
        _hook(name)
