"""Tags: how whoever holds a document's key finds its next entry in the public log, and nobody else does."""

from __future__ import annotations

import hmac
import secrets

KEY_SIZE = 32


def new_key() -> bytes:
    """Return a new random tag key of 32 octets."""
    return secrets.token_bytes(KEY_SIZE)


def tag(key: bytes, counter: int) -> bytes:
    """Return HMAC-SHA256(key, counter as unsigned 64-bit big-endian), 32 octets.

    Args:
        key: K_status or K_access of the document, 32 octets.
        counter: 0 for the first entry of that chain about the document, then 1, 2…

    Raises:
        ValueError: the key is not 32 octets or the counter is not in [0, 2^64).
    """
    if len(key) != KEY_SIZE:
        raise ValueError("a tag key has 32 octets")
    if not 0 <= counter < 2**64:
        raise ValueError("a tag counter is an unsigned 64-bit number")
    return hmac.digest(key, counter.to_bytes(8, "big"), "sha256")
