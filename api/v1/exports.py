"""A copy of everything that a safe holds about its holder."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.downloads import LeavingResponse, file_headers
from api.v1.describe import BEARER, LOOK_PROBLEMS, OCTETS, WRITE_PROBLEMS, keyed, problems
from api.v1.schemas_rights import ExportAnswer, RightsReceipt
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.rights.exports import MEDIA_TYPE

router = APIRouter(tags=["rights"])


@router.post(
    "/v1/safes/{safe_id}/exports",
    operation_id="askForEverything",
    summary="Ask for a copy of everything that is kept about the holder",
    description="The archive can be had for 24 hours. It takes a fresh proof of identity.",
    status_code=201,
    response_model=RightsReceipt,
    responses=problems(
        *WRITE_PROBLEMS, "STEP_UP_REQUIRED", "EXPORT_LIMIT",
    ),
    openapi_extra=keyed(),
)  # fmt: skip
def ask_for_everything(safe_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Ask for everything."""
    outcome = vault.people.rights.exports.ask(actor, safe_id, key)
    return step_taken(outcome, "/v1/exports", RightsReceipt)


@router.get(
    "/v1/exports/{export_id}",
    operation_id="describeExport",
    summary="How far a copy of everything is",
    response_model=ExportAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_export(export_id: str, vault: Safe, actor: Caller) -> Response:
    """Tell how far an export is."""
    progress = vault.people.rights.exports.see(actor, export_id)
    matter = progress.matter
    body = ExportAnswer.model_validate(
        {
            "id": matter.id,
            "safe": matter.safe_id,
            "state": progress.state,
            "created_at": rfc3339(matter.created_at),
            "ends_at": "" if matter.ends_at is None else rfc3339(matter.ends_at),
            "documents": progress.documents,
            "done": progress.done,
            "missing": progress.missing,
            "archive": f"/v1/exports/{matter.id}/archive",
        }
    )
    return json_response(body.model_dump(), headers={"Cache-Control": "no-store"})


@router.get(
    "/v1/exports/{export_id}/archive",
    operation_id="downloadEverything",
    summary="The copy of everything: one zip, made while it leaves",
    description="It is never on disk, so it has no length beforehand and no parts: after a cut, ask for it again. "
    "Each document whose content leaves has an entry with the purpose `acces-aux-donnees`.",
    responses={
        200: {"description": "The archive.", "content": {MEDIA_TYPE: OCTETS}},
        **problems(
            *LOOK_PROBLEMS, "EXPORT_ENDED", "TWIN_RUNNING", "LEDGER_UNAVAILABLE", "STORAGE_UNAVAILABLE",
            "RECEIPT_PENDING",
        ),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)  # fmt: skip
def download_everything(export_id: str, vault: Safe, actor: Caller) -> Response:
    """Download everything."""
    made = vault.people.rights.exports.archive(actor, export_id)
    headers = {**file_headers(MEDIA_TYPE, made.name), "Accept-Ranges": "none"}
    return LeavingResponse(made.chunks, headers=headers)
