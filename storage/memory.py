"""Stores in memory, for tests: the contract of the ports, except that nothing survives the process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from storage import retention
from storage.base import Durability, Oddity, Staged, Stored
from storage.errors import (
    LogConflict,
    ObjectDamaged,
    ObjectMissing,
    RetentionActive,
    StorageUnavailable,
)
from storage.names import is_log_path, is_record_name, known_address, writable_log_path, writable_record_name

_READ_SIZE = 256 * 1024


class _Held:
    """Staged bytes; None once committed or discarded."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data


class MemoryObjectStore:
    """`ObjectStore` in memory; not durable, and it keeps whole objects in memory."""

    def __init__(self, now: Callable[[], datetime] = retention.system_now) -> None:
        """Start empty; `now` gives the current time (UTC), asked before a deletion."""
        self._now = now
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, datetime | None]] = {}

    def put(self, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Staged:
        """Stage bytes. Raises ValueError when the retention has no time zone."""
        until = retention.checked(retain_until)
        data = b"".join(chunks)
        return Staged(hashlib.sha256(data).hexdigest(), len(data), until, _Held(data))

    def commit(self, staged: Sequence[Staged]) -> list[Stored]:
        """Make staged objects readable.

        Raises:
            ObjectDamaged: other bytes (by their size) stand under one of the addresses.
            StorageUnavailable: staged bytes were discarded.
        """
        stored = []
        with self._lock:
            for item in staged:
                held = _held(item)
                present = self._objects.get(item.address)
                if present is None:
                    if held.data is None:
                        raise StorageUnavailable("these staged bytes are gone: put them again")
                    present = (held.data, None)
                if len(present[0]) != item.size:
                    raise ObjectDamaged("the object that stands under this address has another size")
                until = retention.later(present[1], item.retain_until)
                self._objects[item.address] = (present[0], until)
                stored.append(Stored(item.address, item.size, until))
            for item in staged:
                _held(item).data = None
        return stored

    def discard(self, staged: Sequence[Staged]) -> None:
        """Drop staged bytes."""
        for item in staged:
            _held(item).data = None

    def read(self, address: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield stored bytes; a range is cut at the end of the object.

        Raises:
            ObjectMissing: at the call.
            ValueError: offset or length is negative.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        data = self._find(address)[0]
        end = len(data) if length is None else min(len(data), offset + length)
        return (data[start : min(end, start + _READ_SIZE)] for start in range(offset, end, _READ_SIZE))

    def stat(self, address: str) -> Stored:
        """Return size and retention. Raises ObjectMissing."""
        data, until = self._find(address)
        return Stored(address, len(data), until)

    def extend(self, address: str, retain_until: datetime) -> Stored:
        """Lengthen the retention. Raises ObjectMissing, RetentionActive (when shortened)."""
        until = retention.checked(retain_until)
        with self._lock:
            data, present = self._find(address)
            if retention.later(present, until) != until:
                raise RetentionActive("a retention can be lengthened, never shortened")
            self._objects[address] = (data, until)
        return Stored(address, len(data), until)

    def delete(self, address: str) -> None:
        """Delete an object whose retention is over. Raises ObjectMissing, RetentionActive."""
        with self._lock:
            until = self._find(address)[1]
            if until is not None and self._now() < until:
                raise RetentionActive("the object is under retention")
            del self._objects[address]

    def addresses(self) -> Iterator[str]:
        """Yield the address of every committed object."""
        with self._lock:
            return iter(list(self._objects))

    def oddities(self) -> Iterator[Oddity]:
        """Nothing can lie over an object here."""
        return iter(())

    def repair(self, address: str, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Stored:
        """Put right octets in the place of damaged ones. Raises ObjectMissing, ObjectDamaged."""
        data, until = b"".join(chunks), retention.checked(retain_until)
        if hashlib.sha256(data).hexdigest() != address:
            raise ObjectDamaged("these are not the octets of this address")
        with self._lock:
            until = retention.later(self._find(address)[1], until)
            self._objects[address] = (data, until)
        return Stored(address, len(data), until)

    def durability(self) -> Durability:
        """Say that nothing is durable here."""
        return Durability(
            survives_power_loss=False,
            immutable_for_operator=False,
            note="Objects are held in memory and end with the process: for tests only.",
        )

    def _find(self, address: str) -> tuple[bytes, datetime | None]:
        try:
            return self._objects[known_address(address)]
        except KeyError:
            raise ObjectMissing("no object has this address") from None


def _held(item: Staged) -> _Held:
    if not isinstance(item.handle, _Held):
        raise TypeError("this was staged by another store")
    return item.handle


class MemoryLogStore:
    """`LogStore` in memory; not durable."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        """Write once. Raises LogConflict when other bytes stand there, NameRefused."""
        with self._lock:
            self._check_place(writable_log_path(path))
            if self._files.setdefault(path, data) != data:
                raise LogConflict("other bytes already stand at this path")

    def get(self, path: str) -> bytes:
        """Return the bytes at a path. Raises ObjectMissing."""
        try:
            return self._files[path]
        except KeyError:
            raise ObjectMissing("the log has no such file") from None

    def compare_and_swap(self, path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        """Replace `old` (None: absent) by `new`, atomically. Raises LogConflict, NameRefused."""
        with self._lock:
            self._check_place(writable_log_path(path))
            if self._files.get(path) != old:
                raise LogConflict("other bytes stand at this path than those to be replaced")
            self._files[path] = new

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths that start with a prefix, sorted by code point."""
        with self._lock:
            return iter(sorted(path for path in self._files if path.startswith(prefix)))

    def remove(self, path: str) -> None:
        """Remove a file; absent is success."""
        with self._lock:
            if is_log_path(path):
                self._files.pop(path, None)

    def renew(self) -> int:
        """Nothing is locked here."""
        return 0

    def _check_place(self, path: str) -> None:
        """Refuse a file where another has, or needs, a folder, as every backend does."""
        if any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in self._files):
            raise LogConflict("a path cannot be both a file and a folder")


class MemoryRecordStore:
    """`RecordStore` in memory; not durable."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._records: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a record. Raises NameRefused."""
        with self._lock:
            self._records[writable_record_name(name)] = data

    def add(self, name: str, data: bytes) -> None:
        """Write under a new name. Raises NameRefused."""
        self.write(name, data)

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises ObjectMissing."""
        try:
            return self._records[name]
        except KeyError:
            raise ObjectMissing("no record has this name") from None

    def copies(self, name: str) -> Sequence[bytes]:
        """Return the bytes, if there are any."""
        return [self._records[name]] if name in self._records else []

    def delete(self, name: str) -> None:
        """Delete; absent is success."""
        with self._lock:
            if is_record_name(name):
                self._records.pop(name, None)

    def names(self) -> Iterator[str]:
        """Yield every name, sorted."""
        with self._lock:
            return iter(sorted(self._records))
