"""Judges what a document's row says of the antivirus against the row of what it said."""

from __future__ import annotations

from sqlalchemy import Connection, select

from vault.db.models import document_scans, documents
from vault.domain.states import Scan, Status
from vault.ledger.findings import AuditReport


def audit_scan(connection: Connection, document_id: str, report: AuditReport) -> None:
    """Judge a document: its verdict stands in both rows, and one that no antivirus gave is `unscanned`.

    Args:
        connection: in a read transaction.
        document_id: the document.
        report: problems are listed there.
    """
    said = document_scans.c.verdict
    query = (
        select(documents.c.scan, documents.c.status, said)
        .join(document_scans, document_scans.c.document_id == documents.c.id, isouter=True)
        .where(documents.c.id == document_id)
    )
    row = connection.execute(query).first()
    if row is None or row.status == Status.DESTROYED.value:
        return
    expected = row.verdict or Scan.UNSCANNED.value
    if row.scan != expected:
        place = f"document {document_id}"
        report.add("ROW_MISMATCH", place, f"scan {expected}", f"scan {row.scan}", check="row")
