"""Scripts in objects whose numbers qpdf believes impossible: it leaves them out, a reader runs them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from signing.base import SealSource
from signing.errors import PdfRefused
from signing.pdf_reader import read_sealable
from tests.attacks.pdf.conftest import REFERENCES

SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"


def hiding(pdfs: Any, number: int, reference: bytes, size: int | None = None) -> bytes:
    """A PDF whose catalog opens with a script in a compressed object; its table names only what there is."""
    out, rows = bytearray(pdfs.header), []
    plain = pdfs.with_catalog(b"/OpenAction " + reference)
    inside = b"%d 0 " % number
    container = pdfs.stream(
        b"/Type /ObjStm /N 1 /First %d /Filter /FlateDecode" % len(inside), zlib.compress(inside + SCRIPT)
    )
    for each, body in {**plain, number + 1: container}.items():
        rows.append((each, b"\1" + len(out).to_bytes(4, "big") + bytes(4)))
        out += b"%d 0 obj\n%b\nendobj\n" % (each, body)
    rows += [
        (number, b"\2" + (number + 1).to_bytes(4, "big") + bytes(4)),
        (4, b"\1" + len(out).to_bytes(4, "big") + bytes(4)),
    ]
    index = b" ".join(b"%d 1" % each for each, _ in sorted(rows))
    entries = b"/Type /XRef /W [1 4 4] /Index [%b] /Size %d /Root 1 0 R" % (index, size or number + 2)
    table = len(out)
    out += b"4 0 obj\n%b\nendobj\n" % pdfs.stream(entries, b"".join(row for _, row in sorted(rows)))
    return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % table


def test_one_within_the_bound_is_found(pdfs: Any, tmp_path: Path) -> None:
    assert pdfs.outcome(hiding(pdfs, 20, b"20 0 R"), tmp_path) == "PDF_JAVASCRIPT"


@pytest.mark.parametrize("number", [400, 5000, 70_000, 7_000_000])
@pytest.mark.parametrize("size", [None, 5])
def test_one_beyond_it_is_refused(pdfs: Any, number: int, size: int | None, tmp_path: Path) -> None:
    data = hiding(pdfs, number, b"%d 0 R" % number, size)
    with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        assert pdf.Root.get("/OpenAction") is None, "qpdf sees it now: the bound is another"
    assert pdfs.outcome(data, tmp_path) in {"PDF_DAMAGED", "PDF_TOO_COMPLEX"}


@pytest.mark.parametrize("form", REFERENCES)
def test_however_it_is_written(pdfs: Any, form: bytes, tmp_path: Path) -> None:
    data = hiding(pdfs, 5000, form % 5000, 5)
    assert pdfs.outcome(data, tmp_path) == "PDF_DAMAGED"


def test_a_size_beyond_the_bound_takes_no_seal(pdfs: Any, tmp_path: Path) -> None:
    """What the seal adds would have numbers that qpdf leaves out."""
    path = tmp_path / "large-size.pdf"
    data = pdfs.raw(pdfs.plain).replace(b"/Size 4 ", b"/Size 65535 ")
    path.write_bytes(data)
    assert pdfs.outcome(data, tmp_path) == "PDF_DAMAGED"
    with path.open("rb") as stream, pytest.raises(PdfRefused) as caught:
        read_sealable(SealSource(stream, path, len(data), bytes(32)))
    assert caught.value.code == "PDF_DAMAGED"


@pytest.mark.parametrize("kind", ["table", "stream"])
def test_a_listed_object_beyond_the_bound_is_refused(pdfs: Any, kind: str, tmp_path: Path) -> None:
    """Nothing leads to it, and qpdf sees it once a seal has made the file longer."""
    if kind == "stream":
        data = hiding(pdfs, 400, b"3 0 R", 5)
    else:
        plain = pdfs.raw(pdfs.plain)
        at = plain.index(b"trailer")
        data = plain[:at] + b"400 1\n0000000015 00000 n \n" + plain[at:]
    with pikepdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
        assert max(number for number, _ in pdf.get_xref_table()) < 10
        assert not pdf.get_warnings()
    assert pdfs.outcome(data, tmp_path) == "PDF_DAMAGED"


def test_a_broken_annotation_is_damage(pdfs: Any, tmp_path: Path) -> None:
    """Whoever verifies a seal looks for fields among the annotations, and would find the file damaged."""
    for broken in (b"<< /Dest [ 3 /Rect >>", b"<< /Subtype /Link /P[ 60 400 >>"):
        data = pdfs.raw({**pdfs.with_page(b"/Annots [4 0 R]"), 4: broken})
        assert pdfs.outcome(data, tmp_path) == "PDF_DAMAGED"
    sound = pdfs.raw({**pdfs.with_page(b"/Annots [4 0 R]"), 4: b"<< /Subtype /Link /Rect [0 0 1 1] >>"})
    assert pdfs.outcome(sound, tmp_path) == "issued"


def test_a_node_of_a_tree_is_no_form(pdfs: Any, tmp_path: Path) -> None:
    """A copy of it would stand in the catalog: EU DSS finds the document changed."""
    path = tmp_path / "form.pdf"
    data = pdfs.raw(pdfs.with_catalog(b"/AcroForm 2 0 R"))
    path.write_bytes(data)
    with path.open("rb") as stream, pytest.raises(PdfRefused):
        read_sealable(SealSource(stream, path, len(data), bytes(32)))
