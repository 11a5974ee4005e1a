"""Tables. Personal data and document digests stand here only encrypted or as keyed digests (`*_ix`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from vault.db.account_tables import account_identities, accounts, logout_tokens, pending_logins, sessions
from vault.db.base import BigKey, metadata
from vault.db.batch_tables import batch_lines, batches
from vault.db.export_tables import export_runs
from vault.db.label_tables import document_labels
from vault.db.notice_tables import deliveries, digest_items, notice_choices, notice_contacts, reminders
from vault.db.scan_tables import document_scans
from vault.db.service_tables import services
from vault.db.share_tables import share_tokens, share_tries
from vault.db.system_tables import lockouts, system_tokens, systems, used_assertions
from vault.db.task_tables import scrub_rounds, task_runs

__all__ = [
    "account_identities",
    "accounts",
    "batch_lines",
    "batches",
    "deliveries",
    "digest_items",
    "document_labels",
    "document_scans",
    "export_runs",
    "lockouts",
    "logout_tokens",
    "metadata",
    "notice_choices",
    "notice_contacts",
    "pending_logins",
    "reminders",
    "scrub_rounds",
    "services",
    "sessions",
    "share_tokens",
    "share_tries",
    "system_tokens",
    "systems",
    "task_runs",
    "used_assertions",
]

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("last_leaf", LargeBinary(32), nullable=False),
    Column("last_time", String(24), nullable=False),
    CheckConstraint("id = 1", name="single"),
    comment="One row: lock and fence of every writer (compare-and-swap on size).",
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", BigKey, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),
    comment="Canonical bytes of each entry and their RFC 6962 leaf hash.",
)

ledger_statements = Table(
    "ledger_statements",
    metadata,
    Column("seq", BigKey, primary_key=True, autoincrement=False),
    comment="Numbers of the entries that state the log's keys: entry 0, and each change of keys.",
)

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("tile", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary(8192), nullable=False),
    comment="Full tiles of 256 hashes, so that a proof costs a bounded number of reads.",
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigKey, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("made_at", String(24), nullable=False),
)

anchors = Table(
    "anchors",
    metadata,
    Column("size", BigKey, primary_key=True, autoincrement=False),
    Column("token_sha256", LargeBinary(32), nullable=False),
    Column("gen_time", String(24), nullable=False),
    comment="Which anchors the log store holds, and the authority's time of each; rebuilt from there.",
)

cosignatures = Table(
    "cosignatures",
    metadata,
    Column("size", BigKey, primary_key=True, autoincrement=False),
    Column("cosigner", Text, primary_key=True),
    Column("key_id", LargeBinary(4), primary_key=True),
    Column("signature", LargeBinary, nullable=False, comment="time and signature, verified before kept"),
    Column("received_at", String(24), nullable=False),
    comment="What witnesses signed under our checkpoints.",
)

witness_alarms = Table(
    "witness_alarms",
    metadata,
    Column("witness", Text, primary_key=True, comment="its submission prefix"),
    Column("our_size", BigInteger, nullable=False),
    Column("our_root", LargeBinary(32), nullable=False),
    Column("their_size", BigInteger, nullable=False),
    Column("not_root", LargeBinary(32), comment="our root there, contradicted; null: we have no such size"),
    Column("raised_at", String(24), nullable=False),
    comment="Witnesses that hold another history of this log; while one stands nothing is published.",
)

administrations = Table(
    "administrations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", String(24), nullable=False),
)

safes = Table(
    "safes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("holder_ix", LargeBinary(32), nullable=False, unique=True),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="holder's identifier and name, encrypted"),
    Column("created_at", String(24), nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("safe_id", ForeignKey("safes.id"), nullable=False),
    Column("issuer_id", ForeignKey("administrations.id")),
    Column("document_type", String(64), nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("reception", String(16), nullable=False),
    Column("sealing", String(16), nullable=False),
    Column("scan", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("retain_until", String(24), nullable=False),
    Column("superseded_by", String(40)),
    Column("supersedes", String(40)),
    Column("first_seq", BigInteger, nullable=False),
    Column("issued_seq", BigInteger),
    Column("next_status", BigInteger, nullable=False),
    Column("next_access", BigInteger, nullable=False),
    Column("wrapped_key", LargeBinary, comment="null once destroyed: the document is erased"),
    Column("sealed", LargeBinary, comment="the private part, encrypted under the document's key"),
    Index("ix_documents_safe_order", "safe_id", "first_seq"),
    Index("ix_documents_waiting", "sealing", "first_seq"),
)

objects = Table(
    "objects",
    metadata,
    Column("document_id", ForeignKey("documents.id"), primary_key=True),
    Column("role", String(24), primary_key=True),
    Column("address", String(64), nullable=False, index=True),
    Column("stored_size", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, comment="plain digest, encrypted under the document's key"),
)

digests = Table(
    "digests",
    metadata,
    Column("digest_ix", LargeBinary(32), primary_key=True, comment="HMAC of a SHA-256 of plain octets"),
    Column("document_id", ForeignKey("documents.id"), primary_key=True),
    comment="Finds documents by content without holding their hashes.",
)

document_entries = Table(
    "document_entries",
    metadata,
    Column("seq", BigKey, primary_key=True, autoincrement=False),
    Column("document_id", ForeignKey("documents.id"), nullable=False),
    Column("chain", String(8), nullable=False, comment="status or access: which tag key"),
    Column("counter", BigInteger, nullable=False),
    Column("event", String(40), nullable=False),
    Column("opening", LargeBinary, comment="salts and values, encrypted; null once destroyed"),
    Column("record", String(80), nullable=False, comment="recovery file that holds it too"),
    UniqueConstraint("document_id", "chain", "counter"),
)

matters = Table(
    "matters",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("safe_id", ForeignKey("safes.id")),
    Column("administration_id", ForeignKey("administrations.id")),
    # No foreign key: a destroyed document is rebuilt by its last entry, and matters about it stand before that.
    Column("document_id", String(40)),
    Column("parent_id", ForeignKey("matters.id")),
    Column("state", String(16), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("ends_at", String(24)),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("next_counter", BigInteger, nullable=False),
    Column("lookup_ix", LargeBinary(32), unique=True, comment="HMAC of a code or reference that finds it"),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column(
        "sealed", LargeBinary, nullable=False, comment="the private part, encrypted under the matter's key"
    ),
    Index("ix_matters_safe", "safe_id", "kind", "first_seq"),
    Index("ix_matters_administration", "administration_id", "kind", "first_seq"),
    Index("ix_matters_document", "document_id", "kind"),
    Index("ix_matters_parent", "parent_id", "kind"),
    Index("ix_matters_open", "kind", "state", "ends_at"),
    comment="Mandates, requests, consents, shares, cases and the like: what lives beside documents.",
)

matter_entries = Table(
    "matter_entries",
    metadata,
    Column("seq", BigKey, primary_key=True, autoincrement=False),
    Column("matter_id", ForeignKey("matters.id"), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("event", String(40), nullable=False),
    Column("opening", LargeBinary, nullable=False, comment="salts and values, encrypted"),
    Column("record", String(80), nullable=False, comment="recovery file that holds it too", index=True),
    UniqueConstraint("matter_id", "counter"),
)

matter_people = Table(
    "matter_people",
    metadata,
    Column("person_ix", LargeBinary(32), primary_key=True, comment="HMAC of a person's identifier"),
    Column("matter_id", ForeignKey("matters.id"), primary_key=True),
    comment="Finds the matters that name a person other than the safe's holder: mandataries.",
)

matter_papers = Table(
    "matter_papers",
    metadata,
    Column("matter_id", ForeignKey("matters.id"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("address", String(64), nullable=False, index=True),
    Column("stored_size", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False, comment="plain digest, encrypted under the matter's key"),
    comment="Sealed papers of matters (consents, statements) in the object store.",
)

access_windows = Table(
    "access_windows",
    metadata,
    Column(
        "window_ix", LargeBinary(32), primary_key=True, comment="HMAC of person, document, purpose, outcome"
    ),
    Column("document_id", ForeignKey("documents.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("opened_at", String(24), nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope_ix", LargeBinary(32), primary_key=True, comment="HMAC of caller, route and key"),
    Column("request_ix", LargeBinary(32), nullable=False, comment="HMAC of the request's content"),
    Column("document_id", String(40), nullable=False),
    Column("status_code", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", String(24), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),
    Column("payload", Text, nullable=False, comment="identifiers only"),
    Column("created_at", String(24), nullable=False),
    Column("delivered_at", String(24)),
    Column("attempts", Integer, nullable=False, server_default="0"),
)
