"""Who may act for whom: mandates one gave and holds, giving and ending them, and acting under one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.paging import after_of, page_of
from api.web.forms import Fields
from api.web.rendering import known_reader
from api.web.space import (
    PAGE,
    PLACE,
    Shown,
    Space,
    end_of_day,
    enter,
    gone_to,
    posted,
    show,
    shown_again,
    start_of_day,
)
from api.web.space_documents import type_code
from vault.access import MANDATE_SCOPES, Action
from vault.authorization.assurance import Act
from vault.errors import NotFound, Refused, VaultError
from vault.people.mandates import PROXY, NewMandate
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_NEW = f"{PLACE}/mandats/nouveau"


@router.get("/espace/mandats")
def mandates(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """Show mandates given and held; who acts under one that ended finds the way back here."""
    actor = known_reader(request)
    try:
        space: Space | None = enter(request, vault, Action.MANDATE_SEE)
    except NotFound as error:
        if error.code != "MANDATE_OVER":
            raise
        space = None
    given, following = [], None
    if space is not None and not space.acts_for_other:
        found = vault.people.mandates.given(actor, space.safe_id, after_of(cursor), PAGE + 1)
        items, following = page_of(found, PAGE, lambda view: view.mandate.first_seq)
        given = list(items)
    return show(
        request,
        space,
        "space_mandates.html",
        Shown("mandates", "mandates_title"),
        actor=actor,
        given=given,
        held=vault.people.mandates.held(actor),
        cursor=cursor,
        following=following,
    )


@router.get("/espace/mandats/nouveau")
def mandate_form(request: Request, vault: Safe) -> Response:
    """Offer to give a mandate."""
    space = _own(enter(request, vault, Action.MANDATE_GRANT))
    vault.people.login.assurance.demand(space.actor, Act.MANDATE)
    return _form(request, space, Shown("mandates", "mandate_new"))


@router.post("/espace/mandats/nouveau")
def give(request: Request, vault: Safe) -> Response:
    """Check what was written, let it be changed, then record it."""
    space, fields = posted(request, vault, Action.MANDATE_GRANT, _NEW)
    _own(space)
    vault.people.login.assurance.demand(space.actor, Act.MANDATE)
    step = fields.one("step")
    if step == "change":
        return _form(request, space, Shown("mandates", "mandate_new", said=_said(fields)))
    try:
        new = _new(vault, space, fields)
        if step != "confirm":
            vault.people.mandates.check(space.actor, new)
            shown = Shown("mandates", "check_title", said=_said(fields), address=_NEW)
            return show(request, space, "space_mandate_check.html", shown, new=new)
        vault.people.mandates.grant(space.actor, new, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "mandates", "mandate_new", _said(fields), _NEW)
        return _form(request, space, shown)
    return gone_to(f"{PLACE}/mandats", "mandat-donne")


@router.get("/espace/mandats/{mandate_id}")
def mandate(request: Request, mandate_id: str, vault: Safe) -> Response:
    """Show a mandate."""
    space = enter(request, vault, Action.MANDATE_SEE)
    return _mandate(request, vault, space, mandate_id, Shown("mandates", "mandate_one"))


@router.post("/espace/mandats/{mandate_id}/fin")
def end(request: Request, mandate_id: str, vault: Safe) -> Response:
    """End a mandate: revoked by who gave it, renounced by who holds it."""
    space, fields = posted(request, vault, Action.MANDATE_END)
    try:
        vault.people.mandates.end(space.actor, mandate_id, fields.text("reason"), fields.one("key"))
    except VaultError as error:
        place = f"{PLACE}/mandats/{mandate_id}"
        shown = shown_again(request, error, "mandates", "mandate_one", fields.kept(), place)
        return _mandate(request, vault, space, mandate_id, shown)
    return gone_to(f"{PLACE}/mandats", "mandat-fini")


def _own(space: Space) -> Space:
    """Only holders give mandates. Raises NotFound."""
    if space.acts_for_other:
        raise NotFound("NOT_FOUND")
    return space


def _mandate(request: Request, vault: Vault, space: Space, mandate_id: str, shown: Shown) -> Response:
    view = vault.people.mandates.see(space.actor, mandate_id)
    holds = view.mandate.private["mandatary"] == space.actor.id
    return show(
        request,
        space,
        "space_mandate.html",
        shown,
        view=view,
        holds=holds,
        may_end=view.state in {"live", "to-come"} and (holds or view.mandate.private["kind"] == PROXY),
    )


def _form(request: Request, space: Space, shown: Shown) -> Response:
    return show(request, space, "space_mandate_form.html", shown, scopes=tuple(MANDATE_SCOPES))


def _said(fields: Fields) -> Mapping[str, Any]:
    return {**fields.kept(), "scope": fields.every("scope")}


def _new(vault: Vault, space: Space, fields: Fields) -> NewMandate:
    """Read what was written. Raises Refused(FIELD_INVALID)."""
    if not fields.every("scope"):
        raise Refused("FIELD_INVALID", "at least one", field="scope")
    types = [code for part in fields.text("document_types").split(",") if (code := type_code(part))]
    return NewMandate(
        holder=space.holder,
        mandatary=fields.text("mandatary"),
        kind=PROXY,
        scope=fields.every("scope"),
        basis=fields.text("basis"),
        starts_at=_start(vault, fields.one("starts_at")),
        ends_at=end_of_day("ends_at", fields.one("ends_at")),
        document_types=tuple(dict.fromkeys(types)),
    )


def _start(vault: Vault, day: str) -> datetime | None:
    """Return when it begins; None: at once, as on the day of today."""
    if not day:
        return None
    start, now = start_of_day("starts_at", day), vault.parts.clock.now()
    if start < now - timedelta(days=1):
        raise Refused("FIELD_INVALID", "today or later", field="starts_at")
    return None if start <= now else start
