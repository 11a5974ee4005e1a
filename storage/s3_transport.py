"""HTTP beneath the S3 client: every exchange ends by a deadline, every answer has a largest size, nothing is repeated.

urllib3's own limits are per wait: a server that sends an octet now and then holds a call for ever. Here a watchdog
shuts the socket when the time of a call is over. Answers are read whole, up to a limit, before anything else sees them.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from storage.errors import StorageUnavailable

_CHUNK = 64 * 1024
_RETRY_S = 0.05
# Larger than any page of a listing (1,000 names) and any range that is asked for.
MOST_OCTETS = 16 * 1024 * 1024


class Call:
    """One exchange: the connection it uses, and whether its time is over."""

    __slots__ = ("connection", "done", "expired")

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.expired = False
        self.done = False

    def cut(self) -> bool:
        """Shut the connection; False while there is none to shut."""
        self.expired = True
        wire = self.connection.sock if self.connection is not None else None
        if wire is None:
            return False
        try:
            # Not the TLS layer's own: that would change what another thread is reading from.
            socket.socket.shutdown(wire, socket.SHUT_RDWR)
        except OSError:
            return True
        return True


class Watchdog:
    """One thread that cuts the calls whose time is over; it runs only while there are calls."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limited(self, seconds: float) -> Iterator[Call]:
        """Give what is done within a time limit; `Call.expired` tells whether it was over."""
        call = Call()
        deadline = time.monotonic() + seconds
        with self._changed:
            heapq.heappush(self._calls, (deadline, next(self._numbers), call))
            if self._thread is None or not self._thread.is_alive():  # none lives on in a forked process
                self._thread = threading.Thread(target=self._watch, name="s3-deadlines", daemon=True)
                self._thread.start()
            elif self._calls[0][2] is call:
                self._changed.notify()
        try:
            yield call
        finally:
            call.done = True

    def _watch(self) -> None:
        while True:
            with self._changed:
                while self._calls and self._calls[0][2].done:
                    heapq.heappop(self._calls)
                if not self._calls:
                    self._thread = None
                    return
                left = self._calls[0][0] - time.monotonic()
                if left > 0:
                    # Calls mostly end long before: looking now and then keeps the list short.
                    self._changed.wait(min(left, 1.0))
                    continue
                call = heapq.heappop(self._calls)[2]
                if not call.done and not call.cut():
                    # It is still connecting, which has a limit of its own.
                    heapq.heappush(self._calls, (time.monotonic() + _RETRY_S, next(self._numbers), call))


_current = threading.local()


def _adopt(connection: HTTPConnection) -> None:
    call: Call | None = getattr(_current, "call", None)
    if call is not None:
        call.connection = connection


class _Plain(HTTPConnection):
    def request(self, *arguments: Any, **named: Any) -> None:
        _adopt(self)
        super().request(*arguments, **named)


class _Tls(HTTPSConnection):
    def request(self, *arguments: Any, **named: Any) -> None:
        _adopt(self)
        super().request(*arguments, **named)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Tls


class LimitedPool(urllib3.PoolManager):
    """Pool of connections whose every exchange is limited in time and size, and done once."""

    def __init__(
        self, seconds: float, octets_per_second: int, connections: int, tls: ssl.SSLContext | None
    ) -> None:
        """Make a pool.

        Args:
            seconds: for an exchange without content, connecting included.
            octets_per_second: slowest rate at which content may pass; it adds to the time.
            connections: kept open.
            tls: how servers are checked; None for plain HTTP.
        """
        named: dict[str, Any] = {} if tls is None else {"ssl_context": tls}
        super().__init__(
            num_pools=2,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=min(seconds, 10.0), read=seconds),
            retries=False,
            blocksize=_CHUNK,
            **named,
        )
        self.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
        self._seconds = seconds
        self._rate = octets_per_second
        self._watchdog = Watchdog()

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **named: Any
    ) -> BaseHTTPResponse:
        """Exchange a request for an answer that is read whole; redirections are not followed.

        Raises:
            TimeoutError: its time was over.
            StorageUnavailable: the answer does not end.
            urllib3.exceptions.HTTPError, OSError: the exchange failed.
        """
        named.pop("preload_content", None)
        content = _octets(named.get("headers") or {})
        with self._watchdog.limited(self._seconds + content / self._rate) as call:
            _current.call = call
            try:
                answer = super().urlopen(
                    method, url, redirect=False, retries=False, preload_content=False, **named
                )
                body = _whole(answer)
            except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
                if call.expired:
                    raise TimeoutError("the time for this exchange is over") from error
                raise
            finally:
                _current.call = None
            # A cut connection may look like the end of an answer without length.
            if call.expired:
                raise TimeoutError("the time for this exchange is over")
        return urllib3.HTTPResponse(
            body=body, headers=answer.headers, status=answer.status, request_method=method
        )


def _octets(headers: Mapping[str, str]) -> int:
    """Return how much content a request sends, or asks for by its range."""
    sent = int(headers.get("Content-Length", "0"))
    first, _, last = headers.get("Range", "bytes=1-0").removeprefix("bytes=").partition("-")
    return max(sent, int(last) - int(first) + 1)


def _whole(answer: BaseHTTPResponse) -> bytes:
    """Read an answer, as sent; then its connection may serve again."""
    chunks, size = [], 0
    for chunk in answer.stream(_CHUNK, decode_content=False):
        size += len(chunk)
        chunks.append(chunk)
        if size > MOST_OCTETS:
            break
    else:
        answer.release_conn()
        return b"".join(chunks)
    answer.close()
    raise StorageUnavailable("the answer is larger than any that was asked for")
