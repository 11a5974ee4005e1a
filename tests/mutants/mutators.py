"""Changes at random that know the structure of what they change: PDF, zip, DER.

Each takes the octets and a source of chance and returns other octets, or None where it finds nothing to change.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random

import pikepdf

Mutator = Callable[[bytes, Random], bytes | None]

_NUMBER = re.compile(rb"(?<![\w.])\d{1,10}(?![\w.])")
_NAME = re.compile(rb"/[A-Za-z][A-Za-z0-9]{0,20}")
_REFERENCE = re.compile(rb"(?<!\d)(\d{1,6}) (\d{1,3}) R\b")
_OBJECT = re.compile(rb"(?<!\d)(\d{1,6}) (\d{1,3}) obj\b(.*?)\bendobj", re.DOTALL)
_ROW = re.compile(rb"\d{10} \d{5} [nf]")
_GAP = re.compile(rb"/Contents\s*<([0-9A-Fa-f]{64,})>")
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_INTERESTING = (0, 1, 2, 3, 4, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 10**12)
_WORDS = tuple(
    b"/" + item
    for item in (
        b"Contents Annots Resources Parent Kids AP V N OCProperties OpenAction Names MediaBox CropBox"
        b" Rotate Subtype Type FT Ff F Rect Pages AcroForm DSS ByteRange Perms XRefStm Prev Root Encrypt Length Filter"
    ).split()
)
_TOKENS = (
    b"null",
    b"true",
    b"[ ]",
    b"<< >>",
    b"()",
    b"<00>",
    b"/X",
    b"0",
    b"-1",
    b"3.5",
    b"4 0 R",
    b"99 0 R",
    b"R",
    b"obj",
)


def _replace(data: bytes, start: int, end: int, new: bytes) -> bytes:
    return data[:start] + new + data[end:]


def _pick(pattern: re.Pattern[bytes], data: bytes, chance: Random) -> re.Match[bytes] | None:
    """Return a match near a random place; all of a large file need not be searched."""
    for _ in range(4):
        found = pattern.search(data, chance.randrange(max(1, len(data))))
        if found is not None:
            return found
    return pattern.search(data)


# ---- octets of anything


def flip(data: bytes, chance: Random) -> bytes | None:
    """Change a few octets."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def cut(data: bytes, chance: Random) -> bytes | None:
    """Take out a piece, or the end."""
    start = chance.randrange(len(data))
    size = chance.choice((1, 2, 16, 300, len(data)))
    return data[:start] + data[start + size :]


def insert(data: bytes, chance: Random) -> bytes | None:
    """Put in octets, some of them from elsewhere in the file."""
    start, source = chance.randrange(len(data) + 1), chance.randrange(len(data))
    piece = chance.choice((b"\x00", b" ", b"\n", b"%", data[source : source + chance.randrange(1, 200)]))
    return data[:start] + piece + data[start:]


def swap(data: bytes, chance: Random) -> bytes | None:
    """Copy one piece over another of the same length."""
    size = chance.randrange(1, 100)
    first, other = (chance.randrange(max(1, len(data) - size)) for _ in range(2))
    return _replace(data, other, other + size, data[first : first + size])


def tail(data: bytes, chance: Random) -> bytes | None:
    """Put something behind the end, or before the beginning."""
    piece = chance.choice(
        (b"\n", b" " * 17, b"%%EOF\n", bytes(5), b"%PDF-1.7\n", data[-200:], data[:200], b"PK\x05\x06")
    )
    return data + piece if chance.random() < 0.8 else piece + data


# ---- PDF, written over


def number(data: bytes, chance: Random) -> bytes | None:
    """Change a number; the length stays where it can."""
    found = _pick(_NUMBER, data, chance)
    if found is None:
        return None
    old = int(found[0])
    new = b"%d" % chance.choice((*_INTERESTING, old + 1, max(0, old - 1), old * 2, chance.randrange(100)))
    return _replace(data, *found.span(), new.rjust(len(found[0]), b"0"))


def name(data: bytes, chance: Random) -> bytes | None:
    """Change a name to another one of the file, or one that readers look for."""
    found, other = _pick(_NAME, data, chance), _pick(_NAME, data, chance)
    if found is None or other is None:
        return None
    return _replace(data, *found.span(), chance.choice((other[0], chance.choice(_WORDS))))


def reference(data: bytes, chance: Random) -> bytes | None:
    """Lead a reference to another object."""
    found, other = _pick(_REFERENCE, data, chance), _pick(_OBJECT, data, chance)
    if found is None:
        return None
    new = other[1] if other is not None and chance.random() < 0.8 else b"%d" % chance.randrange(100)
    return _replace(data, *found.span(), b"%b %b R" % (new, found[2]))


def body(data: bytes, chance: Random) -> bytes | None:
    """Put another object's body, or some value, in the place of an object."""
    found, other = _pick(_OBJECT, data, chance), _pick(_OBJECT, data, chance)
    if found is None or other is None:
        return None
    return _replace(data, *found.span(3), chance.choice((other[3], b" " + chance.choice(_TOKENS) + b" ")))


def row(data: bytes, chance: Random) -> bytes | None:
    """Change a row of a cross-reference table."""
    found = _pick(_ROW, data, chance)
    if found is None:
        return None
    offset, generation, kind = found[0].split()
    other = _pick(_ROW, data, chance)
    new = chance.choice(
        (
            b"%b %b %b" % (offset, generation, b"f" if kind == b"n" else b"n"),
            b"%010d %b %b" % (int(offset) + chance.choice((-1, 1, 10)), generation, kind),
            b"%b %05d %b" % (offset, chance.randrange(3), kind),
            other[0] if other is not None else found[0],
        )
    )
    return _replace(data, *found.span(), new)


def section(data: bytes, chance: Random) -> bytes | None:
    """Change where a cross-reference is said to begin."""
    found = _pick(re.compile(rb"(?:startxref\s+|/Prev )(\d+)"), data, chance)
    places = [item.start() for item in re.finditer(rb"\bxref\b|\d+ 0 obj", data)]
    if found is None or not places:
        return None
    return _replace(data, *found.span(1), b"%d" % chance.choice((*places, 0, len(data))))


def cms_inside(data: bytes, chance: Random) -> bytes | None:
    """Change the DER of a signature inside its gap."""
    found = _pick(_GAP, data, chance)
    if found is None:
        return None
    digits = found[1]
    raw = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    whole: list[tuple[int, int, int]] = []
    _nodes(raw, 0, len(raw), whole)
    raw = raw[: whole[0][2]] if whole else raw
    changed = der(raw, chance)
    if changed is None:
        return None
    text = changed.hex().encode()[: len(digits)].ljust(len(digits), b"0")
    return _replace(data, *found.span(1), text)


# ---- PDF, grown by a revision


def revision(data: bytes, chance: Random) -> bytes | None:
    """Append a well-formed revision in which a few objects differ: what an attacker would save."""
    return _revision(data, chance, changed=True)


def same_again(data: bytes, chance: Random) -> bytes | None:
    """Append a revision that writes objects as they are, or ones that nobody refers to."""
    return _revision(data, chance, changed=False)


def _revision(data: bytes, chance: Random, *, changed: bool) -> bytes | None:
    found = re.findall(rb"startxref\s+(\d+)", data)
    try:
        with pikepdf.open(
            io.BytesIO(data),
            suppress_warnings=True,
            inherit_page_attributes=False,
            conversion_mode="explicit",
        ) as pdf:
            table = [key for key, entry in pdf.get_xref_table().items() if entry.type in {1, 2}]
            trailer = {
                key: pdf.trailer[key].unparse() for key in ("/Root", "/Info", "/ID") if key in pdf.trailer
            }
            numbers = sorted(key[0] for key in table if key[1] == 0)
            size = max(int(pdf.trailer.get("/Size", 0)), *numbers, 0) + 1
            if not numbers or not found or "/Root" not in trailer:
                return None
            values = {}
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                chosen = chance.choice(numbers)
                value = _value(pdf, chosen)
                # A signature that is written elsewhere is no harmless change.
                if changed or b"/ByteRange" not in value:
                    values[chosen] = value
            if changed:
                first = next(iter(values))
                values[first] = _edited(values[first], numbers, chance)
                if chance.random() < 0.2:
                    values[max(numbers) + 1] = _value(pdf, chance.choice(numbers))
            elif chance.random() < 0.3:
                values = {max(numbers) + chance.randrange(1, 9): b"<< /Spare (%d) >>" % chance.randrange(99)}
    except (pikepdf.PdfError, ValueError, TypeError, KeyError, RuntimeError):
        return None
    return _written(data, values, trailer, int(found[-1]), max([size, *values]) + 1, chance)


def _value(pdf: pikepdf.Pdf, number: int) -> bytes:
    item = pdf.get_object((number, 0))
    if isinstance(item, pikepdf.Stream):
        raw = item.read_raw_bytes()
        text: bytes = item.stream_dict.unparse(resolved=True)
        return b"%b\nstream\n%b\nendstream" % (
            re.sub(rb"/Length \d+( 0 R)?", b"/Length %d" % len(raw), text),
            raw,
        )
    unparsed: bytes = item.unparse(resolved=True) if item is not None else b"null"
    return unparsed


def _edited(value: bytes, numbers: Sequence[int], chance: Random) -> bytes:
    head, mark, rest = value.partition(b"\nstream\n")
    if mark and chance.random() < 0.4:
        raw = rest[: -len(b"\nendstream")]
        raw = _restreamed(raw, b"/FlateDecode" in head, chance)
        return re.sub(rb"/Length \d+", b"/Length %d" % len(raw), head) + mark + raw + b"\nendstream"
    for _ in range(chance.choice((1, 1, 2))):
        edit = chance.choice((number, name, reference, _other_reference(numbers), _string, _key, _dropped))
        head = edit(head, chance) or head
    return head + mark + rest


def _restreamed(raw: bytes, packed: bool, chance: Random) -> bytes:
    plain = raw
    if packed:
        try:
            plain = zlib.decompress(raw)
        except zlib.error:
            return raw + b" "
    if not plain:
        return b"0 0 600 800 re f"
    changed = (
        chance.choice((number, flip, cut, lambda data, _: data + b"\n0 0 600 800 re f"))(plain, chance)
        or plain + b" "
    )
    return zlib.compress(changed) if packed else changed


def _other_reference(numbers: Sequence[int]) -> Mutator:
    def change(data: bytes, chance: Random) -> bytes | None:
        found = _pick(_REFERENCE, data, chance)
        return found and _replace(data, *found.span(), b"%d 0 R" % chance.choice(numbers))

    return change


def _string(data: bytes, chance: Random) -> bytes | None:
    found = _pick(re.compile(rb"\(([^()\\]*)\)"), data, chance)
    return found and _replace(data, *found.span(1), b"999")


def _key(data: bytes, chance: Random) -> bytes | None:
    """Add an entry to a dictionary."""
    end = data.rfind(b">>")
    if end < 0:
        return None
    value = chance.choice((*_TOKENS, b"[ 0 0 600 800 ]", b"<< /S /JavaScript /JS (x) >>"))
    return data[:end] + chance.choice(_WORDS) + b" " + value + b" " + data[end:]


def _dropped(data: bytes, chance: Random) -> bytes | None:
    """Rename a key, so that it is lost."""
    found = _pick(_NAME, data, chance)
    return found and _replace(data, *found.span(), b"/Zz")


def _written(
    data: bytes, values: dict[int, bytes], trailer: dict[str, bytes], previous: int, size: int, chance: Random
) -> bytes:
    out = bytearray(data if data.endswith(b"\n") else data + b"\n")
    offsets = {}
    stream = data.find(b"/XRef", previous, previous + 2000) >= 0 or chance.random() < 0.1
    packed = (
        {key: value for key, value in values.items() if b"\nstream\n" not in value}
        if stream and chance.random() < 0.5
        else {}
    )
    for key, value in values.items():
        if key not in packed:
            offsets[key] = len(out)
            out += b"%d 0 obj\n%b\nendobj\n" % (key, value)
    entries = (
        b"".join(b"%b %b " % (key.encode(), value) for key, value in trailer.items())
        + b"/Prev %d " % previous
    )
    if not stream:
        start = len(out)
        out += b"xref\n" + b"".join(b"%d 1\n%010d 00000 n \n" % item for item in sorted(offsets.items()))
        out += b"trailer\n<< /Size %d %b>>\n" % (size, entries)
        return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % start
    rows = {key: struct.pack(">BIH", 1, offset, 0) for key, offset in offsets.items()}
    if packed:
        heads, bodies = b"", b""
        for index, (key, value) in enumerate(packed.items()):
            heads += b"%d %d " % (key, len(bodies))
            bodies += value + b" "
            rows[key] = struct.pack(">BIH", 2, size, index)
        rows[size] = struct.pack(">BIH", 1, len(out), 0)
        out += b"%d 0 obj\n<< /Type /ObjStm /N %d /First %d /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (
            size, len(packed), len(heads), len(heads + bodies), heads + bodies,
        )  # fmt: skip
    start = len(out)
    rows[size + 1] = struct.pack(">BIH", 1, start, 0)
    index = b" ".join(b"%d 1" % key for key in sorted(rows))
    table = b"".join(value for _, value in sorted(rows.items()))
    head = b"/Type /XRef /W [ 1 4 2 ] /Index [ %b ] /Size %d %b/Length %d" % (
        index,
        size + 2,
        entries,
        len(table),
    )
    out += b"%d 0 obj\n<< %b >>\nstream\n%b\nendstream\nendobj\n" % (size + 1, head, table)
    return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % start


# ---- DER


def _nodes(data: bytes, start: int, end: int, out: list[tuple[int, int, int]], depth: int = 0) -> None:
    """Collect (start, start of the value, end) of every element."""
    while start + 2 <= end and len(out) < 4000:
        size, head = data[start + 1], 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                return
            size, head = int.from_bytes(data[start + 2 : start + 2 + count], "big"), 2 + count
        if start + head + size > end:
            return
        out.append((start, start + head, start + head + size))
        inside = data[start] & 0x20 or (data[start] == 0x04 and size > 4 and data[start + head] == 0x30)
        if inside and depth < 40:
            _nodes(data, start + head, start + head + size, out, depth + 1)
        start += head + size


def der(data: bytes, chance: Random) -> bytes | None:
    """Change an element: its tag, length, value; drop, double or move it; the lengths around it follow, mostly."""
    nodes: list[tuple[int, int, int]] = []
    _nodes(data, 0, len(data), nodes)
    if not nodes:
        return None
    start, value, end = chance.choice(nodes)
    other = chance.choice(nodes)
    what = chance.randrange(8)
    if what == 0:
        return _replace(data, start, start + 1, bytes([chance.randrange(256)]))
    if what == 1:
        return _replace(
            data, start + 1, start + 2, bytes([chance.choice((0, 1, 0x7F, 0x80, 0x81, 0x84, 0xFF))])
        )
    if what == 2 and end > value:
        at = chance.randrange(value, end)
        return _replace(data, at, at + 1, bytes([data[at] ^ (1 << chance.randrange(8))]))
    piece = data[start:end]
    new = {
        3: b"",
        4: piece + piece,
        5: data[other[0] : other[2]],
        6: data[start:value] + data[other[1] : other[2]],
    }.get(what, piece[:1] + b"\x00")
    return _respaced(data, start, end, new, nodes)


def _respaced(data: bytes, start: int, end: int, new: bytes, nodes: Sequence[tuple[int, int, int]]) -> bytes:
    """Put something in the place of an element and write the lengths of all that hold it anew."""
    holders = sorted(
        (node for node in nodes if node[1] <= start and end <= node[2] and node[0] < start), reverse=True
    )
    for first, value, last in holders:
        content = data[value:start] + new + data[end:last]
        size = len(content)
        length = bytes([size]) if size < 0x80 else _long(size)
        start, end, new = first, last, data[first : first + 1] + length + content
    return _replace(data, start, end, new)


def _long(size: int) -> bytes:
    raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


# ---- zip


def zip_header(data: bytes, chance: Random) -> bytes | None:
    """Write over a field of a local header, the directory or the end record."""
    kinds = {b"PK\x03\x04": 30, b"PK\x01\x02": 46, b"PK\x05\x06": 22, b"PK\x07\x08": 16}
    places = [
        (item.start(), kinds[item[0]])
        for item in re.finditer(rb"PK(?:\x03\x04|\x01\x02|\x05\x06|\x07\x08)", data)
    ]
    if not places:
        return None
    start, size = chance.choice(places)
    at = start + chance.randrange(4, size)
    new = chance.choice((b"\x00", b"\x01", b"\x08", b"\xff", b"\x00\x00", b"\xff\xff"))
    return _replace(data, at, at + len(new), new)


def zip_members(data: bytes, chance: Random) -> bytes | None:
    """Write the container anew with a member changed, renamed, added, doubled or left out."""
    return _rezipped(data, chance, changed=True)


def zip_again(data: bytes, chance: Random) -> bytes | None:
    """Write the container anew with the same members, packed otherwise or in another order."""
    return _rezipped(data, chance, changed=False)


def _rezipped(data: bytes, chance: Random, *, changed: bool) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
    ):
        return None
    at = chance.randrange(len(members))
    called, content = members[at]
    if changed:
        what = chance.randrange(6)
        if what == 0:
            members[at] = (called, (flip if content else tail)(content, chance) or b"")
        elif what == 1:
            members[at] = (
                chance.choice(
                    (called.upper(), "x" + called, "../" + called, called + "/", "META-INF/" + called)
                ),
                content,
            )
        elif what == 2:
            members.append((chance.choice(("new.txt", "META-INF/new.xml", called.upper())), b"new"))
        elif what == 3:
            members.insert(at, (called, b"other"))
        elif what == 4:
            del members[at]
        else:
            other = chance.randrange(len(members))
            members[at], members[other] = (called, members[other][1]), (members[other][0], content)
    else:
        order = members[1:]
        chance.shuffle(order)
        members = members[:1] + order
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, value in members:
            info = zipfile.ZipInfo(key, (2026, 1, 1, 0, 0, 0))
            info.compress_type = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(info, value)
    return out.getvalue()


ANY: tuple[Mutator, ...] = (flip, cut, insert, swap, tail)
MUTATORS: dict[str, tuple[Mutator, ...]] = {
    "pdf": (*ANY, number, name, reference, body, row, section, cms_inside, cms_inside, *[revision] * 10),
    "zip": (*ANY, zip_header, zip_header, zip_members, zip_members),
    "der": (*ANY, der, der, der, der),
}
NEUTRAL: dict[str, tuple[Mutator, ...]] = {"pdf": (same_again,), "zip": (zip_again,), "der": ()}
