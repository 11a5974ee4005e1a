"""What one gave: consents with their sealed papers and how to take them back, and attestations."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.downloads import file_headers
from api.paging import after_of, page_of
from api.web.space import (
    PAGE,
    PLACE,
    Shown,
    Space,
    enter,
    gone_to,
    posted,
    show,
    shown_again,
)
from vault.access import Action
from vault.domain.matters import Matter
from vault.errors import NotFound, VaultError
from vault.matters.consents import CONSENT, WITHDRAWAL
from vault.sealing.papers import PAPER_TYPE
from vault.service import Vault

router = APIRouter(include_in_schema=False)


@router.get("/espace/consentements")
def consents(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List one's consents."""
    space = enter(request, vault, Action.CONSENT_SEE)
    service = vault.people.tell_once.consents
    found = service.of_safe(space.actor, space.safe_id, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda each: each.first_seq)
    return show(
        request,
        space,
        "space_consents.html",
        Shown("requests", "consents_title"),
        consents=[(each, service.state_of(each)) for each in items],
        cursor=cursor,
        following=following,
    )


@router.get("/espace/consentements/{consent_id}")
def one_consent(request: Request, consent_id: str, vault: Safe) -> Response:
    """Show a consent."""
    space = enter(request, vault, Action.CONSENT_SEE)
    return _consent(request, vault, space, consent_id, Shown("requests", "consent_title"))


@router.get("/espace/consentements/{consent_id}/piece")
def consent_paper(request: Request, consent_id: str, vault: Safe) -> Response:
    """Download the sealed consent."""
    space = enter(request, vault, Action.CONSENT_SEE)
    return _paper(vault.people.tell_once.consents.paper(space.actor, consent_id, CONSENT), consent_id)


@router.get("/espace/consentements/{consent_id}/retrait")
def withdrawal_paper(request: Request, consent_id: str, vault: Safe) -> Response:
    """Download the sealed withdrawal."""
    space = enter(request, vault, Action.CONSENT_SEE)
    octets = vault.people.tell_once.consents.paper(space.actor, consent_id, WITHDRAWAL)
    return _paper(octets, f"{consent_id}-{WITHDRAWAL}")


@router.post("/espace/consentements/{consent_id}/retrait")
def withdraw(request: Request, consent_id: str, vault: Safe) -> Response:
    """Take a consent back; that never asks for a surer proof of identity."""
    space, fields = posted(request, vault, Action.CONSENT_WITHDRAW)
    service = vault.people.tell_once.consents
    try:
        service.withdraw(space.actor, consent_id, fields.one("key"), fields.text("reason"))
    except VaultError as error:
        place = f"{PLACE}/consentements/{consent_id}"
        shown = shown_again(request, error, "requests", "consent_title", fields.kept(), place)
        return _consent(request, vault, space, consent_id, shown)
    return gone_to(f"{PLACE}/consentements/{consent_id}", "retire")


@router.get("/espace/attestations/{statement_id}")
def statement(request: Request, statement_id: str, vault: Safe) -> Response:
    """Show what was attested, to whom and from what."""
    space = enter(request, vault, Action.STATEMENT_SEE)
    found = vault.people.tell_once.statements.see(space.actor, statement_id)
    _demand_own(space, found)
    return show(request, space, "space_statement.html", Shown("requests", "statement_title"), statement=found)


@router.get("/espace/attestations/{statement_id}/piece")
def statement_paper(request: Request, statement_id: str, vault: Safe) -> Response:
    """Download the sealed statement."""
    space = enter(request, vault, Action.STATEMENT_SEE)
    return _paper(vault.people.tell_once.statements.paper(space.actor, statement_id), statement_id)


def _consent(request: Request, vault: Vault, space: Space, consent_id: str, shown: Shown) -> Response:
    service = vault.people.tell_once.consents
    found = service.see(space.actor, consent_id)
    _demand_own(space, found)
    state = service.state_of(found)
    return show(request, space, "space_consent.html", shown, consent=found, state_now=state)


def _demand_own(space: Space, matter: Matter) -> None:
    if matter.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")


def _paper(octets: bytes, name: str) -> Response:
    return Response(octets, headers=file_headers(PAPER_TYPE, f"{name}.asice"))
