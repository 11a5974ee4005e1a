"""Reads the tables into domain values. Writes go through `vault.records.changes`, so that recovery can repeat them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, func, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.clock import parse_rfc3339
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.bulk import rows_of
from vault.db.driver import driver_of
from vault.domain.documents import Document, Kind, ObjectRole, Part, Private
from vault.domain.states import Reception, Scan, Sealing, Status
from vault.errors import LedgerError

PRIVATE_ROLE = "private"
_PRIVATE = tuple(field.name for field in fields(Private))
# Kept evidence seals: one row for each status and reader, see vault.documents.bundles.
EVIDENCE_PREFIX = "evidence-"
PERSON = "person"
COMPANY = "company"


@dataclass(frozen=True, slots=True)
class SafeRecord:
    """One holder's safe, its private part opened.

    Attributes:
        id: `safe_…`.
        holder: identifier of the holder.
        name: name of the holder.
        kind: `person` or `company`.
        register: register that a company stands in, or "".
        number: its number there, opaque, or "".
        created_at: RFC 3339 time of the opening.
    """

    id: str
    holder: str
    name: str
    kind: str = PERSON
    register: str = ""
    number: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """One ledger entry about a document, with its opening still sealed.

    Attributes:
        seq: entry number.
        chain: "status" or "access".
        counter: counter of its tag.
        event: name of the event.
        opening: encrypted opening; None once destroyed.
        body: canonical bytes of the entry.
    """

    seq: int
    chain: str
    counter: int
    event: str
    opening: bytes | None
    body: bytes


def private_bytes(private: Private) -> bytes:
    """Write a private part for encryption."""
    members = {name: getattr(private, name) for name in _PRIVATE}
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def opening_role(chain: str, counter: int) -> str:
    """Name under which the opening of an entry is encrypted."""
    return f"opening-{chain}-{counter}"


def digest_role(role: ObjectRole) -> str:
    """Name under which the plain digest of a part is encrypted."""
    return f"sha256-{role.value}"


@contextmanager
def _own_row(document_id: str) -> Iterator[None]:
    """Say what a key or value means that does not open: a row that was changed or belongs to another."""
    try:
        yield
    except (KeyRefused, ObjectDamaged) as error:
        raise LedgerError("ROW_DAMAGED", f"{document_id}: its row does not open with its key") from error


class Documents:
    """Finds documents and opens their private parts."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def key(self, connection: Connection, document_id: str) -> DocumentKey | None:
        """Return the document's key; None when unknown or destroyed."""
        column = models.documents.c.wrapped_key
        wrapped = connection.scalar(select(column).where(models.documents.c.id == document_id))
        if wrapped is None:
            return None
        with _own_row(document_id):
            return self._keyring.open_key(document_id, wrapped)

    def load(self, connection: Connection, document_id: str) -> Document | None:
        """Return a document with its parts and private part, or None."""
        table = models.documents
        row = connection.execute(select(table).where(table.c.id == document_id)).mappings().first()
        return None if row is None else self._document(connection, row)

    def of_types(
        self, connection: Connection, safe_id: str, types: Collection[str], limit: int
    ) -> list[Document]:
        """Return documents of a safe that have one of these types, newest first."""
        table = models.documents
        query = select(table).where(table.c.safe_id == safe_id, table.c.document_type.in_(sorted(types)))
        rows = connection.execute(query.order_by(table.c.first_seq.desc()).limit(limit)).mappings()
        return [self._document(connection, row) for row in rows]

    def waiting(
        self, connection: Connection, limit: int, *, but: Collection[str] = (), of: Collection[str] = ()
    ) -> Sequence[tuple[str, str]]:
        """Return documents that wait for their seal, in order of reception: identifier, and administration or "".

        Args:
            connection: to the database.
            limit: how many.
            but: administrations whose documents are left out; "" for those of no administration.
            of: administrations that they are of; none for all.
        """
        table = models.documents
        issuer = func.coalesce(table.c.issuer_id, "")
        query = (
            select(table.c.id, issuer)
            .where(
                table.c.sealing == Sealing.WAITING.value,
                table.c.reception == Reception.RECEIVED.value,
                table.c.wrapped_key.is_not(None),
            )
            .order_by(table.c.first_seq)
            .limit(limit)
        )
        if but:
            query = query.where(issuer.not_in(but))
        if of:
            query = query.where(issuer.in_(of))
        return [(row[0], row[1]) for row in connection.execute(query)]

    def _scan_said(self, connection: Connection, row: RowMapping) -> Mapping[str, str]:
        """Return what is said beside a verdict that keeps a document back."""
        if row["scan"] not in (Scan.PENDING.value, Scan.INFECTED.value):
            return {}
        table = models.document_scans
        query = select(table.c.reason, table.c.found).where(table.c.document_id == row["id"])
        said = connection.execute(query).first()
        return {} if said is None else {"scan_reason": said.reason, "scan_found": said.found}

    def by_digest(self, connection: Connection, digest_ix: bytes) -> list[RowMapping]:
        """Return the rows of documents that contain these octets as an original."""
        query = (
            select(models.documents)
            .join(models.digests, models.digests.c.document_id == models.documents.c.id)
            .where(models.digests.c.digest_ix == digest_ix)
            .order_by(models.documents.c.first_seq)
        )
        return list(connection.execute(query).mappings())

    def entries(self, connection: Connection, document_id: str, chain: str) -> list[StatusEntry]:
        """Return the document's entries of one chain, in order."""
        entries, ledger = models.document_entries, models.ledger_entries
        query = (
            select(
                entries.c.seq,
                entries.c.chain,
                entries.c.counter,
                entries.c.event,
                entries.c.opening,
                ledger.c.body,
            )
            .join(ledger, ledger.c.seq == entries.c.seq)
            .where(entries.c.document_id == document_id, entries.c.chain == chain)
            .order_by(entries.c.counter)
        )
        return [StatusEntry(*row) for row in connection.execute(query)]

    def event_rows(self, connection: Connection, document_id: str) -> list[Mapping[str, Any]]:
        """Return what the rows of a document's entries say without openings and recovery files, in order."""
        table = models.document_entries
        query = select(table.c.seq, table.c.document_id, table.c.chain, table.c.counter, table.c.event)
        query = query.where(table.c.document_id == document_id).order_by(table.c.seq)
        return [
            {str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()
        ]

    def record_names(self, connection: Connection, document_id: str) -> list[str]:
        """Return the recovery files that hold records of this document."""
        entries = models.document_entries
        query = (
            select(entries.c.record)
            .where(entries.c.document_id == document_id, entries.c.record != "")
            .distinct()
        )
        return sorted(connection.scalars(query))

    def _document(self, connection: Connection, row: RowMapping) -> Document:
        parts: dict[ObjectRole, Part] = {}
        private = None
        if row["wrapped_key"] is not None:
            with _own_row(row["id"]):
                key = self._keyring.open_key(row["id"], row["wrapped_key"])
                raw: dict[str, Any] = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))
                parts = {part.role: part for part in self._parts(connection, key)}
            raw["findings"] = tuple(raw["findings"])
            private = Private(**raw)
        return Document(
            id=row["id"],
            kind=Kind(row["kind"]),
            safe_id=row["safe_id"],
            issuer_id=row["issuer_id"],
            document_type=row["document_type"],
            media_type=row["media_type"],
            size=row["size"],
            reception=Reception(row["reception"]),
            sealing=Sealing(row["sealing"]),
            scan=Scan(row["scan"]),
            status=Status(row["status"]),
            created_at=parse_rfc3339(row["created_at"]),
            retain_until=parse_rfc3339(row["retain_until"]),
            superseded_by=row["superseded_by"],
            supersedes=row["supersedes"],
            first_seq=row["first_seq"],
            issued_seq=row["issued_seq"],
            next_status=row["next_status"],
            next_access=row["next_access"],
            parts=parts,
            private=private,
            **self._scan_said(connection, row),
        )

    @staticmethod
    def _parts(connection: Connection, key: DocumentKey) -> Iterator[Part]:
        table = models.objects
        for row in connection.execute(select(table).where(table.c.document_id == key.document_id)).mappings():
            if row["role"].startswith(EVIDENCE_PREFIX):
                continue
            role = ObjectRole(row["role"])
            sha256 = key.open(digest_role(role), row["sha256"]).hex()
            yield Part(role, row["address"], row["stored_size"], row["size"], sha256)


class Safes:
    """Finds holders' safes and administrations."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def holder_index(self, holder: str) -> bytes:
        """Return the keyed digest that stands for a holder."""
        return self._keyring.index("holder", holder)

    def of_holder(self, connection: Connection, holder: str) -> str | None:
        """Return the identifier of a holder's safe, or None.

        A person may be known by another identifier with each linked identity: each leads to the one safe.
        """
        return self.of_holders(connection, (holder,))[holder]

    def of_holders(self, connection: Connection, holders: Collection[str]) -> Mapping[str, str | None]:
        """Return the same for several holders."""
        indexes = {holder: self.holder_index(holder) for holder in holders}
        query = "SELECT holder_ix, id FROM safes WHERE holder_ix IN "
        found = {
            bytes(index): str(safe_id)
            for index, safe_id in rows_of(driver_of(connection), query, list(indexes.values()))
        }
        return {
            holder: found.get(index) or self._of_identity(connection, index)
            for holder, index in indexes.items()
        }

    @staticmethod
    def _of_identity(connection: Connection, index: bytes) -> str | None:
        identities, accounts = models.account_identities, models.accounts
        known = select(accounts.c.safe_id).join(identities, identities.c.account_id == accounts.c.id)
        return connection.scalar(known.where(identities.c.holder_ix == index))

    def load(self, connection: Connection, safe_id: str) -> SafeRecord | None:
        """Return a safe, its private part opened, or None."""
        table = models.safes
        row = connection.execute(select(table).where(table.c.id == safe_id)).mappings().first()
        if row is None:
            return None
        key = self._keyring.open_key(safe_id, row["wrapped_key"])
        raw = orjson.loads(key.open(PRIVATE_ROLE, row["sealed"]))
        return SafeRecord(safe_id, **raw, created_at=row["created_at"])

    def new_row(
        self, safe_id: str, holder: str, name: str, created_at: str, company: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """Return the row of a new safe.

        Args:
            safe_id: identifier.
            holder: identifier of the holder.
            name: name of the holder.
            created_at: RFC 3339 time.
            company: members `register` and `number` of a company; None: a person.
        """
        key = self._keyring.new_key(safe_id)
        more = {} if company is None else {"kind": COMPANY, **company}
        sealed = key.seal(PRIVATE_ROLE, orjson.dumps({"holder": holder, "name": name, **more}))
        return {
            "id": safe_id,
            "holder_ix": self.holder_index(holder),
            "wrapped_key": key.wrapped,
            "sealed": sealed,
            "created_at": created_at,
        }

    def administration(self, connection: Connection, administration_id: str) -> str | None:
        """Return the name of an administration, or None."""
        query = "SELECT name FROM administrations WHERE id = ?"
        found = driver_of(connection).execute(query, (administration_id,)).fetchone()
        return None if found is None else str(found[0])

    def administration_names(self, connection: Connection) -> Mapping[str, str]:
        """Return the names of all administrations by identifier."""
        table = models.administrations
        return {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}
