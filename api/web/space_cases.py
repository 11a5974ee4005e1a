"""Where is my request: one's cases, each with its timeline."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.deps import Safe
from api.paging import after_of, page_of
from api.v1.journal import names_of
from api.web.space import PAGE, Shown, enter, show
from vault.access import Action
from vault.errors import NotFound

router = APIRouter(include_in_schema=False)


@router.get("/espace/demarches")
def cases(request: Request, vault: Safe, cursor: str | None = None) -> Response:
    """List one's cases."""
    space = enter(request, vault, Action.CASE_SEE)
    found = vault.people.cases.of_safe(space.actor, space.safe_id, after_of(cursor), PAGE + 1)
    items, following = page_of(found, PAGE, lambda case: case.first_seq)
    return show(
        request,
        space,
        "space_cases.html",
        Shown("cases", "cases_title"),
        cases=items,
        names=names_of(vault),
        cursor=cursor,
        following=following,
    )


@router.get("/espace/demarches/{case_id}")
def case(request: Request, case_id: str, vault: Safe) -> Response:
    """Show where a case is, who holds it, what comes next, and its documents."""
    space = enter(request, vault, Action.CASE_SEE)
    found = vault.people.cases.see(space.actor, case_id)
    if found.safe_id != space.safe_id:
        raise NotFound("NOT_FOUND")
    return show(
        request,
        space,
        "space_case.html",
        Shown("cases", "case_one"),
        case=found,
        names=names_of(vault),
        now=vault.parts.clock.now(),
    )
