"""Where is my request: cases of administrations in holders' safes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, keyed, problems
from api.v1.schemas_cases import (
    CaseAnswer,
    CasePage,
    CaseReceipt,
    CaseRequest,
    LinkRequest,
    Sentence,
    StepRequest,
)
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.domain.documents import Outcome
from vault.domain.matters import Matter
from vault.files.fields import parse_instant
from vault.matters.cases import CaseStep, NewCase, Words

router = APIRouter(tags=["cases"])
_WRITE = (*WRITE_PROBLEMS, "STATE_CONFLICT", *JSON_PROBLEMS)
_LATEST = ("held_by", "next_step", "expected_end", "appointment_at", "deadline_at")
_STEP_EXAMPLE = {"state": "instruction", "words": {"fr": "Votre demande est en cours d’examen.", "en": ""}}
Limit = Annotated[int, per_page("Cases")]


@router.post(
    "/v1/cases",
    operation_id="openCase",
    summary="Open a case in a holder's safe",
    status_code=201,
    response_model=CaseReceipt,
    responses=problems(*_WRITE, "UNKNOWN_ADMINISTRATION", "UNKNOWN_HOLDER", "CASE_EXISTS"),
    openapi_extra=keyed(
        CaseRequest,
        {"holder": "camille", "reference": "DEM-2026-0001", "type": "inscription-scolaire",
         "title": {"fr": "Inscription à l’école", "en": "School registration"}, **_STEP_EXAMPLE},
    ),
)  # fmt: skip
def open_case(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Open a case."""
    said = parse_as(CaseRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewCase(said.holder, said.reference, said.type, said.service, _words(said.title), _step(said))
    administration = said.administration or actor.administration_id or ""
    return _receipt(vault.people.cases.open(actor, administration, new, key))


@router.post(
    "/v1/cases/{case_id}/steps",
    operation_id="moveCase",
    summary="Add a step to a case",
    response_model=CaseReceipt,
    responses=problems(*_WRITE, "CASE_FULL"),
    openapi_extra=keyed(StepRequest, _STEP_EXAMPLE),
)
def move_case(request: Request, case_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Add a step."""
    return _moved(request, vault, actor, key, case_id, "case.moved")


@router.post(
    "/v1/cases/{case_id}/closure",
    operation_id="closeCase",
    summary="Close a case with its last step",
    response_model=CaseReceipt,
    responses=problems(*_WRITE, "CASE_FULL"),
    openapi_extra=keyed(StepRequest, {"state": "acceptee", "words": {"fr": "Demande acceptée.", "en": ""}}),
)
def close_case(request: Request, case_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Close a case."""
    return _moved(request, vault, actor, key, case_id, "case.closed")


@router.post(
    "/v1/cases/{case_id}/reopening",
    operation_id="reopenCase",
    summary="Open a closed case again",
    response_model=CaseReceipt,
    responses=problems(*_WRITE, "CASE_FULL"),
    openapi_extra=keyed(StepRequest, _STEP_EXAMPLE),
)
def reopen_case(request: Request, case_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Open a closed case again."""
    return _moved(request, vault, actor, key, case_id, "case.reopened")


@router.post(
    "/v1/cases/{case_id}/documents",
    operation_id="linkCaseDocument",
    summary="Say that a document belongs to a case",
    response_model=CaseReceipt,
    responses=problems(*_WRITE, "CASE_FULL"),
    openapi_extra=keyed(LinkRequest, {"document": "doc_3f6k9t0w2m4r8s1v5x7y9z0a1b", "role": "produced"}),
)
def link_document(request: Request, case_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Link a document of the same safe."""
    said = parse_as(LinkRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.cases.link(actor, case_id, said.document, said.role, key))


@router.get(
    "/v1/cases/{case_id}",
    operation_id="describeCase",
    summary="Where a case is, who holds it, what comes next",
    response_model=CaseAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_case(case_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a case."""
    return json_response(_described(vault.people.cases.see(actor, case_id)).model_dump())


@router.get(
    "/v1/safes/{safe_id}/cases",
    operation_id="listCases",
    summary="List the cases of a safe, newest first",
    response_model=CasePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_cases(
    safe_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the cases of a safe."""
    return _page(vault.people.cases.of_safe(actor, safe_id, after_of(cursor), limit + 1), limit)


@router.get(
    "/v1/administrations/{administration_id}/cases",
    operation_id="listAdministrationCases",
    summary="List an administration's own cases, newest first, or find one by its reference",
    response_model=CasePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_administration_cases(
    administration_id: str,
    vault: Safe,
    actor: Caller,
    reference: Annotated[str | None, Query(description="The case with this reference alone.")] = None,
    cursor: Cursor = None,
    limit: Limit = 25,
) -> Response:
    """List an administration's own cases."""
    found = vault.people.cases.of_administration(
        actor, administration_id, reference, after_of(cursor), limit + 1
    )
    return _page(found, limit)


def _moved(request: Request, vault: Safe, actor: Caller, key: str, case_id: str, event: str) -> Response:
    said = parse_as(StepRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.cases.move(actor, case_id, _step(said), key, event=event))


def _words(sentence: Sentence | None) -> Words:
    return Words("") if sentence is None else Words(sentence.fr, sentence.en)


def _step(said: StepRequest) -> CaseStep:
    moments = {
        name: None if (text := getattr(said, name)) is None else parse_instant(name, text)
        for name in ("expected_end", "appointment_at", "deadline_at")
    }
    return CaseStep(said.state, _words(said.words), _words(said.held_by), _words(said.next_step), **moments)


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/cases", CaseReceipt)


def _page(found: Sequence[Matter], limit: int) -> Response:
    items, following = page_of(found, limit, lambda case: case.first_seq)
    return json_response({"items": [_described(case).model_dump() for case in items], "next": following})


def _described(case: Matter) -> CaseAnswer:
    said = case.private
    return CaseAnswer.model_validate(
        {
            "id": case.id,
            "administration": case.administration_id,
            **{name: said[name] for name in ("service", "reference", "type", "title", "state", "steps")},
            **{name: said.get(name) for name in _LATEST},
            "status": case.state,
            "created_at": rfc3339(case.created_at),
            "documents": said["links"],
            "entry": case.first_seq,
            "last_entry": case.last_seq,
        }
    )
