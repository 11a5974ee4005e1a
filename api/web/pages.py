"""The first pages: what this is, verify a file, and the files that verifiers and holders download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.deps import Desk, Safe
from api.downloads import download_response
from api.errors import problem_of
from api.rates import limited
from api.security import DOCS_CSP
from api.v1.reads import receipt_response
from api.web import login, session, share_page, space_routes
from api.web.forms import file_form
from api.web.rendering import (
    FORM_FIELD,
    STATIC,
    check_form,
    known_reader,
    language,
    page,
    problem_page,
    reader,
)
from api.web.verdicts import arrange
from vault.documents.reading import Lookup
from vault.errors import NotFound, Refused, VaultError
from vault.evidence.findings import Verdict
from vault.evidence.wording import status_words
from vault.files.names import clean_file_name
from vault.messages.catalogue import CATALOGUE, message

router = APIRouter(include_in_schema=False)
_RECEIPT_WAIT = 3.0
_KEEP = "public, max-age=31536000, immutable"
Document = Annotated[str, Path()]


def install(app: FastAPI) -> None:
    """Add pages, static files and error pages to the application."""
    for each in (router, login.router, session.router, share_page.router, *space_routes.ROUTERS):
        app.include_router(each)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.state.render_problem = problem_page


class _Static(StaticFiles):
    """Own files; addresses with a version may be kept for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file with how long it may be kept."""
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["Cache-Control"] = _KEEP if versioned else "public, max-age=300"
        return response


@router.get("/")
def home(request: Request) -> Response:
    """Say what this is, offer to verify a file, lead to one's own space."""
    return _home(request)


@router.post("/verifier", dependencies=[limited("verifications")])
async def verify(request: Request, vault: Safe, desk: Desk) -> Response:
    """Verify an uploaded file and show its verdict; nothing is kept."""

    def work() -> Response:
        """Run in the thread."""
        try:
            fields, part, chunks = file_form(request, vault.settings)
            check_form(request, fields.get(FORM_FIELD, ""))
            state = hashlib.sha256()
            verdict = vault.verifying.upload(_hashed(chunks, state))
        except (Refused, NotFound) as error:
            return _home(request, error)
        known = vault.reading.lookup(reader(request), state.hexdigest())
        return _verdict_page(request, verdict, known, _shown_name(part.file_name or ""))

    return await desk.run(work)


@router.get("/verifier")
def verify_address() -> Response:
    """Lead back to the form: a verdict has no address of its own, since nothing is kept."""
    return RedirectResponse("/#verifier", 303)


@router.get("/documents/{document_id}/original")
def original(request: Request, document_id: Document, vault: Safe) -> Response:
    """Download an original of the reader's safe."""
    return download_response(request, vault.reading.original(known_reader(request), document_id, ""))


@router.get("/documents/{document_id}/dossier")
def bundle(request: Request, document_id: Document, vault: Safe) -> Response:
    """Download an evidence bundle."""
    return download_response(request, vault.reading.bundle(known_reader(request), document_id, ""))


@router.get("/documents/{document_id}/recepisse")
def receipt(request: Request, document_id: Document, vault: Safe) -> Response:
    """Download a receipt."""
    return receipt_response(
        document_id, vault.reading.receipt(known_reader(request), document_id, "", _RECEIPT_WAIT)
    )


@router.get("/confiance/{name}")
def trust_file(name: str, vault: Safe) -> Response:
    """Return one of the files a verifier needs, as `probans verify` takes them."""
    files = {
        "roots.pem": ("application/x-pem-file", vault.trust.roots_pem),
        "ledger.vkeys": (
            "text/plain; charset=utf-8",
            vault.trust.vkeys_text.encode(),
        ),
        "ledger.policy": ("text/plain; charset=utf-8", vault.trust.policy.encode()),
    }
    if name not in files:
        raise NotFound("NOT_FOUND")
    media_type, content = files[name]
    headers = {"Content-Type": media_type, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers)


@router.get("/erreurs")
def errors(request: Request) -> Response:
    """List the stable error codes with their words; `type` of every problem leads here."""
    lang = language(request)
    listed = [(code, message(code, lang)) for code in sorted(CATALOGUE)]
    return page(request, "errors.html", listed=listed)


@router.get("/docs")
def docs(request: Request) -> Response:
    """Show the OpenAPI description."""
    response = page(request, "docs.html")
    response.headers["Content-Security-Policy"] = DOCS_CSP
    return response


@router.get("/openapi.json")
def openapi_json(request: Request) -> dict[str, Any]:
    """Return the OpenAPI description."""
    described: dict[str, Any] = request.app.openapi()
    return described


@router.get("/favicon.ico")
def favicon() -> Response:
    """Lead to the icon."""
    return RedirectResponse("/static/seal.svg", 301)


def _home(request: Request, error: VaultError | None = None) -> Response:
    said = None
    if error is not None:
        problem = problem_of(error)
        said = message(problem.code, language(request), **problem.params)
    return page(request, "home.html", said.status if said else 200, said=said)


def _verdict_page(request: Request, verdict: Verdict, known: Lookup, name: str) -> Response:
    lang = language(request)
    return page(
        request,
        "verdict.html",
        arranged=arrange(verdict, lang),
        name=name,
        known=known if known.value != "unknown" else None,
        known_status=status_words(known.value, lang),
    )


def _shown_name(name: str) -> str:
    """Return a name that deceives nobody when shown, or ""."""
    try:
        return clean_file_name(name)
    except VaultError:
        return ""


def _hashed(chunks: Iterator[bytes], state: Any) -> Iterator[bytes]:
    for chunk in chunks:
        state.update(chunk)
        yield chunk
