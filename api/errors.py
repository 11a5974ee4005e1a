"""Every error leaves as problem+json (RFC 9457) with a stable code and words in French and English.

For people who asked for a page it leaves as a page with the same words. What happened inside never leaves:
an unexpected exception gets a random reference, under which the log names its kind and place, not its text.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.ranges import Unsatisfiable
from storage.errors import ObjectDamaged, ObjectMissing, StorageError
from vault.errors import LedgerError, SettingsRefused, VaultError
from vault.messages.catalogue import CATALOGUE, UNKNOWN_CODE, message

PROBLEM_TYPE = "application/problem+json"
ERRORS_PAGE = "/erreurs"
_BY_STATUS = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}
# The first kind that fits decides.
_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (Unsatisfiable, "RANGE_INVALID"),
    (ObjectMissing, "ORIGINAL_DAMAGED"),
    (ObjectDamaged, "ORIGINAL_DAMAGED"),
    (StorageError, "STORAGE_UNAVAILABLE"),
    (SQLAlchemyError, "DATABASE_UNAVAILABLE"),
)
#: What is expected to be raised.
KINDS = (VaultError, Unsatisfiable, RequestValidationError, HTTPException, StorageError, SQLAlchemyError)
_RETRY_AFTER = {"TWIN_RUNNING": 2, "RECEIPT_PENDING": 1, "NOT_PUBLISHED": 5, "SCAN_PENDING": 30}
# Addresses for programs: their errors are never pages.
_FOR_PROGRAMS = ("/v1/", "/ledger/", "/tsa", "/healthz", "/readyz", "/metrics", "/openapi.json")
_CHALLENGE = 'Bearer realm="probans"'
# Names, and no secrets: to ask the kernel each time would give the interpreter lock away, in the event loop.
_names = Random(secrets.randbits(256))  # noqa: S311
_log = logging.getLogger("probans.error")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way out.

    Attributes:
        code: stable code.
        detail: more for developers, English; "" when there is nothing to add.
        params: values for the words.
        headers: extra headers.
    """

    code: str
    detail: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def status(self) -> int:
        """HTTP status."""
        return message(self.code).status

    def body(self, lang: str) -> dict[str, Any]:
        """Return the members of the problem object, title and action in `fr` or `en` and in both."""
        french, english = (message(self.code, each, **self.params) for each in ("fr", "en"))
        chosen = english if lang == "en" else french
        members: dict[str, Any] = {
            "type": f"{ERRORS_PAGE}#{self.code}",
            "title": chosen.title,
            "status": chosen.status,
            "code": self.code,
            "action": chosen.action,
            "title_fr": french.title,
            "action_fr": french.action,
            "title_en": english.title,
            "action_en": english.action,
        }
        if self.detail:
            members["detail"] = self.detail
        if shown := {key: value for key, value in self.params.items() if isinstance(value, str | int)}:
            members["params"] = shown
        return members


def problem_of(error: Exception) -> Problem:
    """Say which problem an exception is."""
    if isinstance(error, VaultError):
        return _known(error.code, error.detail, error.params)
    if isinstance(error, RequestValidationError):
        return _invalid_field(error)
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        return Problem(_BY_STATUS.get(error.status_code, "HTTP_INVALID"), "", {}, headers)
    return _known(next((code for kind, code in _BY_KIND if isinstance(error, kind)), "INTERNAL"), "", {})


def wanted_language(accept_language: str | None) -> str:
    """Choose `fr` or `en` from an Accept-Language value (RFC 9110 section 12.5.4); French when in doubt."""
    weights = {"fr": 0.0, "en": 0.0}
    for item in (accept_language or "").split(",")[:32]:
        tag, _, rest = item.strip().partition(";")
        name = tag.strip().lower().partition("-")[0]
        if name in weights:
            weights[name] = max(weights[name], _quality(rest))
    return "en" if weights["en"] > weights["fr"] else "fr"


def problem_response(request: Request, problem: Problem) -> Response:
    """Write the problem as JSON."""
    lang = wanted_language(request.headers.get("Accept-Language"))
    body = problem.body(lang)
    if reference := getattr(request.state, "request_id", None):
        body["request_id"] = reference
    headers = {"Content-Language": lang, "Vary": "Accept-Language", **problem.headers}
    return Response(orjson.dumps(body), problem.status, headers, media_type=PROBLEM_TYPE)


def wants_page(request: Request) -> bool:
    """Tell whether the caller is a person with a browser at an address for people."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return False
    return "text/html" in request.headers.get("Accept", "")


def log_unexpected(error: BaseException, request_id: str) -> None:
    """Log kind, code and places of a failure.

    Its text may hold personal data and is left out, but for those that only an operator can act on, whose text is
    about the service itself.
    """
    kind = type(error).__name__
    if code := getattr(error, "code", None):
        kind += f" {code}"
    if isinstance(error, LedgerError | SettingsRefused):
        kind += f" ({error.detail})"
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    places = " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    _log.error("%s %s %s", request_id, kind, places)


def new_reference() -> str:
    """Return a random reference for one request."""
    return f"{_names.getrandbits(64):016x}"


async def answer(request: Request, error: Exception) -> Response:
    """Answer an expected exception, one of KINDS."""
    problem = problem_of(error)
    if problem.status >= 500:
        log_unexpected(error, getattr(request.state, "request_id", "-"))
    if wants_page(request) and (render := getattr(request.app.state, "render_problem", None)):
        page: Response = render(request, problem)
        return page
    return problem_response(request, problem)


def install(app: FastAPI) -> None:
    """Have every expected exception answered; unexpected ones are answered by `api.middleware`."""
    for kind in KINDS:
        app.add_exception_handler(kind, answer)


def _known(code: str, detail: str, params: Mapping[str, Any]) -> Problem:
    code = code if code in CATALOGUE else UNKNOWN_CODE
    status = message(code).status
    headers: dict[str, str] = {}
    if status == 503 or code in _RETRY_AFTER:
        headers["Retry-After"] = str(_RETRY_AFTER.get(code, 5))
    if isinstance(seconds := params.get("retry_after"), int):
        headers["Retry-After"] = str(seconds)
    if status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE + _step_up(code, params)
    # What a part says about its own failure is for the operator.
    return Problem(code, detail if status < 500 else "", params if status < 500 else {}, headers)


def _step_up(code: str, params: Mapping[str, Any]) -> str:
    """Return what a challenge says of the proof that is missing (RFC 9470, 3)."""
    if code != "STEP_UP_REQUIRED":
        return ""
    said = ', error="insufficient_user_authentication"'
    if params.get("level"):
        said += f', acr_values="{params["level"]}"'
    if params.get("minutes"):
        said += f', max_age="{params["minutes"] * 60}"'
    return said


def _invalid_field(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    names = [str(part) for part in first.get("loc", ()) if part not in {"query", "path", "header", "body"}]
    return _known("FIELD_INVALID", str(first.get("msg", "")), {"field": ".".join(names) or "body"})


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])
