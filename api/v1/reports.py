"""Reports of accesses: a holder asks, the data-protection officer answers."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.errors import wanted_language
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, keyed, problems
from api.v1.journal import described_line, names_of
from api.v1.schemas_journal import Exchange, ReportAnswer, ReportPage, ReportReceipt, ReportRequest
from api.v1.views import json_response, step_taken
from vault.authorization.purposes import ServiceNames
from vault.clock import rfc3339
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.rights.reports import Report

router = APIRouter(tags=["journal"])
_WRITE = (*WRITE_PROBLEMS, "STATE_CONFLICT")
_BODY = (*JSON_PROBLEMS, "REPORT_FULL")
_EXAMPLE = {"words": "Je n’ai fait aucune demande à ce service ce jour-là."}
_taken = partial(
    router.post, response_model=ReportReceipt, responses=problems(*_WRITE), openapi_extra=keyed()
)
_said = partial(router.post, response_model=ReportReceipt, openapi_extra=keyed(ReportRequest, _EXAMPLE))


@_said(
    "/v1/journal/{entry}/report",
    operation_id="reportAccess",
    summary="Report an access to the data-protection officer",
    status_code=201,
    responses=problems(*_WRITE, *_BODY, "REPORT_EXISTS"),
)
def report_access(request: Request, entry: int, vault: Safe, actor: Caller, key: Key) -> Response:
    """Report a line."""
    return _receipt(vault.people.journal.reports.open(actor, entry, _words(request, vault), key))


@router.get(
    "/v1/reports",
    operation_id="listReports",
    summary="Reports, newest first: all for the officer, those of one's own safe for a holder",
    response_model=ReportPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_reports(
    request: Request,
    vault: Safe,
    actor: Caller,
    cursor: Cursor = None,
    limit: Annotated[int, per_page("Reports")] = 25,
) -> Response:
    """List reports."""
    lang, names = wanted_language(request.headers.get("Accept-Language")), names_of(vault)
    found = vault.people.journal.reports.all(actor, after_of(cursor), limit + 1)
    items, following = page_of(found, limit, lambda report: report.matter.first_seq)
    body = {"items": [_described(each, names, actor, lang) for each in items], "next": following}
    return json_response(body, headers={"Content-Language": lang, "Vary": "Accept-Language"})


@router.get(
    "/v1/reports/{report_id}",
    operation_id="describeReport",
    summary="A report with the line it is about and what was written",
    response_model=ReportAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_report(request: Request, report_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a report."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    report = vault.people.journal.reports.see(actor, report_id)
    body = _described(report, names_of(vault), actor, lang)
    return json_response(body, headers={"Content-Language": lang, "Vary": "Accept-Language"})


@_taken(
    "/v1/reports/{report_id}/taking",
    operation_id="takeReport",
    summary="Take a report in hand",
)
def take_report(report_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Take a report in hand."""
    return _receipt(vault.people.journal.reports.take(actor, report_id, key))


@_said(
    "/v1/reports/{report_id}/answer",
    operation_id="answerReport",
    summary="Answer a report",
    responses=problems(*_WRITE, *_BODY),
)
def answer_report(request: Request, report_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Answer a report."""
    return _receipt(vault.people.journal.reports.answer(actor, report_id, _words(request, vault), key))


@_said(
    "/v1/reports/{report_id}/reopening",
    operation_id="reopenReport",
    summary="Say that an answer is not enough",
    responses=problems(*_WRITE, *_BODY),
)
def reopen_report(request: Request, report_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Reopen a report."""
    return _receipt(vault.people.journal.reports.reopen(actor, report_id, _words(request, vault), key))


@_taken(
    "/v1/reports/{report_id}/closing",
    operation_id="closeReport",
    summary="Say that an answer is enough",
)
def close_report(report_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Close a report."""
    return _receipt(vault.people.journal.reports.close(actor, report_id, key))


def _words(request: Request, vault: Safe) -> str:
    return parse_as(ReportRequest, read_small_body(request, vault.settings.max_json_bytes)).words


def _receipt(outcome: Outcome) -> Response:
    return step_taken(outcome, "/v1/reports", ReportReceipt)


def _described(report: Report, names: ServiceNames, actor: Actor, lang: str) -> dict[str, Any]:
    matter = report.matter
    return ReportAnswer(
        id=matter.id,
        state=matter.state,
        safe=matter.safe_id or "",
        created_at=rfc3339(matter.created_at),
        line=described_line(report.line, names, actor, lang),
        exchanges=[Exchange.model_validate(each) for each in matter.private["exchanges"]],
        entry=matter.first_seq,
        last_entry=matter.last_seq,
    ).model_dump()
