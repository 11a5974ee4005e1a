"""The headers of other makers' zips: end record, central directory, local headers, data descriptors.

Source: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import io
import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from signing.errors import ContainerRefused, SignatureRefused
from signing.zip_records import CENTRAL, END, END64, LOCAL, LOCATOR64

MAX_NAME = 1024  # octets
STORED, DEFLATED = 0, 8

_MAX_COMMENT = 256
_MAX_FIELDS = 64  # extra fields of one header; makers write five at most, and 16,000 fit
_CHUNK = 1 << 20
_MARK16, _MARK32 = 0xFFFF, 0xFFFFFFFF  # stand for a value in a zip64 field
_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_FLAGS = 0x0006 | _DESCRIPTOR | _UTF8  # deflate's speed, and those two
_ZIP64 = 0x0001
# Fields that encrypt, sign the zip itself, or give a member another name than its header does.
_REFUSED_FIELDS = frozenset(
    {0x0008, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x07C8, 0x2605, 0x2705, 0x334D, 0x6375, 0x7075}
    | {0x9901}
)
# Fields of older Unix zips, where a file may be said to be a link.
_UNIX, _ASI_UNIX = 0x000D, 0x756E
_UNIX_SIZE = 12  # octets without the target of a link
_REGULAR, _FOLDER = frozenset({0, 0o100000}), frozenset({0, 0o040000})
_DOS_FOLDER = 0x10
_NEWEST = 45  # version of the format that has zip64: nothing that is read here needs a newer one
_COMMENT = re.compile(rb"mimetype=[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the central directory describes it.

    Attributes:
        name: decoded; that of a folder ends in `/`.
        raw_name: its octets.
        flags: general purpose bits.
        method: `STORED` or `DEFLATED`.
        crc32: of the content.
        packed: octets in the file.
        size: octets of the content.
        offset: of the local header.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc32: int
    packed: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class End:
    """What the end records say.

    Attributes:
        start: offset of the central directory.
        stop: offset after it.
        count: its entries.
        comment: of the whole container.
    """

    start: int
    stop: int
    count: int
    comment: str


def find_end(file: BinaryIO) -> End:
    """Find the one end record that closes the file. Raises ContainerRefused."""
    length = file.seek(0, io.SEEK_END)
    tail_start = max(0, length - END.size - _MAX_COMMENT)
    tail = exactly(file, tail_start, length - tail_start)
    found = [
        at
        for match in re.finditer(re.escape(b"PK\x05\x06"), tail)
        if (at := match.start()) + END.size <= len(tail)
        and END.unpack_from(tail, at)[7] == len(tail) - at - END.size
    ]
    if len(found) != 1:
        raise ContainerRefused("there is not exactly one end record that closes the file")
    comment = tail[found[0] + END.size :]
    if comment and not _COMMENT.fullmatch(comment):
        raise ContainerRefused("the container has a comment that is no mimetype")
    _, disk, first_disk, here, count, size, start, _ = END.unpack_from(tail, found[0])
    stop = tail_start + found[0]
    stated = (disk, first_disk, here, count, size, start)
    wide = _find_end64(file, stop, stated)
    if wide is not None:
        stated, stop = wide
    disk, first_disk, here, count, size, start = stated
    if disk or first_disk or here != count or start + size != stop:
        raise ContainerRefused("the central directory does not lie just before the end record")
    return End(start, stop, count, comment.decode("ascii"))


def _find_end64(
    file: BinaryIO, stop: int, narrow: tuple[int, ...]
) -> tuple[tuple[int, int, int, int, int, int], int] | None:
    """Read the zip64 end record if there is one: its values, and its offset."""
    at = stop - LOCATOR64.size - END64.size
    locator = exactly(file, stop - LOCATOR64.size, LOCATOR64.size) if stop >= LOCATOR64.size else b""
    if not locator.startswith(b"PK\x06\x07"):
        return None
    if at < 0:
        raise ContainerRefused("the zip64 end record is missing")
    _, disk, offset, disks = LOCATOR64.unpack(locator)
    fields = END64.unpack(exactly(file, at, END64.size))
    if fields[0] != b"PK\x06\x06" or fields[1] != END64.size - 12 or offset != at or disk or disks != 1:
        raise ContainerRefused("the zip64 end record is not in its place")
    wide = (fields[4], fields[5], fields[6], fields[7], fields[8], fields[9])
    marks = (_MARK16, _MARK16, _MARK16, _MARK16, _MARK32, _MARK32)
    if any(small not in (mark, big) for small, mark, big in zip(narrow, marks, wide, strict=True)):
        raise ContainerRefused("the end records contradict each other")
    return wide, at


def read_directory(data: bytes, count: int) -> list[Entry]:
    """Read the central directory, every octet of it. Raises ContainerRefused."""
    entries = []
    at = 0
    for _ in range(count):
        entry, at = _directory_entry(data, at)
        entries.append(entry)
    if at != len(data):
        raise ContainerRefused("the central directory holds something else than its entries")
    return entries


def _directory_entry(data: bytes, at: int) -> tuple[Entry, int]:
    fields = CENTRAL.unpack_from(data, at)
    mark, flags, method, crc, packed, size = fields[0], fields[3], fields[4], *fields[7:10]
    name_length, extra_length, comment_length, disk, _, attributes, offset = fields[10:17]
    body = at + CENTRAL.size
    end = body + name_length + extra_length + comment_length
    raw_name = data[body : body + name_length]
    if mark != b"PK\x01\x02" or end > len(data):
        raise ContainerRefused("the central directory is cut short")
    if flags & ~_FLAGS or method not in (STORED, DEFLATED) or comment_length or disk not in (0, _MARK16):
        raise ContainerRefused("a member is encrypted, commented, or packed in a way that is not read")
    if not fields[2] & 0xFF <= _NEWEST:
        raise ContainerRefused("a member says that it needs a newer reader")
    _check_type(attributes >> 16, raw_name)
    if attributes & _DOS_FOLDER and not raw_name.endswith(b"/"):
        raise ContainerRefused("a file is said to be a folder")
    wide = _extra_fields(data[body + name_length : end], raw_name)
    size, packed, offset, disk = _widened(wide, (size, packed, offset), disk)
    if disk:
        raise ContainerRefused("a member lies on another disk")
    if method == STORED and size != packed:
        raise ContainerRefused("a stored member has two sizes")
    return Entry(_decoded(raw_name, flags), raw_name, flags, method, crc, packed, size, offset), end


def _check_type(mode: int, raw_name: bytes) -> None:
    """Refuse a link, a device, and what is a folder to readers of the mode and a file to readers of the name."""
    if mode & 0o170000 not in (_FOLDER if raw_name.endswith(b"/") else _REGULAR):
        raise ContainerRefused("a member is a link or a device, or a folder by its mode or its name only")


def _widened(wide: bytes | None, narrow: tuple[int, int, int], disk: int) -> tuple[int, int, int, int]:
    """Take from a zip64 field exactly the values that are marked as being there."""
    values = []
    at = 0
    for value in narrow:
        if value == _MARK32 and wide is not None:
            values.append(int.from_bytes(_part(wide, at, 8), "little"))
            at += 8
        else:
            values.append(value)
    if disk == _MARK16:
        disk = int.from_bytes(_part(wide or b"", at, 4), "little")
        at += 4
    if wide is not None and at != len(wide):
        raise ContainerRefused("a zip64 field holds values that the header states too")
    return values[0], values[1], values[2], disk


def _part(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ContainerRefused("an extra field is cut short")
    return data[at : at + size]


def _extra_fields(data: bytes, raw_name: bytes) -> bytes | None:
    """Walk the extra fields; returns the content of the zip64 one."""
    wide = None
    at = count = 0
    while len(data) - at >= 4:
        count += 1
        if count > _MAX_FIELDS:
            raise ContainerRefused("a member has more extra fields than any maker writes")
        kind, length = struct.unpack_from("<2H", data, at)
        content = data[at + 4 : at + 4 + length]
        if len(content) != length or kind in _REFUSED_FIELDS:
            raise ContainerRefused("a member has an extra field that cannot be read or could rename it")
        if kind == _ZIP64:
            if wide is not None:
                raise ContainerRefused("a member has two zip64 fields")
            wide = content
        if kind == _ASI_UNIX:
            _check_type(int.from_bytes(_part(content, 4, 2), "little"), raw_name)
        if kind == _UNIX and length > _UNIX_SIZE:
            raise ContainerRefused("a member is a link or a device")
        at += 4 + length
    # Some makers align contents with up to three zero octets.
    if data[at:].strip(b"\0"):
        raise ContainerRefused("a member's extra fields do not end where they should")
    return wide


def _decoded(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise ContainerRefused("a name is neither ASCII nor marked as UTF-8") from error
    if not name or len(raw) > MAX_NAME:
        raise ContainerRefused("the length of a name is out of bounds")
    odd = any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in name)
    parts = name.removesuffix("/").split("/")
    if odd or "\\" in name or any(part in {"", ".", ".."} for part in parts) or re.match(r"[A-Za-z]:", name):
        raise ContainerRefused("a name is no plain relative path")
    return name


def check_names(entries: Sequence[Entry]) -> None:
    """Refuse names that two readers could take for one another. Raises ContainerRefused."""
    files: set[str] = set()
    seen: set[str] = set()
    for entry in entries:
        key = _folded(entry.name.removesuffix("/"))
        if key in seen:
            raise ContainerRefused("two members have one name")
        seen.add(key)
        if entry.name.endswith("/"):
            if entry.size:
                raise ContainerRefused("a folder has content")
        else:
            files.add(key)
    # Sorted by their pieces, what lies in a folder stands just behind it: no set of all folders is made, which
    # would grow with the square of a name's length. No name has a NUL, so none sorts between the two.
    ordered = sorted(key.replace("/", "\0") for key in seen)
    for key, following in pairwise(ordered):
        if following.startswith(key + "\0") and key.replace("\0", "/") in files:
            raise ContainerRefused("a member is the folder of another")


def _folded(name: str) -> str:
    """What a name is to readers that fold case and normal form, and drop dots and spaces at an end."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(". ") or part for part in folded.split("/"))


def tile(file: BinaryIO, entries: Sequence[Entry], stop: int) -> dict[str, int]:
    """Walk local headers in the order of the file; returns where each content starts. Raises ContainerRefused."""
    ordered = sorted(entries, key=lambda entry: entry.offset)
    places: dict[str, int] = {}
    at = 0
    for number, entry in enumerate(ordered):
        if entry.offset != at:
            raise ContainerRefused("there are octets between members, or members overlap")
        following = ordered[number + 1].offset if number + 1 < len(ordered) else stop
        start = _local_header(file, entry)
        data_end = start + entry.packed
        places[entry.name] = start
        if entry.flags & _DESCRIPTOR:
            _descriptor(file, entry, data_end, following)
            if entry.method == STORED:
                _refuse_headers_inside(file, start, data_end)
            at = following
        else:
            at = data_end
    if at != stop:
        raise ContainerRefused("there are octets between the members and the directory")
    return places


def _local_header(file: BinaryIO, entry: Entry) -> int:
    header = exactly(file, entry.offset, LOCAL.size)
    mark, version, flags, method, _, _, crc, packed, size, name_length, extra_length = LOCAL.unpack(header)
    rest = exactly(file, entry.offset + LOCAL.size, name_length + extra_length)
    if (
        mark != b"PK\x03\x04"
        or rest[:name_length] != entry.raw_name
        or (flags, method) != (entry.flags, entry.method)
    ):
        raise ContainerRefused("a local header differs from its directory entry")
    if version & 0xFF > _NEWEST:
        raise ContainerRefused("a member says that it needs a newer reader")
    wide = _extra_fields(rest[name_length:], entry.raw_name)
    if wide is not None and _MARK32 in (packed, size):
        size, packed, _, _ = _widened(wide, (size, packed, 0), 0)
    later = (0,) if entry.flags & _DESCRIPTOR else ()
    if any(
        found not in (stated, *later)
        for found, stated in ((crc, entry.crc32), (packed, entry.packed), (size, entry.size))
    ):
        raise ContainerRefused("a local header states another size or checksum than the directory")
    return entry.offset + LOCAL.size + len(rest)


def _descriptor(file: BinaryIO, entry: Entry, start: int, stop: int) -> None:
    if not 12 <= stop - start <= 24:
        raise ContainerRefused("a data descriptor does not lie just after its content")
    found = exactly(file, start, stop - start)
    for mark in (b"", b"PK\x07\x08"):
        for layout in ("<L2L", "<L2Q"):
            if max(entry.packed, entry.size) > _MARK32 and layout == "<L2L":
                continue
            if found == mark + struct.pack(layout, entry.crc32, entry.packed, entry.size):
                return
    raise ContainerRefused("a data descriptor differs from the directory")


def _refuse_headers_inside(file: BinaryIO, start: int, stop: int) -> None:
    """A stored content of unannounced length: a reader of the stream would end it at the first such mark."""
    before = b""
    while start < stop:
        chunk = exactly(file, start, min(_CHUNK, stop - start))
        start += len(chunk)
        window = before + chunk
        if any(mark in window for mark in (b"PK\x07\x08", b"PK\x03\x04", b"PK\x01\x02")):
            raise ContainerRefused("the end of a stored member is ambiguous")
        before = window[-3:]


def exactly(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read octets that must be there. Raises ContainerRefused."""
    file.seek(offset)
    content = file.read(size)
    if len(content) != size:
        raise ContainerRefused("the container is cut short")
    return content


def too_much(message: str) -> SignatureRefused:
    """Make the error for more than is read here."""
    return SignatureRefused("VERIFIER_OUTPUT_LIMIT", message, indeterminate=True)
