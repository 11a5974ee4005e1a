"""Exchanges over sockets that end in time, however slowly their octets come.

The time limits of sockets, and of the libraries above them, are for each wait alone: a server that sends an octet of
its handshake, of a header line or of the size of a chunk now and then holds its caller for days. Here a whole exchange
has one limit: a thread of this process shuts the connections of those whose time is over.
"""

from __future__ import annotations

import heapq
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

_AGAIN_S = 0.05
_LATE = "the time for this exchange is over"


class Connection(Protocol):
    """What can be cut: a connection of `http.client`, of urllib3, or of one's own."""

    @property
    def sock(self) -> socket.socket | None:
        """Its socket, while there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """A socket by itself: an answer that ends with its connection takes it away from that."""

    sock: socket.socket


class Exchange:
    """The connections that one exchange uses, to be shut when its time is over.

    Attributes:
        over: whether its time was over before its end.
        ended: whether it has come to its end.
    """

    __slots__ = ("_lock", "_used", "ended", "over")

    def __init__(self) -> None:
        """Begin with no connection."""
        self._lock = threading.Lock()
        self._used: list[Connection] = []
        self.ended = False
        self.over = False

    def use(self, connection: Connection) -> None:
        """Take a connection in. Raises TimeoutError once the time is over."""
        with self._lock:
            if self.over:
                raise TimeoutError(_LATE)
            self._used.append(connection)

    def demand_time(self) -> None:
        """Raise TimeoutError once the time is over: what was cut may look like an end."""
        if self.over:
            raise TimeoutError(_LATE)

    def cut(self) -> None:
        """Shut what is open; whoever waits for it sees its end."""
        with self._lock:
            if self.ended:
                return
            self.over = True
            for wire in [connection.sock for connection in self._used]:
                if wire is not None:
                    with suppress(OSError):
                        # Not its own method: over TLS, that takes the session from under the thread that reads.
                        socket.socket.shutdown(wire, socket.SHUT_RDWR)

    def end(self) -> None:
        """Let go of the connections, for others to use; none is cut any more."""
        with self._lock:
            self.ended = True
            self._used.clear()


class _Watch:
    """One thread that cuts the exchanges whose time is over; it runs only while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._exchanges: list[tuple[float, int, Exchange]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, deadline: float, exchange: Exchange) -> None:
        with self._changed:
            heapq.heappush(self._exchanges, (deadline, next(self._numbers), exchange))
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread
            elif self._exchanges[0][2] is exchange:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._exchanges and self._exchanges[0][2].ended:
                    heapq.heappop(self._exchanges)
                if not self._exchanges:
                    self._thread = None
                    return
                left = self._exchanges[0][0] - time.monotonic()
                if left > 0:
                    # Exchanges mostly end long before: looking now and then keeps the list short.
                    self._changed.wait(min(left, 1.0))
                    continue
                exchange = heapq.heappop(self._exchanges)[2]
                exchange.cut()
                # It may be connecting, with nothing to shut yet.
                heapq.heappush(self._exchanges, (time.monotonic() + _AGAIN_S, next(self._numbers), exchange))


_WATCH = _Watch()
# Neither its thread nor who held its lock lives on in a forked process.
os.register_at_fork(after_in_child=_WATCH.__init__)  # type: ignore[misc]


@contextmanager
def limited(deadline: float) -> Iterator[Exchange]:
    """Give an exchange whose connections are cut, should the block last longer.

    Args:
        deadline: reading of `time.monotonic` at which its time is over.
    """
    exchange = Exchange()
    _WATCH.add(deadline, exchange)
    try:
        yield exchange
    finally:
        exchange.end()
