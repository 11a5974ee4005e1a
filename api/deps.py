"""What endpoints need from a request, read once and strictly."""

from __future__ import annotations

import re
from typing import Annotated, cast
from urllib.parse import unquote

from fastapi import Depends, Query, Request

from api.gathering import Gathering
from api.streams import UploadDesk
from vault.errors import Refused
from vault.service import Vault

IDEMPOTENCY_HEADER = "Idempotency-Key"
PURPOSE_HEADER = "Probans-Purpose"
WORDS_HEADER = "Probans-Purpose-Words"
DOCUMENT_HEADER = "Probans-Document"
AGENT_HEADER = "Probans-Agent"
MANDATE_HEADER = "Probans-Mandate"
_NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")


def get_vault(request: Request) -> Vault:
    """Return the running safe."""
    return cast("Vault", request.app.state.vault)


def get_desk(request: Request) -> UploadDesk:
    """Return the upload threads of this process."""
    return cast("UploadDesk", request.app.state.uploads)


def get_gathering(request: Request) -> Gathering | None:
    """Return where acts go that are issued together; None where each is issued alone."""
    return cast("Gathering | None", request.app.state.gathering)


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


async def purpose_of(
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


async def words_of(
    request: Request,
    words: Annotated[
        str | None,
        Query(
            description="What is said of the purpose besides, for the access journal. Better in the header "
            f"`{WORDS_HEADER}` (UTF-8, percent-encoded as in an address), since addresses stand in logs.",
            examples=["Pièce illisible au guichet"],
        ),
    ] = None,
) -> str:
    """Return the free words about a purpose; "" when none are said. Raises Refused(FIELD_INVALID)."""
    header = single_header(request, WORDS_HEADER)
    said = None if header is None else _decoded(header)
    if words is not None and said is not None and words != said:
        raise Refused("FIELD_INVALID", "the query and the header say different words", field="words")
    return words or said or ""


def _decoded(header: str) -> str:
    """Read a percent-encoded header; one that says nothing that way is refused, not guessed at."""
    if not header.isascii() or _NOT_ENCODED.search(header):
        raise Refused("FIELD_INVALID", "percent-encode what is not ASCII, and %", field="words")
    try:
        return unquote(header, errors="strict")
    except UnicodeDecodeError as error:
        raise Refused("FIELD_INVALID", "percent-encode UTF-8", field="words") from error


# What only looks at the request is asynchronous: FastAPI would hand a plain function to a thread, and wait for it.
async def _vault(request: Request) -> Vault:
    return get_vault(request)


async def _desk(request: Request) -> UploadDesk:
    return get_desk(request)


async def _key(request: Request) -> str:
    return idempotency_key(request)


Safe = Annotated[Vault, Depends(_vault)]
Desk = Annotated[UploadDesk, Depends(_desk)]
Key = Annotated[str, Depends(_key)]
Purpose = Annotated[str, Depends(purpose_of)]
Words = Annotated[str, Depends(words_of)]
