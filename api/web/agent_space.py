"""For agents: the documents that holders consented to show, each opened only once its purpose is said."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.downloads import download_response
from api.paging import after_of, page_of
from api.v1.journal import names_of
from api.v1.views import findings
from api.web.forms import Fields, whole_form
from api.web.rendering import FORM_FIELD, check_form, known_reader, language
from api.web.space import PAGE, Shown, refused, show, status_of, trouble_of
from vault.authorization.purposes import MAX_WORDS
from vault.documents.reading import Download
from vault.domain.actors import Actor, Role
from vault.errors import NotFound, VaultError
from vault.ids import looks_like_id
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_TO_SAY = {
    "PURPOSE_REQUIRED": "purpose",
    "PURPOSE_UNKNOWN": "purpose",
    "PURPOSE_NOT_CONSENTED": "purpose",
    "FIELD_INVALID": "words",
}


@router.get("/agent")
def given(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List what holders gave in answer to requests of the agent's administration and service."""
    actor = _agent(request)
    found = vault.people.tell_once.requests.of_administration(
        actor, actor.administration_id or "", after_of(cursor), PAGE + 1, "accepted"
    )
    items, following = page_of(found, PAGE, lambda view: view.request.first_seq)
    state_of = vault.people.tell_once.consents.state_of
    return show(
        request,
        None,
        "agent_documents.html",
        Shown("agent", "agent_title"),
        views=[(view, [(each, state_of(each)) for each in view.consents]) for view in items],
        cursor=cursor,
        following=following,
    )


@router.get("/agent/documents/{document_id}")
def ask_purpose(request: Request, document_id: str, vault: Safe) -> Response:
    """Ask what for, before anything of the document is shown: also of one that is not there."""
    actor = _agent(request)
    return _purpose_form(request, vault, actor, document_id, Shown("agent", "agent_purpose_title"))


@router.post("/agent/documents/{document_id}")
def open_document(request: Request, document_id: str, vault: Safe) -> Response:
    """Show the document's description; the look and its purpose stand in the holder's journal."""
    actor, fields = _posted(request)
    try:
        view = vault.reading.describe(actor, document_id, fields.one("purpose"), fields.text("words"))
    except VaultError as error:
        return _asked_again(request, vault, actor, document_id, fields, error)
    return show(
        request,
        None,
        "agent_document.html",
        Shown("agent", "document_title", said=fields.kept(), address="/agent"),
        view=view,
        told=findings(view.document, language(request)),
        purpose=names_of(vault).purpose(actor.administration_id or "", actor.service, fields.one("purpose"))[
            language(request) == "en"
        ],
    )


@router.post("/agent/documents/{document_id}/original")
def original(request: Request, document_id: str, vault: Safe) -> Response:
    """Download the original, for the purpose that was said."""
    return _download(request, vault, document_id, vault.reading.original)


@router.post("/agent/documents/{document_id}/dossier")
def bundle(request: Request, document_id: str, vault: Safe) -> Response:
    """Download the evidence bundle, for the purpose that was said."""
    return _download(request, vault, document_id, vault.reading.bundle)


def _download(
    request: Request, vault: Vault, document_id: str, read: Callable[[Actor, str, str, str], Download]
) -> Response:
    actor, fields = _posted(request)
    try:
        download = read(actor, document_id, fields.one("purpose"), fields.text("words"))
    except VaultError as error:
        return _asked_again(request, vault, actor, document_id, fields, error)
    return download_response(request, download)


def _agent(request: Request) -> Actor:
    """Return the agent who asks. Raises Unauthenticated; NotFound for everybody else."""
    actor = known_reader(request)
    if actor.role is not Role.AGENT or actor.administration_id is None:
        raise NotFound("NOT_FOUND")
    return actor


def _posted(request: Request) -> tuple[Actor, Fields]:
    fields = whole_form(request)
    check_form(request, fields.one(FORM_FIELD))
    return _agent(request), fields


def _asked_again(
    request: Request, vault: Vault, actor: Actor, document_id: str, fields: Fields, error: VaultError
) -> Response:
    """Ask for the purpose again, with what is wrong; anything else is said as it is."""
    if error.code not in _TO_SAY:
        raise error
    field = _TO_SAY[error.code]
    told = trouble_of(request, error)
    trouble = refused(request, "words", "wrong_purpose_words") if field == "words" else told
    shown = Shown(
        "agent",
        "agent_purpose_title",
        status_of(error),
        type(trouble)(trouble.title, trouble.action, field),
        fields.kept(),
        f"/agent/documents/{document_id}",
    )
    return _purpose_form(request, vault, actor, document_id, shown)


def _purpose_form(request: Request, vault: Vault, actor: Actor, document_id: str, shown: Shown) -> Response:
    if not looks_like_id(document_id, "doc"):
        raise NotFound("NOT_FOUND")
    return show(
        request,
        None,
        "agent_purpose.html",
        shown,
        document_id=document_id,
        purposes=vault.people.journal.purposes.of(actor),
        limit_words=MAX_WORDS,
    )
