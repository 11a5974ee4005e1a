"""Tables of notifications: contacts, choices, deliveries, digests, reminders. `vault.db.models` names them too."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from vault.db.base import BigKey, metadata

notice_contacts = Table(
    "notice_contacts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("safe_id", ForeignKey("safes.id"), nullable=False, index=True),
    Column("channel", String(8), nullable=False),
    Column(
        "address_ix", LargeBinary(32), nullable=False, unique=True, comment="HMAC of safe, channel, address"
    ),
    Column("state", String(16), nullable=False),
    Column("bounces", Integer, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="the address, encrypted under the contact's key"),
    Column("created_at", String(24), nullable=False),
    Column("confirmed_at", String(24)),
    Column("code_ix", LargeBinary(32), comment="HMAC of the code that confirms it; null: none counts"),
    Column("code_sealed", LargeBinary, comment="the code, encrypted, until it has left"),
    Column("code_until", String(24)),
    Column("code_tries", Integer, nullable=False),
    comment="Where holders want to be told; used only once confirmed.",
)

notice_choices = Table(
    "notice_choices",
    metadata,
    Column("safe_id", ForeignKey("safes.id"), primary_key=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="language and choice for each event, encrypted"),
    Column("changed_at", String(24), nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("outbox_id", BigInteger, comment="the message it comes from; null for digests and codes"),
    Column("safe_id", String(40)),
    # No foreign key: what is under way when a contact is erased ends by itself.
    Column("contact_id", String(40)),
    Column("channel", String(8), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("event", String(16), nullable=False),
    Column("counts", Text, comment="of a digest: how many by event"),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("unsure", Integer, nullable=False, comment="attempts of which nobody knows whether they arrived"),
    Column("created_at", String(24), nullable=False),
    Column("next_try_at", String(24), comment="null once ended"),
    Column("ended_at", String(24)),
    Column("last_code", String(40)),
    Column("token_ix", LargeBinary(32), nullable=False, unique=True, comment="HMAC of its bounce token"),
    Unique("outbox_id", "contact_id"),
    Index("ix_deliveries_due", "channel", "next_try_at"),
    Index("ix_deliveries_contact", "contact_id", "event"),
    Index("ix_deliveries_ended", "ended_at"),
    comment="One message to one contact, until it ended; identifiers only.",
)

digest_items = Table(
    "digest_items",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("safe_id", String(40), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("event", String(16), nullable=False),
    Column("created_at", String(24), nullable=False, index=True),
    Index("ix_digest_items_safe", "safe_id", "channel"),
    comment="What the next daily message of a safe counts.",
)

reminders = Table(
    "reminders",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("safe_id", ForeignKey("safes.id"), nullable=False),
    Column("matter_id", String(40), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("due_at", String(24), nullable=False),
    Column("until", String(24), nullable=False, comment="afterwards it says nothing any more"),
    Column("done_at", String(24)),
    Index("ix_reminders_due", "done_at", "due_at"),
)
