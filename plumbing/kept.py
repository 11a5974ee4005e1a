"""HTTP through urllib3 and `requests` over connections that are kept: one limit for the time of an exchange."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from plumbing.deadlines import Exchange, Wire, limited


class _Current(threading.local):
    """The exchange of each thread."""

    exchange: Exchange | None = None


_CURRENT = _Current()


@contextmanager
def cut_after(seconds: float) -> Iterator[Exchange]:
    """Limit what `timed` pools and sessions do in this thread while the block runs.

    What is cut ends in one of the errors of urllib3 or `requests`, or as a body that ended early.
    """
    with limited(time.monotonic() + seconds) as exchange:
        _CURRENT.exchange = exchange
        try:
            yield exchange
        finally:
            _CURRENT.exchange = None


def timed(pools: PoolManager) -> None:
    """Have the connections that a manager will open take part in the exchange of the thread that uses them."""
    pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


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

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 itself has it
        if _CURRENT.exchange is not None and self.sock is not None:
            _CURRENT.exchange.use(Wire(self.sock))
        return super().getresponse()

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
        timed(self.poolmanager)
