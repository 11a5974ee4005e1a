"""OpenSSL asks the served authority over HTTP and judges its answers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("openssl")
PROBANS = Path(sys.executable).with_name("probans")


@pytest.fixture(scope="module")
def asked(demonstration: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], bytes]]:
    """Posts a query to `/tsa` of a running `probans serve` and gives the answer."""
    data = Path(shutil.copytree(demonstration / "data", tmp_path_factory.mktemp("served") / "data"))
    server = subprocess.Popen(
        [PROBANS, "serve", "--data", data, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().partition(": ")[2].strip()
        assert address.startswith("http://127.0.0.1:")

        def ask(query: Path) -> bytes:
            headers = {"Content-Type": "application/timestamp-query"}
            request = urllib.request.Request(f"{address}/tsa", query.read_bytes(), headers)
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.headers["Content-Type"] == "application/timestamp-reply"
                content: bytes = answer.read()
            return content

        yield ask
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)


@pytest.mark.parametrize(
    "options", [("-sha256", "-cert"), ("-sha512", "-cert"), ("-sha256", "-no_nonce", "-cert")]
)
def test_openssl_asks_over_http_and_accepts(
    options: tuple[str, ...],
    asked: Callable[[Path], bytes],
    demonstration: Path,
    openssl: Any,
    tmp_path: Path,
) -> None:
    data, query, reply = demonstration / "act.pdf", tmp_path / "query", tmp_path / "reply"
    assert openssl("ts", "-query", "-data", data, *options, "-out", query).returncode == 0
    reply.write_bytes(asked(query))
    assert "Status: Granted." in openssl("ts", "-reply", "-in", reply, "-text").stdout
    roots = demonstration / "trust/roots.pem"
    for against in (("-queryfile", query), ("-data", data)):
        done = openssl("ts", "-verify", "-in", reply, *against, "-CAfile", roots)
        assert "Verification: OK" in done.stdout, done.stderr
    other = openssl("ts", "-verify", "-in", reply, "-data", demonstration / "act.asice", "-CAfile", roots)
    assert "Verification: FAILED" in other.stdout


def test_openssl_reads_a_refusal(asked: Callable[[Path], bytes], openssl: Any, tmp_path: Path) -> None:
    query, reply = tmp_path / "query", tmp_path / "reply"
    query.write_bytes(b"data")
    openssl("ts", "-query", "-data", query, "-sha1", "-out", query)
    reply.write_bytes(asked(query))
    assert "Status: Rejected." in openssl("ts", "-reply", "-in", reply, "-text").stdout
