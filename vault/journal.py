"""The access journal: every read, and every refused read by a known caller, is a ledger entry first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from vault.access import Action, Grant, Relation
from vault.authorization.ties import Subject, Ties
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document
from vault.domain.states import Status
from vault.errors import NotFound, Unavailable
from vault.ledger.writer import LedgerTransaction, LedgerWriter
from vault.records import entries
from vault.records.changes import SEQ

_log = logging.getLogger("probans.journal")
READ = "document.read"
READ_REFUSED = "document.read-refused"
SUPPORT_PURPOSE = "support"
# Whoever works at the console of the safe, with its keys.
SUPPORT = Actor("console", Role.OPERATOR)


class Journal:
    """Writes access entries; one per person, document, purpose, outcome and window."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        ledger: LedgerWriter,
        ties: Ties,
        clock: Clock,
        window: timedelta,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._documents = Documents(keyring)
        self._ledger = ledger
        self._ties = ties
        self._clock = clock
        self._window = window

    def note(self, actor: Actor, document: Document, purpose: str, action: Action, words: str = "") -> Grant:
        """Decide whether this access is allowed now, make sure that a durable entry covers it, and say why it is.

        The decision is made in the transaction that writes the entry: a consent that ended meanwhile opens nothing.

        Args:
            actor: the caller.
            document: what is asked for.
            purpose: checked (`vault.access.checked_purpose`).
            action: what is asked.
            words: what was said of the purpose besides.

        Raises:
            NotFound: NOT_FOUND, no rule allows it, or the document was destroyed meanwhile.
            Unavailable: the entry cannot be written now: nothing may be shown.
        """
        subject = replace(Subject.of(document), purpose=purpose)
        with self._database.reading() as connection:
            grant = self._ties.demand(connection, actor, action, subject)
            window = self._window_of(actor, document.id, READ, action, purpose, words, grant)
            if self._open_window(connection, window) is not None:
                return grant

        def work(tx: LedgerTransaction) -> Grant:
            now = self._ties.demand(tx.connection, actor, action, subject)
            place = self._window_of(actor, document.id, READ, action, purpose, words, now)
            self._append(tx, _Access(actor, document.id, purpose, words, action, READ, now), place)
            return now

        return self._ledger.run(work)

    def note_support(self, document: Document, words: str) -> None:
        """Make sure that a durable entry says that an operator took a document out with the safe's own keys.

        No rule allows it, and none can keep from it who holds the keys: the holder is told.

        Args:
            document: what is taken out.
            words: why, checked (`vault.authorization.purposes.checked_words`).

        Raises:
            NotFound: the document was destroyed meanwhile.
            Unavailable: the entry cannot be written now: nothing may be taken out.
        """
        window = self._window_of(SUPPORT, document.id, READ, Action.EVIDENCE, SUPPORT_PURPOSE, words, None)
        access = _Access(SUPPORT, document.id, SUPPORT_PURPOSE, words, Action.EVIDENCE, READ, None)
        self._ledger.run(lambda tx: self._append(tx, access, window))

    def note_taken(
        self, tx: LedgerTransaction, actor: Actor, document: Document, purpose: str, action: Action
    ) -> bool:
        """Write within the caller's transaction what `note` would, so that many accesses cost one commit.

        Args:
            tx: the transaction; nothing may be shown before it is durable.
            actor: the caller.
            document: what is asked for.
            purpose: checked.
            action: what is asked.

        Returns:
            False, and nothing is written, when no rule allows it now or the document was destroyed meanwhile.
        """
        grant = self._ties.grant(tx.connection, actor, action, replace(Subject.of(document), purpose=purpose))
        if grant is None:
            return False
        window = self._window_of(actor, document.id, READ, action, purpose, "", grant)
        try:
            self._append(tx, _Access(actor, document.id, purpose, "", action, READ, grant), window)
        except NotFound:
            return False
        return True

    def note_refusal(self, actor: Actor, document: Document, purpose: str, action: Action) -> None:
        """Leave an entry of a refused try, as far as that is possible now.

        Nothing leaves on a refusal, and the answer must not depend on whether the writer is up: that would tell
        a stranger that the document exists.
        """
        # Of refused tries one entry a window, whatever they say: or a stranger could fill the journal with purposes.
        window = self._window_of(actor, document.id, READ_REFUSED, action, "", "", None)
        access = _Access(actor, document.id, purpose, "", action, READ_REFUSED, None)
        try:
            with self._database.reading() as connection:
                if self._covered(connection, access, window) is not None:
                    return
            self._ledger.run(lambda tx: self._append(tx, access, window))
        except (NotFound, Unavailable) as error:
            _log.error("refused read not journalled", extra={"document": document.id, "code": error.code})

    def _window_of(
        self,
        actor: Actor,
        document_id: str,
        event: str,
        action: Action,
        purpose: str,
        words: str,
        grant: Grant | None,
    ) -> bytes:
        rests_on = "" if grant is None else grant.matter_id
        who = (actor.role.value, actor.id, actor.mandate_id or "")
        # Each person behind a system has a line. Refused, a system has one whomever it names: see `note_refusal`.
        behind = () if event == READ_REFUSED else (actor.administration_id or "", actor.service, actor.agent)
        about = (document_id, purpose, words, rests_on, action.value, event)
        return self._keyring.index("window", *who, *behind, *about)

    def _open_window(self, connection: Connection, window: bytes) -> int | None:
        table = models.access_windows
        row = connection.execute(select(table).where(table.c.window_ix == window)).mappings().first()
        # A window opened in the future was opened before the clock was set back: it must not stay open so long.
        if row is None or abs(self._clock.now() - parse_rfc3339(row["opened_at"])) > self._window:
            return None
        return int(row["seq"])

    def _covered(self, connection: Connection, access: _Access, window: bytes) -> int | None:
        """Return the entry that covers an access already, if one does.

        A refusal covers no refusal after a read: who could read in between and no longer can, as after a consent is
        withdrawn, is told of anew.
        """
        seq = self._open_window(connection, window)
        if seq is None or access.event != READ_REFUSED:
            return seq
        table = models.document_entries
        read = select(table.c.seq).where(
            table.c.document_id == access.document_id, table.c.event == READ, table.c.seq > seq
        )
        return seq if connection.scalar(read.limit(1)) is None else None

    def _append(self, tx: LedgerTransaction, access: _Access, window: bytes) -> int:
        if (seq := self._covered(tx.connection, access, window)) is not None:
            return seq  # a twin was first
        document = self._documents.load(tx.connection, access.document_id)
        key = self._documents.key(tx.connection, access.document_id)
        if document is None or key is None or document.private is None or document.status is Status.DESTROYED:
            raise NotFound("NOT_FOUND")
        now = rfc3339(self._clock.now())
        table = models.access_windows
        known = tx.connection.scalar(select(table.c.seq).where(table.c.window_ix == window)) is not None
        row: dict[str, Any] = {"seq": SEQ, "opened_at": now}
        counted = ("documents", {"id": access.document_id}, {"next_access": document.next_access + 1})
        change = entries.build_change(
            key,
            document.private,
            entries.Event(
                name=access.event,
                chain=entries.ACCESS_CHAIN,
                counter=document.next_access,
                document={"document_id": access.document_id, "action": access.action.value},
                parties=entries.parties_of(access.actor, holder=document.private.holder),
                context=access.context(document.private.case),
            ),
            inserts=()
            if known
            else (("access_windows", {"window_ix": window, "document_id": access.document_id, **row}),),
            updates=(counted, ("access_windows", {"window_ix": window}, row)) if known else (counted,),
        )
        appended = tx.append(change.tag, change.commitment, change.encode())
        change.apply(tx.connection, appended.seq, appended.record)
        return appended.seq


@dataclass(frozen=True, slots=True)
class _Access:
    actor: Actor
    document_id: str
    purpose: str
    words: str
    action: Action
    event: str
    grant: Grant | None

    def context(self, case: str) -> dict[str, str]:
        grant = self.grant or Grant(Relation.ANY)
        return entries.context(
            purpose=self.purpose,
            case=case,
            consent=grant.cited(Relation.CONSENT),
            share=grant.cited(Relation.SHARE),
            requisition=grant.cited(Relation.REQUISITION),
            words=self.words,
        )
