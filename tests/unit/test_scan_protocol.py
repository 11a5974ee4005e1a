"""What ClamAV's adapter makes of whatever may answer in clamd's place: never clean by mistake, never a hang."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from vault.scanning.base import NotScanned, Reason, ScannerDown
from vault.scanning.clamav import Clamd, ClamdConfig, _place

Behaviour = Callable[[socket.socket], None]
SHORT = 0.4


@contextmanager
def served(behave: Behaviour) -> Iterator[Clamd]:
    """Give an adapter to a server that behaves like that, each connection in its own thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError, struct.error, AssertionError):
                connection.settimeout(5)
                behave(connection)

        def loop() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        yield Clamd(ClamdConfig(f"127.0.0.1:{listening.getsockname()[1]}", SHORT, SHORT, connections=4))


def taken(connection: socket.socket) -> bytes:
    """Read a stream to its end, as clamd does; return its octets."""
    reader = connection.makefile("rb")
    assert reader.read(10) == b"zINSTREAM\0"
    data = b""
    while length := struct.unpack(">I", reader.read(4))[0]:
        data += reader.read(length)
    return data


def answering(text: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        taken(connection)
        connection.sendall(text)

    return behave


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"stream: OK",  # cut before its end
        b"stream: OK\n\0",
        b"stream: ok\0",
        b"Stream: OK\0",
        b" stream: OK\0",
        b"stream: OK \0",
        b"OK\0",
        b"\0",
        b"stream: \0",
        b"stream:  FOUND\0"[:-7] + b"\0",
        b"stream: FOUND\0",
        b"stream: Can't allocate memory ERROR\0",
        b"UNKNOWN COMMAND\0",
        b"COMMAND READ TIMED OUT\0",
        b"stream: \xff\xfe FOUND\0",
        b"stream: a\nb FOUND\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"stream: " + b"x" * 100_000,
    ],
)
def test_only_the_one_answer_is_clean(text: bytes) -> None:
    with served(answering(text)) as clamd, pytest.raises(ScannerDown) as caught:
        clamd.scan((b"abc",))
    assert caught.value.code == "SCANNER_DOWN"


def test_what_is_clean_and_what_is_not() -> None:
    seen: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        seen.append(taken(connection))
        connection.sendall(b"stream: OK\0")

    with served(behave) as clamd:
        assert clamd.scan((b"ab", b"", b"c" * 300_000)) == ""
        assert clamd.scan(()) == ""
    assert seen == [b"ab" + b"c" * 300_000, b""]
    with served(answering(b"stream: Eicar FOUND\0")) as clamd:
        assert clamd.scan((b"abc",)) == "Eicar"
    with served(answering(b"stream: " + b"V" * 400 + b" FOUND\0")) as clamd:
        assert clamd.scan((b"abc",)) == "V" * 120


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"INSTREAM size limit exceeded. ERROR\0", Reason.LARGE),
        (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Reason.COMPLEX),
        (b"stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND\0", Reason.COMPLEX),
    ],
)
def test_a_limit_is_neither_clean_nor_infected(text: bytes, reason: Reason) -> None:
    with served(answering(text)) as clamd, pytest.raises(NotScanned) as caught:
        clamd.scan((b"abc",))
    assert (caught.value.reason, caught.value.code) == (reason, "SCAN_IMPOSSIBLE")


def test_a_limit_told_before_the_end_is_heard() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(100_000)
        connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")

    with served(behave) as clamd, pytest.raises(NotScanned):
        clamd.scan(b"x" * 65_536 for _ in range(1_000))


def test_clean_before_the_end_is_not_believed() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(100_000)
        connection.sendall(b"stream: OK\0")
        time.sleep(0.2)

    def slowly() -> Iterator[bytes]:
        yield b"x" * 1000
        time.sleep(0.1)
        yield b"virus"

    with served(behave) as clamd, pytest.raises(ScannerDown):
        clamd.scan(slowly())


def silent(connection: socket.socket) -> None:
    time.sleep(3)


def dripping(connection: socket.socket) -> None:
    taken(connection)
    for octet in b"stream: " * 100:
        connection.sendall(bytes([octet]))
        time.sleep(0.05)


def deaf(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(3)


@pytest.mark.parametrize("behave", [silent, dripping, deaf])
def test_nothing_outlasts_its_time(behave: Behaviour) -> None:
    with served(behave) as clamd:
        began = time.monotonic()
        with pytest.raises(ScannerDown):
            clamd.scan(b"x" * 65_536 for _ in range(64))  # 4 MiB: a second more
        assert time.monotonic() - began < 2 * SHORT + 1.5
        began = time.monotonic()
        with pytest.raises(ScannerDown):
            clamd.version()
        assert time.monotonic() - began < 2 * SHORT + 0.5


@pytest.mark.parametrize("text", [b"", b"\0", b"ClamAV \xe9\0", b"PONG\0", b"ClamAV " + b"1" * 300 + b"\0"])
def test_what_is_no_clamd_is_down(text: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(text)

    with served(behave) as clamd, pytest.raises(ScannerDown):
        clamd.version()


@pytest.mark.parametrize("answer", [b"stream: OK\0", b"stream: X FOUND\0"])
def test_an_engine_that_says_the_same_of_everything_is_blind(answer: bytes) -> None:
    with served(answering(answer)) as clamd, pytest.raises(ScannerDown) as caught:
        clamd.prove()
    assert caught.value.code == "SCANNER_BLIND"


def test_no_more_files_at_once_than_is_settled() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def behave(connection: socket.socket) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        taken(connection)
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        connection.sendall(b"stream: OK\0")

    with served(behave) as clamd:
        threads = [threading.Thread(target=clamd.scan, args=((b"abc",),)) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 2 <= most[0] <= 4


def test_waiting_for_a_turn_counts() -> None:
    with served(silent) as clamd:
        ended: list[float] = []

        def scan() -> None:
            began = time.monotonic()
            with pytest.raises(ScannerDown):
                clamd.scan((b"abc",))
            ended.append(time.monotonic() - began)

        threads = [threading.Thread(target=scan) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ended) == 16
    assert max(ended) < 2 * SHORT + 0.3


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "localhost:", ":3310", "a:0", "a:70000", "a:b", "a:１", "tcp:a:1", "::1:3310", "a b:1"],
)
def test_addresses_that_lead_nowhere(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Clamd(ClamdConfig(address))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/run/clamd.ctl", "/run/clamd.ctl"),
        ("localhost:3310", ("localhost", 3310)),
        ("[::1]:3310", ("::1", 3310)),
    ],
)
def test_addresses(address: str, place: object) -> None:
    assert _place(address) == place


def test_nobody_listens(tmp_path: object) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ScannerDown):
            Clamd(ClamdConfig(f"127.0.0.1:{bound.getsockname()[1]}")).scan((b"",))
    with pytest.raises(ScannerDown):
        Clamd(ClamdConfig(f"{tmp_path}/no.sock")).version()
