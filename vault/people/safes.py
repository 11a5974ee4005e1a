"""Safes of people and companies: opened, and shown to their holder without content."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from vault.access import Action, Relation, demand
from vault.authorization.ties import Subject
from vault.clock import Clock, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import COMPANY, PERSON, SafeRecord, Safes
from vault.domain.actors import Actor
from vault.domain.matters import Matter
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_text
from vault.matters.services import MatterService, Means
from vault.people.closures import Closures
from vault.people.safe_opening import open_safe_within
from vault.records.book import RecordBook

_MAX_REFERENCE = 128
_MAX_NAME = 300
_PAGE = 500


@dataclass(frozen=True, slots=True)
class NewSafe:
    """A safe that is about to be opened.

    Attributes:
        holder: identifier of the holder, as the portal or provider says it.
        name: name of the holder.
        kind: `person` or `company`.
        register: register that a company stands in, such as RCI.
        number: its number there.
    """

    holder: str
    name: str
    kind: str = PERSON
    register: str = ""
    number: str = ""

    def check(self) -> None:
        """Raise Refused(FIELD_INVALID) naming the member."""
        check_text("holder", self.holder, _MAX_REFERENCE, required=True)
        check_text("name", self.name, _MAX_NAME, required=True)
        if self.kind not in {PERSON, COMPANY}:
            raise Refused("FIELD_INVALID", f"{PERSON} or {COMPANY}", field="kind")
        for field, value in (("register", self.register), ("number", self.number)):
            check_text(field, value, _MAX_REFERENCE, required=self.kind == COMPANY)
            if value and self.kind == PERSON:
                raise Refused("FIELD_INVALID", "companies alone stand in a register", field=field)


@dataclass(frozen=True, slots=True)
class SafeCounts:
    """How many documents a safe holds.

    Attributes:
        documents: in all.
        types: by type code; "" for those without.
        years: by year of reception.
        statuses: by status.
        octets: of the originals.
    """

    documents: int
    types: Mapping[str, int]
    years: Mapping[str, int]
    statuses: Mapping[str, int]
    octets: int


@dataclass(frozen=True, slots=True)
class SafeView:
    """A safe as its holder sees it.

    Attributes:
        safe: whose it is.
        counts: of documents; of those a mandate is for, under one.
        closures: asked for, under notice or carried out, newest first; empty: none.
    """

    safe: SafeRecord
    counts: SafeCounts
    closures: Sequence[Matter]


class SafeRegistry(MatterService):
    """Opens safes and tells about them; what lies in one is read through `vault.documents.reading`."""

    def __init__(
        self, means: Means, records: RecordBook, closures: Closures, *, authorities: Collection[str]
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            records: recovery records; a safe must survive the database.
            closures: what is under way.
            authorities: administrations that may open safes.
        """
        super().__init__(means)
        self._records = records
        self._closures = closures
        self._authorities = frozenset(authorities)

    def open(self, actor: Actor, new: NewSafe) -> tuple[str, bool]:
        """Open a safe for a holder; asking again for the same finds the same.

        Returns:
            The safe's identifier, and whether it is new.

        Raises:
            NotFound: NOT_FOUND where the caller may not.
            Refused: FIELD_INVALID naming the member.
            Conflict: SAFE_EXISTS, the holder has one that is not described so.
        """
        demand(actor, Action.SAFE_OPEN, issuer_id=actor.administration_id)
        if actor.administration_id not in self._authorities:
            raise NotFound("NOT_FOUND")
        return open_registered(self._database, self._safes, self._records, self._clock, new)

    def see(self, actor: Actor, safe_id: str) -> SafeView:
        """Return a safe to its holder, or to who acts for the holder. Raises NotFound; Conflict: SAFE_CLOSED."""
        with self._database.reading() as connection:
            granted = self._ties.demand(connection, actor, Action.SAFE_SEE, Subject(safe_id))
            safe = self._safes.load(connection, safe_id)
            if safe is None:
                raise NotFound("NOT_FOUND")
            types = self._mandate_types(connection, granted.cited(Relation.MANDATE))
            return SafeView(
                safe, count(connection, safe_id, types), self._closures.running(connection, safe_id)
            )


def open_registered(
    database: Database, safes: Safes, records: RecordBook, clock: Clock, new: NewSafe
) -> tuple[str, bool]:
    """Open a safe, or find the one there is; see `SafeRegistry.open`."""
    new.check()
    company = {"register": new.register, "number": new.number} if new.kind == COMPANY else None
    with database.writing() as connection:
        earlier = safes.of_holder(connection, new.holder)
        safe_id = open_safe_within(
            connection, records, safes, new.holder, new.name, rfc3339(clock.now()), company
        )
        safe = safes.load(connection, safe_id)
    said = (new.name, new.kind, new.register, new.number)
    if safe is None or (safe.name, safe.kind, safe.register, safe.number) != said:
        raise Conflict("SAFE_EXISTS")
    return safe_id, earlier is None


def count(connection: Connection, safe_id: str, types: Sequence[str] = ()) -> SafeCounts:
    """Count the documents of a safe, of some types alone where they are named."""
    table = models.documents
    year = func.substr(table.c.created_at, 1, 4)
    columns = (table.c.document_type, year, table.c.status)
    query = select(*columns, func.count(), func.sum(table.c.size)).where(table.c.safe_id == safe_id)
    if types:
        query = query.where(table.c.document_type.in_(sorted(types)))
    total = octets = 0
    by: tuple[dict[str, int], ...] = ({}, {}, {})
    for *values, many, size in connection.execute(query.group_by(*columns)):
        total += many
        octets += int(size or 0)
        for counts, value in zip(by, values, strict=True):
            counts[value] = counts.get(value, 0) + many
    types_of, years, statuses = (dict(sorted(counts.items())) for counts in by)
    return SafeCounts(total, types_of, years, statuses, octets)


def identifiers(database: Database, after: str = "") -> Sequence[tuple[str, str]]:
    """Return identifier and opening time of safes, a page of them by identifier; empty at the end."""
    table = models.safes
    query = select(table.c.id, table.c.created_at).where(table.c.id > after).order_by(table.c.id).limit(_PAGE)
    with database.reading() as connection:
        return [(row.id, row.created_at) for row in connection.execute(query)]
