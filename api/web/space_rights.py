"""One's rights: a copy of everything, what is wrong in a document, closing the safe."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.downloads import LeavingResponse, file_headers
from api.paging import after_of, page_of
from api.web.space import (
    PAGE,
    PLACE,
    Shown,
    Space,
    demand_confirmed,
    enter,
    gone_to,
    posted,
    show,
    shown_again,
)
from vault.access import Action
from vault.authorization.assurance import Act
from vault.authorization.closed_safes import WISH
from vault.domain.matters import Matter
from vault.errors import NotFound, VaultError
from vault.people.closures import NewClosure
from vault.rights.exports import MEDIA_TYPE
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_CLOSURE = f"{PLACE}/cloture"
_FEW = 5


@router.get("/espace/droits")
def rights(request: Request, vault: Safe) -> Response:
    """Show what one may ask for."""
    space = enter(request, vault, Action.EXPORT)
    return show(
        request,
        space,
        "space_rights.html",
        Shown("rights", "rights_title"),
        closure=_running(vault, space),
        state_of=vault.people.closures.state_of,
    )


@router.get("/espace/export")
def export_form(request: Request, vault: Safe) -> Response:
    """Offer a copy of everything; it asks for a fresh proof of identity."""
    space = enter(request, vault, Action.EXPORT)
    vault.people.login.assurance.demand(space.actor, Act.EXPORT)
    return show(request, space, "space_export_form.html", Shown("rights", "export_title"))


@router.post("/espace/export")
def export(request: Request, vault: Safe) -> Response:
    """Ask for a copy of everything."""
    space, fields = posted(request, vault, Action.EXPORT, f"{PLACE}/export")
    try:
        outcome = vault.people.rights.exports.ask(space.actor, space.safe_id, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "rights", "export_title")
        return show(request, space, "space_export_form.html", shown)
    return gone_to(f"{PLACE}/export/{outcome.document_id}", "export")


@router.get("/espace/export/{export_id}")
def one_export(request: Request, export_id: str, vault: Safe) -> Response:
    """Show how far a copy of everything is."""
    space = enter(request, vault, Action.EXPORT)
    progress = vault.people.rights.exports.see(space.actor, export_id)
    return show(request, space, "space_export.html", Shown("rights", "export_title"), progress=progress)


@router.get("/espace/export/{export_id}/archive")
def archive(request: Request, export_id: str, vault: Safe) -> Response:
    """Download the copy, made while it leaves."""
    space = enter(request, vault, Action.EXPORT)
    made = vault.people.rights.exports.archive(space.actor, export_id)
    headers = {**file_headers(MEDIA_TYPE, made.name), "Accept-Ranges": "none"}
    return LeavingResponse(made.chunks, headers=headers)


@router.get("/espace/cloture")
def closure_form(request: Request, vault: Safe) -> Response:
    """Show what a closure means and how far one is."""
    space = enter(request, vault, Action.CLOSURE_ASK)
    vault.people.login.assurance.demand(space.actor, Act.CLOSURE)
    return _closure(request, vault, space, Shown("rights", "closure_title"))


@router.post("/espace/cloture")
def ask_closure(request: Request, vault: Safe) -> Response:
    """Ask for the closure of one's own safe; nothing changes before it is confirmed."""
    space, fields = posted(request, vault, Action.CLOSURE_ASK, _CLOSURE)
    vault.people.login.assurance.demand(space.actor, Act.CLOSURE)
    try:
        demand_confirmed(fields, "understood")
        new = NewClosure(space.holder, WISH)
        vault.people.closures.ask(space.actor, new, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "rights", "closure_title", fields.kept())
        return _closure(request, vault, space, shown)
    return gone_to(_CLOSURE, "cloture-demandee")


@router.post("/espace/cloture/{closure_id}/confirmation")
def confirm_closure(request: Request, closure_id: str, vault: Safe) -> Response:
    """Confirm the closure: its notice runs."""
    space, fields = posted(request, vault, Action.CLOSURE_CONFIRM, _CLOSURE)
    try:
        vault.people.closures.confirm(space.actor, closure_id, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "rights", "closure_title", address=_CLOSURE)
        return _closure(request, vault, space, shown)
    return gone_to(_CLOSURE, "cloture-confirmee")


@router.post("/espace/cloture/{closure_id}/annulation")
def cancel_closure(request: Request, closure_id: str, vault: Safe) -> Response:
    """Cancel the closure."""
    space, fields = posted(request, vault, Action.CLOSURE_CANCEL, _CLOSURE)
    try:
        vault.people.closures.cancel(space.actor, closure_id, fields.text("reason"), fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "rights", "closure_title", fields.kept(), _CLOSURE)
        return _closure(request, vault, space, shown)
    return gone_to(f"{PLACE}/droits", "cloture-annulee")


@router.get("/espace/remarques")
def notes(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List what one said is wrong, and what was answered."""
    space = enter(request, vault, Action.NOTE_SEE)
    found = vault.people.rights.notes.all(space.actor, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda note: note.first_seq)
    return show(
        request,
        space,
        "space_notes.html",
        Shown("rights", "notes_title"),
        notes=items,
        cursor=cursor,
        following=following,
    )


@router.get("/espace/documents/{document_id}/remarque")
def note_form(request: Request, document_id: str, vault: Safe) -> Response:
    """Offer to say what is wrong in a document."""
    space = enter(request, vault, Action.NOTE_ADD)
    _demand_noted(vault, space, document_id)
    shown = Shown("documents", "note_title")
    return show(request, space, "space_note_form.html", shown, document_id=document_id)


@router.post("/espace/documents/{document_id}/remarque")
def add_note(request: Request, document_id: str, vault: Safe) -> Response:
    """Say what is wrong in a document; the document is not changed."""
    space, fields = posted(request, vault, Action.NOTE_ADD)
    _demand_noted(vault, space, document_id)
    try:
        vault.people.rights.notes.add(space.actor, document_id, fields.text("words"), fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "documents", "note_title", fields.kept())
        return show(request, space, "space_note_form.html", shown, document_id=document_id)
    return gone_to(f"{PLACE}/remarques", "remarque")


@router.post("/espace/remarques/{note_id}/retrait")
def withdraw_note(request: Request, note_id: str, vault: Safe) -> Response:
    """Take a note back."""
    space, fields = posted(request, vault, Action.NOTE_ADD)
    vault.people.rights.notes.withdraw(space.actor, note_id, fields.one("key"))
    return gone_to(f"{PLACE}/remarques", "remarque-retiree")


def _demand_noted(vault: Vault, space: Space, document_id: str) -> None:
    """Demand that the document is one that notes may be seen of. Raises NotFound."""
    vault.people.rights.notes.of_document(space.actor, document_id, None, 1)


def _running(vault: Vault, space: Space) -> Matter | None:
    """Return the closure that is under way, or None."""
    found = vault.people.closures.of_safe(space.actor, space.safe_id, None, _FEW)
    return next((each for each in found if each.state in {"asked", "notice", "closed"}), None)


def _closure(request: Request, vault: Vault, space: Space, shown: Shown) -> Response:
    if space.acts_for_other:
        raise NotFound("NOT_FOUND")
    closure = _running(vault, space)
    return show(
        request,
        space,
        "space_closure.html",
        shown,
        closure=closure,
        state_now="" if closure is None else vault.people.closures.state_of(closure),
        notice_days=vault.settings.closure_notice_days,
    )
