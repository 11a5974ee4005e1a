"""What is asked about: each function makes one kind of thing, of two holders and two administrations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.integration.access.facts import EMPLOYER, TOWN, TYPE, Thing
from tests.integration.access.world import World

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


def batches(world: World) -> list[Thing]:
    """Batches of one line, for Camille."""
    return [
        Thing(
            f"batch of {administration}",
            {"batch_id": world.batch(administration, persona), "line": 1, "form": "csv"},
            administration=administration,
        )
        for administration, persona in ((TOWN, "agent-etat-civil"), (EMPLOYER, "agent-paie"))
    ]


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
    service = SERVICES[administration]
    return Thing(f"request to {holder}", {"request_id": made}, holder, administration, service, type=TYPE)


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
        Thing(f"requisition about {holder}", {"requisition_id": world.requisitioned(holder, "quelqu-un")})
        for holder in ("camille", "dominique")
    ]
