"""The access journal as people read it: one line for each ledger entry about a document or matter of a safe.

A page costs what it shows: the numbers of its entries come from the database, and only their openings are decrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, RowMapping, Select, or_, select

from vault.access import Action, Relation
from vault.authorization.ties import Subject
from vault.clock import parse_rfc3339, rfc3339
from vault.db import models
from vault.db.matters import MatterRows
from vault.domain.actors import Actor, Role
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound
from vault.journal import Journal
from vault.ledger.entry import decode
from vault.ledger.replica import Replica, read_as_of
from vault.ledger.stored import read_head
from vault.matters.services import MatterService, Means
from vault.rights.journal_rows import REFUSED, Line, Opener, rows_of

_BATCH = 100
_END = 2**53  # no entry has such a number


@dataclass(frozen=True, slots=True)
class Filters:
    """Which lines are wanted.

    Attributes:
        since: those at or after this time, UTC.
        until: those before this time, UTC.
        document_id: those about this document.
        granted: only what was granted, or only what was refused; None: both.
        before: those of entries before this number (cursor).
        document_types: about documents of these types alone; empty: no such limit.
    """

    since: datetime | None = None
    until: datetime | None = None
    document_id: str | None = None
    granted: bool | None = None
    before: int | None = None
    document_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of the journal with the keys it needs, for who proves or reports its line.

    Attributes:
        line: what it says.
        safe_id: the safe it is of.
        body: canonical octets of the ledger entry.
        opening: octets of the whole opening; None once the document was destroyed.
        tag_key: hex key of its chain's tags, or "".
    """

    line: Line
    safe_id: str
    body: bytes
    opening: bytes | None
    tag_key: str = field(repr=False)


class JournalLines(MatterService):
    """Reads lines."""

    def __init__(self, means: Means, journal: Journal, replica: Replica | None = None) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            journal: writes down refusals.
            replica: where lines of a safe are read, once it is decided who may; None: in the database.
        """
        super().__init__(means)
        self._replica = replica
        self._rows = means.matters.rows
        self._journal = journal

    def of_safe(self, actor: Actor, safe_id: str, filters: Filters, limit: int) -> Sequence[Line]:
        """Return lines of a safe, newest first.

        Raises:
            NotFound: no such safe, or not for this caller.
        """
        with self._database.reading() as connection:
            grant = self._ties.demand(connection, actor, Action.JOURNAL, Subject(safe_id))
            types = self._mandate_types(connection, grant.cited(Relation.MANDATE))
            wanted = replace(filters, document_types=types)
            if self._replica is None:
                return self.page(connection, safe_id, wanted, limit)
            known = read_head(connection)
        read = partial(self.page, safe_id=safe_id, filters=wanted, limit=limit)
        return read_as_of(self._database, self._replica, known, read)

    def of_document(self, actor: Actor, document_id: str, filters: Filters, limit: int) -> Sequence[Line]:
        """Return lines about a document, newest first; a refused look by a known caller is a line itself.

        Raises:
            NotFound: no such document, or not for this caller.
        """
        with self._database.reading() as connection:
            document = self._load_document(connection, document_id)
            grant = self._ties.grant(connection, actor, Action.JOURNAL, Subject.of(document))
            if grant is not None:
                wanted = replace(filters, document_id=document_id)
                return self.page(connection, document.safe_id, wanted, limit)
        if document.private is not None and actor.role is not Role.ANONYMOUS:
            self._journal.note_refusal(actor, document, "", Action.JOURNAL)
        raise NotFound("NOT_FOUND")

    def find(self, connection: Connection, actor: Actor, seq: int, action: Action) -> Found:
        """Return one entry for a caller who may do this with it.

        Raises:
            NotFound: no such line, or not for this caller.
        """
        row = self._row(connection, seq)
        if row is None:
            raise NotFound("NOT_FOUND")
        subject = Subject(row["safe_id"], None, row["document_id"], row["document_type"] or "")
        grant = self._ties.demand(connection, actor, action, subject)
        types = self._mandate_types(connection, grant.cited(Relation.MANDATE))
        if types and row["document_type"] not in types:
            raise NotFound("NOT_FOUND")
        return self.found(connection, seq)

    def found(self, connection: Connection, seq: int) -> Found:
        """Return an entry that is there, whoever asks. Raises NotFound."""
        row = self._row(connection, seq)
        if row is None or row["safe_id"] is None:
            raise NotFound("NOT_FOUND")
        opener = Opener(connection, self._keyring, self._rows)
        line = opener.line(row)
        opening = opener.opening(row) if line.state == "open" else None
        return Found(line, row["safe_id"], bytes(row["body"]), opening, opener.tag_key(row))

    def page(self, connection: Connection, safe_id: str, filters: Filters, limit: int) -> list[Line]:
        """Return lines of a safe, newest first, without asking whether the caller may see them."""
        seqs: list[int] = []
        for query in self._queries(connection, safe_id, filters):
            seqs += connection.scalars(query.limit(limit))
        chosen = sorted(seqs, reverse=True)[:limit]
        opener = Opener(connection, self._keyring, self._rows)
        return [opener.line(row) for row in rows_of(connection, chosen)]

    def _queries(
        self, connection: Connection, safe_id: str, filters: Filters
    ) -> Iterator[Select[tuple[int]]]:
        documents, of_documents = models.documents, models.document_entries
        matters, of_matters = models.matters, models.matter_entries
        first = (
            select(of_documents.c.seq)
            .join(documents, documents.c.id == of_documents.c.document_id)
            .where(documents.c.safe_id == safe_id)
        )
        second = (
            select(of_matters.c.seq)
            .join(matters, matters.c.id == of_matters.c.matter_id)
            .where(matters.c.safe_id == safe_id)
        )
        if (document_id := filters.document_id) is not None:
            named = self._naming(connection, safe_id, document_id)
            first = first.where(documents.c.id == document_id)
            second = second.where(or_(matters.c.document_id == document_id, matters.c.id.in_(named)))
        if types := filters.document_types:
            first = first.where(documents.c.document_type.in_(types))
            of_types = select(documents.c.id).where(
                documents.c.safe_id == safe_id, documents.c.document_type.in_(types)
            )
            second = second.where(matters.c.document_id.in_(of_types))
        bounds = _bounds(connection, filters)
        for query, table in ((first, of_documents), (second, of_matters)):
            bounded = query.where(table.c.seq >= bounds[0], table.c.seq < bounds[1])
            if filters.granted is not None:
                refused = table.c.event.in_(sorted(REFUSED))
                bounded = bounded.where(~refused if filters.granted else refused)
            yield bounded.order_by(table.c.seq.desc())

    def _naming(self, connection: Connection, safe_id: str, document_id: str) -> list[str]:
        """Return the matters that name a document in their private part: shares and cases."""
        return [
            matter.id
            for kind in (MatterKind.SHARE, MatterKind.CASE)
            for matter in _all(self._rows, connection, kind, safe_id)
            if document_id in matter.private.get("documents", ())
            or any(link.get("document") == document_id for link in matter.private.get("links", ()))
        ]

    @staticmethod
    def _row(connection: Connection, seq: int) -> RowMapping | None:
        return next(iter(rows_of(connection, [seq])), None) if 0 <= seq < _END else None


def _all(rows: MatterRows, connection: Connection, kind: MatterKind, safe_id: str) -> Iterator[Matter]:
    before: int | None = None
    while True:
        page = rows.find(connection, kind, safe_id=safe_id, before=before, limit=_BATCH)
        yield from page
        if len(page) < _BATCH:
            return
        before = page[-1].first_seq


def _bounds(connection: Connection, filters: Filters) -> tuple[int, int]:
    """Return the numbers between which the wanted entries lie; their times never go back."""
    low, high = 0, _END
    if filters.since is not None:
        low = _first_at(connection, rfc3339(filters.since))
    if filters.until is not None:
        high = _first_at(connection, rfc3339(filters.until))
    return low, high if filters.before is None else min(high, filters.before)


def _first_at(connection: Connection, time: str) -> int:
    """Return the number of the first entry at or after a time, by halves."""
    ledger = models.ledger_entries
    low = 0
    last = connection.scalar(select(ledger.c.seq).order_by(ledger.c.seq.desc()).limit(1))
    high = 0 if last is None else last + 1
    while low < high:
        middle = (low + high) // 2
        body = connection.scalar(select(ledger.c.body).where(ledger.c.seq == middle))
        if body is not None and parse_rfc3339(decode(bytes(body)).time) < parse_rfc3339(time):
            low = middle + 1
        else:
            high = middle
    return low
