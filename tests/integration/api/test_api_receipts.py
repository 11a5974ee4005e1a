"""Many receipts at once: one checkpoint, the access rules of each alone, and newer ones later."""

from __future__ import annotations

import json

import pytest

from vault.db import models
from vault.ledger.policy import Policy
from vault.ledger.receipt import parse_receipt, verify_receipt
from vault.ledger.stored import entry_body

UNKNOWN = "doc_" + "a" * 26


@pytest.fixture
def ask(client, bearer):
    def do(documents, persona="camille", status=200, wait=5, **members):
        headers = bearer(persona) | ({} if persona == "camille" else {"Probans-Purpose": "controle"})
        body = {"documents": documents, **members}
        answer = client.post("/v1/receipts", params={"wait": wait}, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        if status != 200:
            return answer.json()["code"]
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]

    return do


def accesses(safe, document):
    table = models.document_entries
    with safe.parts.database.reading() as connection:
        rows = connection.execute(table.select().where(table.c.document_id == document)).mappings()
        return [row["event"] for row in rows if row["chain"] == "access"]


def test_receipts_of_several_documents_under_one_checkpoint(issue, ask, safe, client, bearer):
    made = [issue(f"batch-{number}").json() for number in range(3)]
    ids = [each["id"] for each in made]
    policy = Policy.parse(safe.trust.policy)
    lines = ask(ids)
    assert [(line["document"], line["entry"]) for line in lines] == [
        (each["id"], each["entry"]) for each in made
    ]
    notes = set()
    for line in lines:
        receipt = line["receipt"].encode()
        with safe.parts.database.reading() as connection:
            body = entry_body(connection, line["entry"])
        assert verify_receipt(receipt, body, policy).index == line["entry"]
        notes.add(parse_receipt(receipt).note)
        assert line["code"] is None
    assert len(notes) == 1
    # Each document's reader is in its journal, as with its receipt alone.
    for document in ids:
        assert accesses(safe, document) == ["document.read"]
    # Obtained again, they are under a newer checkpoint.
    revoked = client.post(
        f"/v1/acts/{ids[0]}/revocation",
        json={"reason": "error"},
        headers=bearer("agent-etat-civil", Idempotency_Key="batch-revoke"),
    )
    assert revoked.status_code in {200, 201}, revoked.text
    again = ask(ids)
    assert [line["entry"] for line in again] == [
        revoked.json()["entry"],
        *(line["entry"] for line in lines[1:]),
    ]
    sizes = {int(parse_receipt(line["receipt"].encode()).note.split(b"\n")[1]) for line in again}
    assert len(sizes) == 1
    assert sizes.pop() > int(next(iter(notes)).split(b"\n")[1])
    whole = ask(ids, every_entry=True)
    assert [line["entry"] for line in whole] == [
        made[0]["entry"],
        revoked.json()["entry"],
        *(line["entry"] for line in lines[1:]),
    ]


def test_what_is_refused_alone_is_refused_here(issue, ask, safe, bearer, client):
    document = issue("batch-refused").json()["id"]
    for persona in ("camille", "agent-etat-civil"):
        lines = ask([UNKNOWN, document, "nonsense"], persona=persona)
        assert [line["code"] for line in lines] == ["NOT_FOUND", None, "NOT_FOUND"]
        assert [line["receipt"] is None for line in lines] == [True, False, True]
    other = "agent-paie"
    single = client.get(f"/v1/documents/{document}/receipt", headers=bearer(other, Probans_Purpose="control"))
    assert single.json()["code"] == "NOT_FOUND"
    assert ask([document], persona=other) == [
        {"document": document, "entry": None, "receipt": None, "code": "NOT_FOUND"}
    ]
    assert "document.read-refused" in accesses(safe, document)


def test_requests_that_are_refused(issue, ask, client):
    document = issue("batch-body").json()["id"]
    assert ask([], status=422) in {"FIELD_INVALID", "BODY_INVALID"}
    assert ask([document, document], status=422) == "FIELD_INVALID"
    assert ask([document] * 101, status=422) in {"FIELD_INVALID", "BODY_INVALID"}
    assert ask([document], status=422, more=1) in {"FIELD_INVALID", "BODY_INVALID"}
    answer = client.post("/v1/receipts", json={"documents": [document]})
    assert answer.status_code == 401


def test_one_entry_that_is_not_published_keeps_all_waiting(issue, ask, safe, monkeypatch):
    document = issue("batch-pending").json()["id"]
    monkeypatch.setattr(safe.receipts, "receipts", lambda *_: None)
    assert ask([document], status=409) == "RECEIPT_PENDING"
