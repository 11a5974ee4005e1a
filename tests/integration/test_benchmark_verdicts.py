"""The benchmark of verdicts runs: what it measures is judged rightly by us and by those beside us."""

from __future__ import annotations

import pytest

from benchmarks import verdicts
from benchmarks.verdicts import run


def test_every_figure_stands_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_WARM_UP", 1)
    monkeypatch.setattr(verdicts, "_MEASURED", 1)
    figures = list(run(20, 0.01, 1))
    assert len(figures) == 6
    assert all(figure.runs[0] > 0 and "pyHanko used plainly" in figure.baseline for figure in figures)
