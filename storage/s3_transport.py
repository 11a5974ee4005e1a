"""HTTP beneath the S3 client: every exchange ends by a deadline, every answer has a largest size, nothing is repeated.

Answers are read whole, up to a limit, before anything else sees them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.response import BaseHTTPResponse

from plumbing.kept import cut_after, timed
from storage.errors import StorageUnavailable

_CHUNK = 64 * 1024
# Larger than any page of a listing (1,000 names) and any range that is asked for.
MOST_OCTETS = 16 * 1024 * 1024


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
        timed(self)
        self._seconds = seconds
        self._rate = octets_per_second

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
        with cut_after(self._seconds + content / self._rate) as exchange:
            try:
                answer = super().urlopen(
                    method, url, redirect=False, retries=False, preload_content=False, **named
                )
                body = _whole(answer)
            except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
                if exchange.over:
                    raise TimeoutError("the time for this exchange is over") from error
                raise
            exchange.demand_time()
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
