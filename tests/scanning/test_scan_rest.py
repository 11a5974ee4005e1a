"""What REST says of the antivirus: refusals with their words, states, and when to come back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from api.app import create_app
from tests.integration.access.asking import Client
from tests.services.clamd import EICAR, Daemon
from vault.service import Vault

pytestmark = pytest.mark.needs("clamd")


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def rest(opened: Callable[..., Vault], clients: list[Client]) -> Callable[..., Client]:
    """The application of a safe at a clamd."""

    def do(address: str, **more: object) -> Client:
        vault = opened(address, **more)
        clients.append(Client(create_app(vault), vault))
        return clients[-1]

    return do


def post(client: Client, key: str, content: bytes) -> httpx.Response:
    said = base64.urlsafe_b64encode(json.dumps({"file_name": "p.txt"}).encode()).decode().rstrip("=")
    headers = {**bearer(client), "Probans-Document": said, "Idempotency-Key": key}
    return client.request("POST", "/v1/attachments", headers=headers, content=content)


def bearer(client: Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {client._vault.personas.named('camille').token}"}


def described(client: Client, document: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.request("GET", f"/v1/documents/{document}", headers=bearer(client)).json()
    return answer


def test_an_infected_upload(rest: Callable[..., Client], clamd_daemon: Daemon) -> None:
    client = rest(clamd_daemon.address)
    answer = post(client, "k", b"x" + EICAR)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (422, "SCAN_INFECTED")
    assert "Probans.Test.Eicar.UNOFFICIAL" in said["title_fr"]
    assert "Probans.Test.Eicar.UNOFFICIAL" in said["title_en"]
    clean = post(client, "k", b"clean")
    assert clean.status_code == 201
    assert described(client, clean.json()["id"])["scan"] == "clean"
    ready = client.request("GET", "/readyz").json()
    assert ready["parts"]["scanner"]["ok"], ready


def test_while_the_engine_is_down(rest: Callable[..., Client], daemon: Daemon) -> None:
    client = rest(daemon.address)
    daemon.stop()
    taken = post(client, "k", b"waits")
    assert taken.status_code == 201
    said = described(client, taken.json()["id"])
    assert (said["scan"], said["scan_reason"], said["published"]) == ("pending", "engine-down", True)
    ready = client.request("GET", "/readyz")
    assert not ready.json()["parts"]["scanner"]["ok"]
    assert ready.status_code == 200, "files wait, the service does not"


def test_where_it_is_needed(rest: Callable[..., Client], daemon: Daemon) -> None:
    client = rest(daemon.address, scan_when_down="refuse")
    daemon.stop()
    answer = post(client, "k", b"refused")
    assert (answer.status_code, answer.json()["code"]) == (503, "SCANNER_DOWN")
    assert int(answer.headers["Retry-After"]) > 0
    assert client.request("GET", "/readyz").status_code == 503
