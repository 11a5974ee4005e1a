"""PDFs that are broken, ask too much, or are garbage: a code of ours, in bounded time and memory, no more."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.errors import Refused
from vault.files.pdf_guard import InspectionLimits, escaped_names, looks_costly
from vault.inspection import inspect
from vault.intake import receive

REAL = Path(__file__).parents[2] / "data" / "pdf-real"


def lzw_of_spaces(size: int) -> bytes:
    """LZW data that decodes to at least `size` spaces: each code stands for one more than the last."""
    bits, made = [], 0

    def put(code: int, width: int) -> None:
        bits.append(f"{code:0{width}b}")

    put(256, 9)
    while made < size:
        put(32, 9)
        for code in range(258, 4094):
            put(code, 9 if code < 511 else 10 if code < 1023 else 11 if code < 2047 else 12)
            made += code - 256
        put(256, 12)
    put(257, 9)
    text = "".join(bits)
    return int(text + "0" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big")


# Damage


def broken(pdfs: SimpleNamespace) -> dict[str, bytes]:
    whole = pdfs.raw(pdfs.plain)
    return {
        "truncated": whole[: len(whole) // 2],
        "no end": whole[:-30],
        "no table": whole.replace(b"xref\n0", b"xxxx\n0"),
        "wrong start": whole.replace(b"startxref\n", b"startxref\n9"),
        "offset into another object": pdfs.raw({**pdfs.plain, 4: b"null"}).replace(b"4 0 obj", b"5 0 obj"),
        "every offset off": whole.replace(b" 00000 n", b"\x20" + b"00000 n").replace(
            pdfs.header, pdfs.header + b"\n"
        ),
        "header later": b"\n" + whole,
        "no pages": pdfs.raw({**pdfs.plain, 2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
        "page missing": pdfs.raw({1: pdfs.catalog, 2: pdfs.pages}),
        "page that is a number": pdfs.raw({**pdfs.plain, 3: b"42"}),
        "direct page": pdfs.raw({**pdfs.plain, 2: b"<< /Type /Pages /Count 1 /Kids [<< /Type /Page >>] >>"}),
        "page tree cycle": pdfs.raw({**pdfs.plain, 2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"}),
        "kids no array": pdfs.raw({**pdfs.plain, 2: b"<< /Type /Pages /Kids (3 0 R) /Count 1 >>"}),
        "no catalog": pdfs.raw({**pdfs.plain, 1: b"<< >>"}),
        "catalog a name": pdfs.raw({**pdfs.plain, 1: b"/Catalog"}),
        "own reference": pdfs.raw({**pdfs.plain, 2: b"2 0 R"}),
        "container missing": pdfs.packed(pdfs.plain).replace(b"/ObjStm", b"/Nothin"),
        "size negative": whole.replace(b"/Size 4", b"/Size -4"),
    }


DAMAGES = [
    "catalog a name",
    "container missing",
    "direct page",
    "every offset off",
    "header later",
    "kids no array",
    "no catalog",
    "no end",
    "no pages",
    "no table",
    "offset into another object",
    "own reference",
    "page missing",
    "page that is a number",
    "page tree cycle",
    "size negative",
    "truncated",
    "wrong start",
]


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged(pdfs, name, tmp_path):
    pdfs.refused(broken(pdfs)[name], tmp_path, "PDF_DAMAGED")


# Bombs


def deep_tree(pdfs: SimpleNamespace, depth: int) -> dict[int, bytes]:
    objects = {n: b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (n + 1) for n in range(2, depth)}
    return {1: pdfs.catalog, **objects, depth: pdfs.page}


def overlapping(pdfs: SimpleNamespace, count: int) -> bytes:
    """Pages of which each one's dictionary holds, in a string, the text of all that follow: quadratic memory."""
    texts, offsets = [], {}
    position = len(pdfs.header)
    for number in range(3, 3 + count):
        offsets[number] = position
        texts.append(b"%d 0 obj << /Type /Page /Parent 2 0 R /X (" % number)
        position += len(texts[-1])
    out = pdfs.header + b"".join(texts) + b") >> endobj " * count
    kids = b" ".join(b"%d 0 R" % number for number in offsets)
    for number, body in {
        1: pdfs.catalog,
        2: b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, kids),
    }.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % offsets[number] for number in range(1, 3 + count))
    tail = b"xref\n0 1\n0000000000 65535 f \n1 %d\n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return out + tail % (count + 2, rows, count + 3, len(out))


def bombs(pdfs: SimpleNamespace) -> dict[str, Callable[[], bytes]]:
    ints = b"[" + b"0 " * 20_000_000 + b"]"
    return {
        "arrays 1e5 deep": lambda: pdfs.raw(pdfs.with_catalog(b"/X " + b"[" * 10**5 + b"]" * 10**5)),
        "arrays 1e6 deep": lambda: pdfs.raw(pdfs.with_catalog(b"/X " + b"[" * 10**6 + b"]" * 10**6)),
        "dictionaries 1e6 deep": lambda: pdfs.raw(
            pdfs.with_catalog(b"/X " + b"<</A" * 10**6 + b">>" * 10**6)
        ),
        "page tree 1e5 deep": lambda: pdfs.raw(deep_tree(pdfs, 10**5)),
        "packed arrays 1e6 deep": lambda: pdfs.packed(
            pdfs.with_catalog(b"/X " + b"[" * 10**6 + b"]" * 10**6)
        ),
        "100 MB inflated": lambda: pdfs.packed({**pdfs.plain, 4: b" " * 10**8 + b"null"}),
        "20 million integers": lambda: pdfs.packed({**pdfs.plain, 4: ints}),
        "twice compressed": lambda: pdfs.packed(
            {**pdfs.plain, 4: b" " * 10**8},
            filters=b"[/FlateDecode /FlateDecode]",
            encode=lambda data: zlib.compress(zlib.compress(data, 9), 9),
        ),
        "LZW": lambda: pdfs.packed(
            pdfs.plain, filters=b"/LZWDecode", encode=lambda _: lzw_of_spaces(4 * 10**8)
        ),
        "escaped LZW": lambda: pdfs.packed(
            pdfs.plain, filters=b"/L#5aWDecode", encode=lambda _: lzw_of_spaces(4 * 10**8)
        ),
        "LZW by reference": lambda: pdfs.packed(
            pdfs.plain, filters=b"9 0 R", encode=lambda _: lzw_of_spaces(4 * 10**8), outer={9: b"/LZWDecode"}
        ),
        "a million objects": lambda: pdfs.raw({**pdfs.plain, **dict.fromkeys(range(4, 10**6), b"null")}),
        "a million names": lambda: pdfs.raw(pdfs.with_catalog(b"/X [" + b"/" * (10**6 + 9) + b"]")),
        "overlapping pages": lambda: overlapping(pdfs, 19_000),
    }


BOMBS = [
    "arrays 1e5 deep",
    "arrays 1e6 deep",
    "dictionaries 1e6 deep",
    "page tree 1e5 deep",
    "packed arrays 1e6 deep",
    "100 MB inflated",
    "20 million integers",
    "twice compressed",
    "LZW",
    "escaped LZW",
    "LZW by reference",
    "a million objects",
    "a million names",
    "overlapping pages",
]


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(pdfs, name, tmp_path):
    pdfs.refused(bombs(pdfs)[name](), tmp_path, "PDF_TOO_COMPLEX")


def test_an_untyped_container_is_bounded_too(pdfs, tmp_path):
    data = pdfs.packed({**pdfs.plain, 4: b"[" + b"0 " * 20_000_000 + b"]"}, entries=b"/Type /Nothin")
    assert pdfs.outcome(data, tmp_path) in {"PDF_TOO_COMPLEX", "PDF_DAMAGED"}


@pytest.mark.parametrize("count", [10**6, 2**31 - 1, 10**12])
def test_a_container_that_announces_too_many_objects(pdfs, count, tmp_path):
    assert pdfs.outcome(pdfs.packed(pdfs.plain, count=count), tmp_path) in {"PDF_DAMAGED", "PDF_TOO_COMPLEX"}


def test_many_bounded_containers_are_too_much_together(pdfs, tmp_path):
    data = pdfs.packed({**pdfs.plain, 4: b"[" + b"0 " * 400_000 + b"]"})
    with (
        receive([data], folder=tmp_path, limit=10**9) as spooled,
        pytest.raises(Refused) as caught,
    ):
        inspect(
            spooled,
            name="a.pdf",
            declared_type=None,
            as_act=True,
            limits=InspectionLimits(max_tokens=300_000),
        )
    assert caught.value.params["what"] == "tokens"


def test_cycles_end(pdfs, tmp_path):
    outline = pdfs.with_catalog(b"/Outlines 4 0 R /OpenAction 5 0 R", o4=b"<< /First 4 0 R /Next 4 0 R >>")
    chain = {**outline, 5: b"<< /S /GoTo /D (x) /Next 5 0 R >>", 6: b"(/JavaScript )"}
    assert pdfs.outcome(pdfs.raw(chain), tmp_path) == "issued"


def test_a_wide_file_that_must_be_walked_ends_in_time(pdfs, tmp_path):
    wide = dict.fromkeys(range(5, 2000), b"[" + b"<< >> " * 2000 + b"]")
    links = b"/OpenAction 4 0 R /X [" + b" ".join(b"%d 0 R" % number for number in wide) + b"]"
    data = pdfs.raw({**pdfs.with_catalog(links, o4=b"<< /S /GoTo /JS true >>"), **wide})
    assert pdfs.outcome(data, tmp_path) in {"issued", "PDF_TOO_COMPLEX"}


def test_a_large_file_is_looked_at_without_being_held(pdfs, tmp_path):
    script = b"<< /S /JavaScript /JS (x) >>"
    noise = random.Random(7).randbytes(1024 * 1024)
    objects = pdfs.with_catalog(b"/OpenAction 4 0 R", o4=pdfs.stream(b"", noise * 60), o5=script)
    assert pdfs.outcome(pdfs.raw(objects), tmp_path) == "issued"
    objects[1] = objects[1].replace(b"4 0 R", b"5 0 R")
    pdfs.refused(pdfs.raw(objects), tmp_path, "PDF_JAVASCRIPT")


# Anything else


def test_escapes_are_decoded_wherever_they_stand(pdfs):
    assert list(escaped_names(b"<</#4a#53 1/A#42C/plain #41 (x#41)/Z#5A>>")) == [b"/JS", b"/ABC", b"/ZZ"]


CODES = {"issued", "PDF_DAMAGED", "PDF_ENCRYPTED", "PDF_TOO_COMPLEX", "PDF_JAVASCRIPT", "PDF_ACTIVE_CONTENT"}
CODES |= {"PDF_EMBEDDED_FILES", "PDF_XFA"}
BITS = [
    b"<<",
    b">>",
    b"[",
    b"]",
    b"/Kids",
    b"/JS",
    b"/AF",
    b"/EF",
    b" 1 0 R",
    b" 99999999999 0 R",
    b"(",
    b")",
    b"-1",
]
BITS += [
    b"null",
    b"/S",
    b"/Filter",
    b"stream\n",
    b"endobj",
    b"xref",
    b"#00",
    b"\x00",
    b"true",
    b"/Length",
    b"%",
]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(body=st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=8))), as_act=st.booleans())
def test_garbage_after_a_header(pdfs, tmp_path, body, as_act):
    pdfs.outcome(pdfs.header + b" ".join(body), tmp_path, as_act=as_act)


@QUICK
@given(bodies=st.lists(st.lists(st.sampled_from(BITS), max_size=12).map(b" ".join), min_size=1, max_size=4))
def test_garbage_objects_in_a_sound_frame(pdfs, tmp_path, bodies):
    objects = pdfs.with_catalog(b"/OpenAction 4 0 R /AcroForm 5 0 R /Names 6 0 R /AF 7 0 R /S /Launch")
    objects.update(dict(enumerate(bodies, 4)))
    assert pdfs.outcome(pdfs.raw(objects), tmp_path) in CODES


def test_mutants_of_real_files(pdfs, tmp_path):
    sources = [path.read_bytes() for path in sorted(REAL.glob("*.pdf")) if path.stat().st_size < 30_000]
    dice = random.Random(20261122)
    seen = set()
    for _ in range(400):
        data = bytearray(dice.choice(sources))
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            data[at : at + dice.choice([0, 1, 1, 30])] = dice.choice([*BITS, dice.randbytes(1)])
        seen.add(pdfs.outcome(bytes(data), tmp_path))
    assert seen <= CODES
    assert {"issued", "PDF_DAMAGED"} <= seen


@pytest.mark.parametrize(
    ("unit", "most"),
    [(b"/XRef ", 50), (b"/#41 ", 20_000), (b"#41 ", 20_000), (b"/X#52ef ", 0), (b"/XRefStm ", None)],
)
def test_what_is_dear_by_its_count_is_examined_behind_a_fence(
    pdfs: Any, unit: bytes, most: int | None
) -> None:
    def costly(count: int) -> bool:
        return looks_costly(pdfs.raw({**pdfs.plain, 4: pdfs.stream(b"", unit * count)}))

    assert not costly(1000 if most is None else most)
    assert most is None or costly(most + 1)


def test_tables_that_hold_one_another_cost_no_more_than_the_fence_allows(pdfs: Any, tmp_path: Path) -> None:
    """Each table's stream goes on to the end of the last one; qpdf reads the file once for each."""
    out, tables = bytearray(pdfs.raw(pdfs.plain)), 3000
    head = b"%06d 0 obj<</Type/XRef/W[1 4 2]/Index[0 1]/Size 9/Prev %09d/Root 1 0 R/Length %09d>>stream\n"
    base, size = len(out), len(head % (0, 0, 0)) + 7
    end = base + tables * size + 6_000_000
    for number in range(tables):
        at = base + number * size
        out += head % (5, at + size, end - at - size + 7) + bytes(5) + b"\xff\xff"
    data = bytes(out.ljust(end, b"x")) + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % base
    less = InspectionLimits(seconds=0.2)
    with receive([data], folder=tmp_path, limit=10**9) as spooled, pytest.raises(Refused) as caught:
        inspect(spooled, name="acte.pdf", declared_type=None, as_act=True, limits=less)
    assert caught.value.code == "PDF_TOO_COMPLEX"
