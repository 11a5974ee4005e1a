"""Mandates over REST: given, used, ended; what strangers, mandataries and hostile callers are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from tests.integration.api.conftest import described

keys = (f"mandate-{number}" for number in count())


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")


def wanted(**members: object) -> dict[str, object]:
    return {
        "mandatary": "dominique",
        "scope": ["read"],
        "basis": "Procuration du 3 mars",
        "ends_at": in_days(30),
        **members,
    }


@pytest.fixture
def give(client, bearer):
    def do(persona: str = "camille", **members: object):
        headers = bearer(persona, Idempotency_Key=next(keys))
        return client.post("/v1/mandates", json=wanted(**members), headers=headers)

    return do


@pytest.fixture
def guardian(give):
    def do(**members: object):
        said = {"holder": "camille", "kind": "guardian", "basis": "Jugement 12/345 du 4 mai", **members}
        return give("agent-etat-civil", **said)

    return do


@pytest.fixture
def safes(safe) -> dict[str, str]:
    return {name: safe.personas.named(name).actor.safe_id for name in ("camille", "dominique")}


def test_a_proxy_from_its_gift_to_its_end(client, bearer, give, issue, safes):
    act = issue("mandate-act", document_type="acte-de-naissance").json()["id"]
    given = give()
    assert given.status_code == 201, given.text
    here, mandate = given.headers["Location"], given.json()["id"]
    acting = bearer("dominique", Probans_Mandate=mandate)
    assert client.get(f"/v1/documents/{act}", headers=bearer("dominique")).status_code == 404
    assert client.get(f"/v1/documents/{act}", headers=acting).status_code == 200
    assert client.get(f"/v1/documents/{act}/original", headers=acting).status_code == 200
    listed = client.get(f"/v1/safes/{safes['camille']}/documents", headers=acting).json()
    assert act in {item["id"] for item in listed["items"]}
    # The journal cites it.
    lines = client.get(f"/v1/documents/{act}/journal", headers=bearer("camille")).json()["items"]
    (read,) = [line for line in lines if line["action"] == "read" and line["granted"]]
    assert mandate in str(read)
    # Both see it, each in their list, and it says for whom to whom acts.
    held = client.get("/v1/mandates", headers=bearer("dominique")).json()["items"]
    assert held[0]["id"] == mandate
    assert (held[0]["holder"], held[0]["holder_name"], held[0]["state"]) == (
        "camille",
        "Camille Exemple",
        "live",
    )
    over = client.get(f"/v1/safes/{safes['camille']}/mandates?limit=1", headers=bearer("camille")).json()
    assert [(item["id"], item["holder_name"]) for item in over["items"]] == [(mandate, "")]
    # Revoked: the next request under it is refused, and the refusal stands in the journal with the mandate.
    headers = bearer("camille", Idempotency_Key=next(keys))
    assert client.post(f"{here}/end", json={"reason": "Fin"}, headers=headers).status_code == 200
    assert client.get(f"/v1/documents/{act}", headers=acting).status_code == 404
    lines = client.get(f"/v1/documents/{act}/journal", headers=bearer("camille")).json()["items"]
    (refused,) = [line for line in lines if not line["granted"] and mandate in str(line)]
    assert refused["action"] == "describe"
    assert client.get(here, headers=bearer("camille")).json()["state"] == "revoked"
    again = client.post(f"{here}/end", json={}, headers=bearer("camille", Idempotency_Key=next(keys)))
    assert again.json()["code"] == "STATE_CONFLICT"


def test_a_mandatary_renounces_and_ends_nothing_else(client, bearer, give):
    mine, other = give().json()["id"], give(mandatary="agent-etat-civil").json()["id"]
    acting = bearer("dominique", Probans_Mandate=mine, Idempotency_Key=next(keys))
    assert client.post(f"/v1/mandates/{other}/end", json={}, headers=acting).status_code == 404
    assert client.get(f"/v1/mandates/{other}", headers=acting).status_code == 404
    assert client.post(f"/v1/mandates/{mine}/end", json={}, headers=acting).status_code == 200
    assert client.get(f"/v1/mandates/{mine}", headers=bearer("camille")).json()["state"] == "renounced"


@pytest.mark.parametrize("scope", ["read", "deposit", "answer", "share"])
def test_each_scope_opens_what_it_names_and_nothing_else(client, bearer, give, issue, safes, scope):
    act = issue(f"scope-{scope}").json()["id"]
    mandate = give(scope=[scope]).json()["id"]
    acting = bearer("dominique", Probans_Mandate=mandate)
    place = f"/v1/safes/{safes['camille']}"
    opened = {
        name: client.get(path, headers=acting).status_code == 200
        for name, path in (
            ("describe", f"/v1/documents/{act}"),
            ("list", f"{place}/documents"),
            ("journal", f"{place}/journal"),
            ("cases", f"{place}/cases"),
            ("requests", f"{place}/requests"),
            ("consents", f"{place}/consents"),
            ("keys", f"/v1/documents/{act}/keys"),
            ("contacts", f"{place}/contacts"),
            ("mandates", f"{place}/mandates"),
        )
    }
    of_scope = {
        "read": {"describe", "list", "journal", "cases"},
        "deposit": {"list"},
        "answer": {"requests", "consents"},
        "share": {"list"},
    }
    assert {name for name, is_open in opened.items() if is_open} == of_scope[scope]


def test_a_mandatary_deposits_into_the_holder_s_safe_and_the_entry_says_so(client, bearer, give, safe, safes):
    mandate = give(scope=["deposit"], document_types=["justificatif"]).json()["id"]
    said = described(file_name="piece.xml", document_type="justificatif")

    def send(**headers: str):
        named = bearer("dominique", Idempotency_Key=next(keys), **headers)
        return client.post("/v1/attachments", content=b"<a/>", headers=named)

    taken = send(Probans_Mandate=mandate, Probans_Document=said)
    assert taken.status_code == 201, taken.text
    document = taken.json()["id"]
    assert client.get(f"/v1/documents/{document}", headers=bearer("camille")).status_code == 200
    with safe.parts.database.reading() as connection:
        from vault.db.repositories import Documents

        found = Documents(safe.parts.keyring).load(connection, document)
    assert (found.safe_id, found.private.holder) == (safes["camille"], "camille")
    assert (found.private.actor, found.private.mandate) == ("dominique", mandate)
    # Of another type, of none, or in another holder's name: nothing is taken in.
    for other in (
        described(file_name="piece.xml", document_type="facture"),
        described(file_name="piece.xml"),
        described(file_name="piece.xml", document_type="justificatif", holder="dominique"),
    ):
        refused = send(Probans_Mandate=mandate, Probans_Document=other)
        assert (refused.status_code, refused.json()["code"]) == (404, "UNKNOWN_HOLDER")
    # Without the header the person deposits for themselves.
    own = send(Probans_Document=described(file_name="piece.xml"))
    assert client.get(f"/v1/documents/{own.json()['id']}", headers=bearer("camille")).status_code == 404


def test_a_mandate_for_some_types_opens_no_others(client, bearer, give, issue):
    birth = issue("types-1", document_type="acte-de-naissance").json()["id"]
    pay = issue("types-2", document_type="bulletin-de-paie").json()["id"]
    mandate = give(document_types=["bulletin-de-paie"]).json()["id"]
    acting = bearer("dominique", Probans_Mandate=mandate)
    assert client.get(f"/v1/documents/{pay}/original", headers=acting).status_code == 200
    assert client.get(f"/v1/documents/{birth}/original", headers=acting).status_code == 404
    receipts = client.post("/v1/receipts?wait=5", json={"documents": [birth, pay]}, headers=acting).text
    assert receipts.count("NOT_FOUND") == 1


def test_a_mandate_to_come_opens_nothing_yet(client, bearer, give, issue):
    act = issue("to-come").json()["id"]
    given = give(starts_at=in_days(2)).json()
    acting = bearer("dominique", Probans_Mandate=given["id"])
    assert client.get(f"/v1/documents/{act}", headers=acting).status_code == 404
    assert client.get(given["self"], headers=bearer("dominique")).json()["state"] == "to-come"


def test_a_guardian_is_named_and_dismissed_by_the_administration_alone(client, bearer, guardian, issue):
    act = issue("guardian-act").json()["id"]
    given = guardian()
    assert given.status_code == 201, given.text
    here, mandate = given.headers["Location"], given.json()["id"]
    acting = bearer("dominique", Probans_Mandate=mandate)
    assert client.get(f"/v1/documents/{act}", headers=acting).status_code == 200
    assert client.get(here, headers=bearer("camille")).json()["administration"] == "mairie-specimen"
    named = client.get(
        "/v1/administrations/mairie-specimen/mandates", headers=bearer("agent-etat-civil")
    ).json()
    assert named["items"][0]["id"] == mandate
    for stranger in ("camille", "agent-paie"):
        headers = bearer(stranger, Idempotency_Key=next(keys))
        assert client.post(f"{here}/end", json={}, headers=headers).status_code == 404, stranger
    headers = bearer("agent-etat-civil", Idempotency_Key=next(keys))
    assert client.post(f"{here}/end", json={"reason": "Jugement levé"}, headers=headers).status_code == 200
    assert client.get(f"/v1/documents/{act}", headers=acting).status_code == 404


def test_only_who_may_gives(client, bearer, give, guardian):
    for persona, members in (
        ("agent-paie", {"holder": "camille", "kind": "guardian"}),  # not one of the settings
        ("auditeur", {"holder": "camille", "kind": "guardian"}),
        ("exploitant", {"holder": "camille", "kind": "representative"}),
        ("delegue", {"holder": "camille", "kind": "guardian"}),
    ):
        assert (give(persona, **members).status_code, persona) == (404, persona)
    refused = give("camille", kind="guardian")
    assert refused.json()["params"]["field"] == "kind"
    assert give("agent-etat-civil", holder="camille", kind="proxy").json()["params"]["field"] == "kind"
    # For somebody else's safe, known or not: one answer.
    known, unknown = give(holder="dominique", mandatary="tiers"), give(holder="personne")
    assert known.status_code == unknown.status_code == 404
    assert known.json()["code"] == unknown.json()["code"] == "UNKNOWN_HOLDER"
    # Nobody gives on a mandate.
    mandate = guardian().json()["id"]
    headers = bearer("dominique", Probans_Mandate=mandate, Idempotency_Key=next(keys))
    for body in (wanted(mandatary="tiers"), wanted(mandatary="tiers", holder="camille", kind="guardian")):
        assert client.post("/v1/mandates", json=body, headers=headers).status_code in {404, 422}
    assert not [
        item
        for item in client.get("/v1/mandates", headers=bearer("dominique")).json()["items"]
        if item["mandatary"] != "dominique"
    ]


def test_the_header_of_a_mandate_that_is_not_the_caller_s_looks_like_an_unknown_one(
    client, bearer, give, safes
):
    theirs = give(mandatary="un-tiers").json()["id"]
    place = f"/v1/safes/{safes['camille']}/documents"

    def answer(persona: str, value: str):
        got = client.get(place, headers=bearer(persona, Probans_Mandate=value))
        return got.status_code, {k: v for k, v in got.json().items() if k != "request_id"}

    expected = answer("dominique", "mdt_00000000000000000000000000")
    assert expected[0] == 404
    for persona, value in (
        ("dominique", theirs),
        ("camille", theirs),
        ("agent-etat-civil", theirs),
        ("auditeur", theirs),
        ("dominique", ""),
        ("dominique", "mdt_%00"),
        ("dominique", f"{theirs}x"),
        ("dominique", theirs.upper()),
        ("dominique", safes["camille"]),
        ("dominique", "x" * 4000),
    ):
        assert answer(persona, value) == expected, (persona, value[:50])
    twice = client.get(
        place,
        headers=[*bearer("dominique").items(), ("Probans-Mandate", theirs), ("Probans-Mandate", theirs)],
    )
    assert (twice.status_code, twice.json()["params"]["field"]) == (422, "Probans-Mandate")


def test_a_mandate_opens_no_other_safe_and_not_the_mandatary_s_own(client, bearer, give, deposit, safes):
    mandate = give().json()["id"]
    own = deposit("own-of-dominique", persona="dominique").json()["id"]
    acting = bearer("dominique", Probans_Mandate=mandate)
    assert client.get(f"/v1/documents/{own}", headers=acting).status_code == 404
    assert client.get(f"/v1/safes/{safes['dominique']}/documents", headers=acting).status_code == 404


@pytest.mark.parametrize("persona", ["dominique", "agent-paie", "agent-etat-civil", "auditeur", "delegue"])
def test_strangers_learn_nothing(client, bearer, give, safes, persona):
    here = give(mandatary="un-tiers").headers["Location"]
    absent = client.get("/v1/mandates/mdt_00000000000000000000000000", headers=bearer(persona))
    seen = client.get(here, headers=bearer(persona))
    assert seen.status_code == absent.status_code == 404
    assert {**seen.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    headers = bearer(persona, Idempotency_Key=next(keys))
    assert client.post(f"{here}/end", json={}, headers=headers).status_code == 404
    assert client.get(f"/v1/safes/{safes['camille']}/mandates", headers=bearer(persona)).status_code == 404
    if persona != "agent-etat-civil":
        place = "/v1/administrations/mairie-specimen/mandates"
        assert client.get(place, headers=bearer(persona)).status_code == 404


BAD = [
    ({"mandatary": "camille"}, "mandatary"),
    ({"mandatary": ""}, "mandatary"),
    ({"mandatary": "a\nb"}, "mandatary"),
    ({"mandatary": "x" * 129}, "mandatary"),
    ({"scope": []}, "scope"),
    ({"scope": ["export"]}, "scope.0"),
    ({"scope": "read"}, "scope"),
    ({"basis": " "}, "basis"),
    ({"basis": "a\u202eb"}, "basis"),
    ({"basis": "x" * 501}, "basis"),
    ({"document_types": ["Type"]}, "document_types"),
    ({"document_types": [""]}, "document_types"),
    ({"document_types": ["a"] * 21}, "document_types"),
    ({"ends_at": in_days(-1)}, "ends_at"),
    ({"ends_at": in_days(1827)}, "ends_at"),
    ({"ends_at": "9999-12-31T23:59:59Z"}, "ends_at"),
    ({"ends_at": "demain"}, "ends_at"),
    ({"starts_at": in_days(40)}, "ends_at"),
    ({"starts_at": "9999-01-01T00:00:00Z", "ends_at": "9999-12-31T00:00:00Z"}, "starts_at"),
    ({"starts_at": "0001-01-01T00:00:00Z"}, "starts_at"),
    ({"state": "live"}, "state"),
    ({"administration": "mairie-specimen"}, "administration"),
    ({"safe_id": "safe_00000000000000000000000000"}, "safe_id"),
    ({"kind": "all"}, "kind"),
]


@pytest.mark.parametrize(("members", "field"), BAD, ids=lambda value: str(value)[:30])
def test_bad_members_are_named(give, members, field):
    answer = give(**members)
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"].partition(".")[0] == field.partition(".")[0]


def test_the_same_request_twice_is_one_mandate(client, bearer):
    headers, body = bearer("camille", Idempotency_Key=next(keys)), wanted()
    first, again = (client.post("/v1/mandates", json=body, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = client.post("/v1/mandates", json=wanted(scope=["share"]), headers=headers)
    assert other.json()["code"] == "IDEMPOTENCY_KEY_REUSED"
