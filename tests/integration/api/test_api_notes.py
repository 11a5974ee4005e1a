"""Rectification notes: added by the holder, answered by who issued, shown beside what they are about."""

from __future__ import annotations

import pytest

from vault.rights.notes import MAX_OPEN

WRONG = {"words": "Mon second prénom est Zoé, pas Zoë."}
REPLY = {"finding": "corrected", "words": "Un acte rectifié vous a été délivré."}


@pytest.fixture
def post(client, bearer):
    count = iter(range(10**6))

    def do(persona: str, path: str, body: object = None, key: str = ""):
        headers = bearer(persona, Idempotency_Key=key or f"note-{path}-{next(count)}".replace("/", "-"))
        return client.post(path, json=body, headers=headers)

    return do


@pytest.fixture
def get(client, bearer):
    return lambda persona, path: client.get(path, headers=bearer(persona))


def line_of(get, document: str, event: str = "document.read") -> int:
    """The newest line of an event about a document."""
    lines = get("camille", f"/v1/documents/{document}/journal").json()["items"]
    return next(line["entry"] for line in lines if line["event"] == event)


def test_a_note_from_its_words_to_its_answer(post, get, issue):
    act = issue("note-1").json()["id"]
    before = get("camille", f"/v1/documents/{act}/original").content
    added = post("camille", f"/v1/documents/{act}/notes", WRONG)
    assert added.status_code == 201, added.text
    here = added.headers["Location"]
    seen = get("agent-etat-civil", here).json()
    assert (seen["state"], seen["words"], seen["document"]) == ("open", WRONG["words"], act)
    assert seen["administration"] == "mairie-specimen"
    listed = get("agent-etat-civil", "/v1/administrations/mairie-specimen/notes?state=open&limit=1").json()
    assert [each["id"] for each in listed["items"]] == [seen["id"]]
    answered = post("agent-etat-civil", f"{here}/answer", REPLY)
    assert answered.status_code == 200, answered.text
    told = get("camille", here).json()
    assert told["state"] == "answered"
    assert told["answer"]["finding"] == "corrected"
    assert told["answer"]["by"] == "agent"
    assert post("agent-etat-civil", f"{here}/answer", REPLY).json()["code"] == "STATE_CONFLICT"
    # Beside the description for whoever reads it; not for evidence-only callers, not in lists.
    for persona in ("camille", "agent-etat-civil"):
        description = get(persona, f"/v1/documents/{act}?purpose=rectification").json()
        assert [note["words"] for note in description["notes"]] == [WRONG["words"]]
    assert get("auditeur", f"/v1/documents/{act}?purpose=audit").json()["notes"] is None
    # The act itself is what it was, and each step has its line.
    assert get("camille", f"/v1/documents/{act}/original").content == before
    lines = get("camille", f"/v1/documents/{act}/journal").json()["items"]
    events = [line["event"] for line in lines if line["matter"] == told["id"]]
    assert events == ["note.answered", "note.added"]


def test_a_note_that_was_taken_back_is_nobody_elses(post, get, issue):
    act = issue("note-2").json()["id"]
    here = post("camille", f"/v1/documents/{act}/notes", WRONG).headers["Location"]
    assert post("camille", f"{here}/withdrawal").status_code == 200
    assert get("camille", here).json()["state"] == "withdrawn"
    for persona in ("agent-etat-civil", "delegue"):
        assert get(persona, here).json()["code"] == "NOT_FOUND"
    assert get("camille", f"/v1/documents/{act}?purpose=consultation").json()["notes"] == []
    assert post("agent-etat-civil", f"{here}/answer", REPLY).json()["code"] == "STATE_CONFLICT"


def test_an_attachment_has_no_issuer_and_the_officer_answers(post, get, deposit):
    mine = deposit("note-3").json()["id"]
    here = post("camille", f"/v1/documents/{mine}/notes", WRONG).headers["Location"]
    assert get("delegue", here).json()["administration"] is None
    assert get("agent-etat-civil", here).status_code == 404
    assert here.rpartition("/")[2] in [each["id"] for each in get("delegue", "/v1/notes").json()["items"]]
    assert post("delegue", f"{here}/answer", {**REPLY, "finding": "kept"}).status_code == 200


def test_a_line_is_noted_to_whom_it_is_about(post, get, issue):
    act = issue("note-4").json()["id"]
    get("agent-etat-civil", f"/v1/documents/{act}?purpose=rectification")
    entry = line_of(get, act)
    added = post("camille", f"/v1/journal/{entry}/notes", {"words": "Je n’ai demandé cela à personne."})
    assert added.status_code == 201, added.text
    seen = get("agent-etat-civil", added.headers["Location"]).json()
    assert (seen["line"], seen["document"], seen["administration"]) == (entry, act, "mairie-specimen")
    # It is about the line: it does not stand beside the document.
    assert get("camille", f"/v1/documents/{act}").json()["notes"] == []


@pytest.mark.parametrize("persona", ["dominique", "agent-paie", "auditeur", "exploitant"])
def test_strangers_learn_nothing_and_add_nothing(post, get, issue, persona):
    act = issue("note-5").json()["id"]
    here = post("camille", f"/v1/documents/{act}/notes", WRONG).headers["Location"]
    entry = line_of(get, act, "document.issued")
    absent = get(persona, "/v1/notes/nte_00000000000000000000000000").json()
    tries = [
        get(persona, here),
        get(persona, f"/v1/documents/{act}/notes"),
        post(persona, f"/v1/documents/{act}/notes", WRONG),
        post(persona, f"/v1/journal/{entry}/notes", WRONG),
        post(persona, f"{here}/answer", REPLY),
        post(persona, f"{here}/withdrawal"),
        get(persona, "/v1/administrations/mairie-specimen/notes"),
    ]
    for answer in tries:
        assert {**answer.json(), "request_id": ""} == {**absent, "request_id": ""}


def test_the_holder_does_not_answer_and_the_issuer_does_not_add(post, issue):
    act = issue("note-6").json()["id"]
    here = post("camille", f"/v1/documents/{act}/notes", WRONG).headers["Location"]
    assert post("camille", f"{here}/answer", REPLY).status_code == 404
    assert post("agent-etat-civil", f"/v1/documents/{act}/notes", WRONG).status_code == 404
    assert post("agent-etat-civil", f"{here}/withdrawal").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"words": ""}, "FIELD_INVALID"),
        ({"words": " \t"}, "FIELD_INVALID"),
        ({"words": "a" * 2001}, "FIELD_INVALID"),
        ({"words": "a\u202eb"}, "FIELD_INVALID"),
        ({"words": "a\r\nBcc: x"}, "FIELD_INVALID"),
        ({"words": 5}, "FIELD_INVALID"),
        ({}, "FIELD_INVALID"),
        ({**WRONG, "administration": "caisse-specimen"}, "FIELD_INVALID"),
        ({**WRONG, "state": "answered"}, "FIELD_INVALID"),
        ([], "BODY_INVALID"),
    ],
)
def test_words_that_are_none_and_members_that_are_not_asked_for(post, issue, body, code):
    act = issue("note-7").json()["id"]
    answer = post("camille", f"/v1/documents/{act}/notes", body)
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {code, "FIELD_INVALID"}


@pytest.mark.parametrize(
    "body", [{**REPLY, "finding": "maybe"}, {"finding": "kept", "words": ""}, {**REPLY, "by": "x"}]
)
def test_answers_that_are_none(post, issue, body):
    act = issue("note-8").json()["id"]
    here = post("camille", f"/v1/documents/{act}/notes", WRONG).headers["Location"]
    assert post("agent-etat-civil", f"{here}/answer", body).json()["code"] == "FIELD_INVALID"


def test_the_same_request_is_one_note_and_there_are_not_too_many(post, get, issue):
    act = issue("note-9").json()["id"]
    path = f"/v1/documents/{act}/notes"
    first = post("camille", path, WRONG, key="note-once")
    again = post("camille", path, WRONG, key="note-once")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (
        post("camille", path, {"words": "Autre."}, key="note-once").json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    )
    for number in range(MAX_OPEN - 1):
        assert post("camille", path, {"words": f"Note {number}"}).status_code == 201
    assert post("camille", path, WRONG).json()["code"] == "NOTE_LIMIT"
    assert len(get("camille", f"{path}?limit=100").json()["items"]) == MAX_OPEN
    page = get("camille", f"{path}?limit=15").json()
    rest = get("camille", f"{path}?limit=15&cursor={page['next']}").json()
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (15, MAX_OPEN - 15, None)
