"""The keys of a safe that is moved: the new place must have those that documents and ledger rest on.

Key files are not content: an operator brings them by the way that the new place has for secrets. So they are compared
only, unless one asks for them to be copied; and none is ever written over.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from vault.errors import Conflict
from vault.held_keys import key_folder_of
from vault.keyfiles import make_folder, sync_folder
from vault.ledger.generations import generation_of
from vault.settings import Settings

_ALWAYS = ("key-encryption.key", "index.key")
# The root of the development seals; a place in production has seals of its own.
_DEVELOPMENT = ("pki/root.p12",)
_NOT_IN_PRODUCTION = {"pki", "personas.json", "dev-identity.pem"}


def bring_keys(source: Settings, target: Settings, *, copy: bool) -> list[str]:
    """See that the new place has the keys.

    Args:
        source: of the safe that is moved.
        target: of the new place.
        copy: whether to copy the files that are missing there.

    Returns:
        Names of the files that were copied.

    Raises:
        Conflict: MOVE_KEYS_MISSING, MOVE_KEYS_DIFFER, with `names`. Nothing was copied then.
        OSError: a file cannot be read or written.
    """
    ours, theirs = source.keys_folder, target.keys_folder
    needed = sorted(_needed(source, production=target.is_production))
    # A key that the source itself lacks is told by every start of it; nothing is to be compared.
    differing = [
        name for name in needed if (theirs / name).exists() and not _same(ours / name, theirs / name)
    ]
    if differing:
        raise Conflict("MOVE_KEYS_DIFFER", names=", ".join(differing))
    missing = [name for name in needed if not (theirs / name).exists()]
    if missing and not copy:
        raise Conflict("MOVE_KEYS_MISSING", names=", ".join(missing))
    if not copy:
        return []
    wanted = sorted({*missing, *_others(ours, production=target.is_production)})
    return [name for name in wanted if _copy(ours / name, theirs / name)]


def _needed(settings: Settings, *, production: bool) -> Iterator[str]:
    """Yield the names, under the folder of keys, of what the new place cannot do without."""
    folder = settings.keys_folder
    for name in (*_ALWAYS, *(() if production else _DEVELOPMENT)):
        if (folder / name).is_file():
            yield name
    for number in range(1, generation_of(settings.origin) + 1):
        ledger = key_folder_of(folder, settings.origin.rpartition("/")[0] + f"/{number}")
        yield from (str(path.relative_to(folder)) for path in ledger.rglob("*.pem"))


def _others(folder: Path, *, production: bool) -> Iterator[str]:
    """Yield the names of the other files that belong to the safe: seals of administrations, tokens, identities."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        left_out = production and name.parts[0] in _NOT_IN_PRODUCTION
        if (
            path.is_file()
            and not left_out
            and not path.name.startswith(".")
            and name.parts[0] != "store-proof.json"
        ):
            yield str(name)


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _copy(source: Path, target: Path) -> bool:
    """Copy a file that is not there, whole or not at all; tell whether it was not."""
    if target.exists():
        return False
    data = source.read_bytes()
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
    return True
