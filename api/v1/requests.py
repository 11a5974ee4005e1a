"""Tell us once: administrations ask, holders answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.auth import Caller
from api.deps import Key, Safe
from api.paging import Cursor, after_of, page_of, per_page
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, JSON_PROBLEMS, LOOK_PROBLEMS, WRITE_PROBLEMS, keyed, problems
from api.v1.schemas_requests import (
    AnswerRequest,
    AttributeAnswer,
    AttributesAnswer,
    CandidateAnswer,
    CandidatesAnswer,
    MakeRequest,
    ReasonRequest,
    RequestAnswer,
    RequestPage,
    RequestState,
    StepReceipt,
)
from api.v1.views import json_response, step_taken
from vault.clock import rfc3339
from vault.domain.actors import Assurance
from vault.domain.documents import Outcome
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay, RequestView
from vault.files.fields import parse_instant

router = APIRouter(tags=["requests"])
WRITE = (*WRITE_PROBLEMS, *JSON_PROBLEMS, "UNSUPPORTED_MEDIA_TYPE")
Limit = Annotated[int, per_page("Items")]
State = Annotated[RequestState | None, Query(description="Those that are in this state now.")]
_EXAMPLE = {
    "holder": "camille",
    "purpose": "instruction-dossier",
    "words": "Pour établir votre contrat.",
    "legal_basis": "Code du travail, article 12",
    "document_types": ["acte-de-naissance"],
    "actions": ["describe", "read"],
    "access_days": 30,
    "answer_by": "2026-12-31T23:00:00Z",
    "otherwise": {
        "way": "counter",
        "fr": "Au guichet, de 9 h à 16 h.",
        "en": "At the counter, 9 am to 4 pm.",
    },
}


@router.post(
    "/v1/requests",
    operation_id="makeRequest",
    summary="Ask a holder for documents, or for an attribute",
    description="The holder sees who asks, what for, on which legal basis and until when, and answers or not. A holder "
    "that is not known here gets no request, and the answer is the same: the request stays without answer.",
    status_code=201,
    response_model=StepReceipt,
    responses=problems(
        *WRITE, "UNKNOWN_ADMINISTRATION", "PURPOSE_REQUIRED", "PURPOSE_UNKNOWN", "ATTRIBUTE_UNKNOWN"
    ),
    openapi_extra=keyed(MakeRequest, _EXAMPLE),
)
def make_request(request: Request, vault: Safe, actor: Caller, key: Key) -> Response:
    """Ask a holder."""
    said = parse_as(MakeRequest, read_small_body(request, vault.settings.max_json_bytes))
    new = NewRequest(
        holder=said.holder,
        purpose=said.purpose,
        words=said.words,
        legal_basis=said.legal_basis,
        answer_by=parse_instant("answer_by", said.answer_by),
        otherwise=OtherWay(said.otherwise.way, said.otherwise.fr, said.otherwise.en),
        case=said.case,
        document_types=tuple(said.document_types),
        attribute=said.attribute,
        actions=tuple(said.actions),
        access_days=said.access_days,
        assurance=Assurance[said.assurance.upper()] if said.assurance else None,
        service=said.service,
    )
    administration = said.administration or actor.administration_id or ""
    return receipt("requests", vault.people.tell_once.requests.make(actor, administration, new, key))


@router.get(
    "/v1/requests/{request_id}",
    operation_id="describeRequest",
    summary="What is asked, by whom, and what was answered",
    response_model=RequestAnswer,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def describe_request(request_id: str, vault: Safe, actor: Caller) -> Response:
    """Describe a request."""
    return json_response(_described(vault.people.tell_once.requests.see(actor, request_id)).model_dump())


@router.get(
    "/v1/requests/{request_id}/candidates",
    operation_id="listCandidates",
    summary="With which documents one's own safe can answer",
    response_model=CandidatesAnswer,
    responses=problems(*LOOK_PROBLEMS, "REQUEST_ENDED"),
    openapi_extra={"security": BEARER},
)
def list_candidates(request_id: str, vault: Safe, actor: Caller) -> Response:
    """List what the holder could answer with."""
    items = [
        CandidateAnswer(
            document=each.document_id,
            document_type=each.document_type,
            title=each.title,
            issuer=each.issuer,
            created_at=rfc3339(each.created_at),
            value=each.value,
        )
        for each in vault.people.tell_once.answers.candidates(actor, request_id)
    ]
    return json_response(CandidatesAnswer(items=items).model_dump())


@router.post(
    "/v1/requests/{request_id}/answer",
    operation_id="answerRequest",
    summary="Answer a request: give documents, have an attribute attested, or decline",
    description="Each document given is one consent, sealed and in the ledger. A document that is not in the safe "
    "yet is deposited first, under the type asked for, and then named here.",
    response_model=StepReceipt,
    responses=problems(
        *WRITE, "REQUEST_ENDED", "DOCUMENT_TYPE_REFUSED", "NOT_PUBLISHED", "SCAN_PENDING", "DOCUMENT_INFECTED",
        "DOCUMENT_NOT_IN_FORCE",
        "ATTRIBUTE_NOT_PROVEN", "ATTRIBUTE_UNKNOWN", "STEP_UP_REQUIRED", "TSA_UNAVAILABLE", "STORAGE_UNAVAILABLE",
    ),
    openapi_extra=keyed(AnswerRequest, {"answer": "accept", "documents": ["doc_3f6k9t0w2m4r8s1v5x7y9z0a1b"]}),
)  # fmt: skip
def answer_request(request: Request, request_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Answer a request."""
    said = parse_as(AnswerRequest, read_small_body(request, vault.settings.max_json_bytes))
    ends_at = None if said.ends_at is None else parse_instant("ends_at", said.ends_at)
    answer = NewAnswer(Answer(said.answer), tuple(said.documents), ends_at, said.reason)
    return receipt("requests", vault.people.tell_once.answers.answer(actor, request_id, answer, key))


@router.post(
    "/v1/requests/{request_id}/cancellation",
    operation_id="cancelRequest",
    summary="Take a request back that was not answered",
    response_model=StepReceipt,
    responses=problems(*WRITE, "REQUEST_ENDED"),
    openapi_extra=keyed(ReasonRequest, {"reason": "Le dossier est complet."}),
)
def cancel_request(request: Request, request_id: str, vault: Safe, actor: Caller, key: Key) -> Response:
    """Take a request back."""
    said = parse_as(ReasonRequest, read_small_body(request, vault.settings.max_json_bytes))
    return receipt("requests", vault.people.tell_once.requests.cancel(actor, request_id, key, said.reason))


@router.get(
    "/v1/safes/{safe_id}/requests",
    operation_id="listRequests",
    summary="List what a safe's holder is asked, newest first",
    response_model=RequestPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_requests(
    safe_id: str, vault: Safe, actor: Caller, state: State = None, cursor: Cursor = None, limit: Limit = 25
) -> Response:
    """List the requests to a holder."""
    service = vault.people.tell_once.requests
    return _page(service.of_safe(actor, safe_id, after_of(cursor), limit + 1, state), limit)


@router.get(
    "/v1/administrations/{administration_id}/requests",
    operation_id="listAdministrationRequests",
    summary="List what one's own administration asked, newest first",
    response_model=RequestPage,
    responses=problems(*LOOK_PROBLEMS),
    openapi_extra={"security": BEARER},
)
def list_administration_requests(
    administration_id: str,
    vault: Safe,
    actor: Caller,
    state: State = None,
    cursor: Cursor = None,
    limit: Limit = 25,
) -> Response:
    """List an administration's own requests."""
    service = vault.people.tell_once.requests
    found = service.of_administration(actor, administration_id, after_of(cursor), limit + 1, state)
    return _page(found, limit)


@router.get(
    "/v1/attributes",
    operation_id="listAttributes",
    summary="What can be asked for in place of a document",
    response_model=AttributesAnswer,
    responses=problems(),
)
def list_attributes(vault: Safe) -> Response:
    """List the attributes."""
    items = [
        AttributeAnswer(**each.model_dump(mode="json")) for each in vault.people.tell_once.attributes.all()
    ]
    return json_response(AttributesAnswer(items=items).model_dump())


def receipt(place: str, outcome: Outcome) -> Response:
    """Answer a write about a matter that lies at `/v1/<place>/`."""
    return step_taken(outcome, f"/v1/{place}", StepReceipt)


def _page(found: Sequence[RequestView], limit: int) -> Response:
    items, following = page_of(found, limit, lambda view: view.request.first_seq)
    return json_response({"items": [_described(view).model_dump() for view in items], "next": following})


def _described(view: RequestView) -> RequestAnswer:
    request, said = view.request, view.request.private
    given = {consent.private["document"]["type"] for consent in view.consents}
    answered = bool(view.consents)
    known = {name: said[name] for name in RequestAnswer.model_fields if name in said}
    return RequestAnswer.model_validate(
        {
            "answered_at": None,
            "reason": None,
            **known,
            "id": request.id,
            "state": view.state,
            "administration": {"id": request.administration_id or "", "name": view.administration_name},
            "answer_by": rfc3339(request.ends_at) if request.ends_at else "",
            "made_at": rfc3339(request.created_at),
            "missing_types": [each for each in said["document_types"] if answered and each not in given],
            "consents": [consent.id for consent in view.consents],
            "statements": [statement.id for statement in view.statements],
            "entry": request.first_seq,
        }
    )
