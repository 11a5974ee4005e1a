"""What is allowed after a signature and what is not: files written octet by octet, with signatures of no value.

Only coverage and changes are judged here, so the signature values are arbitrary octets.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from signing import pdf_states
from signing.errors import SignatureRefused
from signing.judgement import ChangeKind
from signing.pdf_changes import revisions
from signing.pdf_signatures import pdf_signatures

SIGNED = Path(__file__).resolve().parents[1] / "data" / "pdf-signed"
COUNTER = itertools.count(1)

CATALOG = b"<< /Type /Catalog /Pages 2 0 R /AcroForm 5 0 R /Metadata 12 0 R %b>>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 800 ] /Contents 4 0 R "
    b"/Resources << /Font << /F1 7 0 R >> /XObject << /X1 14 0 R >> >> /Annots [ 6 0 R 9 0 R 13 0 R%b ] %b>>"
)
FORM = b"<< /Fields [ 6 0 R 9 0 R%b ] /SigFlags 3 /DR << /Font << /F1 7 0 R >> >> %b>>"
TEXT = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Nom) /P 3 0 R /Rect [ 10 10 200 30 ] %b>>"
EMPTY = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Deux) /P 3 0 R /Rect [ 10 90 200 120 ] %b>>"
SIGNATURE = (
    b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter %b %b/ByteRange [0 ########## ########## ##########] "
    b"/Contents <%b> >>"
)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


FORM_STREAM = b"/Type /XObject /Subtype /Form /BBox [ 0 0 190 20 ] "
XMP = b"/Type /Metadata /Subtype /XML "
BASE: dict[int, bytes] = {
    1: CATALOG % b"",
    2: b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
    3: PAGE % (b"", b""),
    4: stream(b"BT /F1 12 Tf 50 700 Td (Bonjour) Tj ET"),
    5: FORM % (b"", b""),
    6: TEXT % b"/V (avant) /AP << /N 8 0 R >> ",
    7: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    8: stream(b"BT (avant) Tj ET", FORM_STREAM),
    9: b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Un) /P 3 0 R /V 10 0 R /Rect [ 10 50 200 80 ] /F 132 >>",
    11: b"<< /Producer (un) >>",
    12: stream(b"<x/>", XMP),
    13: b"<< /Type /Annot /Subtype /Link /Rect [ 0 0 9 9 ] /P 3 0 R >>",
    14: stream(b"0 0 9 9 re f", FORM_STREAM),
}


@dataclass
class Doc:
    """A PDF that grows by incremental updates."""

    data: bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    trailer: bytes = b"/Root 1 0 R /Info 11 0 R "
    ends: list[int] = field(default_factory=list)
    sections: list[int] = field(default_factory=list)

    def update(
        self,
        objects: dict[int, bytes],
        *,
        sign: int | None = None,
        sub_filter: bytes = b"/ETSI.CAdES.detached",
        extra: bytes = b"",
        trailer: bytes | None = None,
        free: tuple[int, ...] = (),
        xref: dict[int, int] | None = None,
        between: bytes = b"",
    ) -> Doc:
        start = len(self.data)
        out = bytearray(self.data)
        offsets: dict[int, int] = {}
        if sign is not None:
            value = b"%064x" % next(COUNTER)
            objects = {**objects, sign: SIGNATURE % (sub_filter, extra, value)}
        for number, body in objects.items():
            offsets[number] = len(out)
            out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        out += between
        offsets |= xref or {}
        section = len(out)
        out += b"xref\n0 1\n0000000000 65535 f \n"
        for number, offset in sorted(offsets.items()):
            out += b"%d 1\n%010d 00000 n \n" % (number, offset)
        for number in free:
            out += b"%d 1\n0000000000 00001 f \n" % number
        size = max(99, *offsets) if offsets else 99
        previous = b"/Prev %d " % self.sections[-1] if self.sections else b""
        entries = self.trailer if trailer is None else trailer
        out += b"trailer\n<< /Size %d %b%b>>\nstartxref\n%d\n%%%%EOF\n" % (
            size + 1,
            previous,
            entries,
            section,
        )
        if sign is not None:
            gap = re.search(rb"<[0-9a-f]{64}>", bytes(out[start:]))
            assert gap is not None
            first, second = start + gap.start(), start + gap.end()
            numbers = iter((first, second, len(out) - second))
            head = re.sub(rb"#{10}", lambda _: b"%010d" % next(numbers), bytes(out[start:first]), count=3)
            out[start:first] = head
        return Doc(bytes(out), self.trailer, [*self.ends, len(out)], [*self.sections, section])


def base(objects: dict[int, bytes] | None = None, extra: bytes = b"", trailer: bytes = b"") -> Doc:
    """A signed one-page document with a text field."""
    return Doc(trailer=b"/Root 1 0 R /Info 11 0 R " + trailer).update(
        BASE | (objects or {}), sign=10, extra=extra
    )


def judge(doc: Doc, tmp_path: Path, index: int = 0) -> str:
    """Return the code for a signature, else the kinds of change after it."""
    path = tmp_path / f"{next(COUNTER)}.pdf"
    path.write_bytes(doc.data)
    signatures = pdf_signatures(path)
    with revisions(path, signatures) as found:
        try:
            changes = found.after(signatures[index])
        except SignatureRefused as error:
            return error.code + (" ?" if error.indeterminate else "")
    return ", ".join(sorted(change.kind.name for change in changes))


def mdp(level: bytes) -> bytes:
    return (
        b"/Reference [ << /Type /SigRef /TransformMethod /DocMDP /TransformParams << /P %b /V /1.2 >> >> ] "
        % level
    )


def field_mdp(action: bytes, names: bytes = b"") -> bytes:
    return b"/Reference [ << /TransformMethod /FieldMDP /TransformParams << /Action %b %b>> >> ] " % (
        action,
        names,
    )


DSS = {1: CATALOG % b"/DSS 20 0 R ", 20: b"<< /Certs [ 21 0 R ] >>", 21: stream(b"certificate")}
FILLED = {6: TEXT % b"/V (apres) /AP << /N 20 0 R >> ", 20: stream(b"BT (apres) Tj ET", FORM_STREAM)}
SECOND = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Deux) /P 3 0 R /V 31 0 R %b>>"
HIDDEN = b"/Rect [ 0 0 0 0 ] /F 132 "
VISIBLE = b"/Rect [ 300 300 400 340 ] /F 132 /AP << /N 20 0 R >> "


def second(entries: bytes = HIDDEN, more: dict[int, bytes] | None = None) -> dict[int, bytes]:
    return {
        3: PAGE % (b" 30 0 R", b""),
        5: FORM % (b" 30 0 R", b""),
        30: SECOND % entries,
        20: stream(b"0 0 9 9 re f", FORM_STREAM),
    } | (more or {})


ANNOTATED = {3: PAGE % (b" 20 0 R", b"")}
CLEAR = b"<< /Type /Annot /Subtype /Highlight /Rect [ 0 0 9 9 ] /QuadPoints [ 0 0 9 0 0 9 9 9 ] >>"


def annotation(kind: bytes, content: bytes | None = None, entries: bytes = b"") -> dict[int, bytes]:
    shown = b"" if content is None else b"/AP << /N 21 0 R >> "
    body = b"<< /Type /Annot /Subtype %b /Rect [ 0 0 90 90 ] %b%b>>" % (kind, shown, entries)
    return ANNOTATED | {20: body} | ({} if content is None else {21: stream(content, FORM_STREAM)})


Change = Callable[[Doc], Doc]


def plain(objects: dict[int, bytes], **options: object) -> Change:
    return lambda doc: doc.update(objects, **options)  # type: ignore[arg-type]


ALLOWED: dict[str, tuple[Change, str]] = {
    "nothing": (lambda doc: doc, ""),
    "empty update": (plain({}), "REWRITTEN"),
    "same again": (plain({3: BASE[3], 4: BASE[4], 7: BASE[7]}), "REWRITTEN"),
    "same numbers, written otherwise": (plain({3: BASE[3].replace(b"600", b"600.0")}), "REWRITTEN"),
    "an object nobody refers to": (plain({40: b"(hello)"}), "REWRITTEN"),
    "properties": (plain({11: b"<< /Producer (deux) >>"}), "METADATA"),
    "other metadata": (plain({12: stream(b"<y/>", XMP)}), "METADATA"),
    "properties dropped": (plain({}, trailer=b"/Root 1 0 R "), "METADATA"),
    "long-term data": (plain(DSS), "DSS"),
    "metadata and extensions": (
        plain(
            {1: CATALOG % b"/Extensions << /ADBE << /BaseVersion /1.7 /ExtensionLevel 8 >> >> /Version /2.0 "}
        ),
        "REWRITTEN",
    ),
    "filled": (plain(FILLED), "FIELD_FILLED"),
    "filled, old appearance overridden": (
        plain({6: TEXT % b"/V (apres) /AP << /N 8 0 R >> ", 8: stream(b"BT (apres) Tj ET", FORM_STREAM)}),
        "FIELD_FILLED",
    ),
    "filled without appearance": (plain({6: TEXT % b"/V (apres) "}), "FIELD_FILLED"),
    "second signature": (plain(second(), sign=31), "SIGNATURE"),
    "second signature, visible": (plain(second(VISIBLE), sign=31), "SIGNATURE"),
    "document timestamp": (plain(second(), sign=31, sub_filter=b"/ETSI.RFC3161"), "DOC_TIMESTAMP"),
    "long-term data, then a timestamp": (
        lambda doc: doc.update(DSS).update(
            {key: value for key, value in second().items() if key != 20}, sign=31, sub_filter=b"/ETSI.RFC3161"
        ),
        "DOC_TIMESTAMP, DSS",
    ),
    "annotations in an array of their own": (
        plain(
            second(
                more={
                    3: PAGE.replace(b"[ 6 0 R 9 0 R 13 0 R%b ]", b"33 0 R%b") % (b"", b""),
                    33: b"[ 6 0 R 9 0 R 13 0 R 30 0 R ]",
                }
            ),
            sign=31,
        ),
        "SIGNATURE",
    ),
    "empty signature field": (
        plain({5: FORM % (b" 30 0 R", b""), 3: PAGE % (b" 30 0 R", b""), 30: EMPTY % b""}),
        "SIGNATURE",
    ),
    "object freed that nobody needs": (plain({}, free=(40,)), "REWRITTEN"),
    "names for the form": (
        plain({5: FORM.replace(b"/F1 7 0 R", b"/F1 7 0 R /F2 20 0 R") % (b"", b""), 20: BASE[7]}),
        "REWRITTEN",
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_may_follow_a_signature(name: str, tmp_path: Path) -> None:
    change, expected = ALLOWED[name]
    assert judge(change(base()), tmp_path) == expected


REFUSED: dict[str, tuple[Change, str]] = {
    "content replaced": (plain({4: stream(b"BT (Adieu) Tj ET")}), "PDF_CONTENT_CHANGED"),
    "content redirected": (
        plain({3: BASE[3].replace(b"4 0 R", b"20 0 R"), 20: stream(b"x")}),
        "PDF_CONTENT_CHANGED",
    ),
    "font redefined": (plain({7: BASE[7].replace(b"Helvetica", b"Courier")}), "PDF_CONTENT_CHANGED"),
    "page box": (plain({3: BASE[3].replace(b"800", b"80")}), "PDF_CONTENT_CHANGED"),
    "page rotated": (plain({3: PAGE % (b"", b"/Rotate 90 ")}), "PDF_CONTENT_CHANGED"),
    "resource added": (plain({3: BASE[3].replace(b"/F1 7", b"/F2 7 0 R /F1 7")}), "PDF_CONTENT_CHANGED"),
    "page added": (
        plain(
            {2: b"<< /Type /Pages /Kids [ 3 0 R 20 0 R ] /Count 2 >>", 20: b"<< /Type /Page /Parent 2 0 R >>"}
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "page tree replaced": (
        plain({1: BASE[1].replace(b"Pages 2", b"Pages 20"), 20: BASE[2]}),
        "PDF_CONTENT_CHANGED",
    ),
    "page freed": (plain({}, free=(3,)), "PDF_CONTENT_CHANGED"),
    "annotation freed": (plain({}, free=(13,)), "PDF_CONTENT_CHANGED"),
    "annotation moved": (plain({13: BASE[13].replace(b"9 9 ]", b"9 99 ]")}), "PDF_CONTENT_CHANGED"),
    "annotation retyped": (plain({13: b"<< >>"}), "PDF_CONTENT_CHANGED"),
    "annotation gone": (plain({3: BASE[3].replace(b" 13 0 R", b"")}), "PDF_CONTENT_CHANGED"),
    "annotations reordered": (
        plain({3: BASE[3].replace(b"6 0 R 9 0 R 13 0 R", b"13 0 R 6 0 R 9 0 R")}),
        "PDF_CONTENT_CHANGED",
    ),
    "form XObject redefined": (plain({14: stream(b"9 9 9 9 re f", FORM_STREAM)}), "PDF_CONTENT_CHANGED"),
    "open action": (
        plain({1: CATALOG % b"/OpenAction << /S /JavaScript /JS (x) >> "}),
        "PDF_CONTENT_CHANGED",
    ),
    "script": (plain({1: CATALOG % b"/Names << /JavaScript << /Names [ ] >> >> "}), "PDF_CONTENT_CHANGED"),
    "layers": (plain({1: CATALOG % b"/OCProperties << /OCGs [ ] >> "}), "PDF_CONTENT_CHANGED"),
    "older version": (plain({1: CATALOG % b"/Version /1 "}), "PDF_CONTENT_CHANGED"),
    "metadata that draw": (plain({12: stream(b"0 0 9 9 re f", FORM_STREAM)}), "PDF_CONTENT_CHANGED"),
    "another catalog": (plain({20: BASE[1]}, trailer=b"/Root 20 0 R /Info 11 0 R "), "PDF_CONTENT_CHANGED"),
    "trailer entry": (plain({}, trailer=b"/Root 1 0 R /Info 11 0 R /Foo 4 0 R "), "PDF_CONTENT_CHANGED"),
    "redrawn by the viewer": (plain({5: FORM % (b"", b"/NeedAppearances true ")}), "PDF_CONTENT_CHANGED"),
    "appearance of an unfilled field": (
        plain({8: stream(b"BT (faux) Tj ET", FORM_STREAM)}),
        "PDF_APPEARANCE_CHANGED",
    ),
    "appearance without value": (
        plain({6: TEXT % b"/V (avant) /AP << /N 20 0 R >> ", 20: stream(b"BT (faux) Tj ET", FORM_STREAM)}),
        "PDF_APPEARANCE_CHANGED",
    ),
    "field moved": (plain({6: BASE[6].replace(b"200 30", b"300 30")}), "PDF_CONTENT_CHANGED"),
    "field hidden": (plain({6: BASE[6][:-2] + b"/F 2 >>"}), "PDF_CONTENT_CHANGED"),
    "field renamed": (plain({6: BASE[6].replace(b"(Nom)", b"(Non)")}), "PDF_CONTENT_CHANGED"),
    "field with action": (plain({6: BASE[6][:-2] + b"/AA << >> >>"}), "PDF_CONTENT_CHANGED"),
    "field gone": (plain({5: FORM.replace(b"6 0 R ", b"") % (b"", b"")}), "PDF_CONTENT_CHANGED"),
    "field freed": (plain({}, free=(6,)), "PDF_CONTENT_CHANGED"),
    "text field added": (
        plain({5: FORM % (b" 20 0 R", b""), 20: TEXT.replace(b"Nom", b"Mon") % b""}),
        "PDF_FIELD_ADDED",
    ),
    "widget added": (
        plain({3: PAGE % (b" 20 0 R", b""), 20: TEXT.replace(b"Nom", b"Mon") % b""}),
        "PDF_FIELD_ADDED",
    ),
    "another widget of a field": (
        plain({3: PAGE % (b" 20 0 R", b""), 20: b"<< /Subtype /Widget /Parent 6 0 R /T (x) /FT /Sig >>"}),
        "PDF_FIELD_ADDED",
    ),
    "signature field that is not empty": (
        plain(second(VISIBLE.replace(b"/AP", b"/X 1 /AP"), {30: EMPTY % VISIBLE[22:]})),
        "PDF_FIELD_ADDED",
    ),
    "signature field with action": (plain(second(HIDDEN + b"/AA << >> "), sign=31), "PDF_FIELD_ADDED"),
    "signature that does not cover": (
        plain(second(more={31: SIGNATURE % (b"/X", b"", b"00")})),
        "PDF_FIELD_ADDED",
    ),
    "signature over the page": (
        plain(second(b"/Rect [ 0 300 600 700 ] /AP << /N 20 0 R >> "), sign=31),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "signature over another": (
        plain(second(b"/Rect [ 100 60 300 99 ] /AP << /N 20 0 R >> "), sign=31),
        "PDF_APPEARANCE_OVERLAP",
    ),
    "signed field changed": (plain({9: BASE[9].replace(b"200 80", b"20 80")}), "PDF_CONTENT_CHANGED"),
    "signature field emptied": (plain({9: BASE[9].replace(b"/V 10 0 R ", b"")}), "NONE"),
    "signature value redefined": (plain({10: b"<< >>"}), "NONE"),
    "dynamic form": (plain({5: FORM % (b"", b"/XFA (x) ")}), "PDF_DYNAMIC_FORM ?"),
    "annotation": (plain(annotation(b"/Text")), "PDF_ANNOTATION_ADDED"),
    "overridden in the end": (
        lambda doc: doc.update(second(), sign=31).update({4: stream(b"BT (Adieu) Tj ET")}),
        "PDF_CONTENT_CHANGED",
    ),
    "covered by a later signature": (
        plain(second(more={4: stream(b"BT (Adieu) Tj ET")}), sign=31),
        "PDF_CONTENT_CHANGED",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not(name: str, tmp_path: Path) -> None:
    change, expected = REFUSED[name]
    doc = change(base())
    if expected == "NONE":
        # No field shows the signature any more: it cannot be asked for.
        path = tmp_path / "x.pdf"
        path.write_bytes(doc.data)
        assert all(item.fault is not None for item in pdf_signatures(path))
    else:
        assert judge(doc, tmp_path) == expected


SHARED = stream(b"BT (avant) Tj ET", FORM_STREAM)
TWICE = {8: SHARED, 6: TEXT % b"/V (apres) /AP << /N 8 0 R >> "}
OVERRIDE = {**TWICE, 8: stream(b"BT (apres) Tj ET", FORM_STREAM)}
KEEPS_REFERENCE = b"[ 6 0 R 9 0 R 13 0 R ]"


def with_page(entries: bytes) -> dict[int, bytes]:
    return {3: PAGE % (b"", entries)}


# Prepared before signing, sprung after: what the signer saw is not what the reader sees.
SHADOWS: dict[str, tuple[Doc, Change, str]] = {
    "appearance drawn by the page too": (
        base({3: BASE[3].replace(b"/X1 14", b"/X1 8")}),
        plain(OVERRIDE),
        "PDF_OBJECT_REDEFINED",
    ),
    "appearance named by the trailer too": (
        base(trailer=b"/Foo 8 0 R "),
        plain(OVERRIDE),
        "PDF_OBJECT_REDEFINED",
    ),
    "appearance named by an unknown key too": (
        base({1: CATALOG % b"/Foo 8 0 R "}),
        plain(OVERRIDE),
        "PDF_OBJECT_REDEFINED",
    ),
    "appearance also an icon": (
        base({13: BASE[13][:-2] + b"/MK << /I 8 0 R >> >>"}),
        plain(OVERRIDE),
        "PDF_OBJECT_REDEFINED",
    ),
    "dictionary of appearances is the page's XObjects": (
        base(
            {
                6: TEXT % b"/V (avant) /AP 15 0 R ",
                15: b"<< /N 8 0 R >>",
                3: BASE[3].replace(b"<< /X1 14 0 R >>", b"15 0 R"),
            }
        ),
        plain({6: TEXT % b"/V (apres) /AP 15 0 R ", 8: OVERRIDE[8]}),
        "PDF_OBJECT_REDEFINED",
    ),
    "long-term data are the page's content": (
        base(
            {
                1: CATALOG % b"/DSS 15 0 R ",
                15: b"<< /Certs 16 0 R >>",
                16: b"[ 4 0 R ]",
                3: BASE[3].replace(b"/Contents 4", b"/Contents 16"),
            }
        ),
        plain({4: stream(b"BT (Adieu) Tj ET")}),
        "PDF_OBJECT_REDEFINED",
    ),
    "long-term data lead to the page": (
        base(),
        plain({1: CATALOG % b"/DSS 20 0 R ", 20: b"<< /Foo 2 0 R >>", 4: stream(b"BT (Adieu) Tj ET")}),
        "PDF_OBJECT_REDEFINED",
    ),
    "properties are a resource": (
        base({3: BASE[3].replace(b"/F1 7", b"/F1 11")}),
        plain({11: BASE[7]}),
        "PDF_OBJECT_REDEFINED",
    ),
    "metadata are drawn": (
        base({3: BASE[3].replace(b"/X1 14", b"/X1 12")}),
        plain({12: stream(b"<y/>", XMP)}),
        "PDF_OBJECT_REDEFINED",
    ),
    "field is a resource": (
        base({3: BASE[3].replace(b"<< /X1 14 0 R >>", b"6 0 R")}),
        plain({6: TEXT % b"/V 20 0 R ", 20: stream(b"BT (faux) Tj ET", FORM_STREAM)}),
        "PDF_OBJECT_REDEFINED",
    ),
    "annotations are the kids of the page tree": (
        base(
            {
                2: b"<< /Type /Pages /Kids 15 0 R /Count 1 >>",
                15: b"[ 3 0 R ]",
                3: PAGE.replace(b"[ 6 0 R 9 0 R 13 0 R%b ]", b"15 0 R%b") % (b"", b""),
            }
        ),
        plain({5: FORM % (b" 30 0 R", b""), 15: b"[ 3 0 R 30 0 R ]", 30: SECOND % HIDDEN}, sign=31),
        "PDF_OBJECT_REDEFINED",
    ),
    "content defined later": (
        base({3: BASE[3].replace(b"/Contents 4 0 R", b"/Contents [ 4 0 R 20 0 R ]")}),
        plain({20: stream(b"BT (Adieu) Tj ET")}),
        "PDF_OBJECT_REDEFINED",
    ),
    "font defined later": (
        base({3: BASE[3].replace(b"/F1 7", b"/F2 20 0 R /F1 7")}),
        plain({20: BASE[7]}),
        "PDF_OBJECT_REDEFINED",
    ),
    "action defined later": (
        base({1: CATALOG % b"/OpenAction 20 0 R "}),
        plain({20: b"<< /S /JavaScript /JS (x) >>"}),
        "PDF_CONTENT_CHANGED",
    ),
    "content under a harmless name defined later": (
        base({3: BASE[3].replace(b"/X1 14", b"/P 20 0 R /X1 14")}),
        plain({20: SHARED}),
        "PDF_OBJECT_REDEFINED",
    ),
    "font under a harmless name defined later": (
        base(
            {
                3: BASE[3].replace(b"<< /F1 7 0 R >>", b"15 0 R"),
                15: b"<< /F1 7 0 R /P 20 0 R /Subtype /Text >>",
            }
        ),
        plain({20: BASE[7]}),
        "PDF_OBJECT_REDEFINED",
    ),
    "value drawn under the name of a field's key": (
        base({6: TEXT % b"/V 14 0 R ", 3: BASE[3].replace(b"/X1 14", b"/P 14")}),
        plain({14: SHARED}),
        "PDF_OBJECT_REDEFINED",
    ),
    "element drawn under the name of an element's key": (
        base(
            {
                1: CATALOG % b"/StructTreeRoot 15 0 R ",
                15: b"<< /Type /StructTreeRoot /K 14 0 R >>",
                3: BASE[3].replace(b"/X1 14", b"/K 14"),
            }
        ),
        plain({14: SHARED, 15: b"<< /Type /StructTreeRoot /K 14 0 R /ParentTreeNextKey 2 >>"}),
        "PDF_CONTENT_CHANGED",
    ),
    "fewer objects than before": (
        base(),
        lambda doc: Doc(doc.update({}).data.replace(b"/Size 100 /Prev", b"/Size 9 /Prev")),
        "FORMAT_FAILURE",
    ),
    "trailer entry defined later": (
        base(trailer=b"/Foo 20 0 R "),
        plain({20: b"<< >>"}),
        "PDF_OBJECT_REDEFINED",
    ),
    "defined two signatures later": (
        base({3: BASE[3].replace(b"/F1 7", b"/F2 40 0 R /F1 7"), 20: b"<< >>"}).update({11: b"<< >>"}),
        lambda doc: doc.update({5: FORM % (b" 30 0 R", b""), 30: SECOND % HIDDEN}, sign=31).update(
            {40: BASE[7]}
        ),
        "PDF_OBJECT_REDEFINED",
    ),
    "length elsewhere": (
        base({4: b"<< /Length 15 0 R >>\nstream\nBT (a) Tj ET BT (b) Tj ET\nendstream", 15: b"25"}),
        plain({15: b"12"}),
        "PDF_CONTENT_CHANGED",
    ),
    "overlay freed": (
        base({14: stream(b"1 g 0 0 600 800 re f", FORM_STREAM)}),
        plain({}, free=(14,)),
        "PDF_CONTENT_CHANGED",
    ),
    "back to an older object": (
        Doc().update(BASE).update({4: stream(b"BT (Adieu) Tj ET")}, sign=10),
        lambda doc: doc.update({}, xref={4: doc.data.index(b"4 0 obj")}),
        "PDF_CONTENT_CHANGED",
    ),
    "another generation": (
        base({3: BASE[3].replace(b"/Contents 4 0 R", b"/Contents [ 4 0 R 4 1 R ]")}),
        lambda doc: Doc(
            doc.update({44: b"x"})
            .data.replace(b"44 0 obj", b"4 1 obj ")
            .replace(b"44 1\n", b"4 1 \n")
            .replace(b"00000 n \ntrailer\n<< /Size 100 /Prev", b"00001 n \ntrailer\n<< /Size 100 /Prev"),
        ),
        "PDF_CONTENT_CHANGED",
    ),
    "signed twice by one value": (
        base().update(
            {
                3: PAGE % (b" 30 0 R", b""),
                5: FORM % (b" 30 0 R", b""),
                30: SECOND.replace(b"31 0 R", b"10 0 R") % HIDDEN,
            }
        ),
        lambda doc: doc,
        "FORMAT_FAILURE",
    ),
    "two signature fields of one name": (
        base(),
        plain(second(more={30: SECOND.replace(b"Deux", b"Un") % HIDDEN}), sign=31),
        "FORMAT_FAILURE",
    ),
}


@pytest.mark.parametrize("name", SHADOWS)
def test_shadows(name: str, tmp_path: Path) -> None:
    doc, change, expected = SHADOWS[name]
    assert judge(change(doc), tmp_path) == expected


# Things that are shared or dangling in honest files too.
HONEST: dict[str, tuple[Doc, Change, str]] = {
    "arrays of annotations, fields and kids": (
        base(
            {
                3: PAGE.replace(b"[ 6 0 R 9 0 R 13 0 R%b ]", b"15 0 R%b") % (b"", b""),
                5: FORM.replace(b"[ 6 0 R 9 0 R%b ]", b"16 0 R%b") % (b"", b""),
                15: b"[ 6 0 R 9 0 R 13 0 R ]",
                16: b"[ 6 0 R 9 0 R ]",
            }
        ),
        plain(FILLED),
        "FIELD_FILLED",
    ),
    "appearance nobody reaches any more": (
        base({15: b"<< /XObject << /X 8 0 R >> >>"}),
        plain(OVERRIDE),
        "FIELD_FILLED",
    ),
    "popup defined later": (
        base({13: BASE[13][:-2] + b"/Popup 20 0 R >>"}),
        plain({20: b"<< >>"}),
        "REWRITTEN",
    ),
    "freed and dangling": (base({15: b"<< /X 16 0 R >>", 16: b"(x)"}), plain({}, free=(15,)), "REWRITTEN"),
    "value of the parent": (
        base(
            {
                5: FORM.replace(b"6 0 R", b"15 0 R") % (b"", b""),
                15: b"<< /FT /Tx /T (Haut) /V (avant) /Kids [ 6 0 R ] >>",
                6: b"<< /Subtype /Widget /Parent 15 0 R /P 3 0 R /Rect [ 10 10 200 30 ] /AP << /N 8 0 R >> >>",
            }
        ),
        plain({15: b"<< /FT /Tx /T (Haut) /V (apres) /Kids [ 6 0 R ] >>", 8: OVERRIDE[8]}),
        "FIELD_FILLED",
    ),
    "check box": (
        base(
            {6: TEXT.replace(b"Tx", b"Btn") % b"/V /Off /AS /Off /AP << /N << /Off 8 0 R /On 14 0 R >> >> "}
        ),
        plain({6: TEXT.replace(b"Tx", b"Btn") % b"/V /On /AS /On /AP << /N << /Off 8 0 R /On 14 0 R >> >> "}),
        "FIELD_FILLED",
    ),
    "empty field signed": (
        base({5: FORM % (b" 15 0 R", b""), 3: PAGE % (b" 15 0 R", b""), 15: EMPTY % b""}),
        plain({15: EMPTY % b"/V 31 0 R /AP << /N 20 0 R >> ", 20: FILLED[20]}, sign=31),
        "SIGNATURE",
    ),
    "renumbered reference in the trailer": (
        base(trailer=b"/AdditionalStreams [ /x 20 0 R ] "),
        lambda doc: Doc(
            doc.update(DSS, trailer=b"/Root 1 0 R /Info 11 0 R /AdditionalStreams [ /x 22 0 R ] ").data
        ),
        "DSS",
    ),
    "texts encoded anew": (
        base({6: TEXT % b"/V (avant) /TU (Nom) /AP << /N 8 0 R >> "}),
        plain({6: TEXT.replace(b"(Nom)", b"<feff004e006f006d>") % b"/V (apres) /TU <feff004e006f006d> "}),
        "FIELD_FILLED",
    ),
    "structure": (
        base(
            {
                1: CATALOG % b"/StructTreeRoot 15 0 R ",
                15: b"<< /Type /StructTreeRoot /K 16 0 R /ParentTree 17 0 R /ParentTreeNextKey 1 >>",
                16: b"<< /Type /StructElem /S /Document /P 15 0 R /K [ ] >>",
                17: b"<< /Nums [ 0 16 0 R ] >>",
            }
        ),
        plain(
            second(
                more={
                    15: b"<< /Type /StructTreeRoot /K 16 0 R /ParentTree 17 0 R /ParentTreeNextKey 2 >>",
                    16: b"<< /Type /StructElem /S /Document /P 15 0 R /K [ 32 0 R ] >>",
                    17: b"<< /Nums [ 0 16 0 R 1 32 0 R ] >>",
                    32: b"<< /Type /StructElem /S /Form /P 16 0 R /K << /Type /OBJR /Obj 30 0 R >> >>",
                }
            ),
            sign=31,
        ),
        "SIGNATURE, STRUCTURE",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_files(name: str, tmp_path: Path) -> None:
    doc, change, expected = HONEST[name]
    assert judge(change(doc), tmp_path) == expected


PERMISSIONS: list[tuple[bytes, Change, str]] = [
    (mdp(b"1"), plain(DSS), "DSS"),
    (mdp(b"1"), plain({**DSS, 11: b"<< >>"}), "DSS, METADATA"),
    (mdp(b"1"), plain({11: b"<< >>"}), "PDF_CHANGE_NOT_PERMITTED"),
    (mdp(b"1"), plain({}), "REWRITTEN"),
    (mdp(b"1"), plain(FILLED), "PDF_CHANGE_NOT_PERMITTED"),
    (mdp(b"1"), plain(second(), sign=31), "PDF_CHANGE_NOT_PERMITTED"),
    (mdp(b"1"), plain(second(), sign=31, sub_filter=b"/ETSI.RFC3161"), "DOC_TIMESTAMP"),
    (mdp(b"1"), plain(second(VISIBLE), sign=31, sub_filter=b"/ETSI.RFC3161"), "PDF_CHANGE_NOT_PERMITTED"),
    (mdp(b"2"), plain(FILLED), "FIELD_FILLED"),
    (mdp(b"2"), plain(second(), sign=31), "SIGNATURE"),
    (mdp(b"2"), plain(annotation(b"/Text")), "PDF_ANNOTATION_ADDED"),
    (mdp(b"3"), plain(annotation(b"/Text")), "ANNOTATION"),
    (mdp(b"3"), plain({**ANNOTATED, 20: CLEAR}), "ANNOTATION"),
    (mdp(b"3"), plain(annotation(b"/Underline", b"1 w 0 0 m 9 9 l S")), "ANNOTATION"),
    (mdp(b"3"), plain(annotation(b"/Ink", b"0 0 9 9 re f")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/Ink", b"900 w 0 0 m 9 9 l S")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/Ink", None, b"/BS << /W 500 >> ")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/Text", b"BT (x) Tj ET")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/FreeText")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/Stamp", b"/X Do")), "PDF_ANNOTATION_MAY_HIDE ?"),
    (mdp(b"3"), plain(annotation(b"/Text", None, b"/A << /S /URI >> ")), "PDF_ANNOTATION_ADDED"),
    (mdp(b"4"), plain(FILLED), "PDF_CHANGE_NOT_PERMITTED"),
    (mdp(b"/x"), plain(FILLED), "PDF_CHANGE_NOT_PERMITTED"),
    (b"/Reference [ << /TransformMethod /Other >> ] ", plain(FILLED), "PDF_CHANGE_NOT_PERMITTED"),
    (b"/Reference [ << /TransformMethod /DocMDP >> ] ", plain(FILLED), "FIELD_FILLED"),
    (field_mdp(b"/All"), plain(FILLED), "PDF_FIELD_LOCKED"),
    (field_mdp(b"/Include", b"/Fields [ (Nom) ] "), plain(FILLED), "PDF_FIELD_LOCKED"),
    (field_mdp(b"/Include", b"/Fields [ (Autre) ] "), plain(FILLED), "FIELD_FILLED"),
    (field_mdp(b"/Exclude", b"/Fields [ (Nom) ] "), plain(FILLED), "FIELD_FILLED"),
    (field_mdp(b"/Exclude", b"/Fields [ (Autre) ] "), plain(FILLED), "PDF_FIELD_LOCKED"),
    (field_mdp(b"/Exclude"), plain(FILLED), "PDF_FIELD_LOCKED"),
]


@pytest.mark.parametrize(("extra", "change", "expected"), PERMISSIONS)
def test_what_signatures_permit(extra: bytes, change: Change, expected: str, tmp_path: Path) -> None:
    assert judge(change(base(extra=extra)), tmp_path) == expected


def test_a_lock_dictionary_counts_once_its_field_is_signed(tmp_path: Path) -> None:
    for lock, expected in (
        (b"/Action /All", "PDF_FIELD_LOCKED"),
        (b"/P 1 /Action /Include /Fields [ ]", "PDF_CHANGE_NOT_PERMITTED"),
    ):
        doc = base({9: BASE[9][:-2] + b"/Lock << /Type /SigFieldLock " + lock + b" >> >>"})
        assert judge(doc.update(FILLED), tmp_path) == expected


def test_a_later_signature_may_forbid_more(tmp_path: Path) -> None:
    doc = base().update(second(), sign=31, extra=mdp(b"1"))
    objects = {key: value for key, value in FILLED.items() if key != 20} | {6: TEXT % b"/V (apres) "}
    assert judge(doc, tmp_path) == "SIGNATURE"
    assert judge(doc.update(objects), tmp_path) == "PDF_CHANGE_NOT_PERMITTED"
    assert judge(doc.update(objects), tmp_path, 1) == "PDF_CHANGE_NOT_PERMITTED"


TAILS: dict[str, tuple[Change, str]] = {
    "octets": (lambda doc: Doc(doc.data + b"x" * 50), "FORMAT_FAILURE"),
    "a line end": (lambda doc: Doc(doc.data + b"\n"), "FORMAT_FAILURE"),
    "spaces": (lambda doc: Doc(doc.data + b" " * 500), "FORMAT_FAILURE"),
    "an end": (lambda doc: Doc(doc.data + b"%%EOF\n"), "FORMAT_FAILURE"),
    "old section again": (
        lambda doc: Doc(doc.data + b"junk\nstartxref\n%d\n%%%%EOF\n" % doc.sections[-1]),
        "FORMAT_FAILURE",
    ),
    "octets after an update": (lambda doc: Doc(doc.update({}).data + b"x"), "FORMAT_FAILURE"),
    "second header": (plain({}, between=b"%PDF-1.4\n"), "FORMAT_FAILURE"),
    "unnamed object": (plain({}, between=b"4 0 obj\n(x)\nendobj\n"), "FORMAT_FAILURE"),
    "object twice": (plain({40: b"(x)"}, between=b"40 0 obj\n(y)\nendobj\n"), "FORMAT_FAILURE"),
    "object hidden in a fake stream": (
        plain({41: b"(x)"}, between=b"%stream\n4 0 obj\n(x)\nendobj\n%endstream\n"),
        "REWRITTEN",
    ),
    "hybrid": (plain({}, trailer=b"/Root 1 0 R /Info 11 0 R /XRefStm 20 "), "FORMAT_FAILURE"),
    "hybrid, spelled otherwise": (plain({}, between=b"% /XRef#53tm\n"), "FORMAT_FAILURE"),
    "cross-reference into nothing": (plain({}, xref={4: 17}), "FORMAT_FAILURE"),
    "prefix": (lambda doc: Doc(b" " + doc.data), "FORMAT_FAILURE"),
}


@pytest.mark.parametrize("name", TAILS)
def test_octets_that_are_no_revision(name: str, tmp_path: Path) -> None:
    change, expected = TAILS[name]
    assert judge(change(base()), tmp_path) == expected


def test_an_object_inside_what_looks_like_a_stream_must_be_where_the_table_says(tmp_path: Path) -> None:
    doc = base()
    offset = len(doc.data) + len(b"40 0 obj\n(x)\nendobj\n") + len(b"%stream\n")
    inside = b"%stream\n41 0 obj\n(x)\nendobj\n%endstream\n"
    doc = doc.update({40: b"(x)"}, between=inside, xref={41: offset})
    assert judge(doc, tmp_path) == "FORMAT_FAILURE"


def test_a_damaged_signed_file_is_not_passed(tmp_path: Path) -> None:
    doc = base()
    broken = Doc(
        re.sub(rb"startxref\n\d+", lambda found: b"startxref\n" + b"1" * (len(found[0]) - 10), doc.data)
    )
    assert judge(broken, tmp_path) == "PDF_AMBIGUOUS ?"


def test_a_signature_that_no_field_shows_is_counted(tmp_path: Path) -> None:
    for objects, expected in (
        ({}, 0),
        ({1: CATALOG % b"/Foo 40 0 R ", 40: b"<< /ByteRange [ 0 1 2 3 ] >>"}, 1),
        ({40: b"<< /ByteRange [ ] >>"}, 0),
    ):
        path = tmp_path / "x.pdf"
        path.write_bytes(base(objects).data)
        with revisions(path, pdf_signatures(path)) as found:
            assert found.hidden() == expected


def many_signatures(count: int) -> Doc:
    doc = base()
    fields = b""
    for number in range(count):
        field, value = 50 + 2 * number, 51 + 2 * number
        fields += b" %d 0 R" % field
        widget = SECOND.replace(b"Deux", b"F%d" % number).replace(b"31 0 R", b"%d 0 R" % value) % HIDDEN
        doc = doc.update({3: PAGE % (fields, b""), 5: FORM % (fields, b""), field: widget}, sign=value)
    return doc


def test_many_signatures(tmp_path: Path) -> None:
    doc = many_signatures(6)
    for index in range(7):
        assert judge(doc, tmp_path, index) == ", ".join(["SIGNATURE"] * (6 - index))
    fields = b"".join(b" %d 0 R" % (50 + 2 * number) for number in range(6))
    attacked = doc.update({3: PAGE % (fields, b"/Rotate 90 ")})
    for index in range(7):
        assert judge(attacked, tmp_path, index) == "PDF_CONTENT_CHANGED"


def test_content_that_changes_and_comes_back(tmp_path: Path) -> None:
    """What a later signer saw was not what the first signed, and is not what is shown now."""
    doc = base().update(second(more={4: stream(b"BT (Adieu) Tj ET")}), sign=31).update({4: BASE[4]})
    assert judge(doc, tmp_path) == "PDF_CONTENT_CHANGED"
    assert judge(doc, tmp_path, 1) == "PDF_CONTENT_CHANGED"


def test_too_many_hops(tmp_path: Path) -> None:
    assert judge(many_signatures(66), tmp_path) == "PDF_TOO_COMPLEX ?"


def compressed(packed: dict[int, bytes], plain_objects: dict[int, bytes]) -> Doc:
    """A first revision with an object stream (60) and a cross-reference stream (61), neither compressed."""
    out = bytearray(b"%PDF-1.7\n")
    entries: dict[int, tuple[int, int, int]] = {0: (0, 0, 65535)}
    index, bodies = b"", b""
    for place, (number, body) in enumerate(packed.items()):
        index += b"%d %d " % (number, len(bodies))
        bodies += body + b" "
        entries[number] = (2, 60, place)
    container = stream(index + bodies, b"/Type /ObjStm /N %d /First %d " % (len(packed), len(index)))
    for number, body in (plain_objects | {60: container}).items():
        entries[number] = (1, len(out), 0)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    section = len(out)
    entries[61] = (1, section, 0)
    rows = b"".join(
        bytes([kind]) + place.to_bytes(4, "big") + rest.to_bytes(2, "big")
        for kind, place, rest in (entries.get(number, (0, 0, 0)) for number in range(62))
    )
    out += b"61 0 obj\n%b\nendobj\n" % stream(rows, b"/Type /XRef /Size 62 /W [ 1 4 2 ] /Root 1 0 R ")
    out += b"startxref\n%d\n%%%%EOF\n" % section
    return Doc(bytes(out), b"/Root 1 0 R ", [], [section])


@pytest.mark.parametrize("where", ["catalog", "beside the catalog", "elsewhere"])
def test_references_into_nothing_from_object_streams(where: str, tmp_path: Path) -> None:
    """The catalog and what shares its object stream are read before what is missing can be known."""
    entry = b"/OpenAction 90 0 R "
    beside = {1: CATALOG % (entry if where == "catalog" else b"/Foo 15 0 R "), 5: BASE[5]}
    beside[15] = b"<< %b>>" % (entry if where == "beside the catalog" else b"")
    others = {number: body for number, body in BASE.items() if number not in {1, 5, 11}}
    if where == "elsewhere":
        others[13] = BASE[13][:-2] + b"/A 90 0 R >>"
    doc = compressed(beside, others).update({}, sign=10)
    assert judge(doc, tmp_path) == ""
    assert judge(doc.update({92: b"(x)"}), tmp_path) == "REWRITTEN"
    assert judge(doc.update({6: TEXT % b"/V (apres) "}), tmp_path) == "FIELD_FILLED"
    attacked = judge(doc.update({90: b"<< /S /JavaScript /JS (x) >>"}), tmp_path)
    assert attacked in {"PDF_OBJECT_REDEFINED", "PDF_CONTENT_CHANGED"}
    # An object stream replaced as a whole: what it holds is looked at.
    again = {number: body for number, body in beside.items() if number != 15}
    packed = b"1 0 5 %d " % (len(again[1]) + 1)
    for body, expected in (
        (again[5], "REWRITTEN"),
        (FORM.replace(b"6 0 R ", b"") % (b"", b""), "PDF_CONTENT_CHANGED"),
    ):
        index = packed + b"15 %d " % (len(again[1]) + len(body) + 2)
        data = index + again[1] + b" " + body + b" " + beside[15]
        full = stream(data, b"/Type /ObjStm /N 3 /First %d " % len(index))
        assert judge(doc.update({60: full}), tmp_path) == expected


def test_a_file_too_large_for_memory_is_cut_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_states, "_IN_MEMORY", 10)
    assert judge(base().update(FILLED), tmp_path) == "FIELD_FILLED"
    assert judge(base().update({4: stream(b"x")}), tmp_path) == "PDF_CONTENT_CHANGED"


def test_streams_too_large_to_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_states, "MAX_COMPARED", 10)
    assert judge(base().update({4: BASE[4]}), tmp_path) == "PDF_TOO_COMPLEX ?"


def test_too_many_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_states, "MAX_OBJECTS", 5)
    assert judge(base().update({}), tmp_path) == "PDF_TOO_COMPLEX ?"


def test_two_signatures_one_value_or_range(tmp_path: Path) -> None:
    doc = base().update(second(), sign=31)
    values = re.findall(rb"<[0-9a-f]{64}>", doc.data)
    path = tmp_path / "x.pdf"
    path.write_bytes(doc.data.replace(values[1], values[0]))
    assert [item.fault is not None for item in pdf_signatures(path)] == [True, True]


def test_the_corpus_of_signed_files(tmp_path: Path) -> None:
    """What each file's maker says, as far as coverage and changes go."""
    expected = {
        "dss-Signature-P-HU_POL-3.pdf": ["DOC_TIMESTAMP, DSS", ""],
        "dss-pades-bes.pdf": [""],
        "dss-pdf-signed-original.pdf": [""],
        "dss-pades-lta-copied-doctst.pdf": ["DOC_TIMESTAMP, DSS", ""],
        "dss-pades-signed-filled-form.pdf": ["FIELD_FILLED, FIELD_FILLED, FIELD_FILLED, METADATA"],
        "pyhanko-form-update-override-appearance-stream.pdf": ["SIGNATURE", ""],
        "pyhanko-form-update-override-appearance-stream-sneaky.pdf": ["PDF_OBJECT_REDEFINED", ""],
        "pyhanko-form-update-ap-indirect-sneaky-trailer.pdf": ["PDF_OBJECT_REDEFINED", ""],
        "dss-pdf-signed-added-page.pdf": ["PDF_CONTENT_CHANGED"],
        "pdfinsec-isa_C.pdf": ["PDF_CONTENT_CHANGED"],
        "pyhanko-pdf-sig-with-econtent.pdf": [""],
    }
    for path in sorted(SIGNED.glob("*.pdf")):
        started = time.perf_counter()
        said = []
        signatures = pdf_signatures(path)
        with revisions(path, signatures) as found:
            for signature in signatures:
                if signature.usage_rights:
                    continue
                try:
                    kinds = [change.kind.name for change in found.after(signature)]
                    said.append(", ".join(sorted(kinds)))
                except SignatureRefused as error:
                    said.append(error.code)
        assert said == expected.get(path.name, ["FORMAT_FAILURE"]), path.name
        assert time.perf_counter() - started < 3


def test_the_words_of_a_change(tmp_path: Path) -> None:
    path = SIGNED / "dss-pades-signed-filled-form.pdf"
    signatures = pdf_signatures(path)
    with revisions(path, signatures) as found:
        changes = found.after(signatures[0])
    assert {(change.where, change.page) for change in changes if change.kind is ChangeKind.FIELD_FILLED} == {
        ("T.Bureaux_d_imposition", 1),
        ("X.bureau_adress", 1),
        ("A.0101", 1),
    }
    assert {change.since for change in changes} == {signatures[0].end}
