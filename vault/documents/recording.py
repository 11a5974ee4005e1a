"""Step 7 of the flow: the ledger entry of a document, its rows and the message that tells of it, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vault.core import faults
from vault.db.matters import quiet_safes
from vault.db.repositories import PRIVATE_ROLE, Documents, private_bytes
from vault.documents.arrivals import Arrival, each, still
from vault.documents.drafts import Draft, reception_event, sealing_event
from vault.documents.superseding import check_replaceable, supersede, supersede_promised
from vault.domain.documents import Outcome, Part
from vault.domain.states import Reception, Scan, Sealing, Status
from vault.ledger.writer import Asking, LedgerTransaction, LedgerWriter
from vault.outbox import announce
from vault.records import entries
from vault.records.changes import SEQ, Change
from vault.records.idempotency import Idempotency, answers
from vault.records.objects import Shelf
from vault.scanning.rows import scan_row
from vault.sealing.desk import Sealed

Work = Callable[[LedgerTransaction], Outcome]


class Recorder:
    """Makes documents known."""

    def __init__(
        self, documents: Documents, shelf: Shelf, ledger: LedgerWriter, idempotency: Idempotency, scans: bool
    ) -> None:
        """Take what it works with.

        Args:
            documents: reads rows.
            shelf: knows the rows of parts.
            ledger: of the safe.
            idempotency: of callers' requests.
            scans: whether an antivirus looks at files.
        """
        self._documents = documents
        self._shelf = shelf
        self._ledger = ledger
        self._idempotency = idempotency
        self._scans = scans

    def record(self, arrivals: Sequence[Arrival]) -> None:
        """Record files whose parts are durable, in one group of the ledger; each gets its result."""
        works: list[Work] = []
        each(arrivals, lambda arrival: works.append(self._work(arrival)))
        faults.point("pipeline.before-ledger")
        for arrival, (outcome, raised) in zip(still(arrivals), self._ledger.run_all(works), strict=True):
            arrival.result = raised or outcome
        faults.point("pipeline.after-ledger")

    def _work(self, arrival: Arrival) -> Work:
        """Return what is to be done in the writers' turn; all that needs no look at the database is done here."""
        scope, request, draft, sealed = arrival.scope, arrival.request, arrival.draft, arrival.sealed
        status_code = 202 if sealed is None else 201
        kept = {
            "scope_ix": scope,
            "request_ix": request,
            "document_id": draft.key.document_id,
            "status_code": status_code,
            "seq": SEQ,
            "created_at": draft.created_at,
        }
        intent, change = draft.intent, self._reception(draft, sealed, arrival.delivery.parts, kept)
        record = change.encode()

        def work(tx: LedgerTransaction) -> Outcome:
            # A twin in another process may have committed between our look-up and now.
            if earlier := self._idempotency.earlier_here(tx, scope, request):
                return earlier
            if not (intent.lasting and tx.ask(quiet_safes, intent.safe_id)):
                intent.entitled(tx.connection)
            if sealed is None and intent.new.supersedes is not None:
                check_replaceable(self._documents, tx.connection, intent)
            appended = tx.append(change.tag, change.commitment, record)
            change.write(tx, appended)
            if sealed is not None:
                supersede(self._documents, tx, draft, sealed)
            # What waits for the antivirus is news once it is clean (`vault.scanning.queue`).
            waits = sealed is None or draft.verdict.scan is Scan.PENDING
            topic = "document.received" if waits else "document.published"
            announce(tx, topic, draft.key.document_id, draft.created_at)
            outcome = Outcome(draft.key.document_id, status_code, appended.seq)
            if intent.noted is not None:
                intent.noted(tx, outcome)
            return outcome

        return Asking(work, ((answers, scope), (quiet_safes, intent.safe_id)))

    def _reception(
        self, draft: Draft, sealed: Sealed | None, parts: list[Part], kept: Mapping[str, Any]
    ) -> Change:
        intent, key = draft.intent, draft.key
        row = {
            "id": key.document_id,
            "kind": intent.kind.value,
            "safe_id": intent.safe_id,
            "issuer_id": intent.issuer_id,
            "document_type": intent.new.document_type,
            "media_type": draft.media_type,
            "size": sealed.revision.size if sealed else draft.size,
            "reception": Reception.RECEIVED.value,
            "sealing": (Sealing.SEALED if sealed else Sealing.WAITING).value,
            "scan": draft.verdict.scan.value,
            "status": Status.VALID.value,
            "created_at": draft.created_at,
            "retain_until": draft.retain_until,
            "supersedes": intent.new.supersedes,
            "first_seq": SEQ,
            "issued_seq": SEQ if sealed else None,
            "next_status": 1,
            "next_access": 0,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(PRIVATE_ROLE, private_bytes(draft.private)),
        }
        event = sealing_event(draft, sealed, 0) if sealed else reception_event(draft, parts[0])
        return entries.build_change(
            key,
            draft.private,
            event,
            inserts=(
                ("documents", row),
                *self._scan_rows(draft),
                *self._shelf.rows(key, parts),
                ("idempotency", kept),
            ),
        )

    def _scan_rows(self, draft: Draft) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        return (scan_row(draft.key.document_id, draft.verdict, draft.created_at),) if self._scans else ()

    def record_seal(self, draft: Draft, sealed: Sealed, stored: list[Part], held: Part) -> None:
        """Record the seal of a document that was received without one.

        Args:
            draft: the document.
            sealed: its seal.
            stored: the parts that the seal added.
            held: the part that was there.
        """
        self._ledger.run(lambda tx: self._append_sealing(tx, draft, sealed, stored, held))

    def _append_sealing(
        self, tx: LedgerTransaction, draft: Draft, sealed: Sealed, stored: list[Part], held: Part
    ) -> None:
        document = self._documents.load(tx.connection, draft.key.document_id)
        if document is None or document.sealing is Sealing.SEALED or document.status is Status.DESTROYED:
            return  # another process was first, or the holder's document is gone
        change = entries.build_change(
            draft.key,
            draft.private,
            sealing_event(draft, sealed, document.next_status),
            inserts=tuple(self._shelf.rows(draft.key, stored)),
            updates=(
                (
                    "documents",
                    {"id": document.id},
                    {
                        "sealing": Sealing.SEALED.value,
                        "size": sealed.revision.size,
                        "issued_seq": SEQ,
                        "next_status": document.next_status + 1,
                    },
                ),
            ),
        )
        appended = tx.append(change.tag, change.commitment, change.encode())
        change.apply(tx.connection, appended.seq, appended.record)
        supersede_promised(self._documents, tx, draft, sealed)
        if document.scan not in (Scan.PENDING, Scan.INFECTED):
            announce(tx, "document.published", document.id, appended.time)
