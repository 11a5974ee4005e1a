"""What an antivirus has not called clean leaves by no route: each one of the running application is asked."""

from __future__ import annotations

import io
import zipfile

import pytest
from sqlalchemy import insert, update

from tests.integration.access.asked import described
from tests.integration.access.asking import send
from tests.integration.access.facts import PURPOSE, TYPE, Caller, Thing
from tests.integration.access.recipes import RECIPES, Route
from tests.integration.access.test_access_journalled import OTHERWISE, readers
from tests.integration.access.test_access_measured import RULED
from tests.integration.access.world import World
from vault.access import Action
from vault.db import models
from vault.domain.actors import Role
from vault.domain.requests import Answer, NewAnswer
from vault.errors import Conflict

GIVES = frozenset({Action.READ, Action.COPY, Action.EVIDENCE})
CODES = {"pending": "SCAN_PENDING", "infected": "DOCUMENT_INFECTED"}
CONTENT = sorted(route for route, action in RULED.items() if action in GIVES)
# A verdict on the original, and no octet of it.
JUDGED = [
    route for route in RULED if route[1].startswith("/v1/shared/") and route[1].endswith("/verification")
]
SECRET = b"octets that no antivirus has looked at"


def mark(world: World, document: str, state: str) -> None:
    """Have an antivirus say that of a document."""
    row = {
        "document_id": document, "verdict": state, "engine": "", "looked_at": "2026-01-01T00:00:00.000Z",
        "reason": "engine-down" if state == "pending" else "", "found": "Virus" if state == "infected" else "",
    }  # fmt: skip
    with world.vault.parts.database.writing() as connection:
        connection.execute(
            update(models.documents).where(models.documents.c.id == document).values(scan=state)
        )
        connection.execute(insert(models.document_scans), row)


def test_the_routes_that_give_contents_are_known() -> None:
    assert len(CONTENT) >= 10
    assert not set(CONTENT) & set(OTHERWISE)


@pytest.mark.parametrize("state", CODES)
@pytest.mark.parametrize("route", CONTENT, ids=" ".join)
def test_no_route_gives_it(world: World, act_pdf: bytes, route: Route, state: str) -> None:
    asked = 0
    for caller, thing in list(readers(world, route, act_pdf)):
        mark(world, thing.ids["document_id"], state)
        answer = send(world.client, caller, RECIPES[route].ask(route, world, thing, caller), world.key())
        assert answer.status_code == 409, (caller.label, answer.text)
        if answer.headers["content-type"] == "application/problem+json":
            assert answer.json()["code"] == CODES[state]
            assert answer.headers.get("Retry-After") == ("30" if state == "pending" else None)
        else:
            assert "antivirus" in answer.text
        asked += 1
    assert asked


@pytest.mark.parametrize("state", CODES)
def test_who_brought_it_has_it_while_it_waits(world: World, state: str) -> None:
    piece, headers = (
        world.deposit("camille"),
        {"Authorization": f"Bearer {world.token('camille')}"},
    )
    mark(world, piece, state)
    for path in ("original", "evidence"):
        answer = world.client.request("GET", f"/v1/documents/{piece}/{path}", headers=headers)
        assert answer.is_success is (state == "pending"), answer.text
    said = world.ask("GET", f"/v1/documents/{piece}", token=world.token("camille"))
    assert (said["scan"], said["published"], said["withheld"]) == (
        state, state == "pending", None if state == "pending" else "DOCUMENT_INFECTED",
    )  # fmt: skip
    assert said["scan_reason"] == ("engine-down" if state == "pending" else None)


@pytest.mark.parametrize("state", CODES)
def test_it_is_not_given_onwards(world: World, state: str) -> None:
    """Neither in a share, new or old, nor in answer to a request; nor do pages offer it."""
    piece = world.deposit("camille")
    share = world.share("camille", [piece], "original", "evidence")
    opened = world.ask("POST", "/v1/shares/opening", {"code": share["code"], "secret": share["secret"]})
    mark(world, piece, state)
    seen = world.ask("GET", "/v1/shared/documents", token=opened["access_token"])["documents"][0]
    assert (seen["withheld"], seen["links"]["original"], seen["links"]["evidence"]) == (
        CODES[state],
        None,
        None,
    )
    for route in JUDGED:
        answer = world.client.request(
            route[0],
            route[1].format(document_id=piece),
            headers={"Authorization": f"Bearer {opened['access_token']}"},
        )
        assert answer.json()["code"] == CODES[state]
    with pytest.raises(AssertionError, match=CODES[state]):
        world.share("camille", [piece], "original")
    request = world.request("camille", "describe", "read")
    answers = world.vault.people.tell_once.answers
    with pytest.raises(Conflict) as refused:
        answers.answer(world.actor("camille"), request, NewAnswer(Answer.ACCEPT, (piece,)), world.key())
    assert refused.value.code == CODES[state]
    assert piece not in str(answers.candidates(world.actor("camille"), request))
    bearer = Caller("bearer", Role.BEARER, opened["access_token"])
    route = ("GET", "/partage/documents")
    page = send(world.client, bearer, RECIPES[route].ask(route, world, Thing("", {}), bearer), "")
    assert page.is_success
    assert "antivirus" in page.text
    assert f"{piece}/original" not in page.text
    caller = world.caller("camille")
    for path in (f"/espace/documents/{piece}", "/espace"):
        ask = RECIPES["GET", "/espace"].ask(("GET", path), world, Thing("", {}), caller)
        page = send(world.client, caller, ask, "")
        assert page.is_success
        words = {"pending": "En attente d’examen", "infected": "Programme malveillant trouvé"}
        assert words[state] in page.text
        assert "/espace/partages/nouveau?document=" not in page.text


@pytest.mark.parametrize("state", CODES)
def test_everything_about_me_keeps_it_back(world: World, state: str) -> None:
    act, token = world.issue("claude", content=SECRET), world.token("claude")
    mark(world, act, state)
    asked = world.ask("POST", f"/v1/safes/{world.safes['claude']}/exports", token=token)["id"]
    got = world.client.request(
        "GET", f"/v1/exports/{asked}/archive", headers={"Authorization": f"Bearer {token}"}
    )
    archive = zipfile.ZipFile(io.BytesIO(got.content))
    assert not any(SECRET in archive.read(name) for name in archive.namelist())


def test_an_agent_has_the_act_that_he_issued(world: World) -> None:
    token = world.token("agent-etat-civil")
    said = described(holder="camille", title="Acte", file_name="acte.txt", document_type=TYPE)
    headers = {"Authorization": f"Bearer {token}", "Probans-Document": said, "Idempotency-Key": world.key()}
    issued = world.client.request("POST", "/v1/acts", headers=headers, content=SECRET)
    assert issued.is_success, issued.text
    act = issued.json()["id"]
    mark(world, act, "pending")
    path = f"/v1/documents/{act}/original?purpose={PURPOSE}"
    for name, given in (("agent-etat-civil", True), ("camille", False)):
        answer = world.client.request("GET", path, headers={"Authorization": f"Bearer {world.token(name)}"})
        assert answer.is_success is given, answer.text
        assert (SECRET in answer.content) is given
