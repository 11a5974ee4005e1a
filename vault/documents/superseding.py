"""An act replaces another one of the same administration and holder, in the transaction that issues it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from vault.db import models
from vault.db.repositories import Documents
from vault.documents.drafts import Draft, Intent
from vault.domain.documents import Document, ObjectRole
from vault.domain.states import Sealing, Status, move_status
from vault.errors import Conflict, NotFound, Refused
from vault.ledger.writer import LedgerTransaction
from vault.outbox import announce
from vault.records import entries
from vault.sealing.desk import Sealed


def check_replaceable(documents: Documents, connection: Connection, intent: Intent) -> None:
    """Refuse an act that says it replaces what it cannot; a seal that comes later must find nothing new.

    Raises:
        NotFound: no such act of this administration.
        Refused: FIELD_INVALID, the act lies in another holder's safe: each would learn of the other's.
        Conflict: STATE_CONFLICT, it is not in force, or another act that waits for its seal replaces it.
    """
    old_id = intent.new.supersedes
    if old_id is None:
        return
    old = documents.load(connection, old_id)
    if old is None or old.private is None or old.issuer_id != intent.issuer_id:
        raise NotFound("NOT_FOUND")
    if old.safe_id != intent.safe_id:
        raise Refused("FIELD_INVALID", "an act replaces one of the same holder", field="supersedes")
    move_status(old.status, Status.SUPERSEDED)
    table = models.documents
    waiting = select(table.c.id).where(
        table.c.sealing == Sealing.WAITING.value,
        table.c.supersedes == old_id,
        table.c.status == Status.VALID.value,
    )
    if connection.execute(waiting).first() is not None:
        superseded = Status.SUPERSEDED.value
        raise Conflict("STATE_CONFLICT", "its replacement waits", current=superseded, wanted=superseded)


def supersede(documents: Documents, tx: LedgerTransaction, draft: Draft, sealed: Sealed) -> None:
    """Mark the act that a newly issued one replaces, in the same transaction.

    Raises:
        NotFound, Refused, Conflict: see `check_replaceable`; NOT_PUBLISHED when it still waits for its seal.
    """
    if draft.intent.new.supersedes is None:
        return
    check_replaceable(documents, tx.connection, draft.intent)
    old = documents.load(tx.connection, draft.intent.new.supersedes)
    if old is None or old.sealing is not Sealing.SEALED:
        raise Conflict("NOT_PUBLISHED")
    _mark(documents, tx, draft, sealed, old)


def supersede_promised(documents: Documents, tx: LedgerTransaction, draft: Draft, sealed: Sealed) -> None:
    """Mark the act that one sealed later replaces, if it is still in force.

    The new act was promised when it was received: an old one that was revoked or destroyed meanwhile is out of
    force already, and must not keep it from its seal.
    """
    if draft.intent.new.supersedes is None:
        return
    old = documents.load(tx.connection, draft.intent.new.supersedes)
    if old is not None and old.status is Status.VALID and old.sealing is Sealing.SEALED:
        _mark(documents, tx, draft, sealed, old)


def _mark(documents: Documents, tx: LedgerTransaction, draft: Draft, sealed: Sealed, old: Document) -> None:
    key = documents.key(tx.connection, old.id)
    if key is None or old.private is None:
        raise NotFound("NOT_FOUND")
    change = entries.build_change(
        key,
        old.private,
        entries.Event(
            name="document.superseded",
            chain=entries.STATUS_CHAIN,
            counter=old.next_status,
            document={
                "document_id": old.id,
                "sha256": old.parts[ObjectRole.ORIGINAL].sha256,
                "superseded_by_sha256": sealed.revision.sha256.hex(),
            },
            parties=entries.parties(holder=old.private.holder, actor=draft.intent.actor.id),
            context=entries.context(case=draft.intent.new.case),
        ),
        updates=(
            (
                "documents",
                {"id": old.id},
                {
                    "status": Status.SUPERSEDED.value,
                    "superseded_by": draft.key.document_id,
                    "next_status": old.next_status + 1,
                },
            ),
        ),
    )
    appended = tx.append(change.tag, change.commitment, change.encode())
    change.apply(tx.connection, appended.seq, appended.record)
    announce(tx, "document.superseded", old.id, appended.time)
