"""Cosignatures of witnesses, and alarms they raise.

Reversible: `downgrade` drops both tables; cosignatures can be asked for again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cosignatures",
        sa.Column(
            "size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("cosigner", sa.Text(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column(
            "signature", sa.LargeBinary(), nullable=False, comment="time and signature, verified before kept"
        ),
        sa.Column("received_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("size", "cosigner", "key_id", name=op.f("pk_cosignatures")),
        comment="What witnesses signed under our checkpoints.",
    )
    op.create_table(
        "witness_alarms",
        sa.Column("witness", sa.Text(), nullable=False, comment="its submission prefix"),
        sa.Column("our_size", sa.BigInteger(), nullable=False),
        sa.Column("our_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("their_size", sa.BigInteger(), nullable=False),
        sa.Column(
            "not_root",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="our root there, contradicted; null: we have no such size",
        ),
        sa.Column("raised_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("witness", name=op.f("pk_witness_alarms")),
        comment="Witnesses that hold another history of this log; while one stands nothing is published.",
    )


def downgrade() -> None:
    op.drop_table("witness_alarms")
    op.drop_table("cosignatures")
