"""Reads the tables of matters into domain values. Writes go through `vault.matters.steps`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, or_, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.clock import parse_rfc3339, rfc3339
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.bulk import rows_of
from vault.db.driver import Driver
from vault.db.repositories import PRIVATE_ROLE
from vault.domain.matters import PREFIXES, Matter, MatterKind
from vault.errors import LedgerError
from vault.ids import looks_like_id

_PAGE = 100
_QUIET = (
    "SELECT id FROM safes WHERE NOT EXISTS (SELECT 1 FROM matters WHERE matters.safe_id = safes.id"
    " AND matters.kind = 'closure' AND matters.state IN ('notice', 'closed')) AND safes.id IN "
)


def quiet_safes(driver: Driver, safes: Sequence[str]) -> Mapping[str, bool]:
    """Tell of each safe whether it is there and no closure has, or may come to have, effects on it.

    A question of `vault.ledger.asking`.
    """
    quiet = {safe_id for (safe_id,) in rows_of(driver, _QUIET, safes)}
    return {safe_id: safe_id in quiet for safe_id in safes}


@dataclass(frozen=True, slots=True)
class MatterEntry:
    """One ledger entry about a matter, with its opening still sealed.

    Attributes:
        seq: entry number.
        counter: counter of its tag.
        event: name of the event.
        opening: encrypted opening.
        body: canonical bytes of the entry.
    """

    seq: int
    counter: int
    event: str
    opening: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A stored paper of a matter.

    Attributes:
        name: of the paper within its matter.
        address: hex SHA-256 of the stored (encrypted) octets.
        stored_size: encrypted octets.
        size: plain octets.
        sha256: hex digest of the plain octets.
    """

    name: str
    address: str
    stored_size: int
    size: int
    sha256: str


def matter_opening_role(counter: int) -> str:
    """Name under which the opening of a matter's entry is encrypted."""
    return f"opening-{counter}"


def paper_role(name: str) -> str:
    """Name under which a paper of a matter is encrypted in the object store."""
    return f"paper-{name}"


def paper_digest_role(name: str) -> str:
    """Name under which the plain digest of a paper is encrypted."""
    return f"sha256-{name}"


@contextmanager
def _own_row(matter_id: str) -> Iterator[None]:
    try:
        yield
    except (KeyRefused, ObjectDamaged) as error:
        raise LedgerError("ROW_DAMAGED", f"{matter_id}: its row does not open with its key") from error


class MatterRows:
    """Finds matters and opens their private parts."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def load(self, connection: Connection, matter_id: str, kind: MatterKind | None = None) -> Matter | None:
        """Return a matter (of this kind, when one is named), or None."""
        if kind is not None and not looks_like_id(matter_id, PREFIXES[kind]):
            return None
        table = models.matters
        row = connection.execute(select(table).where(table.c.id == matter_id)).mappings().first()
        return None if row is None else self._matter(row)

    def by_lookup(self, connection: Connection, lookup_ix: bytes) -> Matter | None:
        """Return the matter that a code or reference finds, or None.

        Args:
            connection: in a transaction.
            lookup_ix: from `Keyring.index`, with a kind of value of its own.
        """
        table = models.matters
        row = connection.execute(select(table).where(table.c.lookup_ix == lookup_ix)).mappings().first()
        return None if row is None else self._matter(row)

    def find(
        self,
        connection: Connection,
        kind: MatterKind,
        *,
        safe_id: str | None = None,
        administration_id: str | None = None,
        document_id: str | None = None,
        parent_id: str | None = None,
        states: Collection[str] | None = None,
        ended_by: datetime | None = None,
        unended_at: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Matter]:
        """Return matters of a kind, newest first, that have every property named.

        Args:
            connection: in a transaction.
            kind: of what kind.
            safe_id: about this safe.
            administration_id: with this administration.
            document_id: about this document.
            parent_id: that follow from this matter.
            states: in one of these states.
            ended_by: whose end is at or before this time, UTC.
            unended_at: whose end, if any, comes after this time, UTC.
            before: begun by an entry before this number (cursor).
            limit: at most so many.
        """
        table = models.matters
        query = select(table).where(table.c.kind == kind.value)
        for column, value in (
            (table.c.safe_id, safe_id),
            (table.c.administration_id, administration_id),
            (table.c.document_id, document_id),
            (table.c.parent_id, parent_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if states is not None:
            query = query.where(table.c.state.in_(sorted(states)))
        if ended_by is not None:
            query = query.where(table.c.ends_at <= ended_by.strftime("%Y-%m-%dT%H:%M:%S.999Z"))
        if unended_at is not None:
            query = query.where(or_(table.c.ends_at.is_(None), table.c.ends_at > rfc3339(unended_at)))
        if before is not None:
            query = query.where(table.c.first_seq < before)
        query = query.order_by(table.c.first_seq.desc()).limit(limit)
        return [self._matter(row) for row in connection.execute(query).mappings()]

    def visible(
        self,
        connection: Connection,
        kind: MatterKind,
        keep: Callable[[Matter], bool],
        *,
        before: int | None = None,
        limit: int = 100,
        **where: Any,
    ) -> list[Matter]:
        """Return matters of a kind, newest first, that are to be kept, by what is not in the clear columns.

        Args:
            connection: in a transaction.
            kind: of what kind.
            keep: tells whether one is.
            before: begun by an entry before this number (cursor).
            limit: at most so many.
            where: further arguments of `find`.
        """
        found: list[Matter] = []
        while len(found) < limit:
            page = self.find(connection, kind, before=before, limit=_PAGE, **where)
            found += [matter for matter in page if keep(matter)]
            if len(page) < _PAGE:
                break
            before = page[-1].first_seq
        return found[:limit]

    def without_paper(
        self, connection: Connection, kind: MatterKind, state: str, name: str, limit: int
    ) -> list[Matter]:
        """Return matters of a kind and state that lack a paper, oldest first."""
        table, papers = models.matters, models.matter_papers
        has = select(papers.c.name).where(papers.c.matter_id == table.c.id, papers.c.name == name).exists()
        query = select(table).where(table.c.kind == kind.value, table.c.state == state, ~has)
        rows = connection.execute(query.order_by(table.c.last_seq).limit(limit)).mappings()
        return [self._matter(row) for row in rows]

    def person_ix(self, person: str) -> bytes:
        """Return the keyed digest that stands for a person's identifier."""
        return self._keyring.index("matter-person", person)

    def naming(self, connection: Connection, person: str, kind: MatterKind, limit: int = 100) -> list[Matter]:
        """Return matters of a kind that name this person besides the safe's holder, newest first."""
        table, people = models.matters, models.matter_people
        query = (
            select(table)
            .join(people, people.c.matter_id == table.c.id)
            .where(people.c.person_ix == self.person_ix(person), table.c.kind == kind.value)
            .order_by(table.c.first_seq.desc())
            .limit(limit)
        )
        return [self._matter(row) for row in connection.execute(query).mappings()]

    def key(self, connection: Connection, matter_id: str) -> DocumentKey:
        """Return the key of a matter that is there. Raises LedgerError(ROW_DAMAGED)."""
        column = models.matters.c.wrapped_key
        wrapped = connection.scalar(select(column).where(models.matters.c.id == matter_id))
        if wrapped is None:
            raise LedgerError("ROW_DAMAGED", f"{matter_id}: no such row")
        with _own_row(matter_id):
            return self._keyring.open_key(matter_id, wrapped)

    def entries(self, connection: Connection, matter_id: str) -> list[MatterEntry]:
        """Return the entries of a matter, in order."""
        entries, ledger = models.matter_entries, models.ledger_entries
        query = (
            select(entries.c.seq, entries.c.counter, entries.c.event, entries.c.opening, ledger.c.body)
            .join(ledger, ledger.c.seq == entries.c.seq)
            .where(entries.c.matter_id == matter_id)
            .order_by(entries.c.counter)
        )
        return [MatterEntry(*row) for row in connection.execute(query)]

    def papers(self, connection: Connection, key: DocumentKey) -> Mapping[str, PaperRow]:
        """Return the papers of the matter whose key this is, by name. Raises LedgerError(ROW_DAMAGED)."""
        table = models.matter_papers
        query = select(table).where(table.c.matter_id == key.document_id).order_by(table.c.name)
        found: dict[str, PaperRow] = {}
        for row in connection.execute(query).mappings():
            with _own_row(key.document_id):
                sha256 = key.open(paper_digest_role(row["name"]), row["sha256"]).hex()
            found[row["name"]] = PaperRow(
                row["name"], row["address"], row["stored_size"], row["size"], sha256
            )
        return found

    def _matter(self, row: RowMapping) -> Matter:
        with _own_row(row["id"]):
            key = self._keyring.open_key(row["id"], row["wrapped_key"])
            private: dict[str, Any] = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))
        return Matter(
            id=row["id"],
            kind=MatterKind(row["kind"]),
            safe_id=row["safe_id"],
            administration_id=row["administration_id"],
            document_id=row["document_id"],
            parent_id=row["parent_id"],
            state=row["state"],
            created_at=parse_rfc3339(row["created_at"]),
            ends_at=None if row["ends_at"] is None else parse_rfc3339(row["ends_at"]),
            first_seq=row["first_seq"],
            last_seq=row["last_seq"],
            next_counter=row["next_counter"],
            private=private,
        )
