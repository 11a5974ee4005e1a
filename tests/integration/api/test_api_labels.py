"""Labels and search over REST."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest


@pytest.fixture
def place(safe) -> str:
    return f"/v1/safes/{safe.personas.named('camille').actor.safe_id}"


def test_labels_and_search_from_end_to_end(client, bearer, deposit, place):
    ids = [
        deposit(f"labels-{number}", title=f"Quittance n° {number}", case="LOYER-1").json()["id"]
        for number in range(3)
    ]
    me = bearer("camille")
    put = client.put(f"/v1/documents/{ids[0]}/labels", json={"labels": ["Été 2026", "logement"]}, headers=me)
    assert (put.status_code, put.json()) == (200, {"labels": ["Été 2026", "logement"]}), put.text
    assert client.get(f"/v1/documents/{ids[0]}", headers=me).json()["labels"] == ["Été 2026", "logement"]

    def found(**asked: str) -> list[str]:
        got = client.get(f"{place}/documents", params=asked, headers=me)
        sent = client.post(f"{place}/documents/search", json=asked, headers=me)
        assert got.status_code == sent.status_code == 200, got.text + sent.text
        assert [item["id"] for item in got.json()["items"]] == [item["id"] for item in sent.json()["items"]]
        return [item["id"] for item in got.json()["items"]]

    assert found(label="ETE 2026") == [ids[0]]
    assert found(case="LOYER-1") == ids[::-1]
    assert found(q="quittance 2", kind="attachment") == [ids[2]]
    assert found(case="LOYER-1", year="1999") == []
    page = client.get(f"{place}/documents", params={"q": "quittance", "limit": "1"}, headers=me)
    follow = urlsplit(page.headers["Link"].partition(";")[0].strip("<>"))
    after = client.get(f"{follow.path}?{follow.query}", headers=me).json()
    assert after["items"][0]["id"] == ids[1]
    used = client.get(f"{place}/labels", headers=me).json()["items"]
    assert {"label": "Été 2026", "documents": 1} in used


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "labels"),
        ({"labels": "logement"}, "labels"),
        ({"labels": [1]}, "labels.0"),
        ({"labels": ["<script>\n"]}, "labels"),
        ({"labels": [], "status": "valid"}, "status"),
        ({"labels": [], "safe_id": "safe_1"}, "safe_id"),
    ],
)
def test_bad_bodies_are_named(client, bearer, deposit, body, field):
    document = deposit("labels-bad").json()["id"]
    answer = client.put(f"/v1/documents/{document}/labels", json=body, headers=bearer("camille"))
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"] == field


@pytest.mark.parametrize("persona", ["dominique", "agent-etat-civil", "auditeur", "exploitant", "delegue"])
def test_strangers_learn_nothing(client, bearer, deposit, place, persona):
    document = deposit("labels-strangers").json()["id"]
    unknown = "doc_00000000000000000000000000"
    answers = [
        client.put(f"/v1/documents/{each}/labels", json={"labels": ["x"]}, headers=bearer(persona))
        for each in (document, unknown)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    first, second = ({**answer.json(), "request_id": ""} for answer in answers)
    assert first == second
    assert client.get(f"{place}/labels", headers=bearer(persona)).status_code == 404
    assert client.get(f"{place}/documents?q=x", headers=bearer(persona)).status_code == 404
    assert client.post(f"{place}/documents/search", json={}, headers=bearer(persona)).status_code == 404
    assert client.put(f"/v1/documents/{document}/labels", json={"labels": []}).status_code == 401


def test_what_is_looked_for_is_in_no_log(client, bearer, place, caplog):
    with caplog.at_level(0):
        client.get(f"{place}/documents?q=mot-reconnaissable", headers=bearer("camille"))
    ours = [record for record in caplog.records if record.name.startswith("probans")]
    assert not any("reconnaissable" in str(vars(record)) for record in ours)
