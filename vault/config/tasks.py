"""Settings of background work; `vault.settings` reads them from the environment with the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field

_PRODUCTION_SCRUB_DAYS = 30.0


class TaskSettings(BaseModel):
    """Who does what nobody waits for, and how often the store is read again (`docs/background.md`)."""

    tasks: Literal["inside", "worker"] = Field(
        "inside",
        description="Who does the background work: every serving process, or `probans worker` alone. Checkpoints are "
        "published by serving processes in either case.",
    )
    scrub_days: float | None = Field(
        None,
        ge=0,
        le=3650,
        description="Days from one reading of the whole store by the background work to the next; 0: it is never read "
        "so; not set: 30 in production, never in development.",
    )
    scrub_rate: float = Field(
        10.0, gt=0, le=10_000, description="Mebibytes a second which that reading takes of the store at most."
    )

    def scrub_every(self, *, production: bool) -> timedelta | None:
        """Return the time from the beginning of one scheduled scrub to the next one's; None where there is none."""
        days = self.scrub_days
        if days is None:
            days = _PRODUCTION_SCRUB_DAYS if production else 0.0
        return timedelta(days=days) if days else None
