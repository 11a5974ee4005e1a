"""Who may do what: the one place that decides. Whatever stands in no rule is refused.

A rule is (role, action, relation). Which relations a caller has to a thing is found by `vault.authorization.ties`,
from the database and the clock; here is only the table. `probans access table` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vault.domain.actors import Actor, Role
from vault.domain.documents import Document
from vault.errors import NotFound, Refused

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
HOLDER_PURPOSE = "consultation"


class Action(StrEnum):
    """What can be asked."""

    # documents
    ISSUE = "issue"
    DEPOSIT = "deposit"
    LIST = "list"
    DESCRIBE = "describe"
    READ = "read"
    COPY = "copy"
    EVIDENCE = "evidence"
    RECEIPT = "receipt"
    KEYS = "keys"
    REVOKE = "revoke"
    DESTROY = "destroy"
    LABEL = "label"
    # safes
    SAFE_OPEN = "safe-open"
    SAFE_SEE = "safe-see"
    JOURNAL = "journal"
    JOURNAL_PROOF = "journal-proof"
    EXPORT = "export"
    CONTACTS = "contacts"
    CLOSURE_ASK = "closure-ask"
    CLOSURE_SEE = "closure-see"
    CLOSURE_CONFIRM = "closure-confirm"
    CLOSURE_CANCEL = "closure-cancel"
    CLOSURE_DECIDE = "closure-decide"
    MANDATE_GRANT = "mandate-grant"
    MANDATE_SEE = "mandate-see"
    MANDATE_END = "mandate-end"
    # tell us once
    REQUEST_MAKE = "request-make"
    REQUEST_SEE = "request-see"
    REQUEST_ANSWER = "request-answer"
    REQUEST_CANCEL = "request-cancel"
    CONSENT_SEE = "consent-see"
    CONSENT_WITHDRAW = "consent-withdraw"
    STATEMENT_SEE = "statement-see"
    # sharing with third parties
    SHARE_CREATE = "share-create"
    SHARE_SEE = "share-see"
    SHARE_WITHDRAW = "share-withdraw"
    # where is my request
    CASE_WRITE = "case-write"
    CASE_SEE = "case-see"
    # rights and oversight
    REPORT_MAKE = "report-make"
    REPORT_SEE = "report-see"
    REPORT_ANSWER = "report-answer"
    NOTE_ADD = "note-add"
    NOTE_SEE = "note-see"
    NOTE_ANSWER = "note-answer"
    REQUISITION_WRITE = "requisition-write"
    REQUISITION_SEE = "requisition-see"
    # people behind pseudonyms
    PSEUDONYM = "pseudonym"


class Relation(StrEnum):
    """How the caller stands to the thing asked for."""

    OWN_SAFE = "own-safe"
    MANDATE = "mandate"
    OWN_ADMINISTRATION = "own-administration"
    CONSENT = "consent"
    SHARE = "share"
    REQUISITION = "requisition"
    ANY = "any"


# What an administration does, by its agents or its software; of this, what a system has scopes for: see SYSTEM_SCOPES.
_OWN_ADMINISTRATION = frozenset(
    {
        Action.ISSUE, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT, Action.REVOKE,
        Action.SAFE_OPEN, Action.MANDATE_GRANT, Action.MANDATE_SEE, Action.MANDATE_END, Action.CLOSURE_ASK,
        Action.CLOSURE_SEE, Action.CLOSURE_CANCEL,
        Action.REQUEST_MAKE, Action.REQUEST_SEE, Action.REQUEST_CANCEL, Action.CONSENT_SEE,
        Action.STATEMENT_SEE, Action.CASE_WRITE, Action.CASE_SEE, Action.NOTE_SEE, Action.NOTE_ANSWER,
        Action.PSEUDONYM,
    }
)  # fmt: skip
_BY_CONSENT = frozenset({Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT})

# The table: role, relation, then everything the two allow.
_TABLE: Mapping[tuple[Role, Relation], frozenset[Action]] = {
    (Role.HOLDER, Relation.OWN_SAFE): frozenset(
        {
            Action.DEPOSIT, Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT,
            # K_access tells who follows the ledger of each read; whoever reads must not learn of other readers.
            Action.KEYS,
            Action.LABEL, Action.SAFE_SEE, Action.JOURNAL, Action.JOURNAL_PROOF, Action.EXPORT, Action.CONTACTS,
            Action.CLOSURE_ASK, Action.CLOSURE_SEE, Action.CLOSURE_CONFIRM, Action.CLOSURE_CANCEL,
            Action.MANDATE_GRANT, Action.MANDATE_SEE, Action.MANDATE_END,
            Action.REQUEST_SEE, Action.REQUEST_ANSWER, Action.CONSENT_SEE, Action.CONSENT_WITHDRAW,
            Action.STATEMENT_SEE,
            Action.SHARE_CREATE, Action.SHARE_SEE, Action.SHARE_WITHDRAW, Action.CASE_SEE,
            Action.REPORT_MAKE, Action.REPORT_SEE, Action.NOTE_ADD, Action.NOTE_SEE,
        }
    ),
    # A person sees and renounces the mandates that name them, acting under none.
    (Role.HOLDER, Relation.MANDATE): frozenset({Action.MANDATE_SEE, Action.MANDATE_END}),
    # What a mandate's own scope leaves of this: see MANDATE_SCOPES.
    (Role.MANDATARY, Relation.MANDATE): frozenset(
        {
            Action.DEPOSIT, Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT,
            Action.LABEL, Action.SAFE_SEE, Action.JOURNAL, Action.MANDATE_SEE, Action.MANDATE_END,
            Action.REQUEST_SEE, Action.REQUEST_ANSWER, Action.CONSENT_SEE, Action.CONSENT_WITHDRAW,
            Action.STATEMENT_SEE, Action.SHARE_CREATE, Action.SHARE_SEE, Action.SHARE_WITHDRAW, Action.CASE_SEE,
            Action.REPORT_MAKE, Action.REPORT_SEE, Action.NOTE_ADD, Action.NOTE_SEE,
        }
    ),
    (Role.AGENT, Relation.OWN_ADMINISTRATION): _OWN_ADMINISTRATION,
    (Role.AGENT, Relation.CONSENT): _BY_CONSENT,
    (Role.SYSTEM, Relation.OWN_ADMINISTRATION): _OWN_ADMINISTRATION,
    (Role.SYSTEM, Relation.CONSENT): _BY_CONSENT,
    # Auditors see evidence, never content: describe leaves the private part out for them.
    (Role.AUDITOR, Relation.ANY): frozenset({Action.DESCRIBE, Action.RECEIPT}),
    (Role.AUDITOR, Relation.CONSENT): frozenset({Action.READ, Action.EVIDENCE}),
    (Role.AUDITOR, Relation.REQUISITION): frozenset({Action.READ, Action.EVIDENCE}),
    (Role.OPERATOR, Relation.ANY): frozenset({Action.DESTROY}),
    (Role.OFFICER, Relation.ANY): frozenset(
        {
            Action.REPORT_SEE, Action.REPORT_ANSWER, Action.REQUISITION_WRITE, Action.REQUISITION_SEE,
            Action.CLOSURE_SEE, Action.CLOSURE_CONFIRM, Action.CLOSURE_CANCEL, Action.CLOSURE_DECIDE,
            Action.NOTE_SEE, Action.NOTE_ANSWER,
        }
    ),
    # Of this, what the share gives: see SHARE_SCOPES.
    (Role.BEARER, Relation.SHARE): frozenset({Action.DESCRIBE, Action.COPY, Action.READ, Action.EVIDENCE}),
}  # fmt: skip
RULES: frozenset[tuple[Role, Action, Relation]] = frozenset(
    (role, action, relation) for (role, relation), actions in _TABLE.items() for action in actions
)

_LOOK = frozenset({Action.SAFE_SEE, Action.MANDATE_SEE, Action.MANDATE_END})
_READ = frozenset({Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT})
# What somebody with a mandate may do, by the words of its scope. MANDATE_END is to renounce one's own.
MANDATE_SCOPES: Mapping[str, frozenset[Action]] = {
    "read": _LOOK | _READ | {Action.JOURNAL, Action.CASE_SEE},
    "deposit": _LOOK | {Action.LIST, Action.DEPOSIT, Action.LABEL, Action.NOTE_ADD, Action.NOTE_SEE},
    "answer": _LOOK
    | {
        Action.REQUEST_SEE, Action.REQUEST_ANSWER, Action.CONSENT_SEE, Action.CONSENT_WITHDRAW, Action.STATEMENT_SEE,
        Action.REPORT_MAKE, Action.REPORT_SEE,
    },
    "share": _LOOK | {Action.LIST, Action.SHARE_CREATE, Action.SHARE_SEE, Action.SHARE_WITHDRAW},
}  # fmt: skip
# What a consent opens, by the words of its actions. A bundle holds the original besides its proofs.
CONSENT_SCOPES: Mapping[str, frozenset[Action]] = {
    "describe": frozenset({Action.DESCRIBE, Action.RECEIPT}),
    "read": frozenset({Action.DESCRIBE, Action.RECEIPT, Action.READ}),
    "evidence": frozenset({Action.DESCRIBE, Action.RECEIPT, Action.EVIDENCE}),
}
# What a share opens, by the words of what it gives.
SHARE_SCOPES: Mapping[str, frozenset[Action]] = {
    "watermark": frozenset({Action.DESCRIBE, Action.COPY}),
    "original": frozenset({Action.DESCRIBE, Action.READ}),
    "evidence": frozenset({Action.DESCRIBE, Action.EVIDENCE}),
}
# The scope a system needs for each action.
SYSTEM_SCOPES: Mapping[Action, str] = {
    Action.ISSUE: "acts:issue",
    Action.REVOKE: "acts:revoke",
    Action.DESCRIBE: "acts:read",
    Action.READ: "acts:read",
    Action.EVIDENCE: "acts:read",
    Action.RECEIPT: "acts:read",
    Action.REQUEST_MAKE: "requests:write",
    Action.REQUEST_SEE: "requests:write",
    Action.REQUEST_CANCEL: "requests:write",
    Action.CONSENT_SEE: "requests:write",
    Action.STATEMENT_SEE: "requests:write",
    Action.CASE_WRITE: "cases:write",
    Action.CASE_SEE: "cases:write",
    Action.SAFE_OPEN: "safes:write",
    Action.MANDATE_GRANT: "mandates:write",
    Action.MANDATE_SEE: "mandates:write",
    Action.MANDATE_END: "mandates:write",
    Action.CLOSURE_ASK: "closures:write",
    Action.CLOSURE_SEE: "closures:write",
    Action.CLOSURE_CANCEL: "closures:write",
    Action.NOTE_SEE: "notes:write",
    Action.NOTE_ANSWER: "notes:write",
    Action.PSEUDONYM: "agents:resolve",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """Why something is allowed; the journal cites it.

    Attributes:
        relation: the relation that allows it.
        matter_id: the mandate, consent, share or requisition it rests on, or "".
    """

    relation: Relation
    matter_id: str = ""

    def cited(self, relation: Relation) -> str:
        """Return the matter when the grant rests on this relation, else ""."""
        return self.matter_id if self.relation is relation else ""


def has_rule(actor: Actor, action: Action, relation: Relation) -> bool:
    """Tell whether the table lets this caller do this in that relation; a system needs the scope besides."""
    if actor.role is Role.SYSTEM and SYSTEM_SCOPES.get(action) not in actor.scopes:
        return False
    return (actor.role, action, relation) in RULES


def own_relations(actor: Actor, *, safe_id: str | None, issuer_id: str | None) -> list[Relation]:
    """Return the relations that need no look-up: one's own safe, one's own administration, any."""
    relations = []
    if safe_id is not None and actor.safe_id == safe_id:
        relations.append(Relation.OWN_SAFE)
    if issuer_id is not None and actor.administration_id == issuer_id:
        relations.append(Relation.OWN_ADMINISTRATION)
    return [*relations, Relation.ANY]


def is_allowed(actor: Actor, action: Action, *, safe_id: str | None, issuer_id: str | None) -> bool:
    """Tell whether a rule that needs no look-up lets this caller do this to a thing in that safe, of that issuer."""
    return any(
        has_rule(actor, action, relation)
        for relation in own_relations(actor, safe_id=safe_id, issuer_id=issuer_id)
    )


def may(actor: Actor, action: Action, document: Document) -> bool:
    """Tell whether a rule that needs no look-up lets this caller do this to a document."""
    return is_allowed(actor, action, safe_id=document.safe_id, issuer_id=document.issuer_id)


def demand(actor: Actor, action: Action, *, safe_id: str | None = None, issuer_id: str | None = None) -> None:
    """Raise NotFound when no rule allows it: what one may not see looks like what is not there."""
    if not is_allowed(actor, action, safe_id=safe_id, issuer_id=issuer_id):
        raise NotFound("NOT_FOUND")


def checked_purpose(actor: Actor, purpose: str) -> str:
    """Return the purpose of a read; holders and who acts for them have a default, everybody else must say why.

    Raises:
        Refused: PURPOSE_REQUIRED for an empty or malformed purpose.
    """
    if not purpose and actor.role in {Role.HOLDER, Role.MANDATARY}:
        return HOLDER_PURPOSE
    if not _PURPOSE.fullmatch(purpose):
        raise Refused("PURPOSE_REQUIRED")
    return purpose


def said_purpose(purpose: str) -> str:
    """Return a purpose fit for the journal of refused reads: what was said, or nothing when malformed."""
    return purpose if _PURPOSE.fullmatch(purpose) else ""
