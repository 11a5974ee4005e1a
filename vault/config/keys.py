"""Settings of keys; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from vault.errors import SettingsRefused


class KeySettings(BaseModel):
    """Where the keys lie that seal, timestamp and encrypt (`docs/keys.md`)."""

    keys: Path | None = Field(None, description="Folder of keys; empty: `keys` in the data folder.")
    key_cabinet: Path | None = Field(
        None,
        description="Table of the keys that seal and timestamp (JSON, `docs/keys.md`); empty: in development, keys of "
        "the service's own making.",
    )
    key_roots: Path | None = Field(
        None, description="PEM roots of those keys' certificates, former ones included."
    )
    key_timeout: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Seconds that a token, a remote signing service or a server of revocation lists has to answer.",
    )
    key_encryption: Path | None = Field(
        None,
        description="File of the key-encryption keys, or of the token that holds them; empty: `key-encryption.key` in "
        "the folder of keys.",
    )

    ledger_key_token: Path | None = Field(
        None,
        description="File that names the token in which Ed25519 keys of the ledger are made (JSON: `module`, `token`, "
        "`pin_file`); empty: they lie in files.",
    )

    def check_keys(self, data: Path, *, production: bool) -> None:
        """Refuse a cabinet without roots; in production none, and keys in the data folder. Raises SettingsRefused."""
        if (self.key_cabinet is None) != (self.key_roots is None):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "PROBANS_KEY_CABINET and PROBANS_KEY_ROOTS go together: set both."
            )
        if production and self.key_cabinet is None:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production development keys are refused: set PROBANS_KEY_CABINET and PROBANS_KEY_ROOTS.",
            )
        for name, path in (
            ("KEYS", self.keys or data),
            ("KEY_CABINET", self.key_cabinet),
            ("KEY_ENCRYPTION", self.key_encryption),
        ):
            if production and path is not None and path.resolve().is_relative_to(data.resolve()):
                raise SettingsRefused(
                    "SETTINGS_REFUSED", f"In production keys lie outside the data folder: set PROBANS_{name}."
                )
