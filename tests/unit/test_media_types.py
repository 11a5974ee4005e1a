"""Types decided from content; what a name or a header claims is only compared."""

from __future__ import annotations

import io
import os
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vault.files.media_types import PDF, TEXT, UNKNOWN, XML, ZIP, claimed_by_name, detect, same_type

OFFICE = "application/vnd.openxmlformats-officedocument."
ASICE = "application/vnd.etsi.asic-e+zip"


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 3)).save(out, kind)
    return out.getvalue()


def archive(*names: str, mimetype: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        if mimetype:
            made.writestr(zipfile.ZipInfo("mimetype"), mimetype)
        for name in names:
            made.writestr(name, "x")
    return out.getvalue()


def found(data: bytes) -> str:
    stream = io.BytesIO(data)
    answer = detect(stream, len(data))
    assert stream.tell() == 0
    return answer


CASES = [
    (b"%PDF-1.7\n", PDF),
    (b"junk" * 200 + b"%PDF-1.4", PDF),
    (b"\xff" * 1025 + b"%PDF-1.4", UNKNOWN),
    (picture("PNG"), "image/png"),
    (picture("JPEG"), "image/jpeg"),
    (picture("GIF"), "image/gif"),
    (picture("TIFF"), "image/tiff"),
    (picture("WEBP"), "image/webp"),
    (b"MM\x00*" + bytes(20), "image/tiff"),
    (archive("a.txt"), ZIP),
    (archive("META-INF/x", mimetype=ASICE), ASICE),
    (
        archive("content.xml", mimetype="application/vnd.oasis.opendocument.text"),
        "application/vnd.oasis.opendocument.text",
    ),
    (archive("content.xml", mimetype="<script>"), ZIP),
    (archive("[Content_Types].xml", "word/document.xml"), OFFICE + "wordprocessingml.document"),
    (archive("_rels/.rels", "[Content_Types].xml", "xl/workbook.xml"), OFFICE + "spreadsheetml.sheet"),
    (archive("word/document.xml"), ZIP),
    (b"PK\x03\x04" + bytes(100), ZIP),
    (b"PK\x05\x06" + bytes(18), ZIP),
    (b'<?xml version="1.0"?><a/>', XML),
    (b"\xef\xbb\xbf<facture><total>12</total></facture>", XML),
    (b"<!-- note --><a:root xmlns:a='x'>", XML),
    (b"<?xml version='1.0'?><broken", XML),
    ("<?xml version='1.0' encoding='ISO-8859-1'?><é/>".encode("latin-1"), XML),
    ("\ufeff<?xml version='1.0'?><a/>".encode("utf-16"), XML),
    (b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='x'/>", "image/svg+xml"),
    (b"<svg/>", "image/svg+xml"),
    (b"  <!DocType HTML><p>", "text/html"),
    (b"<html><script>1</script>", "text/html"),
    ("Bonjour, ceci est du texte accentué : éàü\r\n\tfin".encode(), TEXT),
    (b"a < b", TEXT),
    (b"{\\rtf1 abc}", "application/rtf"),
    ("é".encode() * 40_000, TEXT),
    (b"texte\x00nul", UNKNOWN),
    (b"caf\xe9", UNKNOWN),
    (b"7z\xbc\xaf'\x1c" + bytes(50), "application/x-7z-compressed"),
    (b"\0\0\0\x18ftypheic" + bytes(100), "image/heif"),
    (b"BM hello", TEXT),
    (b"\x80", UNKNOWN),
]


@pytest.mark.parametrize(("data", "expected"), CASES, ids=range(len(CASES)))
def test_content_decides(data, expected):
    assert found(data) == expected


def test_a_zip_with_a_giant_directory_is_only_called_a_zip():
    assert found(archive(*(f"{number:060}" for number in range(40_000)))) == ZIP


def wide_archive(count: int) -> bytes:
    """An archive whose end record states no directory, and whose zip64 record one of so many entries."""
    directory = (b"PK\1\2" + bytes(24) + b"\1" + bytes(17) + b"a") * count
    head = b"PK\3\4" + bytes(30)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(head))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(head) + len(directory), 1)
    return head + directory + wide + locator + b"PK\5\6" + bytes(18)


def test_a_directory_whose_size_a_zip64_record_hides_is_not_read(monkeypatch):
    data = wide_archive(20_000)
    assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == 20_000
    monkeypatch.setattr("vault.files.media_types.zipfile.ZipFile", lambda _: pytest.fail("was read"))
    assert found(data) == ZIP


def test_random_octets_are_nothing():
    for _ in range(20):
        assert found(b"\x9d" + os.urandom(3000)) == UNKNOWN


@given(st.binary(max_size=400))
def test_anything_gets_a_type(data):
    assert "/" in found(data)


@given(
    st.sampled_from([b"PK\x03\x04", b"<?xml", b"<!DOCTYPE", b"\xff\xfe<", b"PK\x05\x06"]),
    st.binary(max_size=300),
)
def test_anything_that_starts_right_gets_a_type(start, rest):
    assert "/" in found(start + rest)


@pytest.mark.parametrize(
    ("declared", "content", "honest"),
    [
        ("application/pdf", PDF, True),
        ("Application/PDF; charset=binary", PDF, True),
        ("application/octet-stream", PDF, True),
        ("application/pdf", ZIP, False),
        ("image/png", "image/jpeg", False),
        ("image/jpg", "image/jpeg", True),
        ("text/csv", TEXT, True),
        ("text/html", TEXT, False),
        ("application/json", TEXT, True),
        ("text/xml", XML, True),
        ("application/atom+xml", XML, True),
        ("application/xml", "image/svg+xml", True),
        ("image/svg+xml", XML, False),
        ("text/plain", "text/html", False),
        ("application/zip", ASICE, True),
        ("image/png", UNKNOWN, False),
    ],
)
def test_honest_declarations(declared, content, honest):
    assert same_type(declared, content) is honest


def test_names_claim_what_can_be_checked():
    assert claimed_by_name("Acte.PDF") == PDF
    assert claimed_by_name("notes") is None
    assert claimed_by_name("thing.xyz") is None


def test_a_document_type_that_never_ends_takes_no_longer_than_its_octets() -> None:
    for inside in (b" " * 65_000 + b"[", b"[" * 65_000, b"[] " * 20_000, b"[" + b"] " * 30_000):
        data = b"<!DOCTYPE" + inside
        for _ in range(20):  # each took seconds
            assert detect(io.BytesIO(data), len(data)) == TEXT
    whole = b"<?xml version='1.0'?><!DOCTYPE a [ <!ENTITY b 'c'> ] \n><a/>"
    assert detect(io.BytesIO(whole), len(whole)) == XML
