"""Settings of logs and traces; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from vault.errors import SettingsRefused

_LOOPBACK = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


class WatchSettings(BaseModel):
    """How the service is watched."""

    log: Literal["text", "json"] = Field(
        "text", description="Form of the lines of log (`docs/observability.md`)."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level of the lines of log."
    )
    traces_endpoint: str = Field(
        "",
        description="Where spans go, OTLP over HTTP with protobuf, `https://HOST/v1/traces`; needs the extra `traces`; "
        "empty: nowhere.",
    )
    traces_share: float = Field(1.0, gt=0, le=1, description="Share of the requests that are traced.")
    traces_secret_file: Path | None = Field(
        None, description="File with the bearer secret for that address; empty: none."
    )
    traces_ca: Path | None = Field(None, description="PEM anchors of that address; empty: the system's.")

    def check_watch(self, *, production: bool) -> None:
        """Refuse spans that would travel in clear. Raises SettingsRefused."""
        address = self.traces_endpoint
        if address and not address.startswith(("https://", *_LOOPBACK)):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "PROBANS_TRACES_ENDPOINT must be https, but for this machine itself."
            )
        if production and address.startswith("http:") and self.traces_secret_file is not None:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "In production a secret does not travel in clear: PROBANS_TRACES_ENDPOINT.",
            )
