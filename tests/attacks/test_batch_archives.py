"""Hostile zips and tars as parts of a batch: each has its own code, and none gives a file before it."""

from __future__ import annotations

import io
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.batches.parts import open_part
from vault.errors import Refused

FILES = {"a.pdf": b"%PDF-1.7 a", "sub/b.pdf": b"%PDF-1.7 b" * 100}


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda _: None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, content)
    return out.getvalue()


def tarred(
    files: dict[str, bytes],
    change: Callable[[tarfile.TarInfo], None] = lambda _: None,
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    return {member.name: b"".join(member.chunks()) for member in open_part(io.BytesIO(data))}


def code_of(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(data)
    return caught.value.code


@pytest.mark.parametrize("data", [zipped(FILES), tarred(FILES), tarred(FILES, form=tarfile.GNU_FORMAT)])
def test_what_is_in_it_comes_out(data: bytes) -> None:
    assert read(data) == {"a.pdf": FILES["a.pdf"], "b.pdf": FILES["sub/b.pdf"]}


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"\x1f\x8b" + b"\0" * 600, b"x" * 1024])
def test_what_is_neither_is_said_to_be(data: bytes) -> None:
    assert code_of(data) == "BATCH_PART_FORMAT"


@pytest.mark.parametrize("name", ["../a.pdf", "/a.pdf", "x/../../a.pdf", "a\\b.pdf", "a//b.pdf"])
def test_paths(name: str) -> None:
    assert code_of(zipped({name: b"x"})) == "BATCH_PART_PATH"
    assert code_of(tarred({name: b"x"})) == "BATCH_PART_PATH"


def test_links() -> None:
    def link(info: zipfile.ZipInfo) -> None:
        info.create_system, info.external_attr = 3, 0o120777 << 16

    assert code_of(zipped({"a.pdf": b"/etc/passwd"}, link)) == "BATCH_PART_LINK"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):

        def change(info: tarfile.TarInfo, kind: bytes = kind) -> None:
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0

        assert code_of(tarred({"a.pdf": b""}, change)) == "BATCH_PART_LINK"


def test_what_is_neither_file_nor_folder() -> None:
    def device(info: tarfile.TarInfo) -> None:
        info.type, info.size = tarfile.CHRTYPE, 0

    assert code_of(tarred({"a.pdf": b""}, device)) == "BATCH_PART_DAMAGED"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.pdf", b"1")
        archive.writestr("a.pdf", b"2")
    assert code_of(out.getvalue()) == "BATCH_PART_TWICE"
    assert code_of(zipped({"a.pdf": b"1", "A.PDF": b"2"})) == "BATCH_PART_TWICE"
    assert code_of(tarred({"a.pdf": b"1", "A.PDF": b"2"})) == "BATCH_PART_TWICE"


def test_encrypted() -> None:
    data = bytearray(zipped({"a.pdf": b"x" * 50}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + offset
        data[at] |= 1
    assert code_of(bytes(data)) == "BATCH_PART_ENCRYPTED"


def test_bombs() -> None:
    assert code_of(zipped({"a.pdf": bytes(64 << 20)})) == "BATCH_PART_TOO_MUCH"
    many = zipped({f"{number}.pdf": b"" for number in range(20_001)})
    assert code_of(many) == "BATCH_PART_TOO_MUCH"
    header = tarfile.TarInfo("a.pdf")
    header.size, header.type = 200 << 20, tarfile.XHDTYPE
    bomb = header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)
    tracemalloc.start()
    assert code_of(bomb) == "BATCH_PART_TOO_MUCH"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("wide", [False, True])
def test_a_refused_zip_with_a_vast_directory_is_not_read_again(
    wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"PK\3\4" + bytes(508)
    count = 10 if wide else 200_000
    directory = (b"PK\1\2" + bytes(24) + b"\1" + bytes(17) + b"a") * count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(directory), len(head), 0)
    if wide:
        sizes = (count, count, len(directory), len(head))
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *sizes)
        end = record + struct.pack("<4sLQL", b"PK\6\7", 0, len(head) + len(directory), 1) + end
    data = head + directory + end
    assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == count
    monkeypatch.setattr("vault.batches.parts.zipfile.ZipFile", lambda _: pytest.fail("was read"))
    assert code_of(data) == "BATCH_PART_DAMAGED"


def record(key: bytes, value: bytes = b"1") -> bytes:
    body = b" %s=%s\n" % (key, value)
    size = len(body)
    while len(b"%d" % size + body) != size:
        size += 1
    return b"%d" % size + body


def block(name: str, kind: bytes = b"0", payload: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(payload), kind
    return info.tobuf(tarfile.USTAR_FORMAT) + payload + bytes(-len(payload) % 512)


FILE, END = block("a.pdf"), bytes(1024)
# Larger ones of each kind, read without bounds, would take minutes or gigabytes.
HOSTILE_HEADERS = {
    "digits": (b"x", b"1" * (1 << 20), "BATCH_PART_TOO_MUCH"),
    "digits in a value": (b"x", record(b"comment", b"1" * 60_000), "BATCH_PART_TOO_MUCH"),
    "digits, global": (b"g", b"1" * 60_000, "BATCH_PART_TOO_MUCH"),
    "digits, Solaris": (b"X", b"1" * 60_000, "BATCH_PART_TOO_MUCH"),
    "records in one another": (b"x", b"2 " * 30_000 + b"=", "BATCH_PART_DAMAGED"),
    "global keys": (b"g", b"".join(record(b"%d" % key) for key in range(17)), "BATCH_PART_TOO_MUCH"),
    "a long name": (b"L", b"a" * (1 << 20), "BATCH_PART_TOO_MUCH"),
    "sparse": (b"x", record(b"GNU.sparse.major"), "BATCH_PART_DAMAGED"),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_headers_that_would_take_minutes(name: str) -> None:
    kind, payload, code = HOSTILE_HEADERS[name]
    before = time.process_time()
    assert code_of(FILE + block("h", kind, payload) + block("b.pdf") + END) == code
    assert time.process_time() - before < 1


def test_global_headers_are_counted_together() -> None:
    def many(count: int) -> bytes:
        return b"".join(block("g", b"g", record(b"%d" % key)) + block(f"{key}.pdf") for key in range(count))

    assert len(read(many(16) + END)) == 16
    assert code_of(many(17) + END) == "BATCH_PART_TOO_MUCH"


@pytest.mark.parametrize(("kind", "payload"), [(b"L", b"name\0"), (b"x", record(b"a")), (b"g", record(b"a"))])
def test_chains_of_headers(kind: bytes, payload: bytes) -> None:
    link = block("h", kind, payload)
    assert len(read(FILE + link * 8 + block("b.pdf") + END)) == 2
    for count in (9, 400, 5000):
        assert code_of(FILE + link * count + block("b.pdf") + END) == "BATCH_PART_DAMAGED"


def test_a_sparse_file_is_refused_at_its_header() -> None:
    sparse = bytearray(block("s", tarfile.GNUTYPE_SPARSE))
    sparse[482] = 1  # more follows, and more after it
    sparse[148:156] = b"%06o\0 " % (256 + sum(sparse[:148]) + sum(sparse[156:]))
    more = (b"00000000001\0" * 42 + b"\1").ljust(512, b"\0")
    data = FILE + bytes(sparse) + more * 5000
    tracemalloc.start()
    assert code_of(data) == "BATCH_PART_DAMAGED"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_folders_count_as_members() -> None:
    assert code_of(block("d/", b"5") * 20_001 + FILE + END) == "BATCH_PART_TOO_MUCH"


def test_what_file_systems_keep_of_a_file_is_let_through() -> None:
    kept = {
        "path": "1" * 251 + ".pdf",
        "mtime": "1700000000.123456789",
        "LIBARCHIVE.xattr.a": "QUJD" * 12_000,
    }
    payload = b"".join(record(key.encode(), value.encode()) for key, value in kept.items())
    comment = record(b"comment", b"0123456789abcdef" * 2 + b"01234567")
    data = block("pax_global_header", b"g", comment) + block("h", b"x", payload) + FILE + END
    assert list(read(data)) == [kept["path"]]


def test_sizes_that_are_not_so() -> None:
    data = bytearray(zipped({"a.pdf": b"x" * 50}))
    # The size in both headers: a member longer than it says.
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, 10)
    assert code_of(bytes(data)) == "BATCH_MEMBER_DAMAGED"
    # In one alone: readers would differ.
    data = bytearray(zipped({"a.pdf": b"x" * 50}))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
    assert code_of(bytes(data)) == "BATCH_PART_DAMAGED"


def test_checksums_that_are_not_so() -> None:
    data = bytearray(zipped({"a.pdf": b"x" * 50}))
    for mark, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        struct.pack_into("<I", data, data.index(mark) + offset, 7)
    assert code_of(bytes(data)) == "BATCH_MEMBER_DAMAGED"


@pytest.mark.parametrize("cut", [512, 700, 1024, 1500, 2048])
def test_a_tar_that_is_cut_short_gives_nothing(cut: int) -> None:
    data = tarred(FILES, form=tarfile.USTAR_FORMAT)
    with pytest.raises(Refused) as caught:
        open_part(io.BytesIO(data[:cut]))
    assert caught.value.code == "BATCH_PART_DAMAGED"


def test_octets_behind_the_end() -> None:
    assert code_of(tarred(FILES) + b"more") == "BATCH_PART_DAMAGED"
    assert code_of(tarred(FILES) + tarred({"c.pdf": b"hidden"})) == "BATCH_PART_DAMAGED"
    assert code_of(zipped(FILES) + b"more") == "BATCH_PART_DAMAGED"
    assert code_of(b"PK" + zipped(FILES)) == "BATCH_PART_DAMAGED"


@given(data=st.data())
def test_changed_archives_end_in_files_or_a_refusal(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([zipped(FILES), tarred(FILES)])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole))
    except Refused as error:
        assert error.code.startswith("BATCH_")  # noqa: PT017 - either is right
