"""Shares as third parties open them, and what they see then. No login: a code and a second secret."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from api.browser import own_origin
from api.deps import Safe, get_vault, single_header
from api.downloads import download_response
from api.peers import demand_rate
from api.rates import limited
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import FILE_ANSWERS, FILE_PROBLEMS, JSON_PROBLEMS, PART_HEADERS, json_body, problems
from api.v1.schemas import VerdictAnswer
from api.v1.schemas_shares import OpeningAnswer, OpeningRequest, SharedAnswer, SharedDocument, SharedLinks
from api.v1.views import json_response
from vault.clock import rfc3339
from vault.domain.actors import Actor
from vault.errors import Unauthenticated
from vault.sharing.reading import Certified, SharedView
from vault.sharing.slip import page_address

router = APIRouter(tags=["shares"])
_BEARER: list[dict[str, list[str]]] = [{"share": []}]
_LOOK = ("SHARE_ENDED", "NOT_FOUND", "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE")
_FILE: dict[int | str, dict[str, Any]] = {
    **FILE_ANSWERS,
    **problems(*_LOOK, "DOCUMENT_NOT_IN_FORCE", *FILE_PROBLEMS),
}
_file = partial(
    router.get, openapi_extra={"security": _BEARER, "parameters": PART_HEADERS}, response_class=Response
)


def bearer_of(request: Request) -> Actor:
    """Return who bears the token of an opened share. Raises Unauthenticated(SHARE_ENDED)."""
    scheme, _, token = (single_header(request, "Authorization") or "").strip().partition(" ")
    found = None
    if scheme.lower() == "bearer":
        found = get_vault(request).people.sharing.openings.authenticate(token.strip())
    if found is None:
        demand_rate(request, "tokens")
        raise Unauthenticated("SHARE_ENDED")
    return found


Bearer = Annotated[Actor, Depends(bearer_of)]


@router.post(
    "/v1/shares/opening",
    operation_id="openShare",
    summary="Open a share with its code and second secret",
    description="Uses one view up, and answers with a token of ten minutes. An unknown code, another secret, and a "
    "share that is over, used up, withdrawn or locked get one and the same answer.",
    response_model=OpeningAnswer,
    dependencies=[limited("lookups")],
    responses=problems(
        "RATE_LIMITED", "SHARE_REFUSED", "FIELD_INVALID", *JSON_PROBLEMS, "LEDGER_UNAVAILABLE", "DATABASE_UNAVAILABLE"
    ),
    openapi_extra=json_body(OpeningRequest, {"code": "0000-0000-0000-0000-0000", "secret": "0000-0000"}),
)  # fmt: skip
def open_share(request: Request, vault: Safe) -> Response:
    """Open a share."""
    said = parse_as(OpeningRequest, read_small_body(request, vault.settings.max_json_bytes))
    opened = vault.people.sharing.openings.open(said.code, said.secret)
    view = vault.people.sharing.reading.view(opened.actor)
    answer = OpeningAnswer(
        **_shared(view).model_dump(by_alias=True),
        access_token=opened.token,
        token_type="Bearer",  # noqa: S106 - a kind, not a token
        expires_at=rfc3339(opened.ends_at),
    )
    return json_response(answer.model_dump(by_alias=True))


@router.get(
    "/v1/shared/documents",
    operation_id="listSharedDocuments",
    summary="What is certified of the documents of an opened share, now",
    response_model=SharedAnswer,
    responses=problems(*_LOOK),
    openapi_extra={"security": _BEARER},
)
def list_shared(vault: Safe, actor: Bearer) -> Response:
    """List what was shared."""
    return json_response(_shared(vault.people.sharing.reading.view(actor)).model_dump(by_alias=True))


@router.get(
    "/v1/shared/documents/{document_id}",
    operation_id="describeSharedDocument",
    summary="What is certified of one document, now",
    response_model=SharedDocument,
    responses=problems(*_LOOK),
    openapi_extra={"security": _BEARER},
)
def describe_shared(document_id: str, vault: Safe, actor: Bearer) -> Response:
    """Describe a shared document."""
    reading = vault.people.sharing.reading
    described = reading.describe(actor, document_id)
    return json_response(_document(described, reading.view(actor).gives).model_dump(by_alias=True))


@_file(
    "/v1/shared/documents/{document_id}/copy",
    operation_id="downloadSharedCopy",
    summary="The marked copy, where the share gives one",
    description="Made at each request, always the same octets for one share. It has no probative value: the seals of "
    "the original are not in it.",
    responses={**_FILE, **problems("COPY_IMPOSSIBLE", "COPY_TYPE_UNSUPPORTED", "FIELD_INVALID")},
)
def download_copy(request: Request, document_id: str, vault: Safe, actor: Bearer) -> Response:
    """Download a marked copy."""
    address = page_address(own_origin(request))
    return download_response(request, vault.people.sharing.reading.copy(actor, document_id, address))


@_file(
    "/v1/shared/documents/{document_id}/original",
    operation_id="downloadSharedOriginal",
    summary="The original, where the share gives it",
    responses=_FILE,
)
def download_original(request: Request, document_id: str, vault: Safe, actor: Bearer) -> Response:
    """Download the original."""
    return download_response(request, vault.people.sharing.reading.original(actor, document_id))


@_file(
    "/v1/shared/documents/{document_id}/evidence",
    operation_id="downloadSharedEvidence",
    summary="The evidence bundle, where the share gives it",
    responses=_FILE,
)
def download_evidence(request: Request, document_id: str, vault: Safe, actor: Bearer) -> Response:
    """Download the evidence bundle."""
    return download_response(request, vault.people.sharing.reading.bundle(actor, document_id))


@router.post(
    "/v1/shared/documents/{document_id}/verification",
    operation_id="verifySharedDocument",
    summary="The service's own verdict on the original, and its status as of now",
    description="The original does not leave for this: whoever is given a marked copy can have the original judged.",
    response_model=VerdictAnswer,
    dependencies=[limited("verifications")],
    responses=problems(
        "RATE_LIMITED",
        *_LOOK,
        "NOT_PUBLISHED",
        "SCAN_PENDING",
        "DOCUMENT_INFECTED",
        "RECEIPT_PENDING",
        "ORIGINAL_DAMAGED",
        "STORAGE_UNAVAILABLE",
    ),
    openapi_extra={"security": _BEARER},
)
def verify_shared(document_id: str, vault: Safe, actor: Bearer) -> Response:
    """Judge a shared document in place."""
    chunks = vault.people.sharing.reading.to_verify(actor, document_id)
    return Response(vault.verifying.upload(chunks()).as_json(), media_type="application/json")


def _shared(view: SharedView) -> SharedAnswer:
    return SharedAnswer.model_validate(
        {
            "share": view.share_id,
            "holder": view.holder,
            "recipient": view.recipient,
            "purpose": view.purpose,
            "words": view.words,
            "ends_at": rfc3339(view.ends_at),
            "gives": list(view.gives),
            "documents": [_document(each, view.gives).model_dump(by_alias=True) for each in view.documents],
        }
    )


def _document(each: Certified, gives: Any) -> SharedDocument:
    here = f"/v1/shared/documents/{each.id}"
    valid = each.status == "valid"

    def link(word: str, path: str) -> str | None:
        return f"{here}/{path}" if valid and not each.withheld and word in gives else None

    links = SharedLinks(
        self=here,
        copy=link("watermark", "copy"),
        original=link("original", "original"),
        evidence=link("evidence", "evidence"),
        verification=f"{here}/verification",
    )
    return SharedDocument.model_validate(
        {
            "id": each.id,
            "document_type": each.document_type,
            "title": each.title,
            "issuer": each.issuer,
            "issued_at": rfc3339(each.issued_at),
            "status": each.status,
            "in_force": valid,
            "withheld": each.withheld or None,
            "media_type": each.media_type,
            "size": each.size,
            "links": links.model_dump(by_alias=True),
        }
    )
