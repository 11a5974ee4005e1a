"""Tables of people who log in: accounts, the digital identities that lead to them, sessions, logins under way."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table

from vault.db.base import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("safe_id", ForeignKey("safes.id"), unique=True, comment="null: agents and others without a safe"),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="name, e-mail address and holder, encrypted"),
    Column("created_at", String(24), nullable=False),
    comment="People who log in; the recovery record of each is ahead of its rows.",
)

account_identities = Table(
    "account_identities",
    metadata,
    Column("identity_ix", LargeBinary(32), primary_key=True, comment="HMAC of issuer and subject"),
    Column("id", String(40), nullable=False, unique=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("holder_ix", LargeBinary(32), index=True, comment="HMAC of the holder's identifier given there"),
    Column("sealed", LargeBinary, nullable=False, comment="name and e-mail address given there, encrypted"),
    Column("linked_at", String(24), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_ix", LargeBinary(32), primary_key=True, comment="HMAC of the cookie's random value"),
    Column("id", String(40), nullable=False, unique=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("subject_ix", LargeBinary(32), nullable=False, index=True, comment="the identity logged in with"),
    Column("sid_ix", LargeBinary(32), index=True, comment="HMAC of the provider's own session"),
    Column("assurance", String(16), comment="low, substantial or high; null: no level was proven"),
    Column("authenticated_at", String(24), nullable=False),
    Column("created_at", String(24), nullable=False),
    Column("seen_at", String(24), nullable=False),
    Column("ends_at", String(24), nullable=False, index=True),
    Column("mandate_id", String(40), comment="mandate under which the person acts now"),
    Column("sealed", LargeBinary, nullable=False, comment="quality, name, device, ID token, encrypted"),
    comment="Sessions of browsers. They need not survive the database: people log in again.",
)

pending_logins = Table(
    "pending_logins",
    metadata,
    Column("state_ix", LargeBinary(32), primary_key=True, comment="HMAC of the state sent to the provider"),
    Column("provider", String(32), nullable=False),
    Column("browser_ix", LargeBinary(32), nullable=False, comment="HMAC of the cookie of the browser"),
    Column("purpose", String(8), nullable=False),
    Column("account_id", String(40), comment="whose session it strengthens, or whose identity it adds"),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="nonce, PKCE secret, where to go after, encrypted"),
    Column("ends_at", String(24), nullable=False, index=True),
    comment="Logins begun and not yet answered; a row is deleted as its answer is taken.",
)

logout_tokens = Table(
    "logout_tokens",
    metadata,
    Column("jti_ix", LargeBinary(32), primary_key=True, comment="HMAC of issuer and jti"),
    Column("ends_at", String(24), nullable=False, index=True),
    comment="A provider's logout message counts once; kept until it would be too old anyway.",
)
