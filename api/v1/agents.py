"""The pseudonyms of an administration's agents, for that administration."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.deps import Safe
from api.strict_json import parse_as
from api.uploads import read_small_body
from api.v1.describe import BEARER, json_body, problems
from api.v1.schemas import AgentRequest, PseudonymAnswer
from api.v1.views import json_response
from vault.access import Action, demand
from vault.errors import NotFound
from vault.people.pseudonyms import agent_pseudonym, checked_agent

router = APIRouter(tags=["systems"])


@router.post(
    "/v1/agents/pseudonym",
    operation_id="agentPseudonym",
    summary="Learn how the access journal names an agent of one's administration",
    description="An administration resolves a pseudonym by asking for those of its agents and comparing.",
    response_model=PseudonymAnswer,
    responses=problems(
        "UNAUTHENTICATED", "NOT_FOUND", "FIELD_INVALID", "BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY",
        "JSON_TOO_LARGE", "ENCODING_INVALID", "DATABASE_UNAVAILABLE",
    ),
    openapi_extra={"security": BEARER, **json_body(AgentRequest, {"agent": "a.martin"})},
)  # fmt: skip
def pseudonym(request: Request, vault: Safe, actor: Caller) -> Response:
    """Return the pseudonym of an agent of the caller's own administration. Raises NotFound, Refused."""
    demand(actor, Action.PSEUDONYM, issuer_id=actor.administration_id)
    if actor.administration_id is None:
        raise NotFound("NOT_FOUND")
    asked = parse_as(AgentRequest, read_small_body(request, vault.settings.max_json_bytes))
    name = agent_pseudonym(vault.parts.keyring, actor.administration_id, checked_agent(asked.agent))
    return json_response({"pseudonym": name})
