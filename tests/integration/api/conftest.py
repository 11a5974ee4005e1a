"""One safe and its HTTP application for all tests of this folder; real servers are started where they matter."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from vault.bootstrap import open_vault
from vault.service import Vault
from vault.settings import Settings

SERVE = """
import pathlib, sys
from api.server import serve
from vault.settings import Settings
if __name__ == "__main__":
    serve(Settings(data=pathlib.Path(sys.argv[1]), publish_interval=0.05, max_upload_bytes=int(sys.argv[4])),
          "127.0.0.1", int(sys.argv[2]), int(sys.argv[3]))
"""


@pytest.fixture(scope="session")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    opened = open_vault(
        Settings(
            data=tmp_path_factory.mktemp("safe") / "data", publish_interval=0.05, max_upload_bytes=300_000
        )
    )
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def app(safe: Vault):
    return create_app(safe)


@pytest.fixture
def client(app) -> TestClient:
    # The development identities answer this machine alone.
    here = ("127.0.0.1", 50000)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, client=here)


@pytest.fixture(scope="session")
def bearer(safe: Vault) -> Callable[..., dict[str, str]]:
    def headers(persona: str, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {safe.personas.named(persona).token}", **named}

    return headers


def described(**members: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


@pytest.fixture(scope="session")
def describe() -> Callable[..., str]:
    return described


@pytest.fixture
def issue(client: TestClient, bearer, act_pdf: bytes) -> Callable[..., httpx.Response]:
    def do(
        key: str, content: bytes = act_pdf, persona: str = "agent-etat-civil", **members: object
    ) -> httpx.Response:
        said = {"holder": "camille", "title": "Acte de naissance", "file_name": "acte.pdf", **members}
        headers = bearer(persona, Idempotency_Key=key, Probans_Document=described(**said))
        return client.post("/v1/acts", content=content, headers=headers)

    return do


@pytest.fixture
def deposit(client: TestClient, bearer) -> Callable[..., httpx.Response]:
    def do(
        key: str, content: bytes = b"<a>\xc3\xa9</a>", persona: str = "camille", **members: object
    ) -> httpx.Response:
        said = {"file_name": "demande.xml", **members}
        headers = bearer(persona, Idempotency_Key=key, Probans_Document=described(**said))
        return client.post("/v1/attachments", content=content, headers=headers)

    return do


@dataclass
class Running:
    """A server in processes of its own."""

    process: subprocess.Popen[str]
    url: str
    tokens: dict[str, str]
    data: Path
    errors: Path

    def headers(self, persona: str, **more: str) -> dict[str, str]:
        token = next(token for label, token in self.tokens.items() if label.startswith(persona))
        return {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in more.items()}}

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start servers; they are stopped at the end of the module."""
    running: list[Running] = []

    def do(data: Path | None = None, port: int = 0, workers: int = 1, limit: int = 1 << 30) -> Running:
        folder = data or tmp_path_factory.mktemp("served") / "data"
        script = folder.parent / "serve.py"
        script.write_text(SERVE)
        errors = folder.parent / f"stderr-{len(running)}"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(script), str(folder), str(port), str(workers), str(limit)],
                stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        url, tokens = _read_start(process, errors)
        running.append(Running(process, url, tokens, folder, errors))
        return running[-1]

    yield do
    for each in running:
        each.stop()


def _read_start(process: subprocess.Popen[str], errors: Path) -> tuple[str, dict[str, str]]:
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        first = process.stdout.readline()
        match = re.fullmatch(r"Probans: (http://127\.0\.0\.1:\d+)\n", first)
        assert match, first + errors.read_text()
        tokens = dict(process.stdout.readline().strip().rsplit(": ", 1) for _ in range(7))
    finally:
        watchdog.cancel()
    return match[1], tokens


def eventually(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def soon() -> Callable[..., None]:
    return eventually
