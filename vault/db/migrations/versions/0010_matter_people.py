"""By which persons matters are found.

Reversible: `downgrade` drops the table; recovery writes its rows again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "matter_people",
        sa.Column(
            "person_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of a person's identifier"
        ),
        sa.Column("matter_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["matter_id"], ["matters.id"], name=op.f("fk_matter_people_matter_id")),
        sa.PrimaryKeyConstraint("person_ix", "matter_id", name=op.f("pk_matter_people")),
        comment="Finds the matters that name a person other than the safe's holder: mandataries.",
    )


def downgrade() -> None:
    op.drop_table("matter_people")
