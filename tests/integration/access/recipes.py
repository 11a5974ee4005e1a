"""How each route is asked: about which things, with what body, and what it answers to whoever may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.access.asking import Ask
from tests.integration.access.facts import PURPOSE, TOWN, TYPE, Caller, Thing, soon
from tests.integration.access.things import (
    administrations,
    askable,
    both,
    case,
    case_and_act,
    case_body,
    closures,
    consents,
    contacts,
    documents,
    exports,
    forms,
    lines,
    mandates,
    note,
    own,
    own_as_person,
    own_documents,
    proxies,
    reports,
    request,
    requisitions,
    safes,
    shared,
    shares,
    statements,
    told,
    typed_safes,
    withdrawn_consents,
)
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
        query: after the path.
        headers: more headers, made for a thing.
        content: body as octets.
        codes: problems that only somebody who may can get: what was asked is not possible now.
        used_up: a success changes the thing so that the next could not succeed: it is made anew.
        form: fields of a form, made for a thing and a caller.
        page: asked by a browser with the cookie of a made-up `person` or of an opened `share`; "": it is not.
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
    sent_away: str = ""
    by_share: bool = False
    granted: Callable[[httpx.Response], bool] | None = None

    def ask(self, route: Route, world: World, thing: Thing, caller: Caller) -> Ask:
        """Return the request."""
        return Ask(
            route[0],
            route[1].format(**thing.ids) + self.query,
            None if self.body is None else self.body(world, thing, caller),
            self.content,
            {} if self.headers is None else self.headers(world, thing, caller),
            None if self.form is None else self.form(world, thing, caller),
            self.page,
        )

    def verdict(self, answer: httpx.Response) -> bool | None:
        """Tell whether it was granted; None for an answer that is neither a grant nor a refusal."""
        if answer.status_code == 303:
            return answer.headers["location"] != self.sent_away
        if answer.is_success:
            return True if self.granted is None else self.granted(answer)
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
        "holder": "camille", "auditor": "auditeur", "authority": "Tribunal", "reference": "CR-1", "words": "Enquête.",
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


_READ = {"query": f"?purpose={PURPOSE}"}
_WAIT = {"query": f"?purpose={PURPOSE}&wait=5"}
_STEP = fixed(state="instruction", words={"fr": "En cours.", "en": ""})
# Pages have a default for holders alone; whoever may not read is refused before.
_WHY = frozenset({"PURPOSE_REQUIRED"})
_STATE = frozenset({"STATE_CONFLICT"})
_TOLD = fixed(words="Voici pourquoi.")

RECIPES: dict[Route, Recipe] = {
    # documents
    ("POST", "/v1/acts"): Recipe(administrations, headers=act, content=b"acte"),
    ("POST", "/v1/attachments"): Recipe(typed_safes, headers=attachment, content=b"piece"),
    ("POST", "/v1/acts/{document_id}/revocation"): Recipe(
        both(
            lambda world, holder, administration, persona: Thing(
                f"act of {administration}",
                {"document_id": world.issue(holder, administration=administration, persona=persona)},
                holder,
                administration,
            )
        ),
        body=fixed(reason="error"),
        used_up=True,
    ),
    ("GET", "/v1/documents/{document_id}"): Recipe(documents, **_READ),
    ("GET", "/v1/documents/{document_id}/original"): Recipe(documents, **_READ),
    ("GET", "/v1/documents/{document_id}/evidence"): Recipe(documents, **_READ),
    ("GET", "/v1/documents/{document_id}/receipt"): Recipe(documents, **_WAIT),
    ("GET", "/v1/documents/{document_id}/keys"): Recipe(documents, **_READ),
    ("POST", "/v1/receipts"): Recipe(
        documents,
        body=lambda world, thing, caller: {"documents": [thing.ids["document_id"]]},
        granted=first_line_granted,
        **_WAIT,
    ),
    ("GET", "/v1/safes/{safe_id}/documents"): Recipe(safes),
    ("POST", "/v1/safes/{safe_id}/documents/search"): Recipe(safes, body=fixed(q="acte")),
    ("PUT", "/v1/documents/{document_id}/labels"): Recipe(documents, body=fixed(labels=["Trié"])),
    ("GET", "/v1/safes/{safe_id}/labels"): Recipe(safes),
    # pages
    ("GET", "/documents/{document_id}/original"): Recipe(documents, codes=_WHY, page="person"),
    ("GET", "/documents/{document_id}/dossier"): Recipe(documents, codes=_WHY, page="person"),
    ("GET", "/documents/{document_id}/recepisse"): Recipe(documents, codes=_WHY, page="person"),
    # systems
    ("POST", "/v1/agents/pseudonym"): Recipe(own, body=fixed(agent="a.martin")),
    # notifications
    ("GET", "/v1/safes/{safe_id}/contacts"): Recipe(safes),
    ("PUT", "/v1/safes/{safe_id}/contacts"): Recipe(safes, body=fixed(contacts=[])),
    ("DELETE", "/v1/safes/{safe_id}/contacts/{contact_id}"): Recipe(contacts, used_up=True),
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/code"): Recipe(
        contacts, codes=frozenset({"CODES_TOO_MANY"})
    ),
    ("POST", "/v1/safes/{safe_id}/contacts/{contact_id}/confirmation"): Recipe(
        contacts, body=fixed(code="00000-00000"), codes=frozenset({"CODE_REFUSED"})
    ),
    ("GET", "/v1/safes/{safe_id}/preferences"): Recipe(safes),
    ("PUT", "/v1/safes/{safe_id}/preferences"): Recipe(safes, body=fixed(language="fr", events={})),
    # tell us once
    ("POST", "/v1/requests"): Recipe(administrations, body=wanted),
    ("GET", "/v1/requests/{request_id}"): Recipe(both(request)),
    ("GET", "/v1/requests/{request_id}/candidates"): Recipe(both(request)),
    ("POST", "/v1/requests/{request_id}/answer"): Recipe(
        both(request), body=fixed(answer="decline"), used_up=True
    ),
    ("POST", "/v1/requests/{request_id}/cancellation"): Recipe(both(request), body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/requests"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/requests"): Recipe(administrations),
    ("GET", "/v1/consents/{consent_id}"): Recipe(consents),
    ("GET", "/v1/consents/{consent_id}/paper"): Recipe(consents),
    ("GET", "/v1/consents/{consent_id}/withdrawal/paper"): Recipe(withdrawn_consents),
    ("POST", "/v1/consents/{consent_id}/withdrawal"): Recipe(consents, body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/consents"): Recipe(safes),
    ("GET", "/v1/statements/{statement_id}"): Recipe(statements),
    ("GET", "/v1/statements/{statement_id}/paper"): Recipe(statements),
    ("GET", "/v1/safes/{safe_id}/statements"): Recipe(safes),
    # the access journal
    ("GET", "/v1/documents/{document_id}/journal"): Recipe(documents),
    ("GET", "/v1/safes/{safe_id}/journal"): Recipe(safes),
    ("GET", "/v1/safes/{safe_id}/journal.{form}"): Recipe(forms),
    ("GET", "/v1/journal/{entry}/proof"): Recipe(lines, query="?wait=5"),
    ("POST", "/v1/journal/{entry}/report"): Recipe(
        lines, body=_TOLD, codes=frozenset({"REPORT_EXISTS"}), used_up=True
    ),
    ("GET", "/v1/reports"): Recipe(own),
    ("GET", "/v1/reports/{report_id}"): Recipe(reports),
    ("POST", "/v1/reports/{report_id}/taking"): Recipe(reports, used_up=True),
    ("POST", "/v1/reports/{report_id}/answer"): Recipe(reports, body=_TOLD, used_up=True),
    ("POST", "/v1/reports/{report_id}/reopening"): Recipe(reports, body=_TOLD, codes=_STATE),
    ("POST", "/v1/reports/{report_id}/closing"): Recipe(reports, codes=_STATE),
    # rights
    ("POST", "/v1/safes/{safe_id}/exports"): Recipe(safes),
    ("GET", "/v1/exports/{export_id}"): Recipe(exports),
    ("GET", "/v1/exports/{export_id}/archive"): Recipe(exports),
    ("POST", "/v1/documents/{document_id}/notes"): Recipe(documents, body=_TOLD),
    ("POST", "/v1/journal/{entry}/notes"): Recipe(lines, body=_TOLD),
    ("GET", "/v1/documents/{document_id}/notes"): Recipe(documents),
    ("GET", "/v1/administrations/{administration_id}/notes"): Recipe(administrations),
    ("GET", "/v1/notes"): Recipe(own),
    ("GET", "/v1/notes/{note_id}"): Recipe(both(note)),
    ("POST", "/v1/notes/{note_id}/answer"): Recipe(
        both(note), body=fixed(finding="kept", words="L’acte est exact."), used_up=True
    ),
    ("POST", "/v1/notes/{note_id}/withdrawal"): Recipe(both(note), used_up=True),
    # oversight
    ("POST", "/v1/requisitions"): Recipe(own, body=ordered),
    ("GET", "/v1/requisitions"): Recipe(own),
    ("GET", "/v1/requisitions/{requisition_id}"): Recipe(requisitions),
    ("GET", "/v1/requisitions/{requisition_id}/paper"): Recipe(requisitions),
    ("POST", "/v1/requisitions/{requisition_id}/end"): Recipe(
        requisitions, body=fixed(reason="Rapportée."), used_up=True
    ),
    # safes
    ("POST", "/v1/safes"): Recipe(
        told, body=lambda world, thing, caller: {"holder": thing.safe, "name": "Quelqu’un"}
    ),
    ("GET", "/v1/safes/{safe_id}"): Recipe(safes),
    ("POST", "/v1/closures"): Recipe(askable, body=closing, used_up=True),
    ("GET", "/v1/closures"): Recipe(own),
    ("GET", "/v1/closures/{closure_id}"): Recipe(closures),
    ("GET", "/v1/safes/{safe_id}/closures"): Recipe(safes),
    ("POST", "/v1/closures/{closure_id}/confirmation"): Recipe(closures, used_up=True),
    ("POST", "/v1/closures/{closure_id}/cancellation"): Recipe(closures, body=fixed(), used_up=True),
    # sharing
    ("POST", "/v1/shares"): Recipe(own_documents, body=given_away),
    ("GET", "/v1/safes/{safe_id}/shares"): Recipe(safes),
    ("GET", "/v1/shares/{share_id}"): Recipe(shares),
    ("POST", "/v1/shares/{share_id}/withdrawal"): Recipe(shares, used_up=True),
    ("POST", "/v1/shares/{share_id}/slip"): Recipe(
        shares, body=lambda world, thing, caller: {"code": thing.more["code"]}
    ),
    ("GET", "/v1/shared/documents"): Recipe(own, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/copy"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/original"): Recipe(shared, by_share=True),
    ("GET", "/v1/shared/documents/{document_id}/evidence"): Recipe(shared, by_share=True),
    ("POST", "/v1/shared/documents/{document_id}/verification"): Recipe(
        shared, by_share=True, codes=frozenset({"RECEIPT_PENDING"})
    ),
    ("GET", "/partage/documents"): Recipe(own, by_share=True, page="share", sent_away="/partage"),
    ("GET", "/partage/documents/{document_id}/copie"): Recipe(shared, by_share=True, page="share"),
    ("GET", "/partage/documents/{document_id}/original"): Recipe(shared, by_share=True, page="share"),
    ("GET", "/partage/documents/{document_id}/dossier"): Recipe(shared, by_share=True, page="share"),
    ("POST", "/partage/documents/{document_id}/verification"): Recipe(
        shared,
        form=lambda world, thing, caller: {},
        codes=frozenset({"RECEIPT_PENDING"}),
        by_share=True,
        page="share",
    ),
    # mandates
    ("POST", "/v1/mandates"): Recipe(
        lambda world: [
            Thing(f"mandate of {name}", safe=name, administration=TOWN) for name in ("camille", "dominique")
        ],
        body=given,
    ),
    ("GET", "/v1/mandates"): Recipe(own_as_person),
    ("GET", "/v1/mandates/{mandate_id}"): Recipe(mandates),
    ("POST", "/v1/mandates/{mandate_id}/end"): Recipe(proxies, body=fixed(), used_up=True),
    ("GET", "/v1/safes/{safe_id}/mandates"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/mandates"): Recipe(administrations),
    # where is my request
    ("POST", "/v1/cases"): Recipe(
        administrations,
        body=lambda world, thing, caller: case_body("camille", thing.administration, world.key()),
    ),
    ("POST", "/v1/cases/{case_id}/steps"): Recipe(both(case), body=_STEP),
    ("POST", "/v1/cases/{case_id}/closure"): Recipe(both(case), body=_STEP, used_up=True),
    ("POST", "/v1/cases/{case_id}/reopening"): Recipe(both(case), body=_STEP, codes=_STATE),
    ("POST", "/v1/cases/{case_id}/documents"): Recipe(both(case_and_act), body=linked, codes=_STATE),
    ("GET", "/v1/cases/{case_id}"): Recipe(both(case)),
    ("GET", "/v1/safes/{safe_id}/cases"): Recipe(safes),
    ("GET", "/v1/administrations/{administration_id}/cases"): Recipe(administrations),
}
