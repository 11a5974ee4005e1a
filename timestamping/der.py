"""A strict DER reader and writer (ITU-T X.690), as small as RFC 3161 needs.

The reader refuses whatever has more than one encoding: indefinite or padded lengths, padded integers,
booleans other than 00 and FF, unused bits that are set. A structure read to the end by these functions
therefore has exactly one encoding, the one it was read from, and no octet of it is unaccounted for.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_ID = 0x06
UTF8_STRING = 0x0C
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31
CONSTRUCTED = 0x20
MAX_DEPTH = 40


class DerError(ValueError):
    """The octets are not the DER encoding of what was expected."""


class Element(NamedTuple):
    """One tag-length-value inside a larger buffer.

    Attributes:
        data: the buffer.
        tag: the identifier octet.
        start: offset of the identifier octet.
        body: offset of the content.
        end: offset after the content.
    """

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def raw(self) -> bytes:
        """The whole element, header included."""
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        """The content octets."""
        return self.data[self.body : self.end]

    def reader(self) -> Reader:
        """A reader over the content."""
        return Reader(self.data, self.body, self.end)


def read_element(data: bytes, at: int, end: int) -> Element:
    """Read the element that starts at an offset. Raises DerError (X.690 8.1.3, 10.1)."""
    if end - at < 2:
        raise DerError("truncated element")
    tag = data[at]
    if tag & 0x1F == 0x1F:
        raise DerError("multi-octet tags are not used here")
    length = data[at + 1]
    body = at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or body + count > end:
            raise DerError("indefinite, oversized or truncated length")
        length = int.from_bytes(data[body : body + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise DerError("length not in its shortest form")
        body += count
    if body + length > end:
        raise DerError("element runs past its container")
    return Element(data, tag, at, body, body + length)


class Reader:
    """Walks the elements of one container; `finish` proves that none is left."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    @property
    def tag(self) -> int:
        """Tag of the next element, or -1 at the end."""
        return self._data[self._at] if self._at < self._end else -1

    def take(self, tag: int) -> Element:
        """Read the next element, which must have this tag. Raises DerError."""
        element = self.take_any()
        if element.tag != tag:
            raise DerError(f"tag 0x{element.tag:02x} where 0x{tag:02x} is due")
        return element

    def take_any(self) -> Element:
        """Read the next element, whatever it is. Raises DerError."""
        element = read_element(self._data, self._at, self._end)
        self._at = element.end
        return element

    def optional(self, tag: int) -> Element | None:
        """Read the next element if it has this tag. Raises DerError."""
        return self.take(tag) if self.tag == tag else None

    def rest(self) -> list[Element]:
        """Read all remaining elements. Raises DerError."""
        elements = []
        while self._at < self._end:
            elements.append(self.take_any())
        return elements

    def finish(self) -> None:
        """Raise DerError when octets are left."""
        if self._at != self._end:
            raise DerError("octets left over at the end of a structure")

    def integer(self, tag: int = INTEGER) -> int:
        """Read an INTEGER (or one implicitly tagged). Raises DerError."""
        return integer_value(self.take(tag))

    def object_id(self) -> str:
        """Read an OBJECT IDENTIFIER as dotted text. Raises DerError."""
        return object_id_value(self.take(OBJECT_ID))


def only(data: bytes, tag: int) -> Element:
    """Read a buffer that is exactly one element of this tag. Raises DerError."""
    reader = Reader(data)
    element = reader.take(tag)
    reader.finish()
    return element


def integer_value(element: Element) -> int:
    """Value of an INTEGER in its shortest form. Raises DerError (X.690 8.3)."""
    content = element.content
    if not content:
        raise DerError("empty integer")
    if len(content) > 1 and (
        (content[0] == 0 and content[1] < 0x80) or (content[0] == 0xFF and content[1] >= 0x80)
    ):
        raise DerError("integer not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def boolean_value(element: Element) -> bool:
    """Value of a BOOLEAN. Raises DerError (X.690 11.1)."""
    if element.content not in (b"\x00", b"\xff"):
        raise DerError("boolean is neither 00 nor FF")
    return element.content == b"\xff"


@lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    if not content or content[-1] & 0x80:
        raise DerError("truncated object identifier")
    arcs: list[int] = []
    value = 0
    fresh = True
    for octet in content:
        if fresh and octet == 0x80:
            raise DerError("object identifier arc not in its shortest form")
        value = value << 7 | octet & 0x7F
        fresh = not octet & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def object_id_value(element: Element) -> str:
    """Dotted text of an OBJECT IDENTIFIER of at most 64 octets. Raises DerError (X.690 8.19)."""
    if element.end - element.body > 64:
        raise DerError("object identifier too long")
    return _dotted(element.content)


def check_bit_string(element: Element) -> None:
    """Refuse a BIT STRING whose unused bits are set. Raises DerError (X.690 11.2.1)."""
    content = element.content
    if not content or content[0] > 7 or (content[0] and len(content) == 1):
        raise DerError("malformed bit string")
    if len(content) > 1 and content[-1] & ((1 << content[0]) - 1):
        raise DerError("unused bits are set")


def check_canonical(element: Element, depth: int = 0) -> None:
    """Walk an element that is only carried, not interpreted, and refuse what is not DER in it.

    Raises:
        DerError: a length, integer, boolean, bit string, null or object identifier with another encoding, or
            nesting beyond `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise DerError("nested too deeply")
    tag = element.tag
    if tag & CONSTRUCTED:
        if tag not in (SEQUENCE, SET) and tag < 0x80:
            raise DerError("constructed form of a primitive type")
        at = element.body
        while at < element.end:
            inner = read_element(element.data, at, element.end)
            check_canonical(inner, depth + 1)
            at = inner.end
    elif tag == INTEGER:
        integer_value(element)
    elif tag == OBJECT_ID:
        object_id_value(element)
    elif tag == BOOLEAN:
        boolean_value(element)
    elif tag == BIT_STRING:
        check_bit_string(element)
    elif (tag == NULL and element.end != element.body) or tag in (0x00, 0x10, 0x11):
        raise DerError("malformed null, or primitive form of a constructed type")


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode one element with its definite, shortest length."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE."""
    return tlv(SEQUENCE, *parts)


def set_of(parts: Iterable[bytes]) -> bytes:
    """Encode a SET OF in DER order (X.690 11.6)."""
    return tlv(SET, *sorted(parts))


def octets(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def integer(value: int) -> bytes:
    """Encode an INTEGER in its shortest form."""
    bits = value.bit_length() if value >= 0 else (value + 1).bit_length()
    return tlv(INTEGER, value.to_bytes(bits // 8 + 1, "big", signed=True))


def object_id(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER from dotted text. Raises DerError."""
    try:
        first, second, *others = (int(arc) for arc in dotted.split("."))
    except ValueError as error:
        raise DerError("not an object identifier") from error
    if first not in (0, 1, 2) or (first < 2 and second >= 40) or min(second, *others, 0) < 0:
        raise DerError("not an object identifier")
    content = bytearray()
    for arc in (40 * first + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return tlv(OBJECT_ID, bytes(content))
