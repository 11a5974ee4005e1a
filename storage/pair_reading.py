"""Reading plain octets from two copies: only who decrypts knows that a copy is damaged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from storage.base import ObjectStore
from storage.errors import ObjectDamaged, StorageError
from storage.pair import PairObjectStore

_log = logging.getLogger("probans.storage")


def falling_over(
    store: ObjectStore,
    address: str,
    plain: Iterator[bytes],
    again: Callable[[ObjectStore, int], Iterator[bytes]],
) -> Iterator[bytes]:
    """Yield plain octets; where a segment does not open, go on with each copy, from the octet that was to come.

    Args:
        store: where they come from; only of a pair there are copies.
        address: of the stored octets.
        plain: the octets, of whichever site gave them.
        again: opens one copy, after so many plain octets.

    Raises:
        ObjectDamaged: no copy opens.
        StorageError: as reading raises.
    """
    if not isinstance(store, PairObjectStore):
        return plain
    return _from_copies(store, address, plain, again)


def _from_copies(
    pair: PairObjectStore,
    address: str,
    plain: Iterator[bytes],
    again: Callable[[ObjectStore, int], Iterator[bytes]],
) -> Iterator[bytes]:
    done = 0
    failure: ObjectDamaged
    try:
        for piece in plain:
            done += len(piece)
            yield piece
    except ObjectDamaged as error:
        failure = error
    else:
        return
    _log.error("a copy of an object is damaged: scrub the stores", extra={"object": address})
    pair.forget(address)
    for copy in pair.copies():
        try:
            for piece in again(copy, done):
                done += len(piece)
                yield piece
        except StorageError:
            continue
        else:
            return
    raise failure
