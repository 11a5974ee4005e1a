"""What the sealed papers of consents say; `docs/evidence-format.md` describes both for readers in thirty years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vault.clock import rfc3339
from vault.domain.actors import Actor
from vault.domain.documents import Document, ObjectRole
from vault.domain.matters import Matter

CONSENT_FORMAT = "probans/consent/v1"
WITHDRAWAL_FORMAT = "probans/consent-withdrawal/v1"


@dataclass(frozen=True, slots=True)
class Given:
    """Who gives a consent, and for how long.

    Attributes:
        actor: the holder, or who acts by a mandate.
        at: when, UTC.
        ends_at: end of access, UTC.
    """

    actor: Actor
    at: datetime
    ends_at: datetime


def consent_statement(
    consent_id: str,
    request: Matter,
    administration: Mapping[str, str],
    document: Document,
    issuer: Mapping[str, str],
    given: Given,
) -> Mapping[str, Any]:
    """Return the statement of a consent.

    Args:
        consent_id: the consent.
        request: what it answers.
        administration: `id` and `name` of who asks.
        document: what may be seen.
        issuer: `id` and `name` of its issuer, both empty for what a holder deposited.
        given: by whom, and for how long.
    """
    private = request.private
    return {
        "format": CONSENT_FORMAT,
        "consent": consent_id,
        "request": request.id,
        "holder": private["holder"],
        "administration": administration,
        "service": private["service"],
        "document": {
            "id": document.id,
            "kind": document.kind.value,
            "type": document.document_type,
            "issuer": issuer,
            "sha256": document.parts[ObjectRole.ORIGINAL].sha256,
        },
        **{name: private[name] for name in ("purpose", "words", "legal_basis", "case", "actions")},
        "otherwise": private["otherwise"],
        "given_at": rfc3339(given.at),
        "ends_at": rfc3339(given.ends_at),
        **given_by(given.actor),
    }


def withdrawal_statement(actor: Actor, consent: Matter, reason: str, at: datetime) -> Mapping[str, Any]:
    """Return the statement of a withdrawal.

    Args:
        actor: the holder, or who acts by a mandate.
        consent: what is withdrawn; named by the SHA-256 of its statement too.
        reason: why, or "".
        at: when, UTC.
    """
    private = consent.private
    return {
        "format": WITHDRAWAL_FORMAT,
        "consent": consent.id,
        "consent_sha256": private["sha256"],
        "holder": private["holder"],
        "administration": private["administration"],
        "document": {"id": private["document"]["id"], "sha256": private["document"]["sha256"]},
        "reason": reason,
        "withdrawn_at": rfc3339(at),
        **given_by(actor),
    }


def given_by(actor: Actor) -> dict[str, str]:
    """Return what a sealed statement says of who made it: in what quality, by which mandate, proven how surely.

    Whose mandate it is, the ledger's entry says to whoever may see it.
    """
    return {
        "by": actor.role.value,
        "mandate": actor.mandate_id or "",
        "assurance": "" if actor.assurance is None else actor.assurance.name.lower(),
    }
