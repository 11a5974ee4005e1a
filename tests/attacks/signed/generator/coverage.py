"""Attacks on what a signature covers: byte ranges, the gap, wrapping, forgeries without a value, tails."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.attacks.signed.generator.base import BASE, EVIL, Bench, Doc, Made, Signing, attack, genuine, second

RANGE = re.compile(rb"/ByteRange \[[^\]]*\]")
FORMAT = "FORMAT_FAILURE"


@genuine("coverage", "one-signature")
def _(bench: Bench) -> bytes:
    return bench.signed().data


@genuine("coverage", "range-written-with-spaces-and-line-end-after-eof")
def _(bench: Bench) -> bytes:
    return bench.signed(after=b"\n").data


def _ranged(name: str, change: Callable[[int, int, int, int], tuple[int, ...]]) -> None:
    @attack("coverage", name, FORMAT)
    def _(bench: Bench) -> bytes:
        return Doc().update(BASE, sign=Signing(bench.cms, 10, ranges=change)).data


_ranged("starts-after-0", lambda a, b, c, d: (a + 1, b - 1, c, d))
_ranged("gap-too-big-before", lambda a, b, c, d: (a, b - 20, c, d))
_ranged("gap-too-big-after", lambda a, b, c, d: (a, b, c + 4, d - 4))
_ranged("gap-too-small", lambda a, b, c, d: (a, b + 1, c - 1, d + 1))
_ranged("ends-before-the-end", lambda a, b, c, d: (a, b, c, d - 3))
_ranged("ends-before-eof", lambda a, b, c, d: (a, b, c, d - 30))
_ranged("ends-beyond-the-file", lambda a, b, c, d: (a, b, c, d + 1))
_ranged("one-part", lambda a, b, c, d: (a, b))
_ranged("three-parts", lambda a, b, c, d: (a, b - 50, b - 50, 50, c, d))
_ranged("parts-swapped", lambda a, b, c, d: (c, d, a, b))
_ranged("parts-overlap", lambda a, b, c, d: (a, b, 10, c + d - 10))
_ranged("covers-nothing", lambda a, b, c, d: (0, 0, c + d, 0))
_ranged("negative", lambda a, b, c, d: (0, b, c, -d))
_ranged("huge", lambda a, b, c, d: (0, b, c, 10**15))


def _patched(name: str, old: bytes, new: Callable[[re.Match[bytes]], bytes], *codes: str) -> None:
    """A forgery made by writing over a signature dictionary; lengths stay, so that nothing else is damaged."""

    @attack("forgery", name, *(codes or (FORMAT,)))
    def _(bench: Bench) -> bytes:
        data = bench.signed().data
        changed, count = re.compile(old).subn(
            lambda found: new(found).ljust(len(found[0]))[: max(len(found[0]), 0)], data, count=1
        )
        assert count == 1
        return changed


def _same(text: bytes) -> Callable[[re.Match[bytes]], bytes]:
    return lambda _: text


CONTENTS = rb"/Contents <[0-9a-f]*>"
_patched("contents-empty", CONTENTS, _same(b"/Contents <>"))
_patched("contents-one-zero", CONTENTS, _same(b"/Contents <00>"))
_patched("contents-null", CONTENTS, _same(b"/Contents null"))
_patched("contents-gone", CONTENTS, _same(b"/Nothing 1"))
_patched("contents-zeros", CONTENTS, lambda found: b"/Contents <" + b"0" * (len(found[0]) - 12) + b">")
_patched("contents-a-name", CONTENTS, _same(b"/Contents /X"))
_patched("contents-an-array", CONTENTS, _same(b"/Contents [<00>]"))
_patched("contents-a-reference", CONTENTS, _same(b"/Contents 4 0 R"))
_patched("contents-a-text", CONTENTS, _same(b"/Contents (0000)"))
_patched(
    "contents-garbage", CONTENTS, lambda found: b"/Contents <" + b"a5" * ((len(found[0]) - 12) // 2) + b">"
)
_patched("range-gone", RANGE.pattern, _same(b"/Nothing 1"))
_patched("range-null", RANGE.pattern, _same(b"/ByteRange null"))
_patched("range-empty", RANGE.pattern, _same(b"/ByteRange []"))
_patched("range-negative", RANGE.pattern, _same(b"/ByteRange [0 -1 -1 -1]"))
_patched("range-zero", RANGE.pattern, _same(b"/ByteRange [0 0 0 0]"))
_patched("range-text", RANGE.pattern, _same(b"/ByteRange (0 1 2 3)"))
_patched("range-of-names", RANGE.pattern, _same(b"/ByteRange [/a /b /c /d]"))
_patched("range-of-arrays", RANGE.pattern, _same(b"/ByteRange [[0][1][2][3]]"))
_patched("range-of-reals", RANGE.pattern, _same(b"/ByteRange [0.0 1.5 2.5 3.5]"))
_patched("range-of-references", RANGE.pattern, _same(b"/ByteRange [4 0 R 4 0 R 4 0 R 4 0 R]"))
_patched("range-too-large", RANGE.pattern, _same(b"/ByteRange [0 9999999999999999999999 1 1]"))
_patched("range-three", RANGE.pattern, _same(b"/ByteRange [0 100 200]"))


@attack("forgery", "octet-in-the-covered-part", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    return bench.signed().data.replace(b"Il doit 100", b"Il doit 900")


@attack("forgery", "octet-in-the-trailer", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    data = bench.signed().data
    place = data.rindex(b"/Size ")
    return data[:place] + b"/Sizz " + data[place + 6 :]


@attack("forgery", "octets-behind-the-value", FORMAT)
def _(bench: Bench) -> bytes:
    return Doc().update(BASE, sign=Signing(bench.cms, 10, wrap=lambda value: value[:-8] + b"deadbeef")).data


@attack("forgery", "two-values-one-behind-the-other", FORMAT)
def _(bench: Bench) -> bytes:
    def twice(octets: bytes) -> bytes:
        one = bench.cms(octets)
        return one + one

    return Doc().update(BASE, sign=Signing(twice, 10)).data


@attack("forgery", "value-of-another-document", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    other = bench.cms(b"another document altogether")
    return Doc().update(BASE, sign=Signing(lambda _: other, 10)).data


def _wrapped(bench: Bench, extra: Callable[[int, int, int], bytes]) -> bytes:
    """Move the second signed part to the end; in its place stand an object and the cross-reference that names it.

    The signed part keeps saying where the cross-reference begins, so the forged one is put at that very offset.
    """
    doc = Doc().update(BASE, sign=bench.sign(10), between=b"%" + b" " * 3000 + b"\n")
    found = RANGE.search(doc.data)
    assert found is not None
    _, first, start, size = (int(item) for item in re.findall(rb"\d+", found[0]))
    forged = doc.data[:start] + extra(first, start, size) + b" >>\nendobj\n"
    place = len(forged)
    forged += b"4 0 obj\n%b\nendobj\n" % EVIL
    section = doc.sections[-1]
    assert len(forged) < section
    table = doc.data[section : doc.data.index(b"trailer", section)]
    rows = re.sub(rb"(?<=\n4 1\n)\d{10}", b"%010d" % place, table)
    return (
        forged.ljust(section)
        + rows
        + b"trailer\n<< /Size 23 /Root 1 0 R /Info 11 0 R >>\n"
        + doc.data[start:]
    )


@attack("wrapping", "second-part-moved", FORMAT)
def _(bench: Bench) -> bytes:
    return _wrapped(bench, lambda first, start, size: b"")


@attack("wrapping", "second-part-moved-and-a-second-range", FORMAT)
def _(bench: Bench) -> bytes:
    """The last of two equal keys counts for most readers; it leads to the moved part, so that the hash is right."""
    before = _wrapped(
        bench, lambda first, start, size: b" /ByteRange [0 %10d %10d %10d]" % (first, start, size)
    )
    doc = Doc().update(BASE, sign=bench.sign(10), between=b"%" + b" " * 3000 + b"\n")
    found = RANGE.search(doc.data)
    assert found is not None
    _, first, start, size = (int(item) for item in re.findall(rb"\d+", found[0]))
    moved = len(before) - size
    return before.replace(
        b"/ByteRange [0 %10d %10d %10d]" % (first, start, size),
        b"/ByteRange [0 %10d %10d %10d]" % (first, moved, size),
    )


@attack("wrapping", "second-range-in-the-gap", FORMAT)
def _(bench: Bench) -> bytes:
    """A second /ByteRange hides in the unsigned gap, behind a value that ends early."""

    def early(value: bytes) -> bytes:
        used = len(value.rstrip(b"0")) // 2 * 2 + 2
        hidden = b"> /ByteRange [0 10 20 30] /X <"
        return value[:used] + hidden + value[used + len(hidden) :]

    return Doc().update(BASE, sign=Signing(bench.cms, 10, wrap=early)).data


def _tailed(name: str, tail: Callable[[Doc], bytes], *codes: str) -> None:
    @attack("tail", name, *(codes or (FORMAT,)))
    def _(bench: Bench) -> bytes:
        doc = bench.signed()
        return doc.data + tail(doc)


_tailed("garbage", lambda _: b"garbage")
_tailed("many-spaces", lambda _: b" " * 600)
_tailed("comment", lambda _: b"% a comment\n")
_tailed("an-object", lambda _: b"4 0 obj\n" + EVIL + b"\nendobj\n")
_tailed("an-object-and-eof", lambda _: b"4 0 obj\n" + EVIL + b"\nendobj\n%%EOF\n")
_tailed(
    "old-startxref-again",
    lambda doc: b"4 0 obj\n" + EVIL + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % doc.sections[-1],
)
_tailed("another-pdf", lambda doc: doc.data)
_tailed("a-zip-end", lambda _: b"PK\x05\x06" + bytes(18))
_tailed("a-trailer-alone", lambda _: b"trailer\n<< /Root 60 0 R >>\nstartxref\n0\n%%EOF\n")


@attack("head", "octets-before-the-header", FORMAT, "PDF_AMBIGUOUS", unsure=False)
def _(bench: Bench) -> bytes:
    return b"\n\n" + bench.signed().data


@attack("signatures", "two-fields-one-value", FORMAT)
def _(bench: Bench) -> bytes:
    doc = bench.signed(None)
    return doc.update(second(more={30: second()[30].replace(b"31 0 R", b"10 0 R")})).data


@attack("signatures", "value-copied-into-a-second-dictionary", FORMAT)
def _(bench: Bench) -> bytes:
    doc = bench.signed()
    found = re.search(rb"\n10 0 obj\n(.*?)\nendobj", doc.data, re.DOTALL)
    assert found is not None
    return doc.update(second(more={31: found[1]})).data


@attack("signatures", "the-only-signature-removed", FORMAT)
def _(bench: Bench) -> bytes:
    doc = bench.signed()
    return doc.update({9: BASE[9].replace(b"/V 10 0 R ", b"")}).data


@attack("signatures", "usage-rights-only", "NO_SIGNATURE_FOUND", unsure=True)
def _(bench: Bench) -> bytes:
    objects = BASE | {
        1: BASE[1][:-2] + b"/Perms << /UR3 10 0 R >> >>",
        9: BASE[9].replace(b"/V 10 0 R ", b""),
    }
    rights = b"/Reference [ << /Type /SigRef /TransformMethod /UR3 /TransformParams << /V /2.2 >> >> ] "
    return Doc().update(objects, sign=Signing(bench.cms, 10, extra=rights)).data


@genuine("signatures", "two-signers")
def _(bench: Bench) -> Made:
    return Made(bench.signed().update(second(), sign=bench.sign()).data)


@attack("signatures", "second-signature-invalid", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    doc = bench.signed().update(second(), sign=Signing(lambda _: bench.cms(b"other octets"), 31))
    return doc.data


@attack("signatures", "second-signature-unreadable", FORMAT)
def _(bench: Bench) -> bytes:
    return bench.signed().update(second(), sign=Signing(lambda _: b"\x30\x80\xff\xff", 31)).data


@attack("signatures", "first-signature-broken-second-good", "HASH_FAILURE")
def _(bench: Bench) -> bytes:
    data = bench.signed().data.replace(b"Il doit 100", b"Il doit 900")
    doc = Doc(data, sections=bench.signed().sections)
    return doc.update(second(), sign=bench.sign()).data
