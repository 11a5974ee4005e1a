"""One measured number, with all its runs and what stood beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass
class Figure:
    """A figure.

    Attributes:
        name: what was measured.
        unit: of every value.
        runs: each repetition.
        baseline: repetitions of what it is compared with, by name, taken in turn with the runs.
    """

    name: str
    unit: str
    runs: list[float] = field(default_factory=list)
    baseline: dict[str, list[float]] = field(default_factory=dict)

    def beside(self, name: str, value: float) -> None:
        """Add a repetition of a baseline."""
        self.baseline.setdefault(name, []).append(value)

    def summary(self) -> dict[str, Any]:
        """Return the printed form: medians, and the runs themselves."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": median(self.runs),
            "runs": self.runs,
            "baseline": {name: median(values) for name, values in self.baseline.items()},
        }


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
