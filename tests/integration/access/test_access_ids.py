"""Every identifier of every route, exchanged for another's, for one of another kind, or for what nearly is one.

Whatever it is exchanged for, the answer is the one for an identifier that nobody has: octet by octet, but for the
number of the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.access.asking import Ask, send
from tests.integration.access.facts import EMPLOYER, PURPOSE, TOWN, Caller, Thing
from tests.integration.access.recipes import RECIPES, Route
from tests.integration.access.test_access_measured import RULED, expected, plain, unknown
from tests.integration.access.world import World
from vault.ids import new_id

CALLERS = (
    "camille", "dominique", "mandatary read", "mandatary answer", "agent-etat-civil", "agent-paie",
    f"system of {TOWN}", f"system of {EMPLOYER}", "auditor with requisition", "officer",
    "bearer of originals", "bearer of another share", "anonymous",
)  # fmt: skip
BY_ID = sorted(route for route in RULED if "{" in route[1])
# Numbers of entries are public, and a number that is none is told so; what export there is, too.
NO_IDS = frozenset({"entry", "form", "line"})
MANGLED = (
    lambda one: one.upper(),
    lambda one: one.capitalize(),
    lambda one: one + "0",
    lambda one: one[:-1],
    lambda one: one + quote(" "),
    lambda one: quote(" ") + one,
    lambda one: one + quote("\n"),
    lambda one: one + quote("\0"),
    lambda one: one + quote("é"),
    lambda one: one + quote("\u200b"),
    lambda one: one + quote("'"),
    lambda one: one + quote('"') + quote(" OR 1=1"),
    lambda one: one + ".json",
    lambda one: one + ";",
    lambda one: one.partition("_")[2] or one[1:],
    lambda one: one.replace("_", "-"),
    lambda one: one.replace("0", "o").replace("1", "l") + "x",
    lambda one: one + "," + one,
    lambda one: "%2e%2e%5c" + one,
    lambda one: one * 40,
)  # fmt: skip


@pytest.fixture(scope="module")
def things(world: World) -> dict[Route, Sequence[Thing]]:
    made: dict[Any, Sequence[Thing]] = {}
    for route in BY_ID:
        make = RECIPES[route].things
        if make not in made:
            made[make] = make(world)
    return {route: made[RECIPES[route].things] for route in BY_ID}


@pytest.fixture(scope="module")
def pool(world: World, things: dict[Route, Sequence[Thing]]) -> list[str]:
    """An identifier of each kind and holder."""
    found = {str(value) for made in things.values() for thing in made for value in thing.ids.values()}
    ids = sorted(one for one in found if "_" in one)
    return [*ids, *world.safes.values(), *(each.mandate for each in world.callers if each.mandate)]


@pytest.fixture(scope="module")
def kinds(pool: list[str]) -> list[str]:
    found = sorted({one.partition("_")[0] for one in pool})
    assert {"doc", "safe", "req", "csn", "stm", "shr", "cas", "rpt", "rqs", "mdt", "cls"} <= set(found)
    return found


def likeness(world: World, route: Route, caller: Caller, thing: Thing, ids: dict[str, Any]) -> None:
    """Ask for the exchanged identifiers, and for some that nobody has: there is nothing to tell apart."""
    recipe = RECIPES[route]
    answers: list[httpx.Response] = []
    for these in (
        ids,
        {**ids, **{name: unknown(thing)[name] for name in ids if ids[name] != thing.ids[name]}},
    ):
        asked = Thing(thing.label, these, thing.safe, thing.administration, type=thing.type, more=thing.more)
        answers.append(send(world.client, caller, recipe.ask(route, world, asked, caller), world.key()))
    got, absent = answers
    assert got.status_code < 500, (caller.label, ids, got.text)
    if absent.is_success:
        # Many receipts are asked for in one request; and to whom any safe would be shown, one that is none is empty.
        assert not recipe.granted(got) if recipe.granted else plain(got) == plain(absent)
        return
    assert got.status_code in {401, 404}, (caller.label, ids, got.status_code, got.text)
    assert plain(got) == plain(absent)


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data())
def test_no_identifier_opens_what_is_not_the_callers(
    world: World, things: dict[Route, Sequence[Thing]], pool: list[str], kinds: list[str], data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from(BY_ID), "route")
    caller = world.caller(data.draw(st.sampled_from(CALLERS), "caller"))
    thing = data.draw(st.sampled_from(things[route]), "thing")
    if RECIPES[route].page == "person" and not caller.session:
        return
    names = sorted(name for name in thing.ids if f"{{{name}}}" in route[1] and name != "form")
    if not names:
        return
    name = data.draw(st.sampled_from(names), "name")
    ways = ["anothers"] if name in NO_IDS else ["anothers", "kind", "mangled", "random"]
    way = data.draw(st.sampled_from(ways), "way")
    ids = dict(thing.ids)
    if way == "anothers":
        if expected(RECIPES[route], caller, RULED[route], thing):
            return  # it is theirs
        exchanged = unknown(thing)
        likeness(
            world, route, caller, Thing("", exchanged, thing.safe, thing.administration, more=thing.more), ids
        )
        return
    own = str(thing.ids[name])
    if way == "kind":
        others = [one for one in pool if one.partition("_")[0] != own.partition("_")[0]]
        ids[name] = data.draw(st.sampled_from(others), "other")
    elif way == "mangled":
        ids[name] = data.draw(st.sampled_from(MANGLED), "mangle")(own)
    else:
        ids[name] = quote(
            data.draw(
                st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=80), "text"
            ),
            safe="",
        )
    if ids[name] in {own, ".", ".."}:
        return
    likeness(world, route, caller, thing, ids)


# --- identifiers within bodies, queries and headers


def in_bodies(world: World) -> Iterator[tuple[str, Caller, Any]]:
    """(what, who asks, how with an identifier of a document)."""
    request = world.request("camille", "describe")
    case = RECIPES["GET", "/v1/cases/{case_id}"].things(world)[0]
    town = world.caller("agent-etat-civil")
    yield (
        "answer with it",
        world.caller("camille"),
        lambda one: Ask("POST", f"/v1/requests/{request}/answer", {"answer": "accept", "documents": [one]}),
    )
    share = RECIPES["POST", "/v1/shares"]
    yield (
        "share it",
        world.caller("camille"),
        lambda one: share.ask(
            ("POST", "/v1/shares"), world, Thing("", {"document_id": one}), world.caller("camille")
        ),
    )
    yield (
        "link it to a case",
        world.caller("agent-paie"),
        lambda one: Ask(
            "POST", f"/v1/cases/{case.ids['case_id']}/documents", {"document": one, "role": "produced"}
        ),
    )
    yield ("replace it", town, _superseding)
    order = RECIPES["POST", "/v1/requisitions"]
    yield (
        "requisition it",
        world.caller("officer"),
        lambda one: Ask(
            "POST",
            "/v1/requisitions",
            {**order.body(world, Thing(""), town), "document": one} if order.body else None,
        ),
    )


def _superseding(document: str) -> Ask:
    import base64
    import json

    said = {"holder": "camille", "file_name": "a.txt", "administration": TOWN, "supersedes": document}
    octets = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return Ask("POST", "/v1/acts", content=b"acte", headers={"Probans-Document": octets})


def test_no_document_of_anothers_is_reached_through_a_body(world: World) -> None:
    """Dominique's act, issued by the employer: neither Camille's nor the town hall's."""
    foreign = {"link it to a case": world.issue("dominique")}
    for what, caller, ask in in_bodies(world):
        document = foreign.get(what, world.foreign)
        got = send(world.client, caller, ask(document), world.key())
        absent = send(world.client, caller, ask(new_id("doc")), world.key())
        assert got.status_code == 404, (what, got.text)
        assert plain(got) == plain(absent), what
        for wrong in (world.safes["camille"], document.upper(), f"{document}x", ""):
            refused = send(world.client, caller, ask(wrong), world.key())
            assert refused.status_code in {404, 422}, (what, wrong, refused.text)


def test_a_filter_by_anothers_document_finds_nothing(world: World) -> None:
    camille = world.caller("camille")
    here = f"/v1/safes/{world.safes['camille']}/journal?document="
    answers = [
        send(world.client, camille, Ask("GET", f"{here}{one}"), "").json()
        for one in (world.foreign, new_id("doc"), world.safes["dominique"])
    ]
    assert answers == [{"items": [], "next": None}] * 3


def test_no_mandate_of_anothers_is_acted_under(world: World) -> None:
    held = world.caller("mandatary read").mandate
    ask = Ask("GET", f"/v1/documents/{world.plain}?purpose={PURPOSE}")
    token = {"Authorization": f"Bearer {world.token('dominique')}"}
    shown = [held, new_id("mdt"), held.upper(), f"{held} ", world.safes["camille"], world.plain, "x" * 9]
    answers = [
        world.client.request("GET", ask.path, headers={**token, "Probans-Mandate": one}) for one in shown
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert all(plain(answer) == plain(answers[0]) for answer in answers)
