"""The benchmark of seals runs, and its figures have the names that are looked for."""

from __future__ import annotations

import pytest

from benchmarks import seal
from benchmarks.peers import sealers
from benchmarks.seal import run


def test_every_figure_stands_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_DSS_WARM_UP", 1)
    monkeypatch.setattr(seal, "_DSS_EACH", 1)
    figures = {figure.name: figure for figure in run(20, 0.01, 1)}
    assert {"seal-b-t-rsa-17kB-over-floor", "seal-b-t-p256-17kB-over-floor"} <= set(figures)
    dss = sealers.DSS.is_file()
    assert len(figures) == 2 * (5 + dss) + 2 * 3 + 4 * 4 + 2
    for figure in figures.values():
        assert figure.unit == "times"
        assert figure.runs[0] > 0
        assert figure.baseline
