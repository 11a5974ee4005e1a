"""Legal requisitions, recorded by the data-protection officer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.downloads import file_headers
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, keyed, problems
from api.v1.schemas_requests import ReasonRequest
from api.v1.schemas_requisitions import (
    RequisitionAnswer,
    RequisitionPage,
    RequisitionReceipt,
    RequisitionRequest,
)
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.domain.documents import Outcome
from vault.domain.matters import Matter
from vault.files.fields import parse_instant
from vault.matters.requisitions import NewRequisition
from vault.sealing.papers import PAPER_TYPE

router = APIRouter(tags=["oversight"])
_WRITE = (*WRITE_PROBLEMS, *JSON_PROBLEMS)
_EXAMPLE = {
    "holder": "camille", "auditor": "auditeur", "authority": "Tribunal de Valombre", "reference": "CR-2026-114",
    "words": "Enquête sur une fraude documentaire.", "ends_at": "2026-12-31T00:00:00Z",
}  # fmt: skip


@router.post(
    "/v1/requisitions",
    operation_id="recordRequisition",
    summary="Record a legal requisition",
    description="The one way to content without its holder's consent: for one auditor, with a reference and an end. "
    "Every read under it cites it in the access journal.",
    status_code=201,
    response_model=RequisitionReceipt,
    responses=problems(*_WRITE, "UNKNOWN_HOLDER", "TSA_UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    openapi_extra=keyed(RequisitionRequest, _EXAMPLE),
)
def record_requisition(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Record a requisition."""
    said = parse_as(RequisitionRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewRequisition(
        said.holder,
        said.document,
        said.auditor,
        said.authority,
        said.reference,
        said.words,
        parse_instant("ends_at", said.ends_at),
    )
    return _receipt(vault.people.requisitions.record(actor, new, key))


@router.post(
    "/v1/requisitions/{requisition_id}/end",
    operation_id="endRequisition",
    summary="End a requisition at once",
    response_model=RequisitionReceipt,
    responses=problems(*_WRITE, "STATE_CONFLICT"),
    openapi_extra=keyed(ReasonRequest, {"reason": "Ordonnance rapportée."}),
)
def end_requisition(request: Request, requisition_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """End a requisition."""
    said = parse_as(ReasonRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.requisitions.end(actor, requisition_id, said.reason, key))


@router.get(
    "/v1/requisitions",
    operation_id="listRequisitions",
    summary="List requisitions, newest first",
    response_model=RequisitionPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_requisitions(
    vault: Safe,
    actor: Caller,
    cursor: Cursor = None,
    limit: Annotated[int, per_page("Requisitions")] = 25,
) -> Response:
    """List requisitions."""
    found = vault.people.requisitions.all(actor, after_of(cursor), limit + 1)
    items, following = page_of(found, limit, lambda each: each.first_seq)
    return json_response({"items": [_described(each).model_dump() for each in items], "next": following})


@router.get(
    "/v1/requisitions/{requisition_id}",
    operation_id="describeRequisition",
    summary="A requisition",
    response_model=RequisitionAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_requisition(requisition_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a requisition."""
    return json_response(_described(vault.people.requisitions.see(actor, requisition_id)).model_dump())


@router.get(
    "/v1/requisitions/{requisition_id}/paper",
    operation_id="downloadRequisitionPaper",
    summary="The sealed paper of a requisition (ASiC-E)",
    responses={
        200: {
            "description": "The paper.",
            "content": {PAPER_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(*LOOK_PROBLEMS, "ORIGINAL_DAMAGED", "STORAGE_UNAVAILABLE"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def requisition_paper(requisition_id: str, vault: Safe, actor: Caller) -> Response:
    """Download the sealed paper."""
    headers = file_headers(PAPER_TYPE, f"{requisition_id}.asice")
    return Response(vault.people.requisitions.paper(actor, requisition_id), headers=headers)


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/requisitions", RequisitionReceipt)


def _described(found: Matter) -> RequisitionAnswer:
    said = found.private
    return RequisitionAnswer(
        id=found.id,
        state=found.state,
        document=found.document_id,
        **{name: str(said[name]) for name in ("holder", "auditor", "authority", "reference", "words")},
        recorded_at=rfc3339(found.created_at),
        ends_at=None if found.ends_at is None else rfc3339(found.ends_at),
        entry=found.first_seq,
        last_entry=found.last_seq,
    )
