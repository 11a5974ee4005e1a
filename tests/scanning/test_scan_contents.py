"""Files are taken out of files, whatever they are hidden in, and never past the limits."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Name

from tests.scanning.conftest import hidden_in_pdf, pdf_with, zip_with
from vault.inspection import inspect
from vault.intake import Spooled
from vault.scanning.base import NotScanned, Reason
from vault.scanning.contents import ContentLimits, Contents, may_hold_files

Spool = Callable[[bytes], Spooled]
USUAL = ContentLimits()


def taken(spool: Spool, octets: bytes, folder: Path, limits: ContentLimits = USUAL) -> list[bytes]:
    """Return the files within."""
    with spool(octets) as spooled:
        return [b"".join(each) for each in Contents(folder, limits).files(spooled)]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_attached_files_are_taken_out(
    spool: Spool, tmp_path: Path, packed: bool, typed: bool, named: bool
) -> None:
    octets = pdf_with(b"one", b"two" * 200_000, packed=packed, typed=typed, named=named)
    assert sorted(taken(spool, octets, tmp_path)) == [b"one", b"two" * 200_000]
    with spool(octets) as spooled, inspect(spooled, name="a.pdf", declared_type=None, as_act=False) as found:
        assert found.embeds
        assert may_hold_files(spooled)


def test_within_what_is_within(spool: Spool, tmp_path: Path) -> None:
    inner = pdf_with(b"deep")
    assert b"deep" in taken(spool, pdf_with(inner), tmp_path)
    assert taken(spool, zip_with(b"text", inner), tmp_path) == [b"deep"]
    assert taken(spool, zip_with(zip_with(inner)), tmp_path) == [b"deep"]
    archive = zip_with(b"x")
    assert taken(spool, pdf_with(archive), tmp_path) == [archive]
    assert b"deep" in taken(spool, pdf_with(zip_with(inner)), tmp_path)


def test_what_holds_nothing(spool: Spool, tmp_path: Path, act_pdf: bytes) -> None:
    assert taken(spool, act_pdf, tmp_path) == []
    assert taken(spool, b"just a text", tmp_path) == []
    assert taken(spool, zip_with(b"text", b""), tmp_path) == []
    with spool(act_pdf) as spooled, inspect(spooled, name="a.pdf", declared_type=None, as_act=True) as found:
        assert not found.embeds


def encoded(name: Name, data: bytes) -> bytes:
    """Return a PDF whose attached file is in that encoding."""
    with pikepdf.open(io.BytesIO(pdf_with(b"?"))) as pdf:
        for item in pdf.objects:
            if isinstance(item, pikepdf.Stream) and item.stream_dict.get("/Type") == Name.EmbeddedFile:
                item.write(data, filter=name)
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


def test_other_encodings(spool: Spool, tmp_path: Path) -> None:
    assert taken(spool, encoded(Name.ASCIIHexDecode, b"76697275733e"), tmp_path) == [b"virus>"]
    assert taken(spool, encoded(Name.RunLengthDecode, b"\x04virus\x80"), tmp_path) == [b"virus"]
    assert taken(spool, hidden_in_pdf(b"virus"), tmp_path) == [b"virus"]
    # Cut short: what a reader would still save.
    cut = zlib.compress(b"virus" * 100 + bytes(range(256)) * 40)[:-30]
    assert taken(spool, encoded(Name.FlateDecode, cut), tmp_path)[0].startswith(b"virus" * 100)


def test_an_encoding_nobody_knows_is_not_clean(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(NotScanned):
        taken(spool, encoded(Name.WhoKnows, b"?"), tmp_path)


@pytest.mark.parametrize("octets", [b"%PDF-1.7\nnothing", b"PK\x03\x04nothing", b"%PDF-", b"PK"])
def test_what_is_broken_holds_nothing(spool: Spool, tmp_path: Path, octets: bytes) -> None:
    assert taken(spool, octets, tmp_path) == []


def test_behind_a_password(spool: Spool, tmp_path: Path) -> None:
    def locked(**how: str) -> bytes:
        out = io.BytesIO()
        with pikepdf.open(io.BytesIO(pdf_with(b"inside"))) as pdf:
            pdf.save(out, encryption=pikepdf.Encryption(**how))
        return out.getvalue()

    assert taken(spool, locked(owner="o", user="u"), tmp_path) == []
    # Without one to open it, whoever opens it saves the file.
    assert taken(spool, locked(owner="o", user=""), tmp_path) == [b"inside"]


@pytest.mark.parametrize(
    ("octets", "limits"),
    [
        (lambda: pdf_with(*(b"%d" % n for n in range(11))), ContentLimits(files=10)),
        (lambda: zip_with(*(b"%d" % n for n in range(11))), ContentLimits(files=10)),
        (lambda: pdf_with(b"x" * 1_000_001), ContentLimits(octets=1_000_000)),
        (lambda: pdf_with(pdf_with(pdf_with(b"x"))), ContentLimits(depth=2)),
        (lambda: pdf_with(bytes(300_000_000)), ContentLimits(octets=100_000_000)),
        (lambda: pdf_with(bytes(200_000_000), packed=False)[:-1], ContentLimits(memory=50_000_000)),
    ],
    ids=["files", "members", "octets", "depth", "bomb", "memory"],
)
def test_what_asks_too_much_is_not_clean(
    spool: Spool, tmp_path: Path, octets: Callable[[], bytes], limits: ContentLimits
) -> None:
    with pytest.raises(NotScanned) as caught:
        taken(spool, octets(), tmp_path, limits)
    assert caught.value.reason is Reason.COMPLEX


def test_a_child_that_is_stopped_is_not_clean(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(NotScanned):
        taken(spool, pdf_with(b"x"), tmp_path)


def test_nothing_is_left_on_disk(spool: Spool, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    taken(spool, pdf_with(b"one", zip_with(pdf_with(b"two"))), folder)
    assert list(folder.iterdir()) == []


def test_a_file_may_be_read_in_part(spool: Spool, tmp_path: Path) -> None:
    with spool(pdf_with(b"a" * 600_000, b"b")) as spooled:
        first = []
        for each in Contents(tmp_path).files(spooled):
            first.append(next(each)[:1])
    assert sorted(first) == [b"a", b"b"]


def packed(how: int, octets: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        archive.writestr("a", octets)
    return out.getvalue()


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (lambda: b"text", False),
        (lambda: zip_with(b"text", b"", b"<xml/>"), False),
        (lambda: packed(zipfile.ZIP_STORED, b"text"), False),
        (lambda: zip_with(b"text", pdf_with(b"x")), True),
        (lambda: zip_with(b" " * 1000 + b"%PDF-1.7"), True),
        (lambda: zip_with(zip_with(b"x")), True),
        (lambda: packed(zipfile.ZIP_BZIP2, b"text"), True),
        (lambda: packed(zipfile.ZIP_LZMA, b"text"), True),
        (lambda: zip_with(b"text")[:-1], True),
        (lambda: zip_with(b"text")[:40], True),
        (lambda: zip_with(b"text").replace(b"0.bin", b"1.bin", 1), True),
        (lambda: zip_with(b"text") + b"PK\x06\x07", True),
        (lambda: zip_with(*[b""] * 20_000), True),
        (lambda: pdf_with(b"x"), True),
    ],
)
def test_a_process_is_started_for_what_may_hold_files(
    spool: Spool, octets: Callable[[], bytes], expected: bool
) -> None:
    with spool(octets()) as spooled:
        assert may_hold_files(spooled) is expected
        assert spooled.stream.tell() == 0
