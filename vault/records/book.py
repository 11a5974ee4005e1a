"""Recovery records: encrypted files, one per commit group, from which the database is rebuilt.

File: b"PBR1" ‖ u16 BE length ‖ wrapped file key ‖ (u32 BE length ‖ version ‖ nonce ‖ AES-256-GCM(record))*.
The file key is random; its wrapping is bound to the file's name, every record to name, position and number of
records: so neither is one moved, nor is a file cut short between two of them unnoticed. There is at least one.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from storage.base import KeyWrapper, RecordStore
from storage.encryption import object_associated_data, open_value, seal_value
from storage.errors import KeyRefused, ObjectDamaged, StorageError
from storage.wrapped import named_key
from vault.core import faults

_MAGIC = b"PBR1"


class RecordBook:
    """Writes, reads and rewrites recovery files."""

    def __init__(self, store: RecordStore, wrapper: KeyWrapper) -> None:
        self._store = store
        self._wrapper = wrapper

    def write(self, name: str, records: Sequence[bytes]) -> None:
        """Write or replace a file of records, at least one, durably. Raises storage.errors.StorageUnavailable."""
        self._store.write(name, self._sealed(name, records))

    def add(self, name: str, records: Sequence[bytes]) -> None:
        """Write records, at least one, under a name that nobody used before. Raises as `write`."""
        self._store.add(name, self._sealed(name, records))

    def _sealed(self, name: str, records: Sequence[bytes]) -> bytes:
        key = secrets.token_bytes(32)
        wrapped = self._wrapper.wrap(key, _file_data(name))
        pieces = [_MAGIC, struct.pack(">H", len(wrapped)), wrapped]
        for position, record in enumerate(records):
            sealed = seal_value(record, key, _record_data(name, position, len(records)))
            pieces += (struct.pack(">I", len(sealed)), sealed)
        return b"".join(pieces)

    def read(self, name: str) -> list[bytes]:
        """Return the plain records of a file. Raises ObjectMissing, ObjectDamaged, KeyRefused."""
        return self.opened(name)[1]

    def opened(self, name: str) -> tuple[bytes, list[bytes]]:
        """Return the id of the key-encryption key that a file names, and its plain records. Raises as `read`.

        Of several copies it is one that is sound.
        """
        try:
            return self._open(name, self._store.read(name))
        except (ObjectDamaged, KeyRefused):
            for copy in self._store.copies(name)[1:]:
                with suppress(ObjectDamaged, KeyRefused):
                    return self._open(name, copy)
            raise

    def every_copy(self, name: str) -> list[tuple[bytes, list[bytes]]]:
        """Return the same of each copy, none of a file that is not there. Raises as `read`, for any of them."""
        return [self._open(name, copy) for copy in self._store.copies(name)]

    def _open(self, name: str, data: bytes) -> tuple[bytes, list[bytes]]:
        try:
            if data[:4] != _MAGIC:
                raise ObjectDamaged(f"recovery file {name}: unknown format")
            (length,) = struct.unpack_from(">H", data, 4)
            wrapped = data[6 : 6 + length]
            key = self._wrapper.unwrap(wrapped, _file_data(name))
            offset = 6 + length
            sealed: list[bytes] = []
            while offset < len(data):
                (size,) = struct.unpack_from(">I", data, offset)
                sealed.append(data[offset + 4 : offset + 4 + size])
                offset += 4 + size
        except struct.error as error:
            raise ObjectDamaged(f"recovery file {name}: cut short") from error
        if offset != len(data) or not sealed:
            raise ObjectDamaged(f"recovery file {name}: cut short")
        return named_key(wrapped), [
            open_value(each, key, _record_data(name, position, len(sealed)))
            for position, each in enumerate(sealed)
        ]

    def rewrite(self, name: str, keep: Callable[[bytes], bool]) -> bool:
        """Replace a file by one holding only the records to keep, under a new key; delete it when none is.

        The caller keeps rewriters with another wish out.

        Returns:
            Whether the file changed.

        Raises:
            storage.errors.StorageError: it cannot be read whole, or not be written.
        """
        copies = self._store.copies(name)
        sound: list[list[bytes]] = []
        failure: StorageError | None = None
        for copy in copies:
            try:
                sound.append(self._open(name, copy)[1])
            except (ObjectDamaged, KeyRefused) as error:
                failure = error
        if failure is not None and not sound:
            raise failure
        # Every copy counts: one that kept what is to go would bring it back. A damaged one may hold it too.
        if failure is None and all(keep(record) for records in sound for record in records):
            return False
        kept = [record for record in sound[0] if keep(record)]
        faults.point("records.before-rewrite")
        if kept:
            self.write(name, kept)
        else:
            self._store.delete(name)
        return True

    def delete(self, name: str) -> None:
        """Delete a file durably; absent is success. Raises storage.errors.StorageUnavailable."""
        self._store.delete(name)

    def names(self) -> Iterator[str]:
        """Yield file names in the order in which their groups were committed by one process."""
        return iter(sorted(self._store.names()))


def _file_data(name: str) -> bytes:
    return object_associated_data(name, "recovery-file")


def _record_data(name: str, position: int, count: int) -> bytes:
    return object_associated_data(name, f"recovery-{position}-of-{count}")
