"""The HTTP side of our own witness: the standard library's server, with limits on bodies, time and connections."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vault.errors import LedgerError
from vault.ledger.policy import origins
from vault.ledger.witness import Witness
from vault.ledger.witness_protocol import BAD_REQUEST, MAX_REQUEST, PATH, TEXT_TYPE, Answer

MAX_CONNECTIONS = 64
_IDLE_S = 10.0
_REQUEST_S = 30.0
_POLL_S = 0.5
_NOT_FOUND = Answer(404, TEXT_TYPE, b"not found\n")
_WRONG_METHOD = Answer(405, TEXT_TYPE, b"method not allowed\n")
_BROKEN = Answer(500, TEXT_TYPE, b"the witness cannot write\n")
_log = logging.getLogger("probans.witness")


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness: `POST /add-checkpoint`, and `GET /` with its public keys for people.

    Connections beyond `MAX_CONNECTIONS` wait in the listen queue. One that takes longer than half a minute to
    send a request is cut, however it drips.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, witness: Witness, host: str, port: int) -> None:
        """Listen.

        Args:
            witness: judges.
            host: address to listen on.
            port: port, 0 for a free one.

        Raises:
            OSError: the address cannot be had.
        """
        self.witness = witness
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, once there is a place."""
        while not self._places.acquire(timeout=_POLL_S):
            self.service_actions()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection and give its place back."""
        self.renew(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._deadlines.pop(request, None)
            self._places.release()

    def renew(self, connection: socket.socket) -> None:
        """Give a connection its time for the next request."""
        with self._lock:
            self._deadlines[connection] = time.monotonic() + _REQUEST_S

    def service_actions(self) -> None:
        """Cut connections whose time is over; called all along while serving."""
        self._cut(time.monotonic())

    def server_close(self) -> None:
        """Stop listening, and hang up on everybody."""
        super().server_close()
        self._cut(float("inf"))

    def _cut(self, now: float) -> None:
        with self._lock:
            late = [connection for connection, end in self._deadlines.items() if end < now]
        for connection in late:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in the log that a connection ended badly; who it was stays out."""
        _log.info("a connection ended badly", exc_info=True)

    def about(self) -> bytes:
        """Return the text of `GET /`: the public keys, and how far each log is cosigned."""
        lines = [f"witness {vkey}" for vkey in self.witness.keys.vkeys]
        for origin in origins(self.witness.logs):
            size, root = self.witness.head(origin)
            lines.append(f"log {origin} {size} {root.hex()}")
        return "".join(f"{line}\n" for line in lines).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "probans-witness"
    sys_version = ""
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    server: WitnessServer

    def handle_one_request(self) -> None:
        """Serve the next request of this connection, in its own time."""
        self.server.renew(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:
        if self._asked == PATH:
            self._answer(_WRONG_METHOD, close=True)
        elif self._asked == "/":
            self._answer(Answer(200, TEXT_TYPE, self.server.about()))
        else:
            self._answer(_NOT_FOUND, close=True)

    do_HEAD = do_GET  # noqa: N815 - names given by the standard library

    def do_PUT(self) -> None:
        # What a body may hold is not read, so the connection ends.
        self._answer(_WRONG_METHOD if self._asked in {PATH, "/"} else _NOT_FOUND, close=True)

    do_DELETE = do_OPTIONS = do_PATCH = do_PUT  # noqa: N815

    def do_POST(self) -> None:
        length = self._length()
        if length is None:
            # The body's end is not known, so nothing after it can be read either.
            self._answer(BAD_REQUEST, close=True)
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        if self._asked != PATH:
            self._answer(_WRONG_METHOD if self._asked == "/" else _NOT_FOUND)
            return
        try:
            self._answer(self.server.witness.add_checkpoint(body))
        except LedgerError as error:
            _log.critical("nothing was cosigned: %s %s", error.code, error.detail)
            self._answer(_BROKEN, close=True)

    @property
    def _asked(self) -> str:
        """The path without a query, which says nothing here."""
        return self.path.partition("?")[0]

    def _length(self) -> int | None:
        """Return the size of the body, None when it is not stated once, as a number within the limit."""
        stated = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") is not None or len(stated) != 1:
            return None
        text = stated[0].strip()
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > MAX_REQUEST:
            return None
        return int(text)

    def _answer(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer is _WRONG_METHOD:
            self.send_header("Allow", "POST" if self._asked == PATH else "GET, HEAD")
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by the standard library
        """Stay silent: addresses of callers are nobody's business."""
