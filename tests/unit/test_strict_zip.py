"""The strict container: what it writes, what other readers see, and that memory stays flat."""

from __future__ import annotations

import io
import os
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import strict_zip
from signing.errors import ContainerRefused
from signing.strict_zip import MIMETYPE, Member, StrictZip, container_size, generate, name_problem

UTF8 = os.environ | {"LC_ALL": "C.UTF-8"}
FILES = {
    "document/Acte de naissance – Élodie.pdf": b"%PDF-1.7 specimen",
    "META-INF/ASiCManifest001.xml": b"<xml/>",
    "empty": b"",
}


def written(files: dict[str, bytes]) -> bytes:
    members = [Member.of_bytes(name, content) for name, content in files.items()]
    data = b"".join(generate(members))
    assert len(data) == container_size(members)
    return data


def read_all(data: bytes) -> dict[str, bytes]:
    container = StrictZip.open(io.BytesIO(data))
    return {name: container.read(name, 1 << 20) for name in container.names}


def test_writes_what_it_reads() -> None:
    container = StrictZip.open(io.BytesIO(written(FILES)))
    assert container.names == ("mimetype", *FILES)
    for name, content in FILES.items():
        assert container.read(name, 100) == content
        assert container.size(name) == len(content)


def test_same_content_gives_same_octets() -> None:
    assert written(FILES) == written(dict(FILES))


def test_mimetype_stands_where_asic_wants_it() -> None:
    data = written({})
    assert data[30:38] == b"mimetype"
    assert data[38 : 38 + len(MIMETYPE)] == MIMETYPE.encode()


def test_python_reads_it_and_finds_nothing_but_content() -> None:
    with zipfile.ZipFile(io.BytesIO(written(FILES))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["mimetype", *FILES]
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.compress_type == zipfile.ZIP_STORED
            assert (info.extra, info.comment, info.external_attr) == (b"", b"", 0o100644 << 16)
            assert bool(info.flag_bits & 0x800) is not info.filename.isascii()
            assert info.flag_bits & ~0x800 == 0


@pytest.mark.needs("unzip")
def test_unzip_agrees(tmp_path: Path) -> None:
    path = tmp_path / "bundle.asice"
    path.write_bytes(written(FILES))
    done = subprocess.run(["unzip", "-t", path], capture_output=True, check=False, env=UTF8)
    assert done.returncode == 0, done
    assert b"No errors detected" in done.stdout
    subprocess.run(["unzip", "-q", path, "-d", tmp_path / "out"], check=True, env=UTF8)
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-zéœ][a-z0-9é _+-]{0,8}[a-z](/[a-z]{1,4}\.x){0,2}\Z"),
        st.binary(max_size=50),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_plain_names_round_trip(files: dict[str, bytes]) -> None:
    try:
        data = written(files)
    except ContainerRefused:
        return  # names that a file system may confuse
    container = StrictZip.open(io.BytesIO(data))
    assert {name: container.read(name, 50) for name in container.names[1:]} == files


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "C:\\x",
            "a\\b",
            "x%20y",
            "a?b",
            'a"b',
            "a*b",
        ),
        *(
            "a\x00b",
            "a\nb",
            "x\u202egpj.exe",
            "x\u200bz",
            "e\u0301",
            "a.",
            "a ",
            "a. /b",
            "a" * 1025,
            "\ud800",
        ),
    ],
)
def test_unfit_names_are_not_written(name: str) -> None:
    assert name_problem(name) is not None
    with pytest.raises(ContainerRefused):
        generate([Member.of_bytes(name, b"")])


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a", "A"),
        ("é", "É"),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("x/y/z", "X/Y"),
        ("mimetype",),
    ],
)
def test_names_that_collide_somewhere_are_not_written(names: tuple[str, ...]) -> None:
    with pytest.raises(ContainerRefused):
        generate([Member.of_bytes(name, b"") for name in names])


@pytest.mark.parametrize(("size", "crc32"), [(3, zlib.crc32(b"abcd")), (4, 0), (5, zlib.crc32(b"abcd"))])
def test_content_other_than_announced_is_refused(size: int, crc32: int) -> None:
    with pytest.raises(ContainerRefused):
        b"".join(generate([Member("a", size, crc32, lambda: iter([b"ab", b"cd"]))]))


def test_limits_and_missing_members() -> None:
    container = StrictZip.open(io.BytesIO(written({"a": b"12345"})))
    with pytest.raises(ContainerRefused):
        container.read("a", 4)
    with pytest.raises(ContainerRefused):
        container.size("b")
    with pytest.raises(ContainerRefused):
        list(container.stream("b"))


def test_large_member_in_flat_memory(tmp_path: Path) -> None:
    piece, count = bytes(1 << 20), 64
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(piece, crc)

    def content() -> Iterator[bytes]:
        return (piece for _ in range(count))

    path = tmp_path / "large.asice"
    tracemalloc.start()
    with path.open("wb") as file:
        for chunk in generate([Member("document/large.bin", count << 20, crc, content)]):
            file.write(chunk)
    with path.open("rb") as file:
        container = StrictZip.open(file)
        assert sum(len(chunk) for chunk in container.stream("document/large.bin")) == count << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def zip64(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A container in the form that 4 GiB bring about, made small: only the threshold is another."""
    monkeypatch.setattr(strict_zip, "_ZIP64_FROM", 100)
    return written({"small": b"s" * 20, "document/large": b"l" * 300, "after": b"a" * 10})


def test_zip64_form(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip64(monkeypatch)
    container = StrictZip.open(io.BytesIO(data))
    assert container.read("document/large", 300) == b"l" * 300
    assert container.read("after", 10) == b"a" * 10
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("document/large") == b"l" * 300
        assert archive.read("after") == b"a" * 10
    monkeypatch.undo()
    with pytest.raises(ContainerRefused):
        StrictZip.open(io.BytesIO(data))  # zip64 where sizes do not ask for it


@pytest.mark.needs("unzip")
def test_unzip_agrees_on_zip64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "bundle.asice"
    path.write_bytes(zip64(monkeypatch))
    done = subprocess.run(["unzip", "-t", path], capture_output=True, check=False, env=UTF8)
    assert done.returncode == 0, done


def test_zip64_headers_flipped(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip64(monkeypatch)
    for position in range(len(data)):
        for bit in range(8):
            mutant = bytearray(data)
            mutant[position] ^= 1 << bit
            with pytest.raises(ContainerRefused):
                read_all(bytes(mutant))
