"""An act replaces another one of the same administration, in the transaction that issues it."""

from __future__ import annotations

from vault import entries
from vault.db.repositories import Documents
from vault.domain.documents import ObjectRole
from vault.domain.states import Sealing, Status, move_status
from vault.drafts import Draft
from vault.errors import Conflict, NotFound
from vault.ledger.writer import LedgerTransaction
from vault.outbox import announce
from vault.sealing import Sealed


def supersede(documents: Documents, tx: LedgerTransaction, draft: Draft, sealed: Sealed) -> None:
    """Mark the act that this one replaces, in the same transaction."""
    old_id = draft.intent.new.supersedes
    if old_id is None:
        return
    old = documents.load(tx.connection, old_id)
    key = documents.key(tx.connection, old_id)
    if old is None or key is None or old.private is None or old.issuer_id != draft.intent.issuer_id:
        raise NotFound("NOT_FOUND")
    if old.sealing is not Sealing.SEALED:
        raise Conflict("NOT_PUBLISHED")
    status = move_status(old.status, Status.SUPERSEDED)
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
                    "status": status.value,
                    "superseded_by": draft.key.document_id,
                    "next_status": old.next_status + 1,
                },
            ),
        ),
    )
    appended = tx.append(change.tag, change.commitment, change.encode())
    change.apply(tx.connection, appended.seq, appended.record)
    announce(tx.connection, "document.superseded", old.id, appended.time)
