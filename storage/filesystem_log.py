"""Log store on a local file system: the root itself has the layout of the public ledger.

So the folder can be served by any web server and read by any tool for tiled logs; what is not the ledger's
(`.staging/`, `.lock`) is hidden.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from plumbing.disk import remove_quietly
from plumbing.locks import lock_file
from storage.errors import LogConflict, ObjectMissing, StorageUnavailable
from storage.filesystem_disk import Disk, unavailable
from storage.names import is_log_path, writable_log_path

_MODE = 0o440
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FilesystemLogStore:
    """`LogStore` on a local file system, for any number of threads and processes.

    Media types are not kept: whoever serves the files derives them from the path.
    """

    def __init__(self, root: Path) -> None:
        """Open the store, making its folders durable. Raises StorageUnavailable."""
        self._disk = Disk(root, ".staging")
        self._lock = f"{self._disk.root}/.lock"

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        """Write once; the same bytes again are success.

        Raises:
            LogConflict: other bytes stand there.
            NameRefused: no file may be written at this path.
            StorageUnavailable: it cannot be written.
        """
        target = self._path(writable_log_path(path))
        temporary = self._disk.write_temporary(data, _MODE)
        try:
            self._place(temporary, target, replace=False)
        except FileExistsError:
            # what stands there may be the unflushed work of another process, so it is flushed here too
            with self._locked():
                if self._current(target, flush=True) != data:
                    raise LogConflict("other bytes already stand at this path") from None
                self._disk.settle(self._disk.prepare(target.rpartition("/")[0]))
        finally:
            remove_quietly([temporary])

    def get(self, path: str) -> bytes:
        """Return the bytes at a path. Raises ObjectMissing, StorageUnavailable."""
        data = self._current(self._path(path)) if is_log_path(path) else None
        if data is None:
            raise ObjectMissing("the log has no such file")
        return data

    def compare_and_swap(self, path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        """Replace `old` (None: absent) by `new`, atomically, across processes.

        Raises:
            LogConflict: something other than `old` stands there.
            NameRefused: no file may be written at this path.
            StorageUnavailable: it cannot be written.
        """
        target = self._path(writable_log_path(path))
        temporary = self._disk.write_temporary(new, _MODE)
        try:
            with self._locked():
                if self._current(target) != old:
                    raise LogConflict("other bytes stand at this path than those to be replaced")
                self._place(temporary, target, replace=old is not None)
        except FileExistsError:
            raise LogConflict("something already stands at this path") from None
        finally:
            remove_quietly([temporary])

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths that start with a prefix, sorted by code point. Raises StorageUnavailable."""
        folder = prefix.rpartition("/")[0]
        if folder and not is_log_path(folder):
            return iter(())
        return self._walk(folder, prefix)

    def remove(self, path: str) -> None:
        """Remove a file, durably; absent is success. Raises StorageUnavailable."""
        if not is_log_path(path):
            return
        target = self._path(path)
        with self._locked(), unavailable("removing a log file"):
            with suppress(*_ABSENT):
                Path(target).unlink()
            folder = target.rpartition("/")[0]
            # even when it is absent: an earlier removal may have been cut off before its flush
            if Path(folder).is_dir():
                self._disk.sync_folder(folder)
            self._disk.demand_root()

    def renew(self) -> int:
        """Nothing is locked here."""
        return 0

    def sweep_staging(self, older_than: timedelta) -> int:
        """Remove temporary files that crashes left; return how many. Raises StorageUnavailable."""
        return self._disk.sweep(older_than)

    def _path(self, path: str) -> str:
        return f"{self._disk.root}/{path}"

    def _place(self, temporary: str, target: str, *, replace: bool) -> None:
        """Give a flushed file its name, durably. Raises FileExistsError, LogConflict, StorageUnavailable."""
        try:
            needed = self._disk.prepare(target.rpartition("/")[0])
        except StorageUnavailable as error:
            if isinstance(error.__cause__, FileExistsError | NotADirectoryError):
                raise LogConflict("a file stands where this path needs a folder") from None
            raise
        with unavailable("naming a log file", FileExistsError):
            if replace:
                Path(temporary).replace(target)
            else:
                os.link(temporary, target)
        self._disk.settle(needed)

    def _current(self, target: str, *, flush: bool = False) -> bytes | None:
        with unavailable("reading a log file"), suppress(*_ABSENT), Path(target).open("rb") as file:
            if flush:
                self._disk.sync(file.fileno())
            return file.read()
        self._disk.demand_root()
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with unavailable("locking the log"):
            fd = lock_file(self._lock)
        try:
            with unavailable("locking the log"):
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        with unavailable("listing the log"):
            try:
                with os.scandir(self._path(folder)) as entries:
                    # a folder sorts as its paths do: with the slash that follows its name
                    names = sorted(
                        entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                        for entry in entries
                        if not entry.name.startswith(".")
                    )
            except _ABSENT:
                names = []
        self._disk.demand_root()
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if name.endswith("/"):
                if path.startswith(prefix[: len(path)]):
                    yield from self._walk(path[:-1], prefix)
            elif path.startswith(prefix) and is_log_path(path):
                yield path
