"""The access journal of a safe as a file: CSV, JSON lines, sealed PDF. An export is itself a line of the journal.

The entry of the export is durable before the first octet leaves, and the file ends with that entry: it is the journal
as of one number of the ledger. CSV and JSON are streamed in pages; the PDF holds at most `MAX_PDF_LINES`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.purposes import ServiceNames
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.documents.sealed_reports import seal
from vault.domain.actors import Actor
from vault.domain.matters import MatterKind
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import NewMatter, Said
from vault.records import entries
from vault.rights.journal_lines import Filters, JournalLines
from vault.rights.journal_pdf import MAX_PDF_LINES, typeset
from vault.rights.journal_rows import Line
from vault.rights.journal_words import action_words, agent_of, event_words, purpose_words, who_words
from vault.sealing.desk import SealingDesk

_PAGE = 200
_BOM = "\ufeff"
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "pdf": "application/pdf",
}
COLUMNS = (
    "entry", "time", "event", "what_fr", "what_en", "granted", "who_fr", "who_en", "role", "organisation",
    "service", "agent", "mandate", "action", "purpose", "purpose_fr", "purpose_en", "words", "document", "title",
    "matter", "case", "consent", "share", "recipient", "requisition",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JournalFile:
    """An export ready to leave; its entry is durable.

    Attributes:
        name: for people.
        media_type: of the content.
        seq: number of the export's own entry, the newest line in it.
        chunks: the octets.
    """

    name: str
    media_type: str
    seq: int
    chunks: Iterator[bytes]


class JournalExports(MatterService):
    """Writes journals out."""

    def __init__(
        self, means: Means, lines: JournalLines, desk: SealingDesk, spool: Path, window: timedelta
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            lines: reads the journal.
            desk: seals the PDF.
            spool: folder for unnamed files.
            window: within which the same export by the same person is one line.
        """
        super().__init__(means)
        self._lines = lines
        self._desk = desk
        self._spool = spool
        self._window = window

    def export(self, actor: Actor, safe_id: str, form: str, filters: Filters) -> JournalFile:
        """Export the journal of a safe, newest line first.

        Args:
            actor: the holder.
            safe_id: the safe.
            form: `csv`, `json` or `pdf`.
            filters: which lines.

        Raises:
            NotFound: no such safe, or not for this caller.
            Unavailable: the entry cannot be written, or the PDF not be sealed, now.
        """
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.EXPORT, Subject(safe_id))
            seq = self._recent(connection, actor, safe_id, form)
        if seq is None:
            seq = self._ledger.run(lambda tx: self._begin(tx, actor, safe_id, form))
        before = seq + 1 if filters.before is None else min(filters.before, seq + 1)
        wanted = replace(filters, before=before)
        if form == "pdf":
            chunks = iter((self._pdf(safe_id, wanted, seq),))
        else:
            chunks = self._csv(safe_id, wanted) if form == "csv" else self._json(safe_id, wanted)
        return JournalFile(f"journal-{seq}.{form}", TYPES[form], seq, chunks)

    def _recent(self, connection: Connection, actor: Actor, safe_id: str, form: str) -> int | None:
        oldest = self._clock.now() - self._window
        for matter in self._matters.rows.find(connection, MatterKind.EXPORT, safe_id=safe_id, limit=20):
            said = (matter.private.get("what"), matter.private.get("form"), matter.private.get("actor"))
            if oldest <= matter.created_at <= self._clock.now() and said == ("journal", form, actor.id):
                return matter.first_seq
        return None

    def _begin(self, tx: LedgerTransaction, actor: Actor, safe_id: str, form: str) -> int:
        self._ties.demand(tx.connection, actor, Action.EXPORT, Subject(safe_id))
        if (twin := self._recent(tx.connection, actor, safe_id, form)) is not None:
            return twin
        safe = self._safes.load(tx.connection, safe_id)
        new = NewMatter(
            self._matters.draw(MatterKind.EXPORT),
            MatterKind.EXPORT,
            actor,
            {"what": "journal", "form": form, "actor": actor.id},
            safe_id,
        )
        holder = "" if safe is None else safe.holder
        said = Said(holder, entries.context(), {"what": "journal", "form": form})
        return self._matters.begin(tx, new, "export.journal", said)

    def _pages(self, safe_id: str, filters: Filters) -> Iterator[tuple[list[Line], ServiceNames]]:
        """Yield the lines a page at a time, each page in a transaction of its own."""
        while True:
            with self._database.reading() as connection:
                names = ServiceNames(connection)
                page = self._lines.page(connection, safe_id, filters, _PAGE)
            if page:
                yield page, names
            if len(page) < _PAGE:
                return
            filters = replace(filters, before=page[-1].seq)

    def _csv(self, safe_id: str, filters: Filters) -> Iterator[bytes]:
        yield csv_page(None)
        for page, names in self._pages(safe_id, filters):
            yield csv_page([record(line, names) for line in page])

    def _json(self, safe_id: str, filters: Filters) -> Iterator[bytes]:
        for page, names in self._pages(safe_id, filters):
            yield b"".join(orjson.dumps(record(line, names)) + b"\n" for line in page)

    def _pdf(self, safe_id: str, filters: Filters, seq: int) -> bytes:
        shown: list[Mapping[str, Any]] = []
        more = False
        for page, names in self._pages(safe_id, filters):
            room = MAX_PDF_LINES - len(shown)
            shown += [record(line, names) for line in page[:room]]
            more = len(page) > room
            if more:
                break
        with self._database.reading() as connection:
            safe = self._safes.load(connection, safe_id)
        name = "" if safe is None else safe.name
        pdf = typeset(name, shown, seq, more=more, at=self._clock.now(), filters=_said(filters))
        return seal(pdf, self._desk, self._spool)


def record(line: Line, names: ServiceNames) -> Mapping[str, Any]:
    """Return a line as exports write it, in both languages; members by `COLUMNS`."""
    what, who, why, action = (
        event_words(line), who_words(line, names, None), purpose_words(line, names), action_words(line)
    )  # fmt: skip
    return {
        "entry": line.seq,
        "time": line.time,
        "event": line.event,
        "what_fr": f"{what[0]} ({action[0]})" if action[0] else what[0],
        "what_en": f"{what[1]} ({action[1]})" if action[1] else what[1],
        "granted": line.granted,
        "who_fr": who[0],
        "who_en": who[1],
        "role": line.role,
        "organisation": line.organisation,
        "service": line.service,
        "agent": agent_of(line),
        "mandate": line.mandate,
        "action": line.action,
        "purpose": line.purpose,
        "purpose_fr": why[0],
        "purpose_en": why[1],
        "words": line.words,
        "document": line.document_id or "",
        "title": line.title,
        "matter": line.matter_id or "",
        "case": line.case,
        "consent": line.consent,
        "share": line.share,
        "recipient": line.recipient,
        "requisition": line.requisition,
    }


def csv_page(records: Sequence[Mapping[str, Any]] | None) -> bytes:
    """Return records as lines of CSV; None: what stands before the first of them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if records is None:
        # Without this mark, the common spreadsheet reads accents in the machine's old character set.
        text.write(_BOM)
        writer.writerow(COLUMNS)
    for values in records or ():
        writer.writerow([cell(values[name]) for name in COLUMNS])
    return text.getvalue().encode()


def cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _said(filters: Filters) -> str:
    """Say in words which lines were asked for; "" for all."""
    said = []
    if filters.since is not None:
        said.append(f"≥ {rfc3339(filters.since)}")
    if filters.until is not None:
        said.append(f"< {rfc3339(filters.until)}")
    if filters.document_id is not None:
        said.append(filters.document_id)
    if filters.granted is not None:
        said.append("accordés / granted" if filters.granted else "refusés / refused")
    return ", ".join(said)
