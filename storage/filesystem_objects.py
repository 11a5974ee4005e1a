"""Write-once object store on a local file system.

Layout under the root: `objects/ab/<address>` (mode 0440), `staging/`. The modification time of an object
IS its retention date (1970-01-01 means none), as write-once file systems keep theirs in a time stamp of the
file: so the date lies in the store, needs no index, and a backup must preserve it (`cp -p`, `rsync -t`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from storage import retention
from storage.base import Durability, Oddity, Staged, Stored
from storage.errors import ObjectDamaged, RetentionActive, StorageError
from storage.filesystem_commit import Committer, staged_file
from storage.filesystem_disk import Disk, unavailable
from storage.filesystem_group import GroupCommit
from storage.filesystem_staging import StagedFile, can_stage_unnamed
from storage.filesystem_tree import ObjectTree

_READ_SIZE = 256 * 1024
_LARGE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FilesystemConfig:
    """Settings of the filesystem object store.

    Attributes:
        sync_threads: threads that flush the files of one group, 1 to 64.
        gather_seconds: longest wait for company before a group is flushed.
        max_group: most objects in a group.
    """

    sync_threads: int = 16
    gather_seconds: float = 0.002
    max_group: int = 64

    def __post_init__(self) -> None:
        """Refuse values out of range. Raises ValueError."""
        if not (1 <= self.sync_threads <= 64 and 0 <= self.gather_seconds <= 1 and self.max_group >= 1):
            raise ValueError("sync_threads 1 to 64, gather_seconds 0 to 1, max_group at least 1")


class FilesystemObjectStore:
    """`ObjectStore` on a local file system that honours fsync, for any number of threads and processes."""

    def __init__(
        self,
        root: Path,
        config: FilesystemConfig | None = None,
        now: Callable[[], datetime] = retention.system_now,
    ) -> None:
        """Open the store, making its folders durable.

        Args:
            root: folder of the store.
            config: settings; None for the defaults.
            now: source of the current time (UTC), asked before a deletion.

        Raises:
            StorageUnavailable: the folders cannot be made.
        """
        config = config or FilesystemConfig()
        self._now = now
        self._disk = Disk(root, "staging")
        self._tree = ObjectTree(self._disk)
        with unavailable("trying the staging folder"):
            self._unnamed = can_stage_unnamed(self._disk)
        self._committer = Committer(self._disk, self._tree, config.sync_threads)
        self._group: GroupCommit[Staged, Stored | StorageError] = GroupCommit(
            self._committer.commit, config.gather_seconds, config.max_group
        )

    def put(self, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Staged:
        """Stage bytes in an unnamed file while hashing them.

        Raises:
            StorageUnavailable: they cannot be written.
            ValueError: the retention has no time zone.
        """
        until = retention.checked(retain_until)
        digest = hashlib.sha256()
        size = 0
        with unavailable("opening a staging file"):
            handle = StagedFile(self._disk, self._unnamed)
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                with unavailable("writing an object"):
                    handle.write(chunk)
            with unavailable("writing an object"):
                handle.finish(retention.to_nanoseconds(until))
        except BaseException:
            handle.close()
            raise
        return Staged(digest.hexdigest(), size, until, handle)

    def commit(self, staged: Sequence[Staged]) -> list[Stored]:
        """Make staged objects durable and immutable, together with those of other threads.

        Raises:
            StorageUnavailable: some could not be flushed or named; commit again, or put again.
            ObjectDamaged: other bytes (by their size) stand under one of the addresses.
        """
        if not staged:
            return []
        for item in staged:
            if item.size > _LARGE:  # a long flush must not hold up the whole group
                staged_file(item).sync()
        stored = []
        for result in self._group.submit(staged):
            if isinstance(result, StorageError):
                raise result
            stored.append(result)
        return stored

    def discard(self, staged: Sequence[Staged]) -> None:
        """Close staged files, which lets the file system forget them."""
        for item in staged:
            staged_file(item).close()

    def read(self, address: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield stored bytes; a range is cut at the end of the object.

        Raises:
            ObjectMissing: at the call.
            StorageUnavailable: while reading.
            ValueError: offset or length is negative.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        self.stat(address)
        return self._chunks(address, offset, length)

    def _chunks(self, address: str, offset: int, length: int | None) -> Iterator[bytes]:
        with self._tree.opened(address) as fd:
            end = os.fstat(fd).st_size
            if length is not None:
                end = min(end, offset + length)
            while offset < end:
                with unavailable("reading an object"):
                    chunk = os.pread(fd, min(_READ_SIZE, end - offset), offset)
                if not chunk:
                    raise ObjectDamaged("the object became shorter while it was read")
                offset += len(chunk)
                yield chunk

    def stat(self, address: str) -> Stored:
        """Return size and retention. Raises ObjectMissing, StorageUnavailable."""
        return self._tree.stat(address)

    def extend(self, address: str, retain_until: datetime) -> Stored:
        """Lengthen the retention, durably.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: the new date is earlier than the present one.
            StorageUnavailable: the date cannot be written.
        """
        until = retention.checked(retain_until)
        with self._tree.locked(address) as fd:
            present = retention.from_nanoseconds(os.fstat(fd).st_mtime_ns)
            if retention.later(present, until) != until:
                raise RetentionActive("a retention can be lengthened, never shortened")
            return self._tree.keep(fd, address, until)

    def delete(self, address: str) -> None:
        """Delete an object whose retention is over, durably.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: its retention is not over.
            StorageUnavailable: the name cannot be removed.
        """
        with self._tree.locked(address) as fd:
            until = retention.from_nanoseconds(os.fstat(fd).st_mtime_ns)
            if until is not None and self._now() < until:
                raise RetentionActive("the object is under retention")
            with unavailable("deleting an object"):
                Path(self._tree.path(address)).unlink()
            self._disk.sync_folder(self._tree.folder(address))
        self._disk.demand_root()

    def addresses(self) -> Iterator[str]:
        """Yield every committed address; files of another shape are ignored. Raises StorageUnavailable."""
        return self._tree.addresses()

    def oddities(self) -> Iterator[Oddity]:
        """Nothing can lie over an object here."""
        return iter(())

    def repair(self, address: str, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Stored:
        """Put right octets in the place of damaged ones, which are kept aside in `damaged/`.

        Steps:
            1. Stage the new octets; they must be of the address.
            2. Look at the present ones: right ones stay, their retention lengthened.
            3. Make the new ones durable, under the longer retention, and put them in their place in one step.

        Raises:
            ObjectMissing: nothing is there.
            ObjectDamaged: the chunks are not of this address either.
            StorageUnavailable: they cannot be written.
        """
        # 1
        until = retention.later(self.stat(address).retain_until, retention.checked(retain_until))
        staged = self.put(chunks, until)
        file = staged_file(staged)
        try:
            if staged.address != address:
                raise ObjectDamaged("these are not the octets of this address")
            with self._tree.locked(address) as fd:
                # 2
                until = retention.later(until, retention.from_nanoseconds(os.fstat(fd).st_mtime_ns))
                if _digest(fd) == address:
                    return self._tree.keep(fd, address, until)
                # 3
                with unavailable("repairing an object"):
                    file.finish(retention.to_nanoseconds(until))
                file.sync()
                self._tree.replace(file, address)
                return Stored(address, staged.size, until)
        finally:
            file.close()

    def durability(self) -> Durability:
        """Say what a local file system gives."""
        return Durability(
            survives_power_loss=True,
            immutable_for_operator=False,
            note="Objects are flushed to the local disk before they are acknowledged, read-only and under a "
            "retention date; an administrator of this machine can still remove them.",
        )

    def sweep_staging(self, older_than: timedelta) -> int:
        """Remove temporary files that crashes left; return how many. Raises StorageUnavailable."""
        return self._disk.sweep(older_than)

    def close(self) -> None:
        """End the flushing threads; a later commit raises StorageUnavailable."""
        self._committer.close()


def _digest(fd: int) -> str:
    digest, offset = hashlib.sha256(), 0
    with unavailable("reading an object"):
        while chunk := os.pread(fd, _READ_SIZE, offset):
            digest.update(chunk)
            offset += len(chunk)
    return digest.hexdigest()
