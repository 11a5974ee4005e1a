"""How background work goes, and readings of the whole store.

Reversible: `downgrade` drops both tables; the next reading of the store begins anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_runs",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column(
            "succeeded_at",
            sa.String(length=24),
            nullable=True,
            comment="null before the first run that went well",
        ),
        sa.Column(
            "failed_at",
            sa.String(length=24),
            nullable=True,
            comment="when it was first seen to fail since; null when it does not",
        ),
        sa.Column("code", sa.String(length=40), nullable=False, comment="of that failure"),
        sa.Column("done", sa.BigInteger(), nullable=False, comment="things done, as the task counts them"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_task_runs")),
        comment="Each task of the workers, as it went lately. Lost with the database, nobody misses them.",
    )
    op.create_table(
        "scrub_rounds",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("begun_at", sa.String(length=24), nullable=False),
        sa.Column("ended_at", sa.String(length=24), nullable=True, comment="null while it goes on"),
        sa.Column("cursor", sa.String(length=72), nullable=False, comment="where the next step goes on"),
        sa.Column("checked", sa.BigInteger(), nullable=False, comment="objects read so far"),
        sa.Column("octets", sa.BigInteger(), nullable=False, comment="of them"),
        sa.Column("problems", sa.Integer(), nullable=False, comment="found so far"),
        sa.Column(
            "undecided",
            sa.Integer(),
            nullable=False,
            comment="of them, those that another look may clear up",
        ),
        sa.Column("repaired", sa.Integer(), nullable=False, comment="made good from the other store"),
        sa.Column(
            "found", sa.Text(), nullable=False, comment="codes and addresses of the first problems, JSON"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrub_rounds")),
        comment="Readings of the whole store, the newest ones. Lost with the database, nobody misses them.",
    )


def downgrade() -> None:
    op.drop_table("scrub_rounds")
    op.drop_table("task_runs")
