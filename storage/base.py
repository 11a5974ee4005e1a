"""Ports of the storage package: their docstrings are the contract every backend is tested against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes handed to a store: their address is known, but they are neither durable nor readable yet.

    Attributes:
        address: lower-case hex SHA-256 of the stored bytes.
        size: number of stored bytes.
        retain_until: UTC instant before which deletion is refused; None for no retention.
        handle: backend-private name of the staged bytes.
    """

    address: str
    size: int
    retain_until: datetime | None
    handle: object


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that survives power loss under its address.

    Attributes:
        address: lower-case hex SHA-256 of the stored bytes.
        size: number of stored bytes.
        retain_until: UTC instant before which deletion is refused; None for no retention.
    """

    address: str
    size: int
    retain_until: datetime | None


@dataclass(frozen=True, slots=True)
class Durability:
    """What a backend really gives, in words an operator can act on.

    Attributes:
        survives_power_loss: True only when acknowledged bytes are synced by the backend itself.
        immutable_for_operator: True when not even the store's administrator can delete before retention ends.
        note: one sentence for `/readyz` and the documentation.
    """

    survives_power_loss: bool
    immutable_for_operator: bool
    note: str


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something in a store that the safe did not put there; what was committed is still to be had.

    Attributes:
        code: `OBJECT_HIDDEN`, `OBJECT_OVERWRITTEN`, `VERSION_MISSING` or `NAME_FOREIGN`.
        name: address or name that it is about.
        found: what was found, in words.
    """

    code: str
    name: str
    found: str


class ObjectStore(Protocol):
    """A write-once store, content-addressed by the SHA-256 of the stored (encrypted) bytes.

    Contract:
        * `put` reads the chunks once, keeps no whole file in memory, and returns a `Staged`.
        * `commit` returns only when bytes, name and retention of every object survive power loss and cannot
          be changed. If it raises, all or some may exist and repeating is harmless. Many threads may call it
          at once; it gathers callers for at most 2 ms or 64 objects.
        * Only a `Stored` may be named in a database transaction.
        * Committing bytes that already exist under their address is success; the later retention wins.
        * Retention is kept in the store itself; it can be lengthened, never shortened. Where a backend's dates have
          seconds only they are rounded up; one that is over already may be left out.
        * `read` yields exactly the asked range of stored bytes, streaming.
    """

    def put(self, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Staged:
        """Stage bytes. Raises StorageUnavailable; leaves nothing behind when `chunks` raises."""
        ...

    def commit(self, staged: Sequence[Staged]) -> list[Stored]:
        """Make staged objects durable and immutable. Raises StorageUnavailable."""
        ...

    def discard(self, staged: Sequence[Staged]) -> None:
        """Drop staged bytes that will not be committed; never raises for those already gone."""
        ...

    def read(self, address: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield stored bytes from `offset`, `length` of them (all when None). Raises ObjectMissing."""
        ...

    def stat(self, address: str) -> Stored:
        """Return size and retention. Raises ObjectMissing."""
        ...

    def extend(self, address: str, retain_until: datetime) -> Stored:
        """Lengthen the retention, durably. Raises ObjectMissing, RetentionActive (when shortened)."""
        ...

    def delete(self, address: str) -> None:
        """Delete an object whose retention is over. Raises ObjectMissing, RetentionActive."""
        ...

    def addresses(self) -> Iterator[str]:
        """Yield the address of every committed object, in no order."""
        ...

    def oddities(self) -> Iterator[Oddity]:
        """Yield what others did to the store that reading does not show. Raises StorageUnavailable."""
        ...

    def repair(self, address: str, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Stored:
        """Put right octets in the place of those that no longer match their address; right ones stay as they are.

        Args:
            address: of an object that is there.
            chunks: the octets of that address.
            retain_until: of the new octets at least; the present retention is never shortened.

        Raises:
            ObjectMissing: nothing is there: it is for `commit`.
            ObjectDamaged: the chunks are not of this address either; nothing changed.
            StorageUnavailable: it cannot be written.
        """
        ...

    def durability(self) -> Durability:
        """Say what this backend really gives."""
        ...


class LogStore(Protocol):
    """Named small files of the public ledger (tiles, entry bundles, checkpoint). Durable on return."""

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        """Write once; the same bytes again are success. Raises LogConflict when other bytes stand there."""
        ...

    def get(self, path: str) -> bytes:
        """Return the bytes at `path`. Raises ObjectMissing."""
        ...

    def compare_and_swap(self, path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        """Replace `old` (None: absent) by `new`, atomically. Raises LogConflict."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths under a prefix, sorted."""
        ...

    def remove(self, path: str) -> None:
        """Remove a replaceable file (a partial tile that a full one has superseded); absent is success."""
        ...

    def renew(self) -> int:
        """Lengthen the locks of finished files, where there are some, that are half over; return how many."""
        ...


class RecordStore(Protocol):
    """Replaceable, versionless files that hold encrypted recovery records. Durable on return."""

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a file; old bytes are unlinked, not kept, wherever there is a copy."""
        ...

    def add(self, name: str, data: bytes) -> None:
        """Write under a name that nobody used before: nothing is replaced, so a copy elsewhere may follow later."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises ObjectMissing."""
        ...

    def copies(self, name: str) -> Sequence[bytes]:
        """Return every copy there is, the one that counts first; none where it is absent.

        Raises StorageUnavailable when a place where one may lie cannot be asked.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete durably; absent is success."""
        ...

    def names(self) -> Iterator[str]:
        """Yield every name, sorted."""
        ...


class KeyWrapper(Protocol):
    """Wraps document keys under a key-encryption key held outside the object store."""

    @property
    def active(self) -> bytes:
        """Id of the key-encryption key that wraps, 8 octets; every wrapped form names its own after the version."""
        ...

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Return version ‖ key id ‖ nonce ‖ AES-256-GCM(key)."""
        ...

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key. Raises KeyRefused for another key, other associated data or changed bytes."""
        ...
