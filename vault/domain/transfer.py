"""What accompanies every write: its idempotency key and what the client declared of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vault.intake import DeclaredDigest


@dataclass(frozen=True, slots=True)
class Transfer:
    """One attempt of one write.

    Attributes:
        idempotency_key: chosen by the client; scoped to caller and route.
        expected_length: Content-Length, or None.
        digest: digests the client declared (RFC 9530), or None.
    """

    idempotency_key: str
    expected_length: int | None = None
    digest: DeclaredDigest | None = None
