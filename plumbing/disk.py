"""Small files and folders that outlast power loss: whole or absent, names flushed as well as octets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, whatever the kernel takes at once. Raises OSError."""
    written = os.write(fd, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(fd, view[written:])


def sync_folder(folder: Path | str, sync: Callable[[int], None] | None = None) -> None:
    """Make the names in a folder survive power loss.

    Args:
        folder: path of the folder.
        sync: flushes a descriptor; None for os.fsync.

    Raises:
        OSError: it cannot be opened or flushed.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (sync or os.fsync)(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where missing, mode 0700, their names durable. Raises OSError."""
    folder = folder.absolute()
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_folder(each.parent)
    if not missing:
        # another process may have made it a moment ago; one that an administrator made may stand in a folder
        # that cannot be opened, and is durable already
        with suppress(PermissionError):
            sync_folder(folder.parent)


def remove_quietly(paths: Iterable[Path | str]) -> None:
    """Remove temporary names; one that is gone or stays behind harms nobody."""
    for path in paths:
        with suppress(OSError):
            Path(path).unlink()


def create_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Make a small file where nothing stands, whole and durably.

    Args:
        path: of the file; its folder exists.
        content: its octets.
        mode: of the file, whatever the umask.

    Raises:
        FileExistsError: something stands there; it stays as it is.
        OSError: it cannot be written.
    """
    temporary = _beside(path)
    try:
        _write_new(temporary, content, mode, None)
        os.link(temporary, path)
        sync_folder(path.parent)
    finally:
        remove_quietly([temporary])


def replace_durably(
    path: Path,
    content: bytes,
    mode: int = 0o600,
    former: os.stat_result | None = None,
    *,
    alone: bool = False,
) -> None:
    """Put a small file in its place, whole and durably: power loss leaves the old one or the new one.

    Args:
        path: of the file; its folder exists.
        content: its octets.
        mode: of the file, whatever the umask: a service under another name than the operator's reads it too.
        former: of the file whose owner it gets; None for one's own.
        alone: the caller keeps other writers of it out: what a writer that was killed left beside it is removed.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new") if alone else _beside(path)
    if alone:
        temporary.unlink(missing_ok=True)
    try:
        _write_new(temporary, content, mode, former)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        remove_quietly([temporary])


@contextmanager
def in_memory(data: bytes, name: str) -> Iterator[int]:
    """Give the descriptor of a file that lies in memory alone, for another process. Raises OSError.

    Args:
        data: its octets.
        name: by which it shows among the open files of a process.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        write_all(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _write_new(path: Path, content: bytes, mode: int, former: os.stat_result | None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        if former is not None:
            _keep_owner(fd, former)
        os.fchmod(fd, mode)
        write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)


def _keep_owner(fd: int, former: os.stat_result) -> None:
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (former.st_uid, former.st_gid):
        os.fchown(fd, former.st_uid, former.st_gid)
