"""Zip containers of other makers: read only where every reader must see the same members.

Readers disagree about zips: some walk the local headers, some the central directory, some search. So a container
is taken only when both say the same and the file is tiled by them, with no octet to spare.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from signing.errors import ContainerRefused
from signing.foreign_zip_headers import (
    DEFLATED,
    Entry,
    check_names,
    exactly,
    find_end,
    read_directory,
    tile,
    too_much,
)

MAX_MEMBERS = 20_000
MAX_SIZE = 1 << 30  # octets of one member
MAX_TOTAL = 4 << 30  # octets of all members
MAX_RATIO = 100  # of a member beyond _FREE octets

_FREE = 1 << 20
_CHUNK = 1 << 20
_MAX_DIRECTORY = 32 << 20


class ForeignZip:
    """A container of another maker that has one meaning."""

    def __init__(self, file: BinaryIO, entries: Sequence[Entry], data: Sequence[int], comment: str) -> None:
        """Use `open`."""
        self._file = file
        self._entries = {entry.name: (entry, start) for entry, start in zip(entries, data, strict=True)}
        self.comment = comment

    @classmethod
    def open(cls, file: BinaryIO) -> ForeignZip:
        """Check a container's headers.

        1. One end record (zip64 allowed) closes the file; its comment is none, or `mimetype=` and a type.
        2. The central directory lies just before it, its entries fill it, each stored or deflated, not
        encrypted, no link, with no extra field that renames. 3. Names are ASCII or marked UTF-8, relative,
        without control or direction characters, and distinct for readers that fold case or normal form; none
        is the folder of another. 4. Local headers, contents and data descriptors tile what lies before the
        directory, in any order, and say what the directory says.

        Args:
            file: seekable; stays in use, and open, as long as the container.

        Raises:
            ContainerRefused: FORMAT_FAILURE: anything else is found.
            SignatureRefused: VERIFIER_OUTPUT_LIMIT, indeterminate: more than is read here.
        """
        try:
            return cls._open(file)
        except (OSError, ValueError, struct.error) as error:
            raise ContainerRefused("the container cannot be read at the places its headers say") from error

    @classmethod
    def _open(cls, file: BinaryIO) -> ForeignZip:
        # 1
        end = find_end(file)
        # 2
        if end.stop - end.start > _MAX_DIRECTORY or end.count > MAX_MEMBERS:
            raise too_much("the container has too many members")
        entries = read_directory(exactly(file, end.start, end.stop - end.start), end.count)
        # 3
        check_names(entries)
        # 4
        if sum(entry.size for entry in entries) > MAX_TOTAL:
            raise too_much("the container holds too much")
        places = tile(file, entries, end.start)
        return cls(file, entries, [places[entry.name] for entry in entries], end.comment)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members in the order of the directory; those of folders end in `/`."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Octets of a member. Raises ContainerRefused when there is none of that name."""
        return self._entry(name)[0].size

    def read(self, name: str, limit: int) -> bytes:
        """Read a member whole.

        Raises:
            ContainerRefused: no such member, or as `stream`.
            SignatureRefused: VERIFIER_OUTPUT_LIMIT, indeterminate: over `limit` octets, or as `stream`.
        """
        if self.size(name) > limit:
            raise too_much("a member is over the size limit of its kind")
        return b"".join(self.stream(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """Read a member in chunks of at most 1 MiB.

        1. The compressed data is one stream that ends where the directory says. 2. It gives the size and CRC
        stated; both are known after the last chunk only.

        Raises:
            ContainerRefused: no such member; while iterating, another content than the headers say.
            SignatureRefused: VERIFIER_OUTPUT_LIMIT, indeterminate: a member that inflates beyond measure.
        """
        entry, start = self._entry(name)
        beyond = entry.size > _FREE and entry.size > MAX_RATIO * max(1, entry.packed)
        if entry.size > MAX_SIZE or beyond:
            raise too_much("a member inflates to more than is read here")
        size = crc = 0
        pieces = self._packed(entry, start)
        for chunk in _inflated(pieces, entry.size) if entry.method == DEFLATED else pieces:
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if size != entry.size or crc != entry.crc32:
            raise ContainerRefused("a member's content is not the one its header states")

    def _packed(self, entry: Entry, start: int) -> Iterator[bytes]:
        stop = start + entry.packed
        while start < stop:
            chunk = exactly(self._file, start, min(_CHUNK, stop - start))
            start += len(chunk)
            yield chunk

    def _entry(self, name: str) -> tuple[Entry, int]:
        try:
            return self._entries[name]
        except KeyError:
            raise ContainerRefused("there is no such member") from None


def _inflated(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Inflate one raw stream; never gives more than `size` octets and one."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    given = 0
    try:
        for piece in pieces:
            waiting = piece
            while waiting and not inflater.eof:
                chunk = inflater.decompress(waiting, min(_CHUNK, size - given + 1))
                waiting = inflater.unconsumed_tail
                given += len(chunk)
                if given > size:
                    raise ContainerRefused("a member is longer than its header states")
                if chunk:
                    yield chunk
            if inflater.eof and (inflater.unused_data or waiting):
                raise ContainerRefused("octets follow the compressed data of a member")
        if not inflater.eof:
            last = inflater.decompress(b"", size - given + 1)
            if last:
                yield last
        if not inflater.eof:
            raise ContainerRefused("the compressed data of a member is cut short")
    except zlib.error as error:
        raise ContainerRefused("the compressed data of a member cannot be read") from error
