"""Free labels of documents.

Reversible: `downgrade` drops the table; recovery writes its rows again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document_labels",
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column(
            "label_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of safe and label, case folded",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="the label, encrypted under the document's key",
        ),
        sa.PrimaryKeyConstraint("document_id", "label_ix", name=op.f("pk_document_labels")),
        comment="Free labels by which holders find their documents.",
    )
    op.create_index(op.f("ix_document_labels_label_ix"), "document_labels", ["label_ix"], unique=False)


def downgrade() -> None:
    op.drop_table("document_labels")
