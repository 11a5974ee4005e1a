"""Encrypted octets that wait for their commit: in memory while they are few, else in a file without name."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from storage.base import Staged
from storage.errors import StorageUnavailable

_IN_MEMORY = 1 << 18


class StagedOctets:
    """The octets of one object; whoever commits them holds the lock."""

    __slots__ = ("file", "lock")

    def __init__(self, spool: Path | None) -> None:
        """Begin empty; a crash leaves nothing in the folder."""
        self.file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY, dir=str(spool) if spool else None)  # noqa: SIM115
        self.lock = threading.Lock()


def stage(chunks: Iterable[bytes], until: datetime | None, spool: Path | None) -> Staged:
    """Keep octets while hashing them; nothing stays when `chunks` raises.

    Raises:
        StorageUnavailable: they cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    staged = StagedOctets(spool)
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            try:
                staged.file.write(chunk)
            except OSError as error:
                raise StorageUnavailable("staging an object failed") from error
    except BaseException:
        staged.file.close()
        raise
    return Staged(digest.hexdigest(), size, until, staged)


def staged_octets(item: Staged) -> StagedOctets:
    """Return what a staged object holds. Raises TypeError when another store staged it."""
    if not isinstance(item.handle, StagedOctets):
        raise TypeError("this was staged by another store")
    return item.handle
