"""The one way to content without its holder's consent: recorded, cited, ended, and seen by the holder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vault.clock import rfc3339


def order(**members: object) -> dict[str, object]:
    return {
        "holder": "camille",
        "auditor": "auditeur",
        "authority": "Tribunal de Valombre",
        "reference": "CR-2026-114",
        "words": "Enquête sur une fraude documentaire.",
        "ends_at": rfc3339(datetime.now(UTC) + timedelta(days=10)),
        **members,
    }


@pytest.fixture
def record(client, bearer):
    def do(key: str, persona: str = "delegue", **members: object):
        headers = bearer(persona, Idempotency_Key=key)
        return client.post("/v1/requisitions", json=order(**members), headers=headers)

    return do


def read(client, bearer, document: str, purpose: str = "requisition"):
    headers = bearer("auditeur", Probans_Purpose=purpose)
    return client.get(f"/v1/documents/{document}/original", headers=headers)


def test_it_opens_one_document_to_one_auditor_until_it_ends(client, bearer, record, issue, safe):
    document, other = issue("rq-act").json()["id"], issue("rq-other").json()["id"]
    assert read(client, bearer, document).status_code == 404
    began = record("rq-1", document=document)
    assert began.status_code == 201, began.text
    answer = read(client, bearer, document)
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF")
    assert read(client, bearer, other).status_code == 404
    # Every read cites it, and the holder sees that.
    with safe.parts.database.reading() as connection:
        key = safe.reading._documents.key(connection, document)
        entries = safe.reading._documents.entries(connection, document, "access")
    from vault.db.repositories import opening_role
    from vault.ledger.opening import RevealedOpening

    contexts = [
        RevealedOpening.parse(key.open(opening_role("access", entry.counter), entry.opening)).context
        for entry in entries
        if entry.event == "document.read"
    ]
    assert began.json()["id"] in [context.get("requisition") for context in contexts]
    headers = bearer("delegue", Idempotency_Key="rq-1-end")
    ended = client.post(f"{began.json()['self']}/end", json={"reason": "Rapportée."}, headers=headers)
    assert ended.status_code == 200
    assert read(client, bearer, document, "requisition-deux").status_code == 404
    twice = bearer("delegue", Idempotency_Key="rq-1-again")
    answer = client.post(f"{began.json()['self']}/end", json={"reason": "Encore."}, headers=twice)
    assert answer.json()["code"] == "STATE_CONFLICT"


def test_its_sealed_paper_says_what_was_ordered(client, bearer, record):
    import io
    import json
    import zipfile

    began = record("rq-2", holder="dominique").json()
    answer = client.get(f"{began['self']}/paper", headers=bearer("delegue"))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as container:
        said = json.loads(container.read("requisition.json"))
    assert said["format"] == "probans/requisition/v1"
    assert said["requisition"] == began["id"]
    assert (said["authority"], said["reference"]) == ("Tribunal de Valombre", "CR-2026-114")
    seen = client.get(began["self"], headers=bearer("delegue")).json()
    assert (seen["state"], seen["document"], seen["entry"]) == ("live", None, began["entry"])
    listed = client.get("/v1/requisitions?limit=1", headers=bearer("delegue")).json()
    assert [item["id"] for item in listed["items"]] == [began["id"]]


@pytest.mark.parametrize("persona", ["camille", "agent-etat-civil", "auditeur", "exploitant"])
def test_nobody_else_records_sees_or_ends_one(client, bearer, record, persona):
    began = record(f"rq-3-{persona}", holder="dominique").json()
    assert record(f"rq-{persona}", persona=persona).status_code == 404
    for path in (began["self"], f"{began['self']}/paper", "/v1/requisitions"):
        assert client.get(path, headers=bearer(persona)).status_code == 404
    headers = bearer(persona, Idempotency_Key=f"end-{persona}")
    assert client.post(f"{began['self']}/end", json={"reason": "x"}, headers=headers).status_code == 404


def test_another_persons_requisition_opens_nothing(client, bearer, record, issue):
    document = issue("rq-alien").json()["id"]
    assert record("rq-4", document=document, auditor="somebody-else").status_code == 201
    assert read(client, bearer, document, "autre-personne").status_code == 404


def test_the_same_request_twice_is_one(record):
    # The end is part of the request: it is said once for both.
    end = rfc3339(datetime.now(UTC) + timedelta(days=3))
    first = record("rq-5", holder="dominique", ends_at=end)
    again = record("rq-5", holder="dominique", ends_at=end)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"


BAD = [
    ({"reference": " "}, "reference"),
    ({"authority": ""}, "authority"),
    ({"words": "a\u202eb"}, "words"),
    ({"auditor": "x" * 129}, "auditor"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
    ({"ends_at": "2199-01-01T00:00:00Z"}, "ends_at"),
    ({"state": "live"}, "state"),
]


@pytest.mark.parametrize(("members", "field"), BAD, ids=lambda value: str(value)[:30])
def test_bad_members_are_named(record, members, field):
    answer = record("rq-bad", **members)
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID"), answer.text
    assert answer.json()["params"]["field"] == field


def test_documents_of_other_safes_are_not_named(record, issue):
    others = issue("rq-foreign", holder="dominique").json()["id"]
    assert record("rq-6", document=others).json()["code"] == "NOT_FOUND"
    assert record("rq-7", holder="personne").json()["code"] == "UNKNOWN_HOLDER"
