"""A document on its way: what was asked, what is known so far, and the events it makes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Connection

from vault.core.keyring import DocumentKey
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Kind, NewDocument, Outcome, Part, Private
from vault.domain.transfer import Transfer
from vault.ledger.group import LedgerTransaction
from vault.records import entries
from vault.scanning.base import NOT_LOOKED, Verdict
from vault.sealing.desk import Sealed


@dataclass(frozen=True, slots=True)
class Intent:
    """A write whose caller has been found entitled to it.

    Attributes:
        route: scopes the idempotency key.
        kind: act or attachment.
        actor: the caller.
        safe_id: the safe that receives the document; "" where there is none, which is said when nothing else is wrong:
            who learns whether a holder has a safe has left a document there.
        issuer_id: the administration, for acts.
        new: what the caller says about the file.
        transfer: idempotency key and declared length and digest.
        entitled: asked again in the transaction that takes the file in; raises what it raised before, when what
            allowed it ended meanwhile.
        lasting: it need not be asked while the safe is quiet (`vault.authorization.ties.Ties.is_lasting`).
        noted: called at the end of that transaction with what it gives, for rows that must be true with it and no
            sooner; what it raises undoes the whole. None: nothing else is written.
    """

    route: str
    kind: Kind
    actor: Actor
    safe_id: str
    issuer_id: str | None
    new: NewDocument
    transfer: Transfer
    entitled: Callable[[Connection], object]
    lasting: bool = False
    noted: Callable[[LedgerTransaction, Outcome], None] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before its rows exist.

    Attributes:
        key: its key.
        private: its private part.
        intent: what was asked.
        media_type: decided from the content.
        size: octets received.
        created_at: the service's statement of reception, RFC 3339.
        retain_until: nothing is deleted before, RFC 3339.
        verdict: what the antivirus said; unscanned where there is none.
    """

    key: DocumentKey
    private: Private
    intent: Intent
    media_type: str
    size: int
    created_at: str
    retain_until: str
    verdict: Verdict = NOT_LOOKED


def description(intent: Intent) -> dict[str, Any]:
    """Return what makes two requests the same, besides their body."""
    new = intent.new
    # Left out where there are none, so that requests of before these were known stay the same.
    stated: dict[str, Any] = {"attributes": dict(new.attributes)} if new.attributes else {}
    if new.retention_days:
        stated["retention_days"] = new.retention_days
    return {
        **stated,
        "kind": intent.kind.value,
        "safe": intent.safe_id,
        "issuer": intent.issuer_id,
        "holder": new.holder,
        "title": new.title,
        "file_name": new.file_name,
        "document_type": new.document_type,
        "case": new.case,
        "language": new.language,
        "supersedes": new.supersedes,
    }


def intent_of(document: Document) -> Intent:
    """Return the intent behind a stored document, to finish it later."""
    private = document.private
    assert private is not None  # noqa: S101 - the caller has just looked
    new = NewDocument(
        holder=private.holder,
        title=private.title,
        file_name=private.file_name,
        document_type=document.document_type,
        case=private.case,
        language=private.language,
        supersedes=document.supersedes,
        attributes=private.attributes,
    )
    role = Role.AGENT if document.kind is Kind.ACT else Role.HOLDER
    actor = Actor(id=private.actor, role=role)
    # The file was taken in already: nothing is asked anew of who brought it.
    return Intent(
        "heal", document.kind, actor, document.safe_id, document.issuer_id, new, Transfer(""), lambda _: None
    )


def reception_event(draft: Draft, part: Part) -> entries.Event:
    """Return the event of a reception without timestamp."""
    return entries.Event(
        name="document.received",
        chain=entries.STATUS_CHAIN,
        counter=0,
        document=_document_part(draft, bytes.fromhex(part.sha256), part.size),
        parties=_parties(draft),
        context=_context(draft),
    )


def sealing_event(draft: Draft, sealed: Sealed, counter: int) -> entries.Event:
    """Return the event of a seal: the issue of an act, the deposit of an attachment."""
    revision = sealed.revision
    committed = {
        "signature": hashlib.sha256(revision.signature).hexdigest(),
        "token": hashlib.sha256(revision.token).hexdigest(),
        "seal_certificate": revision.certificate.fingerprint(SHA256()).hex(),
    }
    if revision.manifest:
        committed["manifest"] = hashlib.sha256(revision.manifest).hexdigest()
    name = "document.issued" if draft.intent.kind is Kind.ACT else "document.deposited"
    return entries.Event(
        name=name,
        chain=entries.STATUS_CHAIN,
        counter=counter,
        document={**_document_part(draft, revision.sha256, revision.size), "parts": committed},
        parties=_parties(draft),
        context=_context(draft),
    )


def _document_part(draft: Draft, sha256: bytes, size: int) -> dict[str, Any]:
    return {
        "document_id": draft.key.document_id,
        "sha256": sha256.hex(),
        "size": size,
        "media_type": draft.media_type,
        "document_type": draft.intent.new.document_type,
        "issuer": draft.intent.issuer_id or "",
    }


def _parties(draft: Draft) -> dict[str, str]:
    private = draft.private
    return entries.parties(holder=private.holder, actor=private.actor, mandate=private.mandate)


def _context(draft: Draft) -> dict[str, str]:
    private = draft.private
    return entries.context(case=private.case, title=private.title, file_name=private.file_name)
