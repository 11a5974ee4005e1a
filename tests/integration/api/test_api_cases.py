"""Where is my request: opened by an administration, followed by its holder, hidden from everybody else."""

from __future__ import annotations

import pytest

STEP = {"state": "instruction", "words": {"fr": "Votre demande est examinée.", "en": "Under examination."}}


def case(reference: str, **members: object) -> dict[str, object]:
    return {
        "holder": "camille",
        "reference": reference,
        "type": "inscription-scolaire",
        "title": {"fr": "Inscription à l’école", "en": "School registration"},
        **STEP,
        **members,
    }


@pytest.fixture
def opened(client, bearer):
    def do(reference: str, persona: str = "agent-etat-civil", **members: object):
        headers = bearer(persona, Idempotency_Key=f"open-{reference}")
        return client.post("/v1/cases", json=case(reference, **members), headers=headers)

    return do


@pytest.fixture
def camille_safe(safe) -> str:
    return safe.personas.named("camille").actor.safe_id


def test_a_case_from_its_opening_to_its_end(client, bearer, opened, issue, camille_safe):
    began = opened("DEM-1", held_by={"fr": "État civil"}, expected_end="2030-01-15T09:00:00Z")
    assert began.status_code == 201, began.text
    here = began.headers["Location"]
    agent = lambda key: bearer("agent-etat-civil", Idempotency_Key=key)  # noqa: E731
    step = {"state": "piece-attendue", "words": {"fr": "Il manque un justificatif."}}
    assert client.post(f"{here}/steps", json=step, headers=agent("s1")).status_code == 200
    act = issue("case-act").json()["id"]
    link = {"document": act, "role": "produced"}
    assert client.post(f"{here}/documents", json=link, headers=agent("s2")).status_code == 200
    end = {"state": "acceptee", "words": {"fr": "Demande acceptée.", "en": "Accepted."}}
    assert client.post(f"{here}/closure", json=end, headers=agent("s3")).status_code == 200
    seen = client.get(here, headers=bearer("camille")).json()
    assert seen["status"] == "closed"
    assert [each["state"] for each in seen["steps"]] == ["instruction", "piece-attendue", "acceptee"]
    assert seen["held_by"] == {"fr": "État civil", "en": ""}
    assert seen["expected_end"] == "2030-01-15T09:00:00.000Z"
    assert [(each["document"], each["role"]) for each in seen["documents"]] == [(act, "produced")]
    assert seen["last_entry"] > seen["entry"]
    assert client.post(f"{here}/steps", json=step, headers=agent("s4")).json()["code"] == "STATE_CONFLICT"
    again = client.post(f"{here}/reopening", json=STEP, headers=agent("s5"))
    assert again.status_code == 200
    listed = client.get(f"/v1/safes/{camille_safe}/cases?limit=1", headers=bearer("camille")).json()
    assert [item["reference"] for item in listed["items"]] == ["DEM-1"]
    assert listed["items"][0]["status"] == "open"


def test_the_same_request_twice_is_one_case_and_one_reference_one_case(client, bearer, opened):
    first = opened("DEM-2").json()
    again = opened("DEM-2")
    assert again.json() == first
    assert again.headers["Idempotency-Replayed"] == "true"
    headers = bearer("agent-etat-civil", Idempotency_Key="other-key")
    assert client.post("/v1/cases", json=case("DEM-2"), headers=headers).json()["code"] == "CASE_EXISTS"
    # Another administration's reference is its own.
    assert opened("DEM-2b", persona="agent-paie").status_code == 201
    found = client.get(
        "/v1/administrations/mairie-specimen/cases?reference=DEM-2", headers=bearer("agent-etat-civil")
    )
    assert [item["id"] for item in found.json()["items"]] == [first["id"]]
    found = client.get(
        "/v1/administrations/mairie-specimen/cases?reference=DEM-2b", headers=bearer("agent-etat-civil")
    )
    assert found.json()["items"] == []


@pytest.mark.parametrize("persona", ["dominique", "agent-paie", "auditeur", "exploitant"])
def test_strangers_learn_nothing(client, bearer, opened, camille_safe, persona):
    here = opened("DEM-3").headers["Location"]
    absent = client.get("/v1/cases/cas_00000000000000000000000000", headers=bearer(persona))
    answer = client.get(here, headers=bearer(persona))
    assert answer.status_code == 404
    hidden = {"request_id"}
    assert {k: v for k, v in answer.json().items() if k not in hidden} == {
        k: v for k, v in absent.json().items() if k not in hidden
    }
    for path, body in (
        ("steps", STEP),
        ("closure", STEP),
        ("documents", {"document": "doc_x", "role": "needed"}),
    ):
        headers = bearer(persona, Idempotency_Key=f"{persona}-{path}")
        assert client.post(f"{here}/{path}", json=body, headers=headers).status_code == 404
    for path in (f"/v1/safes/{camille_safe}/cases", "/v1/administrations/mairie-specimen/cases"):
        assert client.get(path, headers=bearer(persona)).status_code == 404


def test_a_holder_does_not_write_a_case(client, bearer, opened):
    here = opened("DEM-4").headers["Location"]
    headers = bearer("camille", Idempotency_Key="holder-step")
    assert client.post(f"{here}/steps", json=STEP, headers=headers).status_code == 404
    assert client.post("/v1/cases", json=case("DEM-5"), headers=headers).status_code == 404


def test_documents_of_other_safes_or_out_of_sight_are_not_linked(client, bearer, opened, issue, deposit):
    here = opened("DEM-6").headers["Location"]
    others = issue("case-other", holder="dominique").json()["id"]
    unseen = deposit("case-unseen").json()["id"]
    for key, document in (("l1", others), ("l2", unseen), ("l3", "doc_00000000000000000000000000")):
        headers = bearer("agent-etat-civil", Idempotency_Key=key)
        answer = client.post(
            f"{here}/documents", json={"document": document, "role": "provided"}, headers=headers
        )
        assert answer.status_code == 404, document


BAD = [
    ({"reference": ""}, "reference"),
    ({"reference": "a\nb"}, "reference"),
    ({"type": "Type"}, "type"),
    ({"state": ""}, "state"),
    ({"words": {"fr": ""}}, "words.fr"),
    ({"words": {"fr": "a\u202eb"}}, "words.fr"),
    ({"title": {"fr": "x" * 501}}, "title.fr"),
    ({"expected_end": "demain"}, "expected_end"),
    ({"expected_end": "2026-01-15"}, "expected_end"),
    ({"expected_end": "9999-12-31T23:59:59-23:00"}, "expected_end"),
    ({"status": "closed"}, "status"),
    ({"steps": []}, "steps"),
]


@pytest.mark.parametrize(("members", "field"), BAD, ids=lambda value: str(value)[:30])
def test_bad_members_are_named(client, bearer, members, field):
    headers = bearer("agent-etat-civil", Idempotency_Key="bad-case")
    answer = client.post("/v1/cases", json={**case("DEM-BAD"), **members}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"] == field


def test_every_step_is_an_entry_and_a_notice(client, bearer, opened, safe):
    from sqlalchemy import select

    from vault.db import models

    began = opened("DEM-7").json()
    headers = bearer("agent-etat-civil", Idempotency_Key="seven")
    moved = client.post(f"{began['self']}/steps", json=STEP, headers=headers).json()
    with safe.parts.database.reading() as connection:
        entries = safe.people.matters.rows.entries(connection, began["id"])
        waiting = connection.execute(
            select(models.outbox.c.topic, models.outbox.c.payload).where(models.outbox.c.topic.like("case.%"))
        ).all()
    assert [(entry.seq, entry.event) for entry in entries] == [
        (began["entry"], "case.opened"),
        (moved["entry"], "case.moved"),
    ]
    told = [topic for topic, payload in waiting if began["id"] in payload]
    assert told == ["case.opened", "case.moved"]
    assert not any("camille" in payload or "DEM-7" in payload for _, payload in waiting)


def test_an_appointment_reminds_the_day_before_and_not_after_the_end(client, bearer, opened, safe):
    from datetime import UTC, datetime, timedelta

    from sqlalchemy import select

    from vault.clock import rfc3339
    from vault.db import models

    when = datetime.now(UTC) + timedelta(days=10)
    began = opened("DEM-8", appointment_at=rfc3339(when), deadline_at=rfc3339(when)).json()
    table = models.reminders
    query = select(table.c.kind, table.c.due_at, table.c.until).where(table.c.matter_id == began["id"])
    with safe.parts.database.reading() as connection:
        planned = {row.kind: (row.due_at, row.until) for row in connection.execute(query)}
    assert planned == {
        "appointment": (rfc3339(when - timedelta(days=1)), rfc3339(when)),
        "deadline": (rfc3339(when - timedelta(days=3)), rfc3339(when)),
    }
    headers = bearer("agent-etat-civil", Idempotency_Key="eight")
    assert client.post(f"{began['self']}/closure", json=STEP, headers=headers).status_code == 200
    with safe.parts.database.reading() as connection:
        assert connection.execute(query.where(table.c.done_at.is_(None))).all() == []
    for wrong in ("2020-01-01T00:00:00Z", "2199-01-01T00:00:00Z"):
        answer = opened(f"DEM-9-{wrong[:4]}", appointment_at=wrong)
        assert answer.json()["params"]["field"] == "appointment_at"


def test_another_service_of_the_same_administration_neither_sees_nor_moves_it(client, bearer, opened, safe):
    from dataclasses import replace

    began = opened("DEM-10", service="etat-civil").json()
    assert opened("DEM-11", service="urbanisme").json()["params"]["field"] == "service"
    agent = safe.personas.named("agent-etat-civil").actor
    cases = safe.people.cases
    assert cases.see(agent, began["id"]).id == began["id"]
    other = replace(agent, service="urbanisme")
    from vault.errors import NotFound

    with pytest.raises(NotFound):
        cases.see(other, began["id"])
    listed = cases.of_administration(other, "mairie-specimen", None, None, 3)
    assert began["id"] not in [case.id for case in listed]
    assert cases.of_administration(other, "mairie-specimen", "DEM-10", None, 3) == []
    without = replace(agent, service="")
    assert cases.see(without, began["id"]).id == began["id"]
