"""Addresses for machines: health, counters, the published ledger, the embedded timestamp authority."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import Any

from fastapi import APIRouter, Request, Response

from api.deps import Safe
from api.metrics import Metrics, ledger_text
from api.metrics_keys import certificates_text
from api.ranges import is_not_modified
from api.rates import limited
from api.store_series import stores_text
from api.uploads import media_type, read_small_body
from api.v1.describe import header, problems
from api.v1.views import json_response
from storage.errors import NameRefused, ObjectMissing
from vault.clock import rfc3339
from vault.errors import NotFound, Refused, VaultError
from vault.ledger.anchor_paths import ANCHOR_LIST
from vault.maintenance.catching_up import sites_figures

router = APIRouter()
_QUERY_TYPE, _REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"
_MAX_QUERY = 64 * 1024
# c2sp.org/tlog-tiles: the only files of the log store that are published.
_INDEX = r"(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?"
_LEDGER_FILE = re.compile(
    rf"(?P<place>(?:(?:[2-9]|[1-9][0-9])/)?)(?P<name>checkpoint|retired|{ANCHOR_LIST}|tile/(?:entries|[0-5]?[0-9])/{_INDEX}"
    r"|anchor/(?:[1-9][0-9]{0,18}(?:\.tst)?|[0-9a-f]{64}\.crls)|handover/[0-9a-f]{64})"
)
_CHANGING = frozenset({"checkpoint", "retired", ANCHOR_LIST})
_FOREVER = "public, max-age=31536000, immutable"
# A partial tile never changes either, but goes once its full one is there.
_SHORT = "public, max-age=60"
_TEXT = "text/plain; charset=utf-8"
_GZIP_LEVEL = 6
_OCTETS = {"schema": {"type": "string", "format": "binary"}}
_LEDGER_ANSWERS: dict[int | str, dict[str, Any]] = {
    304: {"description": "The caller has this version already; of files that are replaced."},
    **problems("NOT_FOUND", "RATE_LIMITED", "STORAGE_UNAVAILABLE"),
}
_LEDGER_EXTRA = {
    "parameters": [header("If-None-Match", "Entity tag of `checkpoint`, `retired` or `anchors`.", '"0123"')]
}


@router.get(
    "/healthz",
    operation_id="health",
    summary="Is this process alive?",
    tags=["operations"],
    responses=problems(),
)
async def healthz() -> Response:
    """Tell that the process answers; says nothing of its parts."""
    return json_response({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readiness",
    summary="Does every needed part work?",
    tags=["operations"],
    responses={503: {"description": "A needed part is down; the same object says which."}, **problems()},
)
def readyz(vault: Safe) -> Response:
    """Ask every part; 503 when one is down that the service needs to keep its promises."""
    parts = vault.health()
    ready = all(part.ok or not part.needed for part in parts.values())
    body = {
        "ready": ready,
        "parts": {
            name: {
                "ok": part.ok,
                "needed": part.needed,
                "note": part.note,
                "since": rfc3339(part.since) if part.since is not None else None,
            }
            for name, part in parts.items()
        },
    }
    return json_response(body, 200 if ready else 503)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Counters in the Prometheus text format",
    tags=["operations"],
    responses={200: {"description": "Counters.", "content": {"text/plain": {}}}, **problems()},
    response_class=Response,
)
def metrics(request: Request, vault: Safe) -> Response:
    """Return the series of all processes, where the ledger stands, how long certificates last, what waits."""
    counters: Metrics = request.app.state.metrics
    try:
        ledger = ledger_text(vault.figures())
    except VaultError:
        ledger = ledger_text(None)
    return Response(
        counters.text()
        + ledger
        + certificates_text(vault.certificates())
        + stores_text(sites_figures(vault.parts.sites))
        + request.app.state.work.text(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


@router.get(
    "/ledger/{path:path}",
    operation_id="ledgerFile",
    summary="A published file of the ledger (C2SP tlog-tiles)",
    description="`checkpoint`, `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`; behind `<n>/`, of generation n. "
    "Public, to pages of other origins too; it names nobody.",
    tags=["ledger"],
    dependencies=[limited("ledger")],
    responses={
        200: {"description": "The file.", "content": {"text/plain": {}, "application/octet-stream": _OCTETS}},
        **_LEDGER_ANSWERS,
    },
    openapi_extra=_LEDGER_EXTRA,
    response_class=Response,
)
@router.head(
    "/ledger/{path:path}",
    operation_id="headLedgerFile",
    summary="Size, type and entity tag of a published file of the ledger",
    tags=["ledger"],
    dependencies=[limited("ledger")],
    responses={200: {"description": "The headers of the file."}, **_LEDGER_ANSWERS},
    openapi_extra=_LEDGER_EXTRA,
    response_class=Response,
)
def ledger_file(request: Request, path: str, vault: Safe) -> Response:
    """Return a published file of the ledger. Raises NotFound."""
    match = _LEDGER_FILE.fullmatch(path)
    if match is None:
        raise NotFound("NOT_FOUND")
    # Behind the number of a later generation, the same names.
    place, name = match["place"], match["name"]
    try:
        if name == ANCHOR_LIST:
            # The one answer that is no file: a folder lists its own.
            content = "".join(f"{size}\n" for size in vault.anchor_sizes(place)).encode()
        else:
            content = vault.log_file(path)
    except (ObjectMissing, NameRefused):
        raise NotFound("NOT_FOUND") from None
    if name in _CHANGING:
        return _changing(request, content)
    headers = {
        "Content-Type": "application/octet-stream",
        "Cache-Control": _SHORT if ".p/" in name else _FOREVER,
    }
    if name.startswith("tile/entries/"):
        # Hashes do not compress; entries do, and the specification asks for it.
        headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
    return _whole(request, content, headers)


def _changing(request: Request, content: bytes) -> Response:
    """Answer with a file that is replaced: whole, or that the caller has it already (RFC 9110 section 13.1.2)."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Content-Type": _TEXT, "Cache-Control": "no-cache", "ETag": etag}
    known = ", ".join(request.headers.getlist("If-None-Match"))
    if known and is_not_modified(known, etag):
        return Response(status_code=304, headers=headers)
    return _whole(request, content, headers)


def _whole(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """Answer GET with a file and HEAD with what is said of it, the same length among it."""
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(len(content))})
    return Response(content, headers=headers)


def _takes_gzip(request: Request) -> bool:
    """Tell whether the client accepts gzip (RFC 9110 section 12.5.3)."""
    for item in ",".join(request.headers.getlist("Accept-Encoding")).split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(?:\.0{0,3})?", parameter) for parameter in parameters)
    return False


@router.post(
    "/tsa",
    operation_id="timestamp",
    summary="The embedded timestamp authority (RFC 3161 over HTTP)",
    tags=["ledger"],
    dependencies=[limited("ledger")],
    responses={
        200: {"description": "TimeStampResp, granted or rejected.", "content": {_REPLY_TYPE: _OCTETS}},
        **problems(
            "NOT_FOUND",
            "UNSUPPORTED_MEDIA_TYPE",
            "TOO_LARGE",
            "REQUEST_TIMEOUT",
            "FIELD_INVALID",
            "RATE_LIMITED",
        ),
    },
    openapi_extra={"requestBody": {"required": True, "content": {_QUERY_TYPE: _OCTETS}}},
    response_class=Response,
)
def timestamp(request: Request, vault: Safe) -> Response:
    """Answer a timestamp request; an outside authority has its own address.

    Raises:
        NotFound: the service uses an outside authority.
        Refused: UNSUPPORTED_MEDIA_TYPE, TOO_LARGE.
    """
    if vault.authority is None:
        raise NotFound("NOT_FOUND")
    if media_type(request.headers.get("Content-Type")) != _QUERY_TYPE:
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    try:
        query = read_small_body(request, _MAX_QUERY)
    except Refused as error:
        if error.code == "JSON_TOO_LARGE":
            raise Refused("TOO_LARGE", limit=_MAX_QUERY) from None
        raise
    return Response(vault.authority.respond(query), headers={"Content-Type": _REPLY_TYPE})
