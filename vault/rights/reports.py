"""Reports: a holder asks the data-protection officer about one line of the access journal.

A report is a matter with entries of its own, so asking, taking, answering and closing stand in the journal too. The
officer sees the reported line and what was written, never the document or its title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from vault.access import Action
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict
from vault.files.fields import check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries
from vault.rights.journal_lines import JournalLines
from vault.rights.journal_rows import Line

MAX_WORDS = 2000
MAX_EXCHANGES = 40
_OPEN = frozenset({"open", "in-hand", "answered"})


@dataclass(frozen=True, slots=True)
class Report:
    """A report as one caller sees it.

    Attributes:
        matter: the report; `private["exchanges"]` holds what was written, oldest first.
        line: the reported line; without the document's title for everybody but the holder's side.
    """

    matter: Matter
    line: Line


class Reports(MatterService):
    """Opens, shows and moves reports."""

    def __init__(self, means: Means, lines: JournalLines) -> None:
        super().__init__(means)
        self._lines = lines

    def open(self, actor: Actor, seq: int, words: str, idempotency_key: str) -> Outcome:
        """Report a line.

        Args:
            actor: the holder, or who acts for the holder.
            seq: number of the line's entry.
            words: what is asked.
            idempotency_key: chosen by the caller.

        Raises:
            NotFound: no such line, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: REPORT_EXISTS while a report of this line is not closed; TWIN_RUNNING,
                IDEMPOTENCY_KEY_REUSED.
        """
        check_text("words", words, MAX_WORDS, required=True)
        with self._database.reading() as connection:
            self._lines.find(connection, actor, seq, Action.REPORT_MAKE)
        key = self._matters.draw(MatterKind.REPORT)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            found = self._lines.find(tx.connection, actor, seq, Action.REPORT_MAKE)
            self._demand_first(tx.connection, found.safe_id, seq)
            holder = self._holder(tx.connection, found.safe_id)
            private = {"entry": seq, "exchanges": [self._exchange(actor, "opened", words)]}
            new = NewMatter(
                key, MatterKind.REPORT, actor, private, found.safe_id, document_id=found.line.document_id
            )
            said = Said(holder, entries.context(words=words), {"entry": seq})
            return key.document_id, self._matters.begin(tx, new, "report.opened", said, mark=mark)

        return self._matters.once(actor, "reports", idempotency_key, {"entry": seq, "words": words}, work)

    def take(self, actor: Actor, report_id: str, idempotency_key: str) -> Outcome:
        """Take a report in hand. Raises NotFound, Conflict."""
        return self._move(actor, report_id, "taken", "", Action.REPORT_ANSWER, idempotency_key)

    def answer(self, actor: Actor, report_id: str, words: str, idempotency_key: str) -> Outcome:
        """Answer a report. Raises NotFound, Refused(FIELD_INVALID), Conflict(STATE_CONFLICT, REPORT_FULL)."""
        return self._move(actor, report_id, "answered", words, Action.REPORT_ANSWER, idempotency_key)

    def reopen(self, actor: Actor, report_id: str, words: str, idempotency_key: str) -> Outcome:
        """Say that an answer is not enough. Raises NotFound, Refused(FIELD_INVALID), Conflict."""
        return self._move(actor, report_id, "reopened", words, Action.REPORT_MAKE, idempotency_key)

    def close(self, actor: Actor, report_id: str, idempotency_key: str) -> Outcome:
        """Say that an answer is enough. Raises NotFound, Conflict(STATE_CONFLICT)."""
        return self._move(actor, report_id, "closed", "", Action.REPORT_MAKE, idempotency_key)

    def see(self, actor: Actor, report_id: str) -> Report:
        """Return a report. Raises NotFound."""
        with self._database.reading() as connection:
            matter = self._demand(connection, actor, Action.REPORT_SEE, report_id)
            return self._report(connection, actor, matter)

    def all(self, actor: Actor, before: int | None, limit: int) -> Sequence[Report]:
        """Return reports, newest first: an officer's are all, a holder's those of the holder's own safe.

        Raises:
            NotFound: the caller has none to see.
        """
        with self._database.reading() as connection:
            safe_id = None if actor.role is Role.OFFICER else self._acting_safe(connection, actor)
            self._ties.demand(connection, actor, Action.REPORT_SEE, Subject(safe_id))
            found = self._matters.rows.visible(
                connection,
                MatterKind.REPORT,
                lambda each: self._is_for(connection, actor, each),
                safe_id=safe_id,
                before=before,
                limit=limit,
            )
            return [self._report(connection, actor, matter) for matter in found]

    def _move(
        self, actor: Actor, report_id: str, verb: str, words: str, action: Action, idempotency_key: str
    ) -> Outcome:
        check_text("words", words, MAX_WORDS, required=verb in {"answered", "reopened"})
        with self._database.reading() as connection:
            self._demand(connection, actor, action, report_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            matter = self._demand(tx.connection, actor, action, report_id)
            exchanges = [*matter.private["exchanges"], self._exchange(actor, verb, words)]
            if len(exchanges) > MAX_EXCHANGES:
                raise Conflict("REPORT_FULL", limit=MAX_EXCHANGES)
            said = Said(
                self._holder(tx.connection, matter.safe_id or ""),
                entries.context(words=words),
                {"entry": int(matter.private["entry"])},
            )
            _, seq = self._matters.move(
                tx, actor, report_id, f"report.{verb}", said, changed={"exchanges": exchanges}, mark=mark
            )
            return report_id, seq

        request = {"report": report_id, "verb": verb, "words": words}
        return self._matters.once(actor, f"reports/{verb}", idempotency_key, request, work, status_code=200)

    def _demand(self, connection: Connection, actor: Actor, action: Action, report_id: str) -> Matter:
        matter = self._load_matter(connection, report_id, MatterKind.REPORT)
        self._ties.demand(connection, actor, action, _subject(connection, matter))
        return matter

    def _is_for(self, connection: Connection, actor: Actor, matter: Matter) -> bool:
        return (
            self._ties.grant(connection, actor, Action.REPORT_SEE, _subject(connection, matter)) is not None
        )

    def _demand_first(self, connection: Connection, safe_id: str, seq: int) -> None:
        before: int | None = None
        while True:
            page = self._matters.rows.find(
                connection, MatterKind.REPORT, safe_id=safe_id, states=_OPEN, before=before
            )
            for matter in page:
                if matter.private["entry"] == seq:
                    raise Conflict("REPORT_EXISTS", report=matter.id)
            if not page:
                return
            before = page[-1].first_seq

    def _report(self, connection: Connection, actor: Actor, matter: Matter) -> Report:
        line = self._lines.found(connection, int(matter.private["entry"])).line
        shown = line if actor.role in {Role.HOLDER, Role.MANDATARY} else replace(line, title="", case="")
        return Report(matter, shown)

    def _holder(self, connection: Connection, safe_id: str) -> str:
        safe = self._safes.load(connection, safe_id)
        return "" if safe is None else safe.holder

    def _exchange(self, actor: Actor, verb: str, words: str) -> Mapping[str, Any]:
        return {
            "verb": verb,
            "at": rfc3339(self._clock.now()),
            "by": actor.role.value,
            "words": words,
        }


def _subject(connection: Connection, matter: Matter) -> Subject:
    """Return a report as a subject; mandates may be for some types of document alone."""
    table = models.documents
    found = connection.scalar(select(table.c.document_type).where(table.c.id == matter.document_id))
    return Subject(matter.safe_id, None, matter.document_id, found or "")
