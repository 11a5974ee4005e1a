"""Limits on what strangers may ask, and locks on what they try to guess.

`Limits` counts requests in the memory of one process: N processes allow N times as much, and a restart forgets.
`Lockout` counts wrong secrets in the database, so that all processes agree and a restart changes nothing.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.system_tables import lockouts
from vault.errors import Refused

MOST_BUCKETS = 50_000
LONGEST_LOCK = timedelta(days=1)
_OTHERS = b""
_V6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of something one caller may ask.

    Attributes:
        capacity: requests at once after a pause.
        per_second: how many come back in a second.
    """

    capacity: float
    per_second: float

    @classmethod
    def per_minute(cls, count: int) -> Rate:
        """Return the rate of so many requests a minute, all of them at once if need be."""
        return cls(float(count), count / 60)


class Buckets:
    """Token buckets of one rate by key, in bounded memory.

    In any span of time no key is granted more than capacity + rate × span. Buckets that are full again are dropped,
    which changes nothing. When too many are in use, new keys share one bucket: memory stays bounded, and nobody
    gets a fresh bucket by making the service forget an old one.
    """

    def __init__(
        self, rate: Rate, seconds: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS
    ) -> None:
        """Make buckets.

        Args:
            rate: of each of them.
            seconds: a clock that never goes back.
            most: buckets held at once, beside the shared one.
        """
        self._rate = rate
        self._seconds = seconds
        self._most = most
        # (level, when it was so) by key, the one used longest ago first.
        self._levels: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: bytes) -> float:
        """Take one from the key's bucket; return 0.0, or the seconds until there will be one."""
        with self._lock:
            now = self._seconds()
            self._drop_full(now)
            if key not in self._levels and len(self._levels) >= self._most:
                key = _OTHERS
            level, since = self._levels.pop(key, (self._rate.capacity, now))
            level = min(self._rate.capacity, level + (now - since) * self._rate.per_second)
            granted = level >= 1
            self._levels[key] = (level - 1 if granted else level, now)
            return 0.0 if granted else (1 - level) / self._rate.per_second

    def __len__(self) -> int:
        return len(self._levels)

    def _drop_full(self, now: float) -> None:
        full_after = self._rate.capacity / self._rate.per_second
        while self._levels:
            key, (_, since) = next(iter(self._levels.items()))
            if now - since < full_after:
                return
            del self._levels[key]


class Limits:
    """The limits of one process, by kind of request."""

    def __init__(
        self,
        keyring: Keyring,
        rates: Mapping[str, Rate],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make limits.

        Args:
            keyring: digests whom they count, so that no list of addresses lies in memory.
            rates: by kind; a kind that is not there has no limit.
            seconds: a clock that never goes back.
        """
        self._keyring = keyring
        self._buckets = {kind: Buckets(rate, seconds) for kind, rate in rates.items()}

    def demand(self, kind: str, who: str) -> None:
        """Count one request.

        Args:
            kind: what is asked for.
            who: a caller's identifier, or `network_of` an address.

        Raises:
            Refused: RATE_LIMITED with `retry_after` in seconds.
        """
        buckets = self._buckets.get(kind)
        if buckets is None:
            return
        wait = buckets.take(self._keyring.index("rate", kind, who))
        if wait > 0:
            raise Refused("RATE_LIMITED", retry_after=max(1, math.ceil(wait)))


class Lockout:
    """Counts wrong secrets by what they were tried on, and stops judging for a while after too many.

    How to use it so that nobody learns what exists: look the thing up; compare the secret in constant time, against
    a decoy where there is no such thing; then ask `judge`, always, with the key as it was sent:

        found = find(code)
        right = hmac.compare_digest(digest_of(secret), found.digest if found else DECOY)
        if not lockout.judge(f"share:{code}", right and found is not None):
            raise NotFound("NOT_FOUND")

    An unknown key, a wrong secret and a locked key then cost one write transaction each and get the same answer;
    while a key is locked the right secret gets it too. The decision falls in the transaction that counts, so that
    tries at the same moment, in any process, cannot get ahead of the count.
    """

    def __init__(
        self, database: Database, keyring: Keyring, clock: Clock, failures: int, first_lock: timedelta
    ) -> None:
        """Make a count.

        Args:
            database: shared by all processes.
            keyring: digests what was tried.
            clock: tells when locks end.
            failures: wrong secrets that lock a key.
            first_lock: how long; each lock in a row is twice as long, a day at most.
        """
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._failures = failures
        self._first_lock = first_lock

    def judge(self, key: str, right: bool) -> bool:
        """Count a try and say whether it succeeds: the secret was right, and the key is not locked.

        Success forgets the failures. A failure while the key is locked is not counted: the lock has its time.

        Args:
            key: what was tried, such as `share:CODE`; stands in the database as a keyed digest.
            right: whether the secret was right, and there is such a thing at all.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        index = self._keyring.index("lockout", key)
        now = self._clock.now()
        with self._database.writing() as connection:
            connection.execute(delete(lockouts).where(lockouts.c.ends_at < rfc3339(now)))
            row = connection.execute(select(lockouts).where(lockouts.c.key_ix == index)).mappings().first()
            if row is not None and _is_locked(row["locked_until"], now):
                # Written as it is, so that a locked key takes as long as another one.
                same = update(lockouts).where(lockouts.c.key_ix == index)
                connection.execute(same, {"ends_at": row["ends_at"]})
                return False
            if right:
                connection.execute(delete(lockouts).where(lockouts.c.key_ix == index))
                return True
            self._count(connection, index, (row["failures"], row["locks"]) if row else None, now)
            return False

    def failed(self, key: str) -> None:
        """Count a wrong secret. Raises Unavailable(DATABASE_UNAVAILABLE)."""
        self.judge(key, right=False)

    def allowed(self, key: str) -> bool:
        """Tell whether a key is not locked now, counting nothing; the answer may be out of date at once.

        For pages that offer a form; what decides is `judge`. Raises Unavailable(DATABASE_UNAVAILABLE).
        """
        query = select(lockouts.c.locked_until).where(
            lockouts.c.key_ix == self._keyring.index("lockout", key)
        )
        with self._database.reading() as connection:
            return not _is_locked(connection.scalar(query), self._clock.now())

    def _count(
        self, connection: Connection, index: bytes, before: tuple[int, int] | None, now: datetime
    ) -> None:
        failures, locks = before or (0, 0)
        failures += 1
        until = None
        if failures >= self._failures:
            # At 2^20 times the first lock any setting is past the longest one.
            until = now + min(self._first_lock * 2 ** min(locks, 20), LONGEST_LOCK)
            failures, locks = 0, locks + 1
        values = {
            "failures": failures,
            "locks": locks,
            "locked_until": rfc3339(until) if until else None,
            "ends_at": rfc3339((until or now) + LONGEST_LOCK),
        }
        if before is None:
            connection.execute(insert(lockouts), {"key_ix": index, **values})
        else:
            connection.execute(update(lockouts).where(lockouts.c.key_ix == index), values)


def network_of(address: str) -> str:
    """Return whom requests from an address are counted for: the address (IPv4) or its /64 (IPv6).

    A household or a rented machine has a whole /64; to count single addresses there would be to count nothing.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "local"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(found), _V6_PREFIX), strict=False))
        found = found.ipv4_mapped
    return str(found)


def _is_locked(until: str | None, now: datetime) -> bool:
    return until is not None and parse_rfc3339(until) > now
