"""The way of a file into the safe; the eight steps stand in `Pipeline.accept` in their order.

1 receive · 2 inspect · 3 seal · 4 timestamp · 5 gather evidence · 6 store · 7 ledger, rows, outbox · 8 notify
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from signing.base import KeyPurpose, SealSource
from signing.errors import ContainerRefused, PdfRefused, SigningError
from vault import entries, faults, tracing
from vault.antivirus import Antivirus
from vault.changes import SEQ, Change
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db.engine import Database
from vault.db.matters import quiet_safes
from vault.db.repositories import PRIVATE_ROLE, Documents, private_bytes
from vault.domain.documents import Kind, ObjectRole, Outcome, Part, Private
from vault.domain.states import Reception, Scan, Sealing, Status
from vault.drafts import Draft, Intent, description, intent_of, reception_event, sealing_event
from vault.errors import NotFound, Refused, VaultError
from vault.idempotency import Idempotency, answers
from vault.ids import new_id
from vault.inspection import Inspection, InspectionLimits, inspect
from vault.intake import Spooled, receive
from vault.keyring import Keyring
from vault.ledger.writer import Asking, LedgerTransaction, LedgerWriter
from vault.names import clean_file_name
from vault.objects import Plain, Shelf, file_chunks, plain_bytes
from vault.outbox import announce
from vault.scan_rows import scan_row
from vault.scanning import NOT_LOOKED, Verdict
from vault.sealing import Sealed, SealingDesk, SealingWaits
from vault.superseding import check_replaceable, supersede, supersede_promised


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Limits and periods of the pipeline.

    Attributes:
        spool: folder of the unnamed spool files.
        max_upload_bytes: largest file, octets.
        inspection: limits of the inspection.
        retention: how long nothing may be deleted.
    """

    spool: Path
    max_upload_bytes: int
    inspection: InspectionLimits
    retention: timedelta


class Pipeline:
    """Takes files in; safe for many threads and processes at once."""

    def __init__(
        self,
        config: PipelineConfig,
        database: Database,
        keyring: Keyring,
        shelf: Shelf,
        desk: SealingDesk,
        ledger: LedgerWriter,
        idempotency: Idempotency,
        clock: Clock,
        antivirus: Antivirus | None = None,
    ) -> None:
        self._config = config
        self._database = database
        self._keyring = keyring
        self._documents = Documents(keyring)
        self._shelf = shelf
        self._desk = desk
        self._ledger = ledger
        self._idempotency = idempotency
        self._clock = clock
        self._antivirus = antivirus

    def accept(self, intent: Intent, chunks: Iterable[bytes]) -> Outcome:
        """Take a file in; when this returns, object, recovery record and ledger entry are on disk.

        Raises:
            Refused: the file or its description cannot be accepted; nothing was kept.
            Conflict: twin running, key reused, or the act to replace is not in force.
            NotFound, Conflict: what allowed it ended while the file came.
            Unavailable: a part is down; the same key may be used again.
        """
        scope = self._idempotency.scope(intent.actor, intent.route, intent.transfer.idempotency_key)
        name = clean_file_name(intent.new.file_name)
        with self._idempotency.alone(scope):
            # 1 receive
            receiving = receive(
                chunks,
                folder=self._config.spool,
                limit=self._config.max_upload_bytes,
                expected_length=intent.transfer.expected_length,
                expected_digest=intent.transfer.digest,
            )
            with tracing.entering("receive", receiving) as spooled:
                faults.point("pipeline.received")
                request = self._idempotency.request(description(intent), spooled.sha256)
                with self._database.reading() as connection:
                    if earlier := self._idempotency.earlier(connection, scope, request):
                        return earlier
                    # Asked again in step 7; asked here so that a refusal stores nothing.
                    check_replaceable(self._documents, connection, intent)
                # 2 inspect
                inspecting = inspect(
                    spooled,
                    name=name,
                    declared_type=intent.new.declared_type,
                    as_act=intent.kind is Kind.ACT,
                    limits=self._config.inspection,
                )
                with tracing.entering("inspect", inspecting) as inspection:
                    with tracing.span("scan"):
                        verdict = self._scanned(spooled, inspection)
                    if not intent.safe_id:
                        raise NotFound("UNKNOWN_HOLDER")
                    draft = self._draft(intent, name, spooled, inspection, verdict)
                    made = self._seal_and_store(draft, spooled, inspection)
                    # 7 ledger entry, rows, outbox message: one transaction
                    return self._record(draft, made, scope, request)

    def seal_waiting(self, document_id: str) -> bool:
        """Seal a document that was received while no timestamp was to be had; False when nothing was to do.

        Raises:
            SealingWaits: still no timestamp.
            Refused: the file turned out not to be sealable.
        """
        with self._database.reading() as connection:
            document = self._documents.load(connection, document_id)
            key = self._documents.key(connection, document_id)
        if document is None or key is None or document.private is None or document.sealing is Sealing.SEALED:
            return False
        held = document.parts.get(ObjectRole.RECEIVED) or document.parts[ObjectRole.ORIGINAL]
        limit = max(self._config.max_upload_bytes, held.size)
        with (
            receive(self._shelf.read(key, held), folder=self._config.spool, limit=limit) as spooled,
            inspect(
                spooled,
                name=document.private.file_name,
                declared_type=None,
                as_act=document.kind is Kind.ACT,
                limits=self._config.inspection,
            ) as inspection,
        ):
            intent = intent_of(document)
            draft = Draft(
                key, document.private, intent, document.media_type, document.size,
                rfc3339(document.created_at), rfc3339(document.retain_until),
            )  # fmt: skip
            sealed = self._seal(draft, spooled, inspection)
            stored = self._store_sealed(draft, spooled, sealed, held=held)
        self._ledger.run(lambda tx: self._append_sealing(tx, draft, sealed, stored, held))
        return True

    def _scanned(self, spooled: Spooled, inspection: Inspection) -> Verdict:
        """Return what the antivirus says. Raises Refused, Unavailable, as it is settled for what is not clean."""
        if self._antivirus is None:
            return NOT_LOOKED
        return self._antivirus.judge(spooled, embeds=inspection.embeds)

    def _draft(
        self, intent: Intent, name: str, spooled: Spooled, inspection: Inspection, verdict: Verdict
    ) -> Draft:
        now = self._clock.now()
        findings = tuple(
            {"code": finding.code, "detail": finding.detail, "params": dict(finding.params)}
            for finding in inspection.findings
        )
        private = Private(
            title=intent.new.title,
            file_name=name,
            holder=intent.new.holder,
            actor=intent.actor.id,
            case=intent.new.case,
            language=intent.new.language,
            status_key=secrets.token_hex(32),
            access_key=secrets.token_hex(32),
            findings=findings,
            attributes=dict(intent.new.attributes),
            mandate=intent.actor.mandate_id or "",
        )
        return Draft(
            key=self._keyring.new_key(new_id("doc")),
            private=private,
            intent=intent,
            media_type=inspection.media_type,
            size=spooled.size,
            created_at=rfc3339(now),
            retain_until=rfc3339(now + self._retention(intent)),
            verdict=verdict,
        )

    def _retention(self, intent: Intent) -> timedelta:
        """Return for how long nothing is deleted: what was asked, never less than the service's own."""
        return max(self._config.retention, timedelta(days=intent.new.retention_days))

    def _seal_and_store(
        self, draft: Draft, spooled: Spooled, inspection: Inspection
    ) -> tuple[Sealed | None, list[Part]]:
        """Steps 3 to 6; without a timestamp only step 6, of the file as received."""
        try:
            sealed = self._seal(draft, spooled, inspection)
        except SealingWaits:
            role = ObjectRole.RECEIVED if _takes_pades(draft.intent.kind, inspection) else ObjectRole.ORIGINAL
            received = Plain(role, spooled.size, spooled.sha256, file_chunks(spooled.stream))
            return None, self._shelf.store(draft.key, [received], parse_rfc3339(draft.retain_until))
        return sealed, self._store_sealed(draft, spooled, sealed, held=None)

    def _seal(self, draft: Draft, spooled: Spooled, inspection: Inspection) -> Sealed:
        # 3 seal, 4 timestamp, 5 gather evidence: the desk embeds certificates and revocation data
        sealers, issuer = self._desk.sealers, draft.intent.issuer_id
        pades = _takes_pades(draft.intent.kind, inspection)
        purpose = KeyPurpose.ACT_SEAL if issuer else KeyPurpose.RECEPTION_SEAL
        source = SealSource(
            stream=spooled.stream,
            path=spooled.path,
            size=spooled.size,
            sha256=spooled.sha256,
            hash_state=spooled.hash_state,
            pdf=inspection.pdf if pades else None,
            name=draft.private.file_name,
            media_type=inspection.media_type,
        )
        try:
            sealer = sealers.pades(issuer) if pades and issuer else sealers.cades(purpose, issuer)
            try:
                with tracing.span("seal"):
                    sealed = self._desk.seal(sealer, sealers.chain(purpose, issuer), source)
            except SealingWaits:
                # What could never be sealed is refused now, not promised and then left waiting.
                self._desk.rehearse(sealer, source)
                raise
        except PdfRefused as error:
            raise Refused(error.code, str(error)) from error
        except ContainerRefused as error:
            raise Refused("NAME_INVALID", str(error), problem=str(error)) from error
        except SigningError as error:
            raise VaultError(error.code, type(error).__name__) from error
        faults.point("pipeline.sealed")
        return sealed

    def _store_sealed(self, draft: Draft, spooled: Spooled, sealed: Sealed, held: Part | None) -> list[Part]:
        # 6 store: write-once, content-addressed, encrypted
        revision = sealed.revision
        parts: list[Plain] = []
        if held is None or held.role is not ObjectRole.ORIGINAL:
            octets = chain(file_chunks(spooled.stream), (revision.appended,) if revision.appended else ())
            parts.append(Plain(ObjectRole.ORIGINAL, revision.size, revision.sha256, octets))
        if revision.manifest:
            parts.append(plain_bytes(ObjectRole.MANIFEST, revision.manifest))
            parts.append(plain_bytes(ObjectRole.SIGNATURE, revision.signature))
        return self._shelf.store(draft.key, parts, parse_rfc3339(draft.retain_until))

    def _record(
        self, draft: Draft, made: tuple[Sealed | None, list[Part]], scope: bytes, request: bytes
    ) -> Outcome:
        sealed, parts = made
        status_code = 202 if sealed is None else 201
        kept = {
            "scope_ix": scope,
            "request_ix": request,
            "document_id": draft.key.document_id,
            "status_code": status_code,
            "seq": SEQ,
            "created_at": draft.created_at,
        }
        intent, change = draft.intent, self._reception(draft, sealed, parts, kept)
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
            # What waits for the antivirus is news once it is clean (`vault.scan_queue`).
            waits = sealed is None or draft.verdict.scan is Scan.PENDING
            topic = "document.received" if waits else "document.published"
            announce(tx, topic, draft.key.document_id, draft.created_at)
            outcome = Outcome(draft.key.document_id, status_code, appended.seq)
            if draft.intent.noted is not None:
                draft.intent.noted(tx.connection, outcome)
            return outcome

        faults.point("pipeline.before-ledger")
        outcome = self._ledger.run(Asking(work, ((answers, scope), (quiet_safes, intent.safe_id))))
        faults.point("pipeline.after-ledger")
        return outcome

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
        if self._antivirus is None:
            return ()
        return (scan_row(draft.key.document_id, draft.verdict, draft.created_at),)

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


def _takes_pades(kind: Kind, inspection: Inspection) -> bool:
    """An act that is a PDF without signatures; one already signed is never certified over."""
    return kind is Kind.ACT and inspection.pdf is not None and not inspection.has_signatures
