"""What lies below the packages: exchanges that end in time, files that are whole or absent, locks."""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import urllib3

from plumbing import disk
from plumbing.addresses import is_loopback
from plumbing.deadlines import Wire, limited
from plumbing.kept import cut_after, timed_session
from plumbing.locks import if_free, in_turn, lock_file
from plumbing.once import connected, read_whole, target
from tests.services.answering import Serve, answering

LIMIT = 0.5
HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "silence": (b"", b""),
    "status line": (b"", b"H"),
    "headers": (HEAD, b"X"),
    "body": (HEAD + b"Content-Length: 900\r\n\r\n", b"x"),
    "body without length": (HEAD + b"Connection: close\r\n\r\n", b"x"),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    with answering() as do:
        yield do


def once(url: str, most: int = 10_000) -> bytes:
    parts, deadline = urlsplit(url), time.monotonic() + LIMIT
    with connected(parts, deadline) as connection:
        connection.request("GET", target(parts))
        return read_whole(connection.getresponse(), most, deadline)


def kept(url: str) -> bytes:
    with cut_after(LIMIT) as exchange, timed_session().get(url, timeout=LIMIT, stream=True) as answer:
        body = b""
        while chunk := answer.raw.read1(1000, decode_content=False):
            body += chunk
        exchange.demand_time()
        return body


@pytest.mark.parametrize("ask", [once, kept])
def test_an_answer_comes_whole(serve: Serve, ask: Callable[[str], bytes]) -> None:
    assert ask(serve(HEAD + b"Content-Length: 5\r\n\r\nhello")) == b"hello"


@pytest.mark.parametrize("ask", [once, kept])
@pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS.keys())
def test_octets_now_and_then_cost_one_limit(
    serve: Serve, ask: Callable[[str], bytes], drip: tuple[bytes, bytes]
) -> None:
    at_once, now_and_then = drip
    url = serve(at_once, *[now_and_then] * 100, pause=0.05)
    begun = time.monotonic()
    with pytest.raises(
        (OSError, http.client.HTTPException, requests.RequestException, urllib3.exceptions.HTTPError)
    ):
        ask(url)
    assert time.monotonic() - begun < LIMIT + 1.0


@pytest.mark.parametrize(
    "body", [b"Content-Length: 9\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"]
)
def test_a_body_that_is_cut_is_no_answer(serve: Serve, body: bytes) -> None:
    with pytest.raises(http.client.IncompleteRead):
        once(serve(HEAD + body))


def test_a_body_may_be_as_long_as_said_and_not_longer(serve: Serve) -> None:
    url = serve(HEAD + b"Content-Length: 50000\r\n\r\n" + bytes(50_000))
    assert len(once(url, 50_000)) == 50_000
    with pytest.raises(ValueError, match="too long"):
        once(url, 49_999)


def test_the_address_given_is_called_whatever_the_name_says(serve: Serve) -> None:
    port = urlsplit(serve(HEAD + b"Content-Length: 2\r\n\r\nok")).port
    parts, deadline = urlsplit(f"http://nowhere.invalid:{port}"), time.monotonic() + 5
    with connected(parts, deadline, address="127.0.0.1") as connection:
        connection.request("GET", target(parts))
        assert read_whole(connection.getresponse(), 10, deadline) == b"ok"


def test_what_is_used_after_its_time_is_refused_and_what_has_ended_is_not_cut() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with limited(time.monotonic() + 5) as early:
            early.use(Wire(ours))
        early.cut()
        assert not early.over
        with limited(time.monotonic()) as late:
            deadline = time.monotonic() + 5
            while not late.over and time.monotonic() < deadline:
                time.sleep(0.01)
            with pytest.raises(TimeoutError):
                late.use(Wire(ours))
            with pytest.raises(TimeoutError):
                late.demand_time()
        theirs.sendall(b"still open")
        assert ours.recv(100) == b"still open"


def test_the_thread_goes_when_nothing_is_left_and_comes_again() -> None:
    def watching() -> bool:
        return any(thread.name == "deadlines" for thread in threading.enumerate())

    for _ in range(2):
        with limited(time.monotonic() + 60):
            assert watching()
        deadline = time.monotonic() + 5
        while watching() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not watching()


def test_exchanges_are_limited_in_a_forked_process_too() -> None:
    with limited(time.monotonic() + 60):
        pid = os.fork()
        if pid == 0:
            ours, theirs = socket.socketpair()
            with limited(time.monotonic() + 0.1) as exchange:
                exchange.use(Wire(ours))
                ours.settimeout(5)
                os._exit(0 if ours.recv(1) == b"" and exchange.over and theirs else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_file_is_made_once_and_replaced_whole(tmp_path: Path) -> None:
    path, former = tmp_path / "key", os.umask(0o077)
    try:
        disk.create_durably(path, b"first")
        with pytest.raises(FileExistsError):
            disk.create_durably(path, b"second")
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
        disk.replace_durably(path, b"third", 0o644)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"third", 0o644)
    finally:
        os.umask(former)
    assert [each.name for each in tmp_path.iterdir()] == ["key"], "nothing is left beside it"


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    (tmp_path / ".key.new").write_bytes(b"half of a secret")
    disk.replace_durably(path, b"whole", alone=True)
    assert path.read_bytes() == b"whole"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    disk.replace_durably(path, b"old")

    def full(_fd: int, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        disk.replace_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_octets_are_on_the_disk_before_their_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    flush, rename = os.fsync, Path.replace

    def synced(fd: int) -> None:
        seen.append("folder" if Path(f"/proc/self/fd/{fd}").is_dir() else "file")
        flush(fd)

    def renamed(self: Path, place: Path) -> Path:
        seen.append("name")
        return rename(self, place)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    disk.replace_durably(tmp_path / "file", b"content")
    assert seen == ["file", "name", "folder"]


def test_a_file_in_memory_can_be_read_by_its_descriptor() -> None:
    with disk.in_memory(b"x" * 100_000, "test") as descriptor:
        assert os.pread(descriptor, 200_000, 0) == b"x" * 100_000


def test_locks_wait_or_tell(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with in_turn(lock_file(path)), if_free(lock_file(path)) as held:
        assert not held
    with (
        if_free(lock_file(path), fcntl.LOCK_SH) as one,
        if_free(lock_file(path), fcntl.LOCK_SH) as other,
        if_free(lock_file(path)) as alone,
    ):
        assert (one, other, alone) == (True, True, False)


def test_which_names_can_only_mean_this_machine() -> None:
    for name in ("localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]"):
        assert is_loopback(name)
    for name in ("", "localhost.example", "128.0.0.1", "::2", "0.0.0.0", "127.0.0.1.example"):
        assert not is_loopback(name)
