"""Poppler, qpdf and EU DSS on sealed PDFs of every origin: each real file, each structure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pikepdf
import pytest

REAL = Path(__file__).resolve().parents[1] / "data" / "pdf-real"
# Cannot be opened without its password.
READABLE = [path for path in sorted(REAL.glob("*.pdf")) if not path.name.startswith("005-")]
# Overlapping elements and annotations without appearance, both older than the seal: DSS at its strictest says so.
FAULTY_FOR_DSS = {"009-GeoTopo-komprimiert.pdf", "024-annotated_pdf.pdf"}


@pytest.fixture(scope="module")
def sealed(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("judged")
    return {path.name: bench.seal_pdf(Path(shutil.copy(path, folder))) for path in READABLE}


@pytest.fixture(scope="module")
def shaped(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Linearized, object streams, several pages; sealed with RSASSA-PSS."""
    folder = tmp_path_factory.mktemp("shaped")
    made = []
    for index, options in enumerate(
        (
            {"linearize": True},
            {"object_stream_mode": pikepdf.ObjectStreamMode.generate},
            {"linearize": True, "object_stream_mode": pikepdf.ObjectStreamMode.generate},
        )
    ):
        path = folder / f"{index}.pdf"
        with pikepdf.new() as pdf:
            for _ in range(30):
                pdf.add_blank_page()
            pdf.save(path, **options)
        made.append(bench.seal_pdf(path, "rsa-pss"))
    return made


@pytest.mark.needs("pdfsig")
def test_poppler_says_valid_and_whole_document(
    sealed: dict[str, Path], shaped: list[Path], pdfsig: Any
) -> None:
    for path in [*sealed.values(), *shaped]:
        [found] = pdfsig(path)
        assert found["valid"], (path, found["said"])
        assert found["whole_document"], path


@pytest.mark.needs("qpdf")
def test_qpdf_has_no_complaint_that_it_had_not_before(
    sealed: dict[str, Path], shaped: list[Path], qpdf_check: Any
) -> None:
    for path in [*sealed.values(), *shaped]:
        done = qpdf_check(path)
        assert done.returncode == 0, (path, done.stdout, done.stderr)


@pytest.mark.needs("dss")
def test_dss_passes_every_real_file(sealed: dict[str, Path], bench: Any, dss: Any) -> None:
    names = list(sealed)
    for name, verdict in zip(names, dss(list(sealed.values()), bench.roots), strict=True):
        [signature] = verdict["signatures"]
        assert signature["level"] == "PAdES-BASELINE-T"
        assert signature["wholeDocument"], name
        assert [item["indication"] for item in signature["timestamps"]] == ["PASSED"], name
        if name in FAULTY_FOR_DSS:
            assert signature["subIndication"] == "FORMAT_FAILURE", name
        else:
            assert (signature["indication"], signature["errors"]) == ("TOTAL_PASSED", []), name
