"""Safes: opened by administrations entitled to it, shown to their holders, and closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.paging import Cursor, after_of, page_of
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, json_body, keyed, problems
from api.v1.requests import WRITE, Limit
from api.v1.schemas_safes import (
    CancellationRequest,
    ClosureAnswer,
    ClosurePage,
    ClosureReceipt,
    ClosureRequest,
    SafeAnswer,
    SafeOpened,
    SafeRequest,
)
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.domain.documents import Outcome
from vault.domain.matters import Matter
from vault.people.closures import NewClosure
from vault.people.safes import NewSafe
from vault.service import Vault

router = APIRouter()


@router.post(
    "/v1/safes",
    operation_id="openSafe",
    summary="Open a safe for a person or a company",
    description="For administrations that the service entitles to it. Asked again for the same holder, described the "
    "same, it answers 200 with the same safe.",
    tags=["safes"],
    status_code=201,
    response_model=SafeOpened,
    responses={
        200: {"model": SafeOpened, "description": "The holder has this safe already."},
        **problems(
            *LOOK_PROBLEMS, "SAFE_EXISTS", *JSON_PROBLEMS, "UNSUPPORTED_MEDIA_TYPE", "STORAGE_UNAVAILABLE",
        ),
    },
    openapi_extra={
        "security": BEARER,
        **json_body(
            SafeRequest,
            {"holder": "rci-99p01234", "name": "Société Exemple", "kind": "company", "register": "RCI",
             "number": "99P01234"},
        ),
    },
)  # fmt: skip
def open_safe(request: Request, vault: Safe, actor: Caller) -> Response:
    """Open a safe."""
    said = parse_as(SafeRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewSafe(said.holder, said.name, said.kind, said.register_name, said.number)
    safe_id, is_new = vault.people.safes.open(actor, new)
    here = f"/v1/safes/{safe_id}"
    body = SafeOpened(id=safe_id, self=here)
    return json_response(body.model_dump(), 201 if is_new else 200, {"Location": here})


@router.get(
    "/v1/safes/{safe_id}",
    operation_id="describeSafe",
    summary="Whose safe it is, how much lies in it, and whether it is being closed",
    tags=["safes"],
    response_model=SafeAnswer,
    responses=problems(*LOOK_PROBLEMS, "SAFE_CLOSED"),
    openapi_extra={"security": BEARER},
)
def describe_safe(safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a safe."""
    view = vault.people.safes.see(actor, safe_id)
    safe, counts = view.safe, view.counts
    answer = SafeAnswer.model_validate(
        {
            "id": safe.id,
            "kind": safe.kind,
            "holder": safe.holder,
            "name": safe.name,
            "register_name": safe.register,
            "number": safe.number,
            "opened_at": safe.created_at,
            "documents": {
                "total": counts.documents,
                "octets": counts.octets,
                "types": counts.types,
                "years": counts.years,
                "statuses": counts.statuses,
            },
            "closures": [_described(vault, closure) for closure in view.closures],
        }
    )
    return json_response(answer.model_dump(by_alias=True))


@router.post(
    "/v1/closures",
    operation_id="askClosure",
    summary="Ask for the closure of a safe",
    description="A holder asks for that of the own safe, and confirms it in a second request. An administration that "
    "the service entitles to it tells of a death or dissolution; the data-protection officer confirms.",
    tags=["closures"],
    status_code=201,
    response_model=ClosureReceipt,
    responses=problems(*WRITE, "UNKNOWN_HOLDER", "CLOSURE_RUNNING", "SAFE_CLOSED"),
    openapi_extra=keyed(ClosureRequest, {"kind": "wish"}),
)
def ask_closure(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Ask for a closure."""
    said = parse_as(ClosureRequest, read_small_body(request, vault.settings.max_json_bytes))
    holder = actor.id if said.holder is None else said.holder
    return _receipt(vault.people.closures.ask(actor, NewClosure(holder, said.kind, said.basis), key))


@router.get(
    "/v1/closures",
    operation_id="listClosuresToConfirm",
    summary="Deaths and dissolutions that wait for the data-protection officer",
    tags=["closures"],
    response_model=ClosurePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def closures_to_confirm(vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25) -> Response:
    """List what waits for the data-protection officer."""
    return _page(vault, vault.people.closures.to_confirm(actor, after_of(cursor), limit + 1), limit)


@router.get(
    "/v1/closures/{closure_id}",
    operation_id="describeClosure",
    summary="How far a closure is",
    tags=["closures"],
    response_model=ClosureAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_closure(closure_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a closure."""
    return json_response(_described(vault, vault.people.closures.see(actor, closure_id)))


@router.get(
    "/v1/safes/{safe_id}/closures",
    operation_id="listClosures",
    summary="The closures of a safe, newest first, cancelled ones too",
    tags=["closures"],
    response_model=ClosurePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_closures(
    safe_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the closures of a safe."""
    return _page(vault, vault.people.closures.of_safe(actor, safe_id, after_of(cursor), limit + 1), limit)


@router.post(
    "/v1/closures/{closure_id}/confirmation",
    operation_id="confirmClosure",
    summary="Confirm a closure; its notice runs from now on",
    description="By the holder, with a fresh proof of identity, for a wish; by the data-protection officer for a death "
    "or dissolution, which ends the holder's access and every mandate given before at once.",
    tags=["closures"],
    response_model=ClosureReceipt,
    responses=problems(*WRITE, "STATE_CONFLICT", "STEP_UP_REQUIRED", "SAFE_CLOSED"),
    openapi_extra=keyed(),
)
def confirm_closure(closure_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Confirm a closure."""
    return _receipt(vault.people.closures.confirm(actor, closure_id, key))


@router.post(
    "/v1/closures/{closure_id}/cancellation",
    operation_id="cancelClosure",
    summary="Cancel a closure before the safe is closed",
    tags=["closures"],
    response_model=ClosureReceipt,
    responses=problems(*WRITE, "STATE_CONFLICT", "SAFE_CLOSED"),
    openapi_extra=keyed(CancellationRequest, {"reason": ""}),
)
def cancel_closure(request: Request, closure_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Cancel a closure."""
    said = parse_as(CancellationRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.closures.cancel(actor, closure_id, said.reason, key))


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/closures", ClosureReceipt)


def _page(vault: Vault, found: Sequence[Matter], limit: int) -> Response:
    items, following = page_of(found, limit, lambda closure: closure.first_seq)
    return json_response({"items": [_described(vault, closure) for closure in items], "next": following})


def _described(vault: Vault, closure: Matter) -> dict[str, Any]:
    said = closure.private
    return ClosureAnswer.model_validate(
        {
            "id": closure.id,
            "safe": closure.safe_id,
            **{name: said[name] for name in ("holder", "kind", "basis")},
            "administration": closure.administration_id,
            "state": vault.people.closures.state_of(closure),
            "asked_at": rfc3339(closure.created_at),
            "notice_at": said.get("notice_at"),
            "closes_at": None if closure.ends_at is None else rfc3339(closure.ends_at),
            "entry": closure.first_seq,
            "last_entry": closure.last_seq,
        }
    ).model_dump()
