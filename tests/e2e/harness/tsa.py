"""A timestamp authority on loopback that can be stopped, and that can misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from signing.dev_pki import DevPki
from tests.services.dropping import DroppingServer
from timestamping.authority import EmbeddedAuthority
from timestamping.messages import Failure, parse_request, rejection

POLICY = "1.3.6.1.4.1.55555.1"
MISBEHAVIOURS = (
    "garbage",
    "error",
    "html",
    "wrong imprint",
    "slow",
    "rejects",
    "old",
    "another's key",
    "cut",
)


class Now:
    """The machine's clock, set back by a span."""

    def __init__(self, back: timedelta = timedelta()) -> None:
        self._back = back

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) - self._back


class Authority:
    """An authority that answers at one address for its whole life, when it answers.

    Attributes:
        mode: "well", or one of MISBEHAVIOURS.
        asked: requests taken.
    """

    def __init__(self, data: Path, folder: Path) -> None:
        """Take the timestamp key of the development PKI of a data folder, made when absent.

        Args:
            data: data folder whose PKI signs.
            folder: empty folder for another PKI, which the service does not trust.
        """
        now = datetime.now(UTC)
        (data / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        key = DevPki.open(data / "keys" / "pki", now).timestamp
        other = DevPki.open(folder, now).timestamp
        chain, strange = (key.certificate, *key.chain), (other.certificate, *other.chain)
        self._well = EmbeddedAuthority(key, chain, POLICY, Now())
        self._old = EmbeddedAuthority(key, chain, POLICY, Now(timedelta(minutes=30)))
        self._strange = EmbeddedAuthority(other, strange, POLICY, Now())
        self.mode = "well"
        self.asked = 0
        self._server: ThreadingHTTPServer | None = None
        with self.running():
            pass

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}/tsa"

    @contextmanager
    def running(self, mode: str = "well") -> Iterator[None]:
        """Answer while the block runs."""
        self.mode = mode
        authority = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                authority.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        server = DroppingServer(("127.0.0.1", getattr(self, "_port", 0)), Handler)
        self._port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.drop()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request, well or in the way of the mode."""
        request = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked += 1
        status, kind, body = 200, "application/timestamp-reply", b""
        match self.mode:
            case "well":
                body = self._well.respond(request)
            case "garbage":
                body = bytes(range(256)) * 4
            case "error":
                status, body = 500, b"broken"
            case "html":
                kind, body = "text/html", self._well.respond(request)
            case "wrong imprint":
                asked = parse_request(request, POLICY).imprint
                turned = asked[:-1] + bytes([asked[-1] ^ 1])
                body = self._well.respond(request.replace(asked, turned))
            case "slow":
                time.sleep(4)
                body = self._well.respond(request)
            case "rejects":
                body = rejection(Failure.BAD_ALG, "no")
            case "old":
                body = self._old.respond(request)
            case "another's key":
                body = self._strange.respond(request)
            case "cut":
                body = self._well.respond(request)
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.mode == "cut":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
        else:
            handler.wfile.write(body)
