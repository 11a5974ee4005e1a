"""Compares the local clock with the times that authorities state; no time server is asked.

A token with genTime g came between the moments at which it was asked for and received, by the local clock. Where g lies
outside of that span, the two clocks differ by the distance at least: that is the drift, positive where the authority is
ahead. A genTime in whole seconds stands for any moment of its second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

_KEPT = 3
_SECOND = timedelta(seconds=1)


def drift_of(gen_time: datetime, asked: datetime, received: datetime) -> timedelta:
    """Return by how much a token is outside of the span in which it was made; zero inside it.

    Args:
        gen_time: the instant that the token states.
        asked: local time before it was asked for.
        received: local time after it came.
    """
    latest = gen_time + (timedelta(0) if gen_time.microsecond else _SECOND)
    if latest < asked:
        return latest - asked
    return max(timedelta(0), gen_time - received)


class Drift:
    """The drift of one authority over its last tokens. Safe for threads.

    Args:
        remembered: seconds after which a token says nothing any more.
    """

    def __init__(self, remembered: float) -> None:
        self._remembered = remembered
        self._lock = threading.Lock()
        self._readings: deque[tuple[float, timedelta]] = deque(maxlen=_KEPT)

    def add(self, at: float, drift: timedelta) -> None:
        """Note the drift of one token; `at` is of a clock that never goes back."""
        with self._lock:
            self._readings.append((at, drift))

    def value(self, at: float) -> timedelta | None:
        """Return the middle one of the last three, the smaller one of two; None when they are too old."""
        with self._lock:
            recent = [drift for moment, drift in self._readings if at - moment <= self._remembered]
        recent.sort(key=abs)
        return recent[(len(recent) - 1) // 2] if recent else None


class Finding(StrEnum):
    """What the drifts of several authorities say together."""

    UNKNOWN = "unknown"
    AGREE = "agree"
    AUTHORITY = "authority"
    ONE_OR_THE_OTHER = "one-or-the-other"
    OUR_CLOCK = "our-clock"
    ALL_DIFFER = "all-differ"


def judge(drifts: Mapping[str, timedelta | None], limit: timedelta) -> tuple[Finding, tuple[str, ...]]:
    """Say who is wrong.

    Args:
        drifts: by name of the authority; None where nothing is known.
        limit: what a clock may be off.

    Returns:
        UNKNOWN, or AGREE; AUTHORITY: some are off while others agree with us, so it is they; OUR_CLOCK: all of
        several are off by the same, so it is the local clock; ONE_OR_THE_OTHER: the only one is off; ALL_DIFFER: all
        are off, each by its own. And the names of those that are off.
    """
    known = {name: drift for name, drift in drifts.items() if drift is not None}
    off = {name: drift for name, drift in known.items() if abs(drift) >= limit}
    names = tuple(off)
    if not known:
        return Finding.UNKNOWN, ()
    if not off:
        return Finding.AGREE, ()
    if len(off) < len(known):
        return Finding.AUTHORITY, names
    if len(known) == 1:
        return Finding.ONE_OR_THE_OTHER, names
    alike = max(known.values()) - min(known.values()) < limit
    return (Finding.OUR_CLOCK if alike else Finding.ALL_DIFFER), names
