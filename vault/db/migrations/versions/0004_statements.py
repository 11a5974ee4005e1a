"""Which entries state the log's keys.

Reversible: `downgrade` drops the table. Before it, no command changed keys, so entry 0 is the only such entry.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_statements",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_statements")),
        comment="Numbers of the entries that state the log's keys: entry 0, and each change of keys.",
    )
    op.execute("INSERT INTO ledger_statements (seq) SELECT seq FROM ledger_entries WHERE seq = 0")


def downgrade() -> None:
    op.drop_table("ledger_statements")
