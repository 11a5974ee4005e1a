"""Acts that come at the same moment over HTTP are issued together, and each request is answered for itself."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from api import gathering
from api.app import create_app
from api.v1.issuing import is_all_here
from vault.bootstrap import open_vault
from vault.domain.actors import Actor
from vault.people.system_keys import read_keys
from vault.people.system_registry import SystemRegistry
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture
def town(tmp_path) -> Iterator[Vault]:
    with closing(open_vault(Settings(data=tmp_path / "data", publish_interval=0.05))) as vault:
        yield vault


@pytest.fixture
def token(town: Vault) -> Callable[[], str]:
    """A token of a software of its own, each time."""

    def give() -> str:
        key, parts = ECKey.generate_key("P-256"), town.parts
        registry = SystemRegistry(parts.database, parts.records, parts.clock)
        client = registry.add(
            administration_id="mairie-specimen",
            service="",
            name="Logiciel",
            scopes=["acts:issue"],
            keys=read_keys(key.as_pem(private=False)),
        ).client_id
        now = int(datetime.now(UTC).timestamp())
        said = {"iss": client, "sub": client, "aud": "here", "iat": now, "exp": now + 60, "jti": client}
        return town.people.systems.by_assertion(jwt.encode({"alg": "ES256"}, said, key), {"here"}).token

    return give


@pytest.fixture
def groups(town: Vault, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Actor, int]]:
    """Whose acts were issued together, and how many."""
    found: list[tuple[Actor, int]] = []
    issue_all = town.issuing.issue_all

    def noting(actor: Actor, administration_id: str, acts: Any) -> Any:
        found.append((actor, len(acts)))
        return issue_all(actor, administration_id, acts)

    monkeypatch.setattr(town.issuing, "issue_all", noting)
    return found


def asked(token: str, key: str | None, holder: str = "camille") -> dict[str, str]:
    said = {"holder": holder, "title": "Attestation", "file_name": "a.pdf", "document_type": "attestation"}
    described = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    headers = {"Authorization": f"Bearer {token}", "Probans-Document": described}
    return headers if key is None else {**headers, "Idempotency-Key": key}


def at_once(vault: Vault, content: bytes, *requests: dict[str, str]) -> list[httpx.Response]:
    """Send the first request, and the others while it is being answered."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(vault))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            gate = threading.Event()
            issue_all = vault.issuing.issue_all

            def held(*arguments: Any) -> Any:
                gate.wait(20)
                return issue_all(*arguments)

            vault.issuing.issue_all = held  # type: ignore[method-assign]
            try:
                sent = []
                for headers in requests:
                    sent.append(
                        asyncio.create_task(client.post("/v1/acts", content=content, headers=headers))
                    )
                    await asyncio.sleep(0.3 if len(sent) == 1 else 0.05)
                gate.set()
                return await asyncio.gather(*sent)
            finally:
                vault.issuing.issue_all = issue_all  # type: ignore[method-assign]

    return asyncio.run(main())


def test_acts_of_one_caller_that_wait_are_issued_together_and_answered_one_by_one(
    town, token, groups, act_pdf, monkeypatch
):
    monkeypatch.setattr(gathering, "PATIENCE", (0.0, 60.0))
    mine, other = token(), token()
    answers = at_once(
        town,
        act_pdf,
        asked(mine, "first"),
        asked(mine, "second"),
        asked(mine, "third"),
        asked(mine, None),
        asked(mine, "fourth", holder="nobody-at-all"),
        asked("pst_" + "x" * 43, "fifth"),
        asked(mine, "second"),
        asked(other, "second"),
    )
    told = [(each.status_code, each.json().get("code")) for each in answers]
    assert told == [
        (201, None),
        (201, None),
        (201, None),
        (400, "IDEMPOTENCY_KEY_REQUIRED"),
        (404, "UNKNOWN_HOLDER"),
        (401, "UNAUTHENTICATED"),
        (409, "TWIN_RUNNING"),
        (201, None),
    ]
    documents = {each.json()["id"] for each in answers if each.status_code == 201}
    assert len(documents) == 4
    assert len({each.headers["x-request-id"] for each in answers}) == len(answers)
    assert [count for _, count in groups] == [1, 4, 1]
    assert groups[0][0] == groups[1][0] != groups[2][0]


def test_what_is_asked_outside_keeps_acts_apart(town, monkeypatch):
    assert is_all_here(town)
    assert create_app(town).state.gathering is not None
    for change in (
        lambda: monkeypatch.setattr(town, "authority", None),
        lambda: monkeypatch.setattr(town.parts, "antivirus", object()),
        lambda: monkeypatch.setattr(town.parts, "sites", object()),
        lambda: monkeypatch.setattr(town.parts.pki, "overview", lambda: [SimpleNamespace(source="token")]),
    ):
        change()
        assert not is_all_here(town)
        assert create_app(town).state.gathering is None
        monkeypatch.undo()
    assert is_all_here(town)
