"""The access journal: every read, and every refused read by a known caller, is a ledger entry first."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from vault import entries
from vault.changes import SEQ
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.domain.actors import Actor
from vault.domain.documents import Document
from vault.domain.states import Status
from vault.errors import NotFound, Unavailable
from vault.keyring import Keyring
from vault.ledger.writer import LedgerTransaction, LedgerWriter

_log = logging.getLogger("probans.journal")
READ = "document.read"
READ_REFUSED = "document.read-refused"


class Journal:
    """Writes access entries; one per person, document, purpose, outcome and window."""

    def __init__(
        self, database: Database, keyring: Keyring, ledger: LedgerWriter, clock: Clock, window: timedelta
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._documents = Documents(keyring)
        self._ledger = ledger
        self._clock = clock
        self._window = window

    def note(self, actor: Actor, document: Document, purpose: str, action: str, *, granted: bool) -> int:
        """Make sure that a durable entry covers this access; return its number.

        Raises:
            Unavailable: the entry cannot be written now: nothing may be shown.
            NotFound: the document was destroyed meanwhile.
        """
        event = READ if granted else READ_REFUSED
        # Of refused tries one entry a window, whatever they say: or a stranger could fill the journal with purposes.
        told = purpose if granted else ""
        window = self._keyring.index("window", actor.role.value, actor.id, document.id, told, action, event)
        with self._database.reading() as connection:
            if (seq := self._open_window(connection, window)) is not None:
                return seq
        return self._ledger.run(
            lambda tx: self._append(tx, actor, document.id, purpose, action, event, window)
        )

    def note_refusal(self, actor: Actor, document: Document, purpose: str, action: str) -> None:
        """Leave an entry of a refused try, as far as that is possible now.

        Nothing leaves on a refusal, and the answer must not depend on whether the writer is up: that would tell
        a stranger that the document exists.
        """
        try:
            self.note(actor, document, purpose, action, granted=False)
        except (NotFound, Unavailable) as error:
            _log.error("refused read not journalled", extra={"document": document.id, "code": error.code})

    def _open_window(self, connection: Connection, window: bytes) -> int | None:
        table = models.access_windows
        row = connection.execute(select(table).where(table.c.window_ix == window)).mappings().first()
        # A window opened in the future was opened before the clock was set back: it must not stay open so long.
        if row is None or abs(self._clock.now() - parse_rfc3339(row["opened_at"])) > self._window:
            return None
        return int(row["seq"])

    def _append(
        self,
        tx: LedgerTransaction,
        actor: Actor,
        document_id: str,
        purpose: str,
        action: str,
        event: str,
        window: bytes,
    ) -> int:
        if (seq := self._open_window(tx.connection, window)) is not None:
            return seq  # a twin was first
        document = self._documents.load(tx.connection, document_id)
        key = self._documents.key(tx.connection, document_id)
        if document is None or key is None or document.private is None or document.status is Status.DESTROYED:
            raise NotFound("NOT_FOUND")
        now = rfc3339(self._clock.now())
        table = models.access_windows
        known = tx.connection.scalar(select(table.c.seq).where(table.c.window_ix == window)) is not None
        row: dict[str, Any] = {"seq": SEQ, "opened_at": now}
        counted = ("documents", {"id": document_id}, {"next_access": document.next_access + 1})
        change = entries.build_change(
            key,
            document.private,
            entries.Event(
                name=event,
                chain=entries.ACCESS_CHAIN,
                counter=document.next_access,
                document={"document_id": document_id, "action": action},
                parties=entries.parties(holder=document.private.holder, actor=actor.id),
                context=entries.context(purpose=purpose, case=document.private.case),
            ),
            inserts=()
            if known
            else (("access_windows", {"window_ix": window, "document_id": document_id, **row}),),
            updates=(counted, ("access_windows", {"window_ix": window}, row)) if known else (counted,),
        )
        appended = tx.append(change.tag, change.commitment, change.encode())
        change.apply(tx.connection, appended.seq, appended.record)
        return appended.seq
