"""References that a seal inside would change the meaning of: to nothing, to another generation, to freed objects."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attacks.pdf.conftest import REFERENCES
from vault.files.pdf_guard import pieces
from vault.files.pdf_numbers import listed_in
from vault.files.pdf_references import objects, references, unusual

DRAWING = b"<< /Length 12 >>\nstream\n0 0 9 9 re f\n\nendstream"


def test_a_reference_to_nothing_takes_no_seal(pdfs: Any, tmp_path: Path) -> None:
    """An object of the seal would get the number; attachments, and files sealed beside, hold such references."""
    dangling = pdfs.raw(pdfs.with_catalog(b"/Lost 4 0 R"))
    assert pdfs.outcome(dangling, tmp_path) == "PDF_DAMAGED"
    assert pdfs.outcome(dangling, tmp_path, as_act=False) == ""
    # Hidden from the eye in an object stream; and a number that the file lists as free, which no seal takes.
    packed = pdfs.packed({**pdfs.plain, 5: b"<< /Lost 70 0 R >>"})
    assert pdfs.outcome(packed, tmp_path) == "PDF_DAMAGED"
    free = pdfs.raw({**pdfs.with_catalog(b"/Lost 4 0 R"), 5: b"<< >>"})
    assert pdfs.outcome(free, tmp_path) == "issued"


def test_a_reference_to_another_generation_takes_no_seal(pdfs: Any, tmp_path: Path) -> None:
    """Some readers show the object as long as the file is not sealed; qpdf never does."""
    for parts in (pdfs.with_catalog(b"/Metadata 3 1 R"), pdfs.with_catalog(b"/Lang 3\r\n 00012 R>>")):
        assert pdfs.outcome(pdfs.raw(parts), tmp_path) == "PDF_DAMAGED"
    packed = pdfs.packed({**pdfs.plain, 5: b"<< /Lost 3 1 R >>"})
    assert pdfs.outcome(packed, tmp_path) == "PDF_DAMAGED"
    assert pdfs.outcome(packed, tmp_path, as_act=False) == ""
    # An object of that generation, and a number that nothing has: as the table says, and nothing.
    assert pdfs.outcome(pdfs.raw(pdfs.with_catalog(b"/Lang 3 0 R")), tmp_path) == "issued"
    gone = pdfs.raw({**pdfs.with_catalog(b"/Lost 4 1 R"), 5: b"<< >>"})
    assert pdfs.outcome(gone, tmp_path) == "issued"


def updated(data: bytes, freed: int, changed: dict[int, bytes] | None = None) -> bytes:
    """An update that calls one object free, whose octets stay, and may change others."""
    before = int(data.split(b"startxref")[-1].split()[0])
    out, rows = bytearray(data), {freed: b"0000000000 00001 f \n"}
    for number, body in (changed or {}).items():
        rows[number] = b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    at = len(out)
    out += b"xref\n" + b"".join(b"%d 1\n%b" % (number, rows[number]) for number in sorted(rows))
    size = int(data.split(b"/Size ")[-1].split()[0])
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out) + trailer % (size, before, at)


@pytest.mark.parametrize("form", REFERENCES)
def test_a_reference_to_a_freed_object_that_is_still_there_takes_no_seal(
    pdfs: Any, form: bytes, tmp_path: Path
) -> None:
    """PDFium draws it before the seal and not after; qpdf never does."""
    shown = {**pdfs.with_page(b"/Contents " + form % 4), 4: DRAWING}
    assert pdfs.outcome(pdfs.raw(shown), tmp_path) == "issued"
    assert pdfs.outcome(updated(pdfs.raw(shown), 4), tmp_path) == "PDF_DAMAGED"
    assert pdfs.outcome(updated(pdfs.raw(shown), 4), tmp_path, as_act=False) == ""
    # Nothing leads to it, or nothing is there.
    assert pdfs.outcome(updated(pdfs.raw({**pdfs.plain, 4: DRAWING}), 4), tmp_path) == "issued"
    gone = {**pdfs.with_catalog(b"/Lost " + form % 4), 5: b"<< >>"}
    assert pdfs.outcome(pdfs.raw(gone), tmp_path) == "issued"


@pytest.mark.parametrize("number", [b"04", b"0000000000000000000000000004", b"%4\n4"])
@pytest.mark.parametrize("generation", [b"0", b"000000", b"0%0\n", b"0" + b" " * 300])
def test_however_the_freed_object_is_written(
    pdfs: Any, number: bytes, generation: bytes, tmp_path: Path
) -> None:
    data = pdfs.raw({**pdfs.with_page(b"/Contents 4 0 R"), 4: DRAWING})
    spaced = data.replace(b"\n4 0 obj", b"\n" + number + b" " + generation + b" obj")
    moved = len(spaced) - len(data)
    before = int(data.split(b"startxref")[-1].split()[0])
    spaced = spaced.replace(b"startxref\n%d" % before, b"startxref\n%d" % (before + moved))
    assert pdfs.outcome(updated(spaced, 4), tmp_path) == "PDF_DAMAGED"


def test_an_object_that_was_deleted_with_all_that_led_to_it_is_no_damage(pdfs: Any, tmp_path: Path) -> None:
    """A note was removed and the file saved by an update, as editors do: only the former page refers to it."""
    note = b"<< /Type /Annot /Subtype /Text /Rect [9 9 20 20] /Contents (Relire) >>"
    with_note = pdfs.raw({**pdfs.with_page(b"/Annots [4 0 R]"), 4: note})
    assert pdfs.outcome(updated(with_note, 4, {3: pdfs.page}), tmp_path) == "issued"
    # Any live object that still leads there is enough, and the trailer too.
    left = updated(with_note, 4, {3: pdfs.page[:-2] + b"/Lost << /A [[4 0 R]] >> >>"})
    assert pdfs.outcome(left, tmp_path) == "PDF_DAMAGED"
    trailer = updated(with_note, 4, {3: pdfs.page}).replace(
        b"/Size 5 /Root 1 0 R /Prev", b"/Size 5 /Info 4 0 R /Root 1 0 R /Prev"
    )
    assert pdfs.outcome(trailer, tmp_path) == "PDF_DAMAGED"


def test_a_reference_in_octets_that_are_no_object_is_none(pdfs: Any, tmp_path: Path) -> None:
    """Pictures and texts may hold whatever they like."""
    for text in (b"4 0 R", b"99 0 R", b"3 7 R"):
        shown = {**pdfs.with_page(b"/Contents 5 0 R"), 4: DRAWING, 5: pdfs.stream(b"", b"% " + text)}
        assert pdfs.outcome(updated(pdfs.raw(shown), 4), tmp_path) == "issued"


def test_a_number_that_is_used_again_is_not_its_former_object(pdfs: Any, tmp_path: Path) -> None:
    """An object of generation 1 answers to no reference with generation 0."""
    data = pdfs.raw({**pdfs.with_page(b"/Lost 4 1 R"), 4: b"<< >>"})
    for reference, expected in ((b"4 1 R", "issued"), (b"4 0 R", "PDF_DAMAGED")):
        again = data.replace(b"4 1 R", reference).replace(b"\n4 0 obj", b"\n4 1 obj")
        row = b"%010d 0000%%d n" % again.index(b"4 1 obj")
        assert pdfs.outcome(again.replace(row % 0, row % 1), tmp_path) == expected


def test_one_in_an_object_that_is_itself_asked_for_is_found(pdfs: Any, tmp_path: Path) -> None:
    """Something that looks like a reference to generation 7 of the page hides nothing that the page refers to."""
    parts = {**pdfs.with_page(b"/Lost 9 0 R"), 4: pdfs.stream(b"", b"% 3 7 R")}
    assert pdfs.outcome(pdfs.raw(parts), tmp_path) == "PDF_DAMAGED"
    parts[3] = pdfs.page
    assert pdfs.outcome(pdfs.raw(parts), tmp_path) == "issued"


def test_many_references_to_what_was_never_there_are_no_damage(pdfs: Any, tmp_path: Path) -> None:
    lost = b" ".join(b"%d 0 R" % number for number in range(10, 3010))
    many = pdfs.raw({**pdfs.with_catalog(b"/Lost [%b]" % lost), 3010: b"<< >>"})
    assert pdfs.outcome(many, tmp_path) == "issued"


@pytest.mark.parametrize("place", [0, 1, 100, 303, 400, 604, 605, 606])
def test_one_that_crosses_from_one_piece_to_the_next_is_found(pdfs: Any, place: int, tmp_path: Path) -> None:
    """Large files are searched by pieces."""
    reference = b"99" + b" " * 300 + b"0" + b" " * 300 + b"R"
    objects_ = {4: b"()", **pdfs.with_catalog(b"/Lost " + reference)}
    _, first = next(pieces(bytes(2 << 20)))
    fill = first - place - pdfs.raw(objects_).index(reference)
    data = pdfs.raw({**objects_, 4: b"(" + b"-" * fill + b")"})
    assert data.index(reference) == first - place
    assert pdfs.outcome(data, tmp_path) == "PDF_DAMAGED"


@pytest.mark.parametrize(
    "unit",
    [
        b"1 %",
        b"% R\n",
        b"%\nR",
        b"%\n",
        b"\nR",
        b"\n1 %\nR",
        b"1 0\nR\n",
        b"1 2 3%\n0 R\n",
        b"0 obj\n",
        b"9 obj ",
        b"1",
    ],
)
@pytest.mark.parametrize("inflated", [False, True])
def test_the_search_ends_whatever_the_octets_are(
    pdfs: Any, unit: bytes, inflated: bool, tmp_path: Path
) -> None:
    """The square of a quarter megabyte would be minutes, in which no other thread runs."""
    text = unit * ((1 << 18) // len(unit)) + b"\n4 0 R\n4 0\nR\n4 0 obj"
    if inflated:
        data = pdfs.packed({**pdfs.plain, 6: b"<< /A " + text + b" >>"})
    else:
        data = updated(pdfs.raw({**pdfs.plain, 4: pdfs.stream(b"", text)}), 4)
    assert pdfs.outcome(data, tmp_path) in {"issued", "PDF_TOO_COMPLEX", "PDF_DAMAGED"}


def test_the_walk_over_what_looks_like_tables_ends(pdfs: Any, tmp_path: Path) -> None:
    text = (b"A" * 16 + b"xref0 1 ") * 40_000
    assert pdfs.outcome(pdfs.raw({**pdfs.plain, 4: pdfs.stream(b"", text)}), tmp_path) == "issued"


def test_what_an_object_stream_lists_is_there() -> None:
    assert listed_in(b"4 0 7 5 << >> << /A 9 0 R >>") == {4, 7}
    assert listed_in(b"") == set()


_WHITE = st.sampled_from([b" ", b"\t", b"\0", b"\f", b"\r", b"\n", b"\r\n"])
_COMMENT = st.binary(max_size=60).map(lambda text: b"%" + text.translate(None, b"\r\n") + b"\n")
_GAP = st.lists(
    st.one_of(_WHITE, _COMMENT, _WHITE.map(lambda white: white * 70)), min_size=1, max_size=4
).map(b"".join)
_SIGN = st.sampled_from([b"", b"+", b"-"])
_NUMBER = st.tuples(st.integers(0, 30), st.integers(0, 10**7)).map(
    lambda both: b"0" * both[0] + b"%d" % both[1]
)


@given(_NUMBER, _GAP, _SIGN, _NUMBER, _GAP, st.binary(max_size=60), st.integers(0, 10**7), st.data())
def test_no_reference_is_passed_over(
    number: bytes,
    gap: bytes,
    sign: bytes,
    generation: bytes,
    second: bytes,
    before: bytes,
    above: int,
    data: st.DataObject,
) -> None:
    def all_of(search: Any, text: bytes) -> set[tuple[int, int]]:
        cut = data.draw(st.integers(0, len(text)))
        parts = itertools.pairwise((0, cut, len(text)))
        return {pair for start, end in parts for pair in search(text, lambda: None, start, end)}

    pair = (int(number), int(generation))
    # A comment takes what follows it on its line, white space too.
    text = before + b"\n" + number + gap + sign + generation + second
    assert pair in all_of(references, text + b"R ")
    assert pair in all_of(objects, text + b"obj")
    found = all_of(lambda text, *rest: unusual(text, above, *rest), text + b"R>>")
    assert (pair in found) == (pair[0] > above or pair[1] > 0)


def test_pieces_are_all_of_a_file() -> None:
    data = bytes(5 << 20 | 7)
    places = list(pieces(data))
    assert [place for place, _ in places[1:]] == [end for _, end in places[:-1]]
    assert (places[0][0], places[-1][1]) == (0, len(data))
