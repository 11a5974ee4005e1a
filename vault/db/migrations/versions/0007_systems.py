"""Systems with their tokens and used assertions, and counts of wrong secrets.

Reversible: `downgrade` drops the tables; systems have recovery records, the rest lasts minutes or hours.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lockouts",
        sa.Column("key_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of what was tried"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="wrong secrets since the last lock"),
        sa.Column("locks", sa.Integer(), nullable=False, comment="locks in a row; each is longer"),
        sa.Column("locked_until", sa.String(length=24), nullable=True),
        sa.Column("ends_at", sa.String(length=24), nullable=False, comment="when all of it is forgotten"),
        sa.PrimaryKeyConstraint("key_ix", name=op.f("pk_lockouts")),
        comment="Wrong secrets by what they were tried on, whether that exists or not; all processes count here.",
    )
    op.create_index(op.f("ix_lockouts_ends_at"), "lockouts", ["ends_at"], unique=False)
    op.create_table(
        "systems",
        sa.Column("client_id", sa.String(length=40), nullable=False),
        sa.Column("administration_id", sa.String(length=64), nullable=True, comment="null: the portal"),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False, comment="JSON array of public keys (RFC 7517)"),
        sa.Column(
            "certificates", sa.Text(), nullable=False, comment="JSON array of SHA-256 thumbprints, hex"
        ),
        sa.Column("scopes", sa.Text(), nullable=False, comment="separated by spaces, sorted"),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("ended_at", sa.String(length=24), nullable=True),
        sa.ForeignKeyConstraint(
            ["administration_id"], ["administrations.id"], name=op.f("fk_systems_administration_id")
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_systems")),
        comment="Software of administrations, and the portal; the recovery record of each is ahead of its row.",
    )
    op.create_table(
        "used_assertions",
        sa.Column(
            "assertion_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of client and jti"
        ),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("assertion_ix", name=op.f("pk_used_assertions")),
        comment="What a client proved itself with counts once; kept until it would be too old anyway.",
    )
    op.create_index(op.f("ix_used_assertions_ends_at"), "used_assertions", ["ends_at"], unique=False)
    op.create_table(
        "system_tokens",
        sa.Column("token_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of the access token"),
        sa.Column("client_id", sa.String(length=40), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False, comment="separated by spaces, sorted"),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.Column(
            "certificate",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="SHA-256 of the one certificate it counts with",
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["systems.client_id"], name=op.f("fk_system_tokens_client_id")
        ),
        sa.PrimaryKeyConstraint("token_ix", name=op.f("pk_system_tokens")),
    )
    op.create_index(op.f("ix_system_tokens_client_id"), "system_tokens", ["client_id"], unique=False)
    op.create_index(op.f("ix_system_tokens_ends_at"), "system_tokens", ["ends_at"], unique=False)


def downgrade() -> None:
    op.drop_table("system_tokens")
    op.drop_table("used_assertions")
    op.drop_table("systems")
    op.drop_table("lockouts")
