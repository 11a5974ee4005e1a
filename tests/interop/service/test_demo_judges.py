"""Poppler, qpdf, EU DSS and veraPDF on what the demonstration and the service hand out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pikepdf
import pytest

# What DSS at its strictest blames was there before the seal: docs/interop.md says why.
FAULTY_FOR_DSS = {"009-GeoTopo-komprimiert.pdf", "024-annotated_pdf.pdf"}
# Every origin and structure: scans, forms, annotations, rotations, right-to-left text, many pages, PDF/A.
RENDERED = (
    *("001-minimal-document.pdf", "007-imagemagick-images.pdf", "012-libreoffice-form.pdf"),
    *("015-habibi-rotated.pdf", "020-output_with_metadata_pymupdf.pdf", "021-crazyones-pdfa.pdf"),
    *("023-cmyk-image.pdf", "attestation.pdf", "acte rectifié.pdf", *sorted(FAULTY_FOR_DSS)),
)


@pytest.mark.needs("pdfsig")
def test_poppler_says_valid_and_whole_document(service: Any, demonstration: Path, pdfsig: Any) -> None:
    for path in [demonstration / "act.pdf", *(item.original for item in service.sealed_pdfs)]:
        (found,) = pdfsig(path)
        assert found["valid"], (path, found["said"])
        assert found["whole_document"], path
        assert "Mairie de Valombre" in found["signer"]


@pytest.mark.needs("qpdf")
def test_qpdf_has_no_complaint_that_it_had_not_before(service: Any, qpdf_check: Any) -> None:
    def complaints(path: Path) -> tuple[int, list[str]]:
        done = qpdf_check(path)
        lines = (done.stdout + done.stderr).splitlines()
        return done.returncode, [line.replace(str(path), "") for line in lines if "WARNING" in line]

    for item in service.sealed_pdfs:
        code, said = complaints(item.original)
        before, said_before = complaints(item.brought)
        assert code <= before, (item.name, said)
        assert set(said) <= set(said_before), item.name


def test_pikepdf_opens_all_without_a_warning(service: Any, demonstration: Path) -> None:
    for path in [demonstration / "act.pdf", *(item.original for item in service.sealed_pdfs)]:
        with pikepdf.open(path) as pdf:
            for _ in pdf.pages:
                pass
            assert pdf.get_warnings() == [], path


@pytest.mark.needs("pdfsig")
@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
def test_poppler_paints_the_same_pages_before_and_after(service: Any, algorithm: str, tmp_path: Path) -> None:
    for name in RENDERED:
        item = service.one(name, algorithm)
        for side, path in (("before", item.brought), ("after", item.original)):
            (tmp_path / side).mkdir(exist_ok=True)
            command = ["pdftoppm", "-r", "40", "-l", "5", "-png", path, tmp_path / side / name]
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
        pages = sorted((tmp_path / "before").glob(f"{name}-*.png"))
        assert pages
        for page in pages:
            assert page.read_bytes() == (tmp_path / "after" / page.name).read_bytes(), page.name


@pytest.mark.needs("verapdf")
def test_verapdf_finds_sealed_templates_conform(service: Any, demonstration: Path, verapdf: Any) -> None:
    files = [demonstration / "act.pdf"]
    for algorithm in ("p256", "rsa-pss"):
        for name in ("attestation.pdf", "première version.pdf", "acte rectifié.pdf", "acte révoqué.pdf"):
            files.append(service.one(name, algorithm).original)
    # An act of other software keeps the conformance it came with.
    archival = [service.one("021-crazyones-pdfa.pdf", algorithm) for algorithm in ("p256", "rsa-pss")]
    kept = verapdf([path for item in archival for path in (item.brought, item.original)], ("1b",))
    verdicts = [*verapdf(files), *kept]
    assert [each["flavour"] for each in verdicts] == ["2a", "ua1"] * len(files) + ["1b"] * 4
    assert [each for each in verdicts if not each["compliant"] or each["error"]] == []


def passed(signature: dict[str, Any]) -> None:
    assert (signature["indication"], signature["errors"]) == ("TOTAL_PASSED", [])
    assert signature["wholeDocument"]
    assert signature["revocation"]
    assert [each["indication"] for each in signature["timestamps"]] == ["PASSED"]


@pytest.mark.needs("dss")
@pytest.mark.needs("unzip")
def test_dss_passes_every_act_bundle_and_token(
    service: Any, seals: list[Any], demonstration: Path, dss: Any
) -> None:
    """One run: the development root is the only anchor, nothing is fetched, revocation data is wanted."""
    acts = service.sealed_pdfs
    pdfs = [item.original for item in acts]
    bundles = service.bundles
    lists = {path.name: path for seal in seals for path in seal.bundle.glob("revocation/*.crl")}
    verdicts = dss(
        [demonstration / "act.pdf", *pdfs, *bundles],
        service.roots,
        detached=[seal.value for seal in seals],
        tokens=[seal.token for seal in seals],
        crls=list(lists.values()),
    )
    assert [verdict for verdict in verdicts if verdict["error"]] == []
    of_pdfs, of_bundles = verdicts[: 1 + len(pdfs)], verdicts[1 + len(pdfs) :][: len(bundles)]
    for name, verdict in zip(["act.pdf", *(item.name for item in acts)], of_pdfs, strict=True):
        (signature,) = verdict["signatures"]
        assert signature["level"] == "PAdES-BASELINE-T"
        if name in FAULTY_FOR_DSS:
            assert signature["subIndication"] == "FORMAT_FAILURE"
            assert all(re.search(r"on page\(s\)", error) for error in signature["errors"]), signature[
                "errors"
            ]
        else:
            passed(signature)
    for bundle, verdict in zip(bundles, of_bundles, strict=True):
        assert verdict["signatures"], bundle
        for signature in verdict["signatures"]:
            passed(signature)
            # Certificates and CRLs in SignedData: the LT form as DSS reads it.
            assert signature["level"] == "CAdES-BASELINE-LT"
    assert sum(len(verdict["signatures"]) for verdict in of_bundles) == len(seals) - len(of_pdfs)
    of_tokens = verdicts[1 + len(pdfs) + len(bundles) :]
    found = [[each["indication"] for each in verdict["timestamps"]] for verdict in of_tokens]
    assert found == [["PASSED"]] * len(seals)
