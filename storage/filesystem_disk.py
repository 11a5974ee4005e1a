"""What the three filesystem stores share: folders, temporary files, and fsync that is never trusted twice."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
import weakref
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from plumbing.disk import make_folder, remove_quietly, sync_folder, write_all
from storage.errors import StorageUnavailable


class unavailable:  # noqa: N801 - used as a statement; a class, since a generator takes three times as long
    """Turn any OSError of the block into StorageUnavailable, without naming files."""

    __slots__ = ("_doing", "_expected")

    def __init__(self, doing: str, *expected: type[OSError]) -> None:
        """Say what the block does.

        Args:
            doing: for the message.
            expected: kinds of error that the caller deals with; they pass.
        """
        self._doing = doing
        self._expected = expected

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise StorageUnavailable for no space, an input/output error, a refused permission and the like."""
        if isinstance(error, OSError) and not isinstance(error, self._expected):
            raise StorageUnavailable(f"{self._doing}: {error.strerror or type(error).__name__}") from error


class Disk:
    """One root folder on one file system, its staging folder and its folders made durable.

    A folder's name is durable only when the folder above it was fsynced after its creation. Another process
    may have created it and not come so far yet; so each process syncs the folders above a folder once,
    when it first uses it, and remembers that.

    After a failed fsync the kernel forgets which pages were lost, and the next fsync says success. So once
    one has failed with an input/output error, this object refuses every later sync until the service is
    started again, after someone has looked at the disk.
    """

    def __init__(self, root: Path, staging: str) -> None:
        """Make the root and staging folders durable.

        Args:
            root: folder of the store; its parents are created when missing.
            staging: name, under the root, of the folder for temporary files.

        Raises:
            StorageUnavailable: the folders cannot be made.
        """
        self.root = str(root.absolute())
        self.staging = f"{self.root}/{staging}"
        self._proven: set[str] = set()
        self._failed = False
        with unavailable("preparing the store's folders"):
            make_folder(root)
            # Held open, since some file systems (FUSE, layered ones) number a folder anew once nobody uses it.
            held = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, held)
            self._identity = _identity(held)
        self.settle(self.prepare(self.staging))

    def sync(self, fd: int) -> None:
        """Flush one open file or folder to the disk. Raises StorageUnavailable."""
        if self._failed:
            raise StorageUnavailable("the disk lost an earlier write: check it, then restart the service")
        try:
            os.fsync(fd)
        except OSError as error:
            self._failed = self._failed or error.errno == errno.EIO
            raise StorageUnavailable(f"flushing to the disk: {error.strerror}") from error

    def sync_folder(self, folder: str) -> None:
        """Flush the names of one folder to the disk. Raises StorageUnavailable."""
        with unavailable("flushing a folder"):
            sync_folder(folder, self.sync)

    def demand_root(self) -> None:
        """Refuse to go on where the root is not the folder that was opened.

        In the place of a volume that went away nothing is found: whatever is absent there may be back with the volume.
        So this is asked before something counts as absent or as removed, and before anything is written.

        Raises:
            StorageUnavailable: the root is gone, or another folder stands there.
        """
        with unavailable("looking at the store's folder"):
            if _identity(self.root) != self._identity:
                raise StorageUnavailable("another folder stands where the store was")

    def prepare(self, folder: str) -> list[str]:
        """Create a folder under the root when it is missing.

        The root itself is never made anew: where it went away, its volume was unmounted or moved, and what would be
        written in its place would be lost when it is back.

        Args:
            folder: absolute path, under the root.

        Returns:
            The folders to sync before a name put into `folder` is durable, itself first.

        Raises:
            StorageUnavailable: it cannot be created, or the root is not the folder that was opened.
        """
        needed = [folder]
        self.demand_root()
        if folder in self._proven:
            return needed
        with unavailable("creating a folder"):
            self._make(folder)
        while folder not in self._proven and folder != self.root:
            folder = folder.rpartition("/")[0]
            needed.append(folder)
        return needed

    def _make(self, folder: str) -> None:
        """Make a folder, and those between it and the root. Raises OSError."""
        try:
            Path(folder).mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            above = folder.rpartition("/")[0]
            if above == self.root:
                raise
            self._make(above)
            Path(folder).mkdir(mode=0o700, exist_ok=True)

    def confirm(self, folder: str) -> None:
        """Remember that all that `prepare` named for a folder has been synced."""
        while folder not in self._proven and folder != self.root:
            self._proven.add(folder)
            folder = folder.rpartition("/")[0]

    def settle(self, needed: list[str]) -> None:
        """Sync what `prepare` returned, one after another, and confirm. Raises StorageUnavailable."""
        for folder in needed:
            self.sync_folder(folder)
        self.confirm(needed[0])

    def temporary(self) -> tuple[int, str]:
        """Create a new file in the staging folder; return its descriptor and path. Raises OSError."""
        path = f"{self.staging}/{secrets.token_hex(16)}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path

    def write_temporary(self, data: bytes, mode: int) -> str:
        """Write bytes to a new staging file and sync it; return its path. Raises StorageUnavailable."""
        with unavailable("writing a file"):
            fd, path = self.temporary()
            try:
                write_all(fd, data)
                os.fchmod(fd, mode)
                self.sync(fd)
            except BaseException:
                remove_quietly([path])
                raise
            finally:
                os.close(fd)
        return path

    def sweep(self, older_than: timedelta) -> int:
        """Remove staging files left by crashes.

        Args:
            older_than: age (time since the last change of the inode) from which a file is removed; choose it
                longer than any upload lasts.

        Returns:
            How many were removed.

        Raises:
            StorageUnavailable: the folder cannot be read.
        """
        limit = time.time() - older_than.total_seconds()
        removed = 0
        with unavailable("sweeping the staging folder"), os.scandir(self.staging) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    # ctime, since the modification time may already hold a retention date
                    if stat.S_ISREG(status.st_mode) and status.st_ctime <= limit:
                        Path(entry.path).unlink()
                        removed += 1
        return removed


def _identity(folder: str | int) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116 - text paths, asked for every group
    return status.st_dev, status.st_ino
