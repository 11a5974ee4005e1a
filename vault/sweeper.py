"""What the clock alone causes: ends that are written down, seals that come later, refused openings of shares."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from vault.consents import Consents
from vault.db.twins import TwinGuard
from vault.errors import Unavailable
from vault.requests import Requests

_LOCK = b"sweeper"
_log = logging.getLogger("probans.sweeper")


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
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="probans-sweeper", daemon=True)

    def add(self, work: Callable[[], int]) -> None:
        """Have something else done too, which returns how much it did; before the start."""
        self._works.append(work)

    def start(self) -> None:
        """Start in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the run under way."""
        self._stop.set()
        self._thread.join()

    def sweep(self) -> int:
        """Do what is due, unless another process is at it; return how many things were done.

        Raises:
            VaultError: a part is down; what is due stays due.
        """
        with self._guard.hold(_LOCK) as free:
            return sum(work() for work in self._works) if free else 0

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.sweep()
            except Unavailable as error:
                _log.warning("requests and consents wait", extra={"code": error.code})
            except Exception:
                _log.exception("sweeper")
