"""The end of a zip, looked at before its directory is read: the standard library makes an object of every entry."""

from __future__ import annotations

from typing import BinaryIO

_END, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x07"
_END_SIZE, _LOCATOR_SIZE = 22, 20
_MAX_COMMENT = 0xFFFF


def directory_within(stream: BinaryIO, limit: int) -> bool:
    """Tell whether the directory that `zipfile` would read is stated, and has at most so many octets.

    A zip64 end record states a second size, which `zipfile` takes instead of the first. Whoever has it has more
    members than anybody here wants to read without bounds, or lies: the answer is no.

    Args:
        stream: seekable; left anywhere.
        limit: octets.
    """
    end = stream.seek(0, 2)
    start = max(0, end - _END_SIZE - _MAX_COMMENT)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        return False
    if start + at >= _LOCATOR_SIZE:
        stream.seek(start + at - _LOCATOR_SIZE)
        if stream.read(len(_LOCATOR64)) == _LOCATOR64:
            return False
    return int.from_bytes(tail[at + 12 : at + 16], "little") <= limit
