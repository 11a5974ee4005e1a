"""People who log in: accounts, the identities that lead to them, sessions, logins under way, logout messages seen.

Reversible: `downgrade` drops the tables; accounts and identities have recovery records, the rest lasts hours.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column(
            "safe_id", sa.String(length=40), nullable=True, comment="null: agents and others without a safe"
        ),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="name, e-mail address and holder, encrypted"
        ),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_accounts_safe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("safe_id", name=op.f("uq_accounts_safe_id")),
        comment="People who log in; the recovery record of each is ahead of its rows.",
    )
    op.create_table(
        "account_identities",
        sa.Column(
            "identity_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of issuer and subject"
        ),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column(
            "holder_ix",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="HMAC of the holder's identifier given there",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="name and e-mail address given there, encrypted",
        ),
        sa.Column("linked_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_identities_account_id")
        ),
        sa.PrimaryKeyConstraint("identity_ix", name=op.f("pk_account_identities")),
        sa.UniqueConstraint("id", name=op.f("uq_account_identities_id")),
    )
    op.create_index(op.f("ix_account_identities_account_id"), "account_identities", ["account_id"])
    op.create_index(op.f("ix_account_identities_holder_ix"), "account_identities", ["holder_ix"])
    op.create_table(
        "sessions",
        sa.Column(
            "session_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of the cookie's random value",
        ),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column(
            "subject_ix", sa.LargeBinary(length=32), nullable=False, comment="the identity logged in with"
        ),
        sa.Column(
            "sid_ix", sa.LargeBinary(length=32), nullable=True, comment="HMAC of the provider's own session"
        ),
        sa.Column(
            "assurance",
            sa.String(length=16),
            nullable=True,
            comment="low, substantial or high; null: no level was proven",
        ),
        sa.Column("authenticated_at", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("seen_at", sa.String(length=24), nullable=False),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.Column(
            "mandate_id",
            sa.String(length=40),
            nullable=True,
            comment="mandate under which the person acts now",
        ),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="quality, name, device, ID token, encrypted"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id")),
        sa.PrimaryKeyConstraint("session_ix", name=op.f("pk_sessions")),
        sa.UniqueConstraint("id", name=op.f("uq_sessions_id")),
        comment="Sessions of browsers. They need not survive the database: people log in again.",
    )
    op.create_index(op.f("ix_sessions_account_id"), "sessions", ["account_id"])
    op.create_index(op.f("ix_sessions_subject_ix"), "sessions", ["subject_ix"])
    op.create_index(op.f("ix_sessions_sid_ix"), "sessions", ["sid_ix"])
    op.create_index(op.f("ix_sessions_ends_at"), "sessions", ["ends_at"])
    op.create_table(
        "pending_logins",
        sa.Column(
            "state_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of the state sent to the provider",
        ),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column(
            "browser_ix",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="HMAC of the cookie of the browser",
        ),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column(
            "account_id",
            sa.String(length=40),
            nullable=True,
            comment="whose session it strengthens, or whose identity it adds",
        ),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="nonce, PKCE secret, where to go after, encrypted",
        ),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("state_ix", name=op.f("pk_pending_logins")),
        comment="Logins begun and not yet answered; a row is deleted as its answer is taken.",
    )
    op.create_index(op.f("ix_pending_logins_ends_at"), "pending_logins", ["ends_at"])
    op.create_table(
        "logout_tokens",
        sa.Column("jti_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of issuer and jti"),
        sa.Column("ends_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("jti_ix", name=op.f("pk_logout_tokens")),
        comment="A provider's logout message counts once; kept until it would be too old anyway.",
    )
    op.create_index(op.f("ix_logout_tokens_ends_at"), "logout_tokens", ["ends_at"])


def downgrade() -> None:
    op.drop_table("logout_tokens")
    op.drop_table("pending_logins")
    op.drop_table("sessions")
    op.drop_table("account_identities")
    op.drop_table("accounts")
