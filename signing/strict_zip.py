"""Strict zip containers: every octet is either content or recomputed from names, sizes and checksums.

The reader takes names, sizes and CRCs from the central directory, writes every header again from them and
compares with the file. So a container has one meaning for every reader: no duplicate, gap, overlap, comment,
extra field, data descriptor, prefix or trailing data, link or encryption can be in it.
Source: PKWARE APPNOTE 6.3.10; ETSI EN 319 162-1 annex A for the mimetype member.
"""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from signing.errors import ContainerRefused
from signing.zip_records import CENTRAL, END, END64, LOCAL, LOCATOR64

MIMETYPE = "application/vnd.etsi.asic-e+zip"
MAX_MEMBERS = 20_000
MAX_NAME = 1024  # octets of UTF-8

_CHUNK = 1 << 20
_MAX_DIRECTORY = 32 << 20
_OVER = 0xFFFFFFFF  # stands for a size or offset that is in a zip64 field
_ZIP64_FROM = _OVER  # sizes and offsets from here on need one
_DATE = 0x0021  # 1980-01-01
_UTF8 = 0x0800
_UNIX = 3 << 8
_PLAIN_FILE = 0o100644 << 16
_RESERVED = frozenset('<>:"|?*\\%')


@dataclass(frozen=True, slots=True)
class Member:
    """A file to write into a container.

    Attributes:
        name: path inside, `/` between parts.
        size: octets.
        crc32: CRC-32 of the content.
        open: starts a new pass over the content.
    """

    name: str
    size: int
    crc32: int
    open: Callable[[], Iterator[bytes]]

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Member:
        """Make a member of octets held in memory."""
        return cls(name, len(content), zlib.crc32(content), lambda: iter((content,)))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the headers of one member follow from; `offset` is that of its local header."""

    name: str
    size: int
    crc32: int
    offset: int

    @property
    def data(self) -> int:
        """Offset of the content."""
        return self.offset + len(_local(self))


def name_problem(name: str) -> str | None:
    """Say why a name may not stand in a container; None when it may.

    Refused: empty or over 1,024 octets, not NFC, control, format (bidi) or unassigned characters, reserved
    characters and `%`, absolute paths, empty, `.` and `..` parts, and parts that end in a dot or a space.
    """
    if not name or len(name.encode(errors="surrogatepass")) > MAX_NAME:
        return "its length is out of bounds"
    if any(unicodedata.category(character).startswith("C") for character in name):
        return "it has control or format characters"
    if unicodedata.normalize("NFC", name) != name:
        return "it is not in normal form NFC"
    if _RESERVED.intersection(name):
        return "it has reserved characters"
    if any(part in {"", ".", ".."} or part[-1] in ". " for part in name.split("/")):
        return "it is not a plain relative path"
    return None


def generate(members: Sequence[Member]) -> Iterator[bytes]:
    """Write a container: the ASiC-E mimetype, then the members, in order.

    Args:
        members: not `mimetype` itself.

    Returns:
        The container's octets in chunks; memory stays flat whatever the sizes.

    Raises:
        ContainerRefused: at once for names that may not be; while iterating when a member's content has
            another size or CRC than it says: what came out must then be dropped.
    """
    everything = [Member.of_bytes("mimetype", MIMETYPE.encode()), *members]
    entries = _layout([(member.name, member.size, member.crc32) for member in everything])
    return _chunks(everything, entries)


def container_size(members: Sequence[Member]) -> int:
    """Octets that `generate` will give."""
    listed = [("mimetype", len(MIMETYPE), 0), *((m.name, m.size, m.crc32) for m in members)]
    entries = _layout(listed)
    return _directory_offset(entries) + len(_directory(entries))


class StrictZip:
    """A container whose every header was found to be the one that its content demands."""

    def __init__(self, file: BinaryIO, entries: Sequence[_Entry]) -> None:
        """Use `open`."""
        self._file = file
        self._entries = {entry.name: entry for entry in entries}

    @classmethod
    def open(cls, file: BinaryIO) -> StrictZip:
        """Check a container's headers.

        1. The end record closes the file, without comment. 2. The central directory is read. 3. Names are
        plain and distinct for every reader. 4. Directory and end records are written again from names, sizes
        and CRCs alone, and are the octets in the file. 5. So is each local header. 6. The first member is
        the ASiC-E mimetype.

        Args:
            file: seekable; stays in use, and open, as long as the container.

        Raises:
            ContainerRefused: anything else is found.
        """
        length = file.seek(0, io.SEEK_END)
        # 1
        start, end = _find_directory(file, length)
        # 2
        if end - start > _MAX_DIRECTORY:
            raise ContainerRefused("the central directory is too large")
        listed = _parse_directory(_exactly(file, start, end - start))
        # 3
        entries = _layout(listed)
        # 4
        if start != _directory_offset(entries) or _exactly(file, start, length - start) != _directory(
            entries
        ):
            raise ContainerRefused("the central directory is not in the strict form")
        # 5
        for entry in entries:
            header = _local(entry)
            if _exactly(file, entry.offset, len(header)) != header:
                raise ContainerRefused("a local header differs from its directory entry")
        # 6
        container = cls(file, entries)
        if not entries or entries[0].name != "mimetype" or entries[0].size != len(MIMETYPE):
            raise ContainerRefused("the first member is not the mimetype")
        if container.read("mimetype", len(MIMETYPE)) != MIMETYPE.encode():
            raise ContainerRefused("the container is not an ASiC-E")
        return container

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members in order, `mimetype` first."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Octets of a member. Raises ContainerRefused when there is none of that name."""
        return self._entry(name).size

    def read(self, name: str, limit: int) -> bytes:
        """Read a member whole.

        Raises:
            ContainerRefused: no such member, over `limit` octets, or a wrong CRC.
        """
        if self._entry(name).size > limit:
            raise ContainerRefused("a member is over the size limit")
        return b"".join(self.stream(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """Read a member in chunks of at most 1 MiB; the CRC is checked after the last.

        Raises:
            ContainerRefused: no such member; at the end of the iteration, a wrong CRC.
        """
        entry = self._entry(name)
        position, left, crc = entry.data, entry.size, 0
        while left:
            chunk = _exactly(self._file, position, min(left, _CHUNK))
            position += len(chunk)
            left -= len(chunk)
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != entry.crc32:
            raise ContainerRefused("a member's content does not have its CRC")

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise ContainerRefused("the container lacks a member that it needs") from None


def _chunks(members: Sequence[Member], entries: Sequence[_Entry]) -> Iterator[bytes]:
    for member, entry in zip(members, entries, strict=True):
        yield _local(entry)
        size = crc = 0
        for chunk in member.open():
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if size != member.size or crc != member.crc32:
            raise ContainerRefused("a member's content is not the one announced")
    yield _directory(entries)


def _layout(listed: Sequence[tuple[str, int, int]]) -> list[_Entry]:
    """Give each member its place; refuse names that are unfit or that a file system may take for the same."""
    if len(listed) > MAX_MEMBERS:
        raise ContainerRefused("the container has too many members")
    seen: set[str] = set()
    folders: set[str] = set()
    entries: list[_Entry] = []
    offset = 0
    for name, size, crc32 in listed:
        problem = name_problem(name)
        if problem is not None:
            raise ContainerRefused(f"a member's name is unfit: {problem}")
        folded = unicodedata.normalize("NFC", name.casefold())
        if folded in seen:
            raise ContainerRefused("two members have the same name")
        seen.add(folded)
        parts = folded.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
        entry = _Entry(name, size, crc32, offset)
        entries.append(entry)
        offset = entry.data + size
    if seen & folders:
        raise ContainerRefused("a member has the name of a folder")
    return entries


def _directory_offset(entries: Sequence[_Entry]) -> int:
    return entries[-1].data + entries[-1].size if entries else 0


def _local(entry: _Entry) -> bytes:
    name = entry.name.encode()
    flags = 0 if entry.name.isascii() else _UTF8
    if entry.size < _ZIP64_FROM:
        version, size, extra = 20, entry.size, b""
    else:
        version, size, extra = 45, _OVER, struct.pack("<2H2Q", 1, 16, entry.size, entry.size)
    fixed = LOCAL.pack(b"PK\3\4", version, flags, 0, 0, _DATE, entry.crc32, size, size, len(name), len(extra))
    return fixed + name + extra


def _central(entry: _Entry) -> bytes:
    name = entry.name.encode()
    flags = 0 if entry.name.isascii() else _UTF8
    wide = [entry.size, entry.size] if entry.size >= _ZIP64_FROM else []
    if entry.offset >= _ZIP64_FROM:
        wide.append(entry.offset)
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = 45 if wide else 20
    size = _OVER if entry.size >= _ZIP64_FROM else entry.size
    offset = _OVER if entry.offset >= _ZIP64_FROM else entry.offset
    # "Made on Unix", else unzip takes UTF-8 names for a DOS code page; a plain file, rw-r--r--, never a link.
    fixed = CENTRAL.pack(
        *(b"PK\1\2", _UNIX | version, version, flags, 0, 0, _DATE, entry.crc32, size, size),
        *(len(name), len(extra), 0, 0, 0, _PLAIN_FILE, offset),
    )
    return fixed + name + extra


def _directory(entries: Sequence[_Entry]) -> bytes:
    """The central directory and what follows it up to the end of the file."""
    start = _directory_offset(entries)
    body = b"".join(_central(entry) for entry in entries)
    count = len(entries)
    closing = b""
    shown = start
    if start >= _ZIP64_FROM:
        shown = _OVER
        closing = END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(body), start)
        closing += LOCATOR64.pack(b"PK\6\7", 0, start + len(body), 1)
    closing += END.pack(b"PK\5\6", 0, 0, count, count, len(body), shown, 0)
    return body + closing


def _find_directory(file: BinaryIO, length: int) -> tuple[int, int]:
    """Where the central directory starts and ends, as the end records say; the caller checks it all again."""
    last = length - END.size
    if last < 0:
        raise ContainerRefused("the file is too short for a zip container")
    magic, _, _, _, _, size, start, comment = END.unpack(_exactly(file, last, END.size))
    if magic != b"PK\5\6" or comment:
        raise ContainerRefused("the file does not end with a zip end record")
    if start == _OVER:
        last -= LOCATOR64.size + END64.size
        if last < 0:
            raise ContainerRefused("the zip64 end record is missing")
        start = END64.unpack(_exactly(file, last, END64.size))[-1]
    if start + size != last:
        raise ContainerRefused("the central directory does not reach the end record")
    return start, last


def _parse_directory(body: bytes) -> list[tuple[str, int, int]]:
    listed: list[tuple[str, int, int]] = []
    position = 0
    while position < len(body):
        if len(listed) >= MAX_MEMBERS:
            raise ContainerRefused("the container has too many members")
        try:
            fields = CENTRAL.unpack_from(body, position)
            crc32, size, name_length, extra_length = fields[7], fields[9], fields[10], fields[11]
            position += CENTRAL.size
            name = body[position : position + name_length].decode()
            position += name_length
            if size == _OVER:
                size = struct.unpack_from("<Q", body, position + 4)[0]
            position += extra_length
        except (struct.error, UnicodeDecodeError) as error:
            raise ContainerRefused("the central directory cannot be read") from error
        listed.append((name, size, crc32))
    return listed


def _exactly(file: BinaryIO, offset: int, size: int) -> bytes:
    try:
        file.seek(offset)
        content = file.read(size)
    except (OSError, OverflowError, ValueError) as error:
        raise ContainerRefused("the container cannot be read at the place its headers say") from error
    if len(content) != size:
        raise ContainerRefused("the container is cut short")
    return content
