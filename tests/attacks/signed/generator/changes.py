"""Attacks by what is added behind a signature: incremental saving, shadow content, redefined objects, forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.attacks.signed.generator.base import (
    BASE,
    CATALOG,
    EVIL,
    FORM,
    FORM_XOBJECT,
    HIDDEN,
    PAGE,
    PAGES,
    SECOND,
    Bench,
    Doc,
    attack,
    certified,
    filled,
    genuine,
    locking,
    second,
    stream,
)

FORMAT = "FORMAT_FAILURE"
CONTENT = "PDF_CONTENT_CHANGED"
REDEFINED = "PDF_OBJECT_REDEFINED"
APPEARANCE = "PDF_APPEARANCE_CHANGED"
Change = Callable[[Bench, Doc], Doc]


def _after(
    family: str,
    name: str,
    change: Change,
    *codes: str,
    unsure: bool = False,
    base: dict[str, object] | None = None,
) -> None:
    @attack(family, name, *codes, unsure=unsure)
    def _(bench: Bench) -> bytes:
        more = dict(base or {})
        objects = more.pop("objects", None)
        extra = more.pop("extra", b"")
        doc = bench.signed(objects, **more) if not extra else _with_extra(bench, objects, extra)  # type: ignore[arg-type]
        return change(bench, doc).data


def _with_extra(bench: Bench, objects: object, extra: object) -> Doc:
    return Doc().update(BASE | dict(objects or {}), sign=replace(bench.sign(10), extra=extra))  # type: ignore[call-overload,arg-type]


def plain(objects: dict[int, bytes], **options: object) -> Change:
    return lambda _, doc: doc.update(objects, **options)  # type: ignore[arg-type]


def signing(objects: dict[int, bytes], **options: object) -> Change:
    return lambda bench, doc: doc.update(objects, sign=bench.sign(), **options)  # type: ignore[arg-type]


# ---- what is allowed

DSS = {1: CATALOG % b"/DSS 60 0 R ", 60: b"<< /Certs [ 61 0 R ] >>", 61: stream(b"certificate")}
for _name, _change in {
    "form-filled": plain(filled()),
    "form-filled-twice": lambda _, doc: doc.update(filled()).update(filled(b"encore")),
    "form-filled-and-signed": lambda bench, doc: doc.update(filled()).update(second(), sign=bench.sign()),
    "long-term-data": plain(DSS),
    "long-term-data-and-timestamp": lambda bench, doc: doc.update(DSS).update(second(), sign=bench.stamp()),
    "properties": plain({11: b"<< /Producer (deux) >>"}),
    "same-objects-written-again": plain({3: BASE[3], 4: BASE[4], 14: BASE[14]}),
    "object-nobody-refers-to": plain({60: b"(hello)"}),
    "in-object-stream": plain({41: filled()[41]}, table=False, packed={6: filled()[6]}),
    "empty-update": plain({}),
    "visible-second-signature": signing(second(b"/Rect [ 300 300 400 340 ] /F 132 /AP << /N 40 0 R >> ")),
}.items():
    _after("allowed", _name, _change)
for _level, _name, _change in (
    (
        1,
        "p1-long-term-data-and-timestamp",
        lambda bench, doc: doc.update(DSS).update(second(), sign=bench.stamp()),
    ),
    (2, "p2-form-filled", plain(filled())),
    (2, "p2-signed-again", signing(second())),
    (
        3,
        "p3-highlight",
        plain(
            {
                3: PAGE % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /Highlight /Rect [ 50 690 90 720 ] "
                b"/QuadPoints [ 50 720 90 720 50 690 90 690 ] >>",
            }
        ),
    ),
):
    _after("allowed", _name, _change, base={"extra": certified(_level)})
_after(
    "allowed",
    "unlocked-field-filled",
    plain(filled()),
    base={"extra": locking(b"/Include", b"/Fields [ (Montant) ] ")},
)

# ---- incremental saving and shadow content

for _name, _change, *_codes in (
    ("content-replaced", plain({4: EVIL}), CONTENT),
    ("content-replaced-then-signed", signing(second(more={4: EVIL})), CONTENT),
    ("content-replaced-without-cross-reference", plain({4: EVIL}, named=False), FORMAT),
    (
        "content-replaced-no-trailer",
        lambda _, doc: replace(doc, data=doc.data + b"4 0 obj\n" + EVIL + b"\nendobj\n"),
        FORMAT,
    ),
    ("content-redirected", plain({3: BASE[3].replace(b"/Contents 4", b"/Contents 60"), 60: EVIL}), CONTENT),
    ("content-doubled", plain({3: BASE[3].replace(b"4 0 R ", b"[ 4 0 R 60 0 R ] "), 60: EVIL}), CONTENT),
    ("font-redefined", plain({7: BASE[7].replace(b"Helvetica", b"Courier")}), CONTENT),
    ("font-with-other-glyphs", plain({7: b"<< /Type /Font /Subtype /Type3 /CharProcs << >> >>"}), CONTENT),
    ("form-xobject-redefined", plain({14: stream(b"9 9 9 9 re f", FORM_XOBJECT)}), CONTENT),
    ("overlay-freed", plain({}, free=(19,)), CONTENT),
    ("overlay-typed-away", plain({19: b"<< >>"}), CONTENT),
    ("overlay-hidden", plain({19: BASE[19].replace(b"/F 4", b"/F 2")}), CONTENT),
    ("overlay-moved", plain({19: BASE[19].replace(b"300 690 500 720", b"0 0 1 1")}), CONTENT),
    ("overlay-emptied", plain({22: stream(b"", FORM_XOBJECT)}), CONTENT, APPEARANCE),
    ("overlay-out-of-the-list", plain({3: BASE[3].replace(b" 19 0 R", b"")}), CONTENT),
    ("layer-switched-off", plain({15: b"<< /OCGs [ 18 0 R ] /D << /OFF [ 18 0 R ] >> >>"}), CONTENT),
    ("layer-added", plain({1: CATALOG.replace(b"15 0 R", b"60 0 R") % b"", 60: BASE[15]}), CONTENT),
    ("page-added", plain({2: PAGES % (b" 60 0 R", 3), 60: BASE[16]}), CONTENT),
    ("page-removed", plain({2: b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>"}), CONTENT),
    ("pages-swapped", plain({2: b"<< /Type /Pages /Kids [ 16 0 R 3 0 R ] /Count 2 >>"}), CONTENT),
    ("page-shown-twice", plain({2: b"<< /Type /Pages /Kids [ 3 0 R 3 0 R ] /Count 2 >>"}), CONTENT),
    ("page-tree-replaced", plain({1: CATALOG.replace(b"2 0 R", b"60 0 R") % b"", 60: BASE[2]}), CONTENT),
    (
        "page-replaced-by-another-object",
        plain({2: b"<< /Type /Pages /Kids [ 60 0 R 16 0 R ] /Count 2 >>", 60: BASE[3]}),
        CONTENT,
    ),
    ("page-freed", plain({}, free=(3,)), CONTENT),
    ("page-cropped", plain({3: PAGE % (b"", b"/CropBox [ 0 0 10 10 ] ")}), CONTENT),
    ("page-box", plain({3: BASE[3].replace(b"600 800", b"600 80")}), CONTENT),
    ("page-rotated", plain({3: PAGE % (b"", b"/Rotate 180 ")}), CONTENT),
    ("page-unit", plain({3: PAGE % (b"", b"/UserUnit 75 ")}), CONTENT),
    ("inherited-resources", plain({2: BASE[2][:-2] + b"/Resources << >> /Rotate 90 >>"}), CONTENT),
    ("resource-added", plain({3: BASE[3].replace(b"/F1 7", b"/F2 7 0 R /F1 7")}), CONTENT),
    ("catalog-replaced", plain({60: BASE[1]}, trailer=b"/Root 60 0 R /Info 11 0 R "), CONTENT),
    ("open-action", plain({1: CATALOG % b"/OpenAction << /S /JavaScript /JS (app.alert) >> "}), CONTENT),
    ("catalog-action", plain({1: CATALOG % b"/AA << /WC << /S /JavaScript /JS (x) >> >> "}), CONTENT),
    (
        "script",
        plain({1: CATALOG % b"/Names << /JavaScript << /Names [ (a) << /S /JavaScript /JS (x) >> ] >> >> "}),
        CONTENT,
    ),
    ("attachment-added", plain({1: CATALOG % b"/Names << /EmbeddedFiles << /Names [ ] >> >> "}), CONTENT),
    ("page-labels", plain({1: CATALOG % b"/PageLabels << /Nums [ 0 << /P (faux) >> ] >> "}), CONTENT),
    ("language", plain({1: CATALOG % b"/Lang (xx) "}), CONTENT),
    ("viewer-preferences", plain({1: CATALOG % b"/ViewerPreferences << /ViewArea /CropBox >> "}), CONTENT),
    ("trailer-key-shows-content", plain({}, trailer=b"/Root 1 0 R /Info 11 0 R /Foo 4 0 R "), CONTENT),
    ("metadata-drawn", plain({12: stream(b"0 0 9 9 re f", FORM_XOBJECT)}), CONTENT),
    ("needs-appearances", plain({5: FORM % (b"", b"/NeedAppearances true ")}), CONTENT),
    (
        "form-font-redefined",
        plain({5: FORM.replace(b"/F1 7 0 R", b"/F1 60 0 R") % (b"", b""), 60: BASE[7]}),
        CONTENT,
    ),
    (
        "appearance-default-changed",
        plain({5: FORM.replace(b"(/F1 0 Tf)", b"(1 g /F1 0 Tf)") % (b"", b"")}),
        CONTENT,
    ),
    (
        "annotation-added",
        plain({3: PAGE % (b" 60 0 R", b""), 60: b"<< /Type /Annot /Subtype /Text /Rect [ 0 0 9 9 ] >>"}),
        "PDF_ANNOTATION_ADDED",
    ),
    ("stamp-added", plain({3: PAGE % (b" 60 0 R", b""), 60: BASE[19]}), "PDF_ANNOTATION_ADDED"),
    ("link-retargeted", plain({13: BASE[13][:-2] + b"/A << /S /URI /URI (http://x) >> >>"}), CONTENT),
):
    _after("shadow", _name, _change, *_codes)
_after(
    "objects",
    "encryption-added",
    plain(
        {},
        trailer=b"/Root 1 0 R /Info 11 0 R /ID [ (a) (b) ] "
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /O (x) /U (x) /P 0 >> ",
    ),
    "PDF_ENCRYPTED",
    unsure=True,
)


@attack("shadow", "hide-and-replace-old-offset-named", CONTENT, FORMAT, REDEFINED)
def _(bench: Bench) -> bytes:
    """The signed file holds a second object 4 that no cross-reference named; the update names it."""
    doc = Doc(Doc().data + b"% start\n")
    hidden = len(doc.data)
    doc = replace(doc, data=doc.data + b"4 0 obj\n" + EVIL + b"\nendobj\n")
    doc = doc.update(BASE, sign=bench.sign(10))
    return doc.update({}, xref={4: hidden}).data


@attack("shadow", "hide-and-replace-spare-object", CONTENT)
def _(bench: Bench) -> bytes:
    """Content prepared under a spare number before signing is put in place afterwards."""
    return bench.signed({60: EVIL}).update({3: BASE[3].replace(b"/Contents 4", b"/Contents 60")}).data


@attack("shadow", "dangling-content-defined-later", REDEFINED, CONTENT, FORMAT, "PDF_AMBIGUOUS")
def _(bench: Bench) -> bytes:
    signed = bench.signed({3: BASE[3].replace(b"4 0 R ", b"[ 4 0 R 60 0 R ] ")})
    return signed.update({60: EVIL}).data


@attack("shadow", "dangling-font-defined-later", REDEFINED, CONTENT)
def _(bench: Bench) -> bytes:
    signed = bench.signed({3: BASE[3].replace(b"/F1 7 0 R", b"/F1 60 0 R")})
    return signed.update({60: BASE[7]}).data


@attack("shadow", "freed-annotation-returns", REDEFINED, CONTENT)
def _(bench: Bench) -> bytes:
    signed = bench.signed({3: PAGE % (b" 60 0 R", b"")})
    return signed.update({60: BASE[19]}).data


@attack("shadow", "length-redefined", CONTENT, REDEFINED, FORMAT)
def _(bench: Bench) -> bytes:
    """A stream's length stands in an object of its own; shortening that one cuts the content."""
    content = b"BT /F1 12 Tf 50 700 Td (Il doit 100 EUR) Tj ET " + b" " * 20 + b"BT (pas du tout) Tj ET"
    body = b"<< /Length 60 0 R >>\nstream\n%b\nendstream" % content
    signed = bench.signed({4: body, 60: b"%d" % len(content)})
    return signed.update({60: b"48"}).data


@attack("shadow", "object-stream-overrides-content-dictionary", CONTENT)
def _(bench: Bench) -> bytes:
    return bench.signed().update({}, table=False, packed={3: BASE[3].replace(b"600 800", b"60 80")}).data


@attack("shadow", "appearance-shared-with-the-page", REDEFINED)
def _(bench: Bench) -> bytes:
    """The field's appearance is drawn by the page too: filling the field may not change that."""
    signed = bench.signed({3: BASE[3].replace(b"/X1 14 0 R", b"/X1 8 0 R")})
    return signed.update({6: filled()[6].replace(b"41 0 R", b"8 0 R"), 8: filled()[41]}).data


@attack("shadow", "appearance-shared-with-another-field", REDEFINED, APPEARANCE)
def _(bench: Bench) -> bytes:
    signed = bench.signed({17: BASE[17].replace(b"20 0 R", b"8 0 R")})
    return signed.update({6: filled()[6].replace(b"41 0 R", b"8 0 R"), 8: filled()[41]}).data


# ---- objects and cross-references

for _name, _change, *_codes in (
    (
        "one-number-twice",
        lambda _, doc: doc.update({41: stream(b"x")}, before=b"41 0 obj\n(other)\nendobj\n"),
        FORMAT,
    ),
    (
        "one-number-twice-shown",
        lambda _, doc: doc.update(filled(), before=b"41 0 obj\n" + EVIL + b"\nendobj\n"),
        FORMAT,
    ),
    ("two-generations", plain({4: EVIL}, generations={4: 1}), FORMAT, CONTENT, REDEFINED),
    ("unnamed-object-beside", plain(filled(), between=b"4 0 obj\n" + EVIL + b"\nendobj\n"), FORMAT),
    ("second-header", lambda _, doc: doc.update(filled(), before=b"%PDF-1.7\n"), FORMAT),
    (
        "hybrid-cross-reference",
        lambda _, doc: doc.update(filled(), trailer=b"/Root 1 0 R /Info 11 0 R /XRefStm 15 "),
        FORMAT,
    ),
    (
        "hybrid-written-with-escapes",
        lambda _, doc: doc.update(filled(), trailer=b"/Root 1 0 R /Info 11 0 R /XRef#53tm 15 "),
        FORMAT,
    ),
    (
        "previous-skipped",
        lambda _, doc: doc.update(BASE | {4: EVIL}, prev=0, xref={10: doc.data.index(b"\n10 0 obj") + 1}),
        FORMAT,
        CONTENT,
    ),
    ("previous-itself", lambda _, doc: doc.update(filled(), prev=len(doc.data)), FORMAT),
    (
        "cross-reference-into-the-signed-part",
        lambda _, doc: doc.update({}, xref={4: doc.data.index(b"\n21 0 obj") + 1}),
        FORMAT,
        CONTENT,
    ),
    ("cross-reference-beyond", plain({}, xref={4: 10**9}), FORMAT, CONTENT),
    (
        "freed-then-used",
        lambda _, doc: doc.update({}, free=(60,)).update(
            {3: BASE[3].replace(b"/Contents 4", b"/Contents 60"), 60: EVIL}
        ),
        CONTENT,
    ),
    (
        "undone-in-a-later-revision",
        lambda _, doc: doc.update({4: EVIL}).update({4: BASE[4]}),
    ),
):
    _after("objects" if _codes else "allowed", _name, _change, *_codes)

# ---- forms

for _name, _change, *_codes in (
    (
        "appearance-without-value",
        plain({6: BASE[6].replace(b"8 0 R", b"41 0 R"), 41: filled()[41]}),
        APPEARANCE,
    ),
    ("appearance-overridden", plain({8: filled()[41]}), APPEARANCE),
    ("field-moved", plain({6: BASE[6].replace(b"200 30", b"300 90")}), CONTENT),
    ("field-hidden", plain({6: BASE[6][:-2] + b"/F 2 >>"}), CONTENT),
    ("field-renamed", plain({6: BASE[6].replace(b"(Nom)", b"(Non)")}), CONTENT),
    ("field-retyped", plain({6: BASE[6].replace(b"/Tx", b"/Ch")}), CONTENT),
    (
        "field-with-action",
        plain({6: BASE[6][:-2] + b"/AA << /F << /S /JavaScript /JS (x) >> >> >>"}),
        CONTENT,
    ),
    ("field-gone", plain({5: FORM.replace(b"6 0 R ", b"") % (b"", b"")}), CONTENT),
    ("field-freed", plain({}, free=(6,)), CONTENT),
    (
        "text-field-added",
        plain(
            {5: FORM % (b" 60 0 R", b""), 3: PAGE % (b" 60 0 R", b""), 60: BASE[6].replace(b"Nom", b"Mon")}
        ),
        "PDF_FIELD_ADDED",
    ),
    (
        "widget-without-field",
        plain({3: PAGE % (b" 60 0 R", b""), 60: BASE[6].replace(b"Nom", b"Mon")}),
        "PDF_FIELD_ADDED",
    ),
    (
        "empty-signature-field-with-appearance",
        plain(
            second(
                b"/Rect [ 0 300 600 700 ] /AP << /N 40 0 R >> ",
                {30: SECOND.replace(b"/V 31 0 R ", b"") % b"/Rect [ 0 300 600 700 ] /AP << /N 40 0 R >> "},
            )
        ),
        "PDF_FIELD_ADDED",
    ),
    (
        "signature-widget-over-the-page",
        signing(second(b"/Rect [ 0 300 600 700 ] /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    (
        "signature-widget-over-a-signature",
        signing(second(b"/Rect [ 100 60 300 99 ] /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    (
        "signature-widget-over-a-field",
        signing(second(b"/Rect [ 10 140 200 160 ] /F 132 /AP << /N 40 0 R >> ")),
        "PDF_APPEARANCE_OVERLAP",
    ),
    (
        "timestamp-widget-over-the-page",
        lambda bench, doc: doc.update(
            second(b"/Rect [ 0 300 600 700 ] /AP << /N 40 0 R >> "), sign=bench.stamp()
        ),
        "PDF_APPEARANCE_OVERLAP",
    ),
    (
        "same-name-of-two-signatures",
        signing(second(more={30: SECOND.replace(b"(Deux)", b"(Un)") % HIDDEN})),
        FORMAT,
    ),
    (
        "same-name-written-otherwise",
        signing(second(more={30: SECOND.replace(b"(Deux)", b"<FEFF0055006E>") % HIDDEN})),
        FORMAT,
    ),
    ("signed-field-changed", plain({9: BASE[9].replace(b"200 80", b"20 80")}), CONTENT),
    (
        "signed-field-shown-otherwise",
        plain({9: BASE[9][:-2] + b"/AP << /N 60 0 R >> >>", 60: stream(b"BT (autre) Tj ET", FORM_XOBJECT)}),
        CONTENT,
        APPEARANCE,
    ),
    ("signature-value-redefined", plain({10: b"<< >>"}), FORMAT),
    ("value-without-appearance", plain({17: BASE[17].replace(b"(100)", b"(999)")}), "PDF_DYNAMIC_FORM"),
    ("dynamic-form", plain({5: FORM % (b"", b"/XFA (x) ")}), "PDF_DYNAMIC_FORM"),
    ("calculation-order", plain({5: FORM % (b"", b"/CO [ 17 0 R ] ")}), CONTENT),
):
    _after("forms", _name, _change, *_codes, unsure="PDF_DYNAMIC_FORM" in _codes)

# A viewer may draw the field anew, and show something else than the signature's reader saw.
_after(
    "forms",
    "filled-keeping-an-old-appearance",
    plain({17: BASE[17].replace(b"(100)", b"(999)")}),
    "PDF_DYNAMIC_FORM",
    unsure=True,
)

# ---- permissions

for _level, _name, _change, _code, _unsure in (
    (1, "p1-form-filled", plain(filled()), "PDF_CHANGE_NOT_PERMITTED", False),
    (1, "p1-signed-again", signing(second()), "PDF_CHANGE_NOT_PERMITTED", False),
    (
        1,
        "p1-annotation",
        plain({3: PAGE % (b" 60 0 R", b""), 60: b"<< /Type /Annot /Subtype /Text /Rect [ 0 0 9 9 ] >>"}),
        "PDF_ANNOTATION_ADDED",
        False,
    ),
    (
        2,
        "p2-annotation",
        plain({3: PAGE % (b" 60 0 R", b""), 60: b"<< /Type /Annot /Subtype /Text /Rect [ 0 0 9 9 ] >>"}),
        "PDF_ANNOTATION_ADDED",
        False,
    ),
    (2, "p2-content", plain({4: EVIL}), CONTENT, False),
    (3, "p3-content", plain({4: EVIL}), CONTENT, False),
    (
        3,
        "p3-free-text",
        plain(
            {
                3: PAGE % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /FreeText /DA (/F1 9 Tf) /Contents (faux) /Rect [ 50 690 90 720 ] >>",
            }
        ),
        "PDF_ANNOTATION_MAY_HIDE",
        True,
    ),
    (3, "p3-stamp", plain({3: PAGE % (b" 60 0 R", b""), 60: BASE[19]}), "PDF_ANNOTATION_MAY_HIDE", True),
    (
        3,
        "p3-highlight-that-draws-text",
        plain(
            {
                3: PAGE % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /Highlight /Rect [ 50 690 90 720 ] /AP << /N 61 0 R >> >>",
                61: stream(b"BT (faux) Tj ET", FORM_XOBJECT),
            }
        ),
        "PDF_ANNOTATION_MAY_HIDE",
        True,
    ),
    (
        3,
        "p3-opaque-square",
        plain(
            {
                3: PAGE % (b" 60 0 R", b""),
                60: b"<< /Type /Annot /Subtype /Square /IC [ 1 1 1 ] /Rect [ 50 690 90 720 ] >>",
            }
        ),
        "PDF_ANNOTATION_MAY_HIDE",
        True,
    ),
    (3, "p3-annotation-changed", plain({19: BASE[19].replace(b"300 690", b"0 0")}), CONTENT, False),
    (0, "permission-out-of-range", plain(filled()), "PDF_CHANGE_NOT_PERMITTED", False),
    (99, "permission-unknown", plain(filled()), "PDF_CHANGE_NOT_PERMITTED", False),
):
    _after("permissions", _name, _change, _code, unsure=_unsure, base={"extra": certified(_level)})
for _name, _lock, _code in (
    ("field-locked", locking(b"/Include", b"/Fields [ (Nom) ] "), "PDF_FIELD_LOCKED"),
    ("all-fields-locked", locking(b"/All"), "PDF_FIELD_LOCKED"),
    ("field-not-excepted", locking(b"/Exclude", b"/Fields [ (Montant) ] "), "PDF_FIELD_LOCKED"),
    ("lock-unreadable", locking(b"/Whatever"), "PDF_FIELD_LOCKED"),
):
    _after("permissions", _name, plain(filled()), _code, "PDF_CHANGE_NOT_PERMITTED", base={"extra": _lock})


@attack("permissions", "locked-by-the-field", "PDF_FIELD_LOCKED")
def _(bench: Bench) -> bytes:
    lock = b"/Lock << /Type /SigFieldLock /Action /Include /Fields [ (Nom) ] >> >>"
    return bench.signed({9: BASE[9][:-2] + lock}).update(filled()).data


@attack("permissions", "certification-dropped-afterwards", "PDF_CHANGE_NOT_PERMITTED", FORMAT, CONTENT)
def _(bench: Bench) -> bytes:
    objects = {1: CATALOG % b"/Perms << /DocMDP 10 0 R >> "}
    doc = Doc().update(BASE | objects, sign=replace(bench.sign(10), extra=certified(1)))
    return doc.update({1: CATALOG % b"", **filled()}).data


@attack("permissions", "second-certification-weaker", "PDF_CHANGE_NOT_PERMITTED", FORMAT)
def _(bench: Bench) -> bytes:
    doc = Doc().update(BASE, sign=replace(bench.sign(10), extra=certified(1)))
    return doc.update(second(), sign=replace(bench.sign(), extra=certified(3))).update(filled()).data


@genuine("allowed", "name-with-a-period")
def _(bench: Bench) -> bytes:
    return bench.signed({6: BASE[6].replace(b"(Nom)", b"(a.b)")}).update({11: b"<< >>"}).data


@genuine("allowed", "signed-file-with-cross-reference-stream")
def _(bench: Bench) -> bytes:
    packed = {number: BASE[number] for number in (5, 6, 7, 9, 13, 15, 18)}
    rest = {number: body for number, body in BASE.items() if number not in packed}
    doc = Doc().update(rest, sign=bench.sign(10), table=False, packed=packed)
    return doc.update(filled()).data
