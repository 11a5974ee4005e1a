"""Declared digests of bodies that are not the file itself (RFC 9530)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from vault.errors import Refused
from vault.intake import DeclaredDigest

_NAMES = {"sha-256": "sha256", "sha-512": "sha512"}


def digest_checked(chunks: Iterator[bytes], digest: DeclaredDigest | None) -> Iterator[bytes]:
    """Pass octets through; raise Refused(DIGEST_MISMATCH) at their end when a declared digest differs."""
    states = [(name, value, hashlib.new(_NAMES[name])) for name, value in (digest.values if digest else ())]
    for chunk in chunks:
        for _, _, state in states:
            state.update(chunk)
        yield chunk
    for name, value, state in states:
        if not hmac.compare_digest(state.digest(), value):
            raise Refused("DIGEST_MISMATCH", "the declared digest is another one", algorithm=name)
