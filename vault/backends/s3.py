"""The part of `vault.bootstrap` for S3 services; imported only where one is named, since it needs a client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from storage.pair_sites import SiteStores
from storage.proving import Proof, Prover, still_kept
from storage.s3 import (
    S3Client,
    S3Config,
    S3LogConfig,
    S3LogStore,
    S3ObjectsConfig,
    S3ObjectStore,
    S3RecordStore,
)
from storage.s3_buckets import demand_locked, demand_plain, make
from vault.backends.store_places import StorePlace, place_of
from vault.backends.store_proofs import demand_fresh, load, save
from vault.backends.stores import Stores
from vault.clock import Clock
from vault.errors import SettingsRefused
from vault.ledger.finished import is_finished
from vault.ledger.generations import prefix_of
from vault.settings import Settings

_STAGING_AGE = timedelta(days=1)
OWED = "owed/"


def open_client(place: StorePlace, access: Path | None = None, secret: Path | None = None) -> S3Client:
    """Return a client of an S3 service, with the settings' keys or others.

    Args:
        place: where the service is.
        access: file with another access key.
        secret: file with its secret.

    Raises:
        SettingsRefused: none is named, or the settings cannot be used.
    """
    if not place.endpoint:
        raise SettingsRefused("SETTINGS_REFUSED", f"No object store is named: set {place.setting}_ENDPOINT.")
    try:
        return S3Client(
            S3Config(
                endpoint=place.endpoint,
                access_key=_secret(access or place.access_key_file),
                secret_key=_secret(secret or place.secret_key_file),
                region=place.region,
                ca=place.ca,
                seconds=place.timeout,
                connections=place.connections,
            )
        )
    except ValueError as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"The object store cannot be used: {error}") from error


def make_buckets(place: StorePlace, client: S3Client) -> None:
    """Make the two buckets where they are missing, and see that they will do. Raises StorageUnavailable."""
    make(client, place.bucket, locked=True)
    make(client, place.plain_bucket, locked=False)
    _demand_buckets(place, client)


def prove(settings: Settings, place: StorePlace, client: S3Client) -> Proof:
    """Attack the store as its administrator could; the settings say for how long the proof is to last.

    Raises:
        StorageUnavailable: the bucket cannot be used at all.
    """
    demand_locked(client, place.bucket)
    return Prover(client, place.bucket).prove(timedelta(days=settings.store_proof_days))


def save_proof(place: StorePlace, proof: Proof) -> None:
    """Write a proof where starts look for it. Raises SettingsRefused."""
    try:
        save(proof, place.proof_file)
    except OSError as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"The proof cannot be written: {error}") from error


def open_s3(settings: Settings, clock: Clock, resources: ExitStack) -> Stores:
    """Open the three stores on an S3 service.

    Args:
        settings: see `Settings`.
        clock: the safe's.
        resources: closes them.

    Raises:
        SettingsRefused: the settings cannot be used; in production, no fresh proof stands.
        StorageUnavailable: the service cannot be reached, or a bucket will not do.
    """
    place = place_of(settings)
    client = open_client(place)
    _demand_buckets(place, client)
    objects = _objects(settings, place, client, clock)
    resources.callback(objects.close)
    return Stores(
        objects,
        S3RecordStore(client, place.plain_bucket),
        lambda origin: _log(settings, place, client, prefix_of(origin)),
        _log(settings, place, client, ""),
    )


def opening_s3(settings: Settings, clock: Clock, *, second: bool) -> Callable[[], SiteStores]:
    """Return what opens an S3 service as one of two sites; the service may be away now.

    Raises:
        SettingsRefused: the settings cannot be used; in production, no fresh proof stands.
    """
    place = place_of(settings, second=second)
    client = open_client(place)
    if settings.is_production:
        _demand_fresh(settings, place, client, clock)

    def opened() -> SiteStores:
        _demand_buckets(place, client)
        objects = _objects(settings, place, client, clock)
        return SiteStores(
            objects,
            S3RecordStore(client, place.plain_bucket),
            _log(settings, place, client, ""),
            S3RecordStore(client, place.plain_bucket, OWED),
            lambda: _demand_buckets(place, client),
            objects.close,
            objects.forget,
        )

    return opened


def _demand_buckets(place: StorePlace, client: S3Client) -> None:
    demand_locked(client, place.bucket)
    demand_plain(client, place.plain_bucket)


def _objects(settings: Settings, place: StorePlace, client: S3Client, clock: Clock) -> S3ObjectStore:
    config = S3ObjectsConfig(
        place.bucket,
        settings.spool_folder,
        threads=place.connections // 2,
        proved=_is_proved(settings, place, client, clock),
    )
    objects = S3ObjectStore(client, config, now=clock.now)
    objects.sweep_staging(_STAGING_AGE)
    return objects


def _log(settings: Settings, place: StorePlace, client: S3Client, folder: str) -> S3LogStore:
    kept = timedelta(days=settings.retention_days)
    return S3LogStore(client, S3LogConfig(place.bucket, place.plain_bucket, kept, is_finished, folder))


def _is_proved(settings: Settings, place: StorePlace, client: S3Client, clock: Clock) -> bool:
    """Tell whether a fresh proof stands. Raises SettingsRefused in production where none does."""
    try:
        _demand_proof(settings, place, client, clock)
    except SettingsRefused:
        if settings.is_production:
            raise
        return False
    return True


def _demand_fresh(settings: Settings, place: StorePlace, client: S3Client, clock: Clock) -> Proof:
    proof = load(place.proof_file)
    longest = timedelta(days=settings.store_proof_days)
    demand_fresh(proof, client.endpoint, place.bucket, clock.now(), longest)
    return proof


def _demand_proof(settings: Settings, place: StorePlace, client: S3Client, clock: Clock) -> None:
    if not still_kept(client, _demand_fresh(settings, place, client, clock)):
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            "What the proof of the object store left under its lock is not there: run `probans storage prove`, "
            "and ask who changed the store.",
        )


def _secret(path: Path | None) -> str:
    try:
        text = path.read_text("utf-8").strip() if path is not None else ""
    except (OSError, ValueError) as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED", f"A key file of the object store cannot be read: {error}"
        ) from error
    if not text:
        raise SettingsRefused("SETTINGS_REFUSED", "A key file of the object store is empty or not named.")
    return text
