"""Table of what the antivirus said of documents."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from vault.db.base import metadata

document_scans = Table(
    "document_scans",
    metadata,
    # No foreign key: a destruction takes the row away, and so may come before it in recovery.
    Column("document_id", String(40), primary_key=True),
    Column("verdict", String(16), nullable=False, comment="as in the document's row"),
    Column("engine", String(200), nullable=False, comment="engine and signatures that looked last, or empty"),
    Column("looked_at", String(24), nullable=False),
    Column("reason", String(24), nullable=False, comment="why there is no verdict, or empty"),
    Column("found", String(120), nullable=False, comment="the engine's name for what it found, or empty"),
    Index("ix_document_scans_due", "verdict", "engine", "looked_at"),
    comment="What the antivirus said of documents, and when; none of those that came while there was none.",
)
