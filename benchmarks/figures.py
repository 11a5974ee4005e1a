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
        at_most: goal; None for none of this kind.
        at_least: the same the other way round.
    """

    name: str
    unit: str
    runs: list[float] = field(default_factory=list)
    baseline: dict[str, list[float]] = field(default_factory=dict)
    at_most: float | None = None
    at_least: float | None = None

    @property
    def goal(self) -> str:
        """The goal in words, and whether it was reached; empty where there is none."""
        value = median(self.runs)
        goals = []
        if self.at_most is not None:
            goals.append(f"at most {self.at_most:g}, {'reached' if value <= self.at_most else 'missed'}")
        if self.at_least is not None:
            goals.append(f"at least {self.at_least:g}, {'reached' if value >= self.at_least else 'missed'}")
        return "; ".join(goals)

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
            "goal": self.goal,
            "baseline": {name: median(values) for name, values in self.baseline.items()},
        }


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
