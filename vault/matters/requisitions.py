"""Legal requisitions: the one way to content without its holder's consent, open only with a reference and an end.

The data-protection officer records what a court or authority ordered: about which safe or document, for which
auditor, until when. The order's particulars are sealed; each read cites it, and its holder sees that in the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vault.access import Action, demand
from vault.clock import rfc3339
from vault.core.keyring import DocumentKey
from vault.db.matters import PaperRow
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound, Refused, VaultError
from vault.files.fields import check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.sealing.papers import Papers, SealedPaper

REQUISITION_FORMAT = "probans/requisition/v1"
PAPER = "requisition"
LONGEST = timedelta(days=366)
_MAX_WORDS = 500
_MAX_REFERENCE = 128


@dataclass(frozen=True, slots=True)
class NewRequisition:
    """An order that is about to be recorded.

    Attributes:
        holder: identifier of the holder whose safe it is about.
        document_id: the one document it is about; None: every document of the safe.
        auditor: identifier of the person who may read.
        authority: the court or authority, in words.
        reference: its reference of the order.
        words: what for, in words.
        ends_at: until when, UTC.
    """

    holder: str
    document_id: str | None
    auditor: str
    authority: str
    reference: str
    words: str
    ends_at: datetime


class Requisitions(MatterService):
    """Records, shows and ends requisitions; what one opens is decided by `vault.authorization.ties`."""

    def __init__(self, means: Means, papers: Papers) -> None:
        super().__init__(means)
        self._papers = papers

    def record(self, actor: Actor, new: NewRequisition, idempotency_key: str) -> Outcome:
        """Record an order.

        Raises:
            NotFound: NOT_FOUND where the caller may not; UNKNOWN_HOLDER; NOT_FOUND for a document of another safe.
            Refused: FIELD_INVALID naming the member.
            Conflict: TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: no timestamp for the sealed paper, or the entry cannot be written.
        """
        demand(actor, Action.REQUISITION_WRITE)
        self._check(new)
        with self._database.reading() as connection:
            safe_id = self._safe_of(connection, new)
        request = {
            "holder": new.holder,
            "document": new.document_id or "",
            "auditor": new.auditor,
            "authority": new.authority,
            "reference": new.reference,
            "words": new.words,
            "ends_at": rfc3339(new.ends_at),
        }
        key = self._matters.draw(MatterKind.REQUISITION)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            if self._safe_of(tx.connection, new) != safe_id:
                raise NotFound("UNKNOWN_HOLDER")
            matter = NewMatter(
                key,
                MatterKind.REQUISITION,
                actor,
                {name: value for name, value in request.items() if name not in {"document", "ends_at"}},
                safe_id,
                document_id=new.document_id,
                ends_at=new.ends_at,
            )
            said = Said(
                holder=new.holder,
                context=entries.context(
                    words=new.words, person=new.auditor, authority=new.authority, reference=new.reference
                ),
                sha256=sealed[0].sha256,
            )
            seq = self._matters.begin(tx, matter, "requisition.recorded", said, papers=rows, mark=mark)
            return key.document_id, seq

        sealed: list[SealedPaper] = []
        rows: list[PaperRow] = []

        def prepare() -> None:
            # Before the transaction: the authority that dates it may take its time.
            statement = {
                "format": REQUISITION_FORMAT,
                "requisition": key.document_id,
                **request,
                "recorded_at": rfc3339(self._clock.now()),
            }
            sealed.append(self._papers.seal(PAPER, statement))
            rows.extend(self._papers.store(key, sealed, None))

        return self._matters.once(actor, "requisitions", idempotency_key, request, work, prepare=prepare)

    def end(self, actor: Actor, requisition_id: str, reason: str, idempotency_key: str) -> Outcome:
        """End a requisition at once.

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT when it has ended, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        demand(actor, Action.REQUISITION_WRITE)
        check_text("reason", reason, _MAX_WORDS, required=True)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            requisition = self._load(tx.connection, requisition_id)
            said = Said(holder=str(requisition.private["holder"]), context=entries.context(reason=reason))
            _, seq = self._matters.move(tx, actor, requisition_id, "requisition.ended", said, mark=mark)
            return requisition_id, seq

        request = {"requisition": requisition_id, "reason": reason}
        return self._matters.once(actor, "requisition-ends", idempotency_key, request, work, status_code=200)

    def see(self, actor: Actor, requisition_id: str) -> Matter:
        """Return a requisition. Raises NotFound: unknown, or not for this caller."""
        demand(actor, Action.REQUISITION_SEE)
        with self._database.reading() as connection:
            return self._load(connection, requisition_id)

    def all(self, actor: Actor, before: int | None, limit: int) -> Sequence[Matter]:
        """Return requisitions, newest first. Raises NotFound where the caller may not."""
        demand(actor, Action.REQUISITION_SEE)
        with self._database.reading() as connection:
            return self._matters.rows.find(connection, MatterKind.REQUISITION, before=before, limit=limit)

    def paper(self, actor: Actor, requisition_id: str) -> bytes:
        """Return the sealed paper (ASiC-E). Raises NotFound, Unavailable, VaultError(ORIGINAL_DAMAGED)."""
        demand(actor, Action.REQUISITION_SEE)
        with self._database.reading() as connection:
            self._load(connection, requisition_id)
            key = self._matters.rows.key(connection, requisition_id)
            row = self._row(connection, key)
        return self._papers.read(key, row)

    def _row(self, connection: Connection, key: DocumentKey) -> PaperRow:
        found = self._matters.rows.papers(connection, key).get(PAPER)
        if found is None:
            raise VaultError("ORIGINAL_DAMAGED", f"{key.document_id}: its paper has no row")
        return found

    def _check(self, new: NewRequisition) -> None:
        for field, value, limit in (
            ("holder", new.holder, _MAX_REFERENCE),
            ("auditor", new.auditor, _MAX_REFERENCE),
            ("reference", new.reference, _MAX_REFERENCE),
            ("authority", new.authority, _MAX_WORDS),
            ("words", new.words, _MAX_WORDS),
        ):
            check_text(field, value, limit, required=True)
        now = self._clock.now()
        if not now < new.ends_at <= now + LONGEST:
            raise Refused("FIELD_INVALID", f"in the future, within {LONGEST.days} days", field="ends_at")

    def _safe_of(self, connection: Connection, new: NewRequisition) -> str:
        safe_id = self._safes.of_holder(connection, new.holder)
        if safe_id is None:
            raise NotFound("UNKNOWN_HOLDER")
        if new.document_id is not None:
            document = self._documents.load(connection, new.document_id)
            if document is None or document.safe_id != safe_id:
                raise NotFound("NOT_FOUND")
        return safe_id

    def _load(self, connection: Connection, requisition_id: str) -> Matter:
        found = self._matters.rows.load(connection, requisition_id, MatterKind.REQUISITION)
        if found is None:
            raise NotFound("NOT_FOUND")
        return found
