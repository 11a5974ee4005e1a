"""Consents and statements: what holders gave, its sealed papers, and how a consent is taken back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.downloads import file_headers
from api.paging import Cursor, after_of, page_of
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, LOOK_PROBLEMS, keyed, problems
from api.v1.requests import WRITE, Limit, receipt
from api.v1.schemas_requests import (
    ConsentAnswer,
    ConsentPage,
    ReasonRequest,
    StatementAnswer,
    StatementPage,
    StepReceipt,
)
from api.v1.views import json_response
from vault.domain.actors import Actor
from vault.domain.matters import Matter
from vault.matters.consents import CONSENT, WITHDRAWAL, Consents
from vault.sealing.papers import PAPER_TYPE

router = APIRouter(tags=["consents"])
_PAPER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The sealed paper, an ASiC-E container that `probans verify` judges.",
        "content": {PAPER_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
}
_PAPER_PROBLEMS = problems(*LOOK_PROBLEMS, "ORIGINAL_DAMAGED", "STORAGE_UNAVAILABLE")


@router.get(
    "/v1/consents/{consent_id}",
    operation_id="describeConsent",
    summary="To whom, for what and until when a document is opened",
    response_model=ConsentAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_consent(consent_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a consent."""
    consents = vault.people.tell_once.consents
    return json_response(_consent(consents, consents.see(actor, consent_id)).model_dump())


@router.get(
    "/v1/consents/{consent_id}/paper",
    operation_id="downloadConsent",
    summary="Download the sealed consent (.asice)",
    responses={**_PAPER, **_PAPER_PROBLEMS},
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def download_consent(consent_id: str, vault: Safe, actor: Caller) -> Response:
    """Download the sealed consent."""
    return _paper(vault.people.tell_once.consents.paper(actor, consent_id, CONSENT), consent_id)


@router.get(
    "/v1/consents/{consent_id}/withdrawal/paper",
    operation_id="downloadWithdrawal",
    summary="Download the sealed withdrawal (.asice)",
    responses={
        **_PAPER,
        **problems(*LOOK_PROBLEMS, "SEAL_PENDING", "ORIGINAL_DAMAGED", "STORAGE_UNAVAILABLE"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def download_withdrawal(consent_id: str, vault: Safe, actor: Caller) -> Response:
    """Download the sealed withdrawal."""
    octets = vault.people.tell_once.consents.paper(actor, consent_id, WITHDRAWAL)
    return _paper(octets, f"{consent_id}-{WITHDRAWAL}")


@router.post(
    "/v1/consents/{consent_id}/withdrawal",
    operation_id="withdrawConsent",
    summary="Withdraw a consent",
    description="From the entry on that the answer names, nothing is opened by it. It waits for nothing: where no "
    "timestamp is to be had now, the seal of the withdrawal follows by itself.",
    response_model=StepReceipt,
    responses=problems(*WRITE, "STATE_CONFLICT"),
    openapi_extra=keyed(ReasonRequest, {"reason": ""}),
)
def withdraw_consent(request: Request, consent_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Withdraw a consent."""
    said = parse_as(ReasonRequest, read_small_body(request, vault.settings.max_json_bytes))
    consents = vault.people.tell_once.consents
    return receipt("consents", consents.withdraw(actor, consent_id, key, said.reason))


@router.get(
    "/v1/safes/{safe_id}/consents",
    operation_id="listConsents",
    summary="List the consents given from a safe, newest first",
    response_model=ConsentPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_consents(
    safe_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the consents of a safe."""
    consents = vault.people.tell_once.consents
    found = consents.of_safe(actor, safe_id, after_of(cursor), limit + 1)
    items, following = page_of(found, limit, lambda consent: consent.first_seq)
    shown = [_consent(consents, consent).model_dump() for consent in items]
    return json_response({"items": shown, "next": following})


@router.get(
    "/v1/statements/{statement_id}",
    operation_id="describeStatement",
    summary="What was attested, to whom and from what",
    response_model=StatementAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_statement(statement_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a statement."""
    found = vault.people.tell_once.statements.see(actor, statement_id)
    return json_response(_statement(actor, found).model_dump())


@router.get(
    "/v1/statements/{statement_id}/paper",
    operation_id="downloadStatement",
    summary="Download the sealed statement (.asice)",
    responses={**_PAPER, **_PAPER_PROBLEMS},
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def download_statement(statement_id: str, vault: Safe, actor: Caller) -> Response:
    """Download the sealed statement."""
    return _paper(vault.people.tell_once.statements.paper(actor, statement_id), statement_id)


@router.get(
    "/v1/safes/{safe_id}/statements",
    operation_id="listStatements",
    summary="List the statements made from a safe, newest first",
    response_model=StatementPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_statements(
    safe_id: str, vault: Safe, actor: Caller, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the statements of a safe."""
    found = vault.people.tell_once.statements.of_safe(actor, safe_id, after_of(cursor), limit + 1)
    items, following = page_of(found, limit, lambda statement: statement.first_seq)
    shown = [_statement(actor, statement).model_dump() for statement in items]
    return json_response({"items": shown, "next": following})


def _paper(octets: bytes, name: str) -> Response:
    headers = {**file_headers(PAPER_TYPE, f"{name}.asice"), "Cache-Control": "private, no-store"}
    return Response(octets, headers=headers)


def _consent(consents: Consents, consent: Matter) -> ConsentAnswer:
    said = consent.private
    withdrawal = said.get("withdrawal")
    here = f"/v1/consents/{consent.id}"
    known = {name: said[name] for name in ConsentAnswer.model_fields if name in said}
    return ConsentAnswer.model_validate(
        {
            **known,
            "id": consent.id,
            "state": consents.state_of(consent),
            "withdrawn_at": None if withdrawal is None else withdrawal["withdrawn_at"],
            "reason": None if withdrawal is None else withdrawal["reason"],
            "entry": consent.first_seq,
            "last_entry": consent.last_seq,
            "paper": f"{here}/paper",
            "withdrawal_paper": None if withdrawal is None else f"{here}/withdrawal/paper",
        }
    )


def _statement(actor: Actor, statement: Matter) -> StatementAnswer:
    said = statement.private
    own = actor.administration_id is None
    known = {name: said[name] for name in StatementAnswer.model_fields if name in said}
    return StatementAnswer.model_validate(
        {
            **known,
            "id": statement.id,
            "source": said["document_id"] if own else None,
            "salt": said["salt"] if own else None,
            "entry": statement.first_seq,
            "paper": f"/v1/statements/{statement.id}/paper",
        }
    )
