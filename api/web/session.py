"""One's own access: open sessions, linked identities, and proving who one is anew."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.browser import (
    acting_session,
    local_path,
    session_cookie,
    session_of,
    session_value,
    set_private_cookie,
)
from api.deps import Desk, Safe
from api.rates import limited
from api.web.forms import small_form
from api.web.login import leave_for, offered, redirect_uri
from api.web.rendering import FORM_FIELD, check_form, language, login_address, page
from identity.base import ASSURANCES, Assurance
from vault.authorization.assurance import Act
from vault.domain.actors import Role
from vault.errors import NotFound, Unauthenticated
from vault.people.logins import Purpose
from vault.people.sessions import Session
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_LEVELS: dict[str, Assurance] = {each: each for each in ASSURANCES}  # type: ignore[misc]


@router.get("/acces")
def access(request: Request, vault: Safe) -> Response:
    """Show open sessions and linked identities."""
    session = session_of(request)
    if session is None:
        return RedirectResponse(login_address("/acces"), 303)
    login, lang = vault.people.login, language(request)
    providers = offered(vault, lang)
    level = session.actor.assurance
    return page(
        request,
        "access.html",
        name=session.actor.name or session.actor.id,
        level=level.name.lower() if level else "none",
        current=session.id,
        sessions=login.sessions.of_account(session.account_id),
        identities=login.accounts.identities(session.account_id),
        labels=dict(providers),
        providers=providers,
    )


@router.post("/acces/fermer")
async def end(request: Request, vault: Safe, desk: Desk) -> Response:
    """End one of one's sessions, or with an empty name all others."""

    def work() -> Response:
        """Run in the thread."""
        session, fields = _own(request)
        sessions = vault.people.login.sessions
        if chosen := fields.get("session", ""):
            sessions.end_one(session.account_id, chosen)
        else:
            sessions.end_all(session.account_id, but=session.id)
        return RedirectResponse("/acces", 303)

    return await desk.run(work)


@router.post("/acces/relier", dependencies=[limited("logins")])
async def link(request: Request, vault: Safe, desk: Desk) -> Response:
    """Begin to link another identity: this one must have been proven a moment ago, the other is proven next."""

    def work() -> Response:
        """Run in the thread."""
        session, fields = _own(request)
        vault.people.login.assurance.demand(session.actor, Act.IDENTITIES)
        return _begin(request, vault, session, fields, Purpose.LINK)

    return await desk.run(work)


@router.post("/acces/delier")
async def unlink(request: Request, vault: Safe, desk: Desk) -> Response:
    """Take an identity away."""

    def work() -> Response:
        """Run in the thread."""
        session, fields = _own(request)
        login = vault.people.login
        login.assurance.demand(session.actor, Act.IDENTITIES)
        login.accounts.unlink(session.account_id, fields.get("identite", ""))
        return RedirectResponse("/acces", 303)

    return await desk.run(work)


@router.post("/acces/mandat")
async def act_under(request: Request, vault: Safe, desk: Desk) -> Response:
    """Act under a mandate from now on in this session, or with an empty name for oneself again.

    The session gets a new value, and so its forms a new token: one that was opened for oneself in another window is not
    sent in somebody else's name.
    """

    def work() -> Response:
        """Run in the thread."""
        session, fields = _own(request)
        chosen = fields.get("mandat", "")
        if chosen:
            if session.quality.role is not Role.HOLDER:
                raise NotFound("NOT_FOUND")
            vault.people.mandates.demand_held(session.actor.id, chosen)
        vault.people.login.sessions.act_under(session.id, chosen or None)
        value = vault.people.login.sessions.rotate(session_value(request))
        response = RedirectResponse(local_path(fields.get("retour", "/")), 303)
        set_private_cookie(response, vault.settings, session_cookie(vault.settings), value)
        return response

    return await desk.run(work)


@router.get("/acces/renforcer")
def step_up(request: Request, vault: Safe, niveau: str = "", minutes: int = 0, retour: str = "/") -> Response:
    """Say what is asked for, offer the providers that lead to this account, and name the other way."""
    session = session_of(request)
    if session is None:
        return RedirectResponse(login_address(local_path(retour)), 303)
    own = {each.provider for each in vault.people.login.accounts.identities(session.account_id)}
    return page(
        request,
        "step_up.html",
        level=niveau if niveau in _LEVELS else "",
        minutes=minutes if 0 < minutes <= 1440 else 0,
        back=local_path(retour),
        providers=[each for each in offered(vault, language(request)) if each.name in own],
    )


@router.post("/acces/renforcer", dependencies=[limited("logins")])
async def prove_anew(request: Request, vault: Safe, desk: Desk) -> Response:
    """Begin to prove who one is anew."""

    def work() -> Response:
        """Run in the thread."""
        session, fields = _own(request)
        return _begin(request, vault, session, fields, Purpose.STEP_UP)

    return await desk.run(work)


def _own(request: Request) -> tuple[Session, dict[str, str]]:
    """Return the session that sends a form of ours, and its fields.

    Raises:
        Refused: FORM_EXPIRED.
        Unauthenticated: SESSION_ENDED.
    """
    fields = small_form(request)
    check_form(request, fields.get(FORM_FIELD, ""))
    session = acting_session(request)
    if session is None:
        raise Unauthenticated("SESSION_ENDED")
    return session, fields


def _begin(
    request: Request, vault: Vault, session: Session, fields: dict[str, str], purpose: Purpose
) -> Response:
    provider = fields.get("fournisseur", session.provider)
    level = _LEVELS.get(fields.get("niveau", ""))
    begun = vault.people.login.logins.begin(
        provider,
        redirect_uri(request, provider),
        local_path(fields.get("retour", "/acces")),
        language(request),
        purpose=purpose,
        session=session,
        level=level,
    )
    return leave_for(request, vault, provider, begun)
