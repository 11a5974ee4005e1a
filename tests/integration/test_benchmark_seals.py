"""The benchmark of seals runs, and its figures have the names that are looked for."""

from __future__ import annotations

import pytest

from benchmarks import seal, seal_large
from benchmarks.peers import sealers
from benchmarks.seal import run


def test_every_figure_stands_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    # One key is enough to see that all of it runs.
    monkeypatch.setattr(seal, "KEYS", ("p256",))
    monkeypatch.setattr(seal, "_DSS_WARM_UP", 1)
    monkeypatch.setattr(seal, "_DSS_EACH", 1)
    monkeypatch.setattr(seal_large, "SIZE", 4 << 20)
    figures = {figure.name: figure for figure in run(20, 0.01, 1)}
    assert "seal-b-t-p256-17kB-over-floor" in figures
    dss = sealers.DSS.is_file()
    assert len(figures) == (6 + dss) + 4 + 2 * 5 + 1 + 1 + 2
    for figure in figures.values():
        assert figure.unit == ("MiB" if figure.name == "seal-1GiB-peak-memory-over-base" else "times")
        assert figure.runs[0] >= 0
        assert figure.baseline
    aimed = {name: figure.goal.partition(",")[0] for name, figure in figures.items() if figure.goal}
    stated = {
        "seal-b-t-p256-17kB-over-floor": "at most 7",
        "seal-b-t-p256-17kB-p99-over-minimum": "at most 3",
        "seal-b-t-p256-17kB-pyhanko-used-well-over-ours": "at least 60",
        "seal-b-t-p256-20-pages-table-over-floor-open-apart": "at most 3",
        "seal-b-t-p256-20-pages-table-pyhanko-used-well-over-ours": "at least 3",
        "seal-b-t-p256-20-pages-stream-over-floor-open-apart": "at most 3",
        "seal-b-t-p256-20-pages-stream-pyhanko-used-well-over-ours": "at least 3",
        "check-own-p256-17kB-over-floor": "at most 2",
        "seal-b-t-p256-17kB-two-processes-over-one": "at least 1.8",
        "seal-1GiB-peak-memory-over-base": "at most 32",
        "seal-1GiB-after-upload-over-17kB": "at most 5",
    }
    assert aimed == stated | ({"seal-b-t-p256-17kB-dss-warm-over-ours": "at least 15"} if dss else {})
