"""Record store on a local file system: `ab/<name>`, where ab begins the SHA-256 of the name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from plumbing.disk import remove_quietly
from storage.errors import ObjectMissing
from storage.filesystem_disk import Disk, unavailable
from storage.names import is_record_name, writable_record_name

_MODE = 0o600


class FilesystemRecordStore:
    """`RecordStore` on a local file system, for any number of threads and processes."""

    def __init__(self, root: Path) -> None:
        """Open the store, making its folders durable. Raises StorageUnavailable."""
        self._disk = Disk(root, ".staging")

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a record, durably; a reader sees the old bytes or the new.

        Raises:
            NameRefused: no record may bear this name.
            StorageUnavailable: it cannot be written.
        """
        target = self._path(writable_record_name(name))
        temporary = self._disk.write_temporary(data, _MODE)
        try:
            needed = self._disk.prepare(target.rpartition("/")[0])
            with unavailable("naming a record"):
                Path(temporary).replace(target)
        except BaseException:
            remove_quietly([temporary])
            raise
        self._disk.settle(needed)

    def add(self, name: str, data: bytes) -> None:
        """Write under a new name. Raises NameRefused, StorageUnavailable."""
        self.write(name, data)

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises ObjectMissing, StorageUnavailable."""
        if is_record_name(name):
            with unavailable("reading a record"), suppress(FileNotFoundError):
                return Path(self._path(name)).read_bytes()
            self._disk.demand_root()
        raise ObjectMissing("no record has this name")

    def copies(self, name: str) -> Sequence[bytes]:
        """Return the bytes, if there are any. Raises StorageUnavailable."""
        try:
            return [self.read(name)]
        except ObjectMissing:
            return []

    def delete(self, name: str) -> None:
        """Delete durably; absent is success. Raises StorageUnavailable."""
        if not is_record_name(name):
            return
        target = self._path(name)
        folder = target.rpartition("/")[0]
        with unavailable("deleting a record"):
            with suppress(FileNotFoundError):
                Path(target).unlink()
            # even when it is absent: an earlier deletion may have been cut off before its flush
            if Path(folder).is_dir():
                self._disk.sync_folder(folder)
        self._disk.demand_root()

    def names(self) -> Iterator[str]:
        """Yield every name, sorted. Raises StorageUnavailable."""
        found: list[str] = []
        with unavailable("listing records"), os.scandir(self._disk.root) as shards:
            for shard in shards:
                if len(shard.name) == 2 and shard.is_dir(follow_symlinks=False):
                    found += os.listdir(shard.path)  # noqa: PTH208 - text paths, a million of them
        self._disk.demand_root()
        yield from sorted(name for name in found if is_record_name(name))

    def sweep_staging(self, older_than: timedelta) -> int:
        """Remove temporary files that crashes left; return how many. Raises StorageUnavailable."""
        return self._disk.sweep(older_than)

    def _path(self, name: str) -> str:
        return f"{self._disk.root}/{hashlib.sha256(name.encode('ascii')).hexdigest()[:2]}/{name}"
