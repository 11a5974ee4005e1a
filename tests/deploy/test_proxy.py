"""The proxy of deploy/nginx in front of the real service: TLS, streams that leave nothing behind, headers of nobody."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.client import encoded
from tests.e2e.harness.samples import ADMINISTRATION, HOLDER
from tests.e2e.harness.server import Server
from tests.services.nginx import Proxy

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.needs("openssl")]

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MIB = 1 << 20


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/secrets.sh draws."""
    folder = tmp_path_factory.mktemp("deploy")
    folder.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "FOLDER": str(folder)}
    subprocess.run([DEPLOY / "secrets.sh", "localhost"], check=True, env=environment, timeout=60)
    return folder


@pytest.fixture(scope="module")
def served(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "ADDRESS": "https://localhost",
        "TRUSTED_PROXIES": "127.0.0.1",
        "CLIENT_CERTIFICATE_HEADER": "X-Client-Certificate",
    }
    server = Server(tmp_path_factory.mktemp("service") / "data", settings=settings)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxy(secrets: Path, served: Server) -> Iterator[Proxy]:
    running = Proxy(secrets / "secrets", f"{served.host}:{served.port}")
    yield running
    running.stop()


def ask(proxy: Proxy, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=60, context=proxy.trust())
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_pages_come_over_tls_with_the_service_s_own_headers(proxy: Proxy) -> None:
    status, headers, body = ask(proxy, "GET", "/")
    assert status == 200
    assert b"Probans" in body
    assert "default-src" in headers["Content-Security-Policy"]
    assert headers["Server"] == "nginx"  # without its version


def test_nothing_of_an_upload_or_a_download_lies_on_the_proxy_s_disk(proxy: Proxy, served: Server) -> None:
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.update(proxy.held_files())
            time.sleep(0.02)

    def octets() -> Iterator[bytes]:
        for number in range(24):
            yield bytes([number]) * MIB
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        authorization = f"Bearer {served.tokens[HOLDER]}"
        status, _, body = ask(
            proxy,
            "POST",
            "/v1/attachments",
            octets(),
            Authorization=authorization,
            Probans_Document=encoded({"title": "large", "file_name": "large.bin"}),
            Idempotency_Key="through-the-proxy",
            Content_Length=str(24 * MIB),
        )
        assert status == 201, body
        document = json.loads(body)["id"]
        status, _, part = ask(
            proxy,
            "GET",
            f"/v1/documents/{document}/original",
            Authorization=authorization,
            Probans_Purpose="consultation",
        )
        assert status == 200
        assert len(part) == 24 * MIB
        status, _, part = ask(
            proxy,
            "GET",
            f"/v1/documents/{document}/original",
            Authorization=authorization,
            Probans_Purpose="consultation",
            Range=f"bytes={MIB}-{MIB + 3}",
        )
        assert (status, part) == (206, b"\x01" * 4)
    finally:
        over.set()
        watcher.join()
    assert not seen


def test_monitoring_is_not_for_the_public(proxy: Proxy) -> None:
    assert ask(proxy, "GET", "/metrics")[0] == 404
    assert ask(proxy, "GET", "/healthz")[0] == 200


def test_a_buffer_would_be_seen(proxy: Proxy) -> None:
    planted = proxy.folder / "tmp" / "nginx-body" / "0000000001"
    planted.write_bytes(b"a file in clear")
    try:
        assert proxy.held_files() == [str(planted)]
    finally:
        planted.unlink()


@pytest.fixture(scope="module")
def client_certificate(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A system's certificate, of the authority that the proxy believes: until there is one, its own."""
    folder = tmp_path_factory.mktemp("system")
    key, certificate = folder / "system.key", folder / "system.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-days", "30", "-subj", "/CN=software", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *subject], check=True, capture_output=True, timeout=60)
    (secrets / "secrets" / "systems_ca").write_bytes(certificate.read_bytes())
    return certificate, key


def test_a_system_s_certificate_counts_and_a_header_with_it_does_not(
    client_certificate: tuple[Path, Path], secrets: Path, served: Server
) -> None:
    certificate, key = client_certificate
    added = subprocess.run(
        [
            Path(sys.executable).with_name("probans"), "systems", "add", "--data", str(served.log.parent / "data"),
            "--administration", ADMINISTRATION, "--service", "etat-civil", "--name", "software",
            "--scope", "acts:issue", "--certificate", str(certificate),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    client = next(word for word in added.stdout.split() if word.startswith("sys_"))
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client})
    typed = {"Content_Type": "application/x-www-form-urlencoded"}
    running = Proxy(secrets / "secrets", f"{served.host}:{served.port}")
    try:
        escaped = urllib.parse.quote(certificate.read_text())
        forged = {"X_Client_Certificate": escaped, "X_Forwarded_For": "127.0.0.1"}
        status, _, body = ask(running, "POST", "/v1/token", form, **typed, **forged)
        assert (status, json.loads(body)["error"]) == (401, "invalid_client")
        running.trust_of_client = (certificate, key)
        status, _, body = ask(running, "POST", "/v1/token", form, **typed)
        assert status == 200, body
        assert json.loads(body)["access_token"]
    finally:
        running.stop()


def test_a_service_that_is_away_is_told_as_a_problem(secrets: Path) -> None:
    running = Proxy(secrets / "secrets", "127.0.0.1:9")
    try:
        status, headers, body = ask(running, "GET", "/v1/documents")
        assert status == 503
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["Retry-After"] == "5"
        assert json.loads(body)["code"] == "SERVICE_UNREACHABLE"
    finally:
        running.stop()


def test_the_proxy_s_log_tells_nobody_s_business(proxy: Proxy) -> None:
    ask(proxy, "GET", "/v1/documents/doc_00000000000000000000000000?holder=marker-camille")
    deadline = time.monotonic() + 10
    # nginx writes the line after the answer has left.
    while " 401 GET " not in (text := proxy.log.read_text("utf-8")):
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    assert "marker" not in text
    assert "doc_" not in text
    assert "127.0.0.1" not in text
