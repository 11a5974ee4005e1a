"""Locks on files, which the kernel frees when their holder dies; each opening of a file is a holder of its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_file(path: Path | str) -> int:
    """Open a file to be locked, making it where it is missing; return its descriptor. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def in_turn(descriptor: int) -> Iterator[None]:
    """Wait for the lock of an open file, hold it alone, and close the file. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def if_free(descriptor: int, how: int = fcntl.LOCK_EX) -> Iterator[bool]:
    """Take the lock of an open file unless another holds it, tell whether it is held, and close the file.

    Args:
        descriptor: of the open file.
        how: `fcntl.LOCK_EX`, alone, or `fcntl.LOCK_SH`, together with others.

    Raises:
        OSError: it cannot be locked.
    """
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
