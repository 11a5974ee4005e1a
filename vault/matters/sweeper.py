"""What the clock alone causes: ends that are written down, seals that come later, refused openings of shares."""

from __future__ import annotations

from collections.abc import Callable

from vault.db.twins import TwinGuard
from vault.matters.consents import Consents
from vault.matters.requests import Requests
from vault.tasks.runner import Task

_LOCK = b"sweeper"


class Sweeper:
    """One per process; a lock lets only one of all processes work at a time.

    From their ends on a request takes no answer and a consent opens nothing, whether it ran or not.
    """

    def __init__(self, requests: Requests, consents: Consents, guard: TwinGuard, interval: float) -> None:
        """Take what it works with.

        Args:
            requests: end by themselves.
            consents: withdrawals may wait for their seal.
            guard: keeps other processes out.
            interval: seconds between two runs.
        """
        self._works: list[Callable[[], int]] = [requests.expire, consents.seal_withdrawals]
        self._guard = guard
        self._interval = interval

    def add(self, work: Callable[[], int]) -> None:
        """Have something else done too, which returns how much it did; before the start."""
        self._works.append(work)

    @property
    def task(self) -> Task:
        """The sweeper, as it runs in the background."""
        return Task("sweeper", self.sweep, self._interval, limit_s=900.0)

    def sweep(self) -> int:
        """Do what is due, unless another process is at it; return how many things were done.

        Raises:
            VaultError: a part is down; what is due stays due.
        """
        with self._guard.hold(_LOCK) as free:
            return sum(work() for work in self._works) if free else 0
