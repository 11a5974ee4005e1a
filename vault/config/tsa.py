"""Settings of timestamps; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field

from timestamping.several import SeveralConfig
from vault.errors import SettingsRefused

_MOST_TOLERANCE_S = 60


class TimestampSettings(BaseModel):
    """Who dates documents and the ledger, and how long that may take."""

    tsa_url: str = Field("", description="Outside RFC 3161 authority; empty: the embedded one.")
    tsa_trust: Path | None = Field(None, description="PEM anchors of the outside authority.")
    tsa_authorities: Path | None = Field(
        None,
        description="File of several outside authorities, the preferred one first (JSON, `docs/timestamps.md`); "
        "instead of PROBANS_TSA_URL.",
    )
    tsa_timeout: float = Field(
        5.0, gt=0, le=600, description="Seconds that one authority has for one token, connecting included."
    )
    tsa_wait: float = Field(
        15.0,
        gt=0,
        le=600,
        description="Seconds that all authorities together have for one seal; then it waits and follows by itself.",
    )
    tsa_failures: int = Field(
        3, ge=1, le=100, description="Failures in a row after which an authority is left alone for a while."
    )
    tsa_pause: float = Field(
        15.0, ge=1, le=3600, description="Longest such while, in seconds; the first one is one second."
    )
    tsa_warning: float = Field(
        10.0,
        gt=0,
        description="Seconds that an authority's time may differ from the service's clock before it is told.",
    )
    tsa_tolerance: float = Field(
        60.0,
        gt=0,
        description="Seconds a token may differ from the service's clock before it is refused; in production 60 at "
        "most.",
    )
    anchor_interval_minutes: int = Field(
        60,
        gt=0,
        le=1440,
        description="Minutes from one outside date of the ledger to the next, if entries came.",
    )
    anchor_tsa_url: str = Field(
        "", description="RFC 3161 authority that dates the ledger; empty: the documents' ones."
    )
    anchor_tsa_trust: Path | None = Field(
        None, description="PEM anchors of the authority that dates the ledger."
    )
    anchor_tsa_authorities: Path | None = Field(
        None, description="File of several authorities that date the ledger, as PROBANS_TSA_AUTHORITIES."
    )

    @property
    def timestamp_limits(self) -> SeveralConfig:
        """How outside authorities are asked."""
        return SeveralConfig(
            whole=self.tsa_wait,
            failures=self.tsa_failures,
            first_pause=1.0,
            longest_pause=self.tsa_pause,
            warning=timedelta(seconds=min(self.tsa_warning, self.tsa_tolerance)),
        )

    def check_timestamps(self, *, production: bool) -> None:
        """Refuse authorities that are named twice over; in production dates that nobody holds to a clock.

        Raises:
            SettingsRefused: SETTINGS_REFUSED.
        """
        if production and self.tsa_tolerance > _MOST_TOLERANCE_S:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                f"In production a token differs by {_MOST_TOLERANCE_S} seconds at most: PROBANS_TSA_TOLERANCE.",
            )
        for url, file, name in (
            (self.tsa_url, self.tsa_authorities, "TSA"),
            (self.anchor_tsa_url, self.anchor_tsa_authorities, "ANCHOR_TSA"),
        ):
            if url and file is not None:
                raise SettingsRefused(
                    "SETTINGS_REFUSED",
                    f"PROBANS_{name}_URL names one authority, PROBANS_{name}_AUTHORITIES several: set one of them.",
                )
