"""The file of key-encryption keys: read, made, and replaced whole when keys are changed.

Mode 0600, JSON with the members `format` ("probans/key-encryption-keys/v1"), `active` (an id), `keys` (id: key),
and where keys were changed `next` (id of one that is to become active) and `activated` (RFC 3339 time since which the
active one is): ids (16) and keys (64) as lower-case hex digits. To change keys, one is added, made the active one, and
later the old one is taken out.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from plumbing.disk import create_durably, make_folder, replace_durably
from storage.errors import KeyRefused
from storage.filesystem_disk import unavailable
from storage.wrapped import ID

KEY = 32
_FORMAT = "probans/key-encryption-keys/v1"
_MEMBERS = frozenset({"active", "format", "keys"})
_MOST_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file of key-encryption keys holds.

    Attributes:
        keys: keys (32 octets) by id (8 octets).
        active: id of the one that wraps.
        activated: RFC 3339 time since which it does; "" for the first.
        next: id of the one that is to become active; empty for none.
    """

    keys: Mapping[bytes, bytes] = field(repr=False)
    active: bytes
    activated: str = ""
    next: bytes = b""


def read_file(path: Path) -> KeyFile:
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
        known = set(members) - {"activated", "next"} == _MEMBERS and members["format"] == _FORMAT
        keys = {bytes.fromhex(name): bytes.fromhex(key) for name, key in members["keys"].items()}
        active = bytes.fromhex(members["active"])
        activated, following = members.get("activated", ""), bytes.fromhex(members.get("next", ""))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise KeyRefused("this is not a key file") from None
    if not known or not isinstance(activated, str) or (following and following not in keys):
        raise KeyRefused("this key file has another format")
    return KeyFile(keys, active, activated, following)


def create_file(path: Path, content: KeyFile) -> None:
    """Make a key file, durably, never replacing one.

    Raises:
        KeyRefused: a file stands there already.
        StorageUnavailable: it cannot be written.
    """
    try:
        with unavailable("writing the key file", FileExistsError):
            make_folder(path.parent)
            create_durably(path, _octets(content))
    except FileExistsError:
        raise KeyRefused("a key file stands there already") from None


def replace_file(path: Path, content: KeyFile) -> None:
    """Put a key file in the place of another, whole and durably. Raises StorageUnavailable.

    It stays its owner's: written by an operator for a service under another name, it would be closed to the service,
    and what is wrapped with the new key too.
    """
    with unavailable("writing the key file"):
        replace_durably(path, _octets(content), former=path.stat())


class Stated(Protocol):
    """What a file says of its keys, wherever these lie; see `KeyFile`."""

    @property
    def keys(self) -> Collection[bytes]:
        """Ids of the keys."""
        ...

    @property
    def active(self) -> bytes:
        """Id of the one that wraps."""
        ...

    @property
    def activated(self) -> str:
        """Since when it does."""
        ...

    @property
    def next(self) -> bytes:
        """Id of the one that is to become active."""
        ...


def turn_members(content: Stated) -> dict[str, str]:
    """Return the members of a file that say how far a change of keys is; none where there was none."""
    return {
        **({"activated": content.activated} if content.activated else {}),
        **({"next": content.next.hex()} if content.next else {}),
    }


class FileChanger(ABC):
    """Tells what a file says of its keys, read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @abstractmethod
    def _read(self) -> Stated:
        """Read the file. Raises KeyRefused, StorageUnavailable."""

    def active(self) -> bytes:
        """Return the id of the key that wraps. Raises KeyRefused, StorageUnavailable."""
        return self._read().active

    def next(self) -> bytes:
        """Return the id of the key that is to become active, empty for none. Raises as `active`."""
        return self._read().next

    def ids(self) -> frozenset[bytes]:
        """Return the ids of all keys. Raises as `active`."""
        return frozenset(self._read().keys)

    def activated(self) -> str:
        """Return the RFC 3339 time since which the active key is; "" for the first. Raises as `active`."""
        return self._read().activated


class KeyFileChanger(FileChanger):
    """Changes the keys in a file; the caller keeps other changers out."""

    def _read(self) -> KeyFile:
        return read_file(self._path)

    def add(self) -> bytes:
        """Draw the key that is to become active; return its id. Raises as `active`."""
        found = self._read()
        name, key = secrets.token_bytes(ID), secrets.token_bytes(KEY)
        replace_file(self._path, replace(found, keys={**found.keys, name: key}, next=name))
        return name

    def activate(self, now: str) -> None:
        """Let the key that waits wrap from now on. Raises as `active`."""
        found = self._read()
        if found.next:
            replace_file(self._path, replace(found, active=found.next, activated=now, next=b""))

    def discard(self, name: bytes) -> None:
        """Take a key out that is neither active nor to become so. Raises as `active`."""
        found = self._read()
        kept = {each: key for each, key in found.keys.items() if each != name}
        replace_file(self._path, replace(found, keys=kept))


def _octets(content: KeyFile) -> bytes:
    members: dict[str, Any] = {
        "active": content.active.hex(),
        "format": _FORMAT,
        "keys": {name.hex(): key.hex() for name, key in content.keys.items()},
        **turn_members(content),
    }
    return json.dumps(members, sort_keys=True).encode() + b"\n"
