"""References and objects in the octets of a PDF, however they are spaced: a search, not a reading.

What is found is a suspicion: octets of pictures, texts and older revisions look like references too. But none that a
reader could see is passed over. White space and comments between the parts may be of any length, numbers may begin
with any count of zeros, and what looks like a comment may be none. The time grows with the octets, whatever they are:
each search runs through them once, and looks back only as far as nothing but numbers, white space and comments stands.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

Octets = bytes | mmap.mmap
Pair = tuple[int, int]  # object number and generation

# What any longer number counts as: no file is so large.
_HUGE = 10**10
# White space (ISO 32000-1, 7.2.2), and what qpdf (vertical tab) or PDFium (the last two) takes for it besides.
_SPACES = b"\x00\t\n\x0c\r \x0b\x80\xff"
_DIGITS = b"0123456789"
_WHITE = rb"[\x00\t\n\x0c\r \x0b\x80\xff]"
_ON_LINE = rb"[\x00\t\x0c \x0b\x80\xff]"
_END = rb"(?=[\x00\t\n\x0c\r \x0b\x80\xff()<>\[\]{}/%]|\Z)"
_NEAR = 40
# Two numbers and nothing else: with a line end between them, they could belong to a comment.
_PLAIN = re.compile(rb"(?<![0-9])([0-9]++)" + _ON_LINE + rb"++[+-]?([0-9]++)" + _ON_LINE + rb"++\Z")
_PAIR = (
    rb"(?:(?<![0-9])([0-9]++)" + _ON_LINE + rb"++[+-]?([0-9]++)" + _ON_LINE + rb"++)?+(?<=" + _WHITE + rb")"
)
_REFERENCE = re.compile(_PAIR + rb"R" + _END)
_OBJECT = re.compile(_PAIR + rb"obj")
# The R of references, but for those with generation 0, which nearly all have.
_OTHER = re.compile(rb"R%b(?<=%bR)(?<!%b0%bR)" % (_END, _WHITE, _WHITE, _ON_LINE))
_COMMENTED = re.compile(rb"(?<![0-9])([0-9]++)" + _ON_LINE + rb"*+%")
_ONLY_COMMENT = re.compile(_ON_LINE + rb"*+%")


def unusual(text: Octets, above: int, spend: Callable[[], None], start: int, end: int) -> Iterator[Pair]:
    """Yield references to numbers above a number, and those whose generation is not zero.

    Args:
        text: octets of a file, or of an inflated object stream.
        above: smaller numbers, and this one, do not count.
        spend: called for each place that is looked at closely; may raise.
        start: where the end of a reference stands at first.
        end: behind where it stands at last.
    """
    for match in _suspects(_beginning(above)).finditer(text, start, end):
        spend()
        yield from (pair for pair in _meant(text, match.start(), spend) if pair[0] > above)
    for match in _OTHER.finditer(text, start, end):
        spend()
        yield from (pair for pair in _meant(text, match.start(), spend) if pair[1])


def references(text: Octets, spend: Callable[[], None], start: int, end: int) -> Iterator[Pair]:
    """Yield all references that end between two places."""
    return _pairs(_REFERENCE, b"R", text, spend, start, end)


def objects(text: Octets, spend: Callable[[], None], start: int, end: int) -> Iterator[Pair]:
    """Yield all objects whose `obj` seems to begin between two places, whatever the tables of the file say."""
    return _pairs(_OBJECT, b"obj", text, spend, start, end + len(b"ob"))


def _pairs(
    kind: re.Pattern[bytes], word: bytes, text: Octets, spend: Callable[[], None], start: int, end: int
) -> Iterator[Pair]:
    for match in kind.finditer(text, start, end):
        if match[1] is not None:
            yield _value(match[1]), _value(match[2])
        else:
            spend()
            yield from _meant(text, match.end() - len(word), spend)


def _meant(text: Octets, end: int, spend: Callable[[], None]) -> Iterator[Pair]:
    """Yield what may be the two numbers before a place."""
    near = max(0, end - _NEAR)
    plain = _PLAIN.search(text[near:end])
    if plain is not None and (plain.start() or not near):
        yield _value(plain[1]), _value(plain[2])
        return
    for generation, place in _before(text, end, spend):
        for number, _ in _before(text, place, spend):
            yield number, generation


def _before(text: Octets, end: int, spend: Callable[[], None]) -> Iterator[tuple[int, int]]:
    """Yield each number, and its place, that white space and comments may part from what begins at a place."""
    at = _stripped(text, end, _SPACES)
    if at < end:
        yield from _number(text, at)
    # A comment may end with each line that ends here.
    while text.find(b"\n", at, end) >= 0 or text.find(b"\r", at, end) >= 0:
        spend()
        begin = _line(text, at)
        line = text[begin:at]
        for match in _COMMENTED.finditer(line):
            spend()
            yield _value(match[1]), _signed(text, begin + match.start(1))
        if begin == 0 or _ONLY_COMMENT.match(line) is None:
            return
        end, at = begin, _stripped(text, begin, _SPACES)
        yield from _number(text, at)


def _number(text: Octets, end: int) -> Iterator[tuple[int, int]]:
    start = _stripped(text, end, _DIGITS)
    if start < end:
        yield _value(text[start:end]), _signed(text, start)


def _signed(text: Octets, place: int) -> int:
    """Return where a number begins whose digits do at a place: qpdf takes `+0` and `-0` for a generation."""
    return place - 1 if text[max(0, place - 1) : place] in {b"+", b"-"} else place


def _value(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= len(str(_HUGE)) else _HUGE


def _stripped(text: Octets, end: int, octets: bytes) -> int:
    """Return how far text goes before a place once some octets are taken from its end."""
    size = _NEAR
    while end:
        start = max(0, end - size)
        if kept := len(text[start:end].rstrip(octets)):
            return start + kept
        end, size = start, 2 * size
    return 0


def _line(text: Octets, at: int) -> int:
    """Return where the line begins that a place is in."""
    end, size = at, _NEAR
    while end:
        start = max(0, end - size)
        piece = text[start:end]
        if found := max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1:
            return start + found
        end, size = start, 2 * size
    return 0


def _beginning(number: int) -> tuple[int, int]:
    """Return how many digits a number has, and the first two of them."""
    digits = str(number)
    return len(digits), int(digits[:2])


@lru_cache(maxsize=1024)
def _suspects(beginning: tuple[int, int]) -> re.Pattern[bytes]:
    """Match the R of references, but for plainly spaced ones whose numbers are smaller than all that begin so."""
    digits, first = beginning
    smaller = [b"[0-9]{%d}" % count for count in range(digits - 1, 0, -1)]
    if digits > 1:
        below = b"|".join(b"%02d" % number for number in range(10, first))
        smaller[:0] = [b"(?:%b)[0-9]{%d}" % (below, digits - 2)] if below else []
    usual = b"".join(b"(?<![^0-9]%b%b[0-9]%bR)" % (number, _ON_LINE, _ON_LINE) for number in smaller)
    return re.compile(rb"R%b(?<=%bR)%b" % (_END, _WHITE, usual))
