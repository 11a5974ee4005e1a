"""Identifiers: random, opaque, without meaning and without personal data."""

from __future__ import annotations

import base64
import re
import secrets

# From the alphabet of RFC 4648 to Crockford's.
_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
_SHAPE = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str) -> str:
    """Return `prefix_` and 26 Crockford base-32 characters of 128 random bits."""
    return id_of(prefix, secrets.token_bytes(16))


def id_of(prefix: str, octets: bytes) -> str:
    """Return `prefix_` and 26 Crockford base-32 characters of the first 128 bits of some octets."""
    # 130 bits, two of them nothing before the 128; the encoder takes whole groups of 40.
    aligned = int.from_bytes(octets[:16], "big") << 30
    digits = base64.b32encode(aligned.to_bytes(20, "big")).translate(_CROCKFORD)[:26]
    return f"{prefix}_{digits.decode()}"


def looks_like_id(text: str, prefix: str) -> bool:
    """Tell whether a text has the shape of an identifier with this prefix."""
    return text.startswith(f"{prefix}_") and _SHAPE.fullmatch(text) is not None
