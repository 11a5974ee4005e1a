"""The keys of a safe that is moved: the new place must have those that documents and ledger rest on.

Key files are not content: an operator brings them by the way that the new place has for secrets. So they are compared
only, unless one asks for them to be copied; and none is ever written over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plumbing.disk import create_durably, make_folder
from vault.backends.keys import encryption_file
from vault.errors import Conflict, SettingsRefused
from vault.ledger.generations import generation_of
from vault.ledger.keys import ED25519_FILE
from vault.sealing.held_keys import key_folder_of
from vault.settings import Settings

_INDEX = "index.key"
_ENCRYPTION = "key-encryption.key"
# The root of development seals; a place with a cabinet has seals of its own.
_SEALS, _ROOT = "pki", "pki/root.p12"
_NOT_IN_PRODUCTION = {"personas.json", "dev-identity.pem"}
_STAY = {"store-proof.json", _ENCRYPTION}


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
        SettingsRefused: KEYS_MISSING: the old place itself lacks some where its settings say that they are.
        OSError: a file cannot be read or written.
    """
    needed = dict(_needed(source, target))
    lacking = sorted(name for name, (ours, _) in needed.items() if not ours.is_file())
    if lacking:
        raise SettingsRefused(
            "KEYS_MISSING",
            f"the old place lacks {', '.join(lacking)}: name its settings with --from-settings",
        )
    there = {name for name, (_, theirs) in needed.items() if theirs.exists()}
    differing = sorted(name for name in there if not _same(*needed[name]))
    if differing:
        raise Conflict("MOVE_KEYS_DIFFER", names=", ".join(differing))
    missing = sorted(needed.keys() - there)
    if missing and not copy:
        raise Conflict("MOVE_KEYS_MISSING", names=", ".join(missing))
    if not copy:
        return []
    wanted = dict(_others(source, target)) | needed
    return [name for name in sorted(wanted) if _copy(*wanted[name])]


def _needed(source: Settings, target: Settings) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield what the new place cannot do without: name, file there is, file there is to be."""
    ours, theirs = source.keys_folder, target.keys_folder
    yield _ENCRYPTION, (encryption_file(source), encryption_file(target))
    yield _INDEX, (ours / _INDEX, theirs / _INDEX)
    if source.key_cabinet is None and target.key_cabinet is None:
        yield _ROOT, (ours / _ROOT, theirs / _ROOT)
    newest = generation_of(source.origin)
    for number in range(1, newest + 1):
        ledger = key_folder_of(ours, f"{source.origin.rpartition('/')[0]}/{number}")
        # Pairs that were replaced, and those of earlier generations, may be gone: what is there counts.
        found = list(ledger.rglob("*.pem"))
        for path in found or ([ledger / ED25519_FILE] if number == newest else []):
            name = str(path.relative_to(ours))
            yield name, (path, theirs / name)


def _others(source: Settings, target: Settings) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield the other files in the folder of keys: development seals, tokens and identities, to where those count."""
    folder = source.keys_folder
    left_out = _STAY | (_NOT_IN_PRODUCTION if target.is_production else set())
    left_out |= {_SEALS} if target.key_cabinet is not None else set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not path.name.startswith(".") and name.parts[0] not in left_out:
            yield str(name), (path, target.keys_folder / name)


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _copy(source: Path, target: Path) -> bool:
    """Copy a file that is not there, whole or not at all; tell whether it was not."""
    if target.exists():
        return False
    data = source.read_bytes()
    make_folder(target.parent)
    create_durably(target, data)
    return True
