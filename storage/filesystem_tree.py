"""The folders of committed objects: where an address lies, and the lock on a committed object."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from plumbing.disk import remove_quietly
from storage import retention
from storage.base import Staged, Stored
from storage.errors import ObjectDamaged, ObjectMissing
from storage.filesystem_disk import Disk, unavailable
from storage.filesystem_staging import StagedFile, set_retention
from storage.names import is_address, known_address


class ObjectTree:
    """`objects/ab/<address>` under a root.

    256 folders and no more: each folder that a group touches costs a flush, and file systems with indexed
    folders are at ease with a million names in each.
    """

    def __init__(self, disk: Disk) -> None:
        """Make the top folder durable. Raises StorageUnavailable."""
        self._disk = disk
        self._top = f"{disk.root}/objects"
        disk.settle(disk.prepare(self._top))

    def folder(self, address: str) -> str:
        """Return the folder an address lies in."""
        return f"{self._top}/{address[:2]}"

    def path(self, address: str) -> str:
        """Return the path of an address."""
        return f"{self.folder(address)}/{address}"

    def stat(self, address: str) -> Stored:
        """Return size and retention. Raises ObjectMissing, StorageUnavailable."""
        path = self.path(known_address(address))
        with unavailable("looking at an object"):
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                self._disk.demand_root()
                raise ObjectMissing("no object has this address") from None
        if not stat.S_ISREG(status.st_mode):
            raise ObjectMissing("no object has this address")
        return Stored(address, status.st_size, retention.from_nanoseconds(status.st_mtime_ns))

    @contextmanager
    def opened(self, address: str) -> Iterator[int]:
        """Open a committed object for reading. Raises ObjectMissing, StorageUnavailable."""
        path = self.path(known_address(address))
        with unavailable("opening an object"):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                self._disk.demand_root()
                raise ObjectMissing("no object has this address") from None
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def locked(self, address: str) -> Iterator[int]:
        """Open an object and hold its lock, which every change of retention and every deletion takes.

        Raises:
            ObjectMissing: there is none, or it was deleted while waiting for the lock.
            StorageUnavailable: it cannot be opened or locked.
        """
        with self.opened(address) as fd:
            with unavailable("locking an object"):
                fcntl.flock(fd, fcntl.LOCK_EX)
                there = self._names(fd, address)
            if not there:
                self._disk.demand_root()
                raise ObjectMissing("the object was deleted just now")
            yield fd

    def _names(self, fd: int, address: str) -> bool:
        """Tell whether the address still names this very file: it may be gone, or gone and stored again."""
        try:
            named = os.stat(self.path(address))  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))

    def keep(self, fd: int, address: str, until: datetime | None) -> Stored:
        """Write a retention that is not shorter to a locked object, and flush the object.

        The flush comes in any case: what is there may be the unfinished work of another process.

        Raises:
            StorageUnavailable: the retention cannot be written.
        """
        with unavailable("writing a retention date"):
            set_retention(fd, retention.to_nanoseconds(until))
            self._disk.sync(fd)
            status = os.fstat(fd)
        return Stored(address, status.st_size, retention.from_nanoseconds(status.st_mtime_ns))

    def adopt(self, item: Staged) -> Stored:
        """Take the object that already stands under a staged one's address; the later retention wins.

        Raises:
            ObjectMissing: it was deleted meanwhile.
            ObjectDamaged: it has another size.
            StorageUnavailable: its retention cannot be written.
        """
        with self.locked(item.address) as fd:
            with unavailable("looking at an object"):
                status = os.fstat(fd)
            if status.st_size != item.size:
                raise ObjectDamaged("the object that stands under this address has another size")
            present = retention.from_nanoseconds(status.st_mtime_ns)
            return self.keep(fd, item.address, retention.later(present, item.retain_until))

    def replace(self, file: StagedFile, address: str) -> None:
        """Put a flushed file in the place of a locked object, which keeps a name in `damaged/`.

        At every moment the address names one or the other.

        Raises:
            StorageUnavailable: the file system refuses.
        """
        aside, name = f"{self._disk.root}/damaged", secrets.token_hex(16)
        folders = self._disk.prepare(aside)
        temporary = f"{self._disk.staging}/{name}"
        try:
            with unavailable("keeping a damaged object"):
                os.link(self.path(address), f"{aside}/{address}-{name}")
            self._disk.settle(folders)
            with unavailable("replacing a damaged object"):
                file.link(temporary)
                os.replace(temporary, self.path(address))  # noqa: PTH105 - text paths
        finally:
            remove_quietly([temporary])
        self._disk.sync_folder(self.folder(address))

    def addresses(self) -> Iterator[str]:
        """Yield every address; files of another shape are passed over. Raises StorageUnavailable."""
        for first in self._listed(self._top):
            for name in self._listed(f"{self._top}/{first}"):
                if is_address(name) and name[:2] == first:
                    yield name

    def _listed(self, folder: str) -> list[str]:
        with unavailable("listing objects"):
            try:
                names = os.listdir(folder)  # noqa: PTH208 - text paths, a million of them
            except (FileNotFoundError, NotADirectoryError):
                names = []
        self._disk.demand_root()
        return names
