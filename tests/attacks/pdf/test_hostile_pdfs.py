"""PDFs that hide, run, send or change something: refused as acts with their own code, told of attached."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pikepdf
import pytest

SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"


def test_the_generators_make_sound_files(pdfs, tmp_path):
    assert pdfs.outcome(pdfs.raw(pdfs.plain), tmp_path) == "issued"
    assert pdfs.outcome(pdfs.packed(pdfs.plain), tmp_path) == "issued"


# Encryption


@pytest.mark.parametrize("password", [{"user": "u", "owner": "o"}, {"user": "", "owner": "o"}])
@pytest.mark.parametrize("strength", [4, 6])
def test_encrypted(pdfs, password, strength, tmp_path):
    path = tmp_path / "made.pdf"
    pdf = pikepdf.new()
    pdf.add_blank_page()
    pdf.save(path, encryption=pikepdf.Encryption(R=strength, **password))
    pdfs.refused(path.read_bytes(), tmp_path, "PDF_ENCRYPTED")


# Scripts and other active content, wherever they hang

HOLDERS: dict[str, Callable[[SimpleNamespace, bytes], dict[int, bytes]]] = {
    "open action": lambda pdfs, a: pdfs.with_catalog(b"/OpenAction " + a),
    "open action by reference": lambda pdfs, a: pdfs.with_catalog(b"/OpenAction 4 0 R", o4=a),
    "second of a chain": lambda pdfs, a: pdfs.with_catalog(
        b"/OpenAction << /S /GoTo /D [3 0 R /Fit] /Next [" + a + b"] >>"
    ),
    "document event": lambda pdfs, a: pdfs.with_catalog(b"/AA << /WC " + a + b" >>"),
    "page event": lambda pdfs, a: pdfs.with_page(b"/AA << /O " + a + b" >>"),
    "annotation": lambda pdfs, a: pdfs.with_page(
        b"/Annots [<< /Subtype /Link /Rect [0 0 1 1] /A " + a + b" >>]"
    ),
    "annotation event": lambda pdfs, a: pdfs.with_page(
        b"/Annots [<< /Subtype /Widget /AA << /E " + a + b" >> >>]"
    ),
    "nested field": lambda pdfs, a: pdfs.with_catalog(
        b"/AcroForm << /Fields [4 0 R] >>",
        o4=b"<< /T (a) /Kids [5 0 R] >>",
        o5=b"<< /T (b) /Kids [6 0 R] >>",
        o6=b"<< /FT /Tx /T (c) /AA << /K " + a + b" >> >>",
    ),
    "outline": lambda pdfs, a: pdfs.with_catalog(
        b"/Outlines << /First 4 0 R >>",
        o4=b"<< /Title (a) /First 5 0 R >>",
        o5=b"<< /Title (b) /A " + a + b" >>",
    ),
    "template page": lambda pdfs, a: pdfs.with_catalog(
        b"/Names << /Pages << /Names [(x) 4 0 R] >> >>", o4=b"<< /Type /Template /AA << /O " + a + b" >> >>"
    ),
    "property list": lambda pdfs, a: pdfs.with_page(b"/PieceInfo << /App << /Private " + a + b" >> >>"),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("build", ["raw", "packed"])
def test_scripts(pdfs, holder, build, tmp_path):
    pdfs.refused(getattr(pdfs, build)(HOLDERS[holder](pdfs, SCRIPT)), tmp_path, "PDF_JAVASCRIPT")


@pytest.mark.parametrize(
    "action",
    [
        b"<< /S /#4aavaScript /JS (x) >>",
        b"<< /S /J#61vaScript /JS (x) >>",
        b"<< /S /#4A#61#76#61#53#63#72#69#70#74 /#4a#53 (x) >>",
        b"<</S/JavaScript/JS 5 0 R>>",
        b"<< /S % note\n/JavaScript%x\n/JS <6170702e> >>",
        b"<< /S 6 0 R /JS (x) >>",
        b"<< /S /Rendition /JS (x) >>",
    ],
)
@pytest.mark.parametrize("build", ["raw", "packed"])
def test_disguised_scripts(pdfs, action, build, tmp_path):
    objects = pdfs.with_catalog(b"/OpenAction 4 0 R", o4=action, o5=b"(app.alert)", o6=b"/JavaScript")
    pdfs.refused(getattr(pdfs, build)(objects), tmp_path, "PDF_JAVASCRIPT")


def test_scripts_in_the_name_tree(pdfs, tmp_path):
    tree = b"/Names << /JavaScript << /Kids [4 0 R] >> >>"
    pdfs.refused(
        pdfs.raw(pdfs.with_catalog(tree, o4=b"<< /Names [(x) 5 0 R] >>", o5=SCRIPT)),
        tmp_path,
        "PDF_JAVASCRIPT",
    )
    pdfs.refused(pdfs.raw(pdfs.with_catalog(b"/Names << /JavaScript << >> >>")), tmp_path, "PDF_JAVASCRIPT")


def test_a_script_in_the_newest_revision(pdfs, tmp_path):
    first = pdfs.raw(pdfs.plain)
    newer = b"1 0 obj\n%s /OpenAction %s >>\nendobj\n" % (pdfs.catalog[:-2], SCRIPT)
    table = len(first) + len(newer)
    tail = b"xref\n1 1\n%010d 00000 n \ntrailer\n<< /Size 4 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n"
    pdfs.refused(
        first + newer + tail % (len(first), first.index(b"xref\n"), table), tmp_path, "PDF_JAVASCRIPT"
    )


@pytest.mark.parametrize(
    "kind",
    [
        "Launch",
        "SubmitForm",
        "ImportData",
        "GoToR",
        "GoToE",
        "Movie",
        "Sound",
        "Rendition",
        "RichMediaExecute",
        "GoTo3DView",
        "L#61unch",
    ],
)
@pytest.mark.parametrize("holder", ["open action", "outline", "annotation event"])
def test_active_actions(pdfs, kind, holder, tmp_path):
    action = b"<< /S /%s /F (cmd.exe) >>" % kind.encode()
    pdfs.refused(pdfs.raw(HOLDERS[holder](pdfs, action)), tmp_path, "PDF_ACTIVE_CONTENT")


@pytest.mark.parametrize("kind", ["RichMedia", "Movie", "Sound", "3D", "Screen"])
def test_active_annotations(pdfs, kind, tmp_path):
    objects = pdfs.with_page(b"/Annots [<< /Type /Annot /Subtype /%s /Rect [0 0 9 9] >>]" % kind.encode())
    pdfs.refused(pdfs.raw(objects), tmp_path, "PDF_ACTIVE_CONTENT")


def test_embedded_files(pdfs, tmp_path):
    path = tmp_path / "made.pdf"
    pdf = pikepdf.new()
    pdf.add_blank_page()
    pdf.attachments["virus.exe"] = b"MZ"
    for mode in (pikepdf.ObjectStreamMode.disable, pikepdf.ObjectStreamMode.generate):
        pdf.save(path, object_stream_mode=mode)
        pdfs.refused(path.read_bytes(), tmp_path, "PDF_EMBEDDED_FILES")


@pytest.mark.parametrize("target", [b"<< /EF << /F 4 0 R >> >>", b"(other.exe)", b"<< /F (other.exe) >>"])
def test_file_attachment_annotations(pdfs, target, tmp_path):
    annotation = b"/Annots [<< /Subtype /FileAttachment /Rect [0 0 9 9] /FS %s >>]" % target
    pdfs.refused(
        pdfs.raw(pdfs.with_page(annotation, o4=pdfs.stream(b"", b"MZ"))), tmp_path, "PDF_EMBEDDED_FILES"
    )


def test_portfolios(pdfs, tmp_path):
    pdfs.refused(pdfs.raw(pdfs.with_catalog(b"/Collection << /View /D >>")), tmp_path, "PDF_EMBEDDED_FILES")


@pytest.mark.parametrize(
    "entries",
    [b"/AcroForm << /Fields [] /XFA 4 0 R >>", b"/NeedsRendering true", b"/AcroForm << /X#46A [] >>"],
)
def test_xfa_forms(pdfs, entries, tmp_path):
    pdfs.refused(pdfs.raw(pdfs.with_catalog(entries, o4=pdfs.stream(b"", b"<xdp/>"))), tmp_path, "PDF_XFA")
