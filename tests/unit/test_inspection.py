"""Inspection of ordinary files: real PDFs from other software, signatures, associated files, other types."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name

from vault import inspection
from vault.errors import Refused
from vault.files import pdf_guard
from vault.inspection import Inspection, InspectionLimits, inspect
from vault.intake import Spooled, receive

DATA = Path(__file__).parents[1] / "data"
REAL = DATA / "pdf-real"
with (DATA / "expected.tsv").open(encoding="utf-8", newline="") as table:
    EXPECTED = {row["file"]: row["outcome"] for row in csv.DictReader(table, delimiter="\t")}
XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">%b</rdf:Description></rdf:RDF></x:xmpmeta>"""
PART_3 = XMP % b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>"


@contextmanager
def received(data: bytes, folder: Path) -> Iterator[Spooled]:
    with receive([data], folder=folder, limit=10**8) as spooled:
        yield spooled


def look(data: bytes, folder: Path, *, name: str = "acte.pdf", as_act: bool = True, **more) -> Inspection:
    """Inspect and close; the facts stay readable."""
    with (
        received(data, folder) as spooled,
        inspect(spooled, name=name, declared_type=None, as_act=as_act, **more) as result,
    ):
        assert spooled.stream.read() == data
        return result


def outcome(data: bytes, folder: Path, **more) -> str:
    try:
        look(data, folder, **more)
    except Refused as error:
        return error.code
    return "issued"


def made(change: Callable[[pikepdf.Pdf], None], folder: Path, **save) -> bytes:
    """A one-page PDF, changed, saved."""
    pdf = pikepdf.new()
    pdf.add_blank_page()
    change(pdf)
    path = folder / "made.pdf"
    pdf.save(path, **save)
    return path.read_bytes()


def embed(pdf: pikepdf.Pdf, *, relationship: bool, associated: bool, metadata: bytes = PART_3) -> None:
    stream = pdf.make_stream(b"<facture/>", Type=Name.EmbeddedFile, Subtype=Name("/text/xml"))
    specification = pdf.make_indirect(
        Dictionary(Type=Name.Filespec, F="f.xml", UF="f.xml", EF=Dictionary(F=stream))
    )
    if relationship:
        specification.AFRelationship = Name.Data
    if associated:
        pdf.Root.AF = Array([specification])
    pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array(["f.xml", specification])))
    pdf.Root.Metadata = pdf.make_stream(metadata, Type=Name.Metadata, Subtype=Name.XML)


def test_the_table_speaks_of_every_file():
    assert sorted(EXPECTED) == sorted(path.name for path in REAL.glob("*.pdf"))
    assert len(EXPECTED) == 29


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_files_as_acts(name, tmp_path):
    assert outcome((REAL / name).read_bytes(), tmp_path, name=name) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_files_as_attachments(name, tmp_path):
    result = look((REAL / name).read_bytes(), tmp_path, name=name, as_act=False)
    assert result.media_type == "application/pdf"
    assert result.pdf is None
    assert not result.has_signatures
    found = [finding.code for finding in result.findings]
    assert found == ([] if EXPECTED[name] == "issued" else [EXPECTED[name]])


def test_an_act_comes_back_open_and_unrepaired(tmp_path):
    data = (REAL / "009-GeoTopo-komprimiert.pdf").read_bytes()
    with (
        received(data, tmp_path) as spooled,
        inspect(spooled, name="a.pdf", declared_type="application/pdf", as_act=True) as result,
    ):
        assert result.pdf is not None
        assert (result.pages, result.pdf_version, len(result.pdf.pages)) == (117, "1.5", 117)


def test_a_file_with_lzw_is_examined_in_the_fenced_process(tmp_path, monkeypatch):
    calls = []

    def counted(path, descriptor, limits):
        calls.append(path)
        return pdf_guard.probe(path, descriptor, limits)

    monkeypatch.setattr(inspection, "probe", counted)
    assert outcome((REAL / "007-imagemagick-lzw.pdf").read_bytes(), tmp_path) == "issued"
    assert len(calls) == 1
    assert outcome((REAL / "001-minimal-document.pdf").read_bytes(), tmp_path) == "issued"
    assert len(calls) == 1


def test_growth_of_the_process_sends_the_file_to_the_fenced_process(tmp_path, monkeypatch):
    growing = iter(range(0, 10**12, 10**9))
    monkeypatch.setattr(pdf_guard, "resident", lambda: next(growing))
    assert outcome((REAL / "009-GeoTopo-komprimiert.pdf").read_bytes(), tmp_path) == "issued"


def test_a_signed_act_is_accepted_and_said_to_be_signed(tmp_path):
    def sign(pdf: pikepdf.Pdf) -> None:
        value = Dictionary(
            Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), ByteRange=[0, 1, 2, 3], Contents=b"\0"
        )
        field = Dictionary(FT=Name.Sig, T="s", V=pdf.make_indirect(value))
        pdf.Root.AcroForm = Dictionary(SigFlags=3, Fields=[pdf.make_indirect(field)])

    assert look(made(sign, tmp_path), tmp_path).has_signatures
    packed = made(sign, tmp_path, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    assert look(packed, tmp_path).has_signatures


def test_an_empty_signature_field_is_no_signature(tmp_path):
    def ask(pdf: pikepdf.Pdf) -> None:
        field = pdf.make_indirect(Dictionary(FT=Name.Sig, T="s"))
        pdf.Root.AcroForm = Dictionary(Fields=[field])

    assert not look(made(ask, tmp_path), tmp_path).has_signatures


def test_a_signature_field_without_byte_range_counts_as_signed(tmp_path):
    def sign(pdf: pikepdf.Pdf) -> None:
        field = pdf.make_indirect(Dictionary(FT=Name.Sig, T="s", V=Dictionary(Type=Name.Sig)))
        pdf.Root.AcroForm = Dictionary(Fields=[field])

    assert look(made(sign, tmp_path), tmp_path).has_signatures


def test_files_associated_in_a_pdf_a_3_are_allowed(tmp_path):
    data = made(lambda pdf: embed(pdf, relationship=True, associated=True), tmp_path)
    assert look(data, tmp_path).findings == ()


@pytest.mark.parametrize(
    "lacking",
    [
        {"relationship": False, "associated": True},
        {"relationship": True, "associated": False},
        {"relationship": True, "associated": True, "metadata": XMP % b"<pdfaid:part>2</pdfaid:part>"},
        {"relationship": True, "associated": True, "metadata": b"part 3"},
    ],
)
def test_files_not_really_associated_are_refused(lacking, tmp_path):
    data = made(lambda pdf: embed(pdf, **lacking), tmp_path)
    assert outcome(data, tmp_path) == "PDF_EMBEDDED_FILES"


def test_one_undeclared_file_among_associated_ones_is_refused(tmp_path):
    def both(pdf: pikepdf.Pdf) -> None:
        embed(pdf, relationship=True, associated=True)
        hidden = Dictionary(Type=Name.Filespec, F="x", EF=Dictionary(F=pdf.make_stream(b"MZ")))
        pdf.pages[0].obj.PieceInfo = Dictionary(App=Dictionary(Private=hidden))

    assert outcome(made(both, tmp_path), tmp_path) == "PDF_EMBEDDED_FILES"


@pytest.mark.parametrize("kind", ["URI", "GoTo", "Named", "SetOCGState", "ResetForm", "Hide"])
def test_harmless_actions_are_allowed(kind, tmp_path):
    def link(pdf: pikepdf.Pdf) -> None:
        pdf.Root.OpenAction = Dictionary(S=Name("/" + kind), URI="https://example.org/", JSON=1)

    assert outcome(made(link, tmp_path), tmp_path) == "issued"


def test_a_name_that_only_lies_in_an_older_object_is_no_refusal(tmp_path):
    def unreachable(pdf: pikepdf.Pdf) -> None:
        pdf.make_indirect(Dictionary(S=Name.JavaScript, JS="app.alert(1)"))
        pdf.pages[0].obj.Note = "/JavaScript is only written here"

    assert outcome(made(unreachable, tmp_path), tmp_path) == "issued"


def test_a_file_that_is_no_pdf_is_allowed_with_its_findings(tmp_path):
    data = b"<?xml version='1.0'?><acte/>"
    result = look(data, tmp_path, name="acte.pdf")
    assert (result.media_type, result.pdf, result.pages) == ("application/xml", None, None)
    assert [(f.code, f.params) for f in result.findings] == [
        ("TYPE_DIFFERS", {"source": "name", "declared": "application/pdf", "found": "application/xml"})
    ]


def test_a_lying_content_type_is_reported(tmp_path):
    data = (REAL / "001-minimal-document.pdf").read_bytes()
    with (
        received(data, tmp_path) as spooled,
        inspect(spooled, name="photo.png", declared_type="image/png; q=1", as_act=True) as result,
    ):
        assert [finding.params["source"] for finding in result.findings] == ["name", "header"]
        assert result.media_type == "application/pdf"


def test_the_page_limit_is_told(tmp_path):
    data = (REAL / "004-pdflatex-4-pages.pdf").read_bytes()
    assert look(data, tmp_path, limits=InspectionLimits(max_pages=4)).pages == 4
    with pytest.raises(Refused) as caught:
        look(data, tmp_path, limits=InspectionLimits(max_pages=3))
    assert caught.value.params == {"what": "pages", "limit": 3}
