"""How a route is asked: about which things, with what body, and what it answers to whoever may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.access.asking import Ask
from tests.integration.access.facts import PURPOSE, TYPE, Caller, Thing, soon
from tests.integration.access.world import World
from vault.domain.actors import Role

Route = tuple[str, str]
REFUSED = frozenset({401, 404})


@dataclass
class Recipe:
    """How to ask one route.

    Attributes:
        things: makes what is asked about, once.
        body: makes the JSON body for a thing and a caller; None: there is none.
        query: after the path; identifiers of the thing in braces.
        headers: more headers, made for a thing.
        content: body as octets.
        codes: problems that only somebody who may can get: what was asked is not possible now.
        used_up: a success changes the thing so that the next could not succeed: it is made anew.
        form: fields of a form, made for a thing and a caller.
        page: asked by a browser with the cookie of a `person`'s session or of an opened `share`; "": it is not.
        file: octets of a file that the form brings.
        roles: in what quality somebody finds the page; empty: in any.
        sent_away: where a browser is led that may not.
        by_share: it knows who opened a share, and nobody else; other routes know everybody else.
        granted: tells from a success whether it was granted, where refusals are told inside.
    """

    things: Callable[[World], Sequence[Thing]]
    body: Callable[[World, Thing, Caller], Any] | None = None
    query: str = ""
    headers: Callable[[World, Thing, Caller], dict[str, str]] | None = None
    content: bytes | None = None
    codes: frozenset[str] = frozenset()
    used_up: bool = False
    form: Callable[[World, Thing, Caller], dict[str, str]] | None = None
    page: str = ""
    file: bytes | None = None
    roles: frozenset[Role] = frozenset()
    sent_away: str = ""
    by_share: bool = False
    granted: Callable[[httpx.Response], bool] | None = None

    def ask(self, route: Route, world: World, thing: Thing, caller: Caller) -> Ask:
        """Return the request."""
        return Ask(
            route[0],
            (route[1] + self.query).format(**thing.ids),
            None if self.body is None else self.body(world, thing, caller),
            self.content,
            {} if self.headers is None else self.headers(world, thing, caller),
            None if self.form is None else self.form(world, thing, caller),
            self.page,
            self.file,
        )

    def verdict(self, answer: httpx.Response) -> bool | None:
        """Tell whether it was granted; None for an answer that is neither a grant nor a refusal."""
        if answer.status_code == 303:
            return answer.headers["location"] != self.sent_away
        if answer.is_success:
            return True if self.granted is None else self.granted(answer)
        if answer.headers["content-type"].startswith("text/html"):
            return True  # the form again, with what is wrong in it: others are refused without a word of it
        if answer.json().get("code") in self.codes:
            return True
        return False if answer.status_code in REFUSED else None


def described(**members: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


def fixed(**members: Any) -> Callable[[World, Thing, Caller], dict[str, Any]]:
    return lambda world, thing, caller: members


def wanted(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    return {
        "holder": "camille", "administration": thing.administration, "purpose": PURPOSE, "words": "Pour un contrat.",
        "legal_basis": "Code du travail", "document_types": [TYPE], "actions": ["read"], "access_days": 30,
        "answer_by": soon(), "otherwise": {"way": "counter", "fr": "Au guichet.", "en": "At the counter."},
    }  # fmt: skip


def given(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    """A mandate: holders give proxies, administrations name guardians."""
    kind = "proxy" if caller.role is Role.HOLDER else "guardian"
    return {
        "holder": thing.safe, "mandatary": "quelqu-un", "kind": kind, "scope": ["read"], "basis": "Jugement",
        "ends_at": soon(30),
    }  # fmt: skip


def given_away(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    return {
        "documents": [thing.ids["document_id"]], "purpose": "housing", "recipient": "Agence", "ends_at": soon(30),
        "views": 3, "form": "original",
    }  # fmt: skip


def closing(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    """Holders wish, the others tell."""
    kind = "wish" if caller.role is Role.HOLDER else "death"
    return {"holder": thing.safe, "kind": kind, "basis": "Acte de décès"}


def ordered(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    return {
        "holder": "camille", "auditor": "quelqu-un", "authority": "Tribunal", "reference": "CR-1", "words": "Enquête.",
        "ends_at": soon(30),
    }  # fmt: skip


def act(world: World, thing: Thing, caller: Caller) -> dict[str, str]:
    said = described(holder="camille", file_name="a.txt", administration=thing.administration)
    return {"Probans-Document": said}


def attachment(world: World, thing: Thing, caller: Caller) -> dict[str, str]:
    return {"Probans-Document": described(holder=thing.safe, file_name="p.txt", document_type=thing.type)}


def linked(world: World, thing: Thing, caller: Caller) -> dict[str, Any]:
    return {"document": thing.more["document"], "role": "produced"}


def first_line_granted(answer: httpx.Response) -> bool:
    line = json.loads(answer.text.splitlines()[0])
    assert (line["receipt"] is None) is (line["code"] == "NOT_FOUND"), line
    return line["receipt"] is not None


READ = {"query": f"?purpose={PURPOSE}"}
WAIT = {"query": f"?purpose={PURPOSE}&wait=5"}
STEP = fixed(state="instruction", words={"fr": "En cours.", "en": ""})
# Pages have a default for holders alone; whoever may not read is refused before.
WHY = frozenset({"PURPOSE_REQUIRED"})
STATE = frozenset({"STATE_CONFLICT"})
TOLD = fixed(words="Voici pourquoi.")
