"""The OpenAPI 3.1 description: what FastAPI derives, and the schemas of bodies that are read as streams."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.v1.schemas import (
    ActDescription,
    AgentRequest,
    AttachmentDescription,
    HashRequest,
    ProblemBody,
    ReceiptLine,
    ReceiptsRequest,
    RevocationRequest,
    TokenProblem,
    TokenRequest,
)
from api.v1.schemas_batches import BatchStateRequest
from api.v1.schemas_cases import CaseRequest, LinkRequest, StepRequest
from api.v1.schemas_journal import ReportRequest
from api.v1.schemas_labels import LabelsRequest, SearchRequest
from api.v1.schemas_mandates import EndRequest, MandateRequest
from api.v1.schemas_notices import BounceRequest, CodeRequest, ContactsRequest, PreferencesRequest
from api.v1.schemas_requests import AnswerRequest, MakeRequest, ReasonRequest
from api.v1.schemas_requisitions import RequisitionRequest
from api.v1.schemas_rights import NoteReply, NoteRequest
from api.v1.schemas_safes import CancellationRequest, ClosureRequest, SafeRequest
from api.v1.schemas_shares import OpeningRequest, ShareRequest, SlipRequest
from vault.domain.systems import SCOPES

_MODELS: tuple[type[BaseModel], ...] = (
    CaseRequest,
    LinkRequest,
    StepRequest,
    RequisitionRequest,
    OpeningRequest,
    ShareRequest,
    SlipRequest,
    ActDescription,
    AgentRequest,
    AnswerRequest,
    AttachmentDescription,
    BatchStateRequest,
    BounceRequest,
    CancellationRequest,
    ClosureRequest,
    CodeRequest,
    ContactsRequest,
    EndRequest,
    HashRequest,
    LabelsRequest,
    MakeRequest,
    MandateRequest,
    NoteReply,
    NoteRequest,
    PreferencesRequest,
    ProblemBody,
    ReasonRequest,
    ReceiptLine,
    ReceiptsRequest,
    ReportRequest,
    RevocationRequest,
    SafeRequest,
    SearchRequest,
    TokenProblem,
    TokenRequest,
)
_TAGS = (
    ("acts", "What administrations issue."),
    ("batches", "Many acts by a manifest and their files."),
    ("attachments", "What holders submit."),
    ("documents", "Reading; every read leaves an entry in the access journal."),
    ("safes", "What a safe holds."),
    ("mandates", "Who may act for whom."),
    ("closures", "How a safe is closed: by its holder's wish, after a death, or a dissolution."),
    ("requests", "Tell us once: administrations ask, holders answer."),
    ("consents", "What holders gave, to whom and until when, with its sealed papers."),
    ("shares", "Share codes: what a holder lets third parties see, what for and until when."),
    ("journal", "Who read what, when and why; the proof of each line; reports of an access."),
    ("notices", "Where a holder is told of news, and of what."),
    ("rights", "A copy of everything that is kept about the holder; notes on what is wrong."),
    ("oversight", "The data-protection officer's: legal requisitions."),
    ("verification", "For everybody, without login; nothing sent here is kept."),
    ("systems", "Software that calls by itself: tokens, and the pseudonyms of its agents."),
    ("ledger", "Public files of the ledger, and timestamps."),
    ("operations", "Health and counters."),
)
_DESCRIPTION = (
    "Digital safe and evidential document service. Errors are `application/problem+json` with a stable `code`; "
    "their words follow Accept-Language (French by default). Writes take an `Idempotency-Key`: repeat a request with "
    "the same key after any doubt, and there will be one document. Personal data never stands in an address."
)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title="Probans",
            version=app.version,
            openapi_version="3.1.0",
            description=_DESCRIPTION,
            routes=app.routes,
            tags=[{"name": name, "description": words} for name, words in _TAGS],
        )
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {
            "persona": {
                "type": "http",
                "scheme": "bearer",
                "description": "Token of a development persona, printed at start (loopback only).",
            },
            "gateway": {
                "type": "http",
                "scheme": "bearer",
                "description": "Secret of gateways that report what did not arrive.",
            },
            "share": {
                "type": "http",
                "scheme": "bearer",
                "description": "Token of an opened share (`POST /v1/shares/opening`).",
            },
            "system": {
                "type": "oauth2",
                "description": "Software of administrations, and the portal: a token for a proof of who it is.",
                "flows": {"clientCredentials": {"tokenUrl": "/v1/token", "scopes": dict(SCOPES)}},
            },
        }
        schemas = components.setdefault("schemas", {})
        for model in _MODELS:
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(described.pop("$defs", {}))
            schemas[model.__name__] = described
        # Made by FastAPI for its own error answers, which this service never gives.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                _drop_default_error(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _drop_default_error(operation: dict[str, Any]) -> None:
    answers = operation.get("responses", {})
    default = answers.get("422", {}).get("content", {}).get("application/json")
    if default is not None:
        answers["422"]["content"].pop("application/json")
        if not answers["422"]["content"]:
            answers.pop("422")
