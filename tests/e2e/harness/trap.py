"""Stops a process at a named point between two durable steps."""

from __future__ import annotations

import os
import signal
import threading


class Trap:
    """Kills its own process without a word more, as a power switch would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._point = ""
        self._left = 0

    def arm(self, point: str, passage: int) -> None:
        """Kill at the given passage, counted from now, of a point."""
        with self._lock:
            self._point, self._left = point, passage

    def passed(self, point: str) -> None:
        """Count a passage."""
        with self._lock:
            if point != self._point:
                return
            self._left -= 1
            if self._left == 0:
                os.write(1, f"killed at {point}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
