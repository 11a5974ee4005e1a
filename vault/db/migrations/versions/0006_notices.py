"""Notifications: contacts of holders, their choices, deliveries, daily digests, reminders.

Reversible: `downgrade` drops the tables; contacts and choices have recovery records, what waits to be sent is lost.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column(
            "outbox_id",
            sa.BigInteger(),
            nullable=True,
            comment="the message it comes from; null for digests and codes",
        ),
        sa.Column("safe_id", sa.String(length=40), nullable=True),
        sa.Column("contact_id", sa.String(length=40), nullable=True),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("counts", sa.Text(), nullable=True, comment="of a digest: how many by event"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "unsure",
            sa.Integer(),
            nullable=False,
            comment="attempts of which nobody knows whether they arrived",
        ),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("next_try_at", sa.String(length=24), nullable=True, comment="null once ended"),
        sa.Column("ended_at", sa.String(length=24), nullable=True),
        sa.Column("last_code", sa.String(length=40), nullable=True),
        sa.Column("token_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of its bounce token"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("outbox_id", "contact_id", name=op.f("uq_deliveries_outbox_id_contact_id")),
        sa.UniqueConstraint("token_ix", name=op.f("uq_deliveries_token_ix")),
        comment="One message to one contact, until it ended; identifiers only.",
    )
    op.create_index("ix_deliveries_contact", "deliveries", ["contact_id", "event"], unique=False)
    op.create_index("ix_deliveries_due", "deliveries", ["channel", "next_try_at"], unique=False)
    op.create_index("ix_deliveries_ended", "deliveries", ["ended_at"], unique=False)
    op.create_table(
        "digest_items",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("safe_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest_items")),
        comment="What the next daily message of a safe counts.",
    )
    op.create_index(op.f("ix_digest_items_created_at"), "digest_items", ["created_at"], unique=False)
    op.create_index("ix_digest_items_safe", "digest_items", ["safe_id", "channel"], unique=False)
    op.create_table(
        "notice_choices",
        sa.Column("safe_id", sa.String(length=40), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="language and choice for each event, encrypted",
        ),
        sa.Column("changed_at", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_notice_choices_safe_id")),
        sa.PrimaryKeyConstraint("safe_id", name=op.f("pk_notice_choices")),
    )
    op.create_table(
        "notice_contacts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("safe_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column(
            "address_ix", sa.LargeBinary(length=32), nullable=False, comment="HMAC of safe, channel, address"
        ),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("bounces", sa.Integer(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="the address, encrypted under the contact's key",
        ),
        sa.Column("created_at", sa.String(length=24), nullable=False),
        sa.Column("confirmed_at", sa.String(length=24), nullable=True),
        sa.Column(
            "code_ix",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="HMAC of the code that confirms it; null: none counts",
        ),
        sa.Column(
            "code_sealed", sa.LargeBinary(), nullable=True, comment="the code, encrypted, until it has left"
        ),
        sa.Column("code_until", sa.String(length=24), nullable=True),
        sa.Column("code_tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_notice_contacts_safe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_contacts")),
        sa.UniqueConstraint("address_ix", name=op.f("uq_notice_contacts_address_ix")),
        comment="Where holders want to be told; used only once confirmed.",
    )
    op.create_index(op.f("ix_notice_contacts_safe_id"), "notice_contacts", ["safe_id"], unique=False)
    op.create_table(
        "reminders",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("safe_id", sa.String(length=40), nullable=False),
        sa.Column("matter_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.String(length=24), nullable=False),
        sa.Column(
            "until", sa.String(length=24), nullable=False, comment="afterwards it says nothing any more"
        ),
        sa.Column("done_at", sa.String(length=24), nullable=True),
        sa.ForeignKeyConstraint(["safe_id"], ["safes.id"], name=op.f("fk_reminders_safe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
    )
    op.create_index("ix_reminders_due", "reminders", ["done_at", "due_at"], unique=False)
    op.create_index(op.f("ix_reminders_matter_id"), "reminders", ["matter_id"], unique=False)


def downgrade() -> None:
    for table in ("reminders", "digest_items", "deliveries", "notice_choices", "notice_contacts"):
        op.drop_table(table)
