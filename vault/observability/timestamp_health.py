"""What operators are told of timestamp authorities: who answers, whose clock is wrong, whose certificate ends soon."""

from __future__ import annotations

from datetime import datetime, timedelta

from timestamping.base import TimestampAuthority
from timestamping.breaker import State
from timestamping.drift import Finding
from timestamping.several import AuthorityState, SeveralAuthorities
from vault.observability.health import Health

#: Days before the end of a certificate at which it is told.
WARNING_DAYS = (90, 30, 7)
_CLOCKS = {
    Finding.AUTHORITY: "the time of {off} is off, while others agree with this service's clock",
    Finding.OUR_CLOCK: "all authorities agree that this service's clock is off: set it right",
    Finding.ONE_OR_THE_OTHER: "{off} and this service's clock differ: one of them is off",
    Finding.ALL_DIFFER: "{off} and this service's clock all differ from each other",
}


def timestamp_health(authority: TimestampAuthority, now: datetime, tolerance: timedelta) -> Health:
    """Return how the authorities do; the service goes on without them, and what waits is sealed later.

    Args:
        authority: what dates documents.
        now: the present, UTC.
        tolerance: drift from which tokens are refused.
    """
    if not isinstance(authority, SeveralAuthorities):
        return Health(True, "the service's own authority", needed=False)
    states = authority.states()
    finding, off = authority.clocks()
    notes = [f"{state.name}: {_note(state, now)}" for state in states]
    if finding in _CLOCKS:
        notes.append(_CLOCKS[finding].format(off=", ".join(off)))
    usable = [state for state in states if not state.code and not _refused(state, tolerance)]
    return Health(bool(usable), "; ".join(notes), needed=False)


def days_left(state: AuthorityState, now: datetime) -> int | None:
    """Return the days until a certificate of an authority ends, rounded down; None while none is known."""
    return None if state.certificate_ends is None else (state.certificate_ends - now).days


def _refused(state: AuthorityState, tolerance: timedelta) -> bool:
    return state.drift is not None and abs(state.drift) > tolerance


def _note(state: AuthorityState, now: datetime) -> str:
    if state.breaker is State.OPEN:
        words = f"left alone for a while after {state.code}"
    elif state.code:
        words = f"last answer {state.code}"
    else:
        words = "answers" if state.tokens else "not asked yet"
    if state.drift:
        side = "ahead" if state.drift > timedelta(0) else "behind"
        words += f", {abs(state.drift).total_seconds():.0f} s {side}"
    left = days_left(state, now)
    reached = [days for days in WARNING_DAYS if left is not None and left < days]
    if reached:
        words += f", its certificate ends in {left} days (less than {min(reached)})"
    return words
