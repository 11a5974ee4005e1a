"""The outermost layer: one pass around every request, in plain ASGI so that bodies keep streaming.

It names the request, refuses foreign host names and more work than the process can hold, adds the security
headers, answers what nobody else caught, counts, and writes one line of log without address or person.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, log_unexpected, new_reference, problem_of, problem_response
from api.metrics import Metrics
from api.security import host_of, is_loopback, with_defaults
from api.streams import UploadCut
from vault.core import tracing
from vault.errors import Refused, Unavailable
from vault.observability.logs import REQUEST

MAX_IN_FLIGHT = 512
CLIENT_GONE = 499
_NOT_TAKEN = 405
_MAX_COOKIE = 1 << 12  # octets; browsers keep none that is longer
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REFERENCE = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# W3C Trace Context, 3.2.
_TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_log = logging.getLogger("probans.access")


class Guard:
    """See the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        loopback_only: bool,
        trusts: Callable[[str], bool],
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            metrics: counters of the process.
            loopback_only: refuse host names that are not this machine's own, so that no foreign page can reach the
                service through a name it controls (DNS rebinding).
            trusts: tells whether an address is of a proxy whose X-Request-ID is taken over.
            max_in_flight: requests answered at once; beyond, BUSY.
        """
        self._trusts = trusts
        self._app = app
        self._metrics = metrics
        self._loopback_only = loopback_only
        self._max_in_flight = max_in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the server's start and stop through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _drop_odd_cookies(scope)
        reference = self._said(scope, b"x-request-id", _REFERENCE) or new_reference()
        parent = self._said(scope, b"traceparent", _TRACEPARENT)
        exchange = _Exchange(self._app, scope, receive, send, self._metrics, reference, parent)
        await exchange.run(self._refusal(scope))

    def _said(self, scope: Scope, header: bytes, form: re.Pattern[bytes]) -> str:
        """Return what a trusted proxy says in a header, once and well formed; "" otherwise."""
        named = [value for name, value in scope["headers"] if name == header]
        peer = scope.get("client")
        if len(named) != 1 or not form.fullmatch(named[0]) or peer is None or not self._trusts(peer[0]):
            return ""
        return str(named[0].decode("ascii"))

    def _refusal(self, scope: Scope) -> Exception | None:
        if self._loopback_only:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not is_loopback(host_of(hosts[0].decode("latin-1"))):
                return Refused("HOST_REFUSED")
        if self._metrics.in_flight >= self._max_in_flight:
            return Unavailable("BUSY")
        return None


def _drop_odd_cookies(scope: Scope) -> None:
    """Leave out of a request the cookies that cannot be ours: those with a backslash, and those that are too long.

    The standard library takes quadratic time for the escapes of a quoted value (CVE-2024-7592), before anybody is
    known, for each route and on the event loop. Others of the same host may have set such a cookie in good faith,
    so the request is not refused, and ours beside it stay.
    """
    if not any(name == b"cookie" and _is_odd(value) for name, value in scope["headers"]):
        return
    headers = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            # The reader divides at the same places, within quotes too.
            kept = b";".join(each for each in value.split(b";") if not _is_odd(each))
            if kept:
                headers.append((name, kept))
        else:
            headers.append((name, value))
    scope["headers"] = headers


def _is_odd(cookies: bytes) -> bool:
    return b"\\" in cookies or len(cookies) > _MAX_COOKIE


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        metrics: Metrics,
        reference: str,
        parent: str,
    ) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._metrics = metrics
        self._status = 0
        self._octets = 0
        self._finished = False
        self._request_id, self._parent = reference, parent

    async def run(self, refusal: Exception | None) -> None:
        self._scope.setdefault("state", {})["request_id"] = self._request_id
        # A context of its own belongs to each connection's task; threads that answer get a copy.
        REQUEST.set(self._request_id)
        self._metrics.begin()
        started = time.perf_counter()
        with tracing.span("request", self._parent) as span:
            try:
                await self._run(refusal)
            finally:
                self._note(time.perf_counter() - started, span)

    async def _run(self, refusal: Exception | None) -> None:
        try:
            if refusal is not None:
                await self._answer(problem_of(refusal))
            else:
                await self._app(self._scope, self._receive, self._forward)
        except UploadCut:
            self._status = self._status or CLIENT_GONE
        except Exception as error:
            log_unexpected(error, self._request_id)
            if not self._status:
                await self._answer(problem_of(error))
            # Else the answer is left unfinished: the server cuts the connection, and nobody takes it for whole.

    async def _answer(self, problem: Problem) -> None:
        response = problem_response(Request(self._scope), problem)
        await response(self._scope, self._receive, self._forward)

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = with_defaults(message.get("headers", []), self._scope["path"])
            headers.append((b"x-request-id", self._request_id.encode()))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self._octets += len(message.get("body", b""))
            self._finished = not message.get("more_body", False)
        await self._send(message)

    def _note(self, seconds: float, span: tracing.Span) -> None:
        method = self._scope["method"] if self._scope["method"] in _METHODS else "OTHER"
        # The template, never the address: addresses may name documents, safes or people.
        route = getattr(self._scope.get("route"), "path", None) or "-"
        status = self._status or CLIENT_GONE
        # What a route does not take is no series of its own: anybody can ask everything in every way.
        self._metrics.end(method, "-" if status == _NOT_TAKEN else route, status, seconds)
        line = {
            "request": self._request_id,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "octets": self._octets,
            "whole": self._finished,
        }
        span.rename(f"{method} {route}")
        span.note(http__request__method=method, http__route=route, http__response__status_code=status)
        span.note(probans__request=self._request_id, http__response__body__size=self._octets)
        _log.info("answered", extra=line)
