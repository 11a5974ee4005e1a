"""Whole bundles of record entries checked at once; whatever is not plainly in order is left to `decode`.

A record entry has one form, and all of it but tag, commitment and time follows from the entries before. So each is
written anew from these three and compared with what was read, which costs no more than its hash. Nothing is
refused here: the strict reader decides, and names, everything that this one does not accept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vault.ledger.canonical import MAX_INTEGER
from vault.ledger.entry import is_time

_FORM = b'{"commitment":"%b","prev":"%b","seq":%d,"tag":"%b","time":"%b","type":"record","v":1}'
# The members of fixed length before the number are found from the front, those after it from the end.
_COMMITMENT = slice(15, 79)
_TAG = slice(-122, -58)
_TIME = slice(-48, -24)
_HEX_DIGITS = b"0123456789abcdef"
_HEX = 64


def leaves_of(bodies: Sequence[bytes]) -> list[bytes]:
    """Return the RFC 6962 (section 2.1) leaf hash of each entry."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + body).digest() for body in bodies]


def last_time_of(
    bodies: Sequence[bytes], leaves: Sequence[bytes], seq: int, prev: bytes, time: str
) -> str | None:
    """Tell whether entries are records that follow one another and the entry before.

    Args:
        bodies: octets of consecutive entries, at least one.
        leaves: their leaf hashes.
        seq: number that the first must have.
        prev: leaf hash of the entry before it.
        time: time of that entry; "" when there is none.

    Returns:
        The time of the last; None unless `decode` reads every one as a `RecordEntry` with the right number and
        the right entry before, and times do not run backwards.
    """
    if seq + len(bodies) - 1 > MAX_INTEGER:
        return None
    row = (prev + b"".join(leaves[:-1])).hex().encode()
    befores = [row[at : at + _HEX] for at in range(0, len(row), _HEX)]
    commitments = [body[_COMMITMENT] for body in bodies]
    tags = [body[_TAG] for body in bodies]
    times = [body[_TIME] for body in bodies]
    numbers = range(seq, seq + len(bodies))
    written = [_FORM % members for members in zip(commitments, befores, numbers, tags, times, strict=True)]
    if written != list(bodies):
        return None
    if b"".join((*commitments, *tags)).translate(None, _HEX_DIGITS):
        return None
    if not all(map(is_time, set(times))) or times != sorted(times) or times[0] < time.encode():
        return None
    return times[-1].decode()
