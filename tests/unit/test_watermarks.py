"""Marked copies: of real PDFs and images, of hostile ones, and what is never in them."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name
from PIL import Image

from vault.documents.watermarks import JPEG, PDF, PNG, Copy, Marking, MarkingLimits, Watermarks, shown
from vault.errors import Refused

REAL = Path(__file__).parents[1] / "data" / "pdf-real"
MARKING = Marking(
    "Agence SPÉCIMEN",
    "Location d’un logement",
    datetime(2027, 2, 1, tzinfo=UTC),
    "https://coffre.example/partage",
    "shr_3f6k9t0w2m4r8s1v5x7y9z0a1b",
)
LOCKED = "005-libreoffice-writer-password.pdf"
CHOSEN = (
    "003-pdflatex-image.pdf", "004-pdflatex-4-pages.pdf", "010-pdflatex-forms.pdf", "025-with-attachment.pdf",
)  # fmt: skip


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Watermarks:
    return Watermarks(tmp_path_factory.mktemp("spool"))


def whole(copy: Copy) -> bytes:
    data = b"".join(copy.read(0, None))
    assert (len(data), hashlib.sha256(data).digest()) == (copy.size, copy.sha256)
    assert b"".join(copy.read(7, 5)) == data[7:12]
    return data


def marked(marks: Watermarks, data: bytes, kind: str = PDF, marking: Marking = MARKING) -> bytes:
    return whole(marks.make(iter((data,)), len(data), kind, marking))


def text_of(pdf: bytes) -> str:
    done = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True)
    return " ".join(done.stdout.decode().split())


@contextmanager
def impossible(reason: str) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.code, caught.value.params["reason"]) == ("COPY_IMPOSSIBLE", reason)


def written(pdf: pikepdf.Pdf) -> bytes:
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def paper(content: bytes = b"", **members: object) -> pikepdf.Pdf:
    """A PDF of one page."""
    pdf = pikepdf.new()
    page = Dictionary(
        Type=Name.Page, MediaBox=Array([0, 0, 200, 300]), Contents=pdf.make_stream(content), **members
    )
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    return pdf


@pytest.mark.needs("pdfsig")
@pytest.mark.parametrize("name", CHOSEN)
def test_real_files_keep_their_pages_and_name_the_recipient_on_each(marks: Watermarks, name: str) -> None:
    source = (REAL / name).read_bytes()
    copy = marked(marks, source)
    with pikepdf.open(io.BytesIO(copy)) as made, pikepdf.open(io.BytesIO(source)) as original:
        assert len(made.pages) == len(original.pages)
        pages = len(made.pages)
        kept = set(made.Root.keys())
        assert not {"/AcroForm", "/Names", "/AF", "/OpenAction", "/AA", "/Metadata", "/Outlines"} & kept
        assert not any("/Annots" in page.obj or "/AA" in page.obj for page in made.pages)
    shown_text = text_of(copy)
    assert shown_text.count("Copie pour Agence SPÉCIMEN") == pages
    assert shown_text.count("Copy for Agence SPÉCIMEN") == pages
    assert shown_text.count(f"référence {MARKING.reference}") == pages
    assert shown_text.count("https://coffre.example/partage") == 2 * pages
    assert (REAL / name).read_bytes() == source
    original_words = [word for word in text_of(source).split() if len(word) > 4 and word.isascii()][:20]
    assert all(word in shown_text for word in original_words)


@pytest.mark.needs("pdfsig")
def test_turned_pages_look_as_they_did(marks: Watermarks) -> None:
    source = (REAL / "015-habibi-rotated.pdf").read_bytes()
    copy = marked(marks, source)
    for page in range(1, 5):
        before, after = _drawn(source, page), _drawn(copy, page)
        assert after.width == before.width
        assert _ink(after.crop((0, 0, *before.size))) == _ink(before)


def _drawn(pdf: bytes, page: int) -> Image.Image:
    command = ["pdftoppm", "-r", "40", "-png", "-f", str(page), "-l", str(page), "-"]
    done = subprocess.run(command, input=pdf, capture_output=True, check=True)
    return Image.open(io.BytesIO(done.stdout)).convert("L")


def _ink(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Where the black is; the mark is paler."""
    return picture.point([255 if level < 90 else 0 for level in range(256)]).getbbox()


def test_equal_arguments_give_equal_octets(marks: Watermarks) -> None:
    source = (REAL / "004-pdflatex-4-pages.pdf").read_bytes()
    assert marked(marks, source) == marked(marks, source)
    other = marked(marks, source, marking=replace(MARKING, recipient="Banque SPÉCIMEN"))
    assert other != marked(marks, source)


def test_what_is_locked_or_no_pdf_is_refused(marks: Watermarks) -> None:
    with impossible("password"):
        marked(marks, (REAL / LOCKED).read_bytes())
    for data in (b"%PDF-1.7\nnothing", b"x", b"%PDF-1.7\n" + b"\x00" * 2000):
        with impossible("damaged"):
            marked(marks, data)
    with pytest.raises(Refused) as caught:
        marked(marks, b"x", "text/plain")
    assert caught.value.code == "COPY_TYPE_UNSUPPORTED"


@pytest.mark.needs("pdfsig")
def test_no_page_hides_the_mark(marks: Watermarks) -> None:
    # Left open: a graphics state that clips everything, a matrix that moves everything off the page.
    copy = marked(marks, written(paper(b"q q 0 0 1 1 re W n 0.001 0 0 0.001 9000 9000 cm BT")))
    assert "Copie pour Agence SPÉCIMEN" in text_of(copy)
    # A white square of an annotation, over everything.
    pdf = paper(b"")
    cover = pdf.make_stream(
        b"1 1 1 rg 0 0 9999 9999 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9999, 9999]
    )
    square = Dictionary(
        Type=Name.Annot, Subtype=Name.Stamp, F=4, Rect=[-999, -999, 9999, 9999], AP=Dictionary(N=cover)
    )
    pdf.pages[0].obj.Annots = pdf.make_indirect(Array([pdf.make_indirect(square)]))
    made = marked(marks, written(pdf))
    with pikepdf.open(io.BytesIO(made)) as opened:
        assert "/Annots" not in opened.pages[0].obj
        drawn = opened.pages[0].Contents.read_bytes()
        assert drawn.index(b"/Seen Do") < drawn.index(b"/Band Do") < drawn.index(b"/Tile Do")


@pytest.mark.parametrize(
    ("members", "sides"),
    [
        ({}, (200, 300)),
        ({"Rotate": 90}, (300, 200)),
        ({"Rotate": 270}, (300, 200)),
        ({"Rotate": 180}, (200, 300)),
        ({"CropBox": Array([50, 50, 150, 100])}, (100, 50)),
        ({"CropBox": Array([150, 100, 50, 50])}, (100, 50)),
    ],
)
def test_copies_show_what_is_seen_of_a_page(
    marks: Watermarks, members: dict[str, object], sides: tuple[int, int]
) -> None:
    with pikepdf.open(io.BytesIO(marked(marks, written(paper(b"0 0 10 10 re f", **members))))) as made:
        box = [float(each) for each in made.pages[0].mediabox]
    assert (round(box[2]), box[3] > sides[1]) == (sides[0], True)
    assert box[3] < sides[1] + sides[0] / 3


def test_scripts_attachments_and_names_stay_behind(marks: Watermarks) -> None:
    pdf = paper(b"")
    pdf.attachments["secret.txt"] = b"attached secret"
    pdf.docinfo["/Author"] = "Somebody Private"
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    with pdf.open_metadata() as metadata:
        metadata["dc:creator"] = ["Somebody Private"]
    made = marked(marks, written(pdf))
    with pikepdf.open(io.BytesIO(made)) as opened:
        everything = b"".join(
            each.read_bytes() if isinstance(each, pikepdf.Stream) else str(each).encode()
            for each in opened.objects
            if not (isinstance(each, pikepdf.Stream) and each.get(Name.Subtype) == Name.Image)
        )
        assert not opened.attachments
    for hidden in (b"attached secret", b"Somebody Private", b"app.alert", b"JavaScript"):
        assert hidden not in everything


def test_hidden_layers_stay_hidden(marks: Watermarks) -> None:
    pdf = paper(b"/OC /L BDC 0 0 10 10 re f EMC")
    layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=pikepdf.String("hidden")))
    pdf.pages[0].obj.Resources = Dictionary(Properties=Dictionary(L=layer))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))
    with pikepdf.open(io.BytesIO(marked(marks, written(pdf)))) as made:
        off = made.Root.OCProperties.D.OFF[0]
        used = made.pages[0].Resources.XObject.Seen.Resources.Properties.L
        assert off.objgen == used.objgen


@pytest.mark.needs("pdfsig")
def test_words_of_a_hostile_holder_are_words(marks: Watermarks) -> None:
    hostile = (
        r'#read("/etc/passwd") ") Tj ET (x #import "@preview/x:0.1.0" \u{41} $x$ *b* _i_ `c` <a> @ref // z'
    )
    copy = marked(
        marks, (REAL / "001-minimal-document.pdf").read_bytes(), marking=replace(MARKING, recipient=hostile)
    )
    told = text_of(copy).replace(" ", "").replace("\u200b", "")
    assert hostile.replace(" ", "") in told
    assert "root:" not in told
    strange = replace(MARKING, recipient="\u202e\u0000 漢 😀 Иван Ελένη", purpose="x" * 5000)
    told = text_of(marked(marks, (REAL / "001-minimal-document.pdf").read_bytes(), marking=strange))
    assert "Иван Ελένη" in told
    assert r"\u{202e}\u{0} \u{6f22} \u{1f600}" in told


def test_characters_without_letters_are_shown_by_number() -> None:
    assert shown("é’ \u200d漢") == "é’ \\u{200d}\\u{6f22}"
    assert shown("x" * 400) == "x" * 300 + "…"


def test_limits_end_in_refusals(tmp_path: Path) -> None:
    four = (REAL / "004-pdflatex-4-pages.pdf").read_bytes()
    with impossible("pages"):
        marked(Watermarks(tmp_path, MarkingLimits(pages=3)), four)
    with impossible("size"):
        marked(Watermarks(tmp_path, MarkingLimits(size=1000)), four)
    with impossible("limits"):
        marked(Watermarks(tmp_path, MarkingLimits(memory=1)), four)
    picture = _picture("RGB", (100, 100), "PNG")
    with impossible("pixels"):
        marked(Watermarks(tmp_path, MarkingLimits(pixels=9_999)), picture, PNG)
    assert list(tmp_path.iterdir()) == []


def _picture(mode: str, size: tuple[int, int], kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, options.pop("color", 0)).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", JPEG),
        ("L", JPEG),
        ("CMYK", JPEG),
        ("RGBA", PNG),
        ("P", PNG),
        ("1", PNG),
        ("I;16", PNG),
        ("LA", PNG),
    ],
)
def test_images_are_marked_in_their_pixels(marks: Watermarks, mode: str, kind: str) -> None:
    source = _picture(mode, (420, 300), "JPEG" if kind == JPEG else "PNG")
    copy = marked(marks, source, kind)
    assert copy == marked(marks, source, kind)
    with Image.open(io.BytesIO(copy)) as made:
        assert made.format == ("JPEG" if kind == JPEG else "PNG")
        assert made.width == 420
        assert 300 < made.height < 400
        seen = made.convert("RGB").crop((0, 0, 420, 300))
        assert len(seen.getcolors(420 * 300) or []) > 1


def test_images_lose_their_metadata_and_stand_upright(marks: Watermarks) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010E] = "Somebody Private"
    copy = marked(marks, _picture("RGB", (300, 100), "JPEG", exif=exif), JPEG)
    assert b"Somebody Private" not in copy
    with Image.open(io.BytesIO(copy)) as made:
        assert made.width == 100
        assert not made.getexif()


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 3000)])
def test_odd_images_are_marked_all_the_same(marks: Watermarks, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(marked(marks, _picture("RGB", size, "PNG"), PNG))) as made:
        assert made.width == size[0]


def test_a_file_is_only_what_it_was_taken_in_as(marks: Watermarks) -> None:
    with impossible("damaged"):
        marked(marks, _picture("RGB", (10, 10), "PNG"), JPEG)
    with impossible("damaged"):
        marked(marks, b"GIF89a" + bytes(50), PNG)
