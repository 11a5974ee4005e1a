"""Hostile revisions of signed PDFs, in the manner of what was published, and signatures that cannot be read.

Shadow attacks (hide, replace, hide and replace), incremental saving, wrapping, "evil annotation" and "sneaky
signature", universal forgery; beside them genuine files that must stay PASSED. All signers are trusted.
"""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import SignatureRefused
from signing.pdf_painting import operations
from signing.pdf_signatures import pdf_signatures
from signing.pdf_unreadable import values_in
from signing.trust import TrustStore
from tests.attacks.signed.generator.base import (
    BASE,
    CATALOG,
    EVIL,
    FORM,
    FORM_XOBJECT,
    HIDDEN,
    PAGE,
    SECOND,
    Bench,
    Doc,
    certified,
    filled,
    second,
    stream,
)
from tests.judging.conftest import NOW, World
from vault.evidence.findings import Outcome
from vault.evidence.sentences import main_reason
from vault.evidence.verify import verify_file

Objects = dict[int, bytes]
Make = Callable[[Bench], Doc | bytes]
REAL = Path(__file__).resolve().parents[1] / "data" / "pdf-real"


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(World())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def judged(bench: Bench, made: Doc | bytes, folder: Path) -> str:
    """Return "PASSED", or the main reason, with a question mark when the verdict is open."""
    path = folder / "judged.pdf"
    path.write_bytes(made.data if isinstance(made, Doc) else made)
    verdict = verify_file(path, trust=TrustStore([bench.world.root.certificate]), at=NOW)
    if verdict.verdict is Outcome.PASSED:
        return "PASSED"
    return main_reason(verdict).code + (" ?" if verdict.verdict is Outcome.INDETERMINATE else "")


def after(objects: Objects, base: Objects | None = None, extra: bytes = b"", **options: object) -> Make:
    """Sign, then add a revision."""
    return lambda bench: signed(bench, base, extra).update(objects, **options)  # type: ignore[arg-type]


def resigned(objects: Objects, base: Objects | None = None, extra: bytes = b"") -> Make:
    """Sign, then add a revision that is signed too."""
    return lambda bench: signed(bench, base, extra).update(objects, sign=bench.sign())


def signed(bench: Bench, base: Objects | None, extra: bytes = b"") -> Doc:
    if not extra:
        return bench.signed(base)
    return Doc().update(BASE | (base or {}), sign=replace(bench.sign(10), extra=extra))


def annotated(body: bytes, content: bytes | None = None, entries: bytes = FORM_XOBJECT) -> Make:
    """Add an annotation to a document that allows annotations."""
    objects = {3: PAGE % (b" 60 0 R", b""), 60: body}
    if content is not None:
        objects[61] = stream(content, entries)
    return after(objects, extra=certified(3))


ANNOTATION = b"<< /Type /Annot /Subtype /%b /Rect [ 50 690 240 710 ] %b>>"
DRAWN = b"/AP << /N 61 0 R >> "
FILL = b"/V (apres) /AP << /N 41 0 R >> "
TEXT = BASE[6].replace(b"/V (avant) /AP << /N 8 0 R >> ", b"%b")
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
BOX = b"1 g 0 0 190 20 re f BT 0 g (999 EUR) Tj ET"


def drawn_field(content: bytes, more: Objects | None = None, entries: bytes = FORM_XOBJECT) -> Make:
    """Fill the text field, and draw it so."""
    return after({6: TEXT % FILL, 41: stream(content, entries)} | (more or {}))


FOREIGN_ROLES: Objects = {
    # Objects that the old state has in two places: what excuses a change in one does not in the other.
    1: CATALOG % b"/PieceInfo << /X << /Private 4 0 R >> >> ",
}

SHADOWS: dict[str, tuple[Make, str]] = {
    # hide: what lay over the content goes away
    "hide: image freed": (after({}, free=(14,)), "PDF_CONTENT_CHANGED"),
    "hide: overlay made a null object": (after({19: b"null"}), "PDF_CONTENT_CHANGED"),
    "hide: the overlay's entry names another object": (
        lambda bench: bench.signed().update({}, xref={19: bench.signed().data.index(b"\n13 0 obj") + 1}),
        "FORMAT_FAILURE",
    ),
    "hide: the overlay's drawing becomes a form that draws nothing": (
        after({22: stream(b"", FORM_XOBJECT + b"/OC 18 0 R ")}),
        "PDF_CONTENT_CHANGED",
    ),
    "hide: overlay not printed": (after({19: BASE[19].replace(b"/F 4", b"/F 0")}), "PDF_CONTENT_CHANGED"),
    "hide: a field's overlay is dropped without a value": (
        after({17: BASE[17].replace(b"/AP << /N 20 0 R >> ", b"")}),
        "PDF_APPEARANCE_CHANGED",
    ),
    # replace: fonts, forms
    "replace: a font only the form uses": (
        after(
            {60: FONT.replace(b"Helvetica", b"Courier")},
            {5: FORM.replace(b"/F1 7 0 R", b"/F2 60 0 R") % (b"", b""), 60: FONT},
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "replace: the font's program": (
        after(
            {62: stream(b"other glyphs")},
            {
                7: FONT[:-2] + b"/FontDescriptor 61 0 R >>",
                61: b"<< /Type /FontDescriptor /FontFile 62 0 R >>",
                62: stream(b"glyphs"),
            },
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "replace: the font's encoding": (
        after(
            {60: b"<< /Type /Encoding /Differences [ 49 /nine ] >>"},
            {7: FONT[:-2] + b"/Encoding 60 0 R >>", 60: b"<< /Type /Encoding >>"},
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "replace: the value only": (after({17: BASE[17].replace(b"(100)", b"(999)")}), "PDF_DYNAMIC_FORM ?"),
    "replace: the value of the field above": (
        after(
            {17: b"<< /FT /Tx /T (Montant) /Kids [ 60 0 R ] /V (999) >>"},
            {
                3: BASE[3].replace(b"17 0 R", b"60 0 R"),
                17: b"<< /FT /Tx /T (Montant) /Kids [ 60 0 R ] /V (100) >>",
                60: b"<< /Type /Annot /Subtype /Widget /Parent 17 0 R /P 3 0 R /Rect [ 10 140 200 160 ] "
                b"/AP << /N 20 0 R >> >>",
            },
        ),
        "PDF_DYNAMIC_FORM ?",
    ),
    "replace: the value, its appearance copied": (
        after({17: BASE[17].replace(b"(100)", b"(999)").replace(b"20 0 R", b"60 0 R"), 60: BASE[20]}),
        "PDF_DYNAMIC_FORM ?",
    ),
    "replace: a box of its own under the new value": (drawn_field(BOX), "PDF_ANNOTATION_MAY_HIDE ?"),
    "replace: a box written with a NUL": (
        drawn_field(BOX.replace(b" f ", b"\0f\0")),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: a box behind a comment with a bracket": (
        drawn_field(b"% (\n" + BOX + b"\n% )\n"),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: an image": (drawn_field(b"/X Do BT (apres) Tj ET"), "PDF_ANNOTATION_MAY_HIDE ?"),
    "replace: white letters as a box": (
        drawn_field(b"BT 1 1 1 rg /ZaDb 300 Tf (nnn) Tj 0 g (999) Tj ET"),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: letters that paint": (
        drawn_field(
            b"BT /T 1 Tf (a) Tj ET",
            {
                42: b"<< /Type /Font /Subtype /Type3 /CharProcs << /a 43 0 R >> >>",
                43: stream(b"1 g 0 0 9 9 re f"),
            },
            FORM_XOBJECT + b"/Resources << /Font << /T 42 0 R >> >> ",
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: letters that turn what is below": (
        drawn_field(b"/G gs BT (nnn) Tj ET"),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: the stream that is the value": (
        after({60: stream(b"999")}, {17: BASE[17].replace(b"(100)", b"60 0 R"), 60: stream(b"100")}),
        "PDF_DYNAMIC_FORM ?",
    ),
    "replace: a prepared box comes into its frame": (
        after(
            {6: TEXT % FILL, 41: stream(b"1 g 0 0 190 20 re f BT (apres) Tj ET", FORM_XOBJECT)},
            {8: stream(b"1 g 0 0 190 20 re f", FORM_XOBJECT.replace(b"0 0 190 20", b"900 900 910 910"))},
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: a field shown under the pointer": (
        drawn_field(
            b"BT (apres) Tj ET",
            {6: TEXT % b"/V (apres) /AP << /N 41 0 R /R 42 0 R >> ", 42: stream(BOX, FORM_XOBJECT)},
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "replace: a check box that shows what it is not": (
        after(
            {
                60: b"<< /Type /Annot /Subtype /Widget /FT /Btn /T (Oui) /P 3 0 R /Rect [ 10 200 20 210 ] "
                b"/V /Off /AS /Yes /AP << /N << /Yes 61 0 R /Off 62 0 R >> >> >>"
            },
            {
                3: PAGE % (b" 60 0 R", b""),
                5: FORM % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /Widget /FT /Btn /T (Oui) /P 3 0 R /Rect [ 10 200 20 210 ] "
                b"/V /Off /AS /Off /AP << /N << /Yes 61 0 R /Off 62 0 R >> >> >>",
                61: stream(b"0 0 9 9 re S", FORM_XOBJECT),
                62: stream(b"", FORM_XOBJECT),
            },
        ),
        "PDF_DYNAMIC_FORM ?",
    ),
    # hide and replace: what is prepared before the signature comes to light
    "hide and replace: the prepared content under the old number": (
        lambda bench: (doc := bench.signed({60: EVIL})).update(
            {}, xref={4: doc.data.index(b"\n60 0 obj") + 1}
        ),
        "FORMAT_FAILURE",
    ),
    "hide and replace: prepared content named in long-term data": (
        after({1: CATALOG % b"/DSS << /Certs [ 4 0 R ] >> ", 4: EVIL}),
        "PDF_OBJECT_REDEFINED",
    ),
    "hide and replace: content that is metadata too": (
        after({4: EVIL, 1: CATALOG.replace(b"12 0 R", b"4 0 R") % b""}),
        "PDF_CONTENT_CHANGED",
    ),
    "hide and replace: content that is private data too": (
        after({4: EVIL}, FOREIGN_ROLES),
        "PDF_OBJECT_REDEFINED",
    ),
    "hide and replace: content named by an extension": (
        after({1: CATALOG % b"/Extensions << /X 4 0 R >> ", 4: EVIL}),
        "PDF_OBJECT_REDEFINED",
    ),
    "hide and replace: a field that is the page's fonts too": (
        after(
            {60: b"<< /FT /Tx /T (x) /V 61 0 R >>"},
            {
                3: BASE[3].replace(b"/Font << /F1 7 0 R >>", b"/Font 60 0 R"),
                5: FORM % (b" 60 0 R", b""),
                60: b"<< /FT /Tx /T (x) /V 7 0 R >>",
                61: FONT,
            },
        ),
        "PDF_OBJECT_REDEFINED",
    ),
    "hide and replace: a field that is an action too": (
        after(
            {60: b"<< /FT /Tx /T (x) /S /Launch /F (b.pdf) >>"},
            {
                5: FORM % (b" 60 0 R", b""),
                13: BASE[13][:-2] + b"/A << /S /GoTo /Next 60 0 R >> >>",
                60: b"<< /FT /Tx /T (x) /S /Launch /F (a.pdf) >>",
            },
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "a colour profile that paints white": (
        resigned(
            second(
                more={
                    1: CATALOG % b"/OutputIntents [ << /S /GTS_PDFA1 /DestOutputProfile 60 0 R >> ] ",
                    60: stream(b"white", b"/N 3 "),
                }
            )
        ),
        "PDF_CONTENT_CHANGED",
    ),
    # incremental saving
    "saving: content in an object stream": (
        after({}, table=False, packed={3: BASE[3].replace(b"/Contents 4", b"/Contents 21")}),
        "PDF_CONTENT_CHANGED",
    ),
    "saving: two revisions, the last one harmless": (
        lambda bench: bench.signed().update({4: EVIL}).update({11: b"<< >>"}),
        "PDF_CONTENT_CHANGED",
    ),
    "saving: evil between two signatures": (
        lambda bench: bench.signed().update({4: EVIL}).update(second(), sign=bench.sign()),
        "PDF_CONTENT_CHANGED",
    ),
    "saving: evil after two signatures": (
        lambda bench: bench.signed().update(second(), sign=bench.sign()).update({4: EVIL}),
        "PDF_CONTENT_CHANGED",
    ),
    "saving: a revision closed by the old cross-reference": (
        lambda bench: (
            bench.signed().data
            + b"4 0 obj\n%b\nendobj\ntrailer\n<< /Root 1 0 R /Size 100 >>\nstartxref\n%d\n%%%%EOF\n"
            % (EVIL, bench.signed().sections[-1])
        ),
        "FORMAT_FAILURE",
    ),
    # sneaky signatures
    "sneaky: over a field": (
        resigned(second(b"/Rect [ 10 140 200 160 ] /F 132 /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: over a stamp": (
        resigned(second(b"/Rect [ 310 700 330 705 ] /F 132 /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: by a widget below the field": (
        resigned(
            second(
                more={
                    3: PAGE % (b" 32 0 R", b""),
                    30: SECOND % b"/Kids [ 32 0 R ] ",
                    32: b"<< /Type /Annot /Subtype /Widget /Parent 30 0 R /P 3 0 R /Rect [ 10 140 200 160 ] "
                    b"/AP << /N 40 0 R >> >>",
                }
            )
        ),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: of the screen's size": (
        resigned(second(b"/Rect [ 300 300 301 301 ] /F 156 /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: shown under the pointer": (
        resigned(second(b"/Rect [ 0 300 600 700 ] /F 132 /AP << /R 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: a background and no drawing": (
        resigned(second(b"/Rect [ 0 300 600 700 ] /F 132 /MK << /BG [ 1 ] >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: a prepared empty field over the page": (
        resigned(
            {
                30: SECOND % b"/Rect [ 0 0 600 800 ] /AP << /N 40 0 R >> ",
                40: stream(b"1 g 0 0 9 9 re f", FORM_XOBJECT),
            },
            {
                3: PAGE % (b" 30 0 R", b""),
                5: FORM % (b" 30 0 R", b""),
                30: SECOND.replace(b"/V 31 0 R ", b"") % b"/Rect [ 0 0 600 800 ] ",
            },
        ),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "sneaky: the first signature gets another widget": (
        after(
            {
                9: BASE[9][:-2] + b"/Kids [ 60 0 R ] >>",
                3: PAGE % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /Widget /Parent 9 0 R /Rect [ 300 300 400 340 ] /AP << /N 61 0 R >> >>",
                61: stream(b"BT (x) Tj ET", FORM_XOBJECT),
            }
        ),
        "PDF_FIELD_ADDED",
    ),
    "sneaky: not certified for it": (
        resigned(second(b"/Rect [ 300 300 400 340 ] /F 132 /AP << /N 40 0 R >> "), extra=certified(1)),
        "PDF_CHANGE_NOT_PERMITTED",
    ),
    # evil annotations (P=3)
    "evil: free text": (
        annotated(ANNOTATION % (b"FreeText", b"/DA (/F1 9 Tf) /Contents (faux) ")),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: stamp": (annotated(ANNOTATION % (b"Stamp", DRAWN), BOX), "PDF_ANNOTATION_MAY_HIDE ?"),
    "evil: redaction": (
        annotated(ANNOTATION % (b"Redact", b"/IC [ 1 1 1 ] /OverlayText (999) ")),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: a note that is a white box": (
        annotated(
            b"<< /Type /Annot /Subtype /Text /Rect [ 50 690 80 710 ] /AP << /N 61 0 R >> >>",
            b"1 g 0 0 190 20 re f",
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: ink that wipes out": (
        annotated(ANNOTATION % (b"Ink", b"/C [ 1 1 1 ] /BS << /W 12 >> /InkList [ [ 50 700 240 700 ] ] ")),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: white lines drawn": (
        annotated(ANNOTATION % (b"Underline", DRAWN), b"1 1 1 RG 9 w 0 9 m 190 9 l S"),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: a thin line stretched": (
        annotated(
            ANNOTATION % (b"Underline", DRAWN),
            b"1 w 0 0 m 1 1 l S",
            FORM_XOBJECT.replace(b"0 0 190 20", b"0 0 1 1"),
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: a thin line under a matrix": (
        annotated(
            ANNOTATION % (b"Ink", DRAWN), b"1 w 0 0 m 1 1 l S", FORM_XOBJECT + b"/Matrix [ 90 0 0 90 0 0 ] "
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: a black highlight": (
        annotated(
            ANNOTATION % (b"Highlight", b"/C [ 0 0 0 ] /QuadPoints [ 50 710 240 710 50 690 240 690 ] ")
        ),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: text with a NUL": (
        annotated(ANNOTATION % (b"Ink", DRAWN), b"BT\0(999)\0Tj\0ET"),
        "PDF_ANNOTATION_MAY_HIDE ?",
    ),
    "evil: a widget that is no field": (
        annotated(ANNOTATION % (b"Widget", DRAWN), BOX),
        "PDF_FIELD_ADDED",
    ),
    "evil: the stamp that was there": (
        after(
            {19: BASE[19].replace(b"22 0 R", b"60 0 R"), 60: stream(BOX, FORM_XOBJECT)}, extra=certified(3)
        ),
        "PDF_CONTENT_CHANGED",
    ),
    # wrapping
    "wrapping: a copy of the signature in another field": (
        lambda bench: bench.signed().update(
            second(b"/Rect [ 300 300 400 340 ] ", {30: SECOND.replace(b"31 0 R", b"10 0 R") % HIDDEN})
        ),
        "FORMAT_FAILURE",
    ),
    "wrapping: the signature dictionary again, range kept": (
        lambda bench: (doc := bench.signed()).update(
            {10: re.search(rb"\n10 0 obj\n(.*?)\nendobj", doc.data, re.DOTALL)[1]}  # type: ignore[index]
        ),
        "FORMAT_FAILURE",
    ),
}


@pytest.mark.parametrize("name", SHADOWS)
def test_hostile_revisions(name: str, bench: Bench, tmp_path: Path) -> None:
    make, expected = SHADOWS[name]
    assert judged(bench, make(bench), tmp_path) == expected


DSS = {1: CATALOG % b"/DSS 60 0 R ", 60: b"<< /Certs [ 61 0 R ] >>", 61: stream(b"certificate")}
MORE = {60: b"<< /Certs [ 61 0 R 62 0 R ] >>", 62: stream(b"another")}
THIRD = {
    3: PAGE % (b" 30 0 R 50 0 R", b""),
    5: FORM % (b" 30 0 R 50 0 R", b""),
    50: SECOND.replace(b"(Deux)", b"(Trois)").replace(b"31 0 R", b"51 0 R") % HIDDEN,
}
BACKGROUND = b"1 g 0 0 190 20 re f "
RADIO = (
    b"<< /Type /Annot /Subtype /Widget /Parent 60 0 R /P 3 0 R /Rect [ 10 %d 20 %d ] "
    b"/AS /%b /AP << /N << /%b 63 0 R >> >> >>"
)
RADIOS = {
    3: PAGE % (b" 61 0 R 62 0 R", b""),
    5: FORM % (b" 60 0 R", b""),
    60: b"<< /FT /Btn /Ff 49152 /T (Choix) /V /a /Kids [ 61 0 R 62 0 R ] >>",
    61: RADIO % (200, 210, b"a", b"a"),
    62: RADIO % (220, 230, b"Off", b"b"),
    63: stream(b"0 0 9 9 re S", FORM_XOBJECT),
}
VISIBLE = b"/Rect [ %b ] /F 132 /AP << /N 40 0 R >> "

GENUINE: dict[str, Make] = {
    "two approvals": resigned(second()),
    "two approvals, both seen": resigned(
        second(VISIBLE % b"300 50 490 80"), {9: BASE[9][:-2] + b"/AP << /N 20 0 R >> >>"}
    ),
    "two approvals side by side": resigned(second(VISIBLE % b"200 50 390 80")),
    "over a hidden annotation": resigned(
        second(VISIBLE % b"310 700 330 705"), {19: BASE[19].replace(b"/F 4", b"/F 2")}
    ),
    "over a link": resigned(second(VISIBLE % b"0 0 9 9")),
    "over a field that shows nothing": resigned(
        second(VISIBLE % b"10 10 100 30"),
        {6: TEXT % b"/AP << /N 8 0 R >> ", 8: stream(b"/Tx BMC EMC", FORM_XOBJECT)},
    ),
    "filled, then signed": lambda bench: bench.signed().update(filled()).update(second(), sign=bench.sign()),
    "filled and signed at once": resigned(second(more=filled())),
    "P=2, filled, signed": lambda bench: (
        signed(bench, None, certified(2)).update(filled()).update(second(), sign=bench.sign())
    ),
    "P=3, a note": annotated(ANNOTATION % (b"Text", b"/Contents (vu) ")),
    "P=3, underlined": annotated(ANNOTATION % (b"Underline", DRAWN), b"1 0 0 RG 1 w 0 2 m 190 2 l S"),
    "long-term data twice": lambda bench: (
        bench.signed()
        .update(DSS)
        .update(second(more={1: DSS[1]}), sign=bench.stamp())
        .update(MORE)
        .update(THIRD, sign=bench.stamp(51))
    ),
    "P=1, long-term data twice": lambda bench: (
        signed(bench, None, certified(1))
        .update(DSS)
        .update(second(more={1: DSS[1]}), sign=bench.stamp())
        .update(MORE)
        .update(THIRD, sign=bench.stamp(51))
    ),
    "filled over its own background": after(
        {6: TEXT % FILL, 41: stream(BACKGROUND + b"BT (apres) Tj ET", FORM_XOBJECT)},
        {8: stream(BACKGROUND + b"BT (avant) Tj ET", FORM_XOBJECT)},
    ),
    "filled with words that are operators": drawn_field(b"BT (12 B rue f \\) 1 g) Tj ET"),
    "an empty value written down": after({6: TEXT % b"/V () "}, {6: TEXT % b""}),
    "another radio button": after(
        {
            60: RADIOS[60].replace(b"/V /a", b"/V /b"),
            61: RADIO % (200, 210, b"Off", b"a"),
            62: RADIO % (220, 230, b"b", b"b"),
        },
        RADIOS,
    ),
    "an empty field with an empty look": after(
        second(
            more={
                30: SECOND.replace(b"/V 31 0 R ", b"") % b"/Rect [ 10 140 20 150 ] /MK << /BC [ ] /R 90 >> "
            }
        )
    ),
    "prepared field signed": resigned(
        {30: SECOND % (VISIBLE % b"300 300 400 340"), 40: stream(b"0 0 9 9 re f", FORM_XOBJECT)},
        {
            3: PAGE % (b" 30 0 R", b""),
            5: FORM % (b" 30 0 R", b""),
            30: SECOND.replace(b"/V 31 0 R ", b"") % b"/Rect [ 300 300 400 340 ] /F 4 ",
        },
    ),
    "properties and form in one object": lambda bench: (
        Doc(trailer=b"/Root 1 0 R /Info 5 0 R ")
        .update(BASE | {5: FORM % (b"", b"/Producer (un) ")}, sign=bench.sign(10))
        .update(second(more={5: FORM % (b" 30 0 R", b"/Producer (deux) ")}), sign=bench.sign())
    ),
}


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_revisions(name: str, bench: Bench, tmp_path: Path) -> None:
    assert judged(bench, GENUINE[name](bench), tmp_path) == "PASSED"


def forged(bench: Bench, old: bytes, new: bytes, objects: Objects | None = None) -> bytes:
    """Write over the signature dictionary of a signed file, lengths kept."""
    data = bench.signed(objects).data
    changed, count = re.subn(old, lambda found: new.ljust(len(found[0])), data, count=1)
    assert count == 1
    return changed


CONTENTS = rb"/Contents <[0-9a-f]*>"
RANGE = rb"/ByteRange \[[^\]]*\]"
FORGERIES = {
    "no contents": (CONTENTS, b""),
    "contents null": (CONTENTS, b"/Contents null"),
    "contents negative": (CONTENTS, b"/Contents -1"),
    "contents huge": (CONTENTS, b"/Contents 99999999999999999999"),
    "contents unfinished": (CONTENTS, b"/Contents <"),
    "contents odd": (CONTENTS, b"/Contents <000>"),
    "contents of nobody": (CONTENTS, b"/Contents 98 0 R"),
    "no range": (RANGE, b""),
    "range null": (RANGE, b"/ByteRange null"),
    "range negative": (RANGE, b"/ByteRange [-1 -1 -1 -1]"),
    "range huge": (RANGE, b"/ByteRange [0 99999999999999999999 9 9]"),
    "range huge, spelled otherwise": (RANGE, b"/Byte#52ange [0 99999999999999999999 9 9]"),
    "range unfinished": (RANGE, b"/ByteRange [0 1"),
    "range of nobody": (RANGE, b"/ByteRange 98 0 R"),
    "no dictionary": (rb"<< /Type /Sig /Filter", b"(( /Type /Sig /Filter"),
    "object gone": (rb"\n10 0 obj", b"\n10 0 oxj"),
    "value of nobody": (rb"/V 10 0 R", b"/V 97 0 R"),
    "value of another kind": (rb"/V 10 0 R", b"/V /Sig   "),
    "field unreadable": (rb"/FT /Sig /T \(Un\)", b"/FT /Sig /T (("),
    "field gone": (rb"\n9 0 obj", b"\n9 0 oxj"),
    "form gone": (rb"\n5 0 obj", b"\n5 0 oxj"),
    "fields no list": (rb"/Fields \[ 6 0 R 9 0 R 17 0 R \]", b"/Fields (9 0 R)"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_signature_that_cannot_be_read_is_not_missing(name: str, bench: Bench, tmp_path: Path) -> None:
    # Without form, widgets on pages still show it: then what was written over is noticed.
    expected = "HASH_FAILURE" if name in {"form gone", "fields no list"} else "FORMAT_FAILURE"
    assert judged(bench, forged(bench, *FORGERIES[name]), tmp_path) == expected


def test_a_direct_signature_that_cannot_be_read(bench: Bench, tmp_path: Path) -> None:
    for broken in (b"<< /Type /Sig /ByteRange [ 0 99999999999999999999 1 1 ] /Contents <00> >>", b"98 0 R"):
        doc = Doc().update(BASE | {9: BASE[9].replace(b"10 0 R", broken)})
        assert judged(bench, doc, tmp_path) == "FORMAT_FAILURE"


def test_in_an_object_stream_too(bench: Bench, tmp_path: Path) -> None:
    packed = {9: BASE[9].replace(b"10 0 R", b"98 0 R"), 13: BASE[13]}
    rest = {number: body for number, body in BASE.items() if number not in packed}
    assert judged(bench, Doc().update(rest, table=False, packed=packed), tmp_path) == "FORMAT_FAILURE"


def test_inherited_kind_and_widgets_without_form(bench: Bench, tmp_path: Path) -> None:
    widget = b"<< /Type /Annot /Subtype /Widget /Parent 9 0 R /Rect [ 10 50 200 80 ] %b>>"
    parent = {9: b"<< /FT /Sig /T (Un) /Kids [ 60 0 R ] >>", 60: widget % b"/V 98 0 R "}
    assert judged(bench, Doc().update(BASE | parent), tmp_path) == "FORMAT_FAILURE"
    shown = {3: BASE[3].replace(b"9 0 R", b"60 0 R"), 5: b"<< /Fields [ ] >>", 60: widget % b""}
    doc = Doc().update(BASE | shown, sign=bench.sign(10))
    path = tmp_path / "x.pdf"
    path.write_bytes(doc.data)
    assert [item.field_name for item in pdf_signatures(path)] == ["Un"]


UNSIGNED: dict[str, Objects] = {
    "an empty signature field": {9: BASE[9].replace(b"/V 10 0 R ", b"")},
    "a value that is null": {9: BASE[9].replace(b"10 0 R", b"null")},
    "a form that says signatures exist": {
        3: PAGE.replace(b"9 0 R ", b"") % (b"", b""),
        5: FORM.replace(b"9 0 R ", b"") % (b"", b""),
        9: b"null",
    },
    "a text about byte ranges": {
        9: BASE[9].replace(b"/V 10 0 R ", b""),
        11: b"<< /Title (What /ByteRange [ 0 1 2 3 ] means) >>",
    },
    "usage rights that ended": {
        9: BASE[9].replace(b"/V 10 0 R ", b""),
        60: b"<< /Type /Sig /ByteRange [ 0 1 2 3 ] "
        b"/Contents <00> /Reference [ << /TransformMethod /UR3 >> ] >>",
    },
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_unsigned_files_stay_so(name: str, bench: Bench, tmp_path: Path) -> None:
    assert judged(bench, Doc().update(BASE | UNSIGNED[name]), tmp_path) == "NO_SIGNATURE_FOUND ?"


@pytest.mark.parametrize("packed", [False, True])
def test_an_attached_signed_pdf_is_no_signature(packed: bool, bench: Bench, tmp_path: Path) -> None:
    inner = stream(bench.signed().data, b"/Type /EmbeddedFile ", packed=packed)
    objects = {
        9: BASE[9].replace(b"/V 10 0 R ", b""),
        1: CATALOG % b"/AF [ 61 0 R ] ",
        60: inner,
        61: b"<< /Type /Filespec /F (a.pdf) /EF << /F 60 0 R >> >>",
    }
    assert judged(bench, Doc().update(BASE | objects), tmp_path) == "NO_SIGNATURE_FOUND ?"


def test_octets_made_to_slow_the_search(bench: Bench, tmp_path: Path) -> None:
    for filler in (b"obj" * 80_000, b"/ByteRange " * 20_000, b"1 0 obj /ByteRange " * 9_000):
        objects = {9: BASE[9].replace(b"/V 10 0 R ", b""), 60: b"(" + filler + b")"}
        assert "PASSED" not in judged(bench, Doc().update(BASE | objects), tmp_path)


_PARTS = [b"/V", b"/#56", b"%", b"\n", b"\r", b" ", b"\0", b"5", b"0", b"+", b"R", b"5 0 R", b"\n5 0 R", b"x"]
_SLOW = re.compile(
    rb"/(?:V|#56)(?:%b|%%[^\r\n]*[\r\n])*\+?(\d{1,10})%b+(\d{1,10})%b+R" % ((rb"[\x00\t\n\x0c\r ]",) * 3)
)


@given(st.lists(st.sampled_from(_PARTS), max_size=24).map(b"".join))
@settings(max_examples=1000)
def test_values_as_an_expression_finds_them(text: bytes) -> None:
    """As with what is simplest to read, which takes quadratic time."""
    assert list(values_in(text)) == [(int(found[1]), int(found[2])) for found in _SLOW.finditer(text)]


@pytest.mark.parametrize(
    "text",
    [
        b"/V%" * 100_000,
        b"/V%" * 100_000 + b"\n5 0 x",
        b"%/V%\n" * 60_000,
        b"/V%\n" * 60_000 + b"%",
        b"/V%" * 50_000 + b"\n5" + b" " * 150_000,
        b"/V" + b" " * 300_000,
        b"/V " * 100_000,
    ],
)
def test_comments_do_not_slow_the_search_for_values(text: bytes) -> None:
    assert list(values_in(text)) == []
    assert list(values_in(text + b"\n/V 6 0 R")) == [(6, 0)]


_STRINGS = [b"<", b">", b"<<", b"a", b"f", b" ", b"1", b"%", b"\n", b"/N"]
_TOKEN = re.compile(rb"%[^\r\n]*|<<|<[^>]*>|/[^\s()<>\[\]{}/%]*|[-+.\d]+|([^\s()<>\[\]{}/%\d.+-]+)|\S")


@given(st.lists(st.sampled_from(_STRINGS), max_size=20).map(b"".join))
@settings(max_examples=500)
def test_what_stands_in_a_string_paints_nothing(text: bytes) -> None:
    """A string goes to its first end, whatever is in it, and one without end is none."""
    wanted = [found[1] for found in _TOKEN.finditer(text) if found[1] is not None]
    assert [item.operator for item in operations(text)] == wanted


def test_strings_without_end_do_not_slow_the_reading_of_a_page() -> None:
    painted = operations(b"<a f> 0 g " + b"<a " * 500_000)
    assert [item.operator for item in painted[:2]] == [b"g", b"a"]
    assert len(painted) == 500_001


def test_a_real_file_whose_properties_are_its_form(tmp_path: Path) -> None:
    """PyPDF2 merged both into one object; two signers sign it."""
    from tests.interop.foreign.pyhanko_maker import PyHankoMaker

    maker = PyHankoMaker(World())
    data = (REAL / "013-reportlab-overlay.pdf").read_bytes()
    path = tmp_path / "twice.pdf"
    path.write_bytes(maker.sign(maker.sign(data), field="Sig2", signer=maker.second))
    verdict = verify_file(path, trust=TrustStore([maker.world.root.certificate]))
    assert verdict.verdict is Outcome.PASSED, verdict.reasons


def test_page_trees_that_qpdf_gives_up(bench: Bench, tmp_path: Path) -> None:
    for pages in (
        b"<< /Type /Pages /Kids [ 3 0 R 3 0 R 2 0 R ] /Count 7 >>",
        b"<< /Type /Pages /Kids [ 2 0 R ] /Count 1 >>",
    ):
        doc = Doc().update(BASE | {2: pages}, sign=bench.sign(10)).update(second(), sign=bench.sign())
        path = tmp_path / "loop.pdf"
        path.write_bytes(doc.data)
        for signature in pdf_signatures(path):
            assert signature.fault is None or isinstance(signature.fault, SignatureRefused)
        assert judged(bench, doc, tmp_path) != "PROCESSING_ERROR ?"


def test_what_qpdf_says_of_hostile_files_reaches_nobody(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(forged(bench, rb"startxref\n\d+", b"startxref\n0"))
    script = (
        "import logging, sys; from pathlib import Path; from signing.pdf_signatures import pdf_signatures\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "pdf_signatures(Path(sys.argv[1])); logging.getLogger('pikepdf._core').error('file text')"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script, path], cwd=root, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert logging.getLogger("pikepdf._core").propagate is False


def test_files_that_pikepdf_writes_stay_readable(bench: Bench, tmp_path: Path) -> None:
    """An unsigned form that other software saved anew, objects in streams, is unsigned."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(Doc().update(BASE | UNSIGNED["an empty signature field"]).data)) as pdf:
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    assert judged(bench, out.getvalue(), tmp_path) == "NO_SIGNATURE_FOUND ?"
