"""Who waits for a work of the ledger's writer, and how each is told."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future
from typing import Any

from vault.errors import Unavailable

#: What a work gave and None, or None and what it raised.
Settled = tuple[Any, BaseException | None]


class Waiter(ABC):
    """Waits for the outcome of one work. The writer calls `begin` once, then `settle` once if that was true.

    Attributes:
        mailbox: to be opened once a whole group is settled, where there is one.
    """

    __slots__ = ()
    mailbox: Mailbox | None = None

    @abstractmethod
    def begin(self) -> bool:
        """Say whether the work is still wanted."""

    @abstractmethod
    def settle(self, value: Any, raised: BaseException | None) -> None:
        """Take the outcome: a value, or what the work or its group raised."""


class FutureWaiter(Waiter):
    """Tells a `concurrent.futures.Future`.

    Attributes:
        future: for the caller; cancelled before the work begins, the work does not run.
    """

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: Future[Any] = Future()

    def begin(self) -> bool:
        """See `Waiter`."""
        return self.future.set_running_or_notify_cancel()

    def settle(self, value: Any, raised: BaseException | None) -> None:
        """See `Waiter`."""
        if raised is not None:
            self.future.set_exception(raised)
        else:
            self.future.set_result(value)


class ThreadWaiter(Waiter):
    """Tells one blocked thread; a bare lock costs a fraction of a future."""

    __slots__ = ("_done", "_given_up", "_raised", "_value")

    def __init__(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self._given_up = False
        self._value: Any = None
        self._raised: BaseException | None = None

    def begin(self) -> bool:
        """See `Waiter`."""
        return not self._given_up

    def settle(self, value: Any, raised: BaseException | None) -> None:
        """See `Waiter`."""
        self._value, self._raised = value, raised
        self._done.release()

    def outcome(self, seconds: float) -> Settled:
        """Wait for the value, or what was raised; a work that has not begun by then is not wanted any more.

        Too late, that is Unavailable(LEDGER_UNAVAILABLE).
        """
        if not self._done.acquire(timeout=max(0.0, seconds)):
            self._given_up = True
            return None, Unavailable("LEDGER_UNAVAILABLE", "the writer did not answer in time")
        return self._value, self._raised


class Mailbox:
    """Brings outcomes into an asyncio loop: one wake-up for a whole group, not one for each work.

    Attributes:
        loop: where the futures are.
        outcomes: put here by another thread; `open` brings them in.
    """

    __slots__ = ("loop", "outcomes")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.outcomes: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()

    def open(self) -> None:
        """Have the loop take what is there.

        To be called once for many outcomes: waking a loop gives up the interpreter lock, and one call for each
        outcome would make the two threads change places for each.
        """
        try:
            self.loop.call_soon_threadsafe(self._empty)
        except RuntimeError:  # the loop was closed: nobody waits any more
            self.outcomes.clear()

    def _empty(self) -> None:
        while self.outcomes:
            future, value, raised = self.outcomes.popleft()
            if future.cancelled():
                continue
            if raised is not None:
                future.set_exception(raised)
            else:
                future.set_result(value)


class TaskWaiter(Waiter):
    """Tells one asyncio task.

    Attributes:
        future: for the caller, in the mailbox's loop; cancelled before the work begins, the work does not run.
        mailbox: where the outcome goes.
    """

    __slots__ = ("future", "mailbox")

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox: Mailbox = mailbox
        self.future: asyncio.Future[Any] = mailbox.loop.create_future()

    def begin(self) -> bool:
        """See `Waiter`."""
        return not self.future.cancelled()

    def settle(self, value: Any, raised: BaseException | None) -> None:
        """See `Waiter`."""
        self.mailbox.outcomes.append((self.future, value, raised))
