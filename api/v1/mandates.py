"""Mandates: who may act for whom. Requests under one name it in the header `Probans-Mandate`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import MANDATE_HEADER, Key, Safe
from api.paging import Cursor, after_of, page_of
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, LOOK_PROBLEMS, keyed, problems
from api.v1.requests import WRITE, Limit
from api.v1.schemas_mandates import EndRequest, MandateAnswer, MandatePage, MandateReceipt, MandateRequest
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.domain.documents import Outcome
from vault.files.fields import parse_instant
from vault.people.mandates import MandateView, NewMandate

router = APIRouter(tags=["mandates"])
_EXAMPLE: dict[str, Any] = {
    "mandatary": "dominique",
    "scope": ["read"],
    "basis": "Procuration du 3 mars 2026, signée en mairie",
    "ends_at": "2027-03-03T00:00:00Z",
}


@router.post(
    "/v1/mandates",
    operation_id="giveMandate",
    summary="Give a mandate",
    description="A holder gives a proxy over the own safe. An administration that the service entitles to it names a "
    "guardian, or the representative of a company. Nobody gives on a mandate. The mandatary acts under it with the "
    f"header `{MANDATE_HEADER}: mdt_…`, and each read says so in the journal.",
    status_code=201,
    response_model=MandateReceipt,
    responses=problems(*WRITE, "UNKNOWN_HOLDER", "STEP_UP_REQUIRED"),
    openapi_extra=keyed(MandateRequest, _EXAMPLE),
)
def give_mandate(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Give a mandate."""
    said = parse_as(MandateRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewMandate(
        holder=actor.id if said.holder is None else said.holder,
        mandatary=said.mandatary,
        kind=said.kind,
        scope=tuple(said.scope),
        basis=said.basis,
        starts_at=_instant("starts_at", said.starts_at),
        ends_at=parse_instant("ends_at", said.ends_at),
        document_types=tuple(said.document_types),
    )
    return _receipt(vault.people.mandates.grant(actor, new, key))


@router.get(
    "/v1/mandates",
    operation_id="listHeldMandates",
    summary="The mandates the caller holds, newest first, ended ones too",
    response_model=MandatePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def held_mandates(vault: Safe, actor: Caller) -> Response:
    """List the mandates the caller holds."""
    found = vault.people.mandates.held(actor)
    return json_response({"items": [_described(view).model_dump() for view in found], "next": None})


@router.get(
    "/v1/mandates/{mandate_id}",
    operation_id="describeMandate",
    summary="Who acts for whom, for what, until when, and who said so",
    response_model=MandateAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_mandate(mandate_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a mandate."""
    return json_response(_described(vault.people.mandates.see(actor, mandate_id)).model_dump())


@router.post(
    "/v1/mandates/{mandate_id}/end",
    operation_id="endMandate",
    summary="End a mandate at once",
    description="Revoked by who gave it, renounced by who holds it. From the entry on that the answer names, nothing "
    "is opened under it.",
    response_model=MandateReceipt,
    responses=problems(*WRITE, "STATE_CONFLICT"),
    openapi_extra=keyed(EndRequest, {"reason": ""}),
)
def end_mandate(request: Request, mandate_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """End a mandate."""
    said = parse_as(EndRequest, read_small_body(request, vault.settings.max_json_bytes))
    return _receipt(vault.people.mandates.end(actor, mandate_id, said.reason, key))


@router.get(
    "/v1/safes/{safe_id}/mandates",
    operation_id="listGivenMandates",
    summary="The mandates over a safe, newest first",
    response_model=MandatePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def given_mandates(
    safe_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the mandates over a safe."""
    return _page(vault.people.mandates.given(actor, safe_id, after_of(cursor), limit + 1), limit)


@router.get(
    "/v1/administrations/{administration_id}/mandates",
    operation_id="listNamedMandates",
    summary="The mandates that an administration gave, newest first",
    response_model=MandatePage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def named_mandates(
    administration_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the mandates that an administration gave."""
    return _page(vault.people.mandates.named(actor, administration_id, after_of(cursor), limit + 1), limit)


def _instant(field: str, said: str | None) -> datetime | None:
    return None if said is None else parse_instant(field, said)


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/mandates", MandateReceipt)


def _page(found: Sequence[MandateView], limit: int) -> Response:
    items, following = page_of(found, limit, lambda view: view.mandate.first_seq)
    return json_response({"items": [_described(view).model_dump() for view in items], "next": following})


def _described(view: MandateView) -> MandateAnswer:
    mandate, said = view.mandate, view.mandate.private
    return MandateAnswer.model_validate(
        {
            "id": mandate.id,
            "safe": mandate.safe_id,
            "holder_name": view.holder_name,
            "administration": mandate.administration_id,
            "state": view.state,
            **{
                name: said[name]
                for name in ("holder", "mandatary", "kind", "scope", "document_types", "basis")
            },
            "starts_at": said["starts_at"],
            "ends_at": None if mandate.ends_at is None else rfc3339(mandate.ends_at),
            "ended_at": said.get("ended_at"),
            "created_at": rfc3339(mandate.created_at),
            "entry": mandate.first_seq,
            "last_entry": mandate.last_seq,
        }
    )
