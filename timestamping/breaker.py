"""Leaves alone, for a while, an authority that fails: a circuit breaker with back-off."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """Whether an authority is asked."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Breaker:
    """Counts failures and says whether to ask. Safe for threads.

    Closed, everybody may ask. Each failure adds 1 to a score, each success takes half of one away: an authority that
    fails every other time is found out too. At the limit the breaker opens and nobody asks until a pause is over; then
    it is half open: one caller asks while the others go on without. If that succeeds it closes, on probation (the next
    failure opens it again), and if not it opens for twice as long. Pauses vary at random, between half and the whole
    of their length, so that processes do not come back all at once.

    Args:
        failures: score at which it opens.
        first: seconds of the first pause.
        longest: seconds of the longest one.
        now: seconds of a clock that never goes back.
        draw: random number, 0 included, 1 excluded.
    """

    def __init__(
        self,
        failures: int,
        first: float,
        longest: float,
        *,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._limit, self._first, self._longest = failures, first, longest
        self._now, self._draw = now, draw
        self._lock = threading.Lock()
        self._score = 0.0
        self._until: float | None = None
        self._opened = 0
        self._trial = False
        self._turn = 0

    @property
    def state(self) -> State:
        """What a caller would meet now."""
        with self._lock:
            if self._until is None:
                return State.CLOSED
            return State.OPEN if self._now() < self._until else State.HALF_OPEN

    def would_admit(self) -> bool:
        """Tell whether `enter` would let a caller in now."""
        with self._lock:
            return self._admits()

    def enter(self) -> int | None:
        """Begin to ask; return a ticket for `succeeded` or `failed`, one of which must follow; None: do not ask."""
        with self._lock:
            if not self._admits():
                return None
            self._trial = self._until is not None
            return self._turn

    def succeeded(self, ticket: int) -> bool:
        """End a call that went well; return whether the breaker closed by it."""
        with self._lock:
            if self._until is None:
                self._score = max(0.0, self._score - 0.5)
                if not self._score:
                    self._opened = 0
                return False
            if ticket != self._turn:
                return False  # it began before the breaker opened: what came later counts
            self._until, self._trial, self._score = None, False, self._limit - 1.0
            self._turn += 1
            return True

    def failed(self, ticket: int) -> bool:
        """End a call that went wrong; return whether the breaker opened by it, for the first time or again."""
        with self._lock:
            if ticket != self._turn:
                return False
            self._score += 1
            if self._until is None and self._score < self._limit:
                return False
            pause = min(self._longest, self._first * 2.0 ** min(self._opened, 30))
            self._until = self._now() + pause * (0.5 + self._draw() / 2)
            self._opened += 1
            self._trial = False
            self._turn += 1
            return True

    def _admits(self) -> bool:
        return self._until is None or (not self._trial and self._now() >= self._until)
