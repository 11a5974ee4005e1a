"""Octets on their way out of the store, with the safe's errors instead of the store's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from storage.errors import ObjectDamaged, ObjectMissing, StorageError
from vault.errors import Unavailable, VaultError


def guarded(begin: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """Turn the store's errors into the safe's: at once for a missing object, else between octets."""
    with plain_storage_errors():
        chunks = begin()
    return _relayed(chunks)


def _relayed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    with plain_storage_errors():
        yield from chunks


@contextmanager
def plain_storage_errors() -> Iterator[None]:
    """Turn the store's errors into the safe's. Raises VaultError (ORIGINAL_DAMAGED), Unavailable."""
    try:
        yield
    except (ObjectMissing, ObjectDamaged) as error:
        raise VaultError("ORIGINAL_DAMAGED", str(error)) from error
    except StorageError as error:
        raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error


def window(chunks: Iterator[bytes], offset: int, length: int | None) -> Iterator[bytes]:
    """Yield a range of a stream that cannot seek."""
    end = None if length is None else offset + length
    position = 0
    for chunk in chunks:
        start, stop = position, position + len(chunk)
        position = stop
        if stop <= offset:
            continue
        if end is not None and start >= end:
            return
        piece = chunk[max(0, offset - start) : None if end is None else end - start]
        if piece:
            yield piece
