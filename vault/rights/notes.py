"""Rectification notes: a holder says beside a document, or a line about the holder, what is wrong about it.

The act itself is not changed: a note stands beside it, is shown to whoever may read its description, and the
administration that issued it (or the data-protection officer) answers. Each step is a ledger entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from vault.access import Action, demand
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Outcome
from vault.domain.matters import Matter, MatterKind
from vault.domain.states import Status
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.rights.journal_lines import JournalLines

MAX_WORDS = 2000
MAX_OPEN = 20  # notes on one document, or on lines about none, that wait for an answer
SHOWN = frozenset({"open", "answered"})
_ANSWERED = "answered"


class Finding(StrEnum):
    """What the answer to a note is."""

    CORRECTED = "corrected"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class _Target:
    """What a note is about.

    Attributes:
        safe_id: the safe.
        administration_id: who answers; None: the data-protection officer.
        document: the document, or None for a line that is about none.
        entry: number of the line, or None.
    """

    safe_id: str
    administration_id: str | None
    document: Document | None
    entry: int | None = None


class Notes(MatterService):
    """Adds, answers, withdraws and shows notes."""

    def __init__(self, means: Means, lines: JournalLines) -> None:
        super().__init__(means)
        self._lines = lines

    def add(self, actor: Actor, document_id: str, words: str, idempotency_key: str) -> Outcome:
        """Add a note to a document.

        Raises:
            NotFound: no such document, or not for this caller; DOCUMENT_DESTROYED.
            Refused: FIELD_INVALID.
            Conflict: NOTE_LIMIT, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        return self._add(actor, {"document": document_id}, words, idempotency_key)

    def add_to_line(self, actor: Actor, seq: int, words: str, idempotency_key: str) -> Outcome:
        """Add a note to a line of the access journal; who acted there answers.

        Raises:
            NotFound: no such line, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: NOTE_LIMIT, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        return self._add(actor, {"entry": seq}, words, idempotency_key)

    def answer(self, actor: Actor, note_id: str, finding: str, words: str, idempotency_key: str) -> Outcome:
        """Answer a note.

        Args:
            actor: of the administration it is for, or the data-protection officer.
            note_id: the note.
            finding: one of Finding.
            words: for the holder.
            idempotency_key: chosen by the caller.

        Raises:
            NotFound: no such note, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        if finding not in set(Finding):
            raise Refused("FIELD_INVALID", f"one of {', '.join(Finding)}", field="finding")
        check_text("words", words, MAX_WORDS, required=True)
        told = {"finding": finding, "words": words, "by": actor.role.value, "at": rfc3339(self._clock.now())}
        return self._move(actor, note_id, _ANSWERED, Action.NOTE_ANSWER, {"answer": told}, idempotency_key)

    def withdraw(self, actor: Actor, note_id: str, idempotency_key: str) -> Outcome:
        """Take a note back; nobody but the holder's side sees it any more. Raises NotFound, Conflict."""
        return self._move(actor, note_id, "withdrawn", Action.NOTE_ADD, {}, idempotency_key)

    def see(self, actor: Actor, note_id: str) -> Matter:
        """Return a note. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            note = self._entitled(connection, actor, Action.NOTE_SEE, note_id)
        if not _is_shown(actor, note):
            raise NotFound("NOT_FOUND")
        return note

    def of_document(self, actor: Actor, document_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the notes on a document, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            document = self._load_document(connection, document_id)
            self._ties.demand(connection, actor, Action.NOTE_SEE, Subject.of(document))
            return self._visible(connection, actor, before, limit, document_id=document_id)

    def of_administration(
        self, actor: Actor, administration_id: str, state: str | None, before: int | None, limit: int
    ) -> Sequence[Matter]:
        """Return the notes an administration has to answer or has answered, newest first. Raises NotFound."""
        demand(actor, Action.NOTE_SEE, issuer_id=administration_id)
        with self._database.reading() as connection:
            return self._visible(
                connection,
                actor,
                before,
                limit,
                administration_id=administration_id,
                states=None if state is None else {state},
            )

    def all(self, actor: Actor, before: int | None, limit: int) -> Sequence[Matter]:
        """Return notes, newest first: an officer's are all, a holder's those of the holder's own safe.

        Of agents and systems they are those of their administration.

        Raises:
            NotFound: the caller has none to see.
        """
        with self._database.reading() as connection:
            theirs = actor.administration_id if actor.role in {Role.AGENT, Role.SYSTEM} else None
            whole = theirs is not None or actor.role is Role.OFFICER
            safe_id = None if whole else self._acting_safe(connection, actor)
            self._ties.demand(connection, actor, Action.NOTE_SEE, Subject(safe_id, theirs))
            return self._visible(connection, actor, before, limit, safe_id=safe_id, administration_id=theirs)

    def beside(self, document_id: str) -> Sequence[Matter]:
        """Return the newest notes beside the description of a document that the caller may read, oldest first."""
        with self._database.reading() as connection:
            found = self._matters.rows.visible(
                connection,
                MatterKind.NOTE,
                lambda note: note.private.get("entry") is None,
                document_id=document_id,
                states=SHOWN,
                limit=MAX_OPEN,
            )
        return found[::-1]

    def _add(self, actor: Actor, about: Mapping[str, Any], words: str, idempotency_key: str) -> Outcome:
        check_text("words", words, MAX_WORDS, required=True)
        with self._database.reading() as connection:
            self._target(connection, actor, about)
        key = self._matters.draw(MatterKind.NOTE)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            target = self._target(tx.connection, actor, about)
            document_id = None if target.document is None else target.document.id
            self._demand_few(tx.connection, target.safe_id, document_id)
            private: dict[str, Any] = {"words": words, "by": actor.role.value}
            if target.entry is not None:
                private["entry"] = target.entry
            new = NewMatter(
                key, MatterKind.NOTE, actor, private, target.safe_id, target.administration_id, document_id
            )
            said = self._said(tx.connection, target.safe_id, words)
            return key.document_id, self._matters.begin(tx, new, "note.added", said, mark=mark)

        return self._matters.once(actor, "notes", idempotency_key, {**about, "words": words}, work)

    def _move(
        self,
        actor: Actor,
        note_id: str,
        verb: str,
        action: Action,
        changed: Mapping[str, Any],
        idempotency_key: str,
    ) -> Outcome:
        with self._database.reading() as connection:
            self._entitled(connection, actor, action, note_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            note = self._entitled(tx.connection, actor, action, note_id)
            words = changed["answer"]["words"] if changed else ""
            said = self._said(tx.connection, note.safe_id or "", words)
            _, seq = self._matters.move(tx, actor, note_id, f"note.{verb}", said, changed=changed, mark=mark)
            return note_id, seq

        asked = (
            {"finding": changed["answer"]["finding"], "words": changed["answer"]["words"]} if changed else {}
        )
        request = {"note": note_id, "verb": verb, **asked}
        return self._matters.once(actor, f"notes/{verb}", idempotency_key, request, work, status_code=200)

    def _target(self, connection: Connection, actor: Actor, about: Mapping[str, Any]) -> _Target:
        """Find what a note is to be about. Raises NotFound."""
        if (document_id := about.get("document")) is not None:
            document = self._document(connection, actor, document_id)
            return _Target(document.safe_id, document.issuer_id, document)
        found = self._lines.find(connection, actor, about["entry"], Action.NOTE_ADD)
        line = found.line
        of_line = None if line.document_id is None else self._documents.load(connection, line.document_id)
        issuer = None if of_line is None else of_line.issuer_id
        known = line.organisation and self._safes.administration(connection, line.organisation) is not None
        return _Target(found.safe_id, line.organisation if known else issuer, of_line, line.seq)

    def _document(self, connection: Connection, actor: Actor, document_id: str) -> Document:
        document = self._load_document(connection, document_id)
        self._ties.demand(connection, actor, Action.NOTE_ADD, Subject.of(document))
        if document.status is Status.DESTROYED or document.private is None:
            raise NotFound("DOCUMENT_DESTROYED")
        return document

    def _entitled(self, connection: Connection, actor: Actor, action: Action, note_id: str) -> Matter:
        note = self._load_matter(connection, note_id, MatterKind.NOTE)
        self._ties.demand(connection, actor, action, _subject(connection, note))
        return note

    def _visible(
        self, connection: Connection, actor: Actor, before: int | None, limit: int, **where: Any
    ) -> Sequence[Matter]:
        return self._matters.rows.visible(
            connection,
            MatterKind.NOTE,
            lambda note: _is_shown(actor, note) and self._sees(connection, actor, note),
            before=before,
            limit=limit,
            **where,
        )

    def _sees(self, connection: Connection, actor: Actor, note: Matter) -> bool:
        subject = _subject(connection, note)
        return self._ties.grant(connection, actor, Action.NOTE_SEE, subject) is not None

    def _demand_few(self, connection: Connection, safe_id: str, document_id: str | None) -> None:
        found = self._matters.rows.visible(
            connection,
            MatterKind.NOTE,
            lambda note: note.document_id == document_id,
            safe_id=safe_id,
            document_id=document_id,
            states={"open"},
            limit=MAX_OPEN,
        )
        if len(found) == MAX_OPEN:
            raise Conflict("NOTE_LIMIT", limit=MAX_OPEN)

    def _said(self, connection: Connection, safe_id: str, words: str) -> Said:
        safe = self._safes.load(connection, safe_id)
        return Said("" if safe is None else safe.holder, entries.context(words=words))


def _is_shown(actor: Actor, note: Matter) -> bool:
    """What a holder took back is nobody else's to see."""
    return note.state in SHOWN or actor.role in {Role.HOLDER, Role.MANDATARY}


def _subject(connection: Connection, note: Matter) -> Subject:
    """Return a note as a subject; mandates may be for some types of document alone."""
    table = models.documents
    found = connection.scalar(select(table.c.document_type).where(table.c.id == note.document_id))
    return Subject(note.safe_id, note.administration_id, note.document_id, found or "")
