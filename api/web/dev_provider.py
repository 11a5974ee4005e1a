"""The embedded development provider over HTTP: discovery, keys, the page to choose somebody, tokens, logout.

Mounted only where no provider is configured, which production refuses; answers only to this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.deps import single_header
from api.security import is_loopback
from api.web.forms import small_form
from api.web.rendering import FORM_FIELD, check_form, language, page
from identity.base import ASSURANCES
from identity.embedded import PATH, Asked, EmbeddedProvider
from identity.errors import LoginRefused
from vault.errors import NotFound, Refused

_WORDS = {
    "fr": {
        "title": "Identité de développement",
        "hint": "Ces personnes sont fictives et rien n’est vérifié : ce fournisseur n’existe que sur cette machine.",
        "level": "Niveau de garantie",
        "low": "faible",
        "substantial": "substantiel",
        "high": "élevé",
        "choose": "Choisir une personne",
        "leave": "Refuser",
    },
    "en": {
        "title": "Development identity",
        "hint": "These people are made up and nothing is checked: this provider exists on this machine only.",
        "level": "Level of assurance",
        "low": "low",
        "substantial": "substantial",
        "high": "high",
        "choose": "Choose somebody",
        "leave": "Refuse",
    },
}


def install(app: FastAPI, provider: EmbeddedProvider) -> None:
    """Add the provider to the application."""
    app.state.dev_provider = provider
    app.include_router(router)


def _from_here(request: Request) -> None:
    """Answer this machine alone, as if there were nothing for others. Raises NotFound(NOT_FOUND)."""
    if request.client is None or not is_loopback(request.client.host):
        raise NotFound("NOT_FOUND")


def _provider(request: Request) -> EmbeddedProvider:
    provider: EmbeddedProvider = request.app.state.dev_provider
    return provider


router = APIRouter(prefix=PATH, include_in_schema=False, dependencies=[Depends(_from_here)])
Provider = Annotated[EmbeddedProvider, Depends(_provider)]


@router.get("/.well-known/openid-configuration")
def description(request: Request, provider: Provider) -> Response:
    """Describe the provider (OpenID Connect Discovery 1.0)."""
    return JSONResponse(provider.metadata(_origin(request)))


@router.get("/jwks")
def keys(provider: Provider) -> Response:
    """Return the public key as a JWK set."""
    return JSONResponse(provider.jwks(), media_type="application/jwk-set+json")


@router.get("/authorize")
def authorize(request: Request, provider: Provider) -> Response:
    """Show the made-up people to choose from."""
    parameters = dict(request.query_params)
    asked = _checked(request, provider, parameters)
    return page(
        request,
        "dev_provider.html",
        said=_WORDS[language(request)],
        action=f"{PATH}/authorize",
        asked=urlencode(parameters),
        assurance=asked.assurance,
        levels=ASSURANCES,
        people=provider.personas,
    )


@router.post("/authorize")
def chosen(request: Request, provider: Provider) -> Response:
    """Send the browser back with the answer."""
    fields = small_form(request)
    check_form(request, fields.get(FORM_FIELD, ""))
    try:
        parameters = dict(parse_qsl(fields.get("asked", ""), keep_blank_values=True, max_num_fields=32))
        asked = _checked(request, provider, parameters)
        to = provider.answer(_origin(request), asked, fields.get("persona", ""), fields.get("assurance", ""))
    except (LoginRefused, ValueError):
        raise Refused("BODY_INVALID") from None
    return RedirectResponse(to, 303)


@router.post("/token")
def token(request: Request, provider: Provider) -> Response:
    """Redeem a code (RFC 6749, 4.1.3)."""
    authorization = single_header(request, "Authorization") or ""
    status, answer = provider.token(_origin(request), authorization, small_form(request))
    return JSONResponse(answer, status)


@router.get("/logout")
def logout(request: Request, provider: Provider) -> Response:
    """Go back after a logout (RP-Initiated Logout 1.0); this provider has no session to end."""
    return RedirectResponse(provider.after_logout(_origin(request), dict(request.query_params)), 303)


def _checked(request: Request, provider: EmbeddedProvider, parameters: Mapping[str, Any]) -> Asked:
    try:
        return provider.check(_origin(request), parameters)
    except LoginRefused:
        raise Refused("BODY_INVALID") from None


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
