"""Settings of the object store; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from vault.config.second_store import SecondStoreSettings
from vault.errors import SettingsRefused


class StoreSettings(SecondStoreSettings):
    """Where objects, ledger and records lie, if not in the data folder."""

    store_endpoint: str = Field(
        "",
        description="S3 service with Object Lock (`docs/storage.md`), `https://HOST[:PORT]`; empty: objects, ledger "
        "and records lie in the data folder.",
    )
    store_bucket: str = Field(
        "", description="Bucket with versioning and Object Lock, for objects and finished ledger files."
    )
    store_plain_bucket: str = Field(
        "",
        description="Bucket that never had versioning, for recovery records and ledger files that are replaced.",
    )
    store_region: str = Field("us-east-1", description="Region of that service, as its signatures want it.")
    store_access_key_file: Path | None = Field(None, description="File with the access key for that service.")
    store_secret_key_file: Path | None = Field(None, description="File with the secret key for that service.")
    store_ca: Path | None = Field(None, description="PEM anchors of that service; empty: the system's.")
    store_timeout: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Seconds for one request to that service; content may take a second more for each mebibyte.",
    )
    store_connections: int = Field(
        32, ge=2, le=1000, description="Connections of one process to that service."
    )
    store_proof: Path | None = Field(
        None,
        description="File that `probans storage prove` writes; empty: `store-proof.json` in the folder of keys.",
    )
    store_proof_days: int = Field(
        30,
        gt=0,
        le=366,
        description="Days for which such a proof is relied on; in production one is demanded.",
    )

    def check_store(self, *, production: bool) -> None:
        """Refuse an object store that is named by half, or reached in clear. Raises SettingsRefused."""
        named = (
            self.store_bucket,
            self.store_plain_bucket,
            self.store_access_key_file,
            self.store_secret_key_file,
        )
        if self.store_endpoint and not all(named):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "PROBANS_STORE_ENDPOINT goes with PROBANS_STORE_BUCKET, PROBANS_STORE_PLAIN_BUCKET, "
                "PROBANS_STORE_ACCESS_KEY_FILE and PROBANS_STORE_SECRET_KEY_FILE.",
            )
        if production and self.store_endpoint.startswith("http:"):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production the object store is reached over TLS: set PROBANS_STORE_ENDPOINT.",
            )
        first = (self.store_endpoint, self.store_bucket, self.store_plain_bucket)
        self.check_second_store(first, production=production)
