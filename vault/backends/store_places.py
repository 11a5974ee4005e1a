"""Where an S3 store of the settings is: the first one, or the second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vault.settings import Settings


@dataclass(frozen=True, slots=True)
class StorePlace:
    """One S3 service with its two buckets.

    Attributes:
        endpoint: address; empty where none is named.
        bucket: with versioning and Object Lock.
        plain_bucket: without versioning.
        region: as signatures want it.
        access_key_file: names the caller.
        secret_key_file: the caller's secret.
        ca: PEM anchors.
        timeout: seconds for a request.
        connections: of one process.
        proof_file: what `probans storage prove` writes.
        setting: how the names of its settings begin.
    """

    endpoint: str
    bucket: str
    plain_bucket: str
    region: str
    access_key_file: Path | None
    secret_key_file: Path | None
    ca: Path | None
    timeout: float
    connections: int
    proof_file: Path
    setting: str


def place_of(settings: Settings, *, second: bool = False) -> StorePlace:
    """Return where a store of the settings is."""
    if second:
        return StorePlace(
            settings.store2_endpoint,
            settings.store2_bucket,
            settings.store2_plain_bucket,
            settings.store2_region,
            settings.store2_access_key_file,
            settings.store2_secret_key_file,
            settings.store2_ca,
            settings.store2_timeout,
            settings.store2_connections,
            settings.store2_proof or settings.keys_folder / "store2-proof.json",
            "PROBANS_STORE2",
        )
    return StorePlace(
        settings.store_endpoint,
        settings.store_bucket,
        settings.store_plain_bucket,
        settings.store_region,
        settings.store_access_key_file,
        settings.store_secret_key_file,
        settings.store_ca,
        settings.store_timeout,
        settings.store_connections,
        settings.store_proof_file,
        "PROBANS_STORE",
    )
