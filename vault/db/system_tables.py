"""Tables of systems (software that calls by itself) and of what defends the service against guessing."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from vault.db.base import metadata

systems = Table(
    "systems",
    metadata,
    Column("client_id", String(40), primary_key=True),
    Column("administration_id", ForeignKey("administrations.id"), comment="null: the portal"),
    Column("service", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("keys", Text, nullable=False, comment="JSON array of public keys (RFC 7517)"),
    Column("certificates", Text, nullable=False, comment="JSON array of SHA-256 thumbprints, hex"),
    Column("scopes", Text, nullable=False, comment="separated by spaces, sorted"),
    Column("created_at", String(24), nullable=False),
    Column("ended_at", String(24)),
    comment="Software of administrations, and the portal; the recovery record of each is ahead of its row.",
)

system_tokens = Table(
    "system_tokens",
    metadata,
    Column("token_ix", LargeBinary(32), primary_key=True, comment="HMAC of the access token"),
    Column("client_id", ForeignKey("systems.client_id"), nullable=False, index=True),
    Column("scopes", Text, nullable=False, comment="separated by spaces, sorted"),
    Column("ends_at", String(24), nullable=False, index=True),
    Column("certificate", LargeBinary(32), comment="SHA-256 of the one certificate it counts with"),
)

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("assertion_ix", LargeBinary(32), primary_key=True, comment="HMAC of client and jti"),
    Column("ends_at", String(24), nullable=False, index=True),
    comment="What a client proved itself with counts once; kept until it would be too old anyway.",
)

lockouts = Table(
    "lockouts",
    metadata,
    Column("key_ix", LargeBinary(32), primary_key=True, comment="HMAC of what was tried"),
    Column("failures", Integer, nullable=False, comment="wrong secrets since the last lock"),
    Column("locks", Integer, nullable=False, comment="locks in a row; each is longer"),
    Column("locked_until", String(24)),
    Column("ends_at", String(24), nullable=False, index=True, comment="when all of it is forgotten"),
    comment="Wrong secrets by what they were tried on, whether that exists or not; all processes count here.",
)
