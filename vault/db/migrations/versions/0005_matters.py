"""Matters: mandates, requests, consents, shares, cases and the like, with their entries and sealed papers.

Reversible: `downgrade` drops the tables; the entries stay in the ledger, and recovery writes the rows again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "matters",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("safe_id", sa.String(length=40), nullable=True),
        sa.Column("administration_id", sa.String(length=64), nullable=True),
        sa.Column("document_id", sa.String(length=40), nullable=True),
        sa.Column("parent_id", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("ends_at", sa.String(length=24), nullable=True),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("next_counter", sa.BigInteger(), nullable=False),
        sa.Column(
            "lookup_ix",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="HMAC of a code or reference that finds it",
        ),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="the private part, encrypted under the matter's key",
        ),
        sa.ForeignKeyConstraint(
            ["administration_id"], ["administrations.id"], name=op.f("fk_matters_administration_id")
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["matters.id"], name=op.f("fk_matters_parent_id")),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_matters_safe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matters")),
        sa.UniqueConstraint("lookup_ix", name=op.f("uq_matters_lookup_ix")),
        comment="Mandates, requests, consents, shares, cases and the like: what lives beside documents.",
    )
    op.create_index("ix_matters_safe", "matters", ["safe_id", "kind", "first_seq"], unique=False)
    op.create_index(
        "ix_matters_administration", "matters", ["administration_id", "kind", "first_seq"], unique=False
    )
    op.create_index("ix_matters_document", "matters", ["document_id", "kind"], unique=False)
    op.create_index("ix_matters_parent", "matters", ["parent_id", "kind"], unique=False)
    op.create_index("ix_matters_open", "matters", ["kind", "state", "ends_at"], unique=False)
    op.create_table(
        "matter_entries",
        sa.Column("seq", number, autoincrement=False, nullable=False),
        sa.Column("matter_id", sa.String(length=40), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("opening", sa.LargeBinary(), nullable=False, comment="salts and values, encrypted"),
        sa.Column("record", sa.String(length=80), nullable=False, comment="recovery file that holds it too"),
        sa.ForeignKeyConstraint(["matter_id"], ["matters.id"], name=op.f("fk_matter_entries_matter_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_matter_entries")),
        sa.UniqueConstraint("matter_id", "counter", name=op.f("uq_matter_entries_matter_id_counter")),
    )
    op.create_index(op.f("ix_matter_entries_record"), "matter_entries", ["record"], unique=False)
    op.create_table(
        "matter_papers",
        sa.Column("matter_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("stored_size", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "sha256",
            sa.LargeBinary(),
            nullable=False,
            comment="plain digest, encrypted under the matter's key",
        ),
        sa.ForeignKeyConstraint(["matter_id"], ["matters.id"], name=op.f("fk_matter_papers_matter_id")),
        sa.PrimaryKeyConstraint("matter_id", "name", name=op.f("pk_matter_papers")),
        comment="Sealed papers of matters (consents, statements) in the object store.",
    )
    op.create_index(op.f("ix_matter_papers_address"), "matter_papers", ["address"], unique=False)


def downgrade() -> None:
    for table in ("matter_papers", "matter_entries", "matters"):
        op.drop_table(table)
