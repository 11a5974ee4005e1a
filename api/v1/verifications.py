"""Verify a file or a digest, and get what verifiers need. No login is needed here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AnyCaller
from api.deps import Desk, Safe
from api.rates import limited_by_caller
from api.strict_json import parse_as
from api.uploads import open_upload, read_small_body
from api.v1.describe import OPTIONAL_BEARER, file_body, json_body, problems
from api.v1.schemas import HashRequest, LookupAnswer, TrustAnswer, VerdictAnswer
from api.v1.views import json_response
from vault.clock import rfc3339
from vault.ledger.generations import prefix_of

router = APIRouter(tags=["verification"])


@router.post(
    "/v1/verifications",
    operation_id="verifyFile",
    summary="Verify a file; it is not kept",
    description="An evidence bundle, a signed PDF, ASiC container, CMS signature, timestamp or evidence record of any "
    "maker, or any other file. It is judged in a process of its own, with limits on time and memory: whatever it does "
    "there, the answer is a verdict. The answer is what `probans verify --json` prints.",
    response_model=VerdictAnswer,
    dependencies=[limited_by_caller("verifications")],
    responses=problems(
        "RATE_LIMITED",
        "EMPTY_FILE", "TOO_LARGE", "TRUNCATED", "LENGTH_MISMATCH", "DIGEST_MALFORMED", "DIGEST_MISMATCH",
        "BODY_INVALID", "FIELD_INVALID", "REQUEST_TIMEOUT", "UNSUPPORTED_MEDIA_TYPE", "UNAUTHENTICATED",
        "STORAGE_UNAVAILABLE",
    ),
    openapi_extra={"security": OPTIONAL_BEARER, **file_body(None)},
)  # fmt: skip
async def verify_file(request: Request, vault: Safe, desk: Desk, _actor: AnyCaller) -> Response:
    """Verify an uploaded file in a thread of the upload desk."""

    def work() -> Response:
        """Run in the thread."""
        upload = open_upload(request, vault.settings, described=False)
        verdict = vault.verifying.upload(upload.octets(), expected_length=upload.length)
        return Response(verdict.as_json(), media_type="application/json")

    return await desk.run(work)


@router.post(
    "/v1/verifications/hash",
    operation_id="verifyHash",
    summary="Look a digest up: valid, superseded, revoked or unknown",
    description="Without login it speaks of acts only: an attachment and an unknown file get the same answer. "
    '"unknown" does not mean forged.',
    response_model=LookupAnswer,
    dependencies=[limited_by_caller("lookups")],
    responses=problems(
        "RATE_LIMITED",
        "FIELD_INVALID", "BODY_INVALID", "JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_LARGE", "ENCODING_INVALID",
        "UNAUTHENTICATED", "DATABASE_UNAVAILABLE",
    ),
    openapi_extra={
        "security": OPTIONAL_BEARER,
        **json_body(
            HashRequest, {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
        ),
    },
)  # fmt: skip
def verify_hash(request: Request, vault: Safe, actor: AnyCaller) -> Response:
    """Look a digest up."""
    asked = parse_as(HashRequest, read_small_body(request, vault.settings.max_json_bytes))
    found = vault.reading.lookup(actor, asked.sha256)
    issued_at = rfc3339(found.issued_at) if found.issued_at else None
    return json_response({"value": found.value, "issued_at": issued_at, "issuer": found.issuer})


@router.get(
    "/v1/trust",
    operation_id="getTrust",
    summary="Roots, ledger keys and policy for offline verification",
    description="Get them once over a way you trust, keep them, and compare: what comes with a file proves nothing.",
    response_model=TrustAnswer,
    responses=problems(),
)
def get_trust(vault: Safe) -> Response:
    """Return what a verifier needs besides the file."""
    trust = vault.trust
    return json_response(
        {
            "origin": vault.settings.origin,
            "ledger": f"/ledger/{prefix_of(vault.settings.origin)}",
            "roots_pem": trust.roots_pem.decode("ascii"),
            "vkeys": list(trust.vkeys),
            "policy": trust.policy,
        }
    )
