"""How each route is asked: about which things, with what body, and what it answers to whoever may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.integration.access.asking import Ask
from tests.integration.access.world import EMPLOYER, PURPOSE, TOWN, TYPE, Caller, Thing, World, soon
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
        as_page: asked by a browser with the cookie of a made-up person.
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
    as_page: bool = False
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
            self.as_page,
        )

    def verdict(self, answer: httpx.Response) -> bool | None:
        """Tell whether it was granted; None for an answer that is neither a grant nor a refusal."""
        if answer.is_success:
            return True if self.granted is None else self.granted(answer)
        if answer.json().get("code") in self.codes:
            return True
        return False if answer.status_code in REFUSED else None


# --- things

ALL = frozenset({"describe", "read", "evidence"})


def documents(world: World) -> list[Thing]:
    """An act that was given to the employer, one that was not, one of another holder, an attachment."""
    return [
        Thing(
            "given act", {"document_id": world.given}, "camille", TOWN, document=world.given, type=TYPE,
            consents={(EMPLOYER, "paie"): ALL},
        ),
        Thing("act", {"document_id": world.plain}, "camille", TOWN, document=world.plain, type=TYPE),
        Thing(
            "act of another", {"document_id": world.foreign}, "dominique", EMPLOYER, document=world.foreign,
            type=TYPE,
        ),
        Thing("attachment", {"document_id": world.attachment}, "camille", document=world.attachment, type=TYPE),
    ]  # fmt: skip


def safes(world: World) -> list[Thing]:
    return [
        Thing(f"safe of {name}", {"safe_id": world.safes[name]}, name) for name in ("camille", "dominique")
    ]


def typed_safes(world: World) -> list[Thing]:
    return [Thing(each.label, each.ids, each.safe, type=TYPE) for each in safes(world)]


def forms(world: World) -> list[Thing]:
    return [
        Thing(f"{form} of {each.label}", {**each.ids, "form": form}, each.safe)
        for each, form in zip([*safes(world), *safes(world)], ("csv", "json", "pdf", "csv"), strict=True)
    ]


def administrations(world: World) -> list[Thing]:
    return [Thing(name, {"administration_id": name}, administration=name) for name in (TOWN, EMPLOYER)]


def both(make: Callable[[World, str, str, str], Thing]) -> Callable[[World], list[Thing]]:
    """One thing of Camille's and the employer's payroll, one of Dominique's and the town hall's civil status."""
    return lambda world: [
        make(world, "camille", EMPLOYER, "agent-paie"), make(world, "dominique", TOWN, "agent-etat-civil"),
    ]  # fmt: skip


def own(world: World) -> list[Thing]:
    return [Thing("own", own=True)]


def own_as_person(world: World) -> list[Thing]:
    return [Thing("own", own=True, personal=True)]


SERVICES = {EMPLOYER: "paie", TOWN: "etat-civil"}


def request(world: World, holder: str, administration: str, persona: str) -> Thing:
    made = world.request(holder, administration=administration, persona=persona)
    return Thing(
        f"request to {holder}", {"request_id": made}, holder, administration, SERVICES[administration]
    )


def consents(world: World) -> list[Thing]:
    return [_consent(world, "camille", world.given), _consent(world, "dominique", world.foreign)]


def _consent(world: World, holder: str, document: str, *, withdrawn: bool = False) -> Thing:
    made = world.consent(document, "describe", holder=holder, withdrawn=withdrawn)
    return Thing(f"consent of {holder}", {"consent_id": made}, holder, EMPLOYER, "paie", type=TYPE)


def withdrawn_consents(world: World) -> list[Thing]:
    return [
        _consent(world, "camille", world.plain, withdrawn=True),
        _consent(world, "dominique", world.foreign, withdrawn=True),
    ]


def statements(world: World) -> list[Thing]:
    return [
        Thing(
            f"statement of {holder}", {"statement_id": world.statement(holder)}, holder, EMPLOYER, "paie", type=TYPE
        )
        for holder in ("camille", "dominique")
    ]  # fmt: skip


def lines(world: World) -> list[Thing]:
    """The entries by which two acts came in."""
    made = []
    for holder in ("camille", "dominique"):
        document = world.issue(holder)
        with world.vault.parts.database.reading() as connection:
            entry = world.vault.reading._documents.entries(connection, document, "status")[0].seq
        made.append(Thing(f"line of {holder}", {"entry": entry}, holder, type=TYPE))
    return made


def reports(world: World) -> list[Thing]:
    made = []
    for line in lines(world):
        path = f"/v1/journal/{line.ids['entry']}/report"
        report = world.post(line.safe, path, {"words": "Pourquoi ?"})["id"]
        made.append(Thing(f"report of {line.safe}", {"report_id": report}, line.safe, type=TYPE))
    return made


def exports(world: World) -> list[Thing]:
    return [
        Thing(
            f"export of {each.safe}",
            {"export_id": world.post(each.safe, f"/v1/safes/{each.ids['safe_id']}/exports")["id"]},
            each.safe,
        )
        for each in safes(world)
    ]


def note(world: World, holder: str, administration: str, persona: str) -> Thing:
    act = world.issue(holder, administration=administration, persona=persona)
    made = world.post(holder, f"/v1/documents/{act}/notes", {"words": "Le prénom est faux."})["id"]
    return Thing(f"note of {holder}", {"note_id": made}, holder, administration, type=TYPE)


def case(world: World, holder: str, administration: str, persona: str) -> Thing:
    made = world.post(persona, "/v1/cases", case_body(holder, administration, world.key()))["id"]
    return Thing(f"case of {holder}", {"case_id": made}, holder, administration)


def case_and_act(world: World, holder: str, administration: str, persona: str) -> Thing:
    """A case, and an act of the same administration that may be linked to it once."""
    made = case(world, holder, administration, persona)
    act = world.issue(holder, administration=administration, persona=persona)
    return Thing(made.label, made.ids, holder, administration, more={"document": act})


def case_body(holder: str, administration: str, reference: str) -> dict[str, Any]:
    return {
        "holder": holder, "administration": administration, "reference": reference, "type": "inscription",
        "title": {"fr": "Inscription", "en": "Registration"}, "state": "depose", "words": {"fr": "Reçu.", "en": ""},
    }  # fmt: skip


def contacts(world: World) -> list[Thing]:
    made = []
    for each in safes(world):
        body = {"contacts": [{"channel": "mail", "address": f"{each.safe}.{world.key()}@example.org"}]}
        answer = world.client.request(
            "PUT",
            f"/v1/safes/{each.ids['safe_id']}/contacts",
            json=body,
            headers=world.caller(each.safe).headers,
        )
        assert answer.status_code == 200, answer.text
        contact = answer.json()["contacts"][0]["id"]
        made.append(Thing(f"contact of {each.safe}", {**each.ids, "contact_id": contact}, each.safe))
    return made


def mandates(world: World) -> list[Thing]:
    made = []
    for holder, administration in (("camille", None), ("dominique", None), ("camille", TOWN)):
        given = world.mandate(holder, "read", administration=administration)
        label = f"mandate of {holder} by {administration or 'the holder'}"
        made.append(Thing(label, {"mandate_id": given}, holder, administration or "", mandate=given))
    return made


def proxies(world: World) -> list[Thing]:
    return mandates(world)[:2]


def shares(world: World) -> list[Thing]:
    made = []
    for holder, document in (("camille", world.plain), ("dominique", world.foreign)):
        share = world.share(holder, [document], "original")
        more = {"code": share["code"]}
        made.append(Thing(f"share of {holder}", {"share_id": share["id"]}, holder, type=TYPE, more=more))
    return made


def own_documents(world: World) -> list[Thing]:
    return [each for each in documents(world) if each.label != "attachment"]


def shared(world: World) -> list[Thing]:
    return [
        *own_documents(world),
        Thing("act in PDF", {"document_id": world.pdf}, "camille", TOWN, document=world.pdf, type=TYPE),
    ]


def told(world: World) -> list[Thing]:
    """Asked for by the town hall, about a safe of its own choice."""
    name = f"inconnu-{world.key()}"
    return [Thing("safe of a stranger", safe=name, administration=TOWN, more={"holder": name})]


def closures(world: World) -> list[Thing]:
    """Dominique's wish, the only one running; a death told by the town hall."""
    wish, death = closable(world)
    made = world.post("dominique", "/v1/closures", {"kind": "wish"})["id"]
    body = {"holder": death.safe, "kind": "death", "basis": "Acte de décès"}
    other = world.post("agent-etat-civil", "/v1/closures", body)["id"]
    return [
        replace(wish, label="wish", ids={"closure_id": made}),
        replace(death, label="death", ids={"closure_id": other}),
    ]


def closable(world: World) -> list[Thing]:
    """Safes of which no closure runs: Dominique's, and one of a stranger."""
    token, safe = world.token("dominique"), world.safes["dominique"]
    for each in world.ask("GET", f"/v1/safes/{safe}/closures", token=token)["items"]:
        if each["state"] in {"asked", "notice"}:
            who = "dominique" if each["kind"] == "wish" else "agent-etat-civil"
            world.post(who, f"/v1/closures/{each['id']}/cancellation", {})
    stranger = f"inconnu-{world.key()}"
    world.safe(stranger)
    return [
        Thing("closable safe of dominique", safe="dominique", kind="wish"),
        Thing("closable safe of a stranger", safe=stranger, administration=TOWN, kind="death"),
    ]


def askable(world: World) -> list[Thing]:
    """Of whose end the town hall may tell: of anybody's."""
    return [replace(each, administration=TOWN) for each in closable(world)]


def requisitions(world: World) -> list[Thing]:
    return [
        Thing(
            f"requisition about {holder}", {"requisition_id": world.requisitioned(holder, "auditeur-requis")}
        )
        for holder in ("camille", "dominique")
    ]


# --- bodies


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
    # pages
    ("GET", "/documents/{document_id}/original"): Recipe(documents, codes=_WHY, as_page=True),
    ("GET", "/documents/{document_id}/dossier"): Recipe(documents, codes=_WHY, as_page=True),
    ("GET", "/documents/{document_id}/recepisse"): Recipe(documents, codes=_WHY, as_page=True),
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
