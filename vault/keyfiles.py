"""Small secret files: drawn at first use, mode 0600, whole or absent after a crash; and folders that last."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return a file's octets, writing it durably first when it is absent; processes agree on one content.

    Args:
        path: the file; its folder exists.
        make: draws the content.
    """
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first: its content is the content
        finally:
            temporary.unlink()
    sync_folder(path.parent)
    return path.read_bytes()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where missing, mode 0700, their names durable. Raises OSError.

    For programs that auditors run without the object stores; those have a function of their own for it.
    """
    folder = folder.absolute()
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_folder(each.parent)
    if not missing:
        # Another process may have made it a moment ago; what an administrator made may stand where nobody may look.
        with suppress(PermissionError):
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
