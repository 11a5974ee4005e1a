"""Settings of a second store, at another site; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from vault.errors import SettingsRefused


class SecondStoreSettings(BaseModel):
    """Where the second copy of objects, ledger and records lies, if there is one."""

    store2_endpoint: str = Field(
        "",
        description="Second S3 service with Object Lock, at another site (`docs/storage.md`); empty: none.",
    )
    store2_folder: Path | None = Field(
        None,
        description="Folder at another site, instead of a second S3 service; `probans storage make-buckets --second` "
        "prepares it.",
    )
    store2_bucket: str = Field(
        "", description="In the second service: bucket with versioning and Object Lock."
    )
    store2_plain_bucket: str = Field(
        "", description="In the second service: bucket that never had versioning."
    )
    store2_region: str = Field("us-east-1", description="Region of the second service.")
    store2_access_key_file: Path | None = Field(
        None, description="File with the access key for the second service."
    )
    store2_secret_key_file: Path | None = Field(
        None, description="File with the secret key for the second service."
    )
    store2_ca: Path | None = Field(
        None, description="PEM anchors of the second service; empty: the system's."
    )
    store2_timeout: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Seconds for one request to the second service, as PROBANS_STORE_TIMEOUT.",
    )
    store2_connections: int = Field(
        32, ge=2, le=1000, description="Connections of one process to the second service."
    )
    store2_proof: Path | None = Field(
        None,
        description="File that `probans storage prove --second` writes; empty: `store2-proof.json` in the folder of "
        "keys.",
    )
    store_writes: Literal["both", "one"] = Field(
        "both",
        description="Of two stores, how many must hold what is acknowledged: with one down, `both` answers 503, `one` "
        "goes on, and the other one catches up.",
    )
    store_patience: float = Field(
        2.0,
        gt=0,
        le=600,
        description="With `one`: seconds for which the slower store is waited for; content gives it a second more for "
        "each mebibyte.",
    )

    @property
    def has_second_store(self) -> bool:
        """Tell whether there is a second store."""
        return bool(self.store2_endpoint) or self.store2_folder is not None

    def check_second_folder(self, data: Path) -> None:
        """Refuse a second store in the folder of the first one: nothing would be at two places.

        Raises:
            SettingsRefused: it is the data folder, or within it.
        """
        if self.store2_folder is not None and self.store2_folder.resolve().is_relative_to(data.resolve()):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "The second store lies in the data folder: set PROBANS_STORE2_FOLDER to a folder at another site.",
            )

    def check_second_store(self, first: tuple[str, str, str], *, production: bool) -> None:
        """Refuse a second store that is named by half, is the first one, or is reached in clear.

        Args:
            first: endpoint of the first store, its locked bucket and its plain one.
            production: the rules of production hold.

        Raises:
            SettingsRefused: with what to set.
        """
        named = (
            self.store2_bucket,
            self.store2_plain_bucket,
            self.store2_access_key_file,
            self.store2_secret_key_file,
        )
        if self.store2_endpoint and (self.store2_folder is not None or not all(named)):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "PROBANS_STORE2_ENDPOINT goes with PROBANS_STORE2_BUCKET, PROBANS_STORE2_PLAIN_BUCKET, "
                "PROBANS_STORE2_ACCESS_KEY_FILE and PROBANS_STORE2_SECRET_KEY_FILE, and without PROBANS_STORE2_FOLDER.",
            )
        buckets = {self.store2_bucket, self.store2_plain_bucket}
        same_service = _comparable(self.store2_endpoint) == _comparable(first[0])
        if self.store2_endpoint and same_service and buckets & set(first[1:]):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "The second store is the first one, or shares a bucket with it: set PROBANS_STORE2_ENDPOINT to another "
                "site.",
            )
        if production and self.store2_endpoint.startswith("http:"):
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production the second store is reached over TLS: set PROBANS_STORE2_ENDPOINT.",
            )
        if self.store_writes == "one" and not self.has_second_store:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "PROBANS_STORE_WRITES=one goes with a second store: set PROBANS_STORE2_ENDPOINT.",
            )


def _comparable(endpoint: str) -> str:
    return endpoint.lower().rstrip("/")
