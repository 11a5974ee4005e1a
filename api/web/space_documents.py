"""One's documents: the list, one document, and bringing a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.deps import Desk, Safe
from api.multipart import Part
from api.paging import after_of
from api.v1.journal import described_line, names_of
from api.v1.schemas_journal import JournalLine
from api.v1.views import findings
from api.web.forms import file_form
from api.web.rendering import FORM_FIELD, check_form, language
from api.web.space import (
    PAGE,
    PLACE,
    Shown,
    Space,
    Trouble,
    enter,
    gone_to,
    posted,
    show,
    shown_again,
    status_of,
    trouble_of,
)
from vault.access import Action
from vault.documents.searching import EVERYTHING, Wanted
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import NotFound, Refused, VaultError
from vault.files.names import clean_file_name
from vault.ids import looks_like_id
from vault.rights.journal_lines import Filters
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_LINES = 5
_MAX_TYPE = 64


@router.get("/espace")
def documents(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """Show the documents of the safe."""
    space = enter(request, vault, Action.LIST)
    return _list(request, vault, space, cursor)


@router.get("/espace/documents/{document_id}")
def document(request: Request, document_id: str, vault: Safe) -> Response:
    """Show one document; the look stands in its journal."""
    space = enter(request, vault, Action.DESCRIBE)
    return _document(request, vault, space, document_id, Shown("documents", "document_title"))


@router.get("/espace/recherche")
def search_address() -> Response:
    """Lead back to the list: what was looked for stands in no address."""
    return RedirectResponse(PLACE, 303)


@router.post("/espace/recherche")
def search(request: Request, vault: Safe) -> Response:
    """Show the documents that fit; what is looked for goes in the body, since addresses stand in logs."""
    space, fields = posted(request, vault, Action.LIST)
    wanted = Wanted(
        document_type=fields.one("type"),
        year=fields.one("year"),
        status=fields.one("status"),
        label=fields.text("label"),
        words=fields.text("q"),
    )
    try:
        return _list(request, vault, space, fields.one("cursor") or None, wanted, fields.kept())
    except Refused as error:
        trouble = trouble_of(request, error)
        return _list(request, vault, space, None, EVERYTHING, fields.kept(), trouble, status_of(error))


@router.post("/espace/documents/{document_id}/etiquettes")
def label(request: Request, document_id: str, vault: Safe) -> Response:
    """Keep one's labels of a document."""
    space, fields = posted(request, vault, Action.LABEL)
    labels = [one for part in fields.text("labels").split(",") if (one := part.strip())]
    try:
        vault.people.labels.put(space.actor, document_id, labels)
    except VaultError as error:
        shown = shown_again(request, error, "documents", "document_title", fields.kept())
        return _document(request, vault, space, document_id, shown)
    place = f"{PLACE}/documents/{document_id}" if space.may(Action.DESCRIBE) else PLACE
    return gone_to(place, "etiquettes")


@router.get("/espace/depot")
def deposit_form(request: Request, vault: Safe, demande: str = "") -> Response:
    """Offer to bring a file, perhaps in answer to a request."""
    space = enter(request, vault, Action.DEPOSIT)
    return _deposit_form(request, vault, space, demande, {}, None)


@router.post("/espace/depot")
async def deposit(request: Request, vault: Safe, desk: Desk) -> Response:
    """Take a file into the safe."""

    def work() -> Response:
        """Run in the thread."""
        fields, part, chunks = file_form(request, vault.settings)
        check_form(request, fields.get(FORM_FIELD, ""))
        space = enter(request, vault, Action.DEPOSIT)
        asked = fields.get("request", "")
        if not part.file_name:
            return _deposit_form(request, vault, space, asked, fields, Refused("EMPTY_FILE"))
        try:
            new = _new_document(space, fields, part)
            transfer = Transfer(fields.get("key", ""))
            outcome = vault.submissions.deposit(space.actor, new, chunks, transfer)
        except VaultError as error:
            return _deposit_form(request, vault, space, asked, fields, error)
        if looks_like_id(asked, "req"):
            return gone_to(f"{PLACE}/demandes/{asked}/reponse", "depose")
        place = f"{PLACE}/documents/{outcome.document_id}" if space.may(Action.DESCRIBE) else PLACE
        return gone_to(place, "depose")

    return await desk.run(work)


def type_code(text: str) -> str:
    """Return the code of a type that somebody wrote in words: `Justificatif de domicile`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_TYPE].strip("-")


def _document(request: Request, vault: Vault, space: Space, document_id: str, shown: Shown) -> Response:
    lang = language(request)
    view = vault.reading.describe(space.actor, document_id, "")
    if view.document.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    lines: list[JournalLine] = []
    if space.may(Action.JOURNAL):
        names = names_of(vault)
        found = vault.people.journal.lines.of_document(space.actor, document_id, Filters(), _LINES)
        lines = [described_line(line, names, space.actor, lang) for line in found]
    notes = vault.people.rights.notes.beside(document_id)
    told = findings(view.document, lang)
    address = f"{PLACE}/documents/{document_id}"
    return show(
        request,
        space,
        "space_document.html",
        replace(shown, address=address),
        view=view,
        told=told,
        lines=lines,
        notes=notes,
    )


def _list(
    request: Request,
    vault: Vault,
    space: Space,
    cursor: str | None,
    wanted: Wanted = EVERYTHING,
    said: Mapping[str, Any] | None = None,
    trouble: Trouble | None = None,
    status: int = 200,
) -> Response:
    listed = vault.reading.list(space.actor, space.safe_id, after_of(cursor), PAGE, wanted)
    title = "documents_of" if space.acts_for_other else "documents_own"
    kept = {name: value for name, value in (said or {}).items() if name != "key"}
    return show(
        request,
        space,
        "space_documents.html",
        Shown("documents", title, status, trouble, kept, PLACE),
        views=listed.items,
        counts=vault.people.safes.see(space.actor, space.safe_id).counts,
        labels=vault.people.labels.of_safe(space.actor, space.safe_id),
        looked=wanted != EVERYTHING,
        cursor=cursor,
        following=None if listed.next is None else str(listed.next),
    )


def _new_document(space: Space, fields: Mapping[str, str], part: Part) -> NewDocument:
    name = part.file_name or ""
    title = " ".join(unicodedata.normalize("NFC", fields.get("title", "")).split())
    return NewDocument(
        holder=space.holder,
        title=title or clean_file_name(name),
        file_name=name,
        document_type=type_code(fields.get("document_type", "")),
        declared_type=part.content_type,
    )


def _deposit_form(
    request: Request,
    vault: Vault,
    space: Space,
    asked: str,
    fields: Mapping[str, str],
    error: VaultError | None,
) -> Response:
    trouble, status = None, 200
    if error is not None:
        found = trouble_of(request, error)
        field = found.field if found.field in {"title", "document_type"} else "file"
        trouble, status = Trouble(found.title, found.action, field), status_of(error)
    types: tuple[str, ...] = ()
    if asked:
        types = _types_asked(vault, space, asked)
    said: dict[str, Any] = dict(fields)
    return show(
        request,
        space,
        "space_deposit.html",
        Shown("documents", "deposit_title", status, trouble, said, f"{PLACE}/depot"),
        asked=asked if types else "",
        types=types,
    )


def _types_asked(vault: Vault, space: Space, request_id: str) -> tuple[str, ...]:
    """Return what a request of the same safe asks for. Raises NotFound."""
    view = vault.people.tell_once.requests.see(space.actor, request_id)
    if view.request.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    return tuple(view.request.private["document_types"])
