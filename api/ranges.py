"""Conditional and partial reads (RFC 9110 sections 13 and 14), as pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_DIGITS = 100


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file.

    Attributes:
        start: first octet.
        length: octets, at least 1.
    """

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """Write the Content-Range value for a file of `size` octets."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


class Unsatisfiable(Exception):
    """The range lies outside the file: answer 416."""


def wanted_span(header: str | None, size: int) -> Span | None:
    """Read a Range header.

    Args:
        header: its value, or None.
        size: octets of the file.

    Returns:
        The part asked for; None to send the whole file: no header, another unit, a malformed one, or several ranges
        (which section 14.2 allows to ignore).

    Raises:
        Unsatisfiable: section 14.1.2: the first position is at or past the end, or a suffix of zero octets.
    """
    match = _RANGE.fullmatch(header) if header is not None else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(_number(last), size)
        if length == 0:
            raise Unsatisfiable
        return Span(size - length, length)
    start, end = _number(first), _number(last) if last else size
    if last and end < start:
        return None  # section 14.1.1: invalid, hence ignored
    if start >= size:
        raise Unsatisfiable
    return Span(start, min(end, size - 1) - start + 1)


def _number(digits: str) -> int:
    """Read digits; a number no file reaches stands for all longer ones."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < _MAX_DIGITS else 10**_MAX_DIGITS


def is_not_modified(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the caller has this version already (section 13.1.2, weak comparison)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _ETAG.findall(if_none_match)


def range_applies(if_range: str | None, etag: str) -> bool:
    """Tell whether a Range may be honoured (section 13.1.5, strong comparison; dates never match)."""
    return if_range is None or if_range.strip() == etag
