"""Key-encryption keys held in a file of their own, outside the object store."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import KeyRefused
from storage.filesystem_disk import make_durable_folder, remove_quietly, sync_path, unavailable, write_all

_FORMAT = "probans/key-encryption-keys/v1"
_VERSION = b"\x01"
_ID = 8
_KEY = 32
_NONCE = 12
_TAG = 16
_MOST_FILE_BYTES = 1 << 20


class LocalKeyWrapper:
    """`KeyWrapper` with keys in memory.

    Wrapped form: version (01) ‖ id of the key-encryption key (8) ‖ random nonce (12) ‖ AES-256-GCM of the key
    and tag, under the caller's associated data.

    Key file, mode 0600, JSON with the members `format` ("probans/key-encryption-keys/v1"), `active` (an id)
    and `keys` (id: key), ids (16) and keys (64) as lower-case hex digits. To change keys, add one and make it
    the active one; the old ones still unwrap.
    """

    def __init__(self, keys: Mapping[bytes, bytes], active: bytes) -> None:
        """Take the keys.

        Args:
            keys: key-encryption keys (32 octets) by id (8 octets).
            active: id of the key that wraps.

        Raises:
            KeyRefused: a wrong length, or no active key.
        """
        if active not in keys or any(len(name) != _ID or len(key) != _KEY for name, key in keys.items()):
            raise KeyRefused("key ids are 8 octets, keys are 32, and the active one is among them")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._active = active

    def __repr__(self) -> str:
        """Show ids, never keys."""
        return f"LocalKeyWrapper(active={self._active.hex()}, keys={len(self._ciphers)})"

    @property
    def active(self) -> bytes:
        """Id of the key that wraps."""
        return self._active

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key under the active key-encryption key."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self._active].encrypt(nonce, key, associated_data)
        return _VERSION + self._active + nonce + sealed

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key.

        Raises:
            KeyRefused: unknown version or key id, other associated data, or changed octets.
        """
        cipher = self._ciphers.get(wrapped[1 : 1 + _ID])
        if wrapped[:1] != _VERSION or len(wrapped) < 1 + _ID + _NONCE + _TAG or cipher is None:
            raise KeyRefused("this key was not wrapped with a key-encryption key at hand")
        body = wrapped[1 + _ID :]
        try:
            return cipher.decrypt(body[:_NONCE], body[_NONCE:], associated_data)
        except (InvalidTag, ValueError, OverflowError):
            raise KeyRefused("the wrapped key belongs to something else, or was changed") from None

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a key file with one new key, durably, never replacing one.

        Raises:
            KeyRefused: a file stands there already.
            StorageUnavailable: it cannot be written.
        """
        name, key = secrets.token_bytes(_ID), secrets.token_bytes(_KEY)
        content = {"active": name.hex(), "format": _FORMAT, "keys": {name.hex(): key.hex()}}
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        try:
            with unavailable("writing the key file", FileExistsError):
                make_durable_folder(path.parent)
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    write_all(fd, json.dumps(content, sort_keys=True).encode() + b"\n")
                    os.fsync(fd)
                finally:
                    os.close(fd)
                os.link(temporary, path)
                sync_path(str(path.parent))
        except FileExistsError:
            raise KeyRefused("a key file stands there already") from None
        finally:
            remove_quietly([str(temporary)])
        return cls({name: key}, name)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key file.

        Raises:
            KeyRefused: it is not a key file, or others than its owner may read or write it.
            StorageUnavailable: it cannot be read.
        """
        with unavailable("reading the key file"), path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
                raise KeyRefused("the key file must be readable by its owner alone (chmod 600)")
            content = file.read(_MOST_FILE_BYTES)
        try:
            members = json.loads(content)
            known = set(members) == {"active", "format", "keys"} and members["format"] == _FORMAT
            keys = {bytes.fromhex(name): bytes.fromhex(key) for name, key in members["keys"].items()}
            active = bytes.fromhex(members["active"])
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise KeyRefused("this is not a key file") from None
        if not known:
            raise KeyRefused("this key file has another format")
        return cls(keys, active)
