"""The part of `vault.bootstrap` that opens the two ends of a move: database and stores, and nothing that writes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from plumbing.disk import make_folder
from vault.backends.stores import Stores, open_stores
from vault.clock import Clock
from vault.db.engine import Database
from vault.errors import Conflict, SettingsRefused
from vault.settings import Settings


@dataclass(frozen=True, slots=True)
class End:
    """One end of a move.

    Attributes:
        settings: of the safe there.
        database: open.
        stores: open.
    """

    settings: Settings
    database: Database
    stores: Stores


def open_source(settings: Settings, clock: Clock, resources: ExitStack) -> End:
    """Open the safe that is to be moved.

    Args:
        settings: of the safe.
        clock: the machine's.
        resources: closes it.

    Raises:
        Conflict: MOVE_UNSUPPORTED unless its database is an SQLite file that is there: other hosts may write to
            another kind, and nothing here would keep them out.
        SettingsRefused, Unavailable, StorageError: it cannot be opened.
    """
    name = _address(settings).database
    if _address(settings).get_backend_name() != "sqlite" or not name or not Path(name).is_file():
        raise Conflict("MOVE_UNSUPPORTED", "its database is not an SQLite file")
    settings.check_store(production=False)
    database = Database.open(settings.database_address, settings.data / "run", settings.database_limits)
    resources.callback(database.close)
    return End(settings, database, open_stores(settings, clock, resources))


def open_target(settings: Settings, clock: Clock, resources: ExitStack) -> End:
    """Open the place that a safe is to be moved to, as a start of the service would.

    Args:
        settings: of the safe there.
        clock: the machine's.
        resources: closes it.

    Raises:
        SettingsRefused: the settings cannot be used; in production, no fresh proof of the store stands, or commits
            of the database do not wait for a standby.
        Unavailable, StorageError: it cannot be opened.
    """
    settings.check()
    for folder in (settings.data, settings.keys_folder, settings.spool_folder):
        make_folder(folder)
    database = Database.open(settings.database_address, settings.data / "run", settings.database_limits)
    resources.callback(database.close)
    return End(settings, database, open_stores(settings, clock, resources))


def place_of(settings: Settings) -> str:
    """Return where a safe lies, in words that hold no secret."""
    url = _address(settings)
    host = url.host or url.query.get("host", "")
    database = f"{url.get_backend_name()} {host}{f':{url.port}' if url.port else ''}/{(url.database or '').lstrip('/')}"
    if settings.store_endpoint:
        store = f"{settings.store_endpoint}/{settings.store_bucket}, {settings.store_plain_bucket}"
    else:
        store = str(settings.data.resolve())
    return f"{database}; {store}"


def _address(settings: Settings) -> URL:
    try:
        return make_url(settings.database_address)
    except ArgumentError as error:
        raise SettingsRefused("DATABASE_UNSUPPORTED", "the database URL cannot be read") from error
