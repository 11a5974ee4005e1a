"""The keys of a data folder: drawn at the very first start, and never again in place of lost ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signing.errors import KeyUnusable
from storage.base import LogStore
from storage.errors import KeyRefused, ObjectMissing
from vault.core.keyfiles import read_or_make
from vault.db.engine import Database
from vault.errors import LedgerError, SettingsRefused
from vault.ledger.generations import generation_of
from vault.ledger.stored import find_head
from vault.ledger.tiles import CHECKPOINT_PATH


def has_begun(database: Database, log: LogStore) -> bool:
    """Tell whether this safe has a ledger already, in its database or published."""
    with database.reading() as connection:
        if find_head(connection) is not None:
            return True
    try:
        log.get(CHECKPOINT_PATH)
    except ObjectMissing:
        return False
    return True


def demand_origin(database: Database, origin: str) -> None:
    """Refuse settings that name another log than the database holds. Raises LedgerError(LEDGER_ORIGIN_MISMATCH)."""
    with database.reading() as connection:
        head = find_head(connection)
    if head is not None and head.origin != origin:
        raise LedgerError(
            "LEDGER_ORIGIN_MISMATCH", f"this database holds {head.origin}; the settings say {origin}"
        )


def key_folder_of(keys: Path, origin: str) -> Path:
    """Return where the keys of a generation of the ledger lie."""
    number = generation_of(origin)
    return keys / ("ledger" if number == 1 else f"ledger-{number}")


def demand_files(*paths: Path) -> None:
    """Refuse to go on without key files that documents rest on.

    Keys made anew would leave every document unreadable and its holder unknown, without a word.

    Raises:
        SettingsRefused: KEYS_MISSING with their names.
    """
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise SettingsRefused(
            "KEYS_MISSING", f"this safe rests on key files that are not there: {', '.join(missing)}"
        )


def secret(path: Path) -> bytes:
    """Return 32 secret octets, drawn at first use. Raises SettingsRefused(KEYS_UNUSABLE)."""
    octets = read_or_make(path, lambda: secrets.token_bytes(32))
    if len(octets) != 32:
        raise SettingsRefused("KEYS_UNUSABLE", f"{path.name} does not hold 32 octets")
    return octets


@contextmanager
def usable_keys() -> Iterator[None]:
    """Turn what key files raise into SettingsRefused(KEYS_UNUSABLE)."""
    try:
        yield
    except (KeyRefused, KeyUnusable) as error:
        raise SettingsRefused("KEYS_UNUSABLE", str(error)) from error
