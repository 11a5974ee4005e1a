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
            route[1].format(**thing.ids) + self.query,
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


_READ = {"query": f"?purpose={PURPOSE}"}
_WAIT = {"query": f"?purpose={PURPOSE}&wait=5"}
_STEP = fixed(state="instruction", words={"fr": "En cours.", "en": ""})
# Pages have a default for holders alone; whoever may not read is refused before.
_WHY = frozenset({"PURPOSE_REQUIRED"})
_STATE = frozenset({"STATE_CONFLICT"})
_TOLD = fixed(words="Voici pourquoi.")

_HOLDERS = frozenset({Role.HOLDER, Role.MANDATARY})


def _page(things: Callable[[World], Sequence[Thing]], **more: Any) -> Recipe:
    """A page of one's document space."""
    return Recipe(things, page="person", **{"roles": _HOLDERS, **more})


def _form(things: Callable[[World], Sequence[Thing]], **fields: Any) -> Recipe:
    """A form of one's document space that acts; what it acts on is used up."""
    return _page(things, form=lambda world, thing, caller: fields, used_up=True)


def _own_form(things: Callable[[World], Sequence[Thing]], **fields: Any) -> Recipe:
    """A form of one's document space that can be sent again."""
    return _page(things, form=lambda world, thing, caller: fields)


def _own_files(world: World) -> list[Thing]:
    return [Thing("own journal", {"form": form}, own=True) for form in ("csv", "json", "pdf")]


def _agents(**more: Any) -> Recipe:
    return Recipe(
        documents,
        page="person",
        roles=frozenset({Role.AGENT}),
        form=lambda world, thing, caller: {"purpose": PURPOSE},
        **more,
    )


def _pages() -> dict[Route, Recipe]:
    """Pages of a session; what they show is decided by the same services as REST."""
    mandate = {"mandatary": "quelqu-un", "scope": "read", "basis": "Procuration", "ends_at": soon(30)[:10]}
    return {
        ("GET", "/espace"): _page(own),
        ("POST", "/espace/recherche"): _own_form(own, q="acte"),
        ("GET", "/espace/documents/{document_id}"): _page(documents),
        ("POST", "/espace/documents/{document_id}/etiquettes"): _own_form(documents, labels="Logement"),
        ("GET", "/espace/documents/{document_id}/remarque"): _page(documents),
        ("POST", "/espace/documents/{document_id}/remarque"): _own_form(documents, words="C’est faux."),
        ("GET", "/espace/depot"): _page(own),
        ("POST", "/espace/depot"): _page(
            own,
            form=lambda world, thing, caller: {"document_type": next(iter(caller.types), TYPE)},
            file=b"piece",
        ),
        ("GET", "/espace/demandes"): _page(own),
        ("GET", "/espace/demandes/{request_id}"): _page(both(request)),
        ("GET", "/espace/demandes/{request_id}/reponse"): _page(both(request)),
        ("POST", "/espace/demandes/{request_id}/reponse"): _own_form(both(request), step="check"),
        ("GET", "/espace/demandes/{request_id}/refus"): _page(both(request)),
        ("POST", "/espace/demandes/{request_id}/refus"): _form(both(request)),
        ("GET", "/espace/consentements"): _page(own),
        ("GET", "/espace/consentements/{consent_id}"): _page(consents),
        ("GET", "/espace/consentements/{consent_id}/piece"): _page(consents),
        ("GET", "/espace/consentements/{consent_id}/retrait"): _page(withdrawn_consents),
        ("POST", "/espace/consentements/{consent_id}/retrait"): _form(consents),
        ("GET", "/espace/attestations/{statement_id}"): _page(statements),
        ("GET", "/espace/attestations/{statement_id}/piece"): _page(statements),
        ("GET", "/espace/demarches"): _page(own),
        ("GET", "/espace/demarches/{case_id}"): _page(both(case)),
        ("GET", "/espace/journal"): _page(own),
        ("GET", "/espace/journal/fichier/{form}"): _page(_own_files),
        ("GET", "/espace/journal/{entry}/preuve"): _page(lines, codes=frozenset({"RECEIPT_PENDING"})),
        ("GET", "/espace/journal/{entry}/signaler"): _page(lines),
        ("POST", "/espace/journal/{entry}/signaler"): _form(lines, words="Pourquoi ?"),
        ("GET", "/espace/signalements"): _page(own),
        ("GET", "/espace/signalements/{report_id}"): _page(reports),
        ("POST", "/espace/signalements/{report_id}"): _own_form(reports, verdict="enough"),
        ("GET", "/espace/mandats"): _page(own_as_person),
        ("GET", "/espace/mandats/nouveau"): _page(own),
        ("POST", "/espace/mandats/nouveau"): _own_form(own, step="check", **mandate),
        ("GET", "/espace/mandats/{mandate_id}"): _page(mandates),
        ("POST", "/espace/mandats/{mandate_id}/fin"): _form(proxies),
        ("GET", "/espace/partages"): _page(own),
        ("GET", "/espace/partages/nouveau"): _page(own),
        ("POST", "/espace/partages/nouveau"): _page(
            own_documents,
            form=lambda world, thing, caller: {
                "documents": thing.ids["document_id"],
                "purpose": "housing",
                "recipient": "Agence",
                "views": "3",
                "ends_at": soon(30)[:10],
                "form": "original",
                "step": "check",
            },
        ),
        ("GET", "/espace/partages/{share_id}"): _page(shares),
        ("POST", "/espace/partages/{share_id}/feuillet"): _page(
            shares, form=lambda world, thing, caller: {"code": thing.more["code"]}
        ),
        ("POST", "/espace/partages/{share_id}/retrait"): _form(shares),
        ("GET", "/espace/droits"): _page(own),
        ("GET", "/espace/export"): _page(own),
        ("POST", "/espace/export"): _own_form(own),
        ("GET", "/espace/export/{export_id}"): _page(exports),
        ("GET", "/espace/export/{export_id}/archive"): _page(exports),
        ("GET", "/espace/cloture"): _page(own),
        # Without the box ticked: nobody's safe is to be closed here.
        ("POST", "/espace/cloture"): _own_form(own),
        ("POST", "/espace/cloture/{closure_id}/confirmation"): _form(closures),
        ("POST", "/espace/cloture/{closure_id}/annulation"): _form(closures),
        ("GET", "/espace/remarques"): _page(own),
        ("POST", "/espace/remarques/{note_id}/retrait"): _form(both(note)),
        ("GET", "/espace/contacts"): _page(own),
        ("POST", "/espace/contacts"): _own_form(own, channel="mail", address="camille@example.org"),
        ("POST", "/espace/contacts/choix"): _own_form(own, language="fr"),
        ("POST", "/espace/contacts/{contact_id}/retrait"): _form(contacts),
        ("POST", "/espace/contacts/{contact_id}/code"): _own_form(contacts),
        ("POST", "/espace/contacts/{contact_id}/confirmation"): _own_form(contacts, code="00000-00000"),
        ("GET", "/agent"): Recipe(own, page="person", roles=frozenset({Role.AGENT})),
        ("POST", "/agent/documents/{document_id}"): _agents(),
        ("POST", "/agent/documents/{document_id}/original"): _agents(),
        ("POST", "/agent/documents/{document_id}/dossier"): _agents(),
    }


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
    **_pages(),
}
