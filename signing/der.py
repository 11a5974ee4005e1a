"""The few pieces of DER writing and reading that the package does itself (ITU-T X.690)."""

from __future__ import annotations

from collections.abc import Iterable

SEQUENCE = 0x30
SET = 0x31
OCTET_STRING = 0x04
INTEGER = 0x02


def tlv(tag: int, *contents: bytes) -> bytes:
    """Encode one element: tag octet, minimal definite length, contents one after another."""
    content = contents[0] if len(contents) == 1 else b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    if size < 0x100:
        return bytes((tag, 0x81, size)) + content
    if size < 0x10000:
        return bytes((tag, 0x82, size >> 8, size & 0xFF)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"".join((bytes((tag, 0x80 | len(length))), length, content))


def integer(value: int) -> bytes:
    """Encode an INTEGER in two's complement of minimal length."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def set_of(elements: Iterable[bytes], tag: int = SET) -> bytes:
    """Encode a SET OF: elements in ascending order of their encodings (X.690 section 11.6)."""
    return tlv(tag, *sorted(elements))


def element_size(data: bytes, start: int = 0) -> int:
    """Return the octets that the DER element at `start` takes, header included.

    Raises:
        ValueError: the header is cut, not minimal, indefinite, or says more octets than there are.
    """
    if len(data) < start + 2:
        raise ValueError("truncated DER header")
    first = data[start + 1]
    if first < 0x80:
        total = 2 + first
    else:
        count = first & 0x7F
        octets = data[start + 2 : start + 2 + count]
        if not 1 <= count <= 4 or len(octets) != count:
            raise ValueError("unusable DER length")
        length = int.from_bytes(octets, "big")
        if length < 0x80 or octets[0] == 0:
            raise ValueError("DER length is not minimal")
        total = 2 + count + length
    if start + total > len(data):
        raise ValueError("DER element is longer than its data")
    return total


def require_sole_sequence(data: bytes) -> None:
    """Refuse anything but exactly one DER SEQUENCE. Raises ValueError."""
    if not data or data[0] != SEQUENCE or element_size(data) != len(data):
        raise ValueError("not exactly one DER SEQUENCE")
