"""One reference for a request: in the answer, the problem and every line of log; a proxy's where that is trusted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from vault.bootstrap import open_vault
from vault.observability.logs import REQUEST, JsonLines
from vault.service import Vault
from vault.settings import Settings

PROXY, STRANGER = ("198.51.100.9", 4711), ("203.0.113.5", 4711)
OWN = r"[0-9a-f]{16}"


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    data = tmp_path_factory.mktemp("ids") / "data"
    vault = open_vault(Settings(data=data, trusted_proxies="198.51.100.0/24"), background=False)
    yield vault
    vault.close()


def client_of(vault: Vault, peer: tuple[str, int]) -> TestClient:
    return TestClient(create_app(vault), base_url="http://127.0.0.1", client=peer)


def asked(vault: Vault, peer: tuple[str, int], *named: str) -> str:
    headers = [(b"X-Request-ID", each.encode()) for each in named]
    return client_of(vault, peer).get("/healthz", headers=headers).headers["x-request-id"]


def test_a_trusted_proxys_reference_is_taken_over(safe: Vault) -> None:
    assert asked(safe, PROXY, "edge-7f.3_A") == "edge-7f.3_A"


@pytest.mark.parametrize(
    "named",
    [
        ("short",),
        ("x" * 65,),
        ("with space",),
        ('quote"quote',),
        ("é" * 8,),
        ("a" * 8, "b" * 8),
        ("",),
        ("a\tbcdefgh",),
    ],
    ids=range(8),
)
def test_what_is_not_well_formed_is_not(safe: Vault, named: tuple[str, ...]) -> None:
    found = asked(safe, PROXY, *named)
    assert found not in named
    assert len(found) == 16


def test_nobody_elses_is(safe: Vault) -> None:
    assert asked(safe, STRANGER, "edge-7f.3_A") != "edge-7f.3_A"


def test_the_answer_the_problem_and_the_log_name_the_same(
    safe: Vault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def describe(*_: object) -> None:
        seen.append(REQUEST.get())
        raise OSError("Camille Exemple")

    monkeypatch.setattr(safe.reading, "describe", describe)
    token = safe.personas.named("camille").token
    headers = {"X-Request-ID": "edge-000001", "Authorization": f"Bearer {token}"}
    client = TestClient(
        create_app(safe), base_url="http://127.0.0.1", client=PROXY, raise_server_exceptions=False
    )
    with caplog.at_level(logging.INFO, "probans"):
        answer = client.get("/v1/documents/doc_x", headers=headers)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "edge-000001"
    assert seen == ["edge-000001"], "threads that answer know it too"
    lines = [json.loads(JsonLines().format(each)) for each in caplog.records if each.name == "probans.access"]
    assert [line["request"] for line in lines] == ["edge-000001"]


def test_requests_beside_each_other_keep_their_own(safe: Vault, tmp_path: Path) -> None:
    client = client_of(safe, STRANGER)
    references = {client.get("/healthz").headers["x-request-id"] for _ in range(20)}
    assert len(references) == 20
