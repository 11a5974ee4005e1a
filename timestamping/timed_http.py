"""HTTP exchanges that end in time, however slowly their octets come.

The time limits of `requests` are for each wait alone: a server that sends an octet of its handshake, of a header line
or of the size of a chunk now and then holds its caller for days. Here a whole exchange has one limit.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Exchange:
    """The connections that one exchange uses, to be cut when its time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: list[HTTPConnection] = []
        self._over = False

    def use(self, connection: HTTPConnection) -> None:
        """Take part. Raises TimeoutError once the time is over."""
        with self._lock:
            if self._over:
                raise TimeoutError("the time for this exchange is over")
            self._used.append(connection)

    def cut(self) -> None:
        """Cut what is open; whoever waits for it sees its end."""
        with self._lock:
            self._over = True
            for wire in (connection.sock for connection in self._used):
                if wire is not None:
                    with suppress(OSError):
                        # Not its own method: over TLS, that takes the session from under the thread that reads.
                        socket.socket.shutdown(wire, socket.SHUT_RDWR)

    def end(self) -> None:
        """Let go of the connections, for others to use."""
        with self._lock:
            self._used.clear()


class _Current(threading.local):
    """The exchange of each thread."""

    exchange: _Exchange | None = None


_CURRENT = _Current()


@contextmanager
def cut_after(seconds: float) -> Iterator[None]:
    """Limit what a session of `timed_session` does in this thread while the block runs.

    What is cut ends in one of the errors of `requests`, or as a body that ended early.
    """
    exchange = _Exchange()
    timer = threading.Timer(seconds, exchange.cut)
    timer.daemon = True
    _CURRENT.exchange = exchange
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _CURRENT.exchange = None
        exchange.end()


def timed_session(connections: int = DEFAULT_POOLSIZE) -> requests.Session:
    """Return a session for `cut_after`, with no settings of the environment and no cookies.

    Args:
        connections: kept open to one host.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_maxsize=connections))
    return session


class _Timed(HTTPConnection):
    """A connection that takes part in its thread's exchange; a kept one at its next request."""

    def connect(self) -> None:
        self._take_part()
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._take_part()
        super().request(*args, **kwargs)

    def _take_part(self) -> None:
        if _CURRENT.exchange is not None:
            _CURRENT.exchange.use(self)


class _TimedTls(_Timed, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Timed


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _TimedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
