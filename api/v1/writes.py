"""Issue an act, submit an attachment, revoke an act."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller, caller
from api.deps import Key, Safe, get_desk, get_gathering, get_vault, idempotency_key
from api.streams import read_ahead
from api.strict_json import checked, parse_as
from api.uploads import open_upload, read_small_body
from api.v1.describe import BEARER, KEY_HEADER, UPLOAD_PROBLEMS, file_body, json_body, problems
from api.v1.issuing import issued_alone, new_document
from api.v1.schemas import ActDescription, AttachmentDescription, Receipt, RevocationRequest
from api.v1.views import accepted, revoked
from vault.domain.transfer import Transfer

router = APIRouter()
_TAKEN_IN: dict[int | str, dict[str, Any]] = {
    201: {"model": Receipt, "description": "Sealed, timestamped, stored and in the ledger."},
    202: {"model": Receipt, "description": "Stored and in the ledger; the seal waits for its timestamp."},
}
_PDF_CODES = (
    "PDF_ENCRYPTED", "PDF_JAVASCRIPT", "PDF_ACTIVE_CONTENT", "PDF_EMBEDDED_FILES", "PDF_XFA", "PDF_DAMAGED",
    "PDF_TOO_COMPLEX",
)  # fmt: skip
_SCAN_CODES = ("SCAN_INFECTED", "SCAN_IMPOSSIBLE", "SCANNER_DOWN", "SCANNER_BLIND")


@router.post(
    "/v1/acts",
    operation_id="issueAct",
    summary="Issue an act into a holder's safe",
    description="Seals a file as an act of the caller's administration. With `supersedes` it replaces an earlier act.",
    tags=["acts"],
    status_code=201,
    responses={
        **_TAKEN_IN,
        **problems(
            *UPLOAD_PROBLEMS,
            *_PDF_CODES,
            *_SCAN_CODES,
            "UNKNOWN_ADMINISTRATION",
            "NOT_FOUND",
            "STATE_CONFLICT",
            "ATTRIBUTE_UNKNOWN",
        ),
    },
    openapi_extra={
        "security": BEARER,
        **file_body(
            ActDescription,
            b'{"holder":"camille","title":"Acte de naissance","file_name":"acte.pdf"}',
        ),
    },
)
async def issue_act(request: Request) -> Response:
    """Issue an act; the body streams through the pipeline in a thread, small ones may go there together."""
    desk, gathering = get_desk(request), get_gathering(request)
    if gathering is not None and await read_ahead(request):
        return await gathering.answer(request)
    return await desk.run(lambda: issued_alone(request), request)


@router.post(
    "/v1/attachments",
    operation_id="submitAttachment",
    summary="Submit an attachment to one's own safe",
    description="The file's octets are never changed; the seal stands beside it.",
    tags=["attachments"],
    status_code=201,
    responses={**_TAKEN_IN, **problems(*UPLOAD_PROBLEMS, *_SCAN_CODES)},
    openapi_extra={
        "security": BEARER,
        **file_body(AttachmentDescription, b'{"title":"Photo","file_name":"photo.jpg"}'),
    },
)
async def submit_attachment(request: Request) -> Response:
    """Submit an attachment; the body streams through the pipeline in a thread of the upload desk."""
    vault = get_vault(request)

    def work() -> Response:
        """Run in the thread."""
        actor, key = caller(request), idempotency_key(request)
        upload = open_upload(request, vault.settings, described=True)
        said = checked(AttachmentDescription, upload.document)
        new = new_document(said, said.holder or vault.people.mandates.holder_for(actor), upload)
        return accepted(vault.submissions.deposit(actor, new, upload.chunks, upload.transfer(key)))

    return await get_desk(request).run(work, request)


# See `api.direct`.
DIRECT = (issue_act, submit_attachment)


@router.post(
    "/v1/acts/{document_id}/revocation",
    operation_id="revokeAct",
    summary="Revoke an act",
    description="The act stays authentic, but is no longer in force.",
    tags=["acts"],
    responses={
        200: {"model": Receipt, "description": "Revoked; the entry is in the ledger."},
        **problems(
            "UNAUTHENTICATED", "NOT_FOUND", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_INVALID",
            "IDEMPOTENCY_KEY_REUSED", "TWIN_RUNNING", "STATE_CONFLICT", "NOT_PUBLISHED", "DOCUMENT_DESTROYED",
            "FIELD_INVALID", "BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE",
            "ENCODING_INVALID", "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE",
        ),
    },
    openapi_extra={
        "security": BEARER,
        "parameters": [KEY_HEADER],
        **json_body(RevocationRequest, {"reason": "error"}),
    },
)  # fmt: skip
def revoke_act(request: Request, document_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Revoke an act of the caller's administration."""
    said = parse_as(RevocationRequest, read_small_body(request, vault.settings.max_json_bytes))
    return revoked(vault.lifecycle.revoke(actor, document_id, said.reason, Transfer(key)))
