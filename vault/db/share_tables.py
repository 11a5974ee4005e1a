"""Tables of opened shares; the shares themselves are matters."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table

from vault.db.base import metadata

share_tokens = Table(
    "share_tokens",
    metadata,
    Column("token_ix", LargeBinary(32), primary_key=True, comment="HMAC of the bearer token"),
    Column("share_id", ForeignKey("matters.id"), nullable=False, index=True),
    Column("opening_id", String(40), nullable=False, comment="stands for the bearer in the journal"),
    Column("ends_at", String(24), nullable=False, index=True),
    comment="Who opened a share a moment ago; lost with the database, nobody misses them.",
)

share_tries = Table(
    "share_tries",
    metadata,
    Column("lookup_ix", LargeBinary(32), primary_key=True, comment="HMAC of the code that was tried"),
    Column("tries", BigInteger, nullable=False),
    comment="Refused openings that are not in the ledger yet, whether there is such a share or not.",
)
