"""The access journal: lines, proofs, exports; services and their purposes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from api.auth import Caller, demand_proof
from api.deps import Safe
from api.downloads import file_headers
from api.errors import wanted_language
from api.paging import Cursor, after_of, page_of, per_page
from api.v1.describe import BEARER, LOOK_PROBLEMS, OCTETS, problems
from api.v1.schemas_journal import (
    JournalLine,
    JournalPage,
    Named,
    PurposeAnswer,
    ServiceAnswer,
    ServiceList,
    Who,
    Why,
)
from api.v1.views import json_response
from vault.access import Action
from vault.authorization.assurance import Act
from vault.authorization.purposes import ServiceNames
from vault.domain.actors import Actor
from vault.errors import Conflict
from vault.evidence.journal_line import MEDIA_TYPE
from vault.files.fields import parse_instant
from vault.ids import looks_like_id
from vault.rights.journal_lines import Filters
from vault.rights.journal_rows import Line
from vault.rights.journal_words import agent_of, event_words, purpose_words, who_words
from vault.service import Vault

router = APIRouter(tags=["journal"])
Limit = Annotated[int, per_page("Lines")]
Since = Annotated[
    str | None,
    Query(alias="from", description="Lines at or after this time.", examples=["2026-01-15T00:00:00Z"]),
]
Until = Annotated[
    str | None, Query(alias="to", description="Lines before this time.", examples=["2026-02-15T00:00:00Z"])
]
OfDocument = Annotated[str | None, Query(description="Lines about this document.")]
Granted = Annotated[
    Literal["true", "false"] | None, Query(description="What was granted, or what was refused, alone.")
]


@router.get(
    "/v1/documents/{document_id}/journal",
    operation_id="listDocumentJournal",
    summary="Who read a document, or tried to, newest first",
    response_model=JournalPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def document_journal(
    request: Request,
    document_id: str,
    vault: Safe,
    actor: Caller,
    since: Since = None,
    until: Until = None,
    granted: Granted = None,
    cursor: Cursor = None,
    limit: Limit = 25,
) -> Response:
    """List the journal of a document."""
    filters = _filters(since, until, None, granted, cursor)
    found = vault.people.journal.lines.of_document(actor, document_id, filters, limit + 1)
    return _page(request, vault, actor, found, limit)


@router.get(
    "/v1/safes/{safe_id}/journal",
    operation_id="listSafeJournal",
    summary="Everything that happened in a safe, newest first",
    response_model=JournalPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def safe_journal(
    request: Request,
    safe_id: str,
    vault: Safe,
    actor: Caller,
    since: Since = None,
    until: Until = None,
    document: OfDocument = None,
    granted: Granted = None,
    cursor: Cursor = None,
    limit: Limit = 25,
) -> Response:
    """List the journal of a safe."""
    filters = _filters(since, until, document, granted, cursor)
    found = vault.people.journal.lines.of_safe(actor, safe_id, filters, limit + 1)
    return _page(request, vault, actor, found, limit)


@router.get(
    "/v1/safes/{safe_id}/journal.{form}",
    operation_id="exportJournal",
    summary="The journal of a safe as a file: CSV, JSON lines, or sealed PDF",
    description="The export is itself a line of the journal, and the newest line in it. Cells of the CSV that a "
    "spreadsheet would take for formulas begin with an apostrophe.",
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": OCTETS}},
        **problems(*LOOK_PROBLEMS, "STEP_UP_REQUIRED", "LEDGER_UNAVAILABLE", "TSA_UNAVAILABLE"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def export_journal(
    request: Request,
    safe_id: str,
    form: Literal["csv", "json", "pdf"],
    vault: Safe,
    actor: Caller,
    since: Since = None,
    until: Until = None,
    document: OfDocument = None,
    granted: Granted = None,
) -> Response:
    """Export the journal of a safe."""
    demand_proof(request, actor, Action.EXPORT, safe_id, Act.EXPORT)
    filters = _filters(since, until, document, granted, None)
    file = vault.people.journal.exports.export(actor, safe_id, form, filters)
    headers = {**file_headers(file.media_type, file.name), "Probans-Entry": str(file.seq)}
    return StreamingResponse(file.chunks, headers=headers)


@router.get(
    "/v1/journal/{entry}/proof",
    operation_id="downloadLineProof",
    summary="The proof of one line, verified offline by `probans verify`",
    description="One JSON file (`probans/journal-line/v1`). With `key=true` it holds the key of the entry's tags "
    "too: who has it can find every entry of that chain in the public ledger, so think before passing it on.",
    responses={
        200: {"description": "The proof.", "content": {MEDIA_TYPE: OCTETS}},
        **problems(*LOOK_PROBLEMS, "RECEIPT_PENDING", "DOCUMENT_DESTROYED", "STORAGE_UNAVAILABLE"),
    },
    openapi_extra={"security": BEARER},
    response_class=Response,
)
def line_proof(
    entry: int,
    vault: Safe,
    actor: Caller,
    key: Annotated[Literal["true", "false"], Query(description="Put the key of the tags in.")] = "false",
    wait: Annotated[
        float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait at most; capped.", examples=[2])
    ] = 0.0,
) -> Response:
    """Download the proof of a line."""
    proof = vault.people.journal.proofs.proof(actor, entry, with_key=key == "true", wait=wait)
    if proof is None:
        raise Conflict("RECEIPT_PENDING")
    headers = file_headers(MEDIA_TYPE, f"journal-{entry}.json")
    return Response(proof, headers=headers)


@router.get(
    "/v1/administrations/{administration_id}/services",
    operation_id="listServices",
    summary="The services of an administration, and for which purposes each may read",
    response_model=ServiceList,
    responses=problems("FIELD_INVALID", "DATABASE_UNAVAILABLE"),
)
def list_services(administration_id: str, vault: Safe) -> Response:
    """List the services of an administration."""
    services = vault.people.journal.purposes.all(administration_id)
    return json_response(
        ServiceList(
            items=[
                ServiceAnswer(
                    service=each.id,
                    name_fr=each.fr,
                    name_en=each.en,
                    purposes=[PurposeAnswer(code=one.code, fr=one.fr, en=one.en) for one in each.purposes],
                )
                for each in services
            ]
        ).model_dump()
    )


def described_line(line: Line, names: ServiceNames, viewer: Actor, lang: str) -> JournalLine:
    """Return a line as one caller sees it."""
    column = 1 if lang == "en" else 0
    purpose = purpose_words(line, names)[column]
    return JournalLine(
        entry=line.seq,
        time=line.time,
        event=line.event,
        what=event_words(line)[column],
        granted=line.granted,
        state=line.state,
        who=Who(
            role=line.role,
            label=who_words(line, names, viewer)[column],
            you=bool(line.actor) and (viewer.id, viewer.role.value) == (line.actor, line.role),
            organisation=Named(id=line.organisation, name=names.administration(line.organisation))
            if line.organisation
            else None,
            service=Named(id=line.service, name=names.service(line.organisation, line.service)[column])
            if line.service
            else None,
            agent=agent_of(line) or None,
        ),
        action=line.action,
        purpose=Why(code=line.purpose, label=purpose, words=line.words)
        if line.purpose or line.words
        else None,
        document=line.document_id,
        title=line.title or None,
        matter=line.matter_id,
        case=line.case or None,
        consent=line.consent or None,
        mandate=line.mandate or None,
        share=line.share or None,
        recipient=line.recipient or None,
        requisition=line.requisition or None,
        proof=f"/v1/journal/{line.seq}/proof",
    )


def names_of(vault: Vault) -> ServiceNames:
    """Return the names that lines are told with."""
    with vault.parts.database.reading() as connection:
        return ServiceNames(connection)


def _filters(
    since: str | None, until: str | None, document: str | None, granted: str | None, cursor: str | None
) -> Filters:
    return Filters(
        since=_instant("from", since),
        until=_instant("to", until),
        # Of an identifier that cannot be one there are no lines; it is not told apart from another's.
        document_id=document if document is None or looks_like_id(document, "doc") else "",
        granted=None if granted is None else granted == "true",
        before=after_of(cursor),
    )


def _instant(field: str, value: str | None) -> datetime | None:
    return None if value is None else parse_instant(field, value)


def _page(request: Request, vault: Vault, actor: Actor, found: Sequence[Line], limit: int) -> Response:
    lang = wanted_language(request.headers.get("Accept-Language"))
    items, following = page_of(found, limit, lambda line: line.seq)
    names = names_of(vault)
    body = {
        "items": [described_line(line, names, actor, lang).model_dump() for line in items],
        "next": following,
    }
    return json_response(body, headers={"Content-Language": lang, "Vary": "Accept-Language"})
