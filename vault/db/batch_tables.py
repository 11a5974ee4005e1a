"""Batches of acts and their lines. What a line says is sealed, and erased once its act is there or the batch ends."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from vault.db.base import metadata

batches = Table(
    "batches",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("administration_id", ForeignKey("administrations.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("all_or_nothing", Integer, nullable=False),
    Column("lines", Integer, nullable=False, comment="of the manifest, as far as it was read"),
    Column("created_at", String(24), nullable=False),
    Column("ended_at", String(24), comment="null while it goes on"),
    Column("scope_ix", LargeBinary(32), nullable=False, unique=True, comment="HMAC of caller and key"),
    Column("request_ix", LargeBinary(32), nullable=False, comment="HMAC of what was asked"),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="digest of the manifest, encrypted"),
    Index("ix_batches_administration_id", "administration_id", "created_at"),
    comment="Lost with the database, they are brought again under the same key, and no act is issued twice.",
)

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch_id", ForeignKey("batches.id"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("code", String(64), nullable=False, comment="why it is wrong or refused"),
    Column("field", String(40), nullable=False, comment="the field that is wrong"),
    Column("document_id", String(40)),
    Column("seq", BigInteger),
    Column("name_ix", LargeBinary(32), comment="HMAC of the file's name; null once the batch ended"),
    Column("file_ix", LargeBinary(32), comment="HMAC of the file's digest; null once the batch ended"),
    Column("sealed", LargeBinary, comment="what the line says, encrypted; null once there is an act"),
    Index("ix_batch_lines_name", "batch_id", "name_ix"),
    Index("ix_batch_lines_state", "batch_id", "state"),
)
