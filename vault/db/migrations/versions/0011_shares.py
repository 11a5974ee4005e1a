"""Opened shares, and refused openings.

Reversible: `downgrade` drops both tables. Shares that are open must then be opened again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "share_tokens",
        sa.Column("token_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of the bearer token"),
        sa.Column("share_id", sa.String(length=40), nullable=False),
        sa.Column(
            "opening_id", sa.String(length=40), nullable=False, comment="stands for the bearer in the journal"
        ),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["share_id"], ["matters.id"], name=op.f("fk_share_tokens_share_id")),
        sa.PrimaryKeyConstraint("token_ix", name=op.f("pk_share_tokens")),
        comment="Who opened a share a moment ago; lost with the database, nobody misses them.",
    )
    op.create_index(op.f("ix_share_tokens_share_id"), "share_tokens", ["share_id"], unique=False)
    op.create_index(op.f("ix_share_tokens_ends_at"), "share_tokens", ["ends_at"], unique=False)
    op.create_table(
        "share_tries",
        sa.Column(
            "lookup_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of the code that was tried"
        ),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lookup_ix", name=op.f("pk_share_tries")),
        comment="Refused openings that are not in the ledger yet, whether there is such a share or not.",
    )


def downgrade() -> None:
    op.drop_table("share_tries")
    op.drop_table("share_tokens")
