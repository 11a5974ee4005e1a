"""The way of a file into the safe; the eight steps stand in `Pipeline.accept_all` in their order.

1 receive · 2 inspect · 3 seal · 4 timestamp · 5 gather evidence · 6 store · 7 ledger, rows, outbox · 8 notify
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path

from signing.base import KeyPurpose, SealSource
from signing.errors import ContainerRefused, PdfRefused, SigningError
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core import faults, tracing
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.documents.arrivals import Arrival, Result, each, settled, together
from vault.documents.drafts import Draft, Intent, description, intent_of
from vault.documents.recording import Recorder
from vault.documents.superseding import check_replaceable
from vault.domain.documents import Kind, ObjectRole, Outcome, Part, Private
from vault.domain.states import Sealing
from vault.errors import NotFound, Refused, VaultError
from vault.files.names import clean_file_name
from vault.ids import new_id
from vault.inspection import Inspection, InspectionLimits, inspect
from vault.intake import Spooled, receive
from vault.ledger.writer import LedgerWriter
from vault.records.idempotency import Idempotency
from vault.records.objects import Delivery, Plain, Shelf, file_chunks, plain_bytes
from vault.scanning.antivirus import Antivirus
from vault.scanning.base import NOT_LOOKED, Verdict
from vault.sealing.desk import Sealed, SealingDesk, SealingWaits


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
        self._idempotency = idempotency
        self._clock = clock
        self._antivirus = antivirus
        scans = antivirus is not None
        self._recorder = Recorder(self._documents, shelf, ledger, idempotency, scans=scans)

    def accept(self, intent: Intent, chunks: Iterable[bytes]) -> Outcome:
        """Take a file in; when this returns, object, recovery record and ledger entry are on disk.

        Raises:
            Refused: the file or its description cannot be accepted; nothing was kept.
            Conflict: twin running, key reused, or the act to replace is not in force.
            NotFound, Conflict: what allowed it ended while the file came.
            Unavailable: a part is down; the same key may be used again.
        """
        (result,) = self.accept_all((Arrival(intent, chunks),))
        return settled(result)

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[Result]:
        """Take files in together: they share look-ups, flushes and the ledger's turn, and nothing else.

        All of them are held until the last is recorded, up to a mebibyte each in memory.

        Returns:
            For each the outcome, or what `accept` would raise for it.
        """
        with ExitStack() as held:
            # 1 receive
            each(arrivals, lambda arrival: self._receive(arrival, held))
            together(arrivals, self._look_up)
            # 2 inspect, 3 seal, 4 timestamp, 5 gather evidence, 6 store
            each(arrivals, lambda arrival: self._make(arrival, held))
            together(arrivals, self._keep)
            # 7 ledger entry, rows, outbox message: one transaction
            together(arrivals, self._recorder.record)
        return [arrival.result for arrival in arrivals if arrival.result is not None]

    def _receive(self, arrival: Arrival, held: ExitStack) -> None:
        intent = arrival.intent
        arrival.scope = self._idempotency.scope(intent.actor, intent.route, intent.transfer.idempotency_key)
        arrival.name = clean_file_name(intent.new.file_name)
        held.enter_context(self._idempotency.alone(arrival.scope))
        with tracing.span("receive"):
            spooled = receive(
                arrival.chunks,
                folder=self._config.spool,
                limit=self._config.max_upload_bytes,
                expected_length=intent.transfer.expected_length,
                expected_digest=intent.transfer.digest,
            )
        arrival.spooled = held.enter_context(spooled)
        faults.point("pipeline.received")
        arrival.request = self._idempotency.request(description(intent), spooled.sha256)

    def _look_up(self, arrivals: Sequence[Arrival]) -> None:
        with self._database.reading() as connection:
            earlier = self._idempotency.earlier_of(connection, [arrival.scope for arrival in arrivals])

            def check(arrival: Arrival) -> None:
                arrival.result = earlier(arrival.scope, arrival.request)
                if arrival.result is None:
                    # Asked again in step 7; asked here so that a refusal stores nothing.
                    check_replaceable(self._documents, connection, arrival.intent)

            each(arrivals, check)

    def _make(self, arrival: Arrival, held: ExitStack) -> None:
        intent, spooled = arrival.intent, arrival.spooled
        # 2 inspect
        with tracing.span("inspect"):
            inspecting = inspect(
                spooled,
                name=arrival.name,
                declared_type=intent.new.declared_type,
                as_act=intent.kind is Kind.ACT,
                limits=self._config.inspection,
            )
        with inspecting as inspection:
            with tracing.span("scan"):
                verdict = self._scanned(spooled, inspection)
            if not intent.safe_id:
                raise NotFound("UNKNOWN_HOLDER")
            arrival.draft = self._draft(intent, arrival.name, spooled, inspection, verdict)
            # 3, 4, 5; 6 as far as nothing is durable yet
            arrival.sealed, arrival.delivery = self._seal_and_stage(arrival.draft, spooled, inspection)
        held.callback(self._shelf.drop, arrival.delivery)

    def _keep(self, arrivals: Sequence[Arrival]) -> None:
        self._shelf.keep([arrival.delivery for arrival in arrivals])
        for arrival in arrivals:
            arrival.result = arrival.delivery.error

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
            parts = _sealed_parts(spooled, sealed, held=held)
            stored = self._shelf.store(key, parts, document.retain_until)
        self._recorder.record_seal(draft, sealed, stored, held)
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

    def _seal_and_stage(
        self, draft: Draft, spooled: Spooled, inspection: Inspection
    ) -> tuple[Sealed | None, Delivery]:
        """Without a timestamp the file is staged as received."""
        try:
            sealed = self._seal(draft, spooled, inspection)
        except SealingWaits:
            role = ObjectRole.RECEIVED if _takes_pades(draft.intent.kind, inspection) else ObjectRole.ORIGINAL
            received = Plain(role, spooled.size, spooled.sha256, file_chunks(spooled.stream))
            return None, self._shelf.stage(draft.key, [received], parse_rfc3339(draft.retain_until))
        parts = _sealed_parts(spooled, sealed, held=None)
        return sealed, self._shelf.stage(draft.key, parts, parse_rfc3339(draft.retain_until))

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


def _sealed_parts(spooled: Spooled, sealed: Sealed, held: Part | None) -> list[Plain]:
    """Return what a seal adds to the parts that are held already."""
    revision = sealed.revision
    parts: list[Plain] = []
    if held is None or held.role is not ObjectRole.ORIGINAL:
        octets = chain(file_chunks(spooled.stream), (revision.appended,) if revision.appended else ())
        parts.append(Plain(ObjectRole.ORIGINAL, revision.size, revision.sha256, octets))
    if revision.manifest:
        parts.append(plain_bytes(ObjectRole.MANIFEST, revision.manifest))
        parts.append(plain_bytes(ObjectRole.SIGNATURE, revision.signature))
    return parts


def _takes_pades(kind: Kind, inspection: Inspection) -> bool:
    """An act that is a PDF without signatures; one already signed is never certified over."""
    return kind is Kind.ACT and inspection.pdf is not None and not inspection.has_signatures
