"""Finds out whether the same request is running already, in any thread, process or host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vault.db.backend import KeyLocks

# struct flock of Linux on 64 bits: type, whence, start, length, pid.
_FLOCK = "hhqqi0q"


class TwinGuard:
    """Locks by key: one byte of one file each, held by an open file description, or the database's where it has some.

    Such locks exclude threads as well as processes, and the kernel (the database) drops them when a process dies,
    so that nothing is left to clean up after a crash.
    """

    def __init__(self, folder: Path, shared: KeyLocks | None = None) -> None:
        """Make a guard.

        Args:
            folder: on this host, the same for all processes.
            shared: locks that other hosts see too, instead of files.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "twins.lock"
        self._shared = shared

    @contextmanager
    def hold(self, key: bytes) -> Iterator[bool]:
        """Try to hold a key while the block runs; give False at once when a twin holds it.

        Args:
            key: any octets; only a digest of them decides which byte is locked.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE where the database has the locks.
        """
        if self._shared is not None:
            with self._shared.hold(b"twin " + key) as mine:
                yield mine
            return
        offset = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 2
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
            except (BlockingIOError, PermissionError):
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def holds(self, key: bytes) -> bool:
        """Tell, within `hold`, whether the key was lost meanwhile, as far as this process knows.

        A process that was paused, or cut off from the database, finds out some seconds after it wakes.
        """
        return self._shared is None or self._shared.holds(b"twin " + key)
