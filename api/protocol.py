"""uvicorn's HTTP/1.1 protocol with the limits it leaves out, and its own refusals in this service's words."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import PROBLEM_TYPE, Problem
from api.security import with_defaults

HEADER_SECONDS = 20.0
DRAIN_SECONDS = 30.0
MAX_CONNECTIONS = 2048


class Protocol(H11Protocol):
    """One connection.

    Besides what uvicorn does: a connection that sends no whole request head within HEADER_SECONDS is closed; after
    an early refusal the rest of the body is read and dropped for DRAIN_SECONDS at most, so that the client gets
    to see the answer; unreadable HTTP and too many connections are answered with problem+json.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request head."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse("BUSY")
        else:
            self._arm(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._disarm()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop the clock once the head is whole."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._deadline is not None and not self._is_draining():
            self._disarm()

    def on_response_complete(self) -> None:
        """Start the clock again: for the rest of a body nobody reads, or for the next request head."""
        cycle = self.cycle
        super().on_response_complete()
        if self.transport.is_closing() or self.cycle is not cycle:
            return
        self._arm(DRAIN_SECONDS if self._is_draining() else HEADER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._refuse("HTTP_INVALID")
        else:
            self.transport.close()

    def _is_draining(self) -> bool:
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, code: str) -> None:
        problem = Problem(code, "", {}, {})
        body = orjson.dumps(problem.body("fr"))
        headers: list[tuple[bytes, bytes]] = with_defaults(
            [
                (b"content-type", PROBLEM_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *([(b"retry-after", b"5")] if problem.status == 503 else []),
            ]
        )
        events: tuple[Any, ...] = (
            h11.Response(status_code=problem.status, headers=headers, reason=b""),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
