"""What every wrapped key says of itself, wherever the key that opens it is held."""

from __future__ import annotations

#: Octets of the id of a key-encryption key.
ID = 8


def named_key(wrapped: bytes) -> bytes:
    """Return the id of the key-encryption key that a wrapped form names (8 octets, fewer of a damaged one)."""
    return wrapped[1 : 1 + ID]
