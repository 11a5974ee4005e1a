"""Audit of matters: mandates, consents, shares, cases and the like against ledger, store and recovery records.

Who changes a consent, a share or a line of the journal in the database is found here: whatever counts of a matter is
in an opening that the ledger committed to, or in the recovery record that was durable before its entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, select

from storage.base import ObjectStore
from storage.encryption import decrypt
from storage.errors import ObjectMissing
from vault.audit.document import BROKEN, Sources, error_name
from vault.audit.records import Book, begin_report, judge_each
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.engine import Database
from vault.db.matters import matter_opening_role, paper_digest_role, paper_role
from vault.db.repositories import PRIVATE_ROLE, Safes
from vault.domain.actors import Role
from vault.domain.matters import EVENTS, SAME, MatterKind
from vault.errors import LedgerError
from vault.ledger.entry import RecordEntry, decode
from vault.ledger.events import check_matter_opening
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.ledger.opening import RevealedOpening
from vault.ledger.tags import tag
from vault.matters.steps import TAG_KEY
from vault.records.book import RecordBook

# What the first entry of a matter fixes for ever; the rest of its row follows from its events.
_FIXED = ("kind", "safe_id", "administration_id", "document_id", "parent_id", "created_at", "lookup_ix")


def audit_matters(
    database: Database,
    keyring: Keyring,
    objects: ObjectStore,
    records: RecordBook,
    *,
    sample: int | None = None,
    progress: Progress = quiet,
) -> AuditReport:
    """Audit every matter of a safe's data folder, or some drawn by chance.

    What looks wrong is looked at again, in a newer state of the database, before it is reported.

    Args:
        database: of the safe.
        keyring: opens matters' keys.
        objects: the object store.
        records: the recovery records.
        sample: matters to draw; None judges all.
        progress: called with matters done and matters in all.
    """
    book = Book(records)
    report, total = begin_report(database, models.matters)
    sources = Sources(keyring, objects, book.changes)

    def judge(connection: Connection, identifier: str, found: AuditReport) -> None:
        audit_matter(connection, identifier, sources, found)

    judge_each(database, models.matters, judge, book, report, total, sample, progress)
    return report


def audit_matter(connection: Connection, matter_id: str, sources: Sources, report: AuditReport) -> None:
    """Judge a matter.

    Steps:
        1. Its counters have no gap, its entries stand in the ledger in the order of their counters, and its row
           names the first, the last and their number.
        2. Its events are legal transitions, and its row is in the state where they lead.
        3. Its key opens its private part.
        4. Each entry carries the tag of its counter, and its opening is the one committed to: of that event of this
           matter, caused by somebody who may cause it, for the holder of its safe.
        5. Each entry has its recovery record with the same opening; what the first fixes for ever, the private part
           and the papers are those of the records.
        6. The end of the row is the last that an opening states.
        7. Each paper is in the store: its stored octets have the digest that is their address, and open to octets
           with the digest of its row.

    Args:
        connection: in a read transaction.
        matter_id: the matter.
        sources: where its pieces lie.
        report: problems are listed there.
    """
    table = models.matters
    row = connection.execute(select(table).where(table.c.id == matter_id)).mappings().first()
    if row is not None:
        _Judge(connection, row, sources, report).run()


@dataclass(slots=True)
class _Recorded:
    """What the recovery records of a matter's entries say of its rows."""

    fixed: Mapping[str, Any] | None = None
    sealed: bytes | None = None
    papers: dict[str, str] = field(default_factory=dict)
    whole: bool = True


class _Judge:
    """One matter under audit."""

    def __init__(
        self, connection: Connection, row: RowMapping, sources: Sources, report: AuditReport
    ) -> None:
        self._row, self._sources, self._report = row, sources, report
        self._where = f"matter {row['id']}"
        entries, ledger = models.matter_entries, models.ledger_entries
        query = (
            select(entries, ledger.c.body)
            .join(ledger, ledger.c.seq == entries.c.seq)
            .where(entries.c.matter_id == row["id"])
            .order_by(entries.c.counter)
        )
        self._entries: Sequence[RowMapping] = list(connection.execute(query).mappings())
        papers = models.matter_papers
        self._papers = list(
            connection.execute(
                select(papers).where(papers.c.matter_id == row["id"]).order_by(papers.c.name)
            ).mappings()
        )
        self._holder = _holder(connection, row["safe_id"], sources.keyring)

    def run(self) -> None:
        """See `audit_matter`."""
        # 1
        self._check_counters()
        # 2
        self._check_transitions()
        # 3
        key, private = self._open()
        if key is None:
            return
        recorded, ends_at = _Recorded(), None
        for item in self._entries:
            # 4
            entry = self._entry(item)
            if entry is None:
                recorded.whole = False
                continue
            expected = tag(bytes.fromhex(str(private.get(TAG_KEY, "00" * 32))), item["counter"])
            if entry.tag != expected:
                self._add("TAG_MISMATCH", expected, entry.tag, "tag", item["seq"])
            document = self._opening(item, entry, key)
            ends_at = document.get("ends_at", ends_at)
            # 5
            self._take_record(item, entry, recorded)
        self._check_recorded(recorded)
        # 6
        if self._row["ends_at"] != ends_at:
            self._add("ROW_MISMATCH", f"ends_at {ends_at}", f"ends_at {self._row['ends_at']}", "row")
        # 7
        for paper in self._papers:
            self._check_paper(paper, key)

    def _add(self, code: str, expected: object, found: object, check: str, entry: int | None = None) -> None:
        place = self._where if entry is None else f"entry {entry}, {self._where}"
        self._report.add(code, place, expected, found, check=check, entry=entry)

    def _check_counters(self) -> None:
        counters = [item["counter"] for item in self._entries]
        if counters != list(range(len(counters))):
            gap = next(at for at, counter in enumerate([*counters, -1]) if at != counter)
            self._add("COUNTER_GAP", f"counter {gap}", counters[gap : gap + 1], "counter")
        seqs = [item["seq"] for item in self._entries]
        for before, after in pairwise(seqs):
            if after <= before:
                self._add("COUNTER_ORDER", f"an entry after {before}", f"entry {after}", "counter", after)
        said = {
            "next_counter": len(counters),
            "first_seq": seqs[0] if seqs else None,
            "last_seq": seqs[-1] if seqs else None,
        }
        self._check_row(said)

    def _check_transitions(self) -> None:
        state: str | None = None
        for item in self._entries:
            known = EVENTS.get(item["event"])
            if known is None or known[0].value != self._row["kind"]:
                self._add(
                    "EVENT_UNKNOWN",
                    f"an event of {self._row['kind']}",
                    item["event"],
                    "transition",
                    item["seq"],
                )
                continue
            transition = known[1]
            if (state is not None) if not transition.before else (state not in transition.before):
                found = f"{item['event']} of what is {state or 'not begun'}"
                self._add("TRANSITION_ILLEGAL", "an event that may follow", found, "transition", item["seq"])
            state = state if transition.after == SAME and state is not None else transition.after
        self._check_row({"state": state})
        if self._row["kind"] not in {kind.value for kind in MatterKind}:
            self._add("ROW_MISMATCH", "a kind of matter", self._row["kind"], "row")

    def _check_row(self, said: Mapping[str, object]) -> None:
        for name, value in said.items():
            if self._row[name] != value:
                self._add("ROW_MISMATCH", f"{name} {value}", f"{name} {self._row[name]}", "row")

    def _open(self) -> tuple[DocumentKey | None, Mapping[str, Any]]:
        try:
            key = self._sources.keyring.open_key(self._row["id"], self._row["wrapped_key"])
            private: dict[str, Any] = orjson.loads(key.open(PRIVATE_ROLE, self._row["sealed"]))
        except BROKEN as error:
            self._add("KEY_UNUSABLE", "a key that opens the private part", error_name(error), "key")
            return None, {}
        return key, private

    def _entry(self, item: RowMapping) -> RecordEntry | None:
        try:
            entry = decode(bytes(item["body"]))
        except LedgerError as error:
            self._add(error.code, "a record entry", error.detail, "form", item["seq"])
            return None
        if isinstance(entry, RecordEntry):
            return entry
        self._add("ENTRY_MISMATCH", "a record entry", "a log entry", "form", item["seq"])
        return None

    def _opening(self, item: RowMapping, entry: RecordEntry, key: DocumentKey) -> Mapping[str, Any]:
        seq = item["seq"]
        try:
            opening = RevealedOpening.parse(key.open(matter_opening_role(item["counter"]), item["opening"]))
            event = check_matter_opening(opening)
        except BROKEN as error:
            self._add(
                "OPENING_INVALID", "an opening under the matter's key", error_name(error), "opening", seq
            )
            return {}
        if opening.commitment() != entry.commitment:
            self._add("COMMITMENT_MISMATCH", entry.commitment, opening.commitment(), "opening", seq)
        document, parties = opening.document or {}, opening.parties or {}
        said: dict[str, tuple[object, object]] = {
            "event": (item["event"], document.get("event")),
            "matter_id": (self._row["id"], document.get("matter_id")),
        }
        if item["counter"] == 0:
            said["document_id"] = (self._row["document_id"], document.get("document_id"))
            said["parent_id"] = (self._row["parent_id"], document.get("parent_id"))
        if parties.get("holder"):
            said["holder"] = (self._holder, parties["holder"])
        for name, (row, opened) in said.items():
            if row != opened:
                # The values may be personal: names of members are enough to look.
                self._add("OPENING_MISMATCH", f"{name} as committed", f"another {name}", "opening", seq)
        if not _writers(parties) & event.writers:
            self._add("TRANSITION_ILLEGAL", f"{event.event} by one who may", "another", "transition", seq)
        return document

    def _take_record(self, item: RowMapping, entry: RecordEntry, recorded: _Recorded) -> None:
        seq, name = item["seq"], item["record"]
        try:
            change = self._sources.record(name).get(entry.commitment)
        except BROKEN as error:
            recorded.whole = False
            self._add("RECORD_DAMAGED", f"recovery file {name}", error_name(error), "record", seq)
            return
        if change is None:
            recorded.whole = False
            self._add("RECORD_MISSING", "a recovery record", f"none in {name}", "record", seq)
            return
        rows = [row for table, row in change.inserts if table == "matter_entries"]
        if change.tag != entry.tag or [row.get("opening") for row in rows] != [item["opening"]]:
            self._add("RECORD_MISMATCH", "the record of this entry", "another one", "record", seq)
        for table, row in change.inserts:
            if table == "matters" and row.get("id") == self._row["id"]:
                recorded.fixed, recorded.sealed = row, row["sealed"]
            elif table == "matter_papers":
                recorded.papers[row["name"]] = row["address"]
        for table, where, values in change.updates:
            if table == "matters" and where.get("id") == self._row["id"] and "sealed" in values:
                recorded.sealed = values["sealed"]

    def _check_recorded(self, recorded: _Recorded) -> None:
        if not recorded.whole or not self._entries:
            return  # what is missing is said already
        for name in _FIXED:
            if recorded.fixed is None or self._row[name] != recorded.fixed.get(name):
                self._add("ROW_MISMATCH", f"{name} as recorded", f"another {name}", "row")
        if self._row["sealed"] != recorded.sealed:
            self._add("ROW_MISMATCH", "the private part as recorded", "another one", "row")
        papers = {paper["name"]: paper["address"] for paper in self._papers}
        for name in sorted(papers.keys() | recorded.papers.keys()):
            if papers.get(name) != recorded.papers.get(name):
                self._add("PAPER_MISMATCH", f"paper {name} as recorded", "another, or none", "object")

    def _check_paper(self, paper: RowMapping, key: DocumentKey) -> None:
        name, address = paper["name"], paper["address"]
        try:
            stored = b"".join(self._sources.objects.read(address))
            if (hashlib.sha256(stored).hexdigest(), len(stored)) != (address, paper["stored_size"]):
                self._add("OBJECT_DAMAGED", f"{paper['stored_size']} octets, {address}", "others", "object")
                return
            plain = b"".join(decrypt(iter((stored,)), key.key, key.associated_data(paper_role(name))))
            digest = key.open(paper_digest_role(name), paper["sha256"])
        except ObjectMissing:
            self._add("OBJECT_MISSING", f"paper {name} in the store", "none", "object")
            return
        except BROKEN as error:
            self._add("OBJECT_DAMAGED", f"paper {name} that opens", error_name(error), "object")
            return
        if (hashlib.sha256(plain).digest(), len(plain)) != (digest, paper["size"]):
            self._add("OBJECT_MISMATCH", digest, hashlib.sha256(plain).digest(), "object")


def _holder(connection: Connection, safe_id: str | None, keyring: Keyring) -> str:
    try:
        safe = None if safe_id is None else Safes(keyring).load(connection, safe_id)
    except BROKEN:
        return ""
    return "" if safe is None else safe.holder


def _writers(parties: Mapping[str, Any]) -> frozenset[Role]:
    """Return in what quality the entry says that somebody acted; holders and mandataries need not say."""
    try:
        stated = parties.get("role")
        return frozenset({Role(stated)}) if stated else frozenset({Role.HOLDER, Role.MANDATARY})
    except ValueError:
        return frozenset()
