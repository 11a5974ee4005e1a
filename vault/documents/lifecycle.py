"""What happens to a document after its issue: revocation and destruction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select, update

from storage.errors import StorageError, StorageUnavailable
from vault.access import Action, demand, may
from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.core.keyring import DocumentKey
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Kind, ObjectRole, Outcome, Private
from vault.domain.states import Sealing, Status, move_status
from vault.domain.transfer import Transfer
from vault.errors import Conflict, LedgerError, NotFound, Refused, Unavailable, VaultError
from vault.ids import looks_like_id
from vault.journal import Journal
from vault.ledger.destruction import destruction_opening
from vault.ledger.writer import LedgerTransaction, LedgerWriter
from vault.matters.labels import labels_record
from vault.outbox import announce
from vault.records import entries
from vault.records.book import RecordBook
from vault.records.changes import SEQ, Change
from vault.records.idempotency import Idempotency

_log = logging.getLogger("probans.lifecycle")
REVOCATION_REASONS = frozenset({"error", "fraud", "court-order", "other"})


class Lifecycle:
    """Changes of status; each is a ledger entry that bundles and verifiers find by its tag."""

    def __init__(
        self,
        database: Database,
        documents: Documents,
        ledger: LedgerWriter,
        idempotency: Idempotency,
        journal: Journal,
        records: RecordBook,
        clock: Clock,
    ) -> None:
        self._database = database
        self._documents = documents
        self._ledger = ledger
        self._idempotency = idempotency
        self._journal = journal
        self._records = records
        self._clock = clock

    def revoke(self, actor: Actor, document_id: str, reason: str, transfer: Transfer) -> Outcome:
        """Revoke an act: authentic still, but no longer in force.

        Args:
            actor: an agent of the issuing administration.
            document_id: the act.
            reason: one of REVOCATION_REASONS.
            transfer: idempotency key.

        Raises:
            Refused: FIELD_INVALID for another reason.
            NotFound: unknown, or not this administration's.
            Conflict: STATE_CONFLICT, NOT_PUBLISHED, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        if reason not in REVOCATION_REASONS:
            raise Refused("FIELD_INVALID", "one of " + ", ".join(sorted(REVOCATION_REASONS)), field="reason")
        scope = self._idempotency.scope(actor, "revocation", transfer.idempotency_key)
        document = self._entitled(actor, Action.REVOKE, document_id)
        request = self._idempotency.request({"document": document_id, "reason": reason}, b"")
        if document.kind is not Kind.ACT:
            raise NotFound("NOT_FOUND")

        def work(tx: LedgerTransaction) -> Outcome:
            if earlier := self._idempotency.earlier(tx.connection, scope, request):
                return earlier
            now = rfc3339(self._clock.now())
            current, key, private = self._open(tx, document_id)
            if current.sealing is not Sealing.SEALED:
                raise Conflict("NOT_PUBLISHED")
            kept = {
                "scope_ix": scope, "request_ix": request, "document_id": document_id,
                "status_code": 200, "seq": SEQ, "created_at": now,
            }  # fmt: skip
            status = move_status(current.status, Status.REVOKED)
            change = entries.build_change(
                key,
                private,
                entries.Event(
                    name="document.revoked",
                    chain=entries.STATUS_CHAIN,
                    counter=current.next_status,
                    document={
                        "document_id": document_id,
                        "sha256": current.parts[ObjectRole.ORIGINAL].sha256,
                    },
                    parties=entries.parties(holder=private.holder, actor=actor.id),
                    context=entries.context(case=private.case, reason=reason),
                ),
                inserts=(("idempotency", kept),),
                updates=(_status_update(current, status),),
            )
            return self._append(tx, change, "document.revoked", now, 200)

        with self._idempotency.alone(scope):
            return self._ledger.run(work)

    def destroy(self, actor: Actor, document_id: str) -> int:
        """Erase a document for good: its key, private part, openings and recovery records.

        The stored octets stay until their retention ends, unreadable; the ledger still verifies. The entry's
        opening is derived from K_status, so that whoever restores an older copy recognises the destruction.

        Repeat it when it raises something else than Conflict or NotFound: what is left is then done.

        Returns:
            The number of the ledger entry.

        Raises:
            NotFound: unknown, or not for this caller.
            Conflict: STATE_CONFLICT when already destroyed; RETENTION_ACTIVE before the end of retention.
            Unavailable: LEDGER_UNAVAILABLE, STORAGE_UNAVAILABLE.
            LedgerError: RECORD_DAMAGED, a recovery file that may hold its key cannot be rewritten.
        """
        document = self._entitled(actor, Action.DESTROY, document_id)
        if document.status is Status.DESTROYED:
            return self._finish(document)
        if document.retain_until > self._clock.now():
            raise Conflict("RETENTION_ACTIVE", until=rfc3339(document.retain_until))

        def work(tx: LedgerTransaction) -> Outcome:
            current, key, private = self._open(tx, document_id)
            move_status(current.status, Status.DESTROYED)
            left = remains(current, self._documents.event_rows(tx.connection, document_id))
            change = replace(destruction_change(key, private, current), remains=left)
            return self._append(tx, change, "document.destroyed", rfc3339(self._clock.now()), 200)

        outcome = self._ledger.run(work)
        faults.point("lifecycle.before-forget")
        self._forget(document_id)
        return outcome.seq

    def _finish(self, document: Document) -> int:
        """Finish a destruction that was cut short. Raises Conflict when nothing is left of it to do."""
        with self._database.reading() as connection:
            unfinished = self._documents.record_names(connection, document.id)
            last = self._documents.entries(connection, document.id, entries.STATUS_CHAIN)[-1]
        if not unfinished:
            raise Conflict("STATE_CONFLICT", current=document.status.value, wanted=Status.DESTROYED.value)
        self._forget(document.id)
        return last.seq

    def forget_destroyed(self) -> int:
        """Finish destructions that were cut short, and empty the database's log; for the start. Returns how many."""
        finished = self.finish_destructions()
        self._database.scrub()
        return finished

    def finish_destructions(self) -> int:
        """Finish destructions that a crash, or a store that was down, cut short of removing records.

        What cannot be finished now is logged and keeps nothing else from going on.

        Returns:
            How many were finished.
        """
        table, entries_table = models.documents, models.document_entries
        query = (
            select(table.c.id)
            .join(entries_table, entries_table.c.document_id == table.c.id)
            .where(table.c.status == Status.DESTROYED.value, entries_table.c.record != "")
            .distinct()
        )
        with self._database.reading() as connection:
            unfinished = list(connection.scalars(query))
        finished = 0
        for document_id in unfinished:
            try:
                self._forget(document_id)
                finished += 1
            except VaultError as error:
                _log.error(
                    "destruction cannot be finished", extra={"document": document_id, "code": error.code}
                )
        return finished

    def _forget(self, document_id: str) -> None:
        """Remove the document's recovery records, but the one that says it was destroyed."""
        table = models.document_entries
        about = table.c.document_id == document_id
        damaged: list[str] = []
        # The write lock keeps two rewriters of one file apart.
        labels = models.document_labels
        with self._database.writing() as connection:
            try:
                self._records.delete(labels_record(document_id))
            except StorageUnavailable as error:
                raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
            # A recovery between the destruction and now has written them again.
            connection.execute(delete(labels).where(labels.c.document_id == document_id))
            for name in self._documents.record_names(connection, document_id):
                try:
                    self._records.rewrite(name, lambda record: _keeps(record, document_id))
                except StorageUnavailable as error:
                    raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
                except (StorageError, LedgerError):
                    damaged.append(name)
                    continue
                connection.execute(update(table).where(about, table.c.record == name).values(record=""))
        if not self._database.scrub():
            _log.warning("the database's log still holds a destroyed key; the next start empties it")
        if damaged:
            raise LedgerError("RECORD_DAMAGED", f"recovery files that cannot be rewritten: {len(damaged)}")

    def _entitled(self, actor: Actor, action: Action, document_id: str) -> Document:
        document = None
        if looks_like_id(document_id, "doc"):
            with self._database.reading() as connection:
                document = self._documents.load(connection, document_id)
        if document is None:
            raise NotFound("NOT_FOUND")
        if not may(actor, action, document):
            if actor.role is not Role.ANONYMOUS and document.private is not None:
                self._journal.note_refusal(actor, document, "", action)
            demand(actor, action, safe_id=document.safe_id, issuer_id=document.issuer_id)
        return document

    def _open(self, tx: LedgerTransaction, document_id: str) -> tuple[Document, DocumentKey, Private]:
        document = self._documents.load(tx.connection, document_id)
        key = self._documents.key(tx.connection, document_id)
        if document is None or key is None or document.private is None:
            raise NotFound("DOCUMENT_DESTROYED")
        return document, key, document.private

    @staticmethod
    def _append(
        tx: LedgerTransaction, change: Change, topic: str, created_at: str, status_code: int
    ) -> Outcome:
        appended = tx.append(change.tag, change.commitment, change.encode())
        change.apply(tx.connection, appended.seq, appended.record)
        announce(tx, topic, change.document_id, created_at)
        return Outcome(change.document_id, status_code, appended.seq)


def first_digest(document: Document) -> str:
    """Return the hex digest of the octets first received: every older copy of the safe knows it.

    The digest of a seal that came later would be unknown to a copy made while the document waited for it.
    """
    return (document.parts.get(ObjectRole.RECEIVED) or document.parts[ObjectRole.ORIGINAL]).sha256


def destruction_change(key: DocumentKey, private: Private, document: Document) -> Change:
    """Build the change that erases a document; it carries no secret of it."""
    event = entries.Event("document.destroyed", entries.STATUS_CHAIN, document.next_status, {}, {}, {})
    opening = destruction_opening(bytes.fromhex(private.status_key), document.id, first_digest(document))
    built = entries.build_change(key, private, event, opening=opening)
    # The sealed opening could not be opened any more: leave it out.
    inserts = tuple((table, {**row, "opening": None}) for table, row in built.inserts)
    return Change(
        document_id=built.document_id,
        tag=built.tag,
        commitment=built.commitment,
        inserts=inserts,
        updates=(
            _status_update(document, Status.DESTROYED, wrapped_key=None, sealed=None),
            ("document_entries", {"document_id": document.id}, {"opening": None}),
        ),
        deletes=(
            ("digests", {"document_id": document.id}),
            ("access_windows", {"document_id": document.id}),
            ("document_labels", {"document_id": document.id}),
            ("document_scans", {"document_id": document.id}),
        ),
    )


def remains(
    document: Document, events: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return the rows that stay in the database when a document is destroyed: they name nobody and open nothing.

    Args:
        document: as it is before.
        events: rows of its entries before, without secrets.
    """
    row = {
        "id": document.id,
        "kind": document.kind.value,
        "safe_id": document.safe_id,
        "issuer_id": document.issuer_id,
        "document_type": document.document_type,
        "media_type": document.media_type,
        "size": document.size,
        "reception": document.reception.value,
        "sealing": document.sealing.value,
        "scan": document.scan.value,
        "status": document.status.value,
        "created_at": rfc3339(document.created_at),
        "retain_until": rfc3339(document.retain_until),
        "superseded_by": document.superseded_by,
        "supersedes": document.supersedes,
        "first_seq": document.first_seq,
        "issued_seq": document.issued_seq,
        "next_status": document.next_status,
        "next_access": document.next_access,
    }
    return (("documents", row), *(("document_entries", {**event, "record": ""}) for event in events))


def _status_update(
    document: Document, status: Status, **more: Any
) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    values = {"status": status.value, "next_status": document.next_status + 1, **more}
    return "documents", {"id": document.id}, values


def _keeps(record: bytes, document_id: str) -> bool:
    change = Change.decode(record)
    if change.document_id != document_id:
        return True
    return any(row.get("event") == "document.destroyed" for _, row in change.inserts)
