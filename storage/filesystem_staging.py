"""Staged bytes of the filesystem object store: an open file that has no final name yet."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress

from plumbing.disk import remove_quietly, write_all
from storage.errors import StorageUnavailable
from storage.filesystem_disk import Disk

READ_ONLY = 0o440
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})


class StagedFile:
    """An open staging file: unnamed (O_TMPFILE) where the file system can, else with a temporary name.

    Its methods may be called from several threads; a lock keeps a descriptor from being closed, and its
    number reused, while another thread syncs or links it.

    Attributes:
        synced: True once contents, mode and retention are on the disk.
    """

    def __init__(self, disk: Disk, unnamed: bool) -> None:
        """Open the file. Raises OSError."""
        self._disk = disk
        self._lock = threading.RLock()
        self._name: str | None = None
        self._fd = -1
        self._lost = False
        self.synced = False
        if unnamed:
            self._fd = os.open(disk.staging, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        else:
            self._fd, self._name = disk.temporary()

    def __del__(self) -> None:
        """Close a file that was neither committed nor discarded."""
        self.close()

    @property
    def closed(self) -> bool:
        """True once the file was committed or dropped."""
        return self._fd < 0

    def write(self, data: bytes) -> None:
        """Append bytes. Raises OSError."""
        write_all(self._fd, data)

    def finish(self, retention: int) -> None:
        """Give the file its final mode and retention (nanoseconds since 1970), after its last byte.

        Raises:
            OSError: the file system refuses.
            StorageUnavailable: it cannot hold such a date.
        """
        os.fchmod(self._fd, READ_ONLY)
        set_retention(self._fd, retention)

    def sync(self) -> None:
        """Flush the file once. Raises StorageUnavailable, and again ever after a flush has failed."""
        with self._lock:
            if self.synced or self._fd < 0:
                return
            if self._lost:
                raise StorageUnavailable("these staged bytes were lost by the disk: put them again")
            try:
                self._disk.sync(self._fd)
            except BaseException:
                self._lost = True
                raise
            self.synced = True

    def link(self, target: str) -> bool:
        """Give the file its final name, never replacing one.

        Args:
            target: absolute path, on the same file system.

        Returns:
            False when the name is taken, or when this file is closed already.

        Raises:
            OSError: the file system refuses.
        """
        with self._lock:
            if self._fd < 0:
                return False
            if not self.synced:
                raise StorageUnavailable("these staged bytes were never flushed: put them again")
            with suppress(FileExistsError):
                link_open_file(self._fd, self._name, target)
                return True
            return False

    def close(self) -> None:
        """Drop the staging file; a final name given by `link` stays."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._name is not None:
                remove_quietly([self._name])
                self._name = None


def link_open_file(fd: int, name: str | None, target: str) -> None:
    """Link an open file to a new name: by its temporary name, or by descriptor when it has none.

    Raises:
        FileExistsError: the target exists.
        OSError: the file system refuses.
    """
    if name is not None:
        os.link(name, target)
        return
    # os.link follows the symbolic link in /proc only when it is given a directory descriptor, which an
    # absolute source path then ignores (linkat with AT_SYMLINK_FOLLOW)
    os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)


def set_retention(fd: int, retention: int) -> None:
    """Write a retention date as the file's modification time.

    Raises:
        OSError: the file system refuses.
        StorageUnavailable: the file system keeps an earlier date than asked.
    """
    os.utime(fd, ns=(retention, retention))
    if os.fstat(fd).st_mtime_ns < retention:
        raise StorageUnavailable("this file system cannot hold so late a retention date")


def can_stage_unnamed(disk: Disk) -> bool:
    """Try whether unnamed files can be made and named here (needs O_TMPFILE and /proc)."""
    try:
        fd = os.open(disk.staging, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_UNNAMED_FILES:
            return False
        raise
    try:
        return stat.S_ISREG(os.stat(f"/proc/self/fd/{fd}").st_mode)  # noqa: PTH116 - not a real path
    except OSError:
        return False
    finally:
        os.close(fd)
