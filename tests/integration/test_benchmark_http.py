"""The benchmark of the issue path over HTTP runs, and everything that it says it issued is in the safe."""

from __future__ import annotations

import pytest

from benchmarks import http_cost


@pytest.mark.needs("load-client")
def test_documents_over_http_are_measured_beside_a_route_that_does_nothing(monkeypatch) -> None:
    monkeypatch.setattr(http_cost, "KEYS", ("p256",))
    monkeypatch.setattr(http_cost, "CONNECTIONS", 3)
    figures = {figure.name: figure for figure in http_cost.run(0.4, 1)}
    assert list(figures) == [
        "http-p256-cpu",
        "http-p256-cpu-of-allowed",
        "http-p256-added-of-doing-nothing",
        "http-p256-documents",
    ]
    assert all(len(figure.runs) == 1 and figure.baseline for figure in figures.values())
    spent = figures["http-p256-cpu"]
    assert spent.runs[0] > spent.baseline["the route doing nothing"][0] > 0
    assert set(figures["http-p256-documents"].baseline) >= {"in process", "the route doing nothing"}


def test_without_the_client_a_line_says_how_to_get_it(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(http_cost, "CLIENT", tmp_path / "nowhere")
    assert list(http_cost.run(0.1, 1)) == []
    assert "tools/install.sh load-client" in capsys.readouterr().err
