"""Which outside dates of checkpoints there are.

Reversible: `downgrade` drops the table; the log store still holds what it lists, and it is filled again from there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "anchors",
        sa.Column(
            "size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("token_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("gen_time", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_anchors")),
        comment="Which anchors the log store holds, and the authority's time of each; rebuilt from there.",
    )


def downgrade() -> None:
    op.drop_table("anchors")
