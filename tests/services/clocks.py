"""Clocks for `open_vault` that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Shifted:
    """The machine's clock, put forward by tests."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **more: float) -> None:
        self.ahead += timedelta(**more)
