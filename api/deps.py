"""What endpoints need from a request, read once and strictly."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from api.streams import UploadDesk
from vault.errors import Refused
from vault.service import Vault

IDEMPOTENCY_HEADER = "Idempotency-Key"
PURPOSE_HEADER = "Probans-Purpose"
DOCUMENT_HEADER = "Probans-Document"
AGENT_HEADER = "Probans-Agent"


def get_vault(request: Request) -> Vault:
    """Return the running safe."""
    return cast("Vault", request.app.state.vault)


def get_desk(request: Request) -> UploadDesk:
    """Return the upload threads of this process."""
    return cast("UploadDesk", request.app.state.uploads)


def single_header(request: Request, name: str) -> str | None:
    """Return a header that may stand once; two of it would mean two things. Raises Refused(FIELD_INVALID)."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise Refused("FIELD_INVALID", "the header stands more than once", field=name)
    return values[0] if values else None


def idempotency_key(request: Request) -> str:
    """Return the key of a write. Raises Refused(IDEMPOTENCY_KEY_REQUIRED)."""
    key = single_header(request, IDEMPOTENCY_HEADER)
    if not key:
        raise Refused("IDEMPOTENCY_KEY_REQUIRED")
    return key


def purpose_of(
    request: Request,
    purpose: Annotated[
        str | None,
        Query(
            description="Why the document is read; written in the access journal. Also accepted in the header "
            f"`{PURPOSE_HEADER}`. Holders may leave it out.",
            examples=["instruction-dossier"],
        ),
    ] = None,
) -> str:
    """Return the purpose of a read, from the query or the header; "" when none is said."""
    header = single_header(request, PURPOSE_HEADER)
    if purpose is not None and header is not None and purpose != header:
        raise Refused("FIELD_INVALID", "the query and the header name different purposes", field="purpose")
    return purpose or header or ""


Safe = Annotated[Vault, Depends(get_vault)]
Desk = Annotated[UploadDesk, Depends(get_desk)]
Key = Annotated[str, Depends(idempotency_key)]
Purpose = Annotated[str, Depends(purpose_of)]
