"""Object numbers that a PDF names and cannot have: nothing inspected stands there, and an object of the seal would.

qpdf grants each object three octets of the file and leaves out, without a word, what has a number beyond that. What it
leaves out no inspection sees, until a seal has made the file longer. And a reference to a number from /Size on means
nothing (ISO 32000-1, 7.3.10), until an object of the seal gets that number. Nor does one to another generation than the
object has, of which some readers make the object, and no longer once the file is sealed. The same with one to an object
that the table calls free while it still stands in the file: readers that repair draw it, and no longer once the file is
sealed.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Collection, Set
from functools import lru_cache

from vault.errors import Refused

_OCTETS_EACH = 3
_NEAR, _REACH = 40, 200
_WHITE = rb"[\x00\t\n\x0c\r ]"
_GAP = rb"(?:" + _WHITE + rb"|%[^\r\n]*[\r\n])+"
_END = rb"(?=[\x00\t\n\x0c\r ()<>\[\]{}/%]|\Z)"
_USUAL = re.compile(rb"([0-9]+)" + _WHITE + rb"+([0-9]+)" + _WHITE + rb"+\Z")
# Every number that could be meant: what looks like a comment may be a string's, and hide the beginning of none.
_MEANT = re.compile(rb"(?<![0-9])(?=([0-9]+)" + _GAP + rb"[0-9]+" + _GAP + rb"\Z)")
# The R of references, but for those with generation 0, which nearly all have.
_OTHER = re.compile(rb"R%b(?<=[0-9]%bR)(?<!%b0%bR)" % (_END, _WHITE, _WHITE, _WHITE))
_REFERENCE = re.compile(rb"(?<![0-9])([0-9]{1,20})" + _GAP + rb"[0-9]{1,5}" + _GAP + rb"R" + _END)
_BODY = re.compile(rb"(?<![0-9])([0-9]{1,20})" + _GAP + rb"[0-9]{1,5}" + _GAP + rb"obj")
_HEADER = re.compile(rb"[0-9\x00\t\n\x0c\r ]*")
_RANGE = re.compile(_WHITE + rb"*([0-9]{1,10})" + _WHITE + rb"+([0-9]{1,10})" + _WHITE + rb"+")
_ENTRY = re.compile(_WHITE + rb"*[0-9]{1,10}" + _WHITE + rb"+[0-9]{1,5}" + _WHITE + rb"+[nf]")
_ENTRY_SIZE = 20
_END_OF_ENTRY = re.compile(rb"[nf]" + _WHITE + rb"*\Z")
_INDEX = re.compile(rb"/Index" + _WHITE + rb"*\[([0-9\x00\t\n\x0c\r ]*)\]")


def largest_number(size: int) -> int:
    """Return the largest object number that qpdf believes of a file of so many octets."""
    return size // _OCTETS_EACH


def farthest_reference(text: bytes, above: int, spend: Callable[[], None]) -> int:
    """Return the largest number of an object that text refers to, however it is spaced, if it is above another; else 0.

    Args:
        text: octets of a file, or of an inflated object stream.
        above: smaller numbers, and this one, do not count.
        spend: called for each place that is looked at closely; may raise.
    """
    farthest = 0
    for match in _suspects(_beginning(above)).finditer(text):
        spend()
        place = match.start()
        usual = _USUAL.search(text, max(0, place - _NEAR), place)
        found = [] if usual is None else [usual[1]]
        before = text[max(0, place - _REACH) : place]
        if b"%" in before:
            found += [meant[1] for meant in _MEANT.finditer(before)]
        farthest = max([farthest, *(int(number) for number in found)])
    return farthest if farthest > above else 0


def other_generations(text: bytes) -> set[tuple[int, int]]:
    """Return (number, generation) of usually spaced references whose generation is not zero."""
    found = set()
    for match in _OTHER.finditer(text):
        reference = _USUAL.search(text, max(0, match.start() - _NEAR), match.start())
        if reference is not None:
            found.add((int(reference[1]), int(reference[2])))
    return found


def is_mistaken(references: Set[tuple[int, int]], table: Collection[tuple[int, int]]) -> bool:
    """Tell whether one of some references is to an object that a table has, in another generation."""
    if not references:
        return False
    numbers = {number for number, _ in table}
    return any(each not in table and each[0] in numbers for each in references)


def free_numbers(table: Collection[tuple[int, int]], known: int) -> set[int]:
    """Return the numbers up to the largest one that a table has no object for."""
    used = {number for number, _ in table}
    return set(range(1, known + 1)) - used if len(used) < known else set()


def referred_to(text: bytes) -> set[int]:
    """Return the numbers of all objects that text refers to."""
    return set(map(int, _REFERENCE.findall(text)))


def bodies_in(text: bytes) -> set[int]:
    """Return the numbers of all objects that seem to stand in the octets of a file, whatever its tables say."""
    return set(map(int, _BODY.findall(text)))


def listed_in(text: bytes) -> set[int]:
    """Return the numbers of the objects in an inflated object stream (ISO 32000-1, 7.5.7), perhaps one too many."""
    header = _HEADER.match(text)
    return set(map(int, header[0].split()[::2])) if header else set()


def _beginning(number: int) -> tuple[int, int]:
    """Return how many digits a number has, and the first two of them."""
    digits = str(number)
    return len(digits), int(digits[:2])


@lru_cache(maxsize=1024)
def _suspects(beginning: tuple[int, int]) -> re.Pattern[bytes]:
    """Match the R of references, but for usually spaced ones whose numbers are smaller than all that begin so."""
    digits, first = beginning
    smaller = [b"[0-9]{%d}" % count for count in range(digits - 1, 0, -1)]
    if digits > 1:
        below = b"|".join(b"%02d" % number for number in range(10, first))
        smaller[:0] = [b"(?:%b)[0-9]{%d}" % (below, digits - 2)] if below else []
    usual = b"".join(b"(?<![^0-9]%b%b[0-9]%bR)" % (number, _WHITE, _WHITE) for number in smaller)
    return re.compile(rb"R%b(?<=%bR)%b" % (_END, _WHITE, usual))


def refuse_far_entries(data: bytes | mmap.mmap, largest: int) -> None:
    """Refuse a file whose cross-reference sections list an object with a larger number.

    qpdf alone reads what they say of objects; this looks for nothing but numbers that it leaves out.

    Raises:
        Refused: PDF_DAMAGED.
    """
    at = data.find(b"xref")
    while at >= 0:
        if data[max(0, at - 5) : at] != b"start":
            _check_section(data, at + 4, largest)
        at = data.find(b"xref", at + 4)
    at = data.find(b"/XRef")
    while at >= 0:
        for index in _INDEX.finditer(data[max(0, at - _REACH) : at + 2 * _REACH]):
            numbers = list(map(int, index[1].split()))
            for first, count in zip(numbers[::2], numbers[1::2], strict=False):
                _check_range(first, count, largest)
        at = data.find(b"/XRef", at + 5)


def _check_section(data: bytes | mmap.mmap, at: int, largest: int) -> None:
    """Check the ranges of a table (ISO 32000-1, 7.5.4), whose entries have 20 octets, or nearly so."""
    while (match := _RANGE.match(data, at)) is not None:
        count = int(match[2])
        _check_range(int(match[1]), count, largest)
        at = match.end() + _ENTRY_SIZE * count
        if count and _END_OF_ENTRY.search(data[at - 4 : at]) is None:
            at = match.end()
            for _ in range(count):
                entry = _ENTRY.match(data, at)
                if entry is None:
                    return
                at = entry.end()


def _check_range(first: int, count: int, largest: int) -> None:
    if count and first + count - 1 > largest:
        raise Refused("PDF_DAMAGED", "an object with a number that the file cannot have", problem="numbers")
