"""Encrypted octets that wait for two stores: in memory while they are few, else in a file without name.

Two stores read them at once, one of them perhaps still when the other is done, so each reader has a descriptor of its
own and a place of its own in the file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from storage.base import Staged
from storage.errors import StorageUnavailable

_IN_MEMORY = 1 << 18
_READ = 1 << 20


class PairOctets:
    """The octets of one object.

    Attributes:
        state: `waiting`, `kept` once a commit has succeeded, `dropped` once it was discarded.
    """

    __slots__ = ("_data", "_file", "_lock", "state")

    def __init__(self) -> None:
        """Begin empty."""
        self.state = "waiting"
        self._data: bytes | None = b""
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def fill(self, chunks: Iterable[bytes], spool: Path | None) -> tuple[str, int]:
        """Take octets; return their address and size. Raises StorageUnavailable."""
        digest, size, held = hashlib.sha256(), 0, bytearray()
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            try:
                if self._file is None and size > _IN_MEMORY:
                    self._file = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115
                    self._file.write(held)
                    held = bytearray()
                if self._file is None:
                    held += chunk
                else:
                    self._file.write(chunk)
            except OSError as error:
                raise StorageUnavailable("staging an object failed") from error
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise StorageUnavailable("staging an object failed") from error
        self._data = bytes(held)
        return digest.hexdigest(), size

    def chunks(self) -> Iterator[bytes]:
        """Yield the octets from the beginning. Raises StorageUnavailable at the call when they were let go."""
        with self._lock:
            if self._data is None:
                raise StorageUnavailable("these staged octets are gone: put them again")
            if self._file is None:
                return iter((self._data,) if self._data else ())
            return _of_file(os.dup(self._file.fileno()))

    def close(self, state: str) -> None:
        """Let the octets go; whoever reads them already can go on."""
        with self._lock:
            if self.state == "waiting":
                self.state = state
            self._data = None
            if self._file is not None:
                self._file.close()
                self._file = None


def _of_file(fd: int) -> Iterator[bytes]:
    # Opened as a file at once: one that is never read from is closed with it.
    file = os.fdopen(fd, "rb", buffering=0)

    def read() -> Iterator[bytes]:
        offset = 0
        with file:
            try:
                while chunk := os.pread(file.fileno(), _READ, offset):
                    offset += len(chunk)
                    yield chunk
            except OSError as error:
                raise StorageUnavailable("staged octets cannot be read") from error

    return read()


def stage(chunks: Iterable[bytes], until: datetime | None, spool: Path | None) -> Staged:
    """Keep octets while hashing them; nothing stays when `chunks` raises. Raises StorageUnavailable."""
    octets = PairOctets()
    try:
        address, size = octets.fill(chunks, spool)
    except BaseException:
        octets.close("dropped")
        raise
    return Staged(address, size, until, octets)


def octets_of(item: Staged) -> PairOctets:
    """Return what a staged object holds. Raises TypeError when another store staged it."""
    if not isinstance(item.handle, PairOctets):
        raise TypeError("this was staged by another store")
    return item.handle
