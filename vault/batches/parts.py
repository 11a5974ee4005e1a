"""The files of a batch, as they come: a zip or a tar with one meaning, each member read once.

Nothing is unpacked to a disk. What makes an archive ambiguous or dangerous refuses it whole, before its first file
is looked at, each with its own code.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from signing.errors import ContainerRefused, SignatureRefused
from signing.foreign_zip import MAX_MEMBERS, ForeignZip
from vault.batches.tar_headers import BoundedHeaders
from vault.errors import Refused
from vault.files.zip_ends import directory_within

_CHUNK = 1 << 20
_BLOCK = 512
_MAX_DIRECTORY = 8 << 20  # that is read for the sake of a better code: 20,000 members of 370 octets each
_MAX_NAME = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_ZIP = b"PK"
_USTAR = (b"ustar\x0000", b"ustar  \x00")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a part.

    Attributes:
        number: its place in the part, from 1.
        name: the last piece of its path.
        size: octets it is said to have.
        chunks: gives its octets, once; raises Refused(BATCH_MEMBER_DAMAGED, BATCH_PART_TOO_MUCH) where they are not
            what the headers say.
    """

    number: int
    name: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


def open_part(stream: BinaryIO) -> Iterator[Member]:
    """Yield the files of a zip or tar; each is to be read before the next is asked for.

    Args:
        stream: seekable, at its start; stays in use.

    Raises:
        Refused: BATCH_PART_FORMAT, neither; BATCH_PART_ENCRYPTED, BATCH_PART_LINK, BATCH_PART_PATH, BATCH_PART_TWICE,
            BATCH_PART_TOO_MUCH, BATCH_PART_DAMAGED.
    """
    start = stream.read(_BLOCK)
    stream.seek(0)
    if start.startswith(_ZIP):
        return _zip(stream)
    if start[257:265] in _USTAR:
        # Looked through whole before the first file is taken: a tar that ends badly gives none.
        count = sum(1 for _ in _tar(stream))
        stream.seek(0)
        return _tar(stream) if count else iter(())
    raise Refused("BATCH_PART_FORMAT")


def _zip(stream: BinaryIO) -> Iterator[Member]:
    try:
        container = ForeignZip.open(stream)
    except SignatureRefused as error:
        raise Refused("BATCH_PART_TOO_MUCH", str(error), limit=MAX_MEMBERS) from error
    except ContainerRefused as error:
        read_again = directory_within(stream, _MAX_DIRECTORY)
        raise Refused(_why_refused(stream) if read_again else "BATCH_PART_DAMAGED", str(error)) from error
    number = 0
    for name in container.names:
        if name.endswith("/"):
            continue
        number += 1
        yield Member(number, name.rpartition("/")[2], container.size(name), _of_zip(container, name))


def _of_zip(container: ForeignZip, name: str) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        try:
            yield from container.stream(name)
        except ContainerRefused as error:
            raise Refused("BATCH_MEMBER_DAMAGED", str(error)) from error
        except SignatureRefused as error:
            raise Refused("BATCH_PART_TOO_MUCH", str(error), limit=MAX_MEMBERS) from error

    return chunks


def _why_refused(stream: BinaryIO) -> str:
    """Return the code of what is wrong with a zip that was refused already: nothing rests on this second reading."""
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            found = archive.infolist()
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        NotImplementedError,
        OverflowError,
    ):
        return "BATCH_PART_DAMAGED"
    names = [each.orig_filename for each in found]
    if any(each.flag_bits & 0x2041 for each in found):
        return "BATCH_PART_ENCRYPTED"
    if any(stat.S_ISLNK(each.external_attr >> 16) for each in found):
        return "BATCH_PART_LINK"
    if any(_is_odd(name) for name in names):
        return "BATCH_PART_PATH"
    if len({name.casefold() for name in names}) != len(names):
        return "BATCH_PART_TWICE"
    return "BATCH_PART_DAMAGED"


def _tar(stream: BinaryIO) -> Iterator[Member]:
    """Yield the files of a tar. It ends as POSIX says, with two blocks of zeros and nothing behind but zeros."""
    seen: set[str] = set()
    number = count = 0
    try:
        bounded = BoundedHeaders(stream, MAX_MEMBERS)
        archive = tarfile.TarFile.open(
            fileobj=cast("BinaryIO", bounded), mode="r:", encoding="utf-8", errors="strict"
        )
        while (member := archive.next()) is not None:
            # What was read stays in a list else, for as long as the archive is open.
            archive.members.clear()  # type: ignore[attr-defined]  # left out of the stubs
            bounded.check_global(archive.pax_headers)
            count += 1
            if count > MAX_MEMBERS:
                raise Refused("BATCH_PART_TOO_MUCH", limit=MAX_MEMBERS)
            if member.isdir():
                continue
            number += 1
            _check_tar(member, seen)
            stop = member.offset_data + member.size
            yield Member(
                number,
                member.name.rpartition("/")[2],
                member.size,
                partial(_of_tar, stream, member.offset_data, stop),
            )
        _check_end(stream, archive.offset)
    except (
        tarfile.TarError,
        OSError,
        LookupError,
        ArithmeticError,
        ValueError,
        EOFError,
        RecursionError,
    ) as error:
        raise Refused("BATCH_PART_DAMAGED", str(error)) from error


def _check_tar(member: tarfile.TarInfo, seen: set[str]) -> None:
    if member.issym() or member.islnk():
        raise Refused("BATCH_PART_LINK")
    if not member.isreg() or member.issparse() or member.size < 0:
        raise Refused("BATCH_PART_DAMAGED", "neither a file nor a folder")
    if _is_odd(member.name):
        raise Refused("BATCH_PART_PATH")
    folded = member.name.casefold()
    if folded in seen:
        raise Refused("BATCH_PART_TWICE")
    seen.add(folded)


def _of_tar(stream: BinaryIO, at: int, stop: int) -> Iterator[bytes]:
    while at < stop:
        stream.seek(at)
        chunk = stream.read(min(_CHUNK, stop - at))
        if not chunk:
            raise Refused("BATCH_MEMBER_DAMAGED", "cut short")
        at += len(chunk)
        yield chunk


def _check_end(stream: BinaryIO, at: int) -> None:
    """Raise Refused(BATCH_PART_DAMAGED) unless zeros, two blocks at least, are all that follows."""
    stream.seek(at)
    zeros = 0
    while chunk := stream.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise Refused("BATCH_PART_DAMAGED", "octets that belong to no member")
        zeros += len(chunk)
    if zeros < 2 * _BLOCK:
        raise Refused("BATCH_PART_DAMAGED", "the end is missing")


def _is_odd(name: str) -> bool:
    """Tell whether a path is none that stays within its archive."""
    pieces = name.split("/")
    return (
        len(name) > _MAX_NAME
        or _CONTROL.search(name) is not None
        or ".." in pieces
        or "" in pieces[:-1]
        or pieces[-1] in {"", "."}
    )
