"""Step 6 of the flow: encrypt parts of documents into the object store, and read them back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from storage.base import ObjectStore, Staged
from storage.encryption import decrypt, decrypt_range, encrypt
from storage.errors import StorageError
from storage.pair_reading import falling_over
from vault.core import faults, tracing
from vault.core.keyring import DocumentKey, Keyring
from vault.db.repositories import digest_role
from vault.domain.documents import ObjectRole, Part
from vault.errors import Unavailable

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Plain:
    """A part before encryption.

    Attributes:
        role: what it is for the document.
        size: plain octets.
        sha256: plain digest, 32 octets.
        chunks: the octets, read once.
    """

    role: ObjectRole
    size: int
    sha256: bytes
    chunks: Iterable[bytes]


@dataclass(slots=True)
class Delivery:
    """Parts of one document on their way into the store.

    Attributes:
        plains: the parts.
        staged: what the store has of them, in the same order.
        parts: the same once they are durable.
        error: why they are not.
    """

    plains: list[Plain] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    error: Unavailable | None = None

    def taken(self) -> list[Part]:
        """Return the parts that are durable. Raises Unavailable(STORAGE_UNAVAILABLE)."""
        if self.error is not None:
            raise self.error
        return self.parts


def plain_bytes(role: ObjectRole, data: bytes) -> Plain:
    """Describe a small part held in memory."""
    return Plain(role, len(data), hashlib.sha256(data).digest(), (data,))


def file_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a seekable file from its start, a mebibyte at a time."""
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        yield chunk


class Shelf:
    """Stores and reads the encrypted parts of documents."""

    def __init__(self, store: ObjectStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    def store(self, key: DocumentKey, parts: Iterable[Plain], retain_until: datetime | None) -> list[Part]:
        """Encrypt parts and make them durable and immutable.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE; some parts may exist, which is harmless.
        """
        delivery = self.stage(key, parts, retain_until)
        try:
            self.keep((delivery,))
        finally:
            self.drop(delivery)
        return delivery.taken()

    def stage(self, key: DocumentKey, parts: Iterable[Plain], retain_until: datetime | None) -> Delivery:
        """Encrypt parts into the store, where they are nothing yet; to be kept, then dropped.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE; nothing is left.
        """
        delivery = Delivery()
        try:
            for part in parts:
                encrypted = encrypt(part.chunks, key.key, key.associated_data(part.role.value))
                with tracing.span("store put"):
                    delivery.staged.append(self._store.put(encrypted, retain_until))
                delivery.plains.append(part)
        except StorageError as error:
            self.drop(delivery)
            raise _unavailable(error) from error
        except BaseException:
            self.drop(delivery)
            raise
        return delivery

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Make what was staged durable and immutable, together; each delivery is told whether it is.

        What cannot be kept together is tried one by one, so that nobody suffers for another's part.
        """
        faults.point("store.before-commit")
        staged = [item for delivery in deliveries for item in delivery.staged]
        try:
            with tracing.span("store commit") as span:
                span.note(objects=len(staged))
                stored = iter(self._store.commit(staged))
        except StorageError as error:
            if len(deliveries) > 1:
                for delivery in deliveries:
                    self.keep((delivery,))
                return
            # Whatever the store says of octets nobody was promised: they may be sent again.
            deliveries[0].error = _unavailable(error)
            return
        faults.point("store.after-commit")
        for delivery in deliveries:
            delivery.parts = [
                Part(plain.role, done.address, done.size, plain.size, plain.sha256.hex())
                for plain, done in zip(delivery.plains, stored, strict=False)
            ]

    def drop(self, delivery: Delivery) -> None:
        """Let what was staged go; what is kept stays."""
        self._store.discard(delivery.staged)

    def read(
        self, key: DocumentKey, part: Part, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Yield plain octets of a part, of a copy that opens. Raises ObjectMissing, ObjectDamaged."""

        def again(copy: ObjectStore, done: int) -> Iterator[bytes]:
            return _plain(copy, key, part, offset + done, None if length is None else length - done)

        return falling_over(self._store, part.address, _plain(self._store, key, part, offset, length), again)

    def read_all(self, key: DocumentKey, part: Part) -> bytes:
        """Return a small part whole."""
        return b"".join(self.read(key, part))

    def rows(self, key: DocumentKey, parts: Iterable[Part]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the rows that name stored parts, and those by which originals are found by content."""
        rows: list[tuple[str, Mapping[str, Any]]] = []
        for part in parts:
            sha256 = bytes.fromhex(part.sha256)
            rows.append(
                (
                    "objects",
                    {
                        "document_id": key.document_id,
                        "role": part.role.value,
                        "address": part.address,
                        "stored_size": part.stored_size,
                        "size": part.size,
                        "sha256": key.seal(digest_role(part.role), sha256),
                    },
                )
            )
            if part.role is ObjectRole.ORIGINAL:
                digest = self._keyring.index("digest", sha256)
                rows.append(("digests", {"digest_ix": digest, "document_id": key.document_id}))
        return rows


def _unavailable(error: StorageError) -> Unavailable:
    found = Unavailable("STORAGE_UNAVAILABLE", str(error))
    found.__cause__ = error
    return found


def _plain(
    store: ObjectStore, key: DocumentKey, part: Part, offset: int, length: int | None
) -> Iterator[bytes]:
    associated = key.associated_data(part.role.value)
    if offset == 0 and length is None:
        return decrypt(store.read(part.address), key.key, associated)
    return decrypt_range(
        lambda start, count: store.read(part.address, start, count),
        part.stored_size,
        key.key,
        associated,
        offset,
        length,
    )
