"""Every judge on two hundred made PDFs, sealed with both builders of the CMS; a part of them in every run.

In every run a fifth of them with our own builder; `make soak made-pdfs` takes all, with both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from signing.cms import CmsSigner
from signing.pades import PadesSealer
from tests.pdf.made_pdfs import STANDARDS, made_pdfs
from tests.pdf.pyhanko_cms import PyHankoCmsSigner

EVERY = 5
# Older than the seal, and DSS at its strictest refuses them: widgets and links that lie upon one another.
FAULTY_FOR_DSS: frozenset[str] = frozenset()


def sealed_by(bench: Any, folder: Path, names: list[str], builder: Any, monkeypatch: Any) -> dict[str, Path]:
    made = PadesSealer.__init__

    def with_builder(self: PadesSealer, key: Any, **how: Any) -> None:
        made(self, key, **how)
        self._signer = builder(key)

    monkeypatch.setattr(PadesSealer, "__init__", with_builder)
    found = {}
    for index, name in enumerate(names):
        path = folder / f"{name}.pdf"
        path.write_bytes(made_pdfs()[name])
        found[name] = bench.seal_pdf(path, "rsa-pss" if index % 5 == 0 else "p256")
    monkeypatch.undo()
    return found


@pytest.fixture(scope="module")
def some(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("some")
    names = list(made_pdfs())[::EVERY]
    with pytest.MonkeyPatch.context() as patch:
        return sealed_by(bench, folder, names, CmsSigner, patch)


def judge_pdfsig(sealed: dict[str, Path], pdfsig: Any) -> None:
    for name, path in sealed.items():
        # A field that waits for somebody else's signature is listed too.
        [found] = [item for item in pdfsig(path) if "form field is not signed" not in item["said"]]
        assert found["valid"], (name, found["said"])
        assert found["whole_document"], name


def judge_qpdf(sealed: dict[str, Path], qpdf_check: Any) -> None:
    for name, path in sealed.items():
        done = qpdf_check(path)
        # That an updated file is linearized no more is no complaint; any other is.
        assert done.returncode == 0, (name, done.stdout, done.stderr)


def judge_pyhanko(sealed: dict[str, Path], bench: Any) -> None:
    roots = [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in bench.pki.roots()]
    for name, path in sealed.items():
        with path.open("rb") as stream:
            reader = PdfFileReader(stream, strict=False)
            [signature] = reader.embedded_signatures
            context = ValidationContext(trust_roots=roots, allow_fetching=False)
            status = validate_pdf_signature(signature, context, ts_validation_context=context)
            assert status.bottom_line, (name, status.pretty_print_details())
            assert status.coverage.name == "ENTIRE_FILE", name


def judge_dss(sealed: dict[str, Path], bench: Any, dss: Any) -> None:
    paths = list(sealed.values())
    # A JVM for each 50, whose time is limited.
    verdicts = [
        verdict for at in range(0, len(paths), 50) for verdict in dss(paths[at : at + 50], bench.roots)
    ]
    refused = {}
    for name, verdict in zip(sealed, verdicts, strict=True):
        [signature] = verdict["signatures"]
        assert signature["level"] == "PAdES-BASELINE-T", name
        assert signature["wholeDocument"], name
        if signature["indication"] != "TOTAL_PASSED":
            refused[name] = (signature["subIndication"], signature["errors"])
    assert set(refused) <= FAULTY_FOR_DSS, refused


@pytest.mark.needs("pdfsig")
def test_poppler(some: dict[str, Path], pdfsig: Any) -> None:
    judge_pdfsig(some, pdfsig)


@pytest.mark.needs("qpdf")
def test_qpdf(some: dict[str, Path], qpdf_check: Any) -> None:
    judge_qpdf(some, qpdf_check)


def test_pyhanko(some: dict[str, Path], bench: Any) -> None:
    judge_pyhanko(some, bench)


@pytest.mark.needs("dss")
def test_dss(some: dict[str, Path], bench: Any, dss: Any) -> None:
    judge_dss(some, bench, dss)


def conformance(paths: list[Path], flavours: dict[str, str], verapdf: Any) -> dict[str, list[str]]:
    """What veraPDF holds against each file, by the flavour that it claims."""
    wanted = {
        path: flavours[
            path.name.partition(".")[2].removesuffix(".pdf").partition("-rsa")[0].partition("-p256")[0]
        ]
        for path in paths
    }
    found = {}
    for verdict in verapdf(paths, tuple(dict.fromkeys(wanted.values()))):
        path = Path(verdict["file"])
        if wanted[path] == verdict["flavour"]:
            assert not verdict["error"], path
            found[path.name] = sorted(str(each["rule"]) for each in verdict["failures"])
    return found


@pytest.mark.needs("verapdf")
def test_verapdf(bench: Any, verapdf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {"a-1b": "1b", "a-2b": "2b", "a-3b": "3b"}
    names = [f"typst-1.{standard}" for standard in claims]
    sealed = sealed_by(bench, tmp_path, names, CmsSigner, monkeypatch)
    files = [*(tmp_path / f"{name}.pdf" for name in names), *sealed.values()]
    assert list(conformance(files, claims, verapdf).values()) == [[]] * 6


@pytest.mark.soak("made-pdfs")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("builder", ["prepared", "pyhanko"])
@pytest.mark.needs("pdfsig", "qpdf", "dss", "verapdf")
def test_all_by_all(
    builder: str,
    bench: Any,
    pdfsig: Any,
    qpdf_check: Any,
    dss: Any,
    verapdf: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Any,
) -> None:
    begun = datetime.now(UTC)
    signer = CmsSigner if builder == "prepared" else PyHankoCmsSigner
    sealed = sealed_by(bench, tmp_path, list(made_pdfs()), signer, monkeypatch)
    judge_pdfsig(sealed, pdfsig)
    judge_qpdf(sealed, qpdf_check)
    judge_pyhanko(sealed, bench)
    judge_dss(sealed, bench, dss)
    claims = {key: value for key, value in STANDARDS.items() if key[0] in "au"}
    conforming = [name for name in sealed if name.partition(".")[2] in claims and name.startswith("typst")]
    before = conformance([tmp_path / f"{name}.pdf" for name in conforming], claims, verapdf)
    after = conformance([sealed[name] for name in conforming], claims, verapdf)
    assert list(before.values()) == list(after.values())
    seconds = (datetime.now(UTC) - begun).total_seconds()
    record_property(
        "figure",
        f"{builder}: {len(sealed)} sealed, accepted by pyHanko, pdfsig (total document), qpdf --check, EU DSS "
        f"({len(FAULTY_FOR_DSS)} refused by it for what is older than the seal); veraPDF says the same of "
        f"{len(before)} before and after, of which {sum(not item for item in before.values())} conform; "
        f"{seconds:.0f} s",
    )
