"""Templates, language, cookies and form tokens of the pages."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.browser import (
    SAFE_METHODS,
    acting_session,
    check_token,
    form_token_of,
    here,
    is_form_checked,
    session_of,
)
from api.deps import get_vault
from api.errors import Problem
from api.web.words import LANGUAGES, WORDS
from vault.domain.actors import ANONYMOUS, Actor, Role
from vault.errors import Unauthenticated
from vault.messages.catalogue import message, readable_size

HERE = Path(__file__).parent
STATIC = HERE / "static"
LANGUAGE_COOKIE = "probans_lang"
FORM_COOKIE = "probans_form"
FORM_FIELD = "form_token"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_MONTHS = {
    "fr": (
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def _asset_versions() -> dict[str, str]:
    files = [file for file in STATIC.iterdir() if file.is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files}


_VERSIONS = _asset_versions()


def asset(name: str) -> str:
    """Return the address of an own static file; it changes with the content, so that browsers may keep it."""
    return f"/static/{name}?v={_VERSIONS[name]}"


def language(request: Request) -> str:
    """Return the language chosen by the reader, French when none was."""
    chosen = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    return chosen if chosen in LANGUAGES else "fr"


def words(lang: str) -> Callable[..., str]:
    """Return the function that looks words up in one language."""
    column = LANGUAGES.index(lang)

    def say(key: str, **params: object) -> str:
        text = WORDS[key][column]
        return text.format_map(params) if params else text

    return say


def human_time(moment: datetime, lang: str) -> str:
    """Write an instant for people: `22 novembre 2026 à 05:43:13 UTC`."""
    moment = moment.astimezone(UTC)
    month = _MONTHS[lang][moment.month - 1]
    day = "1er" if lang == "fr" and moment.day == 1 else str(moment.day)
    joint = "à" if lang == "fr" else "at"
    return f"{day}\u00a0{month} {moment.year} {joint} {moment:%H:%M:%S}\u00a0UTC"


def human_day(moment: datetime, lang: str) -> str:
    """Write the day of an instant for people: `22 novembre 2026`, UTC."""
    return human_time(moment, lang).rsplit(" à " if lang == "fr" else " at ", 1)[0]


def human_times(text: str, lang: str) -> str:
    """Replace RFC 3339 instants in a text by times for people."""

    def replace(match: re.Match[str]) -> str:
        try:
            return human_time(datetime.fromisoformat(match[0]), lang)
        except ValueError:
            return match[0]

    return _INSTANT.sub(replace, text)


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def reader(request: Request) -> Actor:
    """Return who asks for this: the person of the session.

    A request that changes something is nobody's until its form token was checked.
    """
    if request.method not in SAFE_METHODS and not is_form_checked(request):
        return ANONYMOUS
    session = acting_session(request)
    return session.actor if session is not None else ANONYMOUS


def known_reader(request: Request) -> Actor:
    """Return who asks for this. Raises Unauthenticated for nobody in particular, whom pages lead to the login."""
    actor = reader(request)
    if actor.role is Role.ANONYMOUS:
        raise Unauthenticated("UNAUTHENTICATED")
    return actor


def viewer(request: Request) -> Actor:
    """Return whom a page is shown to, whatever was asked for: nobody else sees the answer."""
    session = session_of(request)
    return session.actor if session is not None else ANONYMOUS


def form_token(request: Request) -> str:
    """Return the token of this browser's forms: the session's, or before a login one of the browser's own."""
    token = form_token_of(request)
    if token is not None:
        return token
    token = request.cookies.get(FORM_COOKIE, "")
    return token if _TOKEN.fullmatch(token) else secrets.token_urlsafe(32)


def check_form(request: Request, given: str) -> None:
    """Demand that a form comes from one of our pages in this browser. Raises Refused(FORM_EXPIRED)."""
    held = form_token_of(request)
    if held is None:
        held = request.cookies.get(FORM_COOKIE, "")
        held = held if _TOKEN.fullmatch(held) else ""
    check_token(request, held, given)


def page(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """Render a template with what every page needs."""
    lang = language(request)
    token = form_token(request)
    say = words(lang)
    html = _environment.get_template(template).render(
        t=say,
        lang=lang,
        other_lang="en" if lang == "fr" else "fr",
        asset=asset,
        form_field=FORM_FIELD,
        form_token=token,
        reader=viewer(request),
        logged_in=session_of(request) is not None,
        when=lambda moment: human_time(moment, lang),
        times=lambda text: human_times(text, lang),
        size=lambda octets: readable_size(octets, english=lang == "en"),
        limit=readable_size(get_vault(request).settings.max_upload_bytes, english=lang == "en"),
        **context,
    )
    response = HTMLResponse(html, status, {"Content-Language": lang})
    if session_of(request) is None:
        set_cookie(response, FORM_COOKIE, token)
    if request.query_params.get("lang") in LANGUAGES:
        # Not strict: who comes back from a provider is still to be met in the language chosen before.
        response.set_cookie(LANGUAGE_COOKIE, lang, httponly=True, samesite="lax", path="/")
    return response


def set_cookie(response: Response, name: str, value: str) -> None:
    """Set a cookie for this session and site only."""
    response.set_cookie(name, value, httponly=True, samesite="strict", path="/")


def login_address(back: str) -> str:
    """Return the address of the login page that leads back to a local path."""
    return f"/connexion?{urlencode({'retour': back})}"


def problem_page(request: Request, problem: Problem) -> Response:
    """Show an error as a page, with the words of its code; lead to the proof of identity that an act demands."""
    if problem.code == "STEP_UP_REQUIRED" and session_of(request) is not None:
        asked = {
            "niveau": problem.params["level"],
            "minutes": problem.params["minutes"],
            "retour": getattr(request.state, "back", here(request)),
        }
        return RedirectResponse(f"{problem.params['place']}?{urlencode(asked)}", 303)
    if problem.code == "MANDATE_OVER":
        return RedirectResponse("/espace/mandats?fait=mandat-fini", 303)
    if problem.code in {"UNAUTHENTICATED", "SESSION_ENDED"} and request.method in SAFE_METHODS:
        return RedirectResponse(login_address(here(request)), 303)
    said = message(problem.code, language(request), **problem.params)
    answer = page(request, "problem.html", problem.status, said=said, request_id=request.state.request_id)
    for name, value in problem.headers.items():
        answer.headers[name] = value
    return answer
