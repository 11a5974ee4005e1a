"""The benchmark of the whole issue path runs, and everything that it says it issued is in the safe."""

from __future__ import annotations

from benchmarks import path


def test_documents_are_measured_beside_raw_signatures(monkeypatch) -> None:
    monkeypatch.setattr(path, "KEYS", ("p256",))
    monkeypatch.setattr(path, "THREADS", 3)
    monkeypatch.setattr(path, "LINES", 20)
    figures = {figure.name: figure for figure in path.run(0.3, 1)}
    assert list(figures) == [
        "path-p256-one-at-a-time",
        "path-p256-groups",
        "path-p256-groups-of-raw-signatures",
        "path-p256-cpu",
        "path-p256-batch-of-groups",
        "path-p256-cpu-by-step-one-at-a-time",
        "path-p256-cpu-by-step-groups",
    ]
    assert all(
        len(figure.runs) == 1 and figure.runs[0] > 0 and figure.baseline for figure in figures.values()
    )
    steps = figures["path-p256-cpu-by-step-groups"].baseline
    assert {"1 receive", "2 inspect", "3 seal", "7 rows, entries, head", "thread probans-ledger"} <= set(
        steps
    )
