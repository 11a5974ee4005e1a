"""Audit of a safe's contents: every document against the ledger, the object store and the recovery records.

The log itself is audited by `vault.ledger.audit`; this asks whether what the service holds is what the log
committed to. It needs the keys, so only the operator, or an auditor at the operator's place, can run it.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from storage.base import ObjectStore
from storage.errors import StorageError
from vault.audit.document import Sources, audit_document
from vault.audit.records import Book, begin_report, judge_each
from vault.audit.scans import audit_scan
from vault.audit.seals import SealJudge
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger.entry import RecordEntry, decode
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.records.book import RecordBook
from vault.recovery.records import is_destruction_record


def audit_safe(
    database: Database,
    keyring: Keyring,
    objects: ObjectStore,
    records: RecordBook,
    *,
    seals: SealJudge | None = None,
    sample: int | None = None,
    progress: Progress = quiet,
) -> AuditReport:
    """Audit every document of a safe, or some drawn by chance.

    Steps:
        1. Every record entry of the ledger belongs to a document, or is a destruction whose record says so; every
           row about an entry has its entry.
        2. Every document is judged (`vault.audit.document.audit_document`). A service may be running: what looks
           wrong is looked at again, in a newer state of the database, before it is reported.

    Args:
        database: of the safe.
        keyring: opens documents' keys.
        objects: the object store.
        records: the recovery records.
        seals: judges the documents' seals and their timestamps; None leaves them unjudged.
        sample: documents to draw; None judges all.
        progress: called with documents done and documents in all.
    """
    book = Book(records)
    report, total = begin_report(database, models.documents)
    # 1
    _check_ownership(database, records, report)
    # 2
    sources = Sources(keyring, objects, book.changes, seals)

    def judge(connection: Connection, identifier: str, found: AuditReport) -> None:
        audit_document(connection, identifier, sources, found)
        audit_scan(connection, identifier, found)

    judge_each(database, models.documents, judge, book, report, total, sample, progress)
    return report


def _check_ownership(database: Database, records: RecordBook, report: AuditReport) -> None:
    entries, ledger, of_matters = models.document_entries, models.ledger_entries, models.matter_entries
    alone = (
        select(ledger.c.seq, ledger.c.body)
        .join(entries, entries.c.seq == ledger.c.seq, isouter=True)
        .join(of_matters, of_matters.c.seq == ledger.c.seq, isouter=True)
        .where(entries.c.seq.is_(None), of_matters.c.seq.is_(None))
    )
    absent = [
        select(table.c.seq, owner)
        .join(ledger, table.c.seq == ledger.c.seq, isouter=True)
        .where(ledger.c.seq.is_(None))
        for table, owner in ((entries, entries.c.document_id), (of_matters, of_matters.c.matter_id))
    ]
    with database.reading(patient=True) as connection:
        unexplained: dict[bytes, int] = {}
        for seq, body in connection.execute(alone):
            try:
                entry = decode(bytes(body))
            except LedgerError as error:
                report.add_error(error, f"entry {seq}", expected="an entry", check="form", entry=seq)
                continue
            if isinstance(entry, RecordEntry):
                unexplained[entry.commitment] = seq
        for query, owner in zip(absent, ("document", "matter"), strict=True):
            for seq, owner_id in connection.execute(query):
                place = f"{owner} {owner_id}"
                report.add("ENTRY_MISSING", place, f"entry {seq}", "none", check="ownership", entry=seq)
    if unexplained:
        _explain(records, unexplained)
    for seq in unexplained.values():
        report.add(
            "ENTRY_UNEXPLAINED", f"entry {seq}", "a document's row", "none", check="ownership", entry=seq
        )


def _explain(records: RecordBook, unexplained: dict[bytes, int]) -> None:
    """Drop entries that recovery appended for a destruction whose document was gone already."""
    book = Book(records)
    for name in records.names():
        try:
            changes = book.changes(name)
        except (StorageError, LedgerError):
            continue  # said where an entry needs the file
        for commitment, change in changes.items():
            if is_destruction_record(change):
                unexplained.pop(commitment, None)
