"""Retention dates: UTC instants, and their form as a file's modification time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def system_now() -> datetime:
    """Return the machine's time, UTC."""
    return datetime.now(UTC)


def checked(retain_until: datetime | None) -> datetime | None:
    """Return a retention date in UTC. Raises ValueError for one without time zone or not after 1970."""
    if retain_until is None:
        return None
    if retain_until.tzinfo is None:
        raise ValueError("a retention date must carry its time zone")
    moment = retain_until.astimezone(UTC)
    if moment <= _EPOCH:
        raise ValueError("a retention date must lie after 1970")
    return moment


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the longer of two retentions; None is the shortest."""
    if one is None or other is None:
        return one or other
    return max(one, other)


def whole_seconds(until: datetime | None) -> datetime | None:
    """Round a date up to a second: some services keep no more."""
    if until is None or not until.microsecond:
        return until
    return until.replace(microsecond=0) + _SECOND


def to_nanoseconds(retain_until: datetime | None) -> int:
    """Return the nanoseconds since 1970 of a checked date; 0 for no retention."""
    if retain_until is None:
        return 0
    return (retain_until - _EPOCH) // timedelta(microseconds=1) * 1000


def from_nanoseconds(nanoseconds: int) -> datetime | None:
    """Read what `to_nanoseconds` writes, rounded up; beyond year 9999 the last instant there is."""
    if nanoseconds <= 0:
        return None
    try:
        return _EPOCH + timedelta(microseconds=-(-nanoseconds // 1000))
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
