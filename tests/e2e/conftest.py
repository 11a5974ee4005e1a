"""What the heavy suites share: their figures, and the counts of their long forms."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a long form does; set by `python -m tests.soak`.

    Attributes:
        seed: of every choice by chance.
        count: of repetitions, None for the suite's own.
    """

    seed: int
    count: int | None


@pytest.fixture
def plan() -> Plan:
    """Return the plan of this run."""
    count = os.environ.get("SOAK_COUNT")
    return Plan(int(os.environ.get("SOAK_SEED", "1")), int(count) if count else None)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that states a measured figure in the run's summary."""

    def state(text: str) -> None:
        record_property("figure", text)
        print(text)

    return state
