"""How far exports of safes are.

Reversible: `downgrade` drops the table; exports under way say nothing of their progress any more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_runs",
        sa.Column("export_id", sa.String(length=40), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False, comment="in the safe when it began"),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column(
            "missing",
            sa.Integer(),
            nullable=False,
            comment="what could not be read from the store, so far",
        ),
        sa.Column("started_at", sa.String(length=24), nullable=False),
        sa.Column(
            "ended_at",
            sa.String(length=24),
            nullable=True,
            comment="null while it runs, or when it broke off",
        ),
        sa.ForeignKeyConstraint(["export_id"], ["matters.id"], name=op.f("fk_export_runs_export_id")),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_export_runs")),
        comment="The newest archive of each export. Lost with the database, nobody misses them.",
    )


def downgrade() -> None:
    op.drop_table("export_runs")
