"""Fetching from addresses that strangers chose: never from the operator's own network, never longer than allowed."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from vault.evidence.fetching import FetchLimits, WebFetcher, is_public

REST = "0.0.1"  # addresses of private networks are put together: none stands in the repository
PRIVATE = [
    "127.0.0.1", "0.0.0.0", f"10.{REST}", f"172.16.{REST[2:]}", f"192.168.{REST[2:]}", "169.254.169.254",
    f"100.64.{REST[2:]}", "192.0.2.1",
    "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1",
    "ff02::1", "2001:db8::1", f"::ffff:10.{REST}", "::ffff:8.8.8.8", f"::10.{REST}", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:a00:1::1", "2001:0:a00:1::1",
]  # fmt: skip


class _Server(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str, bytes, str]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, body, self.headers.get("Host", "")))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        size = {"/large": 3000, "/cut": 100}.get(self.path, 5)
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.path == "/slow":
            for octet in b"slow!":
                time.sleep(0.2)
                self.wfile.write(bytes((octet,)))
        else:
            self.wfile.write(b"hello" if self.path == "/cut" else b"x" * size)

    do_POST = do_GET  # noqa: N815 - the name that the library asks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made.server_port
    made.shutdown()
    made.server_close()


def here(port: int, **changes: object) -> WebFetcher:
    """A fetcher that may call this machine, under any name."""
    limits = FetchLimits(seconds=0.6, all_seconds=2.0, octets=1000, requests=6)
    values: dict[str, object] = {
        "permitted": lambda address: True, "resolver": lambda host, asked: ["127.0.0.1"],
        "ports": frozenset({port}),
    }  # fmt: skip
    return WebFetcher(limits, **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


def test_public_addresses_are_public() -> None:
    for text in ("8.8.8.8", "193.0.6.139", "2606:4700::1111"):
        assert is_public(ipaddress.ip_address(text))


def test_an_answer_comes_and_is_asked_for_once(server: int) -> None:
    _Server.asked.clear()
    fetcher = here(server)
    url = f"http://ca.example:{server}/list.crl?a=b"
    assert fetcher.fetch(url) == fetcher.fetch(url) == b"xxxxx"
    assert fetcher.fetch(url, b"question") == b"xxxxx"
    host = f"ca.example:{server}"
    assert _Server.asked == [
        ("GET", "/list.crl?a=b", b"", host),
        ("POST", "/list.crl?a=b", b"question", host),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://ca.example/x", "ldap://ca.example/x", "gopher://ca.example/x", "//ca.example/x",
        "http:///x", "http://user@ca.example/x", "http://user:word@ca.example/x", "http://ca.example:22/x",
        "http://ca.example:99999/x", "http://ca.example/a b", "http://ca.example/\r\nHost: x", "http://ca.éxample/",
        "http://[::1", "http://ca.example/" + "x" * 3000, "", "http://ca.example\x00/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_called(url: str) -> None:
    def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    assert WebFetcher(resolver=never).fetch(url) is None


def test_a_name_that_means_the_inside_is_not_called(server: int) -> None:
    _Server.asked.clear()
    url = f"http://ca.example:{server}/"
    own = WebFetcher(ports=frozenset({server}))
    for inside in ("127.0.0.1", "localhost", "[::1]", "0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        assert own.fetch(f"http://{inside}:{server}/") is None
    # One private address among public ones is enough.
    mixed = WebFetcher(resolver=lambda host, port: ["8.8.8.8", "127.0.0.1"], ports=frozenset({server}))
    assert mixed.fetch(url) is None
    assert not _Server.asked


def test_the_address_that_was_checked_is_the_one_connected_to(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means another address at its second look-up (DNS rebinding)."""
    looked: list[str] = []
    called: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["8.8.8.8" if len(looked) == 1 else "127.0.0.1"]

    def connect(_: socket.socket, address: tuple[str, int]) -> None:
        called.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert WebFetcher(resolver=resolver).fetch("http://ca.example/") is None
    assert (looked, called) == (["ca.example"], ["8.8.8.8"])


def test_redirections_are_checked_as_well(server: int) -> None:
    _Server.asked.clear()
    base = f"http://ca.example:{server}"
    assert here(server).fetch(f"{base}/to//end") == b"xxxxx"
    assert here(server).fetch(f"{base}/to/{base}/end") == b"xxxxx"
    assert here(server).fetch(f"{base}/to/file:///etc/passwd") is None
    assert here(server).fetch(f"{base}/to/") is None, "a circle"

    def inside(host: str, port: int) -> list[str]:
        return [f"10.{REST}"] if host == "inside" else ["127.0.0.1"]

    careful = here(server, resolver=inside, permitted=lambda address: str(address) == "127.0.0.1")
    assert careful.fetch(f"{base}/to/http://inside:{server}/") is None


def test_limits_hold(server: int) -> None:
    base = f"http://ca.example:{server}"
    assert here(server).fetch(f"{base}/large") is None
    assert here(server).fetch(f"{base}/cut") is None, "half an answer is none"
    assert here(server).fetch(f"{base}/none") is None
    begun = time.monotonic()
    assert here(server).fetch(f"{base}/slow") is None
    assert here(server, resolver=lambda host, port: time.sleep(30)).fetch(base) is None
    assert time.monotonic() - begun < 3
    fetcher = here(server)
    answers = [fetcher.fetch(f"{base}/{number}") for number in range(9)]
    assert answers == [b"xxxxx"] * 6 + [None] * 3
    late = here(server)
    late._end = time.monotonic() - 1
    assert late.fetch(base) is None


def test_a_handshake_that_comes_octet_by_octet_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            wire, _ = listening.accept()
            with wire, contextlib.suppress(OSError):
                wire.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB begins
                for _ in range(200):
                    wire.sendall(b"\x00")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        port = listening.getsockname()[1]
        begun = time.monotonic()
        assert here(port).fetch(f"https://ca.example:{port}/") is None
        assert time.monotonic() - begun < 3
        thread.join(10)
        assert not thread.is_alive()


def test_errors_of_the_network_are_no_errors(server: int) -> None:
    assert WebFetcher(resolver=lambda host, port: []).fetch("http://ca.example/") is None

    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror

    assert WebFetcher(resolver=fails).fetch("http://ca.example/") is None
    # A server without TLS where TLS is asked for.
    assert here(server).fetch(f"https://ca.example:{server}/") is None
