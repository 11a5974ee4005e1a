"""Every route, asked by every kind of caller in every relation: what is measured is what `vault.access` says.

The routes are those of the running application. What a caller should be allowed is worked out here from the bare table
and from what is known of the callers and things, not by the functions that decide in the product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import httpx
import pytest

from api import rules
from tests.integration.access.asking import send
from tests.integration.access.facts import EMPLOYER, TOWN, Caller, Thing
from tests.integration.access.recipes import RECIPES, Recipe, Route
from tests.integration.access.world import World
from vault import access
from vault.access import CONSENT_SCOPES, MANDATE_SCOPES, RULES, SHARE_SCOPES, SYSTEM_SCOPES, Action, Relation
from vault.authorization.ties import Subject, Ties
from vault.domain.actors import Actor, Role
from vault.errors import Refused
from vault.ids import new_id

RULED = {route: asked for route, asked in rules.RULES.items() if isinstance(asked, Action)}


def _by_its_kind(caller: Caller, thing: Thing) -> bool:
    """A holder decides about the own wish alone, and nobody else about it."""
    return (thing.kind == "wish") is (caller.role is Role.HOLDER)


# Where the table is narrowed for some things: see vault.authorization.access_table.NARROWER, which says it in words.
NARROWER: Mapping[Action, Callable[[Caller, Thing], bool]] = {
    Action.CLOSURE_CONFIRM: _by_its_kind,
    Action.CLOSURE_CANCEL: _by_its_kind,
}


def relations(caller: Caller, thing: Thing, action: Action) -> Iterator[Relation]:
    """Say how a caller stands to a thing, scopes included."""
    yield Relation.ANY
    if caller.role is Role.HOLDER and (thing.own or (caller.safe and caller.safe == thing.safe)):
        yield Relation.OWN_SAFE
    if caller.administration and (
        (thing.own and not thing.personal)
        or (caller.administration == thing.administration and thing.service in {"", caller.service})
    ):
        yield Relation.OWN_ADMINISTRATION
    if _by_mandate(caller, thing, action):
        yield Relation.MANDATE
    words = thing.consents.get((caller.administration, caller.service), frozenset())
    if any(action in CONSENT_SCOPES[word] for word in words):
        yield Relation.CONSENT
    there = bool(caller.documents) if thing.own else thing.document in caller.documents
    if there and any(action in SHARE_SCOPES[word] for word in caller.gives):
        yield Relation.SHARE
    if thing.document and caller.requisitioned and caller.requisitioned == thing.safe:
        yield Relation.REQUISITION


def _by_mandate(caller: Caller, thing: Thing, action: Action) -> bool:
    if action in {Action.MANDATE_SEE, Action.MANDATE_END}:
        # A mandate is seen and renounced by who holds it, and by nobody else who acts for the holder.
        if caller.mandate:
            return caller.person == "claude" and (thing.own or caller.mandate == thing.mandate)
        return caller.person == "claude" and (thing.own or bool(thing.mandate))
    named = any(action in MANDATE_SCOPES[word] for word in caller.words)
    of_type = not caller.types or not thing.type or thing.type in caller.types
    there = thing.own or caller.mandate_of == thing.safe
    return bool(caller.mandate_of) and there and named and of_type


def expected(recipe: Recipe, caller: Caller, action: Action, thing: Thing) -> bool:
    if recipe.by_share is not (caller.role is Role.BEARER):
        return False
    if recipe.roles and caller.role not in recipe.roles:
        return False
    if action in NARROWER and not NARROWER[action](caller, thing):
        return False
    if caller.role is Role.SYSTEM and SYSTEM_SCOPES.get(action) not in caller.scopes:
        return False
    return any((caller.role, action, relation) in RULES for relation in relations(caller, thing, action))


# Callers to whom it matters whose a thing is. The others are asked about the first thing of a route alone.
BY_THING = frozenset(
    {
        "camille", "dominique", "claude", "mandatary read", "mandatary answer", "mandatary of somebody else",
        "agent-etat-civil", "agent-paie", f"system of {TOWN}", f"system of {EMPLOYER}", "auditor with requisition",
        "auditor with consent", "officer", "bearer of originals", "bearer of a copy", "bearer of another share",
    }
)  # fmt: skip

BY_THING_ON_PAGES = frozenset(
    {"camille", "dominique", "mandatary of somebody else", "agent-paie", "bearer of a copy"}
)


def asking(world: World, recipe: Recipe, action: Action, *, first: bool) -> Iterator[Caller]:
    """Everybody, but of the systems that lack one scope those alone that lack the one needed here."""
    for caller in world.callers:
        if recipe.page == "person" and not caller.session and caller.role is not Role.ANONYMOUS:
            continue  # software and whose mandate does not count now have none
        others = BY_THING_ON_PAGES if recipe.page else BY_THING
        if caller.lacks in {"", SYSTEM_SCOPES.get(action, "")} and (first or caller.label in others):
            yield caller


def unknown(thing: Thing) -> dict[str, object]:
    """Values of the same kinds that nobody has."""
    made: dict[str, object] = {}
    for name, value in thing.ids.items():
        if name == "entry":
            made[name] = 10**9
        elif name in {"form", "line"}:
            made[name] = value
        else:
            made[name] = new_id(str(value).partition("_")[0]) if "_" in str(value) else f"{value}-unknown"
    return made


def plain(answer: httpx.Response) -> tuple[int, Mapping[str, object], Mapping[str, str]]:
    """An answer without what differs between any two: who asked for the same twice sees that too."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, body, headers


def test_every_route_of_the_application_has_a_rule_and_every_rule_a_recipe(world: World) -> None:
    routes = set(rules.routes_of(world.app))
    assert routes == set(rules.RULES)
    asked = {route for route in routes if rules.RULES[route] != rules.PUBLIC}
    assert asked == set(RULED)
    assert asked == set(RECIPES), "a route without a recipe, or a recipe without a route"


@pytest.mark.parametrize("route", sorted(RULED), ids=" ".join)
def test_what_is_measured_is_the_table(world: World, route: Route) -> None:
    assert measured(world, route) == []


def measured(world: World, route: Route, things: int | None = None) -> list[str]:
    """Ask a route as everybody about everything; return where the answers are not what the table says."""
    recipe, action = RECIPES[route], RULED[route]
    wrong: list[str] = []
    compared: set[Role] = set()
    for number, first in enumerate(recipe.things(world)[:things]):
        thing = recipe.things(world)[number] if recipe.used_up else first
        for caller in asking(world, recipe, action, first=number == 0):
            answer = send(world.client, caller, recipe.ask(route, world, thing, caller), world.key())
            granted = recipe.verdict(answer)
            if granted is not expected(recipe, caller, action, thing):
                wrong.append(f"{caller.label} / {thing.label}: {answer.status_code} {answer.text[:120]!r}")
            elif granted is False and answer.is_client_error and caller.role not in compared:
                compared.add(caller.role)
                wrong += looks_otherwise(world, route, recipe, thing, caller, answer)
            if granted and recipe.used_up:
                thing = recipe.things(world)[number]
    return wrong


HERE = ("GET", "/v1/documents/{document_id}/original")


def test_a_rule_too_many_and_a_rule_too_few_would_be_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = (Role.HOLDER, Action.READ, Relation.OWN_SAFE)
    for role in (Role.HOLDER, Role.AUDITOR, Role.OPERATOR):
        with monkeypatch.context() as changed:
            changed.setattr(access, "RULES", access.RULES | {(role, Action.READ, Relation.ANY)})
            assert measured(world, HERE, 1), role
    with monkeypatch.context() as changed:
        changed.setattr(access, "RULES", access.RULES - {rule})
        assert measured(world, HERE, 1)
    assert measured(world, HERE, 1) == []


def test_a_decision_that_forgets_what_a_relation_rests_on_would_be_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for forgotten in ("_mandates", "_consents", "_requisitions"):
        with monkeypatch.context() as changed:
            changed.setattr(Ties, forgotten, lambda *_: iter([Rested()]))
            assert measured(world, HERE, 1), forgotten


def test_asking_for_the_head_alone_is_decided_like_the_whole(world: World) -> None:
    recipe = RECIPES[HERE]
    for thing in recipe.things(world):
        for caller in asking(world, recipe, RULED[HERE], first=False):
            whole = send(world.client, caller, recipe.ask(HERE, world, thing, caller), "")
            head = send(
                world.client, caller, replace(recipe.ask(HERE, world, thing, caller), method="HEAD"), ""
            )
            assert (head.status_code, head.content) == (whole.status_code, b""), (caller.label, thing.label)


@dataclass
class Rested:
    """Any matter at all."""

    id: str = "mdt_00000000000000000000000000"


def test_a_refusal_that_tells_would_be_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def tells(self: Ties, connection: object, actor: Actor, action: Action, subject: Subject) -> object:
        found = self.grant(connection, actor, action, subject)
        if found is None:
            raise Refused("FIELD_INVALID" if actor.role is Role.OPERATOR else "NOT_FOUND", "not yours")
        return found

    monkeypatch.setattr(Ties, "demand", tells)
    wrong = measured(world, ("GET", "/v1/requests/{request_id}"), 1)
    assert any("operator" in each for each in wrong)
    assert any("unknown looks otherwise" in each for each in wrong)


def looks_otherwise(
    world: World, route: Route, recipe: Recipe, thing: Thing, caller: Caller, refused: httpx.Response
) -> Iterator[str]:
    """Say where a refusal differs from the answer for what is not there."""
    if not thing.ids:
        return
    absent = replace(thing, ids=unknown(thing))
    answer = send(world.client, caller, recipe.ask(route, world, absent, caller), world.key())
    if plain(answer) != plain(refused):
        yield f"{caller.label} / {thing.label}: unknown looks otherwise: {plain(answer)} {plain(refused)}"
