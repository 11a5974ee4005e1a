"""The first tables: ledger, documents, access windows, idempotency, outbox.

Reversible: `downgrade` drops them all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "administrations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_administrations")),
    )
    op.create_table(
        "checkpoints",
        sa.Column(
            "size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "idempotency",
        sa.Column(
            "scope_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of caller, route and key"
        ),
        sa.Column(
            "request_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of the request's content"
        ),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("scope_ix", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_entries")),
        comment="Canonical bytes of each entry and their RFC 6962 leaf hash.",
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("last_leaf", sa.LargeBinary(length=32), nullable=False),
        sa.Column("last_time", sa.String(length=24), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
        comment="One row: lock and fence of every writer (compare-and-swap on size).",
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tile", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(length=8192), nullable=False),
        sa.PrimaryKeyConstraint("level", "tile", name=op.f("pk_ledger_tiles")),
        comment="Full tiles of 256 hashes, so that a proof costs a bounded number of reads.",
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False, comment="identifiers only"),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("delivered_at", sa.String(length=24), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "safes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("holder_ix", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="holder's identifier and name, encrypted"
        ),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_safes")),
        sa.UniqueConstraint("holder_ix", name=op.f("uq_safes_holder_ix")),
    )
    op.create_table(
        "documents",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("safe_id", sa.String(length=40), nullable=False),
        sa.Column("issuer_id", sa.String(length=64), nullable=True),
        sa.Column("document_type", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reception", sa.String(length=16), nullable=False),
        sa.Column("sealing", sa.String(length=16), nullable=False),
        sa.Column("scan", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("retain_until", sa.String(length=24), nullable=False),
        sa.Column("superseded_by", sa.String(length=40), nullable=True),
        sa.Column("supersedes", sa.String(length=40), nullable=True),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("issued_seq", sa.BigInteger(), nullable=True),
        sa.Column("next_status", sa.BigInteger(), nullable=False),
        sa.Column("next_access", sa.BigInteger(), nullable=False),
        sa.Column(
            "wrapped_key",
            sa.LargeBinary(),
            nullable=True,
            comment="null once destroyed: the document is erased",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="the private part, encrypted under the document's key",
        ),
        sa.ForeignKeyConstraint(["issuer_id"], ["administrations.id"], name=op.f("fk_documents_issuer_id")),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_documents_safe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
    )
    op.create_index("ix_documents_safe_order", "documents", ["safe_id", "first_seq"], unique=False)
    op.create_index("ix_documents_waiting", "documents", ["sealing", "first_seq"], unique=False)
    op.create_table(
        "access_windows",
        sa.Column(
            "window_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of person, document, purpose, outcome",
        ),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_access_windows_document_id")
        ),
        sa.PrimaryKeyConstraint("window_ix", name=op.f("pk_access_windows")),
    )
    op.create_table(
        "digests",
        sa.Column(
            "digest_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of a SHA-256 of plain octets",
        ),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_digests_document_id")),
        sa.PrimaryKeyConstraint("digest_ix", "document_id", name=op.f("pk_digests")),
        comment="Finds documents by content without holding their hashes.",
    )
    op.create_table(
        "document_entries",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("chain", sa.String(length=8), nullable=False, comment="status or access: which tag key"),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column(
            "opening",
            sa.LargeBinary(),
            nullable=True,
            comment="salts and values, encrypted; null once destroyed",
        ),
        sa.Column("record", sa.String(length=80), nullable=False, comment="recovery file that holds it too"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_entries_document_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_document_entries")),
        sa.UniqueConstraint(
            "document_id", "chain", "counter", name=op.f("uq_document_entries_document_id_chain_counter")
        ),
    )
    op.create_table(
        "objects",
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("stored_size", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "sha256",
            sa.LargeBinary(),
            nullable=True,
            comment="plain digest, encrypted under the document's key",
        ),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_objects_document_id")),
        sa.PrimaryKeyConstraint("document_id", "role", name=op.f("pk_objects")),
    )
    op.create_index(op.f("ix_objects_address"), "objects", ["address"], unique=False)


def downgrade() -> None:
    for table in (
        "objects",
        "document_entries",
        "digests",
        "access_windows",
        "documents",
        "safes",
        "outbox",
        "ledger_tiles",
        "ledger_head",
        "ledger_entries",
        "idempotency",
        "checkpoints",
        "administrations",
    ):
        op.drop_table(table)
