"""Table of the services of administrations, with the purposes that each may name."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from vault.db.base import metadata

services = Table(
    "services",
    metadata,
    Column("administration_id", ForeignKey("administrations.id"), primary_key=True),
    Column("service", String(64), primary_key=True, comment="its code; empty: the administration as a whole"),
    Column("name_fr", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("purposes", Text, nullable=False, comment="JSON array of objects with code, fr, en"),
    Column("updated_at", String(24), nullable=False),
    comment="Services of administrations; the recovery record of each is ahead of its row.",
)
