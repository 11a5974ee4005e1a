"""The part of `vault.bootstrap` for S3 services; imported only where one is named, since it needs a client."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

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
from vault.bootstrap_stores import Stores
from vault.clock import Clock
from vault.errors import SettingsRefused
from vault.ledger.finished import is_finished
from vault.ledger.generations import prefix_of
from vault.settings import Settings
from vault.store_proofs import demand_fresh, load, save

_STAGING_AGE = timedelta(days=1)


def open_client(settings: Settings, access: Path | None = None, secret: Path | None = None) -> S3Client:
    """Return a client of the S3 service, with the settings' keys or others.

    Args:
        settings: see `Settings`.
        access: file with another access key.
        secret: file with its secret.

    Raises:
        SettingsRefused: none is named, or the settings cannot be used.
    """
    if not settings.store_endpoint:
        raise SettingsRefused("SETTINGS_REFUSED", "No object store is named: set PROBANS_STORE_ENDPOINT.")
    try:
        return S3Client(
            S3Config(
                endpoint=settings.store_endpoint,
                access_key=_secret(access or settings.store_access_key_file),
                secret_key=_secret(secret or settings.store_secret_key_file),
                region=settings.store_region,
                ca=settings.store_ca,
                seconds=settings.store_timeout,
                connections=settings.store_connections,
            )
        )
    except ValueError as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"The object store cannot be used: {error}") from error


def make_buckets(settings: Settings, client: S3Client) -> None:
    """Make the two buckets where they are missing, and see that they will do. Raises StorageUnavailable."""
    make(client, settings.store_bucket, locked=True)
    make(client, settings.store_plain_bucket, locked=False)
    demand_locked(client, settings.store_bucket)
    demand_plain(client, settings.store_plain_bucket)


def prove(settings: Settings, client: S3Client) -> Proof:
    """Attack the store as its administrator could; the settings say for how long the proof is to last.

    Raises:
        StorageUnavailable: the bucket cannot be used at all.
    """
    demand_locked(client, settings.store_bucket)
    return Prover(client, settings.store_bucket).prove(timedelta(days=settings.store_proof_days))


def save_proof(settings: Settings, proof: Proof) -> None:
    """Write a proof where starts look for it. Raises SettingsRefused."""
    try:
        save(proof, settings.store_proof_file)
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
    client = open_client(settings)
    demand_locked(client, settings.store_bucket)
    demand_plain(client, settings.store_plain_bucket)
    proved = _is_proved(settings, client, clock)
    config = S3ObjectsConfig(
        settings.store_bucket, settings.spool_folder, threads=settings.store_connections // 2, proved=proved
    )
    objects = S3ObjectStore(client, config, now=clock.now)
    resources.callback(objects.close)
    objects.sweep_staging(_STAGING_AGE)

    def log_in(place: str) -> S3LogStore:
        kept = timedelta(days=settings.retention_days)
        log = S3LogConfig(settings.store_bucket, settings.store_plain_bucket, kept, is_finished, place)
        return S3LogStore(client, log)

    return Stores(
        objects,
        S3RecordStore(client, settings.store_plain_bucket),
        lambda origin: log_in(prefix_of(origin)),
        log_in(""),
    )


def _is_proved(settings: Settings, client: S3Client, clock: Clock) -> bool:
    """Tell whether a fresh proof stands. Raises SettingsRefused in production where none does."""
    try:
        _demand_proof(settings, client, clock)
    except SettingsRefused:
        if settings.is_production:
            raise
        return False
    return True


def _demand_proof(settings: Settings, client: S3Client, clock: Clock) -> None:
    proof = load(settings.store_proof_file)
    longest = timedelta(days=settings.store_proof_days)
    demand_fresh(proof, client.endpoint, settings.store_bucket, clock.now(), longest)
    if not still_kept(client, proof):
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
