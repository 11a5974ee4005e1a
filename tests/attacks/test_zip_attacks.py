"""Zip files that show different things to different readers: each must be refused."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest

from signing.errors import ContainerRefused
from signing.strict_zip import MIMETYPE, Member, StrictZip, generate

REAL, FALSE = b"the original", b"another text"
NAME = "document/acte.txt"


def good() -> bytes:
    return b"".join(generate([Member.of_bytes(NAME, REAL), Member.of_bytes("évidence.json", b"{}")]))


def read_all(data: bytes) -> dict[str, bytes]:
    container = StrictZip.open(io.BytesIO(data))
    return {name: container.read(name, 1 << 20) for name in container.names}


def refused(data: bytes) -> None:
    with pytest.raises(ContainerRefused) as caught:
        read_all(data)
    assert caught.value.code == "FORMAT_FAILURE"


class Raw:
    """Writes zips freely: every field can lie."""

    def __init__(self) -> None:
        self.body = b""
        self.directory = b""
        self.count = 0
        self.add("mimetype", MIMETYPE.encode())

    def add(
        self,
        name: str | bytes,
        content: bytes,
        *,
        local_name: bytes | None = None,
        flags: int = 0,
        method: int = 0,
        version: int = 20,
        made_by: int = 0x314,
        attributes: int = 0o100644 << 16,
        local_size: int | None = None,
        local_crc: int | None = None,
        offset: int | None = None,
        local_extra: bytes = b"",
        extra: bytes = b"",
        comment: bytes = b"",
        descriptor: bytes = b"",
        listed: bool = True,
        disk: int = 0,
        internal: int = 0,
        time: int = 0,
    ) -> Raw:
        encoded = name.encode() if isinstance(name, str) else name
        crc, size = zlib.crc32(content), len(content)
        here = len(self.body) if offset is None else offset
        local = encoded if local_name is None else local_name
        self.body += struct.pack(
            "<4s5H3L2H",
            *(b"PK\3\4", version, flags, method, time, 0x21),
            *(crc if local_crc is None else local_crc, size, size if local_size is None else local_size),
            *(len(local), len(local_extra)),
        )
        self.body += local + local_extra + content + descriptor
        if listed:
            self.directory += struct.pack(
                "<4s6H3L5H2L",
                *(b"PK\1\2", made_by, version, flags, method, time, 0x21, crc, size, size),
                *(len(encoded), len(extra), len(comment), disk, internal, attributes, here),
            )
            self.directory += encoded + extra + comment
            self.count += 1
        return self

    def done(self, *, gap: bytes = b"", comment: bytes = b"", count: int | None = None) -> bytes:
        body = self.body + gap
        number = self.count if count is None else count
        end = struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(self.directory), len(body), len(comment)
        )
        return body + self.directory + end + comment


def test_the_raw_writer_makes_good_ones_too() -> None:
    data = Raw().add(NAME, REAL).done()
    assert read_all(data) == {"mimetype": MIMETYPE.encode(), NAME: REAL}


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda raw: raw.add(NAME, REAL).add(NAME, FALSE), id="duplicate-name"),
        pytest.param(lambda raw: raw.add("a/É", REAL).add("a/é", FALSE), id="case"),
        pytest.param(lambda raw: raw.add("A", REAL).add("a", FALSE), id="case-ascii"),
        pytest.param(lambda raw: raw.add("e\u0301", REAL, flags=0x800), id="not-nfc"),
        pytest.param(lambda raw: raw.add("a", REAL).add("a/b", FALSE), id="file-and-folder"),
        pytest.param(
            lambda raw: raw.add(NAME, REAL, local_name=b"document/faux.txt"), id="local-name-differs"
        ),
        pytest.param(lambda raw: raw.add(NAME, REAL, local_name=NAME.upper().encode()), id="local-name-case"),
        pytest.param(lambda raw: raw.add(NAME, REAL, local_size=3), id="local-size-differs"),
        pytest.param(lambda raw: raw.add(NAME, REAL, local_crc=1), id="local-crc-differs"),
        pytest.param(lambda raw: raw.add(NAME, FALSE, listed=False).add(NAME, REAL), id="hidden-local-entry"),
        pytest.param(lambda raw: raw.add(NAME, REAL).add("b", b"", offset=0), id="overlap"),
        pytest.param(lambda raw: raw.add(NAME, REAL, offset=0), id="offset-of-another"),
        pytest.param(lambda raw: raw.add(NAME, REAL, extra=b"\x01\x00\x00\x00"), id="central-extra"),
        pytest.param(lambda raw: raw.add(NAME, REAL, local_extra=b"\x01\x00\x00\x00"), id="local-extra"),
        pytest.param(
            lambda raw: raw.add(
                NAME, REAL, extra=struct.pack("<2HBL", 0x7075, 9, 1, zlib.crc32(NAME.encode())) + b"evil"
            ),
            id="unicode-path-extra",
        ),
        pytest.param(lambda raw: raw.add(NAME, REAL, comment=b"x"), id="entry-comment"),
        pytest.param(lambda raw: raw.add(NAME, REAL, flags=1), id="encrypted"),
        pytest.param(
            lambda raw: raw.add(NAME, REAL, flags=8, descriptor=struct.pack("<4s3L", b"PK\7\x08", 0, 12, 12)),
            id="data-descriptor",
        ),
        pytest.param(lambda raw: raw.add(NAME, REAL, flags=0x800), id="utf8-flag-on-ascii"),
        pytest.param(lambda raw: raw.add("é", REAL), id="no-utf8-flag"),
        pytest.param(lambda raw: raw.add(NAME, REAL, flags=0x2000), id="masked-headers"),
        pytest.param(lambda raw: raw.add(NAME, REAL, method=8), id="deflate"),
        pytest.param(lambda raw: raw.add(NAME, REAL, version=45), id="version"),
        pytest.param(
            lambda raw: raw.add(NAME, b"/etc/passwd", attributes=0o120777 << 16),
            id="symbolic-link",
        ),
        pytest.param(lambda raw: raw.add(NAME, REAL, attributes=0x10), id="folder-attribute"),
        pytest.param(lambda raw: raw.add(NAME, REAL, attributes=0o104755 << 16), id="set-user-id"),
        pytest.param(lambda raw: raw.add(NAME, REAL, attributes=0), id="no-attribute"),
        pytest.param(lambda raw: raw.add(NAME, REAL, made_by=20), id="made-on-dos"),
        pytest.param(lambda raw: raw.add(NAME, REAL, disk=1), id="other-disk"),
        pytest.param(lambda raw: raw.add(NAME, REAL, internal=1), id="text-attribute"),
        pytest.param(lambda raw: raw.add(NAME, REAL, time=1), id="time"),
        pytest.param(lambda raw: raw.add("document/", b""), id="folder"),
        pytest.param(lambda raw: raw.add("../../etc/passwd", REAL), id="traversal"),
        pytest.param(lambda raw: raw.add("/etc/passwd", REAL), id="absolute"),
        pytest.param(lambda raw: raw.add("C:\\x", REAL), id="drive"),
        pytest.param(lambda raw: raw.add("..\\x", REAL), id="backslash"),
        pytest.param(lambda raw: raw.add("a\x00.txt", REAL), id="nul"),
        pytest.param(lambda raw: raw.add("a\u202etxt.exe", REAL, flags=0x800), id="bidi"),
        pytest.param(lambda raw: raw.add(b"\xff\xfe", REAL), id="not-utf8"),
        pytest.param(lambda raw: raw.add(b"", REAL), id="no-name"),
    ],
)
def test_ambiguous_entries(build: Callable[[Raw], Raw]) -> None:
    refused(build(Raw()).done())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"#!/bin/sh\n" + data, id="prefix"),
        pytest.param(lambda data: b"%PDF-1.7\n" + data, id="polyglot"),
        pytest.param(lambda data: data + b"\n", id="trailing"),
        pytest.param(lambda data: data + data, id="two-containers"),
        pytest.param(lambda data: data[:-1], id="cut-end"),
        pytest.param(lambda data: data[1:], id="cut-start"),
        pytest.param(lambda data: data[:100] + data[101:], id="octet-dropped"),
        pytest.param(lambda data: data[:100] + b"x" + data[100:], id="octet-added"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:21], id="short"),
        pytest.param(lambda data: b"PK\5\6" + bytes(18), id="no-members"),
        pytest.param(lambda data: b"PK\5\6" + b"\xff" * 16 + b"\0\0", id="end-record-all-ones"),
    ],
)
def test_containers_with_more_or_less(change: Callable[[bytes], bytes]) -> None:
    refused(change(good()))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(Raw().add(NAME, REAL).done(comment=b"x"), id="archive-comment"),
        pytest.param(Raw().add(NAME, REAL).done(gap=b"hidden"), id="gap-before-directory"),
        pytest.param(Raw().add(NAME, REAL).done(count=1), id="count-too-low"),
        pytest.param(Raw().add(NAME, REAL).done(count=3), id="count-too-high"),
    ],
)
def test_end_record_lies(data: bytes) -> None:
    refused(data)


def test_prefix_with_corrected_offsets() -> None:
    """Offsets that count the prefix make a valid zip for most readers."""
    raw = Raw()
    raw.body = b"MZ stub " + raw.body
    raw.directory = raw.directory[:42] + struct.pack("<L", 8) + raw.directory[46:]
    raw.add(NAME, REAL)
    data = raw.done()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read(NAME) == REAL
    refused(data)


def test_directory_in_another_order() -> None:
    raw = Raw().add("a", REAL)
    first = raw.directory
    raw.directory = b""
    raw.add("b", FALSE)
    raw.directory += first
    refused(raw.done())


def test_second_directory_hidden_before_the_first() -> None:
    """Readers that scan for a directory find the first, readers of the end record the second."""
    decoy = Raw().add(NAME, FALSE)
    raw = Raw().add(NAME, REAL)
    refused(raw.done(gap=decoy.directory))


def test_mimetype_is_demanded() -> None:
    raw = Raw()
    raw.body = raw.directory = b""
    raw.count = 0
    refused(raw.add(NAME, REAL).done())
    raw = Raw()
    raw.body = raw.directory = b""
    raw.count = 0
    refused(raw.add("mimetype", b"application/vnd.etsi.asic-s+zip").done())


def test_every_single_bit_flip_is_refused() -> None:
    data = good()
    for position in range(len(data)):
        for bit in range(8):
            mutant = bytearray(data)
            mutant[position] ^= 1 << bit
            refused(bytes(mutant))


def test_every_single_octet_dropped_or_doubled_is_refused() -> None:
    data = good()
    for position in range(len(data)):
        refused(data[:position] + data[position + 1 :])
        refused(data[:position] + data[position : position + 1] + data[position:])


def test_too_many_members_are_not_even_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Raw()
    for number in range(30):
        raw.add(f"m{number}", b"")
    monkeypatch.setattr("signing.strict_zip.MAX_MEMBERS", 10)
    refused(raw.done())
