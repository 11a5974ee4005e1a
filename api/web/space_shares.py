"""Share codes: made, shown once with their second secret, listed, withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.browser import own_origin
from api.deps import Safe
from api.downloads import file_headers
from api.paging import after_of, page_of
from api.web.forms import Fields
from api.web.rendering import language
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
)
from vault.access import Action
from vault.authorization.assurance import Act
from vault.authorization.purposes import OWN_PURPOSES
from vault.documents.reading import View
from vault.documents.searching import Wanted
from vault.errors import NotFound, Refused, VaultError
from vault.service import Vault
from vault.sharing.codes import grouped
from vault.sharing.shares import MAX_VIEWS, ORIGINAL, WATERMARK, NewShare, SeenShare
from vault.sharing.slip import page_address, typeset_slip

router = APIRouter(include_in_schema=False)
PURPOSES = ("housing", "credit", "employment", "insurance", "studies", "other")
_NEW = f"{PLACE}/partages/nouveau"
_CHOOSABLE = 100


@router.get("/espace/partages")
def shares(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List one's shares."""
    space = enter(request, vault, Action.SHARE_SEE)
    found = vault.people.sharing.shares.of_safe(space.actor, space.safe_id, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda each: each.matter.first_seq)
    return show(
        request,
        space,
        "space_shares.html",
        Shown("shares", "shares_title"),
        shares=items,
        purposes=_purposes(request),
        cursor=cursor,
        following=following,
    )


@router.get("/espace/partages/nouveau")
def share_form(request: Request, vault: Safe, document: str = "") -> Response:
    """Offer to share documents."""
    space = enter(request, vault, Action.SHARE_CREATE)
    vault.people.login.assurance.demand(space.actor, Act.SHARE)
    said = {"documents": (document,), "views": "3", "form": WATERMARK}
    return _form(request, vault, space, Shown("shares", "sharing_new", said=said))


@router.post("/espace/partages/nouveau")
def create(request: Request, vault: Safe) -> Response:
    """Check what was written, let it be changed, then make the share and show its two secrets once."""
    space, fields = posted(request, vault, Action.SHARE_CREATE, _NEW)
    vault.people.login.assurance.demand(space.actor, Act.SHARE)
    step, service = fields.one("step"), vault.people.sharing.shares
    if step == "change":
        return _form(request, vault, space, Shown("shares", "sharing_new", said=_said(fields)))
    try:
        new = _new(fields)
        documents = service.check(space.actor, new)
        if any(each.safe_id != space.safe_id for each in documents):
            raise NotFound("NOT_FOUND")
        if step != "confirm":
            shown = Shown("shares", "check_title", said=_said(fields), address=_NEW)
            return show(
                request,
                space,
                "space_share_check.html",
                shown,
                new=new,
                documents=documents,
                purposes=_purposes(request),
            )
        made = service.create(space.actor, new, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "shares", "sharing_new", _said(fields), _NEW)
        return _form(request, vault, space, shown)
    place = f"{PLACE}/partages/{made.outcome.document_id}"
    if not made.code:
        return gone_to(place, "partage-deja")
    return show(
        request,
        space,
        "space_share_made.html",
        Shown("shares", "sharing_made", address=place),
        share_id=made.outcome.document_id,
        code=grouped(made.code),
        secret=grouped(made.secret),
        page_address=page_address(own_origin(request)),
        new=new,
    )


@router.get("/espace/partages/{share_id}")
def one_share(request: Request, share_id: str, vault: Safe) -> Response:
    """Show a share: how often it was opened, by what it may be, and how to end it."""
    space = enter(request, vault, Action.SHARE_SEE)
    return _share(request, vault, space, share_id, Shown("shares", "sharing_one"))


@router.post("/espace/partages/{share_id}/feuillet")
def slip(request: Request, share_id: str, vault: Safe) -> Response:
    """Typeset a slip to hand over, with the code and without the second secret."""
    space, fields = posted(request, vault, Action.SHARE_SEE)
    share = vault.people.sharing.shares.with_code(space.actor, share_id, fields.one("code"))
    pdf = typeset_slip(share, fields.one("code"), own_origin(request), vault.parts.clock.now())
    return Response(pdf, headers=file_headers("application/pdf", "code-de-partage.pdf"))


@router.post("/espace/partages/{share_id}/retrait")
def withdraw(request: Request, share_id: str, vault: Safe) -> Response:
    """End a share; that never asks for a surer proof of identity."""
    space, fields = posted(request, vault, Action.SHARE_WITHDRAW)
    try:
        vault.people.sharing.shares.withdraw(space.actor, share_id, fields.one("key"))
    except VaultError as error:
        place = f"{PLACE}/partages/{share_id}"
        shown = shown_again(request, error, "shares", "sharing_one", address=place)
        return _share(request, vault, space, share_id, shown)
    return gone_to(f"{PLACE}/partages/{share_id}", "partage-retire")


def _share(request: Request, vault: Vault, space: Space, share_id: str, shown: Shown) -> Response:
    seen = _seen(vault, space, share_id)
    return show(request, space, "space_share.html", shown, seen=seen, purposes=_purposes(request))


def _seen(vault: Vault, space: Space, share_id: str) -> SeenShare:
    seen = vault.people.sharing.shares.see(space.actor, share_id)
    if seen.matter.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    return seen


def _purposes(request: Request) -> Mapping[str, str]:
    column = 1 if language(request) == "en" else 0
    return {code: OWN_PURPOSES[code][column] for code in PURPOSES}


def _form(request: Request, vault: Vault, space: Space, shown: Shown) -> Response:
    return show(
        request,
        space,
        "space_share_form.html",
        shown,
        views=_choosable(vault, space),
        purposes=_purposes(request),
        most_views=MAX_VIEWS,
        most_days=vault.settings.share_days,
        forms=(WATERMARK, ORIGINAL),
    )


def _choosable(vault: Vault, space: Space) -> Sequence[View]:
    """Return the newest documents that can be shared."""
    listed = vault.reading.list(space.actor, space.safe_id, None, _CHOOSABLE, Wanted(status="valid"))
    return [view for view in listed.items if view.shareable]


def _said(fields: Fields) -> Mapping[str, Any]:
    return {**fields.kept(), "documents": fields.every("documents")}


def _new(fields: Fields) -> NewShare:
    """Read what was written. Raises Refused(FIELD_INVALID)."""
    if not fields.every("documents"):
        raise Refused("FIELD_INVALID", "at least one", field="documents")
    if fields.one("purpose") not in PURPOSES:
        raise Refused("FIELD_INVALID", "one of the list", field="purpose")
    views = fields.one("views")
    if not (views.isascii() and views.isdigit() and len(views) < 4):
        raise Refused("FIELD_INVALID", f"1 to {MAX_VIEWS}", field="views")
    return NewShare(
        documents=fields.every("documents"),
        purpose=fields.one("purpose"),
        words=fields.text("words"),
        recipient=fields.text("recipient"),
        ends_at=end_of_day("ends_at", fields.one("ends_at")),
        views=int(views),
        form=fields.one("form"),
        evidence=fields.one("evidence") == "yes",
    )
