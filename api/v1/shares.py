"""Share codes as holders make, see and withdraw them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.browser import own_origin
from api.deps import Key, Safe
from api.downloads import file_headers
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, json_body, keyed, problems
from api.v1.schemas_shares import ShareAnswer, SharePage, ShareReceipt, ShareRequest, SlipRequest
from api.v1.views import json_response, step_taken
from vault.clock import parse_rfc3339, rfc3339
from vault.domain.documents import Outcome
from vault.files.fields import parse_instant
from vault.sharing.codes import grouped
from vault.sharing.shares import NewShare, SeenShare
from vault.sharing.slip import page_address, typeset_slip

router = APIRouter(tags=["shares"])
_EXAMPLE: dict[str, Any] = {
    "documents": ["doc_3f6k9t0w2m4r8s1v5x7y9z0a1b"], "purpose": "housing", "words": "Dossier de location",
    "recipient": "Agence SPÉCIMEN", "ends_at": "2026-03-01T00:00:00Z", "views": 3, "form": "watermark",
}  # fmt: skip
_CODE_EXAMPLE = {"code": "0000-0000-0000-0000-0000"}


@router.post(
    "/v1/shares",
    operation_id="createShare",
    summary="Make a share code for a third party",
    description="Code and second secret stand in this answer and nowhere else: the service keeps keyed digests. Give "
    "them by two different ways. A repeated request with the same key is answered without them; if the first answer "
    "was lost, withdraw the share and make another one.",
    status_code=201,
    response_model=ShareReceipt,
    responses=problems(
        *WRITE_PROBLEMS, *JSON_PROBLEMS, "STEP_UP_REQUIRED", "NOT_PUBLISHED", "SCAN_PENDING", "DOCUMENT_INFECTED",
        "DOCUMENT_NOT_IN_FORCE",
        "EVIDENCE_HOLDS_ORIGINAL",
        "COPY_TYPE_UNSUPPORTED",
    ),
    openapi_extra=keyed(ShareRequest, _EXAMPLE),
)  # fmt: skip
def create_share(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Make a share."""
    said = parse_as(ShareRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewShare(
        tuple(said.documents),
        said.purpose,
        said.words,
        said.recipient,
        parse_instant("ends_at", said.ends_at),
        said.views,
        said.form,
        said.evidence,
    )
    made = vault.people.sharing.shares.create(actor, new, key)
    if not made.code:
        return _receipt(made.outcome)
    return _receipt(
        made.outcome,
        code=grouped(made.code),
        secret=grouped(made.secret),
        page=page_address(own_origin(request)),
    )


@router.get(
    "/v1/safes/{safe_id}/shares",
    operation_id="listShares",
    summary="List the shares of a safe, newest first",
    response_model=SharePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_shares(
    safe_id: str,
    vault: Safe,
    actor: Caller,
    cursor: Cursor = None,
    limit: Annotated[int, per_page("Shares")] = 25,
) -> Response:
    """List the shares of a safe."""
    found = vault.people.sharing.shares.of_safe(actor, safe_id, after_of(cursor), limit + 1)
    items, following = page_of(found, limit, lambda each: each.matter.first_seq)
    return json_response({"items": [_described(each) for each in items], "next": following})


@router.get(
    "/v1/shares/{share_id}",
    operation_id="describeShare",
    summary="How often a share was opened, when last, and how many tries were refused",
    response_model=ShareAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_share(share_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a share."""
    return json_response(_described(vault.people.sharing.shares.see(actor, share_id)))


@router.post(
    "/v1/shares/{share_id}/withdrawal",
    operation_id="withdrawShare",
    summary="Withdraw a share; whoever has it open reads no more",
    response_model=ShareReceipt,
    responses=problems(*WRITE_PROBLEMS, "STATE_CONFLICT"),
    openapi_extra=keyed(),
)
def withdraw_share(share_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Withdraw a share."""
    return _receipt(vault.people.sharing.shares.withdraw(actor, share_id, key))


@router.post(
    "/v1/shares/{share_id}/slip",
    operation_id="printShareSlip",
    summary="A slip to print: address, code, QR code; without the second secret",
    description="The service does not keep the code: send it along.",
    responses={
        200: {
            "description": "A PDF.",
            "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(*LOOK_PROBLEMS, *JSON_PROBLEMS),
    },
    openapi_extra={"security": BEARER, **json_body(SlipRequest, _CODE_EXAMPLE)},
    response_class=Response,
)
def print_slip(request: Request, share_id: str, vault: Safe, actor: Caller) -> Response:
    """Typeset a slip."""
    said = parse_as(SlipRequest, read_small_body(request, vault.settings.max_json_bytes))
    share = vault.people.sharing.shares.with_code(actor, share_id, said.code)
    pdf = typeset_slip(share, said.code, own_origin(request), vault.parts.clock.now())
    return Response(pdf, headers=file_headers("application/pdf", "code-de-partage.pdf"))


def _receipt(outcome: Outcome, **secrets: str) -> Response:
    return step_taken(outcome, "/v1/shares", ShareReceipt, **secrets)


def _described(seen: SeenShare) -> dict[str, Any]:
    share, said = seen.matter, seen.matter.private
    opened = said.get("opened_at")
    return ShareAnswer.model_validate(
        {
            "id": share.id,
            **{name: said[name] for name in ("documents", "purpose", "words", "recipient", "gives", "views")},
            "ends_at": "" if share.ends_at is None else rfc3339(share.ends_at),
            "views_used": said["used"],
            "last_opened_at": None if opened is None else rfc3339(parse_rfc3339(opened)),
            "refused": seen.refused,
            "status": seen.status,
            "created_at": rfc3339(share.created_at),
            "entry": share.first_seq,
            "last_entry": share.last_seq,
        }
    ).model_dump()
