"""`/readyz` says which part is down; 503 only for what the service cannot keep its promises without."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from storage.errors import StorageUnavailable
from tests.services.timestamps import Outside
from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Unavailable
from vault.observability.health import Readiness
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    made = Outside("ailleurs")
    yield made
    made.close()


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("ready")
    chosen = Settings(data=folder / "data", tsa_url=outside.url, tsa_trust=outside.anchors(folder))
    vault = open_vault(chosen, background=False)
    yield vault
    vault.close()


@pytest.fixture
def client(safe: Vault) -> TestClient:
    return TestClient(create_app(safe), base_url="http://127.0.0.1")


def test_all_is_well(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    parts = answer.json()["parts"]
    assert set(parts) >= {"database", "storage", "ledger", "witnesses", "timestamps", "keys", "tasks"}
    for part in parts.values():
        assert set(part) == {"ok", "needed", "note", "since"}
        assert part["since"].endswith("Z")


def test_timestamps_down_is_said_and_takes_nobody_out_of_service(
    client: TestClient, safe: Vault, outside: Outside, act_pdf: bytes
) -> None:
    outside.mode = "down"
    agent = safe.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
    for number in range(2):
        safe.issuing.issue(agent, "mairie-specimen", new, iter((act_pdf,)), Transfer(f"k{number}"))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    part = answer.json()["parts"]["timestamps"]
    assert (part["ok"], part["needed"]) == (False, False)
    assert "TSA_UNAVAILABLE" in part["note"]
    outside.mode = "well"


@pytest.mark.parametrize(
    ("place", "name", "part", "error"),
    [
        ("parts.database", "reading", "database", Unavailable("DATABASE_UNAVAILABLE")),
        ("parts.log", "get", "storage", StorageUnavailable("/secret/place")),
    ],
)
def test_what_promises_need_takes_it_out_of_service(
    client: TestClient,
    safe: Vault,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    name: str,
    part: str,
    error: Exception,
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise error

    target = safe
    for step in place.split("."):
        target = getattr(target, step)
    monkeypatch.setattr(target, name, gone)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    told = answer.json()["parts"][part]
    assert (told["ok"], told["needed"]) == (False, True)
    assert "secret" not in answer.text


def test_a_ledger_that_is_published_no_more_takes_it_out_of_service(tmp_path: Path, act_pdf: bytes) -> None:
    # A safe of its own: what ends publication ends it for good.
    chosen = Settings(data=tmp_path / "data", publish_interval=0.05)
    with closing(open_vault(chosen, background=False)) as safe:
        client = TestClient(create_app(safe), base_url="http://127.0.0.1")
        assert safe.publisher.wait(1, 10.0)
        assert client.get("/readyz").json()["parts"]["ledger"]["ok"]
        entries = tmp_path / "data" / "ledger" / "tile" / "entries" / "000.p"
        for size in range(1, 256):
            path = entries / str(size)
            if not path.exists():
                path.write_bytes(b"of somebody else")
        agent = safe.personas.named("agent-etat-civil").actor
        new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
        safe.issuing.issue(agent, "mairie-specimen", new, iter((act_pdf,)), Transfer("k"))
        deadline = time.monotonic() + 10
        while safe.publisher.failure is None and time.monotonic() < deadline:
            time.sleep(0.02)
        answer = client.get("/readyz")
        part = answer.json()["parts"]["ledger"]
        assert (answer.status_code, part["ok"], part["needed"]) == (503, False, True)
        assert part["note"] == "LOG_STORE_CONFLICT"


def test_a_part_that_hangs_is_down_within_the_limit(
    client: TestClient, safe: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(safe, "_readiness", Readiness(safe.parts.clock, 0.5))
    monkeypatch.setattr(safe.parts.objects, "durability", lambda: free.wait(30))
    begun = time.monotonic()
    answer = client.get("/readyz")
    assert time.monotonic() - begun < 3
    assert answer.status_code == 503
    assert answer.json()["parts"]["storage"]["note"] == "no answer within 0.5 s"
    assert answer.json()["parts"]["database"]["ok"]
    free.set()


def test_readiness_names_nobody(client: TestClient, tmp_path: Path) -> None:
    text = client.get("/readyz").text
    assert "camille" not in text
    assert "127.0.0.1" not in text
    assert str(tmp_path.parent) not in text
