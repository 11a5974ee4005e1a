"""Safes and closures over REST, and the operator's command; attacks by strangers and by odd members."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from typer.testing import CliRunner

keys = (f"safe-{number}" for number in count())
COMPANY = {"name": "Société Exemple", "kind": "company", "register": "RCI", "number": "99P01234"}
HIDDEN = {"request_id"}


@pytest.fixture
def open_safe(client, bearer):
    def do(holder: str, persona: str = "agent-etat-civil", **members: object):
        body = {"holder": holder, "name": "Personne Essai", **members}
        return client.post("/v1/safes", json=body, headers=bearer(persona))

    return do


@pytest.fixture
def closure(client, bearer, open_safe):
    """Tell of the death of somebody whose safe is opened for it."""

    def do(holder: str, persona: str = "agent-etat-civil", **members: object):
        open_safe(holder)
        body = {"holder": holder, "kind": "death", "basis": "Acte de décès 2026/12", **members}
        return client.post("/v1/closures", json=body, headers=bearer(persona, Idempotency_Key=next(keys)))

    return do


def test_a_holder_sees_the_own_safe(client, bearer, issue, deposit, safe):
    issue("safe-see-act", document_type="acte-de-naissance")
    deposit("safe-see-piece")
    place = f"/v1/safes/{safe.personas.named('camille').actor.safe_id}"
    seen = client.get(place, headers=bearer("camille"))
    assert seen.status_code == 200, seen.text
    body = seen.json()
    assert (body["kind"], body["holder"], body["name"]) == ("person", "camille", "Camille Exemple")
    assert (body["register"], body["number"]) == ("", "")
    # Other tests ask for its closure; nothing of it is confirmed.
    assert {each["state"] for each in body["closures"]} <= {"asked"}
    counts = body["documents"]
    assert counts["types"]["acte-de-naissance"] >= 1
    assert counts["types"][""] >= 1
    assert sum(counts["types"].values()) == sum(counts["years"].values()) == counts["total"]
    assert sum(counts["statuses"].values()) == counts["total"]
    assert counts["octets"] > 0


@pytest.mark.parametrize("persona", ["dominique", "agent-etat-civil", "auditeur", "exploitant", "delegue"])
def test_strangers_see_no_safe(client, bearer, safe, persona):
    place = f"/v1/safes/{safe.personas.named('camille').actor.safe_id}"
    absent = client.get("/v1/safes/safe_00000000000000000000000000", headers=bearer(persona))
    seen = client.get(place, headers=bearer(persona))
    assert seen.status_code == absent.status_code == 404
    assert {**seen.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    listed = client.get(f"{place}/closures", headers=bearer(persona))
    assert listed.status_code == (200 if persona == "delegue" else 404)


def test_a_mandatary_counts_the_types_of_the_mandate_alone(client, bearer, issue, safe):
    issue("counts-birth", document_type="acte-de-naissance")
    issue("counts-pay", document_type="bulletin-de-paie")
    body = {
        "mandatary": "dominique",
        "scope": ["read"],
        "document_types": ["bulletin-de-paie"],
        "basis": "Procuration",
        "ends_at": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
    }
    given = client.post("/v1/mandates", json=body, headers=bearer("camille", Idempotency_Key=next(keys)))
    assert given.status_code == 201, given.text
    place = f"/v1/safes/{safe.personas.named('camille').actor.safe_id}"
    acting = bearer("dominique", Probans_Mandate=given.json()["id"])
    assert set(client.get(place, headers=acting).json()["documents"]["types"]) == {"bulletin-de-paie"}
    # A safe closure is not the mandatary's to ask.
    assert client.get(f"{place}/closures", headers=acting).status_code == 404


def test_an_authority_opens_a_safe_once(client, open_safe, issue):
    first = open_safe("rci-99p01234", **COMPANY)
    assert first.status_code == 201, first.text
    again = open_safe("rci-99p01234", **COMPANY)
    assert (again.status_code, again.json()) == (200, first.json())
    other = open_safe("rci-99p01234", **{**COMPANY, "number": "1"})
    assert (other.status_code, other.json()["code"]) == (409, "SAFE_EXISTS")
    assert open_safe("camille").json()["code"] == "SAFE_EXISTS"
    assert issue("for-company", holder="rci-99p01234").status_code == 201


@pytest.mark.parametrize("persona", ["camille", "agent-paie", "auditeur", "exploitant", "delegue"])
def test_nobody_else_opens_safes(open_safe, issue, persona):
    assert open_safe(f"nobody-{persona}", persona).status_code == 404
    assert issue(f"nobody-{persona}", holder=f"nobody-{persona}").json()["code"] == "UNKNOWN_HOLDER"


BAD = [
    ({"name": ""}, "name"),
    ({"name": "a\u202eb"}, "name"),
    ({"name": "a\r\nb"}, "name"),
    ({"holder": " "}, "holder"),
    ({"holder": "x" * 129}, "holder"),
    ({"kind": "state"}, "kind"),
    ({"kind": "company"}, "register"),
    ({"kind": "company", "register": "RCI"}, "number"),
    ({"number": "1"}, "number"),
    ({"id": "safe_00000000000000000000000000"}, "id"),
    ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ({"closures": []}, "closures"),
]


@pytest.mark.parametrize(("members", "field"), BAD, ids=lambda value: str(value)[:30])
def test_bad_members_are_named(open_safe, members, field):
    answer = open_safe(**{"holder": "bad", **members})
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"] == field


def test_a_death_from_its_telling_to_its_cancellation(client, bearer, closure, issue):
    told = closure("defunt-1")
    assert told.status_code == 201, told.text
    here, officer = told.headers["Location"], bearer("delegue")
    waiting = client.get("/v1/closures", headers=officer).json()["items"]
    assert told.json()["id"] in {item["id"] for item in waiting}
    confirmed = client.post(f"{here}/confirmation", headers=bearer("delegue", Idempotency_Key=next(keys)))
    assert confirmed.status_code == 200, confirmed.text
    seen = client.get(here, headers=officer).json()
    assert (seen["state"], seen["kind"], seen["administration"]) == ("notice", "death", "mairie-specimen")
    assert seen["closes_at"] > seen["notice_at"]
    assert client.get(here, headers=bearer("agent-etat-civil")).json() == seen
    assert issue("defunt-act", holder="defunt-1").status_code == 201  # in the notice acts still come
    late = client.post(
        f"{here}/cancellation", json={}, headers=bearer("agent-etat-civil", Idempotency_Key=next(keys))
    )
    assert late.json()["code"] == "STATE_CONFLICT"
    headers = bearer("delegue", Idempotency_Key=next(keys))
    assert (
        client.post(f"{here}/cancellation", json={"reason": "Homonyme"}, headers=headers).status_code == 200
    )
    again = closure("defunt-1")
    assert again.status_code == 201
    assert closure("defunt-1").json()["code"] == "CLOSURE_RUNNING"


@pytest.mark.parametrize("persona", ["dominique", "camille", "agent-paie", "auditeur", "exploitant"])
def test_strangers_learn_nothing_of_a_closure(client, bearer, closure, persona):
    here = closure(f"defunt-{persona}").headers["Location"]
    unknown = "/v1/closures/cls_00000000000000000000000000"
    for method, place, body in (
        ("GET", "", None),
        ("POST", "/confirmation", None),
        ("POST", "/cancellation", {"reason": ""}),
    ):
        got = [
            client.request(
                method, f"{each}{place}", json=body, headers=bearer(persona, Idempotency_Key=next(keys))
            )
            for each in (here, unknown)
        ]
        assert [answer.status_code for answer in got] == [404, 404], place
        first, second = ({k: v for k, v in answer.json().items() if k not in HIDDEN} for answer in got)
        assert first == second
    assert client.get("/v1/closures", headers=bearer(persona)).status_code == 404


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"kind": "wish"}, "kind"),
        ({"kind": "dissolution"}, "kind"),
        ({"kind": "murder"}, "kind"),
        ({"basis": ""}, "basis"),
        ({"basis": "a\x00b"}, "basis"),
        ({"state": "closed"}, "state"),
        ({"notice_days": 0}, "notice_days"),
        ({"closes_at": "2020-01-01T00:00:00Z"}, "closes_at"),
    ],
)
def test_bad_closures_are_named(closure, members, field):
    answer = closure("defunt-bad", **members)
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"] == field


def test_operators_see_how_much_lies_in_a_safe_and_not_what(safe, issue, tmp_path):
    from vault.bootstrap import open_vault
    from vault.cli.main import build
    from vault.settings import Settings

    data = tmp_path / "data"
    open_vault(Settings(data=data), background=False).close()
    run, app = CliRunner(), build(["safes"])

    def call(*words: str):
        return run.invoke(app, ["safes", *words, "--data", str(data)])

    opened = call(
        "open", "rci-7", "--name", "Société Nommée", "--kind", "company", "--register", "RCI", "--number", "7"
    )
    assert opened.exit_code == 0, opened.output
    safe_id = opened.output.strip()
    assert call("open", "rci-7", "--name", "Autre").exit_code != 0
    shown = json.loads(call("show", safe_id).output)
    assert (shown["id"], shown["kind"], shown["documents"], shown["closures"]) == (safe_id, "company", 0, [])
    lines = [json.loads(line) for line in call("list", "--json").output.splitlines()]
    assert safe_id in {line["id"] for line in lines}
    assert len(lines) == 3
    for output in (call("list").output, call("list", "--json").output, call("show", safe_id).output):
        assert not any(word in output for word in ("Nommée", "rci-7", "camille", "Camille"))
    assert call("show", "safe_00000000000000000000000000").exit_code != 0
