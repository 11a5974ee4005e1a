"""Batches of acts and their lines.

Reversible: `downgrade` drops both tables; acts that were issued stay.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("administration_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("all_or_nothing", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False, comment="of the manifest, as far as it was read"),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("ended_at", sa.String(length=24), nullable=True, comment="null while it goes on"),
        sa.Column("scope_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of caller and key"),
        sa.Column("request_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of what was asked"),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="digest of the manifest, encrypted"),
        sa.ForeignKeyConstraint(
            ["administration_id"], ["administrations.id"], name=op.f("fk_batches_administration_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("scope_ix", name=op.f("uq_batches_scope_ix")),
        comment="Lost with the database, they are brought again under the same key, and no act is issued twice.",
    )
    op.create_index("ix_batches_administration_id", "batches", ["administration_id", "created_at"])
    op.create_table(
        "batch_lines",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False, comment="why it is wrong or refused"),
        sa.Column("field", sa.String(length=40), nullable=False, comment="the field that is wrong"),
        sa.Column("document_id", sa.String(length=40), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column(
            "name_ix",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="HMAC of the file's name; null once the batch ended",
        ),
        sa.Column(
            "file_ix",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="HMAC of the file's digest; null once the batch ended",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="what the line says, encrypted; null once there is an act",
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_lines_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "line", name=op.f("pk_batch_lines")),
    )
    op.create_index("ix_batch_lines_name", "batch_lines", ["batch_id", "name_ix"])
    op.create_index("ix_batch_lines_state", "batch_lines", ["batch_id", "state"])


def downgrade() -> None:
    op.drop_index("ix_batch_lines_state", table_name="batch_lines")
    op.drop_index("ix_batch_lines_name", table_name="batch_lines")
    op.drop_table("batch_lines")
    op.drop_index("ix_batches_administration_id", table_name="batches")
    op.drop_table("batches")
