"""Real servers in processes of their own: start, stop, several workers, uploads that are cut or too large."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from api.server import listen, serve
from vault.errors import SettingsRefused
from vault.settings import Settings

LIMIT = 8 << 20


@pytest.fixture(scope="module")
def running(start):
    return start(limit=LIMIT)


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.settimeout(20)
    return connection


def head(running, describe, length: int | None, key: str, *more: str) -> bytes:
    lines = [
        "POST /v1/attachments HTTP/1.1",
        f"Host: {running.url.removeprefix('http://')}",
        f"Authorization: {running.headers('Camille')['Authorization']}",
        f"Idempotency-Key: {key}",
        f"Probans-Document: {describe(file_name='gros.bin')}",
        f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_of(connection: socket.socket) -> tuple[int, dict]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    headers, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", headers.lower())[1])
    while len(body) < length:
        body += connection.recv(65536)
    return int(headers.split()[1]), json.loads(body)


def documents(running) -> int:
    with closing(sqlite3.connect(running.data / "probans.db")) as database:
        return database.execute("select count(*) from documents").fetchone()[0]


def spool_files(running) -> list[str]:
    """Files of the spool that the server still holds open, named or not, in memory or not."""
    held = Path(f"/proc/{running.process.pid}/fd")
    links = [str(entry.readlink()) for entry in held.iterdir() if entry.is_symlink()]
    return [link for link in links if "/spool/" in link or "memfd:spool" in link] + [
        str(each) for each in (running.data / "spool").iterdir()
    ]


def test_a_cut_upload_leaves_nothing(running, describe, soon):
    before = documents(running)
    connection = connect(running.url)
    connection.sendall(head(running, describe, 4_000_000, "cut") + b"x" * 2_000_000)
    soon(lambda: spool_files(running) != [])
    connection.close()
    soon(lambda: spool_files(running) == [])
    assert documents(running) == before
    soon(lambda: " status=499 " in running.errors.read_text())
    # The key is not consumed: the whole file goes in with it.
    headers = running.headers(
        "Camille", Idempotency_Key="cut", Probans_Document=describe(file_name="gros.bin")
    )
    whole = httpx.post(f"{running.url}/v1/attachments", content=b"x" * 4_000_000, headers=headers)
    assert whole.status_code == 201
    assert documents(running) == before + 1


def test_a_chunked_upload_that_ends_early_leaves_nothing(running, describe, soon):
    before = documents(running)
    connection = connect(running.url)
    connection.sendall(
        head(running, describe, None, "cut-chunks") + b"10000\r\n" + b"y" * 65_536 + b"\r\n5\r\nab"
    )
    soon(lambda: spool_files(running) != [])
    connection.close()
    soon(lambda: spool_files(running) == [])
    assert documents(running) == before


def test_an_upload_over_the_limit_is_refused_before_it_is_sent(running, describe):
    with closing(connect(running.url)) as connection:
        connection.sendall(head(running, describe, LIMIT + 1, "large"))
        status, body = answer_of(connection)
    assert (status, body["code"], body["params"]) == (413, "TOO_LARGE", {"limit": LIMIT})


def test_a_client_that_sends_first_and_reads_later_sees_the_refusal(running, describe):
    with closing(connect(running.url)) as connection:
        connection.sendall(head(running, describe, 3 * LIMIT, "large-2"))
        for _ in range(3 * LIMIT // 65_536):
            connection.sendall(b"z" * 65_536)
        assert answer_of(connection)[1]["code"] == "TOO_LARGE"
        # The rest was read and dropped: the connection goes on.
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {running.url[7:]}\r\n\r\n".encode())
        assert answer_of(connection) == (200, {"status": "ok"})


def test_an_unannounced_upload_is_counted(running, describe):
    def chunks():
        for _ in range(LIMIT // 65_536 + 8):
            yield b"c" * 65_536

    headers = running.headers(
        "Camille", Idempotency_Key="count", Probans_Document=describe(file_name="gros.bin")
    )
    answer = httpx.post(f"{running.url}/v1/attachments", content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert spool_files(running) == []


def test_a_refusal_comes_before_the_go_ahead(running, describe):
    with closing(connect(running.url)) as connection:
        connection.sendall(
            head(running, describe, 100, "go", "Expect: 100-continue").replace(b"Bearer ", b"Bearer x")
        )
        status, body = answer_of(connection)
    assert (status, body["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "octets",
    [
        b"NOT HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"POST /tsa HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /tsa HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 30 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_problem(running, octets):
    with closing(connect(running.url)) as connection:
        connection.sendall(octets)
        status, body = answer_of(connection)
    assert (status, body["code"]) == (400, "HTTP_INVALID")


def test_a_websocket_is_not_spoken(running):
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "13",
    }
    assert httpx.get(f"{running.url}/", headers=headers).status_code == 200


def test_a_large_file_goes_in_and_out_with_flat_memory(running, describe):
    def peak() -> int:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    big = running
    before = peak()
    size = LIMIT
    for number in range(6):
        body = bytes([number]) * size
        headers = big.headers(
            "Camille", Idempotency_Key=f"big-{number}", Probans_Document=describe(file_name="gros.bin")
        )
        made = httpx.post(f"{big.url}/v1/attachments", content=body, headers=headers, timeout=60).json()
        back = httpx.get(f"{big.url}{made['links']['original']}", headers=big.headers("Camille"), timeout=60)
        assert back.content == body
    assert peak() - before < 30 * 1024


def test_the_next_free_port_is_taken_and_an_occupied_one_is_not(running, tmp_path):
    taken = int(running.url.rsplit(":", 1)[1])
    with listen("127.0.0.1", taken) as other:
        assert taken < other.getsockname()[1] <= taken + 50
    with listen("127.0.0.1", 0) as any_port:
        assert any_port.getsockname()[1] > 0
    with pytest.raises(SettingsRefused):
        listen("203.0.113.1", 8000)
    # The tokens are printed: nobody but this machine may see the service in development.
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsRefused):
            serve(Settings(data=tmp_path / "data"), host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly(start, number):
    running = start()
    httpx.get(f"{running.url}/healthz")
    assert running.stop(number) == 0
    text = running.errors.read_text()
    assert "Traceback" not in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/healthz")


def test_several_workers_start_together_on_a_new_folder_and_replace_each_other(start, describe, soon):
    running = start(workers=3, limit=LIMIT)
    workers = {pid for pid in children(running.process.pid) if is_worker(pid)}
    assert len(workers) == 3
    first = running.headers("Camille", Probans_Document=describe(file_name="a.xml"))
    answers = [
        httpx.post(
            f"{running.url}/v1/attachments",
            content=b"<a/>",
            headers={**first, "Idempotency-Key": f"w{n // 2}"},
        )
        for n in range(12)
    ]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == documents(running) == 6
    text = httpx.get(f"{running.url}/metrics").text
    assert 'probans_requests_total{method="POST",route="/v1/attachments",status="201"} 12' in text
    assert "probans_processes 3" in text

    victim = next(iter(workers))
    os.kill(victim, signal.SIGKILL)
    soon(lambda: len({pid for pid in children(running.process.pid) if is_worker(pid)} - {victim}) == 3)
    soon(lambda: httpx.get(f"{running.url}/healthz", timeout=5).status_code == 200)
    assert running.stop() == 0
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers - {victim}))


def test_workers_end_with_their_parent(start, soon):
    running = start(workers=2)
    workers = [pid for pid in children(running.process.pid) if is_worker(pid)]
    running.stop(signal.SIGKILL)
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_folder_that_cannot_be_opened_ends_the_start(start, tmp_path):
    folder = tmp_path / "data"
    folder.write_text("not a folder")
    with pytest.raises(AssertionError):
        start(data=folder, workers=2)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
