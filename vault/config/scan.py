"""Settings of the antivirus; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from vault.errors import SettingsRefused


class ScanSettings(BaseModel):
    """Which antivirus looks at files, and what happens while it does not answer."""

    scanner: Literal["", "clamd"] = Field(
        "", description="Antivirus that looks at every file (`docs/antivirus.md`); empty: none."
    )
    scanner_address: str = Field(
        "",
        description="Where it listens: the path of a socket, or `HOST:PORT`. Files go there unencrypted.",
    )
    scanner_connect_timeout: float = Field(
        2.0, gt=0, le=60, description="Seconds to connect to the antivirus, and for it to say its version."
    )
    scanner_timeout: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Seconds for one file; a large one may take a second more for each 4 MiB.",
    )
    scanner_connections: int = Field(
        8, gt=0, le=1000, description="Files that one process has looked at at the same time."
    )
    scan_when_down: Literal["pending", "refuse", "allow"] = Field(
        "pending",
        description="A file the antivirus did not judge: is taken in and waits for it, given to nobody else; is "
        "refused; or is given out unscanned.",
    )
    unscanned_allowed: bool | None = Field(
        None,
        description="Whether files no antivirus has looked at may be given out (the finding is shown); empty: without "
        "antivirus, or where it is `allow` above.",
    )
    scan_interval: float = Field(
        5.0, gt=0, le=3600, description="Seconds between looks for files that wait for the antivirus."
    )
    rescan_per_minute: int = Field(
        600,
        ge=0,
        le=1_000_000,
        description="Files a minute that are looked at again once the antivirus has new signatures; 0: none.",
    )

    @property
    def gives_unscanned(self) -> bool:
        """Whether what no antivirus has looked at may be given out."""
        if self.unscanned_allowed is None:
            return not self.scanner or self.scan_when_down == "allow"
        return self.unscanned_allowed

    def check_scan(self) -> None:
        """Refuse an antivirus that is named by half, or said to be both needed and not. Raises SettingsRefused."""
        if bool(self.scanner) is not bool(self.scanner_address):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "PROBANS_SCANNER and PROBANS_SCANNER_ADDRESS go together."
            )
        if self.scanner and self.scan_when_down == "allow" and not self.gives_unscanned:
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "PROBANS_SCAN_WHEN_DOWN=allow gives out what PROBANS_UNSCANNED_ALLOWED=false keeps back.",
            )
