"""Pieces of the OpenAPI description that several routes share."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel

from api.deps import DOCUMENT_HEADER, IDEMPOTENCY_HEADER
from api.errors import PROBLEM_TYPE
from api.v1.schemas import ProblemBody
from vault.messages.catalogue import message

BEARER: list[dict[str, list[str]]] = [{"persona": []}, {"system": []}]
OPTIONAL_BEARER: list[dict[str, list[str]]] = [*BEARER, {}]
OCTETS: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_REF = "#/components/schemas/"


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe the errors a route may answer, by status; INTERNAL, BUSY and HOST_REFUSED come with every route."""
    by_status: dict[int | str, list[str]] = {}
    for code in (*codes, "HOST_REFUSED", "INTERNAL", "BUSY"):
        by_status.setdefault(message(code).status, []).append(code)
    return {
        status: {
            "description": " · ".join(
                f"`{code}` {message(code, 'en').title}" for code in dict.fromkeys(found)
            ),
            "content": {
                PROBLEM_TYPE: {"schema": {"$ref": _REF + ProblemBody.__name__}},
            },
        }
        for status, found in sorted(by_status.items(), key=lambda item: int(item[0]))
    }


UPLOAD_PROBLEMS = (
    "UNAUTHENTICATED", "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED",
    "TWIN_RUNNING", "BODY_INVALID", "FIELD_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE",
    "ENCODING_INVALID", "EMPTY_FILE", "TOO_LARGE", "TRUNCATED", "LENGTH_MISMATCH", "DIGEST_MISMATCH",
    "DIGEST_MALFORMED", "NAME_INVALID", "UNKNOWN_HOLDER", "REQUEST_TIMEOUT", "UNSUPPORTED_MEDIA_TYPE",
    "STORAGE_UNAVAILABLE", "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE",
)  # fmt: skip
LOOK_PROBLEMS = ("UNAUTHENTICATED", "NOT_FOUND", "FIELD_INVALID", "DATABASE_UNAVAILABLE")
WRITE_PROBLEMS = (
    *LOOK_PROBLEMS, "IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED", "TWIN_RUNNING",
    "LEDGER_UNAVAILABLE",
)  # fmt: skip
JSON_PROBLEMS = ("BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE", "ENCODING_INVALID")
READ_PROBLEMS = (
    "UNAUTHENTICATED", "NOT_FOUND", "PURPOSE_REQUIRED", "PURPOSE_UNKNOWN", "FIELD_INVALID",
    "DOCUMENT_DESTROYED", "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE",
)  # fmt: skip


def header(name: str, description: str, example: str, *, required: bool = False) -> dict[str, Any]:
    """Describe a request header."""
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


KEY_HEADER = header(
    IDEMPOTENCY_HEADER,
    "A random value. The same key with the same request gives the first answer; with another one, 409.",
    "5f0c3a52-3a59-4b8e-9a6f-1f4f3a8f7c11",
    required=True,
)
PART_HEADERS = [
    header("Range", "One range of octets; several are answered with the whole file.", "bytes=0-1023"),
    header("If-None-Match", "Entity tag the caller has.", '"0123"'),
    header("If-Range", "Entity tag for which the range counts.", '"0123"'),
]
FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"application/octet-stream": OCTETS}},
    206: {"description": "The part asked for.", "content": {"application/octet-stream": OCTETS}},
    304: {"description": "The caller has this version already."},
}
FILE_PROBLEMS = (
    "NOT_PUBLISHED", "SCAN_PENDING", "DOCUMENT_INFECTED", "RANGE_INVALID", "ORIGINAL_DAMAGED", "STORAGE_UNAVAILABLE",
)  # fmt: skip
DIGEST_HEADER = header(
    "Repr-Digest",
    "Digest of the body (RFC 9530); refused when the octets received have another one. In a form it may stand in "
    "the headers of the part `file`.",
    "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
)


def file_body(model: type[BaseModel] | None, example: bytes = b"") -> dict[str, Any]:
    """Describe a route that takes a file: raw, or in a form."""
    octets = {"type": "string", "format": "binary"}
    properties: dict[str, Any] = {"file": {**octets, "description": "The file."}}
    encoding: dict[str, Any] = {}
    parameters: list[dict[str, Any]] = [DIGEST_HEADER]
    required = ["file"]
    if model is not None:
        properties = {"document": {"$ref": _REF + model.__name__}, **properties}
        encoding = {"document": {"contentType": "application/json"}}
        required = ["document", "file"]
        words = f"base64url of the JSON object `{model.__name__}`, with the raw body only."
        sample = base64.urlsafe_b64encode(example).decode().rstrip("=")
        parameters += [KEY_HEADER, header(DOCUMENT_HEADER, words, sample)]
    form: dict[str, Any] = {"schema": {"type": "object", "properties": properties, "required": required}}
    if encoding:
        form["encoding"] = encoding
    return {
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "description": "The file's octets as they are, or a form; in a form, `document` comes before `file`.",
            "content": {"application/octet-stream": {"schema": octets}, "multipart/form-data": form},
        },
    }


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Describe a route that takes a JSON object."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF + model.__name__}, "example": example}},
        }
    }


def keyed(model: type[BaseModel] | None = None, example: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a write under an idempotency key, with a JSON object where there is a model."""
    body = {} if model is None else json_body(model, example or {})
    return {"security": BEARER, "parameters": [KEY_HEADER], **body}
