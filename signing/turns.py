"""Turns at what holds keys: who waits for a slow one takes a thread that the others' seals need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from signing.errors import SigningUnavailable

#: Longest wait for a turn, seconds. What is not sealed by then is received, and sealed later.
PATIENCE_S = 2.0
_WEIGHT = 0.25


class Pace:
    """How long the calls to a token or service take lately, and whether it is worth waiting for one."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._usual = 0.0

    def came_back(self, seconds: float, *, well: bool) -> None:
        """Note a call. One that was refused at once says nothing of how fast it is."""
        if well or seconds > self._usual:
            self._usual += (seconds - self._usual) * (_WEIGHT if self._usual else 1.0)

    def is_hopeless(self, waiting: int, at_once: int, oldest: float) -> bool:
        """Tell whether a turn would not come within the patience.

        Args:
            waiting: callers who wait already.
            at_once: calls that are made at the same time; all of them are under way.
            oldest: for how long the oldest of them has been, seconds.
        """
        return self._usual * (waiting + 1) / at_once > PATIENCE_S or oldest > max(PATIENCE_S, 2 * self._usual)


class Turns:
    """So many calls at once; who comes beyond that waits for a turn, if it will come soon. Safe for threads."""

    def __init__(self, at_once: int, name: str) -> None:
        """Take the limit; the name, of what is called, is for an operator."""
        self._at_once = at_once
        self._name = name
        self._pace = Pace()
        self._changed = threading.Condition()
        self._begun: list[float] = []
        self._waiting = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a turn.

        Raises:
            SigningUnavailable: it did not come, or would not.
        """
        with self._changed:
            if len(self._begun) >= self._at_once:
                self._wait()
            begun = time.monotonic()
            self._begun.append(begun)
        well = False
        try:
            yield
            well = True
        finally:
            with self._changed:
                self._begun.remove(begun)
                self._pace.came_back(time.monotonic() - begun, well=well)
                self._changed.notify()

    def _wait(self) -> None:
        oldest = time.monotonic() - min(self._begun)
        if self._pace.is_hopeless(self._waiting, self._at_once, oldest):
            raise SigningUnavailable(f"{self._name} is slow, and others are before")
        self._waiting += 1
        try:
            if not self._changed.wait_for(lambda: len(self._begun) < self._at_once, PATIENCE_S):
                raise SigningUnavailable(f"{self._name} was busy with others for too long")
        finally:
            self._waiting -= 1
