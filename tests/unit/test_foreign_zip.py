"""Zips of other makers: those that have one meaning are read, every ambiguity is refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from signing.errors import ContainerRefused, SignatureRefused
from signing.foreign_zip import ForeignZip

DATA = Path(__file__).parents[1] / "data" / "asic"


@dataclass
class Part:
    """A member, with every header field open to lies."""

    name: bytes = b"a.txt"
    content: bytes = b"content"
    method: int = 0
    flags: int = 0
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_size: int | None = None
    local_crc: int | None = None
    packed: bytes | None = None
    descriptor: bytes | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    size: int | None = None
    attributes: int = 0
    made_by: int = 3
    version: int = 20
    local_version: int = 20
    comment: bytes = b""
    before: bytes = b""
    after: bytes = b""

    def data(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if not self.method:
            return self.content
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return squeezer.compress(self.content) + squeezer.flush()


@dataclass
class Zip:
    parts: list[Part] = field(default_factory=list)
    comment: bytes = b""
    prefix: bytes = b""
    suffix: bytes = b""
    gap: bytes = b""
    count: int | None = None
    disk: int = 0
    shift: int = 0

    def build(self) -> bytes:
        out = bytearray(self.prefix)
        directory = b""
        for part in self.parts:
            out += part.before
            offset = len(out)
            data, crc = part.data(), zlib.crc32(part.content)
            size = len(part.content) if part.size is None else part.size
            later = bool(part.flags & 8)
            out += struct.pack(
                "<4s5H3L2H",
                b"PK\3\4",
                part.local_version,
                part.flags if part.local_flags is None else part.local_flags,
                part.method if part.local_method is None else part.local_method,
                0,
                33,
                part.local_crc if part.local_crc is not None else 0 if later else crc,
                0 if later else len(data),
                part.local_size if part.local_size is not None else 0 if later else size,
                len(part.name if part.local_name is None else part.local_name),
                len(part.local_extra),
            )
            out += (part.name if part.local_name is None else part.local_name) + part.local_extra + data
            if later:
                plain = struct.pack("<4s3L", b"PK\7\10", crc, len(data), size)
                out += plain if part.descriptor is None else part.descriptor
            out += part.after
            directory += struct.pack(
                "<4s6H3L5H2L",
                b"PK\1\2",
                part.made_by << 8 | 20,
                part.version,
                part.flags,
                part.method,
                0,
                33,
                crc,
                len(data),
                size,
                len(part.name),
                len(part.extra),
                len(part.comment),
                0,
                0,
                part.attributes,
                offset + self.shift,
            )
            directory += part.name + part.extra + part.comment
        out += self.gap
        start = len(out)
        out += directory
        count = len(self.parts) if self.count is None else self.count
        end = struct.pack(
            "<4s4H2LH", b"PK\5\6", self.disk, 0, count, count, len(directory), start, len(self.comment)
        )
        return bytes(out + end + self.comment + self.suffix)


def read(octets: bytes) -> dict[str, bytes]:
    container = ForeignZip.open(io.BytesIO(octets))
    return {name: b"".join(container.stream(name)) for name in container.names}


GOOD = [
    Zip([Part()]),
    Zip([Part(), Part(b"b/c.txt", b"more", method=8), Part(b"b/", b"")]),
    Zip([Part(flags=8, method=8)]),
    Zip([Part(flags=8, method=8, descriptor=struct.pack("<3L", zlib.crc32(b"content"), 9, 7))]),
    Zip([Part("é.txt".encode(), flags=0x800)]),
    Zip([Part()], comment=b"mimetype=application/vnd.etsi.asic-e+zip"),
    Zip(
        [
            Part(
                extra=struct.pack("<2H5s", 0x5455, 5, b"\1abcd"),
                local_extra=struct.pack("<2H9s", 0x5455, 9, bytes(9)),
            )
        ]
    ),
    Zip([Part(local_extra=b"\0\0\0")]),
    Zip([Part(version=45, local_version=10)]),
    Zip([Part(attributes=0o100644 << 16), Part(b"b/", b"", attributes=0o040755 << 16 | 0x10)]),
    Zip([Part(attributes=0x20, made_by=0), Part(b"b/", b"", attributes=0x10, made_by=0)]),
    Zip([Part(extra=struct.pack("<2H12s", 0x000D, 12, bytes(12)))]),
    Zip([Part(local_extra=struct.pack("<2HLHLHH", 0x756E, 14, 0, 0o100644, 0, 0, 0))]),
    Zip([]),
]


@pytest.mark.parametrize("made", GOOD)
def test_what_has_one_meaning(made: Zip) -> None:
    assert read(made.build()) == {part.name.decode(): part.content for part in made.parts}


def evil(**changes: object) -> Callable[[], bytes]:
    return lambda: Zip([Part(**changes)]).build()  # type: ignore[arg-type]


def extra(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<2H", kind, len(content)) + content


def pair(**second: object) -> Callable[[], bytes]:
    return lambda: Zip([Part(), Part(**{"name": b"b.txt", **second})]).build()  # type: ignore[arg-type]


def _overlapping() -> bytes:
    """Two entries for the same local header."""
    made = bytearray(Zip([Part(), Part(b"b.txt")]).build())
    second = made.rindex(b"PK\1\2")
    made[second + 42 : second + 46] = struct.pack("<L", 0)
    return bytes(made)


STREAM = Part(content=b"PK\7\10" + bytes(20), flags=8)
EVIL: dict[str, Callable[[], bytes]] = {
    "another local name": evil(local_name=b"b.txt"),
    "another local method": evil(local_method=8),
    "other local flags": evil(local_flags=0x800),
    "another local size": evil(local_size=3),
    "another local checksum": evil(local_crc=1),
    "a duplicate": pair(name=b"a.txt"),
    "a duplicate to readers that fold case": pair(name=b"A.TXT"),
    "a duplicate to readers that normalise": lambda: Zip(
        [Part("é".encode(), flags=0x800), Part("e\u0301".encode(), flags=0x800)]
    ).build(),
    "a duplicate to readers that drop dots": pair(name=b"a.txt."),
    "a file that is a folder": pair(name=b"a.txt/b"),
    "a prefix": lambda: Zip([Part()], prefix=b"#!/bin/sh\n", shift=0).build(),
    "a prefix with offsets that leave it out": lambda: Zip(
        [Part()], prefix=b"#!/bin/sh\n", shift=-10
    ).build(),
    "a tail": lambda: Zip([Part()], suffix=b"x").build(),
    "a tail that is another zip": lambda: Zip([Part()]).build() + Zip([Part(content=b"other")]).build(),
    "an end record in the comment": lambda: Zip([Part()], comment=Zip([]).build()).build(),
    "a comment": lambda: Zip([Part()], comment=b"hello").build(),
    "a gap before a member": pair(before=b"?"),
    "a gap after the last member": lambda: Zip([Part()], gap=b"?").build(),
    "a member that is not listed": pair(before=Zip([Part(b"hidden", b"x")]).build()[: 30 + 6 + 1]),
    "an overlap": _overlapping,
    "an extra field that renames": evil(extra=extra(0x7075, b"\1abcdevil")),
    "a local extra field that renames": evil(local_extra=extra(0x7075, b"\1abcdevil")),
    "an extra field of encryption": evil(extra=extra(0x9901, bytes(7))),
    "an extra field cut short": evil(extra=struct.pack("<2H", 0x5455, 9)),
    "encryption": evil(flags=1),
    "an unknown method": evil(method=12, packed=b"content"),
    "a comment of a member": evil(comment=b"x"),
    "a link": evil(attributes=0o120777 << 16),
    "a link of another system": evil(attributes=0o120777 << 16, made_by=0),
    "a link by an extra field": evil(extra=struct.pack("<2H13s", 0x000D, 13, bytes(13))),
    "a link by a local extra field": evil(
        local_extra=struct.pack("<2HLHLHH", 0x756E, 14, 0, 0o120777, 0, 0, 0)
    ),
    "a mode cut short": evil(extra=struct.pack("<2H5s", 0x756E, 5, bytes(5))),
    "a file with a folder's mode": evil(attributes=0o040755 << 16),
    "a folder with a file's mode": evil(name=b"a/", content=b"", attributes=0o100644 << 16),
    "a file with a folder's attribute": evil(attributes=0x10, made_by=0),
    "a newer version": evil(version=46),
    "a much newer version": evil(version=0xFF),
    "a newer local version": evil(local_version=63),
    "another disk": lambda: Zip([Part()], disk=1).build(),
    "more entries than there are": lambda: Zip([Part()], count=2).build(),
    "fewer entries than there are": lambda: Zip([Part(), Part(b"b")], count=1).build(),
    "a name with a backslash": evil(name=b"a\\b"),
    "a name that climbs": evil(name=b"../a"),
    "an absolute name": evil(name=b"/a"),
    "a drive": evil(name=b"C:a"),
    "a name with NUL": evil(name=b"a\0.txt"),
    "a name with a direction mark": evil(name="a\u202etxt.exe".encode(), flags=0x800),
    "a name in another encoding": evil(name="é".encode("cp437")),
    "a name not UTF-8": evil(name=b"\xff", flags=0x800),
    "no name": evil(name=b""),
    "a folder with content": evil(name=b"a/"),
    "a wrong descriptor": evil(flags=8, method=8, descriptor=struct.pack("<4s3L", b"PK\7\10", 1, 9, 7)),
    "a stored member whose end is ambiguous": lambda: Zip([STREAM]).build(),
    "a stored member of two sizes": evil(size=3),
    "compressed data that ends early": evil(method=8, packed=Part(method=8).data() + b"PK\3\4"),
    "compressed data cut short": evil(method=8, packed=Part(method=8).data()[:-2]),
    "compressed data that is none": evil(method=8, packed=b"\xff\xff\xff"),
    "longer than stated": evil(method=8, size=3),
    "shorter than stated": evil(method=8, size=30),
    "nothing": lambda: b"PK\3\4garbage",
}


@pytest.mark.parametrize("name", EVIL)
def test_ambiguities_are_refused(name: str) -> None:
    with pytest.raises(ContainerRefused) as caught:
        read(EVIL[name]())
    assert caught.value.code == "FORMAT_FAILURE"


def test_zip64_is_read_and_must_agree() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made, made.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"content")
    octets = out.getvalue()
    assert read(octets) == {"a.txt": b"content"}
    end = octets.index(b"PK\5\6")
    count, _, size, start = struct.unpack("<2H2L", octets[end + 8 : end + 20])
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    assert read(octets[:end] + wide + locator + octets[end:]) == {"a.txt": b"content"}
    for forged in (
        wide.replace(struct.pack("<Q", start), struct.pack("<Q", start - 1)) + locator,
        wide + struct.pack("<4sLQL", b"PK\6\7", 0, end - 1, 1),
        wide + struct.pack("<4sLQL", b"PK\6\7", 0, end, 2),
        locator,
    ):
        with pytest.raises(ContainerRefused):
            read(octets[:end] + forged + octets[end:])


def test_bombs_are_no_verdict() -> None:
    bomb = Zip([Part(content=bytes(5 << 20), method=8)]).build()
    container = ForeignZip.open(io.BytesIO(bomb))
    with pytest.raises(SignatureRefused) as caught:
        list(container.stream("a.txt"))
    assert (caught.value.code, caught.value.indeterminate) == ("VERIFIER_OUTPUT_LIMIT", True)
    with pytest.raises(SignatureRefused):
        ForeignZip.open(io.BytesIO(Zip([Part(content=b"x" * 100)]).build())).read("a.txt", 99)


@pytest.mark.parametrize("where", ["extra", "local_extra"])
def test_extra_fields_are_counted(where: str) -> None:
    def made(count: int) -> bytes:
        return evil(**{where: extra(0x9999) * count})()

    assert read(made(64))
    with pytest.raises(ContainerRefused, match="extra fields"):
        read(made(65))


def test_deep_names_take_no_more_room_than_they_have_letters() -> None:
    deep = Zip([Part(b"%04d" % number + b"/a" * 510) for number in range(500)]).build()
    tracemalloc.start()
    try:
        assert len(read(deep)) == 500
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@given(st.lists(st.text("ab/ .", min_size=1, max_size=7), min_size=1, max_size=6))
def test_a_file_that_is_the_folder_of_another_is_always_found(names: list[str]) -> None:
    plain = [name for name in names if all(part not in {"", ".", ".."} for part in name.split("/"))]
    keys = ["/".join(part.rstrip(". ") or part for part in name.split("/")) for name in plain]
    assume(plain and len(set(keys)) == len(keys))
    octets = Zip([Part(name.encode()) for name in plain]).build()
    if any(other.startswith(key + "/") for key in keys for other in keys):
        with pytest.raises(ContainerRefused, match="folder of another"):
            read(octets)
    else:
        assert list(read(octets)) == plain


def test_containers_of_other_software_are_read() -> None:
    for path in sorted(DATA.glob("*.asice")):
        with path.open("rb") as file, zipfile.ZipFile(path) as other:
            container = ForeignZip.open(file)
            assert list(container.names) == other.namelist()
            for name in container.names:
                assert container.read(name, 1 << 20) == other.read(name)
            with pytest.raises(ContainerRefused):
                container.size("nowhere")


@given(data=st.data())
@settings(max_examples=300)
def test_no_changed_octet_shows_two_readers_two_things(data: st.DataObject) -> None:
    """Either refused, or the standard library (which reads the directory) sees exactly the same members."""
    made = Zip(
        [Part(), Part(b"b.txt", b"more" * 9, method=8, flags=8), Part("é".encode(), b"x", flags=0x800)]
    )
    octets = bytearray(made.build())
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(octets))
    except (ContainerRefused, SignatureRefused):
        return
    with zipfile.ZipFile(io.BytesIO(octets)) as other:
        assert found == {name: other.read(name) for name in other.namelist()}
