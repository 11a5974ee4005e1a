"""Read documents, lists, evidence and receipts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.auth import Caller
from api.deps import Purpose, Safe
from api.downloads import download_response
from api.errors import wanted_language
from api.security import DOWNLOAD_CSP
from api.v1.describe import BEARER, READ_PROBLEMS, header, problems
from api.v1.schemas import DocumentDescription, DocumentPage
from api.v1.views import described, json_response
from vault.errors import Conflict
from vault.names import content_disposition

router = APIRouter()
RECEIPT_TYPE = "text/plain; charset=utf-8"
_OCTETS: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"application/octet-stream": _OCTETS}},
    206: {"description": "The part asked for.", "content": {"application/octet-stream": _OCTETS}},
    304: {"description": "The caller has this version already."},
}
_PART_HEADERS = [
    header("Range", "One range of octets; several are answered with the whole file.", "bytes=0-1023"),
    header("If-None-Match", "Entity tag the caller has.", '"0123"'),
    header("If-Range", "Entity tag for which the range counts.", '"0123"'),
]
_FILE_PROBLEMS = problems(
    *READ_PROBLEMS, "NOT_PUBLISHED", "RANGE_INVALID", "ORIGINAL_DAMAGED", "STORAGE_UNAVAILABLE"
)
_FILE_EXTRA = {"security": BEARER, "parameters": _PART_HEADERS}


@router.get(
    "/v1/documents/{document_id}",
    operation_id="describeDocument",
    summary="Read a document's description",
    tags=["documents"],
    response_model=DocumentDescription,
    responses=problems(*READ_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_document(
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose
) -> Response:
    """Read a document's description."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    view = vault.reading.describe(actor, document_id, purpose)
    return json_response(described(view, lang), headers={"Content-Language": lang, "Vary": "Accept-Language"})


@router.get(
    "/v1/documents/{document_id}/original",
    operation_id="downloadOriginal",
    summary="Download the original, whole or in part",
    tags=["documents"],
    responses={**_FILE, **_FILE_PROBLEMS},
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
@router.head(
    "/v1/documents/{document_id}/original",
    operation_id="headOriginal",
    summary="Size and entity tag of the original",
    tags=["documents"],
    responses={200: {"description": "The headers of the download."}, **_FILE_PROBLEMS},
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
def download_original(
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose
) -> Response:
    """Download the original; the access entry is durable before the first octet leaves."""
    return download_response(request, vault.reading.original(actor, document_id, purpose))


@router.get(
    "/v1/documents/{document_id}/evidence",
    operation_id="downloadEvidence",
    summary="Download the evidence bundle (.asice)",
    description="Everything a stranger needs to prove the document offline. The holder's bundle opens all parts of "
    "the ledger entries, others' only the part about the document.",
    tags=["documents"],
    responses={
        **_FILE,
        200: {"description": "The bundle.", "content": {"application/vnd.etsi.asic-e+zip": _OCTETS}},
        **_FILE_PROBLEMS,
    },
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
def download_evidence(
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose
) -> Response:
    """Download the evidence bundle."""
    return download_response(request, vault.reading.bundle(actor, document_id, purpose))


@router.get(
    "/v1/documents/{document_id}/receipt",
    operation_id="downloadReceipt",
    summary="Download the receipt of the newest status entry (C2SP tlog-proof)",
    description="`wait` asks the service to wait for the checkpoint that covers the entry.",
    tags=["documents"],
    responses={
        200: {"description": "The receipt.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(*READ_PROBLEMS, "RECEIPT_PENDING"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def download_receipt(
    document_id: str,
    vault: Safe,
    actor: Caller,
    purpose: Purpose,
    wait: Annotated[
        float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait at most; capped.", examples=[2])
    ] = 0.0,
) -> Response:
    """Download the receipt."""
    return receipt_response(document_id, vault.reading.receipt(actor, document_id, purpose, wait))


def receipt_response(document_id: str, receipt: bytes | None) -> Response:
    """Answer with a receipt. Raises Conflict(RECEIPT_PENDING) when none covers the entry yet."""
    if receipt is None:
        raise Conflict("RECEIPT_PENDING")
    headers = {
        "Content-Type": RECEIPT_TYPE,
        "Content-Disposition": content_disposition(f"{document_id}.tlog-proof"),
        "Content-Security-Policy": DOWNLOAD_CSP,
    }
    return Response(receipt, headers=headers)


@router.get(
    "/v1/safes/{safe_id}/documents",
    operation_id="listDocuments",
    summary="List the documents of a safe, newest first",
    tags=["safes"],
    response_model=DocumentPage,
    responses=problems("UNAUTHENTICATED", "NOT_FOUND", "FIELD_INVALID", "DATABASE_UNAVAILABLE"),
    openapi_extra={"security": BEARER},
)
def list_documents(
    request: Request,
    safe_id: str,
    vault: Safe,
    actor: Caller,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Documents a page.")] = 25,
) -> Response:
    """List the documents of a safe."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    page = vault.reading.list(actor, safe_id, cursor, limit)
    headers = {"Content-Language": lang, "Vary": "Accept-Language"}
    if page.next is not None:
        headers["Link"] = f'</v1/safes/{safe_id}/documents?cursor={page.next}&limit={limit}>; rel="next"'
    body = {"items": [described(view, lang) for view in page.items], "next": page.next}
    return json_response(body, headers=headers)
