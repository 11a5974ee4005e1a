"""The headers of a tar, looked at before the standard library parses them.

`tarfile` searches the records of an extended header with expressions that take the square of its length, follows
one extended header to the next by recursion, and keeps every piece of a sparse file: some kilobytes would occupy a
process for minutes. So what goes to it is bounded here, and no stricter than what makers of tars write.
"""

from __future__ import annotations

import re
import tarfile
from typing import BinaryIO

from vault.errors import Refused

_BLOCK = 512
_TYPE = slice(156, 157)  # of a header's octets
_PAX = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE})
_EXTENDED = _PAX | {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_MAX_PAYLOAD = 64 << 10  # octets: a path, times, and what else a file system kept of the file
_MAX_CHAIN = 8  # extended headers before one member: a maker writes one of each type at most
_MAX_GLOBAL = 16  # records, of which each member gets a copy
_MAX_DIGITS = 256  # side by side: file names have 255 octets at most
_RECORD = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,1024})=")
_DIGITS = re.compile(rb"[0-9]+")


class BoundedHeaders:
    """A tar as `tarfile` is to see it: nothing but headers, each looked at before it is handed over."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        """Wrap a file.

        Args:
            stream: seekable.
            limit: what a refusal for too much says is the most that is taken.
        """
        self._stream = stream
        self._limit = limit
        self._awaited: bytes | None = None
        self._chain = 0
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        """Read a header, or what follows an extended one.

        Raises:
            Refused: BATCH_PART_TOO_MUCH, BATCH_PART_DAMAGED.
        """
        kind, self._awaited = self._awaited, None
        if not 0 <= size <= _MAX_PAYLOAD:
            raise self._too_much("a header beyond measure")
        octets = self._stream.read(size)
        if kind is not None:
            # tarfile reads what belongs to an extended header straight after the header.
            if kind in _PAX:
                self._check_records(octets.rstrip(b"\0"), is_global=kind == tarfile.XGLTYPE)
        elif size == _BLOCK:
            self._check_header(octets[_TYPE])
        return octets

    def check_global(self, records: object) -> None:
        """Raise Refused(BATCH_PART_TOO_MUCH) where all global headers together have more than a few records."""
        if isinstance(records, dict) and len(records) > _MAX_GLOBAL:
            raise self._too_much("global headers beyond measure")

    def _check_header(self, kind: bytes) -> None:
        if kind == tarfile.GNUTYPE_SPARSE:
            raise _neither()
        if kind not in _EXTENDED:
            self._chain = 0
            return
        self._chain += 1
        if self._chain > _MAX_CHAIN:
            raise Refused("BATCH_PART_DAMAGED", "a chain of headers without a member")
        self._awaited = kind

    def _check_records(self, octets: bytes, *, is_global: bool) -> None:
        """Check that records, each of the length it says, are all there is."""
        if any(len(run) >= _MAX_DIGITS for run in _DIGITS.findall(octets)):
            raise self._too_much("a number beyond measure in a header")
        at = count = 0
        while at < len(octets):
            found = _RECORD.match(octets, at)
            stop = at + int(found[1]) if found else 0
            if found is None or stop <= found.end() or octets[stop - 1 : stop] != b"\n":
                raise Refused("BATCH_PART_DAMAGED", "a header whose records do not have the lengths they say")
            if found[2].startswith(b"GNU.sparse."):
                raise _neither()
            at = stop
            count += 1
        if is_global and count > _MAX_GLOBAL:
            raise self._too_much("global headers beyond measure")

    def _too_much(self, message: str) -> Refused:
        return Refused("BATCH_PART_TOO_MUCH", message, limit=self._limit)


def _neither() -> Refused:
    return Refused("BATCH_PART_DAMAGED", "neither a file nor a folder")
