"""Finding documents of a safe, by what the database knows and by what only its opened rows say.

Type, year, status, kind and label are columns. Titles and cases are encrypted, so no index knows them: rows are opened
one by one, newest first, a bounded number a request, and the cursor goes on where the request stopped. Memory stays
flat however large the safe is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, Select, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.access import Action, Relation
from vault.authorization.ties import Subject
from vault.db import models
from vault.db.repositories import PRIVATE_ROLE
from vault.domain.actors import Actor
from vault.domain.documents import Document, Kind
from vault.domain.states import Status
from vault.errors import LedgerError, Refused
from vault.files.fields import check_code, check_text
from vault.ledger.replica import Replica, read_as_of
from vault.ledger.stored import read_head
from vault.matters.labels import LONGEST, LabelRows, folded
from vault.matters.services import MatterService, Means

_BATCH = 100
_OPENED = 1000
_MAX_WORDS = 200
_MAX_REFERENCE = 128


@dataclass(frozen=True, slots=True)
class Wanted:
    """What documents are looked for; what is empty does not count.

    Attributes:
        document_type: type code.
        year: of reception, four digits.
        status: of `vault.domain.states.Status`.
        kind: of `vault.domain.documents.Kind`.
        label: a label, whatever its case and accents.
        case: reference of the case, exactly.
        words: all of which stand in the title, whatever their case and accents.
    """

    document_type: str = ""
    year: str = ""
    status: str = ""
    kind: str = ""
    label: str = ""
    case: str = ""
    words: str = ""

    def check(self) -> None:
        """Raise Refused(FIELD_INVALID) naming the parameter."""
        check_code("type", self.document_type)
        if self.year and not (len(self.year) == 4 and self.year.isascii() and self.year.isdigit()):
            raise Refused("FIELD_INVALID", "a year such as 2026", field="year")
        for field, value, known in (("status", self.status, Status), ("kind", self.kind, Kind)):
            if value and value not in set(known):
                raise Refused("FIELD_INVALID", f"one of {', '.join(known)}", field=field)
        check_text("label", self.label, LONGEST)
        check_text("case", self.case, _MAX_REFERENCE)
        check_text("q", self.words, _MAX_WORDS)

    @property
    def is_sealed(self) -> bool:
        """Tell whether rows must be opened to answer."""
        return bool(self.case or self.words.strip())


EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Found:
    """Part of an answer.

    Attributes:
        documents: newest first.
        labels: of each document, in the same order.
        next: entry number from which to go on, or None at the end. There may be more, even where few were found.
    """

    documents: tuple[Document, ...]
    labels: tuple[tuple[str, ...], ...]
    next: int | None


class Search(MatterService):
    """Finds documents of a safe for its holder, or for who acts for the holder."""

    def __init__(self, means: Means, replica: Replica | None = None) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            replica: where rows are read, once it is decided who may see them; None: in the database.
        """
        super().__init__(means)
        self._replica = replica
        self._labels = LabelRows(means.keyring)

    def page(self, actor: Actor, safe_id: str, before: int | None, limit: int, wanted: Wanted) -> Found:
        """Return documents, newest first.

        Args:
            actor: the caller.
            safe_id: the safe.
            before: received by an entry before this number (cursor).
            limit: at most so many.
            wanted: which.

        Raises:
            NotFound: not for this caller.
            Refused: FIELD_INVALID naming the parameter.
            Conflict: SAFE_CLOSED.
            LedgerError: ROW_DAMAGED.
        """
        wanted.check()
        with self._database.reading() as connection:
            grant = self._ties.demand(connection, actor, Action.LIST, Subject(safe_id))
            types = self._mandate_types(connection, grant.cited(Relation.MANDATE))
            find = partial(
                self._found,
                query=self._query(safe_id, types, wanted),
                before=before,
                limit=limit,
                wanted=wanted,
            )
            if self._replica is None:
                return find(connection)
            known = read_head(connection)
        return read_as_of(self._database, self._replica, known, find)

    def _found(
        self, connection: Connection, *, query: Select[Any], before: int | None, limit: int, wanted: Wanted
    ) -> Found:
        hits, following = self._hits(connection, query, before, limit, wanted)
        documents = [self._documents.load(connection, each) for each in hits]
        labels = self._labels.of(connection, hits) if hits else {}
        return Found(
            tuple(document for document in documents if document is not None),
            tuple(labels.get(each, ()) for each in hits),
            following,
        )

    def labels_of(self, document_id: str) -> tuple[str, ...]:
        """Return the labels of a document. Raises LedgerError(ROW_DAMAGED)."""
        with self._database.reading() as connection:
            return self._labels.of(connection, [document_id]).get(document_id, ())

    def _hits(
        self, connection: Connection, query: Select[Any], before: int | None, limit: int, wanted: Wanted
    ) -> tuple[list[str], int | None]:
        """Return identifiers, and from where to go on if anything is left to look at."""
        size = _BATCH if wanted.is_sealed else limit + 1
        hits: list[str] = []
        opened = 0
        while opened < _OPENED:
            page = self._rows(connection, query, before, size)
            for row in page:
                if len(hits) == limit:
                    return hits, before
                opened, before = opened + 1, row["first_seq"]
                if not wanted.is_sealed or self._fits(row, wanted):
                    hits.append(row["id"])
            if len(page) < size:
                return hits, None
        return hits, before

    def _query(self, safe_id: str, types: Sequence[str], wanted: Wanted) -> Select[Any]:
        table, labels = models.documents, models.document_labels
        query = select(table.c.id, table.c.first_seq, table.c.wrapped_key, table.c.sealed)
        query = query.where(table.c.safe_id == safe_id)
        if types:
            query = query.where(table.c.document_type.in_(sorted(types)))
        for column, value in (
            (table.c.document_type, wanted.document_type),
            (table.c.status, wanted.status),
            (table.c.kind, wanted.kind),
        ):
            if value:
                query = query.where(column == value)
        if wanted.year:
            # Times of one form sort as texts.
            ends = (f"{wanted.year}-01-01T00:00:00.000Z", f"{wanted.year}-12-31T23:59:59.999Z")
            query = query.where(table.c.created_at.between(*ends))
        if wanted.label:
            index = self._labels.index(safe_id, wanted.label)
            has = select(labels.c.document_id).where(labels.c.label_ix == index)
            query = query.where(table.c.id.in_(has), table.c.wrapped_key.is_not(None))
        if wanted.is_sealed:
            query = query.where(table.c.wrapped_key.is_not(None))
        return query

    @staticmethod
    def _rows(
        connection: Connection, query: Select[Any], before: int | None, limit: int
    ) -> Sequence[RowMapping]:
        first = models.documents.c.first_seq
        if before is not None:
            query = query.where(first < before)
        return connection.execute(query.order_by(first.desc()).limit(limit)).mappings().all()

    def _fits(self, row: RowMapping, wanted: Wanted) -> bool:
        try:
            key = self._keyring.open_key(row["id"], row["wrapped_key"])
            private = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))
        except (KeyRefused, ObjectDamaged) as error:
            raise LedgerError("ROW_DAMAGED", f"{row['id']}: its row does not open with its key") from error
        if wanted.case and private["case"] != wanted.case:
            return False
        title = folded(private["title"])
        return all(word in title for word in folded(wanted.words).split())
