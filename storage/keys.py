"""Key-encryption keys held in a file of their own, outside the object store."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import KeyRefused, StorageError
from storage.key_files import KEY, KeyFile, create_file, read_file
from storage.wrapped import ID, named_key

_VERSION = b"\x01"
_NONCE = 12
_TAG = 16
_State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Held:
    """What a key file held at one time; replaced whole, so that threads need no lock to read it."""

    active: bytes
    ciphers: Mapping[bytes, AESGCM] = field(repr=False)
    state: _State | None


class LocalKeyWrapper:
    """`KeyWrapper` with keys in memory, which follows its file.

    Wrapped form: version (01) ‖ id of the key-encryption key (8) ‖ random nonce (12) ‖ AES-256-GCM of the key
    and tag, under the caller's associated data.

    The file is described in `storage.key_files`. It is read again whenever it was replaced, before anything is
    wrapped, and when something names a key that is not at hand: so running processes take part in a change of
    keys without being told. A file that cannot be read then changes nothing. Safe for threads.
    """

    def __init__(self, keys: Mapping[bytes, bytes], active: bytes, path: Path | None = None) -> None:
        """Take the keys.

        Args:
            keys: key-encryption keys (32 octets) by id (8 octets).
            active: id of the key that wraps.
            path: the file to follow; None for none.

        Raises:
            KeyRefused: a wrong length, or no active key.
        """
        self._path = path
        self._reading = threading.Lock()
        # Not what the file is now: it may have been replaced since these keys were read.
        self._held = _hold(keys, active, None)

    def __repr__(self) -> str:
        """Show ids, never keys."""
        return f"LocalKeyWrapper(active={self._held.active.hex()}, keys={len(self._held.ciphers)})"

    @property
    def active(self) -> bytes:
        """Id of the key that wraps."""
        self.follow()
        return self._held.active

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key under the active key-encryption key."""
        self.follow()
        held = self._held
        nonce = secrets.token_bytes(_NONCE)
        sealed = held.ciphers[held.active].encrypt(nonce, key, associated_data)
        return _VERSION + held.active + nonce + sealed

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key.

        Raises:
            KeyRefused: unknown version or key id, other associated data, or changed octets.
        """
        name = named_key(wrapped)
        if wrapped[:1] != _VERSION or len(wrapped) < 1 + ID + _NONCE + _TAG:
            raise KeyRefused("this is no wrapped key")
        if name not in self._held.ciphers:
            self.follow()
        cipher = self._held.ciphers.get(name)
        if cipher is None:
            raise KeyRefused("this key was not wrapped with a key-encryption key at hand")
        body = wrapped[1 + ID :]
        try:
            return cipher.decrypt(body[:_NONCE], body[_NONCE:], associated_data)
        except (InvalidTag, ValueError, OverflowError):
            raise KeyRefused("the wrapped key belongs to something else, or was changed") from None

    def follow(self) -> None:
        """Read the file again if it was replaced since."""
        path = self._path
        if path is None or _state(path) in (None, self._held.state):
            return
        with self._reading:
            # Before the content: what replaces the file in between is read at the next call.
            state = _state(path)
            try:
                read = read_file(path)
                self._held = _hold(read.keys, read.active, state)
            except StorageError:
                # Half copied, or closed to us for a moment: what is at hand goes on.
                return

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a key file with one new key, durably, never replacing one.

        Raises:
            KeyRefused: a file stands there already.
            StorageUnavailable: it cannot be written.
        """
        name, key = secrets.token_bytes(ID), secrets.token_bytes(KEY)
        create_file(path, KeyFile({name: key}, name))
        return cls({name: key}, name, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key file.

        Raises:
            KeyRefused: it is not a key file, or others than its owner may read or write it.
            StorageUnavailable: it cannot be read.
        """
        read = read_file(path)
        return cls(read.keys, read.active, path)


def _hold(keys: Mapping[bytes, bytes], active: bytes, state: _State | None) -> _Held:
    if active not in keys or any(len(name) != ID or len(key) != KEY for name, key in keys.items()):
        raise KeyRefused("key ids are 8 octets, keys are 32, and the active one is among them")
    return _Held(active, {name: AESGCM(key) for name, key in keys.items()}, state)


def _state(path: Path) -> _State | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - on the way of every wrapped key
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
