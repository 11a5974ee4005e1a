"""Copies what lies in a safe's stores to other stores: objects, published files of the ledger, recovery records.

Nothing is kept of how far a copy is: what the target holds says so. Copying again what is there already does nothing,
so a copy that was cut short is simply begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice

from storage.base import LogStore, ObjectStore, RecordStore
from storage.errors import LogConflict, ObjectMissing
from vault.core import faults
from vault.errors import Conflict
from vault.ledger.anchors import ANCHOR_TYPE, CRLS_TYPE, TOKEN_TYPE
from vault.ledger.finished import is_finished
from vault.ledger.tiles import TILE_TYPE

_THREADS = 8
_BATCH = 256
Passed = Callable[[int], None]


def copy_objects(source: ObjectStore, target: ObjectStore, now: datetime, passed: Passed) -> int:
    """Copy every object with its retention, its octets compared with their address on the way.

    Args:
        source: of the safe that is moved.
        target: of the new place.
        now: locks that are over need not be kept.
        passed: called with the number of objects that are there more.

    Returns:
        How many were not there yet.

    Raises:
        Conflict: MOVE_SOURCE_DAMAGED: an object has other octets than its address says.
        StorageError: one of the stores fails.
    """

    def copy(address: str) -> bool:
        return _copy_object(source, target, address, now)

    return _each(source.addresses(), copy, passed)


def _copy_object(source: ObjectStore, target: ObjectStore, address: str, now: datetime) -> bool:
    have = source.stat(address)
    until = have.retain_until if have.retain_until is not None and have.retain_until > now else None
    try:
        standing = target.stat(address)
    except ObjectMissing:
        standing = None
    if standing is not None and standing.size == have.size:
        if until is not None and (standing.retain_until is None or standing.retain_until < until):
            target.extend(address, until)
        return False
    staged = target.put(source.read(address), have.retain_until)
    if staged.address != address:
        target.discard([staged])
        raise Conflict("MOVE_SOURCE_DAMAGED", f"object {address} has other octets: {staged.address}")
    target.commit([staged])
    faults.point("move.object")
    return True


def copy_log(source: LogStore, target: LogStore, passed: Passed) -> int:
    """Make the published files of every generation the same, octet by octet; return how many were not.

    Raises:
        Conflict: MOVE_TARGET_TAKEN: the target holds a finished file that the source has not, or with other octets.
        StorageError: one of the stores fails.
    """
    paths = list(source.list())
    changed = _each(paths, lambda path: put_log_file(source, target, path), passed)
    for path in sorted(set(target.list()).difference(paths)):
        if is_finished(path):
            raise Conflict("MOVE_TARGET_TAKEN", f"its published ledger holds {path}, ours does not")
        target.remove(path)
        changed += 1
    return changed


def put_log_file(source: LogStore, target: LogStore, path: str) -> bool:
    """Copy one published file; tell whether the target had it otherwise. Raises as `copy_log`."""
    data = source.get(path)
    try:
        standing = target.get(path)
    except ObjectMissing:
        standing = None
    if standing == data:
        return False
    try:
        if is_finished(path):
            target.put_if_absent(path, data, media_type_of(path))
        else:
            target.compare_and_swap(path, standing, data, media_type_of(path))
    except LogConflict as error:
        raise Conflict("MOVE_TARGET_TAKEN", f"its published ledger has another {path}") from error
    return True


def media_type_of(path: str) -> str:
    """Return the media type with which a published file is written."""
    if "tile/" in path:
        return TILE_TYPE
    types = {"tst": TOKEN_TYPE, "crls": CRLS_TYPE}
    return types.get(path.rpartition(".")[2], ANCHOR_TYPE)


def copy_records(source: RecordStore, target: RecordStore, passed: Passed) -> int:
    """Make the recovery records the same, octet by octet; return how many were not.

    What only the target holds goes: it may be what a destruction removed since an earlier try.
    """
    names = list(source.names())
    changed = _each(names, lambda name: _put_record(source, target, name), passed)
    for name in set(target.names()).difference(names):
        target.delete(name)
        changed += 1
    return changed


def _put_record(source: RecordStore, target: RecordStore, name: str) -> bool:
    data = source.read(name)
    try:
        if target.read(name) == data:
            return False
    except ObjectMissing:
        pass
    target.write(name, data)
    faults.point("move.record")
    return True


def _each(items: Iterable[str], work: Callable[[str], bool], passed: Passed) -> int:
    """Do it for each, several at a time; return for how many it was true. Ends with the first failure."""
    done, waiting = 0, iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="probans-move") as pool:
        for batch in _batches(waiting):
            try:
                for changed in pool.map(work, batch):
                    done += changed
                    passed(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return done


def _batches(items: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(items, _BATCH)):
        yield batch
