"""Builds the change behind each ledger entry about a document: opening, tag, rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.core.keyring import DocumentKey
from vault.db.repositories import opening_role
from vault.domain.actors import Actor, Role
from vault.domain.documents import Private
from vault.ledger.events import check_opening
from vault.ledger.opening import ALL, Opening
from vault.ledger.tags import tag
from vault.records.changes import RECORD, SEQ, Change

STATUS_CHAIN = "status"
ACCESS_CHAIN = "access"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, in the three parts of an opening.

    Attributes:
        name: registered event such as `document.issued`.
        chain: "status" or "access": which tag key links it.
        counter: counter of the tag.
        document: part opened to whoever holds a bundle.
        parties: who.
        context: why.
    """

    name: str
    chain: str
    counter: int
    document: Mapping[str, Any]
    parties: Mapping[str, Any]
    context: Mapping[str, Any]


def build_change(
    key: DocumentKey,
    private: Private,
    event: Event,
    *,
    inserts: tuple[tuple[str, Mapping[str, Any]], ...] = (),
    updates: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (),
    deletes: tuple[tuple[str, Mapping[str, Any]], ...] = (),
    opening: Opening | None = None,
) -> Change:
    """Draw an opening for the event and put its rows together.

    Args:
        key: the document's key: it encrypts the opening.
        private: holds the tag keys.
        event: what happened.
        inserts: further rows, before the entry's own.
        updates: further updates, after it.
        deletes: rows to delete, last.
        opening: a ready opening; None draws one with random salts.

    Raises:
        vault.errors.LedgerError: the event is not registered or its opening lacks a member.
    """
    if opening is None:
        opening = Opening.new(
            document={"event": event.name, **event.document}, parties=event.parties, context=event.context
        )
    check_opening(opening)
    tag_key = private.status_key if event.chain == STATUS_CHAIN else private.access_key
    sealed = key.seal(opening_role(event.chain, event.counter), opening.to_json(ALL))
    entry_row = {
        "seq": SEQ,
        "document_id": key.document_id,
        "chain": event.chain,
        "counter": event.counter,
        "event": event.name,
        "opening": sealed,
        "record": RECORD,
    }
    return Change(
        document_id=key.document_id,
        tag=tag(bytes.fromhex(tag_key), event.counter),
        commitment=opening.commitment(),
        inserts=(*inserts, ("document_entries", entry_row)),
        updates=updates,
        deletes=deletes,
    )


def parties(*, holder: str, actor: str, mandate: str = "") -> dict[str, str]:
    """Return the opening part that says who."""
    return {"holder": holder, "actor": actor, "mandate": mandate}


_SPEAK_FOR_OTHERS = frozenset(
    {Role.AGENT, Role.SYSTEM, Role.AUDITOR, Role.OPERATOR, Role.OFFICER, Role.BEARER}
)


def parties_of(actor: Actor, *, holder: str) -> dict[str, str]:
    """Return the opening part that says who acted, for whom, in what quality.

    The identifier of an agent is a pseudonym already, which only the administration resolves; so is that of the agent
    for whom a system says it acts.
    """
    who = parties(holder=holder, actor=actor.agent or actor.id, mandate=actor.mandate_id or "")
    if actor.role in _SPEAK_FOR_OTHERS:
        who |= {
            "role": actor.role.value,
            "organisation": actor.administration_id or "",
            "service": actor.service,
        }
    elif actor.role is Role.HOLDER and actor.id != holder:
        who["role"] = actor.role.value  # of another safe: a refused try
    return who


def context(
    *,
    purpose: str = "",
    case: str = "",
    consent: str = "",
    title: str = "",
    file_name: str = "",
    **more: str,
) -> dict[str, str]:
    """Return the opening part that says why and what it is called.

    Args:
        purpose: code of the purpose.
        case: opaque reference of the portal's request.
        consent: the consent it rests on.
        title: of the document.
        file_name: of the document.
        more: members that some events have besides (reason, share, requisition, words), left out when empty.
    """
    values = {"purpose": purpose, "case": case, "consent": consent, "title": title, "file_name": file_name}
    return values | {name: value for name, value in more.items() if value}
