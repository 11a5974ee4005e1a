"""Builders of PDFs, honest and hostile, from raw bytes; and what the inspection says of them."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from vault.errors import Refused
from vault.files.pdf_guard import resident
from vault.inspection import inspect
from vault.intake import receive

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << >> >>"
HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
# How a reference to generation 0 can be written.
REFERENCES = [
    b"%d 0 R",
    b"%d  0\tR",
    b"%d\r\n0\r\nR",
    b"%d %%0 R\n0 R",
    b"00%d 00 R",
    b"%d 0 R/X 1",
    b"0000000000000000000000000%d 0 R",
    b"%d 000000 R",
    b"%d" + b" " * 300 + b"0" + b" " * 300 + b"R",
    b"%d 0 %% 9 0\n%%" + b"-" * 300 + b"\r\nR",
    b"%d%%7 0\n0 %%9 9\n \n%%9 0\nR",
    b"%d %%5\n0 R",
    b"%d +0 R",
    b"%d%%\n-000 R",
]
SECONDS = 4.0
OCTETS = 320 * 1024 * 1024


def outcome(data: bytes, folder: Path, *, as_act: bool = True) -> str:
    """The refusal's code, or `issued`, or for an attachment its findings; time and memory are checked."""
    before, start = resident(), time.monotonic()
    with receive([data], folder=folder, limit=10**9) as spooled:
        try:
            with inspect(spooled, name="acte.pdf", declared_type=None, as_act=as_act) as result:
                codes = [finding.code for finding in result.findings]
                answer = "issued" if as_act else ",".join(codes)
        except Refused as error:
            answer = error.code
    assert time.monotonic() - start < SECONDS
    assert resident() - before < OCTETS
    return answer


def refused(data: bytes, folder: Path, code: str) -> None:
    """An act is refused with this code; an attachment is accepted with this finding."""
    assert outcome(data, folder) == code
    assert code in outcome(data, folder, as_act=False).split(",")


def stream(entries: bytes, data: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(data), data)


def raw(objects: Mapping[int, bytes], trailer: bytes = b"") -> bytes:
    """A PDF with a classic cross-reference table."""
    out, offsets = bytearray(HEADER), {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table, size = len(out), max(objects) + 1
    rows = [
        b"%010d 00000 n \n" % offsets[n] if n in offsets else b"0000000000 65535 f \n" for n in range(size)
    ]
    out += b"xref\n0 %d\n%s" % (size, b"".join(rows))
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)
    return bytes(out)


def packed(
    inner: Mapping[int, bytes],
    *,
    entries: bytes = b"/Type /ObjStm",
    filters: bytes = b"/FlateDecode",
    encode: Callable[[bytes], bytes] = lambda data: zlib.compress(data, 9),
    count: int | None = None,
    outer: Mapping[int, bytes] | None = None,
) -> bytes:
    """A PDF whose objects lie in one object stream, with a cross-reference stream."""
    out, offsets, index, body = bytearray(HEADER), {}, b"", b""
    for number, text in inner.items():
        index += b"%d %d " % (number, len(body))
        body += text + b"\n"
    container = max([*inner, *(outer or {})]) + 1
    head = b"%s /N %d /First %d /Filter %s" % (entries, count or len(inner), len(index), filters)
    for number, text in {**(outer or {}), container: stream(head, encode(index + body))}.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    order = {number: place for place, number in enumerate(inner)}
    table = container + 1
    offsets[table] = len(out)
    rows = bytearray()
    for number in range(table + 1):
        if number in order:
            rows += b"\2" + container.to_bytes(4, "big") + order[number].to_bytes(4, "big")
        elif number in offsets:
            rows += b"\1" + offsets[number].to_bytes(4, "big") + bytes(4)
        else:
            rows += bytes(9)
    head = b"/Type /XRef /Size %d /W [1 4 4] /Root 1 0 R /Filter /FlateDecode" % (table + 1)
    out += b"%d 0 obj\n%s\nendobj\n" % (table, stream(head, zlib.compress(bytes(rows))))
    out += b"startxref\n%d\n%%%%EOF\n" % offsets[table]
    return bytes(out)


def with_catalog(entries: bytes, **more: bytes) -> dict[int, bytes]:
    objects = {1: CATALOG[:-2] + entries + b" >>", 2: PAGES, 3: PAGE}
    objects.update({int(key[1:]): value for key, value in more.items()})
    return objects


def with_page(entries: bytes, **more: bytes) -> dict[int, bytes]:
    return {**with_catalog(b"", **more), 3: PAGE[:-2] + entries + b" >>"}


@pytest.fixture(scope="session")
def pdfs() -> SimpleNamespace:
    """The builders, and the judgement, by name."""
    return SimpleNamespace(
        catalog=CATALOG,
        pages=PAGES,
        page=PAGE,
        plain={1: CATALOG, 2: PAGES, 3: PAGE},
        header=HEADER,
        outcome=outcome,
        refused=refused,
        stream=stream,
        raw=raw,
        packed=packed,
        with_catalog=with_catalog,
        with_page=with_page,
    )
