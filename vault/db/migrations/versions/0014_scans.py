"""What the antivirus said of documents.

Reversible: `downgrade` drops the table; every document is then looked at anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document_scans",
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False, comment="as in the document's row"),
        sa.Column(
            "engine",
            sa.String(length=200),
            nullable=False,
            comment="engine and signatures that looked last, or empty",
        ),
        sa.Column("looked_at", sa.String(length=24), nullable=False),
        sa.Column(
            "reason", sa.String(length=24), nullable=False, comment="why there is no verdict, or empty"
        ),
        sa.Column(
            "found",
            sa.String(length=120),
            nullable=False,
            comment="the engine's name for what it found, or empty",
        ),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_document_scans")),
        comment="What the antivirus said of documents, and when; none of those that came while there was none.",
    )
    op.create_index(
        "ix_document_scans_due", "document_scans", ["verdict", "engine", "looked_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("document_scans")
