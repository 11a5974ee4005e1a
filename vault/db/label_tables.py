"""Table of the labels that holders give their documents."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table

from vault.db.base import metadata

document_labels = Table(
    "document_labels",
    metadata,
    # No foreign key: recovery writes labels before documents, and a destruction takes them away.
    Column("document_id", String(40), primary_key=True),
    Column(
        "label_ix",
        LargeBinary(32),
        primary_key=True,
        index=True,
        comment="HMAC of safe and label, case folded",
    ),
    Column("sealed", LargeBinary, nullable=False, comment="the label, encrypted under the document's key"),
    comment="Free labels by which holders find their documents.",
)
