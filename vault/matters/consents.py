"""Consents: a holder's sealed permission for one administration to see one document, for one purpose, until a day.

Each consent is a sealed statement (`vault.matters.consent_papers`), kept as a paper of its matter, and an entry of
the ledger that names its SHA-256. It opens the document from that entry on (`vault.authorization.ties`), and no
longer from the moment of its end or of its withdrawal, whichever comes first.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.core.keyring import DocumentKey
from vault.db.matters import PaperRow
from vault.domain.actors import Actor
from vault.domain.documents import Document, Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict, NotFound, Refused, Unavailable, VaultError
from vault.files.fields import check_text
from vault.ledger.canonical import canonical
from vault.ledger.writer import LedgerTransaction
from vault.matters.consent_papers import Given, consent_statement, withdrawal_statement
from vault.matters.requests import SERVICE, is_of_service
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.sealing.papers import Papers

_log = logging.getLogger("probans.consents")
CONSENT = "consent"
WITHDRAWAL = "withdrawal"
_MAX_WORDS = 500
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Prepared:
    """A consent that is sealed and stored, before its entry.

    Attributes:
        key: identifier and key of its matter.
        document_id: the document.
        private: personal part of its matter.
        paper: the stored paper.
        sha256: hex digest of the statement.
        ends_at: end of access, UTC.
    """

    key: DocumentKey
    document_id: str
    private: Mapping[str, Any]
    paper: PaperRow
    sha256: str
    ends_at: datetime


class Consents(MatterService):
    """Gives, shows and withdraws consents."""

    def __init__(self, means: Means, papers: Papers, retention: timedelta) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            papers: seals and stores.
            retention: how long papers cannot be deleted.
        """
        super().__init__(means)
        self._papers = papers
        self._retention = retention

    def prepare(
        self,
        actor: Actor,
        request: Matter,
        administration_name: str,
        documents: Sequence[Document],
        ends_at: datetime | None,
    ) -> list[Prepared]:
        """Seal and store the consents that answer a request, one for each document; nothing is promised yet.

        Args:
            actor: the holder, or who answers by a mandate.
            request: an open request for documents.
            administration_name: who asks.
            documents: found fit to be given.
            ends_at: an earlier end than asked for, UTC; None: as asked.

        Raises:
            Refused: FIELD_INVALID naming `ends_at`: over already, or later than what was asked for.
            Unavailable: no timestamp now, or the store is down.
            VaultError: SEALING_IMPOSSIBLE.
        """
        now = self._clock.now()
        latest = now + timedelta(days=request.private["access_days"])
        end = latest if ends_at is None else ends_at
        if not now < end <= latest:
            raise Refused(
                "FIELD_INVALID", f"a time to come, {rfc3339(latest)} at the latest", field="ends_at"
            )
        return [self._seal(actor, request, administration_name, each, now, end) for each in documents]

    def give(self, tx: LedgerTransaction, actor: Actor, request: Matter, prepared: Prepared) -> int:
        """Begin a consent within the transaction that answers its request; return the number of its entry.

        Raises:
            Refused: FIELD_INVALID, its end came while it was sealed.
        """
        if prepared.ends_at <= self._clock.now():
            raise Refused("FIELD_INVALID", "a time to come", field="ends_at")
        matter = NewMatter(
            prepared.key,
            MatterKind.CONSENT,
            actor,
            prepared.private,
            request.safe_id,
            request.administration_id,
            prepared.document_id,
            request.id,
            prepared.ends_at,
        )
        said = self._said(
            prepared.private, prepared.key.document_id, prepared.sha256, request.administration_id
        )
        return self._matters.begin(tx, matter, "consent.given", said, papers=[prepared.paper])

    def see(self, actor: Actor, consent_id: str) -> Matter:
        """Return a consent. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            return self._entitled(connection, actor, Action.CONSENT_SEE, consent_id)

    def of_safe(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the consents given from a safe, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.CONSENT_SEE, Subject(safe_id))
            return self._matters.rows.visible(
                connection,
                MatterKind.CONSENT,
                lambda consent: self._is_for(connection, actor, Action.CONSENT_SEE, consent),
                safe_id=safe_id,
                before=before,
                limit=limit,
            )

    def state_of(self, consent: Matter) -> str:
        """Return `live`, `ended` or `withdrawn`, as of now."""
        if consent.state == "live" and not consent.is_live(self._clock.now()):
            return "ended"
        return consent.state

    def paper(self, actor: Actor, consent_id: str, name: str) -> bytes:
        """Return a sealed paper of a consent, an ASiC-E container.

        Args:
            actor: the caller.
            consent_id: the consent.
            name: CONSENT or WITHDRAWAL.

        Raises:
            NotFound: unknown, not for this caller, or not withdrawn.
            Conflict: SEAL_PENDING, the withdrawal took effect, and its seal waits for a timestamp.
            VaultError, Unavailable: see `Papers.read`.
        """
        with self._database.reading() as connection:
            consent = self._entitled(connection, actor, Action.CONSENT_SEE, consent_id)
            key = self._matters.rows.key(connection, consent_id)
            found = self._matters.rows.papers(connection, key).get(name)
        if found is None:
            if name == WITHDRAWAL and consent.state == "withdrawn":
                raise Conflict("SEAL_PENDING")
            raise NotFound("NOT_FOUND")
        return self._papers.read(key, found)

    def withdraw(self, actor: Actor, consent_id: str, idempotency_key: str, reason: str = "") -> Outcome:
        """Withdraw a consent: from its entry on nothing is opened by it.

        It never waits for a timestamp authority: where none answers, or the store is down, the statement is recorded
        at once, and its seal follows by itself (`seal_withdrawals`).

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID, IDEMPOTENCY_KEY_REQUIRED, IDEMPOTENCY_KEY_INVALID.
            Conflict: STATE_CONFLICT, withdrawn already; TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        check_text("reason", reason, _MAX_WORDS)
        with self._database.reading() as connection:
            self._entitled(connection, actor, Action.CONSENT_WITHDRAW, consent_id)
        made: list[tuple[Mapping[str, Any], list[PaperRow]]] = []

        def prepare() -> None:
            with self._database.reading() as connection:
                consent = self._entitled(connection, actor, Action.CONSENT_WITHDRAW, consent_id)
                key = self._matters.rows.key(connection, consent_id)
            if consent.state != "live":
                raise Conflict("STATE_CONFLICT", current=consent.state, wanted="withdrawn")
            statement = withdrawal_statement(actor, consent, reason, self._clock.now())
            try:
                papers = self._paper(key, WITHDRAWAL, statement)[1]
            except VaultError:  # whatever keeps the seal away must not keep access open
                papers = []
            made.append((statement, papers))

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            consent = self._entitled(tx.connection, actor, Action.CONSENT_WITHDRAW, consent_id)
            statement, papers = made[-1]
            private, sha256 = consent.private, _sha256(statement)
            said = self._said(private, consent_id, sha256, consent.administration_id, reason=reason)
            _, seq = self._matters.move(
                tx,
                actor,
                consent_id,
                "consent.withdrawn",
                said,
                changed={"withdrawal": dict(statement), "withdrawal_sha256": sha256},
                papers=papers,
                mark=mark,
            )
            return consent_id, seq

        asked = {"consent": consent_id, "reason": reason}
        return self._matters.once(
            actor, "consent-withdrawal", idempotency_key, asked, work, status_code=200, prepare=prepare
        )

    def seal_withdrawals(self) -> int:
        """Seal withdrawals that took effect while no timestamp was to be had; return how many.

        One that cannot be sealed, because its row is damaged, is logged and holds up no other.

        Raises:
            SealingWaits: still none.
            Unavailable: as `Papers`.
        """
        with self._database.reading() as connection:
            waiting = self._matters.rows.without_paper(
                connection, MatterKind.CONSENT, "withdrawn", WITHDRAWAL, _BATCH
            )
        sealed = 0
        for consent in waiting:
            try:
                with self._database.reading() as connection:
                    key = self._matters.rows.key(connection, consent.id)
                paper = self._paper(key, WITHDRAWAL, consent.private["withdrawal"])
                self._ledger.run(self._late_seal(consent.id, paper))
                sealed += 1
            except Unavailable:
                raise
            except VaultError as error:
                _log.error("withdrawal not sealed", extra={"matter": consent.id, "code": error.code})
        return sealed

    def _late_seal(
        self, consent_id: str, sealed: tuple[str, list[PaperRow]]
    ) -> Callable[[LedgerTransaction], None]:
        sha256, papers = sealed

        def work(tx: LedgerTransaction) -> None:
            consent = self._matters.rows.load(tx.connection, consent_id, MatterKind.CONSENT)
            key = self._matters.rows.key(tx.connection, consent_id)
            if consent is None or WITHDRAWAL in self._matters.rows.papers(tx.connection, key):
                return  # another process was first
            said = self._said(consent.private, consent_id, sha256, consent.administration_id)
            self._matters.move(tx, SERVICE, consent_id, "consent.withdrawal-sealed", said, papers=papers)

        return work

    def _seal(
        self,
        actor: Actor,
        request: Matter,
        administration_name: str,
        document: Document,
        now: datetime,
        ends_at: datetime,
    ) -> Prepared:
        key = self._matters.draw(MatterKind.CONSENT)
        asker = {"id": request.administration_id or "", "name": administration_name}
        issuer = {"id": document.issuer_id or "", "name": self._name(document.issuer_id)}
        made = Given(actor, now, ends_at)
        statement = consent_statement(key.document_id, request, asker, document, issuer, made)
        sha256, papers = self._paper(key, CONSENT, statement)
        kept = {name: value for name, value in statement.items() if name not in {"format", "consent"}}
        return Prepared(
            key, document.id, {**kept, "sha256": sha256, "actor": actor.id}, papers[0], sha256, ends_at
        )

    def _paper(self, key: DocumentKey, name: str, statement: Mapping[str, Any]) -> tuple[str, list[PaperRow]]:
        sealed = self._papers.seal(name, statement)
        return sealed.sha256, self._papers.store(key, [sealed], self._clock.now() + self._retention)

    def _name(self, administration_id: str | None) -> str:
        if administration_id is None:
            return ""
        with self._database.reading() as connection:
            return self._safes.administration(connection, administration_id) or ""

    def _entitled(self, connection: Connection, actor: Actor, action: Action, consent_id: str) -> Matter:
        consent = self._matters.rows.load(connection, consent_id, MatterKind.CONSENT)
        if consent is None or not self._is_for(connection, actor, action, consent):
            raise NotFound("NOT_FOUND")
        return consent

    def _is_for(self, connection: Connection, actor: Actor, action: Action, consent: Matter) -> bool:
        # A mandate for some types of documents reaches the consents about those alone.
        document_type = consent.private["document"]["type"]
        subject = replace(Subject.about(consent), document_type=document_type)
        granted = self._ties.grant(connection, actor, action, subject) is not None
        return granted and is_of_service(actor, consent)

    @staticmethod
    def _said(
        private: Mapping[str, Any],
        consent_id: str,
        sha256: str,
        administration_id: str | None,
        *,
        reason: str = "",
    ) -> Said:
        return Said(
            holder=private["holder"],
            context=entries.context(
                purpose=private["purpose"],
                case=private["case"],
                consent=consent_id,
                words=private["words"],
                reason=reason,
            ),
            details={"administration": administration_id or "", "service": private["service"]},
            sha256=sha256,
        )


def _sha256(statement: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(statement, lists=True)).hexdigest()
