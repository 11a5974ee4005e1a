"""Secrets that open keys held elsewhere: PINs, client secrets, bearer tokens. Read when needed, never shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from signing.errors import KeyUnusable

_MOST_OCTETS = 16_384


class Secret:
    """Where a secret is had from, each time it is needed.

    Attributes:
        read: returns it. Raises KeyUnusable.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        """Take what reads it."""
        self.read = read

    def __repr__(self) -> str:
        """Show nothing."""
        return "Secret(…)"

    @classmethod
    def in_file(cls, path: Path) -> Secret:
        """Read it from the first line of a file that is closed to other users; a changed file is seen at once."""
        return cls(lambda: _first_line(path))

    @classmethod
    def of(cls, text: str) -> Secret:
        """Take it as it is, from the environment for instance."""
        return cls(lambda: text)


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o007:
                raise KeyUnusable(f"{path.name} holds a secret and must be closed to other users (chmod o=)")
            text = file.read(_MOST_OCTETS).decode("utf-8").split("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        raise KeyUnusable(f"{path.name}, which holds a secret, cannot be read") from None
    if not text:
        raise KeyUnusable(f"{path.name}, which holds a secret, is empty")
    return text
