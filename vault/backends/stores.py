"""The part of `vault.bootstrap` that chooses where objects, ledger and records lie: a folder, or an S3 service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from plumbing.disk import make_folder, sync_folder
from storage.base import LogStore, ObjectStore, RecordStore
from storage.errors import StorageUnavailable
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from storage.pair import PairObjectStore
from storage.pair_log import PairLogStore
from storage.pair_records import PairRecordStore
from storage.pair_sites import Site, Sites, SiteStores
from vault.clock import Clock
from vault.core import faults
from vault.errors import SettingsRefused
from vault.ledger.generations import prefix_of
from vault.settings import Settings

_STAGING_AGE = timedelta(days=1)
_RECORD_STAGING_AGE = timedelta(minutes=1)
_MARK = "probans-store"


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of a safe.

    Attributes:
        objects: of encrypted octets.
        records: of recovery.
        log_of: returns the log store of the generation of the ledger with an origin.
        root_log: in which every generation lies.
        sites: the two in which all of this lies, where there are two.
    """

    objects: ObjectStore
    records: RecordStore
    log_of: Callable[[str], LogStore]
    root_log: LogStore
    sites: Sites | None = None


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
    if settings.has_second_store:
        return _at_two_sites(settings, clock, resources)
    if not settings.store_endpoint:
        return _on_disk(settings, resources)
    opened: Stores = _s3().open_s3(settings, clock, resources)
    return opened


def prepare_folder(folder: Path) -> None:
    """Mark a folder as the second store, making it where it is missing. Raises StorageUnavailable."""
    try:
        make_folder(folder)
        (folder / _MARK).touch(mode=0o600)
        sync_folder(folder)
    except OSError as error:
        raise StorageUnavailable(f"the second store cannot be prepared: {error.strerror}") from error


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


def _at_two_sites(settings: Settings, clock: Clock, resources: ExitStack) -> Stores:
    if settings.store_endpoint:
        first = _s3().opening_s3(settings, clock, second=False)
    else:
        first = _opening_folder(settings.data, lambda: None)
    if settings.store2_folder is not None:
        folder = settings.store2_folder
        second = _opening_folder(folder, lambda: _demand_mark(folder))
    else:
        second = _s3().opening_s3(settings, clock, second=True)
    sites = Sites(
        Site("first", first),
        Site("second", second),
        writes=settings.store_writes,
        patience=settings.store_patience,
        point=faults.point,
    )
    resources.callback(sites.close)
    for site in sites.each:
        # One that is away now is opened when it is back; what its settings lack is said at once.
        with suppress(StorageUnavailable), site.asked():
            pass
    return Stores(
        PairObjectStore(sites, settings.spool_folder),
        PairRecordStore(sites),
        lambda origin: PairLogStore(sites, prefix_of(origin)),
        PairLogStore(sites),
        sites,
    )


def _opening_folder(folder: Path, check: Callable[[], None]) -> Callable[[], SiteStores]:
    def opened() -> SiteStores:
        check()
        objects = FilesystemObjectStore(folder / "objects")
        log = FilesystemLogStore(folder / "ledger")
        records, owed = (FilesystemRecordStore(folder / name) for name in ("records", "owed"))
        objects.sweep_staging(_STAGING_AGE)
        log.sweep_staging(_STAGING_AGE)
        for each in (records, owed):
            each.sweep_staging(_RECORD_STAGING_AGE)
        return SiteStores(objects, records, log, owed, check, objects.close)

    return opened


def _demand_mark(folder: Path) -> None:
    """Refuse a folder that is not the second store, such as the place of a volume that is not mounted."""
    if not (folder / _MARK).is_file():
        raise StorageUnavailable(
            "the second store's folder is not there, or was not prepared by `probans storage make-buckets --second`"
        )


def _s3() -> ModuleType:
    try:
        from vault.backends import s3 as bootstrap_s3
    except ImportError as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            "An object store needs the client of the extra `s3`: pip install 'probans[s3]'.",
        ) from error
    return bootstrap_s3
