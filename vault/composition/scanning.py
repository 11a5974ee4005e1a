"""Puts the antivirus' queue together."""

from __future__ import annotations

from vault.composition.parts import Parts
from vault.db.repositories import Documents
from vault.records.objects import Shelf
from vault.scanning.queue import QueueConfig, ScanQueue


def open_scan_queue(parts: Parts, shelf: Shelf) -> ScanQueue | None:
    """Return the queue of files that wait for the antivirus; None where there is none."""
    if parts.antivirus is None:
        return None
    settings = parts.settings
    config = QueueConfig(settings.spool_folder, settings.scan_interval, settings.rescan_per_minute)
    return ScanQueue(
        parts.database,
        Documents(parts.keyring),
        shelf,
        parts.records,
        parts.antivirus,
        parts.clock,
        config,
    )
