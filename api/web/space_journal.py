"""Who looked, when and why: the lines of a safe's journal, their proofs, files of it, and reports of a line."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.deps import Safe
from api.downloads import file_headers
from api.paging import after_of, page_of
from api.v1.journal import described_line, names_of
from api.v1.schemas_journal import JournalLine
from api.web.rendering import language
from api.web.space import (
    PAGE,
    PLACE,
    Shown,
    Space,
    end_of_day,
    enter,
    gone_to,
    number_of,
    posted,
    refused,
    show,
    shown_again,
    start_of_day,
)
from vault.access import Action
from vault.authorization.assurance import Act
from vault.errors import Conflict, NotFound, Refused, VaultError
from vault.evidence.journal_line import MEDIA_TYPE
from vault.ids import looks_like_id
from vault.rights.journal_lines import Filters
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_GRANTED = {"accordes": True, "refuses": False}
_PROOF_WAIT = 3.0


@router.get("/espace/journal")
def journal(
    request: Request,
    vault: Safe,
    du: str = "",
    au: str = "",
    acces: str = "",
    document: str = "",
    cursor: str | None = None,
) -> Response:
    """Show the journal of the safe."""
    space = enter(request, vault, Action.JOURNAL)
    said = {"du": du, "au": au, "acces": acces, "document": document}
    trouble, status = None, 200
    try:
        filters = _filters(said)
    except Refused as error:
        field = str(error.params["field"])
        trouble, status, filters = refused(request, field, "wrong_day"), 422, Filters()
    wanted = replace(filters, before=after_of(cursor))
    found = vault.people.journal.lines.of_safe(space.actor, space.safe_id, wanted, PAGE + 1)
    items, following = page_of(found, PAGE, lambda line: line.seq)
    names, lang = names_of(vault), language(request)
    chosen = {name: value for name, value in said.items() if value}
    query = f"?{urlencode(chosen)}" if chosen else ""
    return show(
        request,
        space,
        "space_journal.html",
        Shown("journal", "journal_title", status, trouble, said),
        lines=[described_line(line, names, space.actor, lang) for line in items],
        place=f"{PLACE}/journal{query}",
        query=query,
        cursor=cursor,
        following=following,
    )


@router.get("/espace/journal/fichier/{form}")
def journal_file(
    request: Request,
    form: Literal["csv", "json", "pdf"],
    vault: Safe,
    du: str = "",
    au: str = "",
    acces: str = "",
    document: str = "",
) -> Response:
    """Download the journal; the export is itself a line of it."""
    space = enter(request, vault, Action.EXPORT)
    vault.people.login.assurance.demand(space.actor, Act.EXPORT)
    filters = _filters({"du": du, "au": au, "acces": acces, "document": document})
    file = vault.people.journal.exports.export(space.actor, space.safe_id, form, filters)
    headers = file_headers(file.media_type, file.name)
    return StreamingResponse(file.chunks, headers=headers)


@router.get("/espace/journal/{entry}/preuve")
def proof(request: Request, entry: str, vault: Safe) -> Response:
    """Download the proof of one line."""
    space = enter(request, vault, Action.JOURNAL_PROOF)
    seq = number_of(entry)
    octets = vault.people.journal.proofs.proof(space.actor, seq, with_key=False, wait=_PROOF_WAIT)
    if octets is None:
        raise Conflict("RECEIPT_PENDING")
    headers = file_headers(MEDIA_TYPE, f"journal-{seq}.json")
    return Response(octets, headers=headers)


@router.get("/espace/journal/{entry}/signaler")
def report_form(request: Request, entry: str, vault: Safe) -> Response:
    """Offer to report one line to the data-protection officer."""
    space = enter(request, vault, Action.REPORT_MAKE)
    return _report_form(request, vault, space, number_of(entry), Shown("journal", "report_title"))


@router.post("/espace/journal/{entry}/signaler")
def report(request: Request, entry: str, vault: Safe) -> Response:
    """Report a line."""
    space, fields = posted(request, vault, Action.REPORT_MAKE)
    seq = number_of(entry)
    try:
        outcome = vault.people.journal.reports.open(space.actor, seq, fields.text("words"), fields.one("key"))
    except VaultError as error:
        shown = shown_again(request, error, "journal", "report_title", fields.kept())
        return _report_form(request, vault, space, seq, shown)
    return gone_to(f"{PLACE}/signalements/{outcome.document_id}", "signale")


@router.get("/espace/signalements")
def reports(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List one's reports."""
    space = enter(request, vault, Action.REPORT_SEE)
    found = vault.people.journal.reports.all(space.actor, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda each: each.matter.first_seq)
    names, lang = names_of(vault), language(request)
    return show(
        request,
        space,
        "space_reports.html",
        Shown("journal", "reports_title"),
        reports=[(each.matter, described_line(each.line, names, space.actor, lang)) for each in items],
        cursor=cursor,
        following=following,
    )


@router.get("/espace/signalements/{report_id}")
def one_report(request: Request, report_id: str, vault: Safe) -> Response:
    """Show a report, what was answered, and what one can do next."""
    space = enter(request, vault, Action.REPORT_SEE)
    return _report(request, vault, space, report_id, Shown("journal", "report_one"))


@router.post("/espace/signalements/{report_id}")
def move_report(request: Request, report_id: str, vault: Safe) -> Response:
    """Say that an answer is enough, or why it is not."""
    space, fields = posted(request, vault, Action.REPORT_MAKE)
    reports, key = vault.people.journal.reports, fields.one("key")
    try:
        if fields.one("verdict") == "enough":
            reports.close(space.actor, report_id, key)
        else:
            reports.reopen(space.actor, report_id, fields.text("words"), key)
    except VaultError as error:
        shown = shown_again(request, error, "journal", "report_one", fields.kept())
        return _report(request, vault, space, report_id, shown)
    return gone_to(f"{PLACE}/signalements/{report_id}", "reponse")


def _report(request: Request, vault: Vault, space: Space, report_id: str, shown: Shown) -> Response:
    found = vault.people.journal.reports.see(space.actor, report_id)
    if found.matter.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    line = described_line(found.line, names_of(vault), space.actor, language(request))
    return show(request, space, "space_report.html", shown, report=found.matter, line_of=line)


def _report_form(request: Request, vault: Vault, space: Space, seq: int, shown: Shown) -> Response:
    line = _line(request, vault, space, seq)
    return show(request, space, "space_report_form.html", shown, line_of=line)


def _line(request: Request, vault: Vault, space: Space, seq: int) -> JournalLine:
    """Return one line of the safe's journal, to who may report it. Raises NotFound."""
    with vault.parts.database.reading() as connection:
        found = vault.people.journal.lines.find(connection, space.actor, seq, Action.REPORT_MAKE)
    if found.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    return described_line(found.line, names_of(vault), space.actor, language(request))


def _filters(said: dict[str, str]) -> Filters:
    document = said["document"]
    return Filters(
        since=start_of_day("du", said["du"]) if said["du"] else None,
        until=end_of_day("au", said["au"]) if said["au"] else None,
        document_id=None if not document else document if looks_like_id(document, "doc") else "",
        granted=_GRANTED.get(said["acces"]),
    )
