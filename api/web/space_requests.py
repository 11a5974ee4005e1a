"""What administrations ask for, and how one answers: by a document, by an attestation, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
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
    refused,
    show,
    shown_again,
)
from vault.access import Action
from vault.authorization.assurance import Act, demand_assurance
from vault.domain.actors import Assurance
from vault.domain.matters import Matter
from vault.domain.requests import Answer, Candidate, NewAnswer, RequestView
from vault.errors import NotFound, Refused, VaultError
from vault.service import Vault

router = APIRouter(include_in_schema=False)


@router.get("/espace/demandes")
def requests(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List what administrations ask for."""
    space = enter(request, vault, Action.REQUEST_SEE)
    service = vault.people.tell_once.requests
    found = service.of_safe(space.actor, space.safe_id, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda view: view.request.first_seq)
    return show(
        request,
        space,
        "space_requests.html",
        Shown("requests", "requests_title"),
        views=[(view, _asked(request, vault, view.request)) for view in items],
        cursor=cursor,
        following=following,
    )


@router.get("/espace/demandes/{request_id}")
def one_request(request: Request, request_id: str, vault: Safe) -> Response:
    """Show who asks, why, on which basis and until when, and what the other way is."""
    space = enter(request, vault, Action.REQUEST_SEE)
    view = _see(vault, space, request_id)
    asked = _asked(request, vault, view.request)
    shown = Shown("requests", "request_one")
    return show(request, space, "space_request.html", shown, view=view, asked=asked)


@router.get("/espace/demandes/{request_id}/reponse")
def answer_form(request: Request, request_id: str, vault: Safe) -> Response:
    """Offer the documents that answer the request."""
    space = enter(request, vault, Action.REQUEST_ANSWER)
    view = _see(vault, space, request_id)
    _demand(vault, space, view.request)
    return _answer_form(request, vault, space, view, Shown("requests", "answer_title"))


@router.post("/espace/demandes/{request_id}/reponse")
def answer(request: Request, request_id: str, vault: Safe) -> Response:
    """Check what was chosen, let it be changed, then record it."""
    place = f"{PLACE}/demandes/{request_id}/reponse"
    space, fields = posted(request, vault, Action.REQUEST_ANSWER, place)
    view = _see(vault, space, request_id)
    step = fields.one("step")
    if step == "change":
        return _answer_form(
            request, vault, space, view, Shown("requests", "answer_title", said=_said(fields))
        )
    try:
        chosen = _chosen(vault, fields, view.request)
        _demand(vault, space, view.request)
        if step != "confirm":
            return _check(request, vault, space, view, fields, chosen)
        vault.people.tell_once.answers.answer(space.actor, request_id, chosen, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "requests", "answer_title", _said(fields), place)
        return _answer_form(request, vault, space, view, shown)
    return gone_to(f"{PLACE}/demandes/{request_id}", "repondu")


@router.get("/espace/demandes/{request_id}/refus")
def decline_form(request: Request, request_id: str, vault: Safe) -> Response:
    """Offer to decline; that never asks for a surer proof of identity."""
    space = enter(request, vault, Action.REQUEST_ANSWER)
    view = _see(vault, space, request_id)
    return show(request, space, "space_decline.html", Shown("requests", "decline_title"), view=view)


@router.post("/espace/demandes/{request_id}/refus")
def decline(request: Request, request_id: str, vault: Safe) -> Response:
    """Decline."""
    space, fields = posted(request, vault, Action.REQUEST_ANSWER)
    view = _see(vault, space, request_id)
    said = NewAnswer(Answer.DECLINE, reason=fields.text("reason"))
    try:
        vault.people.tell_once.answers.answer(space.actor, request_id, said, fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "requests", "decline_title", fields.kept())
        return show(request, space, "space_decline.html", shown, view=view)
    return gone_to(f"{PLACE}/demandes/{request_id}", "decline")


def _see(vault: Vault, space: Space, request_id: str) -> RequestView:
    """Return a request to this safe. Raises NotFound."""
    view = vault.people.tell_once.requests.see(space.actor, request_id)
    if view.request.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    return view


def _demand(vault: Vault, space: Space, asked: Matter) -> None:
    """Demand what giving anything needs, and what this request needs besides. Raises Unauthenticated."""
    vault.people.login.assurance.demand(space.actor, Act.CONSENT)
    if level := asked.private["assurance"]:
        demand_assurance(space.actor, Assurance[level.upper()], None, vault.parts.clock)


def _chosen(vault: Vault, fields: Fields, asked: Matter) -> NewAnswer:
    """Read what was chosen. Raises Refused(FIELD_INVALID)."""
    documents = fields.every("documents")
    if asked.private["attribute"]:
        return NewAnswer(Answer.ATTEST, documents)
    if not documents:
        raise Refused("FIELD_INVALID", "at least one", field="documents")
    return NewAnswer(Answer.ACCEPT, documents, _end(vault, asked, fields.one("ends_at")))


def _end(vault: Vault, asked: Matter, day: str) -> datetime | None:
    """Return the end that was chosen; None: as asked. Raises Refused(FIELD_INVALID)."""
    if not day:
        return None
    end, latest = end_of_day("ends_at", day), _latest(vault, asked)
    if end.date() == latest.date():
        return None
    if not vault.parts.clock.now() < end < latest:
        raise Refused("FIELD_INVALID", "a day to come, not after the one asked for", field="ends_at")
    return end


def _latest(vault: Vault, asked: Matter) -> datetime:
    return vault.parts.clock.now() + timedelta(days=asked.private["access_days"])


def _said(fields: Fields) -> Mapping[str, Any]:
    return {**fields.kept(), "documents": fields.every("documents")}


def _answer_form(request: Request, vault: Vault, space: Space, view: RequestView, shown: Shown) -> Response:
    candidates: Sequence[Candidate] = ()
    if view.state == "open":
        candidates = vault.people.tell_once.answers.candidates(space.actor, view.request.id)
    return show(
        request,
        space,
        "space_answer.html",
        shown,
        view=view,
        asked=_asked(request, vault, view.request),
        candidates=candidates,
    )


def _check(
    request: Request, vault: Vault, space: Space, view: RequestView, fields: Fields, chosen: NewAnswer
) -> Response:
    """Show what is about to be given, to whom, why and until when."""
    candidates = vault.people.tell_once.answers.candidates(space.actor, view.request.id)
    given = [each for each in candidates if each.document_id in chosen.documents]
    if view.request.private["attribute"] and not chosen.documents:
        given = list(candidates[-1:])
    if not given or len(given) < len(chosen.documents):
        place = f"{PLACE}/demandes/{view.request.id}/reponse"
        trouble = refused(request, "documents")
        shown = Shown("requests", "answer_title", 422, trouble, _said(fields), place)
        return _answer_form(request, vault, space, view, shown)
    latest = None if view.request.private["attribute"] else _latest(vault, view.request)
    shown = Shown(
        "requests", "check_title", said=fields.kept(), address=f"{PLACE}/demandes/{view.request.id}"
    )
    return show(
        request,
        space,
        "space_answer_check.html",
        shown,
        view=view,
        asked=_asked(request, vault, view.request),
        given=given,
        chosen=chosen.documents,
        ends_at=chosen.ends_at or latest,
    )


def _asked(request: Request, vault: Vault, asked: Matter) -> str:
    """Return the attribute that is asked for, in words; "" where documents are."""
    code = asked.private["attribute"]
    if not code:
        return ""
    named = {each.code: each for each in vault.people.tell_once.attributes.all()}
    found = named.get(code)
    if found is None:
        return str(code)
    return found.en if language(request) == "en" else found.fr
