"""What a verifier is given beside a signature file: the documents it is about, or their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_CHUNK = 1 << 20


class Original(Protocol):
    """A document, or what is known of it."""

    @property
    def name(self) -> str:
        """How to call it in a report; not its file name, which may be anybody's."""
        ...

    def digest(self, algorithm: str) -> bytes | None:
        """Hash it with an algorithm named as in hashlib; None when that digest cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class FileOriginal:
    """A document in a file; each digest is computed once.

    Attributes:
        name: how to call it.
        path: where it is.
    """

    name: str
    path: Path
    _known: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    def digest(self, algorithm: str) -> bytes | None:
        """Hash the file; None for an algorithm that hashlib does not have. Raises OSError."""
        if algorithm not in self._known:
            try:
                state = hashlib.new(algorithm, usedforsecurity=False)
            except ValueError:
                return None
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    state.update(chunk)
            self._known[algorithm] = state.digest()
        return self._known[algorithm]


@dataclass(frozen=True, slots=True)
class DigestOriginal:
    """A document of which only digests are known.

    Attributes:
        name: how to call it.
        known: digests by hashlib name.
    """

    name: str
    known: Mapping[str, bytes]

    def digest(self, algorithm: str) -> bytes | None:
        """Return the digest if it is known."""
        return self.known.get(algorithm)


def originals_of(files: Sequence[Path], digests: Sequence[tuple[str, bytes]]) -> tuple[Original, ...]:
    """Number what a caller gives.

    Args:
        files: documents.
        digests: (hashlib name, value) of further documents.
    """
    given: list[Original] = [FileOriginal(f"file {number}", path) for number, path in enumerate(files, 1)]
    given += [
        DigestOriginal(f"digest {number}", {algorithm: value})
        for number, (algorithm, value) in enumerate(digests, 1)
    ]
    return tuple(given)
