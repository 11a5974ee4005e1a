"""Where a holder is told of news, and of what; what gateways report."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller, demand_proof
from api.deps import Safe, single_header
from api.peers import demand_rate
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, json_body, problems
from api.v1.schemas_notices import (
    BounceRequest,
    ChoiceBody,
    CodeRequest,
    ContactAnswer,
    ContactsAnswer,
    ContactsRequest,
    PreferencesAnswer,
    PreferencesRequest,
)
from api.v1.views import json_response
from vault.access import Action
from vault.authorization.assurance import Act
from vault.clock import rfc3339
from vault.domain.contacts import Choice, Choices, Contact, When
from vault.domain.notices import ChannelName, Event
from vault.errors import NotFound, Unauthenticated
from vault.notices.bounces import Report

router = APIRouter(tags=["notices"])
_LOOK = ("UNAUTHENTICATED", "NOT_FOUND", "DATABASE_UNAVAILABLE")
_BODY = (
    "BODY_INVALID", "FIELD_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE", "ENCODING_INVALID",
)  # fmt: skip
_CHANGE = (*_LOOK, "STEP_UP_REQUIRED")
_WRITE = (*_CHANGE, *_BODY, "STORAGE_UNAVAILABLE")


@router.get(
    "/v1/safes/{safe_id}/contacts",
    operation_id="contacts",
    summary="Where the holder is told of news",
    response_model=ContactsAnswer,
    responses=problems(*_LOOK),
    openapi_extra={"security": BEARER},
)
def contacts(safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Return the contacts."""
    return _contacts(vault.notifying.contacts.of(actor, safe_id))


@router.put(
    "/v1/safes/{safe_id}/contacts",
    operation_id="replaceContacts",
    summary="Set where the holder is told of news",
    description="A new contact gets a code and is used once that came back. One that is left out is erased.",
    response_model=ContactsAnswer,
    responses=problems(
        *_WRITE, "ADDRESS_REFUSED", "CHANNEL_UNAVAILABLE", "CONTACTS_TOO_MANY", "CODES_TOO_MANY"
    ),
    openapi_extra={
        "security": BEARER,
        **json_body(ContactsRequest, {"contacts": [{"channel": "mail", "address": "camille@example.org"}]}),
    },
)
def replace_contacts(request: Request, safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Replace the contacts."""
    demand_proof(request, actor, Action.CONTACTS, safe_id, Act.CONTACTS)
    said = parse_as(ContactsRequest, read_small_body(request, vault.settings.max_json_bytes))
    wanted = [(each.channel, each.address) for each in said.contacts]
    return _contacts(vault.notifying.contacts.replace(actor, safe_id, wanted))


@router.delete(
    "/v1/safes/{safe_id}/contacts/{contact_id}",
    operation_id="eraseContact",
    summary="Erase a contact",
    status_code=204,
    responses=problems(*_CHANGE, "STORAGE_UNAVAILABLE"),
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def erase_contact(request: Request, safe_id: str, contact_id: str, vault: Safe, actor: Caller) -> Response:
    """Erase a contact."""
    demand_proof(request, actor, Action.CONTACTS, safe_id, Act.CONTACTS)
    vault.notifying.contacts.erase(actor, safe_id, contact_id)
    return Response(status_code=204)


@router.post(
    "/v1/safes/{safe_id}/contacts/{contact_id}/code",
    operation_id="sendContactCode",
    summary="Send a new code to a contact",
    status_code=202,
    responses={
        202: {"description": "It is on its way; earlier codes count no longer."},
        **problems(*_CHANGE, "STATE_CONFLICT", "CODES_TOO_MANY"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def send_code(request: Request, safe_id: str, contact_id: str, vault: Safe, actor: Caller) -> Response:
    """Send a code."""
    demand_proof(request, actor, Action.CONTACTS, safe_id, Act.CONTACTS)
    vault.notifying.contacts.send_code(actor, safe_id, contact_id)
    return Response(status_code=202)


@router.post(
    "/v1/safes/{safe_id}/contacts/{contact_id}/confirmation",
    operation_id="confirmContact",
    summary="Confirm a contact with the code it got",
    response_model=ContactAnswer,
    responses=problems(*_WRITE, "CODE_REFUSED"),
    openapi_extra={"security": BEARER, **json_body(CodeRequest, {"code": "7K2MW-9QX4T"})},
)
def confirm_contact(request: Request, safe_id: str, contact_id: str, vault: Safe, actor: Caller) -> Response:
    """Confirm a contact."""
    demand_proof(request, actor, Action.CONTACTS, safe_id, Act.CONTACTS)
    said = parse_as(CodeRequest, read_small_body(request, vault.settings.max_json_bytes))
    confirmed = vault.notifying.contacts.confirm(actor, safe_id, contact_id, said.code)
    return json_response(_contact(confirmed).model_dump())


@router.get(
    "/v1/safes/{safe_id}/preferences",
    operation_id="preferences",
    summary="What the holder is told of, and how soon",
    response_model=PreferencesAnswer,
    responses=problems(*_LOOK),
    openapi_extra={"security": BEARER},
)
def preferences(safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Return the preferences."""
    return _preferences(vault.notifying.contacts.choices(actor, safe_id))


@router.put(
    "/v1/safes/{safe_id}/preferences",
    operation_id="setPreferences",
    summary="Set what the holder is told of, and how soon",
    response_model=PreferencesAnswer,
    responses=problems(*_WRITE),
    openapi_extra={
        "security": BEARER,
        **json_body(
            PreferencesRequest,
            {"language": "fr", "events": {"document": {"when": "daily", "channels": ["mail"]}}},
        ),
    },
)
def set_preferences(request: Request, safe_id: str, vault: Safe, actor: Caller) -> Response:
    """Set the preferences."""
    demand_proof(request, actor, Action.CONTACTS, safe_id, Act.CONTACTS)
    said = parse_as(PreferencesRequest, read_small_body(request, vault.settings.max_json_bytes))
    events = {
        Event(name): Choice(When(choice.when), frozenset(map(ChannelName, choice.channels)))
        for name, choice in said.events.items()
    }
    return _preferences(vault.notifying.contacts.choose(actor, safe_id, Choices(said.language, events)))


@router.post(
    "/v1/notices/bounces",
    operation_id="reportBounce",
    summary="Report that a message did not arrive",
    description="For gateways, with a secret of their own as bearer. An unknown reference gets the same answer.",
    status_code=204,
    responses=problems("UNAUTHENTICATED", "NOT_FOUND", "RATE_LIMITED", "DATABASE_UNAVAILABLE", *_BODY),
    openapi_extra={
        "security": [{"gateway": []}],
        **json_body(BounceRequest, {"reference": "0" * 26, "status": "5.1.1", "final": True}),
    },
    response_class=Response,
)
def report_bounce(request: Request, vault: Safe) -> Response:
    """Note a bounce.

    Raises:
        NotFound: no gateway may report here.
        Unauthenticated: the secret is another one, or missing.
        Refused: RATE_LIMITED after too many of those.
    """
    notifying = vault.notifying
    if not notifying.hook_secret:
        raise NotFound("NOT_FOUND")
    scheme, _, secret = (single_header(request, "Authorization") or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not notifying.knows_secret(secret.strip()):
        demand_rate(request, "tokens")
        raise Unauthenticated("UNAUTHENTICATED")
    said = parse_as(BounceRequest, read_small_body(request, vault.settings.max_json_bytes))
    notifying.bounces.note(Report(said.reference, said.status, said.final))
    return Response(status_code=204)


def _contacts(found: list[Contact]) -> Response:
    return json_response(ContactsAnswer(contacts=[_contact(each) for each in found]).model_dump())


def _contact(found: Contact) -> ContactAnswer:
    members: dict[str, Any] = {"channel": found.channel.value, "state": found.state.value}
    return ContactAnswer(
        id=found.id,
        address=found.address,
        bounces=found.bounces,
        created_at=rfc3339(found.created_at),
        confirmed_at=None if found.confirmed_at is None else rfc3339(found.confirmed_at),
        **members,
    )


def _preferences(found: Choices) -> Response:
    events: dict[Any, ChoiceBody] = {}
    for event in Event:
        choice = found.of(event)
        members: dict[str, Any] = {"when": choice.when.value, "channels": sorted(choice.channels)}
        events[event.value] = ChoiceBody(**members)
    language: Any = found.language
    return json_response(PreferencesAnswer(language=language, events=events).model_dump())
