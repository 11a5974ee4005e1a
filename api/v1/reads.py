"""Read documents, lists, evidence and receipts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from api.auth import Caller
from api.deps import Purpose, Safe, Words
from api.downloads import download_response, file_headers
from api.errors import wanted_language
from api.paging import Cursor, after_of, per_page
from api.security import DOWNLOAD_CSP
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import (
    BEARER,
    FILE_ANSWERS,
    FILE_PROBLEMS,
    LOOK_PROBLEMS,
    OCTETS,
    PART_HEADERS,
    READ_PROBLEMS,
    json_body,
    problems,
)
from api.v1.schemas import DocumentDescription, DocumentPage, ReceiptLine, ReceiptsRequest, TagKeysAnswer
from api.v1.views import described, json_response
from vault.documents.reading import Page
from vault.documents.searching import Wanted
from vault.errors import Conflict, Refused
from vault.ledger.generations import prefix_of

router = APIRouter()
NDJSON = "application/x-ndjson"
RECEIPT_TYPE = "text/plain; charset=utf-8"
_FILE_ENDS = problems(*READ_PROBLEMS, *FILE_PROBLEMS)
_FILE_EXTRA = {"security": BEARER, "parameters": PART_HEADERS}


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
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose, words: Words
) -> Response:
    """Read a document's description."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    view = vault.reading.describe(actor, document_id, purpose, words)
    # Decided with the description: whoever reads the one reads the other.
    notes = vault.people.rights.notes.beside(document_id)
    headers = {"Content-Language": lang, "Vary": "Accept-Language"}
    return json_response(described(view, lang, notes), headers=headers)


@router.get(
    "/v1/documents/{document_id}/original",
    operation_id="downloadOriginal",
    summary="Download the original, whole or in part",
    tags=["documents"],
    responses={**FILE_ANSWERS, **_FILE_ENDS},
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
@router.head(
    "/v1/documents/{document_id}/original",
    operation_id="headOriginal",
    summary="Size and entity tag of the original",
    tags=["documents"],
    responses={200: {"description": "The headers of the download."}, **_FILE_ENDS},
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
def download_original(
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose, words: Words
) -> Response:
    """Download the original; the access entry is durable before the first octet leaves."""
    return download_response(request, vault.reading.original(actor, document_id, purpose, words))


@router.get(
    "/v1/documents/{document_id}/evidence",
    operation_id="downloadEvidence",
    summary="Download the evidence bundle (.asice)",
    description="Everything a stranger needs to prove the document offline. The holder's bundle opens all parts of "
    "the ledger entries, others' only the part about the document.",
    tags=["documents"],
    responses={
        **FILE_ANSWERS,
        200: {"description": "The bundle.", "content": {"application/vnd.etsi.asic-e+zip": OCTETS}},
        **_FILE_ENDS,
    },
    openapi_extra=_FILE_EXTRA,
    response_class=Response,
)
def download_evidence(
    request: Request, document_id: str, vault: Safe, actor: Caller, purpose: Purpose, words: Words
) -> Response:
    """Download the evidence bundle."""
    return download_response(request, vault.reading.bundle(actor, document_id, purpose, words))


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
    words: Words,
    wait: Annotated[
        float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait at most; capped.", examples=[2])
    ] = 0.0,
) -> Response:
    """Download the receipt."""
    return receipt_response(document_id, vault.reading.receipt(actor, document_id, purpose, wait, words))


@router.get(
    "/v1/documents/{document_id}/keys",
    operation_id="getTagKeys",
    summary="The keys that find a document's entries in the public ledger, for its holder alone",
    description="With `access_key` the holder learns of each read without trusting the service: `probans watch LEDGER "
    "--vkeys ledger.vkeys --state watch.state --key ACCESS_KEY` names every new entry about it. Whoever has the key "
    "can tell those entries among all others, so keep it; it opens nothing.",
    tags=["documents"],
    response_model=TagKeysAnswer,
    responses=problems(*READ_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def tag_keys(document_id: str, vault: Safe, actor: Caller, purpose: Purpose, words: Words) -> Response:
    """Return the keys of a document's tags; everybody but its holder is refused."""
    keys = vault.reading.keys(actor, document_id, purpose, words)
    options = f"--vkeys ledger.vkeys --state watch.state --key {keys.status} --key {keys.access}"
    answer = TagKeysAnswer(
        ledger=f"/ledger/{prefix_of(vault.settings.origin)}",
        status_key=keys.status,
        access_key=keys.access,
        watch=f"probans watch LEDGER {options}",
    )
    return json_response(answer.model_dump())


@router.post(
    "/v1/receipts",
    operation_id="downloadReceipts",
    summary="Receipts of many documents at once, all under one checkpoint",
    description="For each document the answer is that of its receipt alone, with the same access rules and the same "
    "entry in the access journal. One JSON object a line (`ReceiptLine`), in the order asked for. Asked for again "
    "later, the receipts are under a newer checkpoint and bear the cosignatures and keys of then.",
    tags=["documents"],
    responses={
        200: {
            "description": "One `ReceiptLine` a line.",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/ReceiptLine"}}},
        },
        **problems(
            "UNAUTHENTICATED", "PURPOSE_REQUIRED", "PURPOSE_UNKNOWN", "FIELD_INVALID", "BODY_INVALID", "JSON_INVALID",
            "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE", "ENCODING_INVALID", "RECEIPT_PENDING",
            "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE",
        ),
    },
    openapi_extra={
        "security": BEARER,
        **json_body(ReceiptsRequest, {"documents": ["doc_3f6k9t0w2m4r8s1v5x7y9z0a1b"], "every_entry": False}),
    },
    response_class=Response,
)  # fmt: skip
def download_receipts(
    request: Request,
    vault: Safe,
    actor: Caller,
    purpose: Purpose,
    words: Words,
    wait: Annotated[
        float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait at most; capped.", examples=[2])
    ] = 0.0,
) -> Response:
    """Download many receipts."""
    asked = parse_as(ReceiptsRequest, read_small_body(request, vault.settings.max_json_bytes))
    if len(set(asked.documents)) != len(asked.documents):
        raise Refused("FIELD_INVALID", "a document stands twice", field="documents")
    found = vault.reading.receipts(
        actor, asked.documents, purpose, wait, every_entry=asked.every_entry, words=words
    )
    if found is None:
        raise Conflict("RECEIPT_PENDING")
    lines = (
        ReceiptLine(
            document=each.document_id,
            entry=each.entry,
            receipt=each.receipt.decode() if each.receipt is not None else None,
            code=each.refusal,
        )
        for each in found
    )
    headers = {"Content-Type": NDJSON, "Content-Security-Policy": DOWNLOAD_CSP}
    return StreamingResponse((f"{line.model_dump_json()}\n" for line in lines), headers=headers)


def receipt_response(document_id: str, receipt: bytes | None) -> Response:
    """Answer with a receipt. Raises Conflict(RECEIPT_PENDING) when none covers the entry yet."""
    if receipt is None:
        raise Conflict("RECEIPT_PENDING")
    headers = file_headers(RECEIPT_TYPE, f"{document_id}.tlog-proof")
    return Response(receipt, headers=headers)


@router.get(
    "/v1/safes/{safe_id}/documents",
    operation_id="listDocuments",
    summary="List or find the documents of a safe, newest first",
    description="With `q` or `case`, which are looked for in encrypted rows, a page may hold few items or none and "
    "still have a `next`: go on with it until it is null. Addresses stand in logs of proxies: `searchDocuments` takes "
    "the same in a body.",
    tags=["safes"],
    response_model=DocumentPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_documents(
    request: Request,
    safe_id: str,
    vault: Safe,
    actor: Caller,
    cursor: Cursor = None,
    limit: Annotated[int, per_page("Documents")] = 25,
    document_type: Annotated[str, Query(alias="type", description="Of this type.")] = "",
    year: Annotated[str, Query(description="Received in this year.", examples=["2026"])] = "",
    status: Annotated[str, Query(description="`valid`, `superseded`, `revoked` or `destroyed`.")] = "",
    kind: Annotated[str, Query(description="`act` or `attachment`.")] = "",
    label: Annotated[str, Query(description="With this label, whatever its case and accents.")] = "",
    case: Annotated[str, Query(description="Of the case with this reference.")] = "",
    q: Annotated[str, Query(description="With these words in the title, whatever case and accents.")] = "",
) -> Response:
    """List or find the documents of a safe."""
    wanted = Wanted(document_type, year, status, kind, label, case, q)
    page = vault.reading.list(actor, safe_id, after_of(cursor), limit, wanted)
    answer = page_response(request, page)
    if page.next is not None:
        asked = [(name, value) for name, value in request.query_params.items() if name != "cursor"]
        query = urlencode([("cursor", page.next), *asked])
        answer.headers["Link"] = f'</v1/safes/{safe_id}/documents?{query}>; rel="next"'
    return answer


def page_response(request: Request, page: Page) -> Response:
    """Answer with part of a list of documents."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    headers = {"Content-Language": lang, "Vary": "Accept-Language"}
    following = None if page.next is None else str(page.next)
    body = {"items": [described(view, lang) for view in page.items], "next": following}
    return json_response(body, headers=headers)
