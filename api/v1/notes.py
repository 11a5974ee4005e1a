"""Rectification notes: what a holder says is wrong, and what is found about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, keyed, problems
from api.v1.schemas import NoteAnswer
from api.v1.schemas_rights import NotePage, NoteReply, NoteRequest, RightsReceipt
from api.v1.views import described_note, json_response, step_taken
from vault.domain.documents import Outcome
from vault.domain.matters import Matter

router = APIRouter(tags=["rights"])
_ADD: dict[str, Any] = keyed(NoteRequest, {"words": "Cette adresse est fausse : j’ai déménagé le 1er mars."})
_REPLY = {"finding": "corrected", "words": "Un nouvel acte vous a été délivré."}
Limit = Annotated[int, per_page("Notes")]
State = Annotated[
    Literal["open", "answered"] | None, Query(description="Those in this state; left out: both.")
]


@router.post(
    "/v1/documents/{document_id}/notes",
    operation_id="addNote",
    summary="Say what is wrong in a document",
    description="The document is not changed. The note is shown to whoever may read its description.",
    status_code=201,
    response_model=RightsReceipt,
    responses=problems(*WRITE_PROBLEMS, *JSON_PROBLEMS, "DOCUMENT_DESTROYED", "NOTE_LIMIT"),
    openapi_extra=_ADD,
)
def add_note(request: Request, document_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Add a note to a document."""
    words = parse_as(NoteRequest, read_small_body(request, vault.settings.max_json_bytes)).words
    return _receipt(vault.people.rights.notes.add(actor, document_id, words, key))


@router.post(
    "/v1/journal/{entry}/notes",
    operation_id="addNoteToLine",
    summary="Say what is wrong in a line of the access journal",
    status_code=201,
    response_model=RightsReceipt,
    responses=problems(*WRITE_PROBLEMS, *JSON_PROBLEMS, "NOTE_LIMIT"),
    openapi_extra=_ADD,
)
def add_note_to_line(request: Request, entry: int, vault: Safe, actor: Caller, key: Key) -> Response:
    """Add a note to a line."""
    words = parse_as(NoteRequest, read_small_body(request, vault.settings.max_json_bytes)).words
    return _receipt(vault.people.rights.notes.add_to_line(actor, entry, words, key))


@router.get(
    "/v1/documents/{document_id}/notes",
    operation_id="listNotesOfDocument",
    summary="The notes on a document, newest first",
    response_model=NotePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_notes_of_document(
    document_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the notes on a document."""
    found = vault.people.rights.notes.of_document(actor, document_id, after_of(cursor), limit + 1)
    return _page(found, limit)


@router.get(
    "/v1/administrations/{administration_id}/notes",
    operation_id="listNotesOfAdministration",
    summary="The notes that an administration has to answer, or has answered, newest first",
    response_model=NotePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_notes_of_administration(
    administration_id: str,
    vault: Safe,
    actor: Caller,
    state: State = None,
    cursor: Cursor = None,
    limit: Limit = 25,
) -> Response:
    """List the notes for an administration."""
    notes = vault.people.rights.notes
    return _page(notes.of_administration(actor, administration_id, state, after_of(cursor), limit + 1), limit)


@router.get(
    "/v1/notes",
    operation_id="listNotes",
    summary="Notes, newest first: all for the officer, else those of one's own safe or administration",
    response_model=NotePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_notes(vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25) -> Response:
    """List notes."""
    return _page(vault.people.rights.notes.all(actor, after_of(cursor), limit + 1), limit)


@router.get(
    "/v1/notes/{note_id}",
    operation_id="describeNote",
    summary="A note with its answer",
    response_model=NoteAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_note(note_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a note."""
    return json_response(described_note(vault.people.rights.notes.see(actor, note_id)).model_dump())


@router.post(
    "/v1/notes/{note_id}/answer",
    operation_id="answerNote",
    summary="Answer a note",
    response_model=RightsReceipt,
    responses=problems(*WRITE_PROBLEMS, *JSON_PROBLEMS, "STATE_CONFLICT"),
    openapi_extra=keyed(NoteReply, _REPLY),
)
def answer_note(request: Request, note_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Answer a note."""
    said = parse_as(NoteReply, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.rights.notes.answer(actor, note_id, said.finding, said.words, key))


@router.post(
    "/v1/notes/{note_id}/withdrawal",
    operation_id="withdrawNote",
    summary="Take a note back",
    response_model=RightsReceipt,
    responses=problems(*WRITE_PROBLEMS, "STATE_CONFLICT"),
    openapi_extra=keyed(),
)
def withdraw_note(note_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Take a note back."""
    return _receipt(vault.people.rights.notes.withdraw(actor, note_id, key))


def _page(found: Sequence[Matter], limit: int) -> Response:
    items, following = page_of(found, limit, lambda note: note.first_seq)
    return json_response({"items": [described_note(each).model_dump() for each in items], "next": following})


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/notes", RightsReceipt)
