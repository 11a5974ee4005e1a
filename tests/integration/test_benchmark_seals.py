"""The benchmark of seals runs, and its figures have the names that are looked for."""

from __future__ import annotations

import pytest

from benchmarks import seal
from benchmarks.peers import sealers
from benchmarks.seal import run


def test_every_figure_stands_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    # One key is enough to see that all of it runs.
    monkeypatch.setattr(seal, "KEYS", ("p256",))
    monkeypatch.setattr(seal, "_DSS_WARM_UP", 1)
    monkeypatch.setattr(seal, "_DSS_EACH", 1)
    figures = {figure.name: figure for figure in run(20, 0.01, 1)}
    assert "seal-b-t-p256-17kB-over-floor" in figures
    dss = sealers.DSS.is_file()
    assert len(figures) == (5 + dss) + 3 + 2 * 4 + 1 + 1
    for figure in figures.values():
        assert figure.unit == "times"
        assert figure.runs[0] > 0
        assert figure.baseline
