"""The bridge between bodies and threads, and the limits of a connection, in a server with short ones."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api import protocol, streams
from api.metrics import Metrics
from api.middleware import Guard
from api.streams import UploadCut, UploadDesk, body_chunks
from vault.errors import Refused, Unavailable


@contextmanager
def serving(app):
    """A server in a thread; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol.Protocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)


class Sink:
    """An application that takes bodies in as the interface does, and keeps what became of them."""

    def __init__(self, stall: float = 60.0, read: bool = True, ahead: bool = False) -> None:
        self.ahead = ahead
        self.ends: list[object] = []
        self.seen = 0
        self.largest = 0
        self._desk, self._stall, self._read = UploadDesk(), stall, read
        guard = Middleware(Guard, metrics=Metrics(), loopback_only=True, trusts=lambda _: False)
        self.app = Starlette(routes=[Route("/", self.take, methods=["POST"])], middleware=[guard])

    async def take(self, request: Request):
        if not self._read:
            raise Refused("TOO_LARGE", limit=1)
        return await self._desk.run(lambda: self._consume(request), request if self.ahead else None)

    def _consume(self, request: Request):
        try:
            for chunk in body_chunks(request, self._stall):
                self.seen += len(chunk)
                self.largest = max(self.largest, len(chunk))
        except (UploadCut, Refused) as error:
            self.ends.append(error)
            raise
        self.ends.append(None)
        return PlainTextResponse(str(self.seen))


def request(length: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def closed(connection: socket.socket, seconds: float = 5.0) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def heard(connection: socket.socket, text: bytes, seconds: float = 10.0) -> bytes:
    """Read until a text has come."""
    connection.settimeout(seconds)
    data = b""
    while text not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    return data


def flooded(connection: socket.socket, total: int) -> int:
    """Send until the other side takes no more; return how much it took."""
    sent = 0
    try:
        while sent < total:
            sent += connection.send(bytes(1 << 16))
    except TimeoutError:
        pass
    return sent


def dripped(connection: socket.socket, limit: float) -> float:
    """Send slowly until the other side closes; return the seconds it let us."""
    started = time.monotonic()
    try:
        while time.monotonic() - started < limit:
            connection.sendall(b"x" * 1000)
            time.sleep(0.02)
    except OSError:
        pass
    return time.monotonic() - started


def until(true, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_body_passes_in_bounded_pieces_at_the_reader_s_pace():
    sink = Sink()
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        total = 20 << 20
        connection.sendall(request(total))
        for _ in range(total >> 16):
            connection.sendall(bytes(1 << 16))
        heard(connection, f"\r\n\r\n{total}".encode())
    assert sink.ends == [None]
    assert sink.largest <= 1 << 20


def test_a_slow_reader_slows_the_sender():
    sink = Sink()
    gate = threading.Event()
    consume = sink._consume

    def slow(request):
        gate.wait(10)
        return consume(request)

    sink._consume = slow
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.settimeout(1.0)
        connection.sendall(request(256 << 20))
        sent = flooded(connection, 256 << 20)
        assert sent < 64 << 20  # what the kernel's buffers and the server's own hold, not the whole body
        gate.set()
        connection.close()
        until(lambda: sink.ends)
    assert isinstance(sink.ends[0], UploadCut)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_client_that_goes_away_raises_in_the_reader(ahead, monkeypatch):
    monkeypatch.setattr(streams, "AHEAD_SECONDS", 0.1)
    sink = Sink(ahead=ahead)
    with serving(sink.app) as port:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request(1000) + b"x" * 10)
        until(lambda: sink.seen == 10)
        connection.close()
        until(lambda: sink.ends)
    assert isinstance(sink.ends[0], UploadCut)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_client_that_stays_silent_is_cut(ahead, monkeypatch):
    monkeypatch.setattr(streams, "AHEAD_SECONDS", 0.1)
    sink = Sink(stall=0.2, ahead=ahead)
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request(1000) + b"x" * 10)
        assert b" 408 " in heard(connection, b"REQUEST_TIMEOUT")
    assert sink.ends[0].code == "REQUEST_TIMEOUT"


def test_a_small_body_that_is_there_costs_no_question_of_the_thread(monkeypatch):
    monkeypatch.setattr(streams, "_asked", None)
    sink = Sink(ahead=True)
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request(streams.AHEAD_OCTETS))
        for _ in range(4):
            time.sleep(0.05)
            connection.sendall(bytes(streams.AHEAD_OCTETS // 4))
        heard(connection, str(streams.AHEAD_OCTETS).encode())
    assert sink.ends == [None]


@pytest.mark.parametrize("length", [streams.AHEAD_OCTETS + 1, 0])
def test_nothing_of_another_body_is_read_ahead(length, monkeypatch):
    async def taken(_request):
        raise AssertionError

    monkeypatch.setattr(Request, "receive", property(taken))
    asked = Request({"type": "http", "headers": [(b"content-length", str(length).encode())]})
    anyio.run(streams.read_ahead, asked)
    assert not hasattr(asked.state, "ahead")


def test_what_comes_after_the_first_moment_is_asked_for(monkeypatch):
    monkeypatch.setattr(streams, "AHEAD_SECONDS", 0.2)
    sink = Sink(ahead=True)
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request(30) + b"x" * 10)
        until(lambda: sink.seen == 10)
        for _ in range(2):
            connection.sendall(b"x" * 10)
            time.sleep(0.1)
        heard(connection, b"\r\n\r\n30")
    assert sink.ends == [None]


def test_a_sender_that_waits_to_be_told_is_not_told_to_send_what_is_refused():
    sink = Sink(ahead=True)

    def refused(_request):
        raise Refused("TOO_LARGE", limit=1)

    sink._consume = refused
    with serving(sink.app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request(10)[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert heard(connection, b"TOO_LARGE").startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("first", [b"", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_connection_without_a_whole_head_is_closed(monkeypatch, first):
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    with serving(Sink().app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(first)
        started = time.monotonic()
        assert closed(connection)
        assert time.monotonic() - started > 0.2


def test_a_slow_body_may_take_longer_than_a_head(monkeypatch):
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    with serving(Sink().app) as port, closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(request(10))
        for _ in range(10):
            time.sleep(0.1)
            connection.sendall(b"x")
        heard(connection, b"200 OK")


def test_the_rest_of_a_refused_body_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(protocol, "DRAIN_SECONDS", 0.5)
    with (
        serving(Sink(read=False).app) as port,
        closing(socket.create_connection(("127.0.0.1", port))) as connection,
    ):
        connection.sendall(request(1 << 30))
        heard(connection, b"TOO_LARGE")
        assert dripped(connection, 10) < 10


def test_too_many_connections_are_told_so(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 2)
    with serving(Sink().app) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        time.sleep(0.2)
        with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as one_more:
            assert b" 503 " in heard(one_more, b'"code":"BUSY"')
        for connection in held:
            connection.close()


def test_more_uploads_than_threads_and_places_are_refused():
    async def crowd() -> list[str]:
        desk, gate, told = UploadDesk(threads=1, queue=2), threading.Event(), []

        async def one() -> None:
            try:
                await desk.run(lambda: gate.wait(10))
                told.append("done")
            except Unavailable as error:
                told.append(error.code)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
            await anyio.sleep(0.2)
            gate.set()
        return told

    assert sorted(anyio.run(crowd)) == ["BUSY", "BUSY", "done", "done", "done"]
