"""No read without a line of the journal: for every route that shows a document, whoever asks and why ever they may.

The routes are those of the running application. The line is durable before the first octet of the answer leaves; while
nothing can be written, nothing leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from tests.integration.access.asking import Client, send
from tests.integration.access.facts import EMPLOYER, PURPOSE, TOWN, TYPE, Caller, Thing
from tests.integration.access.recipes import RECIPES, Route
from tests.integration.access.test_access_measured import RULED, expected
from tests.integration.access.world import World
from vault.access import Action
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.actors import Role
from vault.settings import Settings

SHOWS = frozenset(
    {Action.DESCRIBE, Action.READ, Action.COPY, Action.EVIDENCE, Action.RECEIPT, Action.KEYS, Action.EXPORT}
)
# What asks one of these actions and shows nothing that its own entry does not name.
OTHERWISE = {
    ("GET", "/v1/shared/documents"): "the entry of the share's opening names the documents",
    ("GET", "/partage/documents"): "the entry of the share's opening names the documents",
    ("POST", "/v1/safes/{safe_id}/exports"): "asking for everything shows nothing yet; it is an entry itself",
    ("GET", "/v1/exports/{export_id}"): "how far it is",
    ("GET", "/v1/exports/{export_id}/archive"): "an entry for each document, below",
    ("GET", "/espace/droits"): "what one may ask for",
    ("GET", "/espace/export"): "the form",
    ("POST", "/espace/export"): "as by REST, above",
    ("GET", "/espace/export/{export_id}"): "how far it is",
    ("GET", "/espace/export/{export_id}/archive"): "as by REST, below",
    ("GET", "/espace/journal/fichier/{form}"): "as by REST, below",
}
SECRET = b"what nobody may carry away unseen"
READS = sorted(route for route, action in RULED.items() if action in SHOWS and route not in OTHERWISE)
OF_DOCUMENTS = [route for route in READS if "{safe_id}" not in route[1]]


class Watched:
    """An application, and how many entries there were when each answer began."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.entries_at_start: list[int] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send_on: Any) -> None:
        async def forward(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.entries_at_start.append(entries(self._world))
            await send_on(message)

        await self._world.app(scope, receive, forward)


def entries(world: World) -> int:
    """How many entries of documents and matters are durable."""
    with world.vault.parts.database.reading() as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (models.document_entries, models.matter_entries)
        )


def readers(world: World, route: Route, act_pdf: bytes) -> Iterator[tuple[Caller, Thing]]:
    """Everybody who may read, each of a document that nobody has read before."""
    if RECIPES[route].by_share:
        given = "watermark" if RULED[route] is Action.COPY else "original"
        document = world.issue("camille", content=act_pdf, file_name="acte.pdf")
        share = world.share("camille", [document], given, *(["evidence"] if given == "original" else []))
        opened = world.ask("POST", "/v1/shares/opening", {"code": share["code"], "secret": share["secret"]})
        yield Caller("bearer", Role.BEARER, opened["access_token"]), Thing("", {"document_id": document})
        return
    action, made = RULED[route], set()
    for caller in world.callers:
        if caller.lacks:
            continue
        thing = Thing(
            "", {"document_id": "doc_" + "0" * 26}, "camille", TOWN, document="any", type=TYPE,
            consents={(EMPLOYER, "paie"): frozenset({"describe", "read", "evidence"})},
        )  # fmt: skip
        kind = (caller.role, caller.administration, bool(caller.mandate), bool(caller.requisitioned))
        if not expected(RECIPES[route], caller, action, thing) or kind in made:
            continue
        if RECIPES[route].page and not (
            caller.session and caller.role in (RECIPES[route].roles or {Role.HOLDER})
        ):
            continue
        made.add(kind)
        document = world.issue("camille")
        if caller.administration == EMPLOYER:
            world.consent(document, "describe", "read", "evidence")
        yield caller, Thing("", {"document_id": document})


@pytest.fixture(scope="module")
def watched(world: World) -> Iterator[tuple[Watched, Client]]:
    app = Watched(world)
    client = Client(app, world.vault)  # type: ignore[arg-type]
    yield app, client
    client.close()


def settled(world: World) -> None:
    """Wait until what was written is published: receipts are of what is."""
    with world.vault.parts.database.reading() as connection:
        size = connection.scalar(select(models.ledger_head.c.size)) or 0
    world.vault.receipts.receipt(size - 1, wait=10)


@pytest.mark.parametrize("route", OF_DOCUMENTS, ids=" ".join)
def test_a_read_is_one_line_before_its_first_octet(
    world: World, watched: tuple[Watched, Client], act_pdf: bytes, route: Route
) -> None:
    app, client = watched
    asked = 0
    for caller, thing in list(readers(world, route, act_pdf)):
        settled(world)
        ask = RECIPES[route].ask(route, world, thing, caller)
        before = entries(world)
        first = send(client, caller, ask, world.key())
        assert first.is_success, (caller.label, first.text)
        assert app.entries_at_start[-1] == before + 1, caller.label
        assert last_line(world, thing, "document.read"), caller.label
        again = send(client, caller, ask, world.key())
        assert again.is_success
        assert entries(world) == before + 1, (
            "one line for the same reader, document, purpose and quarter of an hour"
        )
        asked += 1
    assert asked


def last_line(world: World, thing: Thing, event: str) -> bool:
    line = world.ask(
        "GET", f"/v1/documents/{thing.ids['document_id']}/journal?limit=1", token=world.token("camille")
    )["items"][0]
    return line["event"] == event and line["granted"] is (event == "document.read")


@pytest.mark.parametrize("form", ["csv", "json", "pdf"])
def test_an_export_of_the_journal_is_a_line_before_its_first_octet(
    world: World, watched: tuple[Watched, Client], form: str
) -> None:
    app, client = watched
    route = ("GET", "/v1/safes/{safe_id}/journal.{form}")
    thing = Thing("", {"safe_id": world.safes["dominique"], "form": form})
    before = entries(world)
    caller = world.caller("dominique")
    assert send(client, caller, RECIPES[route].ask(route, world, thing, caller), "").is_success
    assert app.entries_at_start[-1] == before + 1


def test_everything_about_me_is_a_line_of_each_document(world: World) -> None:
    document, token = world.issue("claude"), world.token("claude")
    asked = world.ask("POST", f"/v1/safes/{world.safes['claude']}/exports", token=token)["id"]
    before = entries(world)
    got = world.client.request(
        "GET", f"/v1/exports/{asked}/archive", headers={"Authorization": f"Bearer {token}"}
    )
    assert got.is_success
    assert entries(world) > before
    lines = world.ask("GET", f"/v1/documents/{document}/journal", token=token)["items"]
    assert lines[0]["event"] == "document.read"
    assert lines[0]["who"]["you"] is True


def test_a_refused_read_is_a_line_too_and_a_guess_is_none(world: World) -> None:
    document = world.issue("camille")
    ask = RECIPES["GET", "/v1/documents/{document_id}/original"].ask(
        ("GET", "/v1/documents/{document_id}/original"), world, Thing("", {"document_id": document}), world.callers[0]
    )  # fmt: skip
    known = [
        each for each in world.callers
        if not expected(
            RECIPES["GET", "/v1/documents/{document_id}"], each, Action.READ,
            Thing("", safe="camille", administration=TOWN, document=document, type=TYPE),
        )
    ]  # fmt: skip
    roles = set()
    for caller in known:
        before = entries(world)
        assert send(world.client, caller, ask, "").status_code in {401, 404}
        written = entries(world) - before
        named = caller.role not in {Role.ANONYMOUS, Role.BEARER} and "another's" not in caller.label
        assert written == int(named), caller.label
        roles.add(caller.role)
        if named:
            assert last_line(world, Thing("", {"document_id": document}), "document.read-refused")
    assert roles >= {
        Role.HOLDER,
        Role.MANDATARY,
        Role.AGENT,
        Role.SYSTEM,
        Role.AUDITOR,
        Role.OPERATOR,
        Role.OFFICER,
    }


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes
) -> Iterator[tuple[World, dict[Route, list[tuple[Caller, Thing]]]]]:
    """A safe that can write nothing more, with documents that nobody has read."""
    vault = open_vault(
        Settings(data=tmp_path_factory.mktemp("stopped") / "data", publish_interval=0.05, rate_tokens=0),
        background=False,
    )
    made = World(vault, act_pdf)
    asked = {route: list(readers(made, route, act_pdf)) for route in OF_DOCUMENTS}
    made.issue("claude", content=SECRET)
    about = f"/v1/safes/{made.safes['claude']}/exports"
    made.exports = [made.ask("POST", about, token=made.token("claude"))["id"]]
    settled(made)
    vault.writer.close()
    yield made, asked
    made.client.close()
    vault.close()


@pytest.mark.parametrize("route", OF_DOCUMENTS, ids=" ".join)
def test_while_nothing_can_be_written_nothing_leaves(
    stopped: tuple[World, dict[Route, list[tuple[Caller, Thing]]]], route: Route
) -> None:
    world, asked = stopped
    before = entries(world)
    for caller, thing in asked[route]:
        answer = send(world.client, caller, RECIPES[route].ask(route, world, thing, caller), world.key())
        told_why(answer)
        # A stranger learns nothing from that: not even that there is something.
        stranger = world.caller("dominique")
        if not RECIPES[route].by_share and route != ("POST", "/v1/receipts"):
            refused = send(
                world.client, stranger, RECIPES[route].ask(route, world, thing, stranger), world.key()
            )
            assert refused.status_code == 404
    assert asked[route]
    assert entries(world) == before


@pytest.mark.parametrize("form", ["csv", "json", "pdf"])
def test_while_nothing_can_be_written_no_journal_leaves(
    stopped: tuple[World, dict[Route, list[tuple[Caller, Thing]]]], form: str
) -> None:
    world, _ = stopped
    token = {"Authorization": f"Bearer {world.token('camille')}"}
    told_why(world.client.request("GET", f"/v1/safes/{world.safes['camille']}/journal.{form}", headers=token))


def test_while_nothing_can_be_written_everything_about_me_stays(
    stopped: tuple[World, dict[Route, list[tuple[Caller, Thing]]]],
) -> None:
    world, _ = stopped
    (export,) = world.exports
    answer = world.client.request(
        "GET", f"/v1/exports/{export}/archive", headers={"Authorization": f"Bearer {world.token('claude')}"}
    )
    assert not answer.is_success or b"PK\x05\x06" not in answer.content
    assert SECRET not in answer.content


def told_why(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text[:200]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "LEDGER_UNAVAILABLE"


def test_every_route_that_shows_is_here(world: World) -> None:
    assert set(OTHERWISE) <= set(RULED)
    assert {route for route in READS if route not in OF_DOCUMENTS} == {
        ("GET", "/v1/safes/{safe_id}/journal.{form}")
    }
    assert PURPOSE in RECIPES["GET", "/v1/documents/{document_id}"].query
