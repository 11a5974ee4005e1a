"""Walking BER and DER without a grammar: what stands where, and that nothing else does (ITU-T X.690).

asn1crypto passes over what follows the last field of a SEQUENCE and the element inside an explicit tag. Two readers
may then see two signatures in the same octets, so the frame of a structure is walked here before it is read.
"""

from __future__ import annotations

from typing import NamedTuple

SEQUENCE, SET = 0x30, 0x31
INTEGER, BIT_STRING, OCTETS, OBJECT_ID, ENUMERATED = 0x02, 0x03, 0x04, 0x06, 0x0A
CONSTRUCTED = 0x20
_VERSION = 0xA0
_INDEFINITE = 0x80
_MAX_DEPTH = 40
_MAX_LENGTH_OCTETS = 8


class Element(NamedTuple):
    """One tag-length-value.

    Attributes:
        tag: the identifier octet.
        start: offset of the content.
        stop: offset after the content.
        end: offset after the element; differs from `stop` by the end mark of an indefinite length.
    """

    tag: int
    start: int
    stop: int
    end: int


def read_element(data: bytes, at: int, limit: int) -> Element:
    """Read the element at an offset. Raises ValueError: cut, with a multi-octet tag, or an end mark out of place."""
    tag, start, length = _header(data, at, limit)
    if length is None:
        stop = _end_mark(data, start, limit)
        return Element(tag, start, stop, stop + 2)
    return Element(tag, start, start + length, start + length)


class Walk:
    """Takes the elements of one content in their order; as a context, it demands that none is left."""

    __slots__ = ("_at", "_data", "_limit")

    def __init__(self, data: bytes, start: int = 0, stop: int | None = None) -> None:
        self._data = data
        self._at = start
        self._limit = len(data) if stop is None else stop

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._at != self._limit:
            raise ValueError("something stands after the end of a structure")

    @property
    def tag(self) -> int:
        """Tag of the next element; -1 at the end."""
        return self._data[self._at] if self._at < self._limit else -1

    def take(self, *tags: int) -> Element:
        """Take the next element, of one of these tags; of any when none is named. Raises ValueError."""
        element = read_element(self._data, self._at, self._limit)
        if tags and element.tag not in tags:
            raise ValueError(f"tag 0x{element.tag:02x} out of place")
        self._at = element.end
        return element

    def inside(self, *tags: int) -> Walk:
        """Take the next element and walk its content. Raises ValueError."""
        return self.into(self.take(*tags))

    def into(self, element: Element) -> Walk:
        """Walk the content of an element that was taken. Raises ValueError: it is primitive."""
        if not element.tag & CONSTRUCTED:
            raise ValueError("a primitive element where a constructed one is due")
        return Walk(self._data, element.start, element.stop)

    def object_id(self) -> bytes:
        """Take an OBJECT IDENTIFIER: its content, in its one encoding. Raises ValueError (X.690 8.19.2)."""
        element = self.take(OBJECT_ID)
        content = self._data[element.start : element.stop]
        padded = 0x80 in content and any(
            octet == 0x80 and (not index or not content[index - 1] & 0x80)
            for index, octet in enumerate(content)
        )
        if padded or not content or content[-1] & 0x80:
            raise ValueError("an object identifier that is not in its one encoding")
        return content

    def octets(self, depth: int = 0) -> None:
        """Take an OCTET STRING, in one piece or in several. Raises ValueError (X.690 8.7)."""
        element = self.take(OCTETS, OCTETS | CONSTRUCTED)
        if element.tag & CONSTRUCTED:
            if depth > _MAX_DEPTH:
                raise ValueError("an octet string nested too deeply")
            with self.into(element) as pieces:
                while pieces.tag >= 0:
                    pieces.octets(depth + 1)


def certificate_names(tbs: bytes) -> tuple[bytes, bytes]:
    """Cut issuer and subject out of what is signed of a certificate, octet for octet (RFC 5280 section 4.1).

    Raises:
        ValueError: the fields up to the subject do not stand in their order.
    """
    fields = Walk(tbs).inside(SEQUENCE)
    if fields.tag == _VERSION:
        fields.take()
    fields.take(INTEGER)
    before = fields.take(SEQUENCE)
    issuer = fields.take(SEQUENCE)
    validity = fields.take(SEQUENCE)
    subject = fields.take(SEQUENCE)
    return tbs[before.end : issuer.end], tbs[validity.end : subject.end]


def _header(data: bytes, at: int, limit: int) -> tuple[int, int, int | None]:
    """Read a tag and a length: (tag, offset of the content, its octets or None when indefinite)."""
    if limit - at < 2:
        raise ValueError("an element is cut short")
    tag, length = data[at], data[at + 1]
    start = at + 2
    if tag & 0x1F == 0x1F or not tag:
        raise ValueError("a tag that does not occur here")
    if length == _INDEFINITE:
        if not tag & CONSTRUCTED:
            raise ValueError("a primitive element of indefinite length")
        return tag, start, None
    if length > _INDEFINITE:
        count = length & 0x7F
        if count > _MAX_LENGTH_OCTETS or start + count > limit:
            raise ValueError("a length that cannot be read")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > limit:
        raise ValueError("an element runs past its container")
    return tag, start, length


def _end_mark(data: bytes, at: int, limit: int) -> int:
    """Find the end of a content of indefinite length (X.690 8.1.5)."""
    depth = 1
    while True:
        if data[at : min(at + 2, limit)] == b"\0\0":
            depth -= 1
            if not depth:
                return at
            at += 2
            continue
        _, at, length = _header(data, at, limit)
        if length is not None:
            at += length
        elif depth == _MAX_DEPTH:
            raise ValueError("nested too deeply")
        else:
            depth += 1
