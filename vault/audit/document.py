"""Judges one document: its rows, entries, openings, objects and recovery records against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, select

from storage.base import ObjectStore
from storage.encryption import decrypt
from storage.errors import ObjectMissing, StorageError
from vault.audit.seals import SealJudge
from vault.audit.states import SEALED_BY, replay
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.repositories import EVIDENCE_PREFIX, PRIVATE_ROLE, digest_role, opening_role
from vault.domain.documents import ObjectRole
from vault.domain.states import Status
from vault.errors import LedgerError
from vault.ledger.entry import RecordEntry, decode
from vault.ledger.events import Chain, Event, check_opening
from vault.ledger.findings import AuditReport
from vault.ledger.opening import RevealedOpening
from vault.ledger.tags import tag
from vault.records.changes import Change

BROKEN = (StorageError, LedgerError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a document's pieces lie.

    Attributes:
        keyring: opens its key.
        objects: holds its parts.
        record: returns the changes in a recovery file by commitment; raises StorageError, LedgerError.
        seals: judges seals and their timestamps; None leaves them unjudged.
    """

    keyring: Keyring
    objects: ObjectStore
    record: Callable[[str], Mapping[bytes, Change]]
    seals: SealJudge | None = None


def audit_document(connection: Connection, document_id: str, sources: Sources, report: AuditReport) -> None:
    """Judge a document.

    Steps:
        1. Its counters have no gap, its entries stand in the ledger in the order of their counters.
        2. Its status events are legal transitions, and its row says where they lead.
        3. Its key opens, and only a destroyed document has none; a destroyed one has no opening left.
        4. Each entry carries the tag of its counter, and its opening is the one committed to, of a registered
           event about this document.
        5. Each entry has its recovery record, which holds the same opening.
        6. What the openings say is what the rows and the parts' digests say.
        7. Each part is in the store: its stored octets have the digest that is their address, and open to the
           octets whose digest was committed to.
        8. The seal and its timestamp are valid, and those committed to (`vault.audit.seals.SealJudge.judge`).

    Args:
        connection: in a read transaction.
        document_id: the document.
        sources: where its pieces lie.
        report: problems are listed there.
    """
    table = models.documents
    row = connection.execute(select(table).where(table.c.id == document_id)).mappings().first()
    if row is not None:
        _Judge(connection, row, sources, report).run()


class _Judge:
    """One document under audit."""

    def __init__(
        self, connection: Connection, row: RowMapping, sources: Sources, report: AuditReport
    ) -> None:
        self._row = row
        self._sources = sources
        self._report = report
        self._where = f"document {row['id']}"
        entries, ledger = models.document_entries, models.ledger_entries
        query = (
            select(entries, ledger.c.body)
            .join(ledger, ledger.c.seq == entries.c.seq)
            .where(entries.c.document_id == row["id"])
            .order_by(entries.c.chain, entries.c.counter)
        )
        found = list(connection.execute(query).mappings())
        self._chains = {
            chain: [item for item in found if item["chain"] == chain.value]
            for chain in (Chain.STATUS, Chain.ACCESS)
        }
        table = models.objects
        query_parts = select(table).where(table.c.document_id == row["id"]).order_by(table.c.role)
        self._parts = list(connection.execute(query_parts).mappings())
        self._digests: dict[str, str] = {}
        self._sealed: tuple[int, Event, Mapping[str, Any]] | None = None

    @property
    def _destroyed(self) -> bool:
        return bool(self._row["status"] == Status.DESTROYED.value)

    def run(self) -> None:
        """See `audit_document`."""
        # 1
        for chain, counter in ((Chain.STATUS, "next_status"), (Chain.ACCESS, "next_access")):
            self._check_counters(chain, counter)
        # 2
        self._check_transitions()
        # 3
        key, private = self._open()
        if key is not None:
            self._digests = dict(self._plain_digests(key))
        for chain, items in self._chains.items():
            for item in items:
                self._check_entry(chain, item, key, private)
        # 7
        sound = len(self._report.problems)
        for part in self._parts:
            self._check_part(part, key)
        # 8; a part that is damaged is said already
        if key is not None and len(self._report.problems) == sound:
            self._check_seal(key)

    def _add(
        self,
        code: str,
        expected: object,
        found: object,
        check: str,
        entry: int | None = None,
        where: str = "",
    ) -> None:
        place = where or (self._where if entry is None else f"entry {entry}, {self._where}")
        self._report.add(code, place, expected, found, check=check, entry=entry)

    def _check_counters(self, chain: Chain, column: str) -> None:
        items = self._chains[chain]
        counters = [item["counter"] for item in items]
        if counters != list(range(len(items))):
            gap = next(at for at, counter in enumerate([*counters, -1]) if at != counter)
            self._add("COUNTER_GAP", f"{chain} counter {gap}", counters[gap : gap + 1], "counter")
        if self._row[column] != len(items):
            self._add("ROW_MISMATCH", f"{column} {len(items)}", f"{column} {self._row[column]}", "row")
        for before, after in pairwise(items):
            if after["seq"] <= before["seq"]:
                expected = f"an entry after {before['seq']}"
                self._add("COUNTER_ORDER", expected, f"entry {after['seq']}", "counter", after["seq"])

    def _check_transitions(self) -> None:
        row = self._row
        events = ((item["seq"], item["event"]) for item in self._chains[Chain.STATUS])
        replayed = replay(row["kind"], events)
        for seq, code, what in replayed.illegal:
            self._add(code, "an event that may follow", what, "transition", seq)
        if (end := replayed.destroyed_seq) is not None:
            for item in self._chains[Chain.ACCESS]:
                if item["seq"] > end:
                    found = f"{item['event']} after it"
                    self._add(
                        "TRANSITION_ILLEGAL", "destruction is the end", found, "transition", item["seq"]
                    )
        for name, value in replayed.expected():
            if row[name] != value:
                self._add("ROW_MISMATCH", f"{name} {value}", f"{name} {row[name]}", "row")
        if replayed.superseded is not (row["superseded_by"] is not None):
            self._add("ROW_MISMATCH", "superseded_by as its events say", str(row["superseded_by"]), "row")

    def _open(self) -> tuple[DocumentKey | None, Mapping[str, Any]]:
        wrapped, sealed = self._row["wrapped_key"], self._row["sealed"]
        if self._destroyed:
            left = [name for name in ("wrapped_key", "sealed") if self._row[name] is not None]
            if left:
                self._add(
                    "DESTRUCTION_UNFINISHED", "no key and no private part", ", ".join(left), "destruction"
                )
            return None, {}
        try:
            key = self._sources.keyring.open_key(self._row["id"], wrapped)
            private: dict[str, Any] = orjson.loads(key.open(PRIVATE_ROLE, sealed))
        except BROKEN as error:
            self._add("KEY_UNUSABLE", "a key that opens the private part", error_name(error), "key")
            return None, {}
        return key, private

    def _plain_digests(self, key: DocumentKey) -> Iterator[tuple[str, str]]:
        """Yield role and plain digest of each part, as its row says."""
        for part in self._parts:
            try:
                yield part["role"], key.open(digest_role(_role(part["role"])), part["sha256"]).hex()
            except BROKEN as error:
                self._add("ROW_MISMATCH", "a digest under the document's key", error_name(error), "object")

    def _check_entry(
        self, chain: Chain, item: RowMapping, key: DocumentKey | None, private: Mapping[str, Any]
    ) -> None:
        seq = item["seq"]
        if self._destroyed:
            for name in ("opening", "record"):
                if item[name]:
                    self._add("DESTRUCTION_UNFINISHED", f"no {name}", f"its {name}", "destruction", seq)
            return
        if key is None:
            return
        try:
            entry = decode(bytes(item["body"]))
        except LedgerError as error:
            self._add(error.code, "a record entry", error.detail, "form", seq)
            return
        if not isinstance(entry, RecordEntry):
            self._add("ENTRY_MISMATCH", "a record entry", "a log entry", "form", seq)
            return
        # 4
        tag_key = private.get("status_key" if chain is Chain.STATUS else "access_key", "")
        expected = tag(bytes.fromhex(tag_key), item["counter"])
        if entry.tag != expected:
            self._add("TAG_MISMATCH", expected, entry.tag, "tag", seq)
        self._check_opening(chain, item, entry, key, private)
        # 5
        self._check_record(item, entry)

    def _check_opening(
        self, chain: Chain, item: RowMapping, entry: RecordEntry, key: DocumentKey, private: Mapping[str, Any]
    ) -> None:
        seq = item["seq"]
        try:
            plain = key.open(opening_role(item["chain"], item["counter"]), item["opening"])
            opening = RevealedOpening.parse(plain)
            event = check_opening(opening)
        except BROKEN as error:
            self._add(
                "OPENING_INVALID", "an opening under the document's key", error_name(error), "opening", seq
            )
            return
        if opening.commitment() != entry.commitment:
            self._add("COMMITMENT_MISMATCH", entry.commitment, opening.commitment(), "opening", seq)
        document, parties = opening.document or {}, opening.parties or {}
        # 6
        said = {
            "event": (item["event"], event.event.value),
            "chain": (chain.value, event.chain.value),
            "document_id": (self._row["id"], document["document_id"]),
            "holder": (private.get("holder"), parties.get("holder")),
            **self._stated(seq, event.event, document),
        }
        for name, (row, opened) in said.items():
            if row != opened:
                # The values may be personal: names of members are enough to look.
                self._add("OPENING_MISMATCH", f"{name} as committed", f"another {name}", "opening", seq)

    def _stated(
        self, seq: int, event: Event, document: Mapping[str, Any]
    ) -> dict[str, tuple[object, object]]:
        """Pair what rows and parts say with what an opening of this event says."""
        said: dict[str, tuple[object, object]] = {}
        original = self._digests.get(ObjectRole.ORIGINAL.value)
        first = self._digests.get(ObjectRole.RECEIVED.value, original)
        if "sha256" in document:
            said["sha256"] = (first if event is Event.RECEIVED else original, document["sha256"])
        if event in SEALED_BY:
            said["size"] = (self._row["size"], document["size"])
            said["media_type"] = (self._row["media_type"], document["media_type"])
            said["document_type"] = (self._row["document_type"], document["document_type"])
            said["issuer"] = (self._row["issuer_id"] or "", document["issuer"])
            sealed = document["parts"]
            self._sealed = (seq, event, document)
            if "manifest" in sealed:
                for role in (ObjectRole.MANIFEST, ObjectRole.SIGNATURE):
                    said[role.value] = (self._digests.get(role.value), sealed[role.value])
        return said

    def _check_record(self, item: RowMapping, entry: RecordEntry) -> None:
        try:
            change = self._sources.record(item["record"]).get(entry.commitment)
        except BROKEN as error:
            self._add(
                "RECORD_DAMAGED", f"recovery file {item['record']}", error_name(error), "record", item["seq"]
            )
            return
        if change is None:
            self._add(
                "RECORD_MISSING", "a recovery record", f"none in {item['record']}", "record", item["seq"]
            )
            return
        rows = [row for table, row in change.inserts if table == "document_entries"]
        if change.tag != entry.tag or [row.get("opening") for row in rows] != [item["opening"]]:
            self._add("RECORD_MISMATCH", "the record of this entry", "another one", "record", item["seq"])

    def _check_part(self, part: RowMapping, key: DocumentKey | None) -> None:
        where = f"object {part['address']}, {self._where}"
        seq = self._row["issued_seq"] if self._row["issued_seq"] is not None else self._row["first_seq"]
        stored = _Hashed(self._sources.objects, part["address"])
        try:
            if key is None:
                stored.drain()
            else:
                plain = _digest(
                    decrypt(stored.chunks(), key.key, key.associated_data(_role(part["role"]).value))
                )
                if plain != self._digests.get(part["role"], plain):
                    self._add("OBJECT_MISMATCH", self._digests[part["role"]], plain, "object", seq, where)
        except ObjectMissing:
            # What was destroyed may be deleted once its retention is over.
            if not self._destroyed:
                self._add("OBJECT_MISSING", "an object in the store", "none", "object", seq, where)
            return
        except BROKEN as error:
            stored.drain_quietly()
            self._add("OBJECT_DAMAGED", "octets that open", error_name(error), "object", seq, where)
        if stored.complete and (stored.digest, stored.size) != (part["address"], part["stored_size"]):
            expected = f"{part['stored_size']} octets, {part['address']}"
            self._add(
                "OBJECT_DAMAGED", expected, f"{stored.size} octets, {stored.digest}", "object", seq, where
            )

    def _check_seal(self, key: DocumentKey) -> None:
        if self._sources.seals is None or self._sealed is None:
            return
        seq, event, document = self._sealed
        addresses = {part["role"]: part["address"] for part in self._parts}

        def read(role: ObjectRole) -> Iterator[bytes]:
            return decrypt(
                self._sources.objects.read(addresses[role.value]), key.key, key.associated_data(role.value)
            )

        beside = ObjectRole.SIGNATURE.value in addresses
        try:
            problems = self._sources.seals.judge(event, document, read, beside=beside)
        except BROKEN as error:
            self._add("OBJECT_DAMAGED", "a seal that can be read", error_name(error), "seal", seq)
            return
        for item in problems:
            self._report.add(
                item.code,
                f"entry {seq}, {self._where}",
                item.expected,
                item.found,
                check="seal",
                entry=seq,
                indeterminate=item.indeterminate,
            )


class _Hashed:
    """Stored octets, hashed while something else reads them."""

    def __init__(self, objects: ObjectStore, address: str) -> None:
        self._objects, self._address = objects, address
        self._hash = hashlib.sha256()
        self.size = 0
        self.complete = False

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._objects.read(self._address):
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk
        self.complete = True

    def drain(self) -> None:
        for _ in self.chunks():
            pass

    def drain_quietly(self) -> None:
        """Hash the whole again after a failed decryption, for the report."""
        self._hash, self.size = hashlib.sha256(), 0
        try:
            self.drain()
        except StorageError:
            self.complete = False


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _role(name: str) -> ObjectRole:
    return ObjectRole.EVIDENCE_SEAL if name.startswith(EVIDENCE_PREFIX) else ObjectRole(name)


def error_name(error: BaseException) -> str:
    """Name an error by its code; the texts of libraries may hold values."""
    return str(getattr(error, "code", type(error).__name__))
