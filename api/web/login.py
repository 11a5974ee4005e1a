"""Logging in at an identity provider, and logging out: here, or because the provider says so.

The page that leads to a provider is left by a link or a refresh, never by a form: browsers apply `form-action` to what
a form is redirected to, and it stays `'self'`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.browser import (
    acting_session,
    drop_private_cookie,
    local_path,
    login_cookie,
    login_value,
    only_once,
    own_origin,
    session_cookie,
    session_of,
    session_value,
    set_private_cookie,
)
from api.deps import Desk, Safe
from api.rates import limited
from api.uploads import media_type, read_small_body
from api.web.forms import small_form
from api.web.rendering import FORM_FIELD, check_form, language, page, words
from vault.errors import Refused
from vault.people.logins import Begun
from vault.service import Vault

router = APIRouter(include_in_schema=False)
_BINDING_SECONDS = 600
_MAX_TOKEN = 16_384


class Offered(NamedTuple):
    """A provider as pages show it."""

    name: str
    label: str


def offered(vault: Vault, lang: str) -> list[Offered]:
    """Return the providers in the order of the configuration."""
    configs = (each.config for each in vault.people.login.logins.providers.values())
    return [
        Offered(each.name, (each.label_en if lang == "en" else each.label_fr) or each.name)
        for each in configs
    ]


def redirect_uri(request: Request, provider: str) -> str:
    """Return our address for a provider's answer."""
    return f"{own_origin(request)}/connexion/retour/{provider}"


def leave_for(request: Request, vault: Vault, provider: str, begun: Begun) -> Response:
    """Lead to a provider, the browser bound to the login that begins."""
    say, lang = words(language(request)), language(request)
    label = dict(offered(vault, lang))[provider]
    response = page(
        request,
        "leaving.html",
        title=say("leaving_title", provider=label),
        text=say("leaving_text"),
        link=say("leaving_link", provider=label),
        address=begun.url,
    )
    name = login_cookie(vault.settings, begun.tag)
    set_private_cookie(response, vault.settings, name, begun.browser, _BINDING_SECONDS)
    return response


@router.get("/connexion")
def choose(request: Request, vault: Safe, retour: str = "/") -> Response:
    """Offer the providers, and say which other way there is."""
    return page(request, "login.html", providers=offered(vault, language(request)), back=local_path(retour))


@router.post("/connexion/{provider}", dependencies=[limited("logins")])
async def begin(request: Request, provider: str, vault: Safe, desk: Desk) -> Response:
    """Begin a login."""

    def work() -> Response:
        """Run in the thread."""
        fields = small_form(request)
        check_form(request, fields.get(FORM_FIELD, ""))
        back = local_path(fields.get("retour", "/"))
        begun = vault.people.login.logins.begin(
            provider, redirect_uri(request, provider), back, language(request)
        )
        return leave_for(request, vault, provider, begun)

    return await desk.run(work)


@router.get("/connexion/retour/{provider}", dependencies=[limited("logins")])
def come_back(request: Request, provider: str, vault: Safe) -> Response:
    """Take the provider's answer; the session's cookie has a new value from now on."""
    logins, settings = vault.people.login.logins, vault.settings
    parameters = only_once(request)
    tag = logins.tag(parameters.get("state", ""))
    done = logins.answer(
        provider,
        parameters,
        redirect_uri(request, provider),
        browser=login_value(request, tag),
        session_value=session_value(request),
        device=request.headers.get("User-Agent", ""),
    )
    response = RedirectResponse(done.back, 303)
    set_private_cookie(response, settings, session_cookie(settings), done.session)
    drop_private_cookie(response, settings, login_cookie(settings, tag))
    return response


@router.post("/deconnexion")
async def log_out(request: Request, vault: Safe, desk: Desk) -> Response:
    """End the session, then offer to end the provider's."""

    def work() -> Response:
        """Run in the thread."""
        check_form(request, small_form(request).get(FORM_FIELD, ""))
        session = acting_session(request)
        address = None
        if session is not None:
            vault.people.login.sessions.end(session_value(request))
            request.state.session = None
            address = vault.people.login.logins.leave(session, f"{own_origin(request)}/deconnexion")
        response: Response = RedirectResponse("/deconnexion", 303)
        if session is not None and address is not None:
            lang = language(request)
            say, label = words(lang), dict(offered(vault, lang)).get(session.provider, session.provider)
            response = page(
                request,
                "leaving.html",
                title=say("parting_title"),
                text=say("parting_text", provider=label),
                link=say("parting_link", provider=label),
                address=address,
            )
        drop_private_cookie(response, vault.settings, session_cookie(vault.settings))
        return response

    return await desk.run(work)


@router.get("/deconnexion")
def left(request: Request) -> Response:
    """Say that the session has ended; one that lives is shown instead, since nothing was asked for."""
    if session_of(request) is not None:
        return RedirectResponse("/acces", 303)
    return page(request, "left.html")


@router.post("/connexion/{provider}/back-channel", dependencies=[limited("logins")])
async def told_to_log_out(request: Request, provider: str, vault: Safe, desk: Desk) -> Response:
    """Take a provider's logout message (OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8)."""

    def work() -> Response:
        """Run in the thread."""
        if media_type(request.headers.get("Content-Type")) != "application/x-www-form-urlencoded":
            raise Refused("UNSUPPORTED_MEDIA_TYPE")
        vault.people.login.logins.ended_elsewhere(
            provider, _logout_token(read_small_body(request, _MAX_TOKEN))
        )
        return Response(status_code=200)

    return await desk.run(work)


@router.get("/connexion/{provider}/front-channel", dependencies=[limited("logins")])
def shown_to_log_out(request: Request, provider: str, vault: Safe) -> Response:
    """Take a provider's logout through the browser (OpenID Connect Front-Channel Logout 1.0).

    The provider shows it in a frame, where our cookies do not come along: the session it names ends.
    """
    logins = vault.people.login.logins
    try:
        logins.ended_in_front(provider, only_once(request))
    except Refused as error:
        raise Refused("LOGOUT_REFUSED", error.detail) from error
    issuer = urlsplit(logins.providers[provider].config.issuer)
    framed = f"default-src 'none'; frame-ancestors {issuer.scheme}://{issuer.netloc}"
    return Response(status_code=200, headers={"Content-Security-Policy": framed})


def _logout_token(body: bytes) -> str:
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
    except ValueError:
        raise Refused("LOGOUT_REFUSED", "not a form") from None
    tokens = [value for name, value in pairs if name == "logout_token"]
    if len(tokens) != 1:
        raise Refused("LOGOUT_REFUSED", "one logout_token is expected")
    return tokens[0]
