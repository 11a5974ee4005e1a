"""The seal revision on real PDFs and on every structure a PDF may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from signing.errors import PdfRefused
from signing.pdf_reader import read_sealable
from signing.revision import MaterialObjects, draft_revision, hash_source

REAL = Path(__file__).resolve().parents[1] / "data" / "pdf-real"
FILES = sorted(REAL.glob("*.pdf"))
ENCRYPTED = "005-libreoffice-writer-password.pdf"
READABLE = [path for path in FILES if path.name != ENCRYPTED]


def contents(pdf: pikepdf.Pdf) -> list[bytes]:
    found = []
    for page in pdf.pages:
        value = page.obj.get("/Contents", Array([]))
        found.append(
            b"".join(part.read_raw_bytes() for part in (value if isinstance(value, Array) else [value]))
        )
    return found


def check_sealed(original: Path, sealed: Path, bench: Any) -> pikepdf.Pdf:
    """The sealed file opens without warning, shows the same pages, and proves itself."""
    assert sealed.read_bytes().startswith(original.read_bytes())
    pdf = pikepdf.open(sealed)
    before = pikepdf.open(original)
    assert contents(pdf) == contents(before)
    information = before.trailer.get("/Info")
    # One real file names its catalog as /Info too.
    if information is not None and information.objgen != before.Root.objgen:
        assert pdf.trailer.Info.unparse(resolved=True) == information.unparse(resolved=True)
    # qpdf notes that an updated file is linearized no more, as it did for the input when that was off.
    assert [item for item in pdf.check_pdf_syntax() if "lineariz" not in item] == []
    assert pdf.get_warnings() == []
    [signature] = bench.validate(sealed)
    assert (signature.level, signature.certification, signature.covers_whole_file) == ("B-T", 1, True)
    widget = pdf.Root.AcroForm.Fields[-1]
    assert widget.F == 132
    assert widget.AP.N.read_bytes() == b""
    assert widget.Rect[0] == widget.Rect[2]
    assert widget.objgen in [item.objgen for item in pdf.pages[0].obj.Annots]
    assert pdf.Root.AcroForm.SigFlags == 3
    return pdf


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name != ENCRYPTED], ids=lambda path: path.name
)
def test_real_pdfs_take_the_seal(path: Path, pdf_bench: Any) -> None:
    sealed = pdf_bench.seal(path, state=True)
    pdf = check_sealed(path, sealed, pdf_bench)
    before = pikepdf.open(path)
    assert set(pdf.Root.keys()) == set(before.Root.keys()) | {"/DSS", "/Perms", "/AcroForm"}
    if "/Metadata" in before.Root:
        assert pdf.Root.Metadata.read_raw_bytes() == before.Root.Metadata.read_raw_bytes()
    old = before.pages[0].obj.get("/Annots", Array([]))
    assert len(pdf.pages[0].obj.Annots) == len(old) + 1


def test_an_encrypted_pdf_is_refused(pdf_bench: Any, simple_pdf: Path, tmp_path: Path) -> None:
    readable = tmp_path / "readable.pdf"
    with pikepdf.open(simple_pdf) as pdf:
        pdf.save(readable, encryption=pikepdf.Encryption(owner="x", user=""))
    for path in (REAL / ENCRYPTED, readable):
        with pytest.raises(PdfRefused) as caught:
            pdf_bench.seal(path)
        assert caught.value.code == "PDF_ENCRYPTED"


def test_the_specimen_stands_in_29_files() -> None:
    assert len(FILES) == 29


def object_streams(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Extra = pdf.make_indirect(Dictionary(A=1))


def deep_tree(pdf: pikepdf.Pdf) -> None:
    """The first page lies under many nodes and inherits everything from the highest."""
    page, *others = [item.obj for item in pdf.pages]
    del page["/MediaBox"]
    del page["/Resources"]
    node = page
    for _ in range(60):
        parent = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([node]), Count=1))
        node.Parent = parent
        node = parent
    root = pdf.Root.Pages
    empty = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([]), Count=0, Parent=root))
    root.Kids = Array([empty, node, *others])
    root.MediaBox = Array([10, 20, 300, 400])
    root.Resources = Dictionary()
    node.Parent = root


def existing_form(pdf: pikepdf.Pdf) -> None:
    field = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            FT=Name.Tx,
            T=String("Probans1"),
            V=String("é"),
            Rect=Array([0, 0, 9, 9]),
            DA=String("/Helv 0 Tf"),
        )
    )
    unsigned = pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("later")))
    pdf.Root.AcroForm = pdf.make_indirect(
        Dictionary(
            Fields=pdf.make_indirect(Array([field, unsigned])), DA=String("/Helv 0 Tf"), NeedAppearances=True
        )
    )
    pdf.pages[0].obj.Annots = pdf.make_indirect(Array([field]))


def direct_annotations(pdf: pikepdf.Pdf) -> None:
    note = Dictionary(Type=Name.Annot, Subtype=Name.Text, Rect=Array([1, 1, 2, 2]), Contents=String("(é)\\"))
    pdf.pages[0].obj.Annots = Array([note])


def odd_names(pdf: pikepdf.Pdf) -> None:
    pdf.Root["/A B#(é)"] = Name("/C D")
    pdf.Root.Real = Array([pikepdf.Object.parse(b"-.0010"), True, None])
    pdf.pages[0].obj["/CropBox"] = Array([30, -5, -10, 50])


def tagged(pdf: pikepdf.Pdf) -> None:
    pdf.Root.MarkInfo = Dictionary(Marked=True)
    pdf.pages[0].obj.Tabs = Name.R


SHAPES: list[tuple[Callable[[pikepdf.Pdf], None], dict[str, Any]]] = [
    (object_streams, {"object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    (object_streams, {"object_stream_mode": pikepdf.ObjectStreamMode.disable}),
    (object_streams, {"linearize": True}),
    (object_streams, {"linearize": True, "object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    (deep_tree, {}),
    (deep_tree, {"object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    (existing_form, {}),
    (existing_form, {"object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    (direct_annotations, {}),
    (odd_names, {}),
    (tagged, {}),
]


@pytest.mark.parametrize(
    ("change", "options"), SHAPES, ids=lambda item: getattr(item, "__name__", str(len(str(item))))
)
def test_structures(
    change: Callable[[pikepdf.Pdf], None], options: dict[str, Any], make_pdf: Any, pdf_bench: Any
) -> None:
    original = make_pdf(change, pages=3, **options)
    sealed = pdf_bench.seal(original)
    pdf = check_sealed(original, sealed, pdf_bench)
    tail = sealed.read_bytes()[original.stat().st_size :]
    stream = b"/Type /XRef" in tail
    assert stream == (options.get("object_stream_mode") == pikepdf.ObjectStreamMode.generate)
    assert len(pdf.pages) == 3


def test_inherited_boxes_place_the_empty_widget(make_pdf: Any, pdf_bench: Any) -> None:
    for change, corner in ((deep_tree, [10, 20]), (odd_names, [-10, -5])):
        with pikepdf.open(pdf_bench.seal(make_pdf(change))) as pdf:
            assert [float(value) for value in pdf.Root.AcroForm.Fields[-1].Rect] == corner * 2


def test_the_form_is_merged(make_pdf: Any, pdf_bench: Any) -> None:
    original = make_pdf(existing_form)
    with pikepdf.open(pdf_bench.seal(original)) as pdf:
        form = pdf.Root.AcroForm
        assert [str(item.T) for item in form.Fields] == ["Probans1", "later", "Probans2"]
        assert (str(form.DA), form.NeedAppearances) == ("/Helv 0 Tf", True)
        assert len(pdf.pages[0].obj.Annots) == 2


def test_names_and_values_survive_the_rewriting(make_pdf: Any, pdf_bench: Any) -> None:
    with pikepdf.open(pdf_bench.seal(make_pdf(odd_names))) as pdf:
        assert pdf.Root["/A B#(é)"] == Name("/C D")
        assert b"-0.0010" in pdf.Root.Real.unparse()
    with pikepdf.open(pdf_bench.seal(make_pdf(direct_annotations))) as pdf:
        assert str(pdf.pages[0].obj.Annots[0].Contents) == "(é)\\"
    with pikepdf.open(pdf_bench.seal(make_pdf(tagged))) as pdf:
        assert pdf.pages[0].obj.Tabs == Name.S


def by_hand(objects: dict[tuple[int, int], bytes], trailer: bytes, *, size: int | None = None) -> bytes:
    """Write a PDF with a classic table, one subsection for each object."""
    out = bytearray(b"%PDF-1.4\n")
    table = b"xref\n0 1\n0000000000 65535 f \n"
    for (number, generation), body in sorted(objects.items()):
        table += b"%d 1\n%010d %05d n \n" % (number, len(out), generation)
        out += b"%d %d obj\n%b\nendobj\n" % (number, generation, body)
    last = size or max(number for number, _ in objects) + 1
    start = len(out)
    out += table + b"trailer\n<< /Size %d %b >>\nstartxref\n%d\n%%%%EOF" % (last, trailer, start)
    return bytes(out)


def classic(
    root: tuple[int, int], pages: tuple[int, int], page: tuple[int, int]
) -> dict[tuple[int, int], bytes]:
    return {
        root: b"<< /Type /Catalog /Pages %d %d R >>" % pages,
        pages: b"<< /Type /Pages /Kids [%d %d R] /Count 1 >>" % page,
        page: b"<< /Type /Page /Parent %d %d R /MediaBox [0 0 9 9] /Resources << >> >>" % pages,
    }


@pytest.mark.parametrize(
    "identities",
    [
        ((1, 0), (2, 0), (3, 0)),
        ((1, 7), (2, 0), (3, 65_534)),
        ((90_000, 0), (2, 0), (80_000, 3)),
    ],
)
def test_generations_and_huge_object_numbers(
    identities: tuple[tuple[int, int], ...], tmp_path: Path, pdf_bench: Any
) -> None:
    root, pages, page = identities
    path = tmp_path / "classic.pdf"
    objects = classic(root, pages, page)
    # qpdf believes in object numbers only up to a third of the file's size.
    objects[4, 0] = b"(%b)" % bytes(4 * max(root[0], page[0])).replace(b"\x00", b" ")
    path.write_bytes(by_hand(objects, b"/Root %d %d R" % root))
    pdf = check_sealed(path, pdf_bench.seal(path), pdf_bench)
    assert pdf.Root.objgen == root
    assert pdf.pages[0].obj.objgen == page
    # The input had no identifier; the seal gives one that depends on the input only.
    assert len(bytes(pdf.trailer.ID[0])) == 16


def test_object_numbers_that_run_out(
    simple_pdf: Path, pdf_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signing.revision.MAX_OBJECT_NUMBER", 12)
    with pytest.raises(PdfRefused) as caught:
        pdf_bench.seal(simple_pdf)
    assert caught.value.code == "PDF_UNSUPPORTED"


def test_a_hybrid_file(tmp_path: Path, pdf_bench: Any) -> None:
    """A table whose trailer names a cross-reference stream for the objects in an object stream."""
    body = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >> "
    inner = b"2 0 3 %d " % len(body)
    members = inner + body + b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << >> >>"
    out = bytearray(b"%PDF-1.5\n")
    offsets = {}
    for number, text in (
        (1, b"<< /Type /Catalog /Pages 2 0 R >>"),
        (
            4,
            b"<< /Type /ObjStm /N 2 /First %d /Length %d >>\nstream\n%b\nendstream"
            % (len(inner), len(members), members),
        ),
    ):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, text)
    entries = b"\x02\x00\x04\x00\x02\x00\x04\x01"
    xref_stream = len(out)
    out += (
        b"5 0 obj\n<< /Type /XRef /W [1 2 1] /Index [2 2] /Size 6 /Root 1 0 R /Length %d >>\nstream\n%b\n"
        b"endstream\nendobj\n" % (len(entries), entries)
    )
    table = len(out)
    out += b"xref\n0 2\n0000000000 65535 f \n%010d 00000 n \n" % offsets[1]
    out += b"4 2\n%010d 00000 n \n%010d 00000 n \n" % (offsets[4], xref_stream)
    out += b"trailer\n<< /Size 6 /Root 1 0 R /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n" % (xref_stream, table)
    path = tmp_path / "hybrid.pdf"
    path.write_bytes(bytes(out))
    sealed = pdf_bench.seal(path)
    pdf = check_sealed(path, sealed, pdf_bench)
    assert b"/XRefStm" not in sealed.read_bytes()[len(out) :]
    assert pdf.pages[0].obj.objgen == (3, 0)


def test_the_newest_revision_is_what_counts(simple_pdf: Path, tmp_path: Path, pdf_bench: Any) -> None:
    """An input of several revisions, the last by another writer, ending without end of line."""
    with pikepdf.open(simple_pdf) as pdf:
        number, root = int(pdf.trailer.Size), pdf.Root.objgen[0]
        pages = pdf.Root.Pages.objgen[0]
    data = simple_pdf.read_bytes() + b"\n"
    update = b"%d 0 obj\n<< /Type /Catalog /Pages %d 0 R /New %d 0 R >>\nendobj\n" % (root, pages, number)
    position = len(data) + len(update)
    update += b"%d 0 obj\n(new)\nendobj\n" % number
    start = len(data) + len(update)
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    update += b"xref\n%d 1\n%010d 00000 n \n%d 1\n%010d 00000 n \n" % (root, len(data), number, position)
    update += b"trailer\n<< /Size %d /Root %d 0 R /Prev %d >>\n" % (number + 1, root, previous)
    update += b"startxref\n%d\n%%%%EOF" % start
    path = tmp_path / "revised.pdf"
    path.write_bytes(data + update)
    pdf = check_sealed(path, pdf_bench.seal(path), pdf_bench)
    assert str(pdf.Root.New) == "new"
    assert pdf.trailer.Prev == start


def test_same_inputs_same_octets(simple_pdf: Path, pdf_bench: Any) -> None:
    material = pdf_bench.material(pdf_bench.key())
    drafts = set()
    for _ in range(3):
        source = pdf_bench.source(simple_pdf)
        drafts.add(draft_revision(source, MaterialObjects.of(material), 4000, pdf_bench.now))
    assert len(drafts) == 1
    with pikepdf.open(simple_pdf) as pdf:
        source = pdf_bench.source(simple_pdf, pdf=pdf)
        assert draft_revision(source, MaterialObjects.of(material), 4000, pdf_bench.now) in drafts


def test_validation_material_is_in_the_same_revision(sealed_pdf: Path, pdf_bench: Any) -> None:
    material = pdf_bench.material(pdf_bench.key())
    with pikepdf.open(sealed_pdf) as pdf:
        dss = pdf.Root.DSS
        # The issuing authority stands behind both seal and timestamp, and is written once.
        assert len(dss.Certs) == len(set(material.certificates)) == 3
        assert {item.read_bytes() for item in dss.CRLs} == set(material.crls)
        assert pdf.Root.Perms.DocMDP == pdf.Root.AcroForm.Fields[-1].V
        signature = pdf.Root.Perms.DocMDP
        assert signature.Reference[0].TransformParams.P == 1
        assert str(signature.M) == "D:20261122093000Z"
        assert "/Name" not in signature


def signed_field(pdf: pikepdf.Pdf) -> None:
    value = pdf.make_indirect(Dictionary(Type=Name.Sig, ByteRange=Array([0, 1, 2, 3])))
    child = pdf.make_indirect(Dictionary(T=String("b"), V=value))
    parent = pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("a"), Kids=Array([child])))
    pdf.Root.AcroForm = Dictionary(Fields=Array([parent]))


def signed_value(pdf: pikepdf.Pdf) -> None:
    field = pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("a"), V=Dictionary(Type=Name.Sig)))
    pdf.Root.AcroForm = Dictionary(Fields=Array([field]))


def permissions(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Perms = Dictionary(UR3=pdf.make_indirect(Dictionary(Type=Name.Sig)))


@pytest.mark.parametrize("change", [signed_field, signed_value, permissions])
def test_signed_documents_are_never_certified_over(change: Any, make_pdf: Any, pdf_bench: Any) -> None:
    with pytest.raises(PdfRefused) as caught:
        pdf_bench.seal(make_pdf(change))
    assert caught.value.code == "PDF_ALREADY_SIGNED"


def test_a_sealed_act_is_not_sealed_again(sealed_pdf: Path, pdf_bench: Any) -> None:
    with pytest.raises(PdfRefused) as caught:
        pdf_bench.seal(sealed_pdf)
    assert caught.value.code == "PDF_ALREADY_SIGNED"


def form_is_a_number(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AcroForm = 7


def fields_are_a_name(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AcroForm = Dictionary(Fields=Name.X)


def annotations_are_a_string(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj.Annots = String("x")


def direct_page(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Pages.Kids = Array([Dictionary(Type=Name.Page)])


def kids_in_a_circle(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Pages.Kids = Array([pdf.Root.Pages])


def no_pages(pdf: pikepdf.Pdf) -> None:
    del pdf.Root["/Pages"]


@pytest.mark.parametrize(
    "change",
    [form_is_a_number, fields_are_a_name, annotations_are_a_string, direct_page, kids_in_a_circle, no_pages],
)
def test_damage_is_refused(change: Any, simple_pdf: Path, pdf_bench: Any) -> None:
    with pikepdf.open(simple_pdf) as pdf:
        change(pdf)
        with pytest.raises(PdfRefused) as caught:
            read_sealable(pdf_bench.source(simple_pdf, pdf=pdf))
    assert caught.value.code == "PDF_DAMAGED"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"\x00" * 500,
        lambda data: data[: len(data) // 2],
        lambda data: b"junk\n" + data,
        lambda data: data.replace(b"startxref", b"startxxxx"),
        lambda data: re.sub(rb"startxref\n\d+", b"startxref\n7", data),
        lambda data: re.sub(rb"startxref\n\d+", b"startxref\n99999999999999999999", data),
        lambda data: data.replace(b"/Size ", b"/Size 9"),
        lambda data: data.replace(b"endobj", b"endxxx"),
    ],
)
def test_damaged_octets_are_refused(spoil: Any, simple_pdf: Path, tmp_path: Path, pdf_bench: Any) -> None:
    path = tmp_path / "damaged.pdf"
    path.write_bytes(spoil(simple_pdf.read_bytes()))
    with pytest.raises(PdfRefused) as caught:
        pdf_bench.seal(path)
    assert caught.value.code == "PDF_DAMAGED"


def test_a_pdf_changed_in_memory_is_refused(simple_pdf: Path, pdf_bench: Any) -> None:
    """pikepdf's `docinfo` adds an /Info that the file does not have."""
    with pikepdf.open(simple_pdf) as pdf:
        assert "/Info" not in pdf.trailer
        assert pdf.docinfo is not None
        with pytest.raises(PdfRefused) as caught:
            read_sealable(pdf_bench.source(simple_pdf, pdf=pdf))
        assert caught.value.code == "PDF_UNSUPPORTED"


def test_the_file_must_be_the_one_that_was_hashed(simple_pdf: Path, pdf_bench: Any) -> None:
    source = pdf_bench.source(simple_pdf)
    for other in (
        replace(source, sha256=bytes(32)),
        replace(pdf_bench.source(simple_pdf, state=True), sha256=b""),
    ):
        with pytest.raises(PdfRefused) as caught:
            hash_source(other)
        assert caught.value.code == "SOURCE_CHANGED"
    with pytest.raises(PdfRefused) as caught:
        read_sealable(replace(source, size=source.size - 1))
    assert caught.value.code in {"SOURCE_CHANGED", "PDF_DAMAGED"}


def test_the_hash_state_is_copied_not_changed(simple_pdf: Path, pdf_bench: Any) -> None:
    source = pdf_bench.source(simple_pdf, state=True)
    key = pdf_bench.key()
    from signing.pades import PadesSealer

    PadesSealer(key).prepare(source, pdf_bench.material(key), 2000, pdf_bench.now)
    assert source.hash_state.digest() == source.sha256


MARK = b"/ChosenByTheMaker"


@pytest.mark.parametrize("streams", [False, True])
def test_new_numbers_hold_nothing_that_the_maker_chose(streams: bool, tmp_path: Path, pdf_bench: Any) -> None:
    """A reference to a number that the file has not must not begin to mean something with the seal."""
    path = tmp_path / "future.pdf"
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        page.obj.Mine = Name(MARK.decode())
        pdf.Root.Mine = Name(MARK.decode())
        pdf.Root.AcroForm = pdf.make_indirect(Dictionary(Fields=Array([]), Mine=Name(MARK.decode())))
        pdf.trailer.Mine = Name(MARK.decode())
        pdf.save(path, object_stream_mode=mode)
    with pikepdf.open(path) as pdf:
        size, root, first = int(pdf.trailer.Size), pdf.Root.objgen, pdf.pages[0].obj.objgen
    sealed = pdf_bench.seal(path)
    with pikepdf.open(sealed) as pdf:
        new = [item for item in pdf.objects if isinstance(item, pikepdf.Object) and item.objgen[0] >= size]
        assert len(new) > 5
        for item in new:
            text = (
                item.stream_dict.unparse()
                if isinstance(item, pikepdf.Stream)
                else item.unparse(resolved=True)
            )
            assert MARK not in text
        assert pdf.Root.objgen == root
        assert pdf.pages[0].obj.objgen == first
        assert MARK in pdf.Root.AcroForm.unparse(resolved=True)


@pytest.mark.parametrize("where", ["/Group", "/Annots", "/Contents"])
def test_a_page_that_refers_to_what_is_not_there(where: str, tmp_path: Path, pdf_bench: Any) -> None:
    path = tmp_path / "dangling.pdf"
    objects = classic((1, 0), (2, 0), (3, 0))
    objects[3, 0] = objects[3, 0].removesuffix(b">>") + b"%b 9 0 R >>" % where.encode()
    path.write_bytes(by_hand(objects, b"/Root 1 0 R"))
    with pikepdf.open(pdf_bench.seal(path), inherit_page_attributes=False) as pdf:
        # 4 to 15 are the seal's; the page as written anew leads to its widget only.
        references = re.findall(rb"([0-9]+) 0 R", pdf.Root.Pages.Kids[0].unparse(resolved=True))
        widget = pdf.Root.AcroForm.Fields[0].objgen[0]
        assert {int(number) for number in references} == {2, widget}
    objects[3, 0] = objects[3, 0].replace(b"/Resources << >>", b"/Resources 9 0 R")
    path.write_bytes(by_hand(objects, b"/Root 1 0 R"))
    with pytest.raises(PdfRefused) as caught:
        pdf_bench.seal(path)
    assert caught.value.code == "PDF_DAMAGED"
    # With the pages' inherited attributes pushed down, as qpdf does for who asks, it would lead elsewhere.
    pushed = tmp_path / "pushed.pdf"
    objects[2, 0] = objects[2, 0].replace(b" >>", b" /MediaBox [0 0 9 9] /Resources << >> >>", 1)
    objects[3, 0] = b"<< /Type /Page /Parent 2 0 R >>"
    pushed.write_bytes(by_hand(objects, b"/Root 1 0 R"))
    with pikepdf.open(pushed) as pdf:
        assert pdf.pages[0].obj.MediaBox.is_indirect
        with pytest.raises(PdfRefused) as caught:
            read_sealable(pdf_bench.source(pushed, pdf=pdf))
    assert caught.value.code == "PDF_UNSUPPORTED"


def test_what_a_page_inherits_stays_where_it_is(make_pdf: Any, pdf_bench: Any) -> None:
    """Read by path: qpdf would push what is inherited into pages, as objects that the file has not."""
    original = make_pdf(deep_tree)
    with pikepdf.open(pdf_bench.seal(original), inherit_page_attributes=False) as pdf:
        page = pdf.Root.Pages.Kids[1]
        while "/Kids" in page:
            page = page.Kids[0]
        assert "/MediaBox" not in page
        assert "/Resources" not in page
        assert "/Annots" in page
