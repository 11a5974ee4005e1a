"""The token endpoint: access tokens for systems (OAuth 2.0 client credentials, RFC 6749 section 4.4).

A system proves itself with a JWT signed by its own key (RFC 7523) or with a client certificate that a trusted proxy
has checked (RFC 8705). There are no shared secrets. Errors have the form of RFC 6749 section 5.2; whatever is wrong
with a proof, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from api.deps import Safe
from api.peers import get_peers
from api.rates import limited
from api.uploads import media_type, read_small_body
from api.v1.describe import problems
from api.v1.schemas import TokenAnswer, TokenProblem, TokenRequest
from api.v1.views import json_response
from vault.domain.systems import Grant
from vault.errors import Refused, Unauthenticated, VaultError
from vault.service import Vault

router = APIRouter(tags=["systems"])
ADDRESS = "/v1/token"
_FORM = "application/x-www-form-urlencoded"
_MAX_FORM = 16_384
_MAX_FIELDS = 32
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASKED = ("grant_type", "client_assertion_type", "client_assertion", "client_id", "scope")
_UNREADABLE = ("invalid_request", "a form of at most 16 kB with grant_type, no parameter twice")
# Other failures are not about the request, and leave as everywhere.
_PROBLEMS = {
    "CLIENT_REFUSED": ("invalid_client", "the client has not proven who it is"),
    "SCOPE_REFUSED": ("invalid_scope", "the client is not registered for all of these scopes"),
    "GRANT_REFUSED": ("unsupported_grant_type", "client_credentials is the only one"),
    **dict.fromkeys(
        (
            *(
                "BODY_INVALID",
                "ENCODING_INVALID",
                "FIELD_INVALID",
                "JSON_TOO_LARGE",
                "UNSUPPORTED_MEDIA_TYPE",
            ),
            *("DIGEST_MALFORMED", "DIGEST_MISMATCH"),
        ),
        _UNREADABLE,
    ),
}
_PROBLEM_SCHEMA = {"schema": {"$ref": f"#/components/schemas/{TokenProblem.__name__}"}}


def _answers() -> dict[int | str, dict[str, Any]]:
    described = problems(
        "CLIENT_REFUSED", "SCOPE_REFUSED", "RATE_LIMITED", "REQUEST_TIMEOUT", "DATABASE_UNAVAILABLE"
    )
    for status in (400, 401):
        described[status]["content"]["application/json"] = _PROBLEM_SCHEMA
    return described


@router.post(
    ADDRESS,
    operation_id="token",
    summary="Get an access token for a system",
    description="The JWT is signed with ES256, PS256 or EdDSA; `iss` and `sub` are the client identifier, `aud` "
    "is this address or that of the service, `exp` lies five minutes ahead at most, and `jti` counts once. With a "
    "client certificate, the token counts with that certificate alone.",
    dependencies=[limited("tokens")],
    response_model=TokenAnswer,
    responses=_answers(),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_FORM: {"schema": {"$ref": f"#/components/schemas/{TokenRequest.__name__}"}}},
        }
    },
)
def token(request: Request, vault: Safe) -> Response:
    """Give a token, or say in the words of RFC 6749 why there is none."""
    try:
        form = _form(request)
        grant = _grant(request, vault, form)
    except VaultError as error:
        if error.code not in _PROBLEMS:
            raise
        return _problem(*_PROBLEMS[error.code])
    return json_response(
        {
            "access_token": grant.token,
            "token_type": "Bearer",
            "expires_in": grant.seconds,
            "scope": " ".join(grant.scopes),
        },
        headers={"Pragma": "no-cache"},
    )


def audiences(request: Request, vault: Vault) -> frozenset[str]:
    """Return the addresses that an assertion may be meant for.

    In production only what the settings say: what a request calls this service is the caller's own word. In
    development it is checked to be a loopback name.
    """
    base = vault.settings.address.rstrip("/")
    if not base and not vault.settings.is_production:
        base = f"{request.url.scheme}://{request.headers.get('Host', '')}"
    return frozenset({base, base + ADDRESS}) if base else frozenset()


def _grant(request: Request, vault: Vault, form: Mapping[str, str]) -> Grant:
    if form.get("grant_type") != "client_credentials":
        raise Refused("GRANT_REFUSED" if "grant_type" in form else "BODY_INVALID")
    certificate = get_peers(request).certificate(request)
    client_id, scope = form.get("client_id"), form.get("scope", "")
    systems = vault.people.systems
    if "client_assertion" in form:
        if form.get("client_assertion_type") != _JWT_BEARER:
            raise Refused("BODY_INVALID", "client_assertion_type")
        return systems.by_assertion(
            form["client_assertion"], audiences(request, vault), scope, client_id, certificate
        )
    if client_id is None or certificate is None:
        raise Unauthenticated("CLIENT_REFUSED", "no proof")
    return systems.by_certificate(client_id, certificate, scope)


def _form(request: Request) -> dict[str, str]:
    """Read the form; of what is not known nothing is kept (RFC 6749 section 3.2). Raises Refused."""
    if media_type(request.headers.get("Content-Type")) != _FORM:
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    data = read_small_body(request, _MAX_FORM)
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:  # that of an encoding is one too
        raise Refused("BODY_INVALID") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused("BODY_INVALID", "a parameter stands twice")
    # A parameter without value counts as left out (RFC 6749 section 3.2).
    return {name: form[name] for name in _ASKED if form.get(name)}


def _problem(error: str, description: str) -> Response:
    refused = error == "invalid_client"
    headers = {"Pragma": "no-cache", **({"WWW-Authenticate": 'Bearer realm="probans"'} if refused else {})}
    return json_response({"error": error, "error_description": description}, 401 if refused else 400, headers)
