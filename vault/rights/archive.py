"""Zip archives made while they leave: nothing is spooled, and memory does not depend on sizes.

Each header is complete before its content (size and CRC-32 are known by then), so that the archive has one meaning for
every reader, be it one that streams or one that trusts the directory alone. What is small is held; what is large is
read twice, first to measure it, so that content which does not come whole out of the store never begins to leave.
Source: PKWARE APPNOTE 6.3.10, zip64 where a number does not fit.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vault.errors import VaultError

HELD = 4 << 20  # octets of a content that is kept between measuring and writing
_OVER = 0xFFFFFFFF
_UTF8 = 0x0800
_UNIX = 3 << 8
_PLAIN_FILE = 0o100600 << 16
_STORED, _DEFLATED = 0, 8

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class Measured:
    """A content that was read whole once.

    Attributes:
        size: octets.
        crc32: CRC-32.
        sha256: digest, 32 octets.
        held: the octets, where they are few; else None.
        open: starts another pass.
    """

    size: int
    crc32: int
    sha256: bytes
    held: bytes | None = field(repr=False)
    open: Callable[[], Iterator[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A member that was written.

    Attributes:
        name: path in the archive.
        size: octets.
        sha256: digest, hex.
    """

    name: str
    size: int
    sha256: str


def measure(open_: Callable[[], Iterator[bytes]]) -> Measured:
    """Read a content whole. Raises what reading it raises."""
    size = crc = 0
    digest = hashlib.sha256()
    held: list[bytes] | None = []
    for chunk in open_():
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
        if held is not None:
            held.append(chunk)
            if size > HELD:
                held = None
    return Measured(size, crc, digest.digest(), None if held is None else b"".join(held), open_)


class Archive:
    """Writes one archive; the caller passes on what the methods yield, in order, and ends with `end`.

    Attributes:
        listed: the members so far, but those that were added with `listed=False`.
    """

    def __init__(self, at: datetime) -> None:
        """Begin.

        Args:
            at: date of every member, UTC.
        """
        self.listed: list[Listed] = []
        self._at = _dos(at)
        self._offset = 0
        self._count = 0
        self._directory = bytearray()

    def text(self, name: str, data: bytes) -> Iterator[bytes]:
        """Add octets that are worth compressing."""
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(data) + packer.flush()
        self.listed.append(Listed(name, len(data), hashlib.sha256(data).hexdigest()))
        yield self._header(name, _DEFLATED, zlib.crc32(data), len(packed), len(data))
        yield packed

    def file(self, name: str, content: Measured) -> Iterator[bytes]:
        """Add a measured content as it is.

        Raises:
            VaultError: ORIGINAL_DAMAGED: the second pass gave others octets than the first. What came out until then
                must not be taken for an archive: the caller breaks off.
        """
        self.listed.append(Listed(name, content.size, content.sha256.hex()))
        yield self._header(name, _STORED, content.crc32, content.size, content.size)
        if content.held is not None:
            yield content.held
            return
        size = crc = 0
        for chunk in content.open():
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
            if size > content.size:
                break
            yield chunk
        if size != content.size or crc != content.crc32:
            raise VaultError("ORIGINAL_DAMAGED", "a content changed between two reads")

    def end(self) -> bytes:
        """Return what closes the archive: without it no reader takes it for whole."""
        start, size, count = self._offset, len(self._directory), self._count
        closing = b""
        shown = (min(count, 0xFFFF), min(size, _OVER), min(start, _OVER))
        if shown != (count, size, start) or 0xFFFF in shown or _OVER in shown:
            closing = _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
            closing += _LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
        return (
            bytes(self._directory)
            + closing
            + _END.pack(b"PK\5\6", 0, 0, shown[0], shown[0], shown[1], shown[2], 0)
        )

    def _header(self, name: str, method: int, crc32: int, packed: int, size: int) -> bytes:
        """Return a local header, and keep the member's line of the directory."""
        encoded = name.encode()
        flags = 0 if name.isascii() else _UTF8
        wide = packed >= _OVER or size >= _OVER
        local_extra = struct.pack("<2H2Q", 1, 16, size, packed) if wide else b""
        far = self._offset >= _OVER
        numbers = [*((size, packed) if wide else ()), *((self._offset,) if far else ())]
        extra = struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
        shown = (_OVER, _OVER) if wide else (packed, size)
        version = 45 if numbers else 20
        self._directory += _CENTRAL.pack(
            *(b"PK\1\2", _UNIX | version, version, flags, method, *self._at, crc32, *shown),
            *(len(encoded), len(extra), 0, 0, 0, _PLAIN_FILE, _OVER if far else self._offset),
        )
        self._directory += encoded + extra
        header = _LOCAL.pack(
            *(b"PK\3\4", 45 if wide else 20, flags, method, *self._at, crc32, *shown),
            *(len(encoded), len(local_extra)),
        )
        self._offset += len(header) + len(encoded) + len(local_extra) + packed
        self._count += 1
        return header + encoded + local_extra


def _dos(at: datetime) -> tuple[int, int]:
    """Return a time as MS-DOS writes it: (time, date)."""
    year = min(max(at.year, 1980), 2107) - 1980
    return at.hour << 11 | at.minute << 5 | at.second // 2, year << 9 | at.month << 5 | at.day
