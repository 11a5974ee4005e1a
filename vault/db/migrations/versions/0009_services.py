"""Services of administrations, with the purposes that each may name.

Reversible: `downgrade` drops the table; services have recovery records.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("administration_id", sa.String(length=64), nullable=False),
        sa.Column(
            "service",
            sa.String(length=64),
            nullable=False,
            comment="its code; empty: the administration as a whole",
        ),
        sa.Column("name_fr", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False, comment="JSON array of objects with code, fr, en"),
        sa.Column("updated_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(
            ["administration_id"], ["administrations.id"], name=op.f("fk_services_administration_id")
        ),
        sa.PrimaryKeyConstraint("administration_id", "service", name=op.f("pk_services")),
        comment="Services of administrations; the recovery record of each is ahead of its row.",
    )


def downgrade() -> None:
    op.drop_table("services")
