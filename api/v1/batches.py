"""Batches: many acts by a manifest and their files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from api.auth import Caller
from api.deps import Desk, Key, Safe, single_header
from api.downloads import file_headers
from api.streams import body_chunks
from api.strict_json import parse_as
from api.uploads import content_length, declared_digest, media_type, read_small_body
from api.v1.describe import (
    BEARER,
    DIGEST_HEADER,
    JSON_PROBLEMS,
    KEY_HEADER,
    LOOK_PROBLEMS,
    OCTETS,
    json_body,
    problems,
)
from api.v1.schemas import Receipt
from api.v1.schemas_batches import BatchAnswer, BatchStateRequest, PartAnswer
from api.v1.views import accepted, json_response
from vault.batches.manifests import FORMS
from vault.domain.batches import Batch, BatchState, LineState
from vault.domain.transfer import Transfer
from vault.errors import Refused

router = APIRouter(tags=["batches"])
_BODY = (
    "EMPTY_FILE", "TOO_LARGE", "TRUNCATED", "LENGTH_MISMATCH", "DIGEST_MISMATCH", "DIGEST_MALFORMED",
    "REQUEST_TIMEOUT", "UNSUPPORTED_MEDIA_TYPE", "STORAGE_UNAVAILABLE",
)  # fmt: skip
_FILE_CODES = (
    "PDF_ENCRYPTED", "PDF_JAVASCRIPT", "PDF_ACTIVE_CONTENT", "PDF_EMBEDDED_FILES", "PDF_XFA", "PDF_DAMAGED",
    "PDF_TOO_COMPLEX", "SCAN_INFECTED", "SCAN_IMPOSSIBLE", "SCANNER_DOWN", "SCANNER_BLIND", "UNKNOWN_HOLDER",
    "TWIN_RUNNING", "LEDGER_UNAVAILABLE",
)  # fmt: skip
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_MANIFEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One line for each act, in UTF-8: `holder`, `title`, `file`, and where wanted `type`, `case`, "
        "`language`, `retention` (days), `sha256`.",
        "content": {"application/x-ndjson": _TEXT, "text/csv": _TEXT},
    },
}


def _file(description: str, *types: str) -> dict[str, Any]:
    return {
        "security": BEARER,
        "parameters": [DIGEST_HEADER],
        "requestBody": {
            "required": True,
            "description": description,
            "content": dict.fromkeys(types, OCTETS),
        },
    }


@router.post(
    "/v1/batches",
    operation_id="beginBatch",
    summary="Begin a batch of acts with its manifest",
    description="Every line is checked. The same manifest with the same key gives the same batch, after a crash too. "
    "Whether a holder has a safe is told only once a file is there for the line.",
    status_code=201,
    response_model=BatchAnswer,
    responses=problems(
        *LOOK_PROBLEMS, *_BODY, "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED",
        "TWIN_RUNNING", "UNKNOWN_ADMINISTRATION", "MANIFEST_INVALID", "MANIFEST_EMPTY", "MANIFEST_TOO_LONG",
    ),
    openapi_extra={"security": BEARER, "parameters": [KEY_HEADER, DIGEST_HEADER], **_MANIFEST},
)  # fmt: skip
async def begin_batch(
    request: Request,
    vault: Safe,
    desk: Desk,
    actor: Caller,
    key: Key,
    administration: Annotated[
        str, Query(max_length=64, description="Issuing administration; by default the caller's own.")
    ] = "",
    dry_run: Annotated[
        Literal["true", "false"],
        Query(description="Only check: nothing is issued until the batch is opened."),
    ] = "false",
    all_or_nothing: Annotated[
        Literal["true", "false"], Query(description="One line that is wrong refuses the batch.")
    ] = "false",
) -> Response:
    """Begin a batch."""

    def work() -> Response:
        """Run in a thread of the upload desk."""
        form = FORMS.get(media_type(single_header(request, "Content-Type")))
        if form is None:
            raise Refused("UNSUPPORTED_MEDIA_TYPE", "application/x-ndjson or text/csv")
        batch = vault.batches.begin(
            actor,
            administration or actor.administration_id or "",
            form,
            body_chunks(request),
            _transfer(request, key),
            dry_run=dry_run == "true",
            all_or_nothing=all_or_nothing == "true",
        )
        return _described(batch, 201)

    return await desk.run(work)


@router.get(
    "/v1/batches/{batch_id}",
    operation_id="describeBatch",
    summary="How far a batch is",
    response_model=BatchAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_batch(batch_id: str, vault: Safe, actor: Caller) -> Response:
    """Tell how far a batch is."""
    return _described(vault.batches.see(actor, batch_id))


@router.put(
    "/v1/batches/{batch_id}/state",
    operation_id="moveBatch",
    summary="Open, pause, finish or cancel a batch",
    description="What is under way when a batch is paused comes to its end. One that is finished or cancelled takes "
    "nothing more; its acts stay.",
    response_model=BatchAnswer,
    responses=problems(
        *LOOK_PROBLEMS, "STATE_CONFLICT", *JSON_PROBLEMS, "UNSUPPORTED_MEDIA_TYPE", "DIGEST_MISMATCH",
        "DIGEST_MALFORMED", "REQUEST_TIMEOUT",
    ),
    openapi_extra={"security": BEARER, **json_body(BatchStateRequest, {"state": "paused"})},
)  # fmt: skip
def move_batch(request: Request, batch_id: str, vault: Safe, actor: Caller) -> Response:
    """Move a batch to another state."""
    said = parse_as(BatchStateRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _described(vault.batches.move(actor, batch_id, BatchState(said.state)))


@router.post(
    "/v1/batches/{batch_id}/parts",
    operation_id="feedBatch",
    summary="Issue files of a batch: a zip or tar of them",
    description="The answer comes when each of the files has its act, or its reason in the report. A part may come "
    "again after any doubt: what was issued is not issued twice. Several parts may come at once.",
    response_model=PartAnswer,
    responses=problems(
        *LOOK_PROBLEMS, *_BODY, "BATCH_NOT_OPEN", "BATCH_PART_FORMAT", "BATCH_PART_ENCRYPTED", "BATCH_PART_LINK",
        "BATCH_PART_PATH", "BATCH_PART_TWICE", "BATCH_PART_TOO_MUCH", "BATCH_PART_DAMAGED", "LEDGER_UNAVAILABLE",
    ),
    openapi_extra=_file(
        "A zip, or a tar without compression; a file belongs to the line that has its name, folders do not count.",
        "application/zip", "application/x-tar", "application/octet-stream",
    ),
)  # fmt: skip
async def feed_batch(request: Request, batch_id: str, vault: Safe, desk: Desk, actor: Caller) -> Response:
    """Issue the files of a part."""

    def work() -> Response:
        """Run in a thread of the upload desk."""
        fed = vault.batches.feed(actor, batch_id, body_chunks(request), _transfer(request, ""))
        return json_response(PartAnswer.model_validate(asdict(fed)).model_dump())

    return await desk.run(work)


@router.put(
    "/v1/batches/{batch_id}/lines/{line}",
    operation_id="feedBatchLine",
    summary="Issue the file of one line of a batch",
    description="For software that sends its files one by one. The same file again gives the first answer.",
    status_code=201,
    responses={
        201: {"model": Receipt, "description": "Sealed, timestamped, stored and in the ledger."},
        202: {"model": Receipt, "description": "Stored and in the ledger; the seal waits for its timestamp."},
        **problems(
            *LOOK_PROBLEMS, *_BODY, *_FILE_CODES, "BATCH_NOT_OPEN", "BATCH_LINE_WRONG", "BATCH_LINE_TAKEN",
            "BATCH_FILE_DIFFERS", "IDEMPOTENCY_KEY_REUSED",
        ),
    },
    openapi_extra=_file("The file's octets as they are.", "application/octet-stream"),
)  # fmt: skip
async def feed_line(
    request: Request,
    batch_id: str,
    line: Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the line, from 1.")],
    vault: Safe,
    desk: Desk,
    actor: Caller,
) -> Response:
    """Issue the file of a line."""

    def work() -> Response:
        """Run in a thread of the upload desk."""
        transfer = _transfer(request, "")
        return accepted(vault.batches.feed_line(actor, batch_id, line, body_chunks(request), transfer))

    return await desk.run(work)


@router.get(
    "/v1/batches/{batch_id}/report.{form}",
    operation_id="reportBatch",
    summary="What became of each line: CSV, JSON lines; once the batch has ended, a sealed PDF of counts and digests",
    description="Lines by their numbers, acts by their identifiers; nobody is named.",
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": OCTETS}},
        **problems(*LOOK_PROBLEMS, "BATCH_NOT_ENDED", "TSA_UNAVAILABLE"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def report_batch(batch_id: str, form: Literal["csv", "json", "pdf"], vault: Safe, actor: Caller) -> Response:
    """Report a batch."""
    reports = vault.batch_reports
    file = reports.summary(actor, batch_id) if form == "pdf" else reports.report(actor, batch_id, form)
    headers = {**file_headers(file.media_type, file.name), "Cache-Control": "no-store"}
    return StreamingResponse(file.chunks, headers=headers)


def _transfer(request: Request, key: str) -> Transfer:
    if (single_header(request, "Content-Encoding") or "identity").lower() != "identity":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "the file is taken as it is, without content coding")
    return Transfer(key, content_length(request), declared_digest(request))


def _described(batch: Batch, status: int = 200) -> Response:
    here = f"/v1/batches/{batch.id}"
    body = BatchAnswer.model_validate(
        {
            "id": batch.id,
            "administration": batch.administration_id,
            "state": batch.state.value,
            "lines": batch.lines,
            "counts": {state.value: batch.counts.get(state, 0) for state in LineState},
            "created_at": batch.created_at,
            "ended_at": batch.ended_at,
            "report": f"{here}/report.csv",
            "summary": f"{here}/report.pdf",
            "self": here,
        }
    )
    headers = {"Location": here} if status == 201 else {}
    return json_response(body.model_dump(), status, {**headers, "Cache-Control": "no-store"})
