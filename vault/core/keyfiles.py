"""Small secret files: drawn at first use, mode 0600, whole or absent after a crash."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plumbing.disk import create_durably, sync_folder


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return a file's octets, writing it durably first when it is absent; processes agree on one content.

    Args:
        path: the file; its folder exists.
        make: draws the content.
    """
    if not path.exists():
        # Another process may be first: its content is the content.
        with suppress(FileExistsError):
            create_durably(path, make())
    sync_folder(path.parent)
    return path.read_bytes()
