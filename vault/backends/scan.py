"""The part of `vault.bootstrap` that chooses the antivirus."""

from __future__ import annotations

from vault.errors import SettingsRefused
from vault.scanning.antivirus import Antivirus
from vault.scanning.clamav import Clamd, ClamdConfig
from vault.scanning.contents import Contents
from vault.settings import Settings


def open_antivirus(settings: Settings) -> Antivirus | None:
    """Return the antivirus that the settings name, or None; it is not asked yet.

    Raises:
        SettingsRefused: the settings cannot be used.
    """
    if not settings.scanner:
        return None
    config = ClamdConfig(
        address=settings.scanner_address,
        connect_timeout_s=settings.scanner_connect_timeout,
        timeout_s=settings.scanner_timeout,
        connections=settings.scanner_connections,
    )
    try:
        scanner = Clamd(config)
    except ValueError as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"PROBANS_SCANNER_ADDRESS: {error}") from error
    return Antivirus(scanner, Contents(settings.spool_folder), settings.scan_when_down)
