"""The part of `vault.bootstrap` that chooses where objects, ledger and records lie: a folder, or an S3 service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from storage.base import LogStore, ObjectStore, RecordStore
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from vault.clock import Clock
from vault.errors import SettingsRefused
from vault.ledger.generations import prefix_of
from vault.settings import Settings

_STAGING_AGE = timedelta(days=1)
_RECORD_STAGING_AGE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of a safe.

    Attributes:
        objects: of encrypted octets.
        records: of recovery.
        log_of: returns the log store of the generation of the ledger with an origin.
        root_log: in which every generation lies.
    """

    objects: ObjectStore
    records: RecordStore
    log_of: Callable[[str], LogStore]
    root_log: LogStore


def open_stores(settings: Settings, clock: Clock, resources: ExitStack) -> Stores:
    """Open the stores that the settings name, and sweep what crashes left in them.

    Args:
        settings: see `Settings`.
        clock: the safe's.
        resources: closes them.

    Raises:
        SettingsRefused: the settings cannot be used; in production, no fresh proof of an S3 store.
        StorageUnavailable: a store cannot be reached, or does not lock.
    """
    if not settings.store_endpoint:
        return _on_disk(settings, resources)
    try:
        from vault.bootstrap_s3 import open_s3
    except ImportError as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            "An object store needs the client of the extra `s3`: pip install 'probans[s3]'.",
        ) from error
    return open_s3(settings, clock, resources)


def _on_disk(settings: Settings, resources: ExitStack) -> Stores:
    data = settings.data
    objects = FilesystemObjectStore(data / "objects")
    resources.callback(objects.close)
    root_log = FilesystemLogStore(data / "ledger")

    def log_of(origin: str) -> FilesystemLogStore:
        return FilesystemLogStore(data / "ledger" / prefix_of(origin))

    log = log_of(settings.origin) if prefix_of(settings.origin) else root_log
    records = FilesystemRecordStore(data / "records")
    # A crash may have left encrypted leftovers; of records none may outlive a destruction for long.
    for swept, age in ((objects, _STAGING_AGE), (log, _STAGING_AGE), (records, _RECORD_STAGING_AGE)):
        swept.sweep_staging(age)
    return Stores(objects, records, log_of, root_log)
