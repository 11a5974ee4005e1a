"""How far exports of safes are. Numbers only; what was given stands in the ledger."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from vault.db.base import metadata

export_runs = Table(
    "export_runs",
    metadata,
    Column("export_id", ForeignKey("matters.id"), primary_key=True),
    Column("documents", Integer, nullable=False, comment="in the safe when it began"),
    Column("done", Integer, nullable=False),
    Column("missing", Integer, nullable=False, comment="what could not be read from the store, so far"),
    Column("started_at", String(24), nullable=False),
    Column("ended_at", String(24), comment="null while it runs, or when it broke off"),
    comment="The newest archive of each export. Lost with the database, nobody misses them.",
)
