"""The markers `needs` and `soak`: nothing is left out in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
SUITE = """
import pytest

@pytest.mark.needs("qpdf")
def test_judged(): pass

@pytest.mark.soak("kill")
def test_long(): pass

def test_plain(): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    shutil.copy(CONFTEST, tmp_path / "tests")
    (tmp_path / "tests" / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  needs(name): x\n  soak(name): x\n")
    return tmp_path


def run(suite: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the little suite on a machine that has no program at all."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PROBANS_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=suite,
        env=kept | {"PATH": str(suite / "nothing")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_what_is_missing_is_deselected_and_told(suite: Path, workers: tuple[str, ...]) -> None:
    done = run(suite, *workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "qpdf          1 test  in tests/test_suite.py" in done.stdout
    assert "tools/install.sh qpdf\n" in done.stdout


def test_what_is_missing_is_an_error_where_all_is_required(suite: Path) -> None:
    done = run(suite, PROBANS_REQUIRE="all")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    missing = done.stderr.partition("not found: ")[2].partition(" (")[0].split()
    assert {
        "dss",
        "load-client",
        "oidc-provider",
        "openssl",
        "pdfsig",
        "qpdf",
        "strace",
        "tessera-bench",
        "tessera-fsck",
        "tlog-scales",
        "unzip",
        "verapdf",
    } <= set(missing)
    assert missing == sorted(missing)
    assert "aics-tlog" not in missing, "it wants a newer Python than the product does"


def test_long_forms_run_when_asked_by_name(suite: Path) -> None:
    assert "2 passed" in run(suite, "--soak", "kill").stdout
    assert "1 passed" in run(suite, "--soak", "flips").stdout


def test_misspelt_names_are_errors(suite: Path) -> None:
    path = suite / "tests" / "test_suite.py"
    path.write_text(SUITE.replace('"qpdf"', '"qdpf"'))
    done = run(suite)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unknown name" in done.stderr
