"""The benchmarks run, and print what scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import peers
from benchmarks.audits import run
from tests.services import postgresql

ROOT = Path(__file__).resolve().parents[2]


def test_each_figure_is_one_object_on_a_line() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "ledger",
        "--json",
        "--size",
        "600",
        "--seconds",
        "0.05",
        "--runs",
        "1",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(figures) == 13 + 6 * postgresql.installed() + 3 * peers.here()
    for figure in figures:
        assert list(figure) == ["name", "unit", "value", "runs", "goal", "baseline"]
        assert figure["value"] > 0
        assert len(figure["runs"]) == 1
    rates = [figure for figure in figures if figure["unit"] == "entries/s"]
    assert all(figure["baseline"] for figure in rates)


def test_audits_are_measured_beside_bare_hashing() -> None:
    figures = list(run(700, 1))
    assert [figure.unit for figure in figures][-1] == "MiB"
    assert len(figures) == 4
    assert all(figure.runs[0] > 0 and figure.baseline for figure in figures)
