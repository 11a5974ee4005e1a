"""Labels: free words by which holders sort their documents."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Safe
from api.paging import after_of
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, LOOK_PROBLEMS, json_body, problems
from api.v1.reads import page_response
from api.v1.schemas import DocumentPage
from api.v1.schemas_labels import (
    LabelsAnswer,
    LabelsRequest,
    SearchRequest,
    UsedLabelAnswer,
    UsedLabelsAnswer,
)
from api.v1.views import json_response
from vault.documents.searching import Wanted

router = APIRouter()


@router.put(
    "/v1/documents/{document_id}/labels",
    operation_id="setLabels",
    summary="Set the labels of a document",
    description="They are the holder's own: the document, its proofs and its issuer know nothing of them. No journal "
    "entry is made. Two that differ in case or accents alone are one.",
    tags=["documents"],
    response_model=LabelsAnswer,
    responses=problems(
        *LOOK_PROBLEMS, "SAFE_CLOSED", "DOCUMENT_DESTROYED", "BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY",
        "JSON_TOO_LARGE", "ENCODING_INVALID", "UNSUPPORTED_MEDIA_TYPE", "STORAGE_UNAVAILABLE",
    ),
    openapi_extra={"security": BEARER, **json_body(LabelsRequest, {"labels": ["Logement", "À garder"]})},
)  # fmt: skip
def set_labels(request: Request, document_id: str, vault: Safe, actor: Caller) -> Response:
    """Set the labels of a document."""
    said = parse_as(LabelsRequest, read_small_body(request, vault.settings.max_json_bytes))
    kept = vault.people.labels.put(actor, document_id, said.labels)
    return json_response(LabelsAnswer(labels=list(kept)).model_dump())


@router.post(
    "/v1/safes/{safe_id}/documents/search",
    operation_id="searchDocuments",
    summary="Find documents of a safe, newest first, without saying in an address what is looked for",
    description="As `listDocuments`: a page may hold few items or none and still have a `next`.",
    tags=["safes"],
    response_model=DocumentPage,
    responses=problems(
        *LOOK_PROBLEMS, "SAFE_CLOSED", "BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE",
        "ENCODING_INVALID", "UNSUPPORTED_MEDIA_TYPE",
    ),
    openapi_extra={"security": BEARER, **json_body(SearchRequest, {"q": "naissance", "year": "2026"})},
)  # fmt: skip
def search_documents(request: Request, safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Find documents of a safe."""
    said = parse_as(SearchRequest, read_small_body(request, vault.settings.max_json_bytes))
    wanted = Wanted(said.document_type, said.year, said.status, said.kind, said.label, said.case, said.q)
    return page_response(
        request, vault.reading.list(actor, safe_id, after_of(said.cursor), said.limit, wanted)
    )


@router.get(
    "/v1/safes/{safe_id}/labels",
    operation_id="listLabels",
    summary="The labels used in a safe, with how many documents have each",
    tags=["safes"],
    response_model=UsedLabelsAnswer,
    responses=problems(*LOOK_PROBLEMS, "SAFE_CLOSED"),
    openapi_extra={"security": BEARER},
)
def list_labels(safe_id: str, vault: Safe, actor: Caller) -> Response:
    """List the labels of a safe."""
    used = vault.people.labels.of_safe(actor, safe_id)
    items = [UsedLabelAnswer(label=each.label, documents=each.documents) for each in used]
    return json_response(UsedLabelsAnswer(items=items).model_dump())
