"""The page where third parties type a share code and its second secret, and what they see then.

Neither of the two ever stands in an address. The opened share is a cookie of ten minutes; there is no login.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.browser import drop_private_cookie, own_origin, session_cookie, set_private_cookie
from api.deps import Desk, Safe
from api.downloads import download_response
from api.errors import problem_of
from api.rates import limited
from api.web.forms import small_form
from api.web.rendering import FORM_FIELD, check_form, language, page
from api.web.verdicts import arrange
from vault.authorization.purposes import OWN_PURPOSES
from vault.domain.actors import Actor
from vault.errors import NotFound, Unauthenticated
from vault.messages.catalogue import message
from vault.service import Vault
from vault.settings import Settings
from vault.sharing.opening import LIFETIME
from vault.sharing.slip import page_address

router = APIRouter(include_in_schema=False)
_HERE = "/partage"
_SEEN = "/partage/documents"


def share_cookie(settings: Settings) -> str:
    """Return the name of the cookie of an opened share."""
    return f"{session_cookie(settings)}-partage"


@router.get("/partage")
def ask(request: Request) -> Response:
    """Ask for code and second secret."""
    return page(request, "share.html", said=None)


@router.post("/partage", dependencies=[limited("lookups")])
async def open_share(request: Request, vault: Safe, desk: Desk) -> Response:
    """Open a share, then lead to what it shows: to load that again uses no view up."""

    def work() -> Response:
        """Run in the thread."""
        fields = small_form(request)
        check_form(request, fields.get(FORM_FIELD, ""))
        try:
            opened = vault.people.sharing.openings.open(fields.get("code", ""), fields.get("secret", ""))
        except NotFound as error:
            said = message(problem_of(error).code, language(request))
            return page(request, "share.html", said.status, said=said)
        response = RedirectResponse(_SEEN, 303)
        seconds = int(LIFETIME.total_seconds())
        set_private_cookie(response, vault.settings, share_cookie(vault.settings), opened.token, seconds)
        return response

    return await desk.run(work)


@router.get("/partage/documents")
def seen(request: Request, vault: Safe) -> Response:
    """Show what is certified."""
    try:
        actor = _bearer(request, vault)
        view = vault.people.sharing.reading.view(actor)
    except (Unauthenticated, NotFound):
        return _closed(vault)
    now = vault.parts.clock.now()
    column = 1 if language(request) == "en" else 0
    return page(
        request,
        "shared.html",
        view=view,
        purpose=OWN_PURPOSES.get(view.purpose, (view.purpose, view.purpose))[column],
        now=now,
    )


@router.get("/partage/documents/{document_id}/copie")
def copy(request: Request, document_id: str, vault: Safe) -> Response:
    """Download a marked copy."""
    actor, address = _bearer(request, vault), page_address(own_origin(request))
    return download_response(request, vault.people.sharing.reading.copy(actor, document_id, address))


@router.get("/partage/documents/{document_id}/original")
def original(request: Request, document_id: str, vault: Safe) -> Response:
    """Download an original."""
    actor = _bearer(request, vault)
    return download_response(request, vault.people.sharing.reading.original(actor, document_id))


@router.get("/partage/documents/{document_id}/dossier")
def bundle(request: Request, document_id: str, vault: Safe) -> Response:
    """Download an evidence bundle."""
    actor = _bearer(request, vault)
    return download_response(request, vault.people.sharing.reading.bundle(actor, document_id))


@router.post("/partage/documents/{document_id}/verification", dependencies=[limited("verifications")])
async def verify(request: Request, document_id: str, vault: Safe, desk: Desk) -> Response:
    """Have an original judged where it is, and show the verdict."""

    def work() -> Response:
        """Run in the thread."""
        check_form(request, small_form(request).get(FORM_FIELD, ""))
        actor = _bearer(request, vault)
        chunks = vault.people.sharing.reading.to_verify(actor, document_id)
        verdict = vault.verifying.upload(chunks())
        return page(
            request,
            "share_verdict.html",
            arranged=arrange(verdict, language(request)),
            name="",
            known=None,
            known_status="",
        )

    return await desk.run(work)


@router.post("/partage/fermer")
async def close(request: Request, vault: Safe, desk: Desk) -> Response:
    """Have the browser forget the opened share."""

    def work() -> Response:
        """Run in the thread."""
        check_form(request, small_form(request).get(FORM_FIELD, ""))
        return _closed(vault)

    return await desk.run(work)


def _bearer(request: Request, vault: Vault) -> Actor:
    """Return who opened a share in this browser. Raises Unauthenticated(SHARE_ENDED)."""
    token = request.cookies.get(share_cookie(vault.settings), "")
    actor = vault.people.sharing.openings.authenticate(token)
    if actor is None:
        raise Unauthenticated("SHARE_ENDED")
    return actor


def _closed(vault: Vault) -> Response:
    response = RedirectResponse(_HERE, 303)
    drop_private_cookie(response, vault.settings, share_cookie(vault.settings))
    return response
