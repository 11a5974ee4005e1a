"""Which keys of a token encrypt: a small file beside the token, which has no word for that.

No secret is in it, but whoever can write it chooses the key. JSON with the members `format`
("probans/key-encryption-token/v1"), `module`, `pin_file`, one of `token` (label) and `serial`, `keys` (ids) and
`active` (an id), and where keys were changed `next` and `activated`, as in `storage.key_files`. An id is the key's
CKA_ID (16 hex digits). Names of files are relative to its folder.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from plumbing.disk import make_folder, replace_durably
from storage.errors import KeyRefused, StorageError
from storage.filesystem_disk import unavailable
from storage.key_files import FileChanger, turn_members
from storage.keys_token import AesToken, TokenKeyWrapper
from storage.wrapped import ID

FORMAT = "probans/key-encryption-token/v1"
_REQUIRED = frozenset({"active", "format", "keys", "module", "pin_file"})
_OPTIONAL = frozenset({"activated", "next", "serial", "token"})
_MOST_OCTETS = 1 << 16


@dataclass(frozen=True, slots=True)
class TokenKeyFile:
    """What the file says.

    Attributes:
        place: `module`, `pin_file`, `token` and `serial`, as they stand there.
        keys: ids of the keys that encrypted something, or may.
        active: id of the one that wraps.
        activated: RFC 3339 time since which it does; "" for the first.
        next: id of the one that is to become active; empty for none.
    """

    place: Mapping[str, str]
    keys: frozenset[bytes]
    active: bytes
    activated: str = ""
    next: bytes = field(default=b"")


def is_token_file(path: Path) -> bool:
    """Tell whether a file says that key-encryption keys lie in a token. Raises StorageUnavailable."""
    with unavailable("reading the key file"), path.open("rb") as file:
        return FORMAT.encode() in file.read(_MOST_OCTETS)


def read_token_file(path: Path) -> TokenKeyFile:
    """Read the file. Raises KeyRefused: it is in another form; StorageUnavailable."""
    with unavailable("reading the key file"), path.open("rb") as file:
        content = file.read(_MOST_OCTETS)
    try:
        raw = json.loads(content)
        if not _REQUIRED <= set(raw) <= _REQUIRED | _OPTIONAL or raw["format"] != FORMAT:
            raise KeyRefused("this file of key-encryption keys has another format")
        place = {name: raw[name] for name in ("module", "pin_file", "token", "serial") if name in raw}
        keys = frozenset(bytes.fromhex(each) for each in raw["keys"])
        active, following = bytes.fromhex(raw["active"]), bytes.fromhex(raw.get("next", ""))
        activated = raw.get("activated", "")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise KeyRefused("this is not a file of key-encryption keys") from None
    named = keys | ({following} if following else set())
    texts = [*place.values(), activated]
    if (
        active not in keys
        or any(len(each) != ID for each in named)
        or not all(isinstance(each, str) for each in texts)
    ):
        raise KeyRefused("this file of key-encryption keys names no active one, or ids that are not 8 octets")
    return TokenKeyFile(place, named, active, activated, following)


def write_token_file(path: Path, content: TokenKeyFile) -> None:
    """Put the file in its place, whole and durably. Raises StorageUnavailable."""
    members: dict[str, Any] = {
        "format": FORMAT,
        **content.place,
        "keys": sorted(each.hex() for each in content.keys),
        "active": content.active.hex(),
        **turn_members(content),
    }
    with unavailable("writing the key file"):
        make_folder(path.parent)
        former = path.stat() if path.exists() else None
        # The service may have another name than who changes keys, and no secret is in it.
        replace_durably(path, json.dumps(members, indent=2).encode() + b"\n", 0o644, former)


class FollowingTokenWrapper:
    """`KeyWrapper` with keys in a token, which follows the file that says which one wraps. Safe for threads."""

    def __init__(self, token: AesToken, path: Path) -> None:
        """Take the token and its file.

        Raises:
            KeyRefused, StorageUnavailable: see `TokenKeyWrapper` and `read_token_file`.
        """
        self._token = token
        self._path = path
        self._guard = threading.Lock()
        self._state = _state(path)
        self._wrapper = TokenKeyWrapper(token, read_token_file(path).active)

    def __repr__(self) -> str:
        """Show the id."""
        return f"FollowingTokenWrapper({self._wrapper!r})"

    @property
    def active(self) -> bytes:
        """Id of the key that wraps."""
        self._follow()
        return self._wrapper.active

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """See `TokenKeyWrapper.wrap`."""
        self._follow()
        return self._wrapper.wrap(key, associated_data)

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """See `TokenKeyWrapper.unwrap`."""
        return self._wrapper.unwrap(wrapped, associated_data)

    def _follow(self) -> None:
        state = _state(self._path)
        if state in (None, self._state):
            return
        with self._guard:
            try:
                active = read_token_file(self._path).active
                if active != self._wrapper.active:
                    self._wrapper = TokenKeyWrapper(self._token, active)
                self._state = state
            except StorageError:
                # Half copied, or the token is away: the key before goes on, and the next call looks again.
                return


class TokenKeyChanger(FileChanger):
    """Changes which keys of a token encrypt; the caller keeps other changers out.

    A key is made in the token; one that is taken out of the file is destroyed there by the token's own tools.
    """

    def __init__(self, path: Path, make: Callable[[bytes], None]) -> None:
        """Take the file, and what makes an AES-256 key with an id in the token."""
        super().__init__(path)
        self._make = make

    def _read(self) -> TokenKeyFile:
        return read_token_file(self._path)

    def add(self) -> bytes:
        """Make the key that is to become active; return its id. Raises as `active`."""
        name = secrets.token_bytes(ID)
        self._make(name)
        found = self._read()
        write_token_file(self._path, replace(found, keys=found.keys | {name}, next=name))
        return name

    def activate(self, now: str) -> None:
        """Let the key that waits wrap from now on. Raises as `active`."""
        found = self._read()
        if found.next:
            write_token_file(self._path, replace(found, active=found.next, activated=now, next=b""))

    def discard(self, name: bytes) -> None:
        """Take a key out that is neither active nor to become so. Raises as `active`."""
        found = self._read()
        write_token_file(self._path, replace(found, keys=found.keys - {name}))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
