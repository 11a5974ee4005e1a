"""Who may do what: the one place that decides. Whatever stands in no rule is refused."""

from __future__ import annotations

import re
from enum import StrEnum

from vault.domain.actors import Actor, Role
from vault.domain.documents import Document
from vault.errors import NotFound, Refused

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
HOLDER_PURPOSE = "consultation"


class Action(StrEnum):
    """What can be asked."""

    ISSUE = "issue"
    DEPOSIT = "deposit"
    LIST = "list"
    DESCRIBE = "describe"
    READ = "read"
    EVIDENCE = "evidence"
    RECEIPT = "receipt"
    KEYS = "keys"
    REVOKE = "revoke"
    DESTROY = "destroy"


class Relation(StrEnum):
    """How the caller stands to the thing asked for."""

    OWN_SAFE = "own-safe"
    OWN_ADMINISTRATION = "own-administration"
    ANY = "any"


RULES: frozenset[tuple[Role, Action, Relation]] = frozenset(
    {
        (Role.HOLDER, Action.DEPOSIT, Relation.OWN_SAFE),
        (Role.HOLDER, Action.LIST, Relation.OWN_SAFE),
        (Role.HOLDER, Action.DESCRIBE, Relation.OWN_SAFE),
        (Role.HOLDER, Action.READ, Relation.OWN_SAFE),
        (Role.HOLDER, Action.EVIDENCE, Relation.OWN_SAFE),
        (Role.HOLDER, Action.RECEIPT, Relation.OWN_SAFE),
        # K_access tells who follows the ledger of each read; whoever reads must not learn of other readers.
        (Role.HOLDER, Action.KEYS, Relation.OWN_SAFE),
        (Role.AGENT, Action.ISSUE, Relation.OWN_ADMINISTRATION),
        (Role.AGENT, Action.DESCRIBE, Relation.OWN_ADMINISTRATION),
        (Role.AGENT, Action.READ, Relation.OWN_ADMINISTRATION),
        (Role.AGENT, Action.EVIDENCE, Relation.OWN_ADMINISTRATION),
        (Role.AGENT, Action.RECEIPT, Relation.OWN_ADMINISTRATION),
        (Role.AGENT, Action.REVOKE, Relation.OWN_ADMINISTRATION),
        # Auditors see evidence, never content: describe leaves the private part out for them.
        (Role.AUDITOR, Action.DESCRIBE, Relation.ANY),
        (Role.AUDITOR, Action.RECEIPT, Relation.ANY),
        (Role.OPERATOR, Action.DESTROY, Relation.ANY),
    }
)


def is_allowed(actor: Actor, action: Action, *, safe_id: str | None, issuer_id: str | None) -> bool:
    """Tell whether a rule lets this caller do this to a thing in that safe, issued by that administration."""
    relations = {Relation.ANY}
    if safe_id is not None and actor.safe_id == safe_id:
        relations.add(Relation.OWN_SAFE)
    if issuer_id is not None and actor.administration_id == issuer_id:
        relations.add(Relation.OWN_ADMINISTRATION)
    return any((actor.role, action, relation) in RULES for relation in relations)


def may(actor: Actor, action: Action, document: Document) -> bool:
    """Tell whether a rule lets this caller do this to a document."""
    return is_allowed(actor, action, safe_id=document.safe_id, issuer_id=document.issuer_id)


def demand(actor: Actor, action: Action, *, safe_id: str | None = None, issuer_id: str | None = None) -> None:
    """Raise NotFound when no rule allows it: what one may not see looks like what is not there."""
    if not is_allowed(actor, action, safe_id=safe_id, issuer_id=issuer_id):
        raise NotFound("NOT_FOUND")


def checked_purpose(actor: Actor, purpose: str) -> str:
    """Return the purpose of a read; holders have a default, everybody else must say why.

    Raises:
        Refused: PURPOSE_REQUIRED for an empty or malformed purpose.
    """
    if not purpose and actor.role is Role.HOLDER:
        return HOLDER_PURPOSE
    if not _PURPOSE.fullmatch(purpose):
        raise Refused("PURPOSE_REQUIRED")
    return purpose


def said_purpose(purpose: str) -> str:
    """Return a purpose fit for the journal of refused reads: what was said, or nothing when malformed."""
    return purpose if _PURPOSE.fullmatch(purpose) else ""
