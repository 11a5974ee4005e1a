"""Object numbers that the tables of a PDF name and it cannot have: nothing inspected stands there.

qpdf grants each object three octets of the file and leaves out, without a word, what has a number beyond that. What it
leaves out no inspection sees, until a seal has made the file longer.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable

from vault.errors import Refused

_OCTETS_EACH = 3
_REACH = 200
_WHITE = rb"[\x00\t\n\x0c\r ]"
_HEADER = re.compile(rb"[0-9\x00\t\n\x0c\r ]*")
_RANGE = re.compile(_WHITE + rb"*+([0-9]{1,10})" + _WHITE + rb"++([0-9]{1,10})" + _WHITE + rb"++")
_ENTRY = re.compile(_WHITE + rb"*+[0-9]{1,10}" + _WHITE + rb"++[0-9]{1,5}" + _WHITE + rb"++[nf]")
_ENTRY_SIZE = 20
_END_OF_ENTRY = re.compile(rb"[nf]" + _WHITE + rb"*\Z")
_INDEX = re.compile(rb"/Index" + _WHITE + rb"*\[([0-9\x00\t\n\x0c\r ]*)\]")


def largest_number(size: int) -> int:
    """Return the largest object number that qpdf believes of a file of so many octets."""
    return size // _OCTETS_EACH


def listed_in(text: bytes) -> set[int]:
    """Return the numbers of the objects in an inflated object stream (ISO 32000-1, 7.5.7), perhaps one too many."""
    header = _HEADER.match(text)
    return set(map(int, header[0].split()[::2])) if header else set()


def refuse_far_entries(data: bytes | mmap.mmap, largest: int, spend: Callable[[], None]) -> None:
    """Refuse a file whose cross-reference sections list an object with a larger number.

    qpdf alone reads what they say of objects; this looks for nothing but numbers that it leaves out.

    Args:
        data: the file.
        largest: the largest number that it can have.
        spend: called for each thing that is looked at; may raise.

    Raises:
        Refused: PDF_DAMAGED.
    """
    seen: set[int] = set()
    at = data.find(b"xref")
    while at >= 0:
        if data[max(0, at - 5) : at] != b"start":
            _check_section(data, at + 4, largest, seen, spend)
        spend()
        at = data.find(b"xref", at + 4)
    at = data.find(b"/XRef")
    while at >= 0:
        for index in _INDEX.finditer(data[max(0, at - _REACH) : at + 2 * _REACH]):
            numbers = list(map(int, index[1].split()))
            for first, count in zip(numbers[::2], numbers[1::2], strict=False):
                _check_range(first, count, largest)
        spend()
        at = data.find(b"/XRef", at + 5)


def _check_section(
    data: bytes | mmap.mmap, at: int, largest: int, seen: set[int], spend: Callable[[], None]
) -> None:
    """Check the ranges of a table (ISO 32000-1, 7.5.4), whose entries have 20 octets, or nearly so.

    What looks like a table may lead into another one: what was checked once ends it, or hostile octets would take time
    with the square of their number.
    """
    while (match := _RANGE.match(data, at)) is not None and match.start(1) not in seen:
        spend()
        seen.add(match.start(1))
        count = int(match[2])
        _check_range(int(match[1]), count, largest)
        at = match.end() + _ENTRY_SIZE * count
        if count and _END_OF_ENTRY.search(data[at - 4 : at]) is None:
            at = match.end()
            for _ in range(count):
                entry = _ENTRY.match(data, at)
                if entry is None:
                    return
                spend()
                at = entry.end()


def _check_range(first: int, count: int, largest: int) -> None:
    if count and first + count - 1 > largest:
        raise Refused("PDF_DAMAGED", "an object with a number that the file cannot have", problem="numbers")
