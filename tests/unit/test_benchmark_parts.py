"""Parts of the benchmarks: proofs from a published log, and the comparison with Tessera."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks are run from the root and installed nowhere."""
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_proofs_are_measured_beside_their_baselines(size: int) -> None:
    from benchmarks import proofs

    figures = list(proofs.run(size, 0.01, 2))
    assert len({figure.name for figure in figures}) == 3
    for figure in figures:
        assert figure.unit == "proofs/s"
        assert len(figure.runs) == 2
        assert all(value > 0 for values in (figure.runs, *figure.baseline.values()) for value in values)
        assert "bare hashing of a path" in figure.summary()["baseline"]


PEER = """#!/bin/sh
[ -d "$2" ] || exit 1
case " $* " in
*" -batch-age 5ms "*) rate=1000 ;;
*) rate=900 ;;
esac
echo "{\\"per_second\\": $rate, \\"p99_ms\\": 5, \\"max_ms\\": 9}"
"""


@pytest.mark.usefixtures("importable")
def test_the_comparison_is_with_the_better_of_the_peers_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import peers

    program = tmp_path / "tessera-bench"
    program.write_text(PEER)
    program.chmod(0o755)
    monkeypatch.setattr(peers, "TESSERA", program)
    rates, waits, ratio = peers.compare(tmp_path, 0.01, 2, lambda: (3500.0, [2.0, 7.0]))
    assert rates.runs == [3500.0, 3500.0]
    assert list(rates.baseline.values()) == [[1000.0, 1000.0], [900.0, 900.0]]
    assert waits.summary()["value"] == 2.0
    assert sorted(waits.summary()["baseline"].values()) == [5.0, 5.0, 7.0, 9.0, 9.0]
    assert ratio.summary()["value"] == 3.5
    assert "5ms" in ratio.name
    assert list(tmp_path.iterdir()) == [program]


@pytest.mark.usefixtures("importable")
def test_without_the_peer_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import peers

    monkeypatch.setattr(peers, "TESSERA", tmp_path / "nowhere")
    assert list(peers.compare(tmp_path, 0.01, 1, lambda: (1.0, [1.0, 1.0]))) == []
    assert "tools/install.sh tessera-bench" in capsys.readouterr().err


@pytest.mark.usefixtures("importable")
@pytest.mark.needs("tessera-bench")
def test_tessera_is_measured(tmp_path: Path) -> None:
    from benchmarks import peers

    assert peers.here()
    rate, (p99, longest) = peers.tessera(tmp_path, 0.1, writers=8)
    assert rate > 10
    assert 0 < p99 <= longest
    assert list(tmp_path.iterdir()) == []
