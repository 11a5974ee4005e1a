"""What the generator stands on: keys and authorities made at run time, a PDF writer, the list of attacks.

The writer puts PDFs together octet by octet, so that every rule can be broken alone; the signatures are real ones of
a trusted signer, so that nothing but the attack decides the verdict.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.judging.conftest import NOW, Holder, World
from tests.services.certificates import key_usage

SIGN_AT = NOW - timedelta(days=1)
_HOLE = 6000  # hex digits kept for a signature


@dataclass(frozen=True)
class Made:
    """A file and how to ask about it.

    Attributes:
        data: its octets.
        over: documents given beside it.
        at: control time.
        options: more of what `verify_file` takes.
    """

    data: bytes
    over: tuple[bytes, ...] = ()
    at: datetime = NOW
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack:
    """One file that somebody made to mislead, or a genuine one that must pass.

    Attributes:
        name: of the file.
        family: which rule it breaks.
        codes: reasons of which one must be the main one; empty for a genuine file, which must be PASSED.
        unsure: the verdict is INDETERMINATE; else FAILED.
        make: makes it.
    """

    name: str
    family: str
    codes: tuple[str, ...]
    unsure: bool
    make: Callable[[Bench], Made | bytes]


ATTACKS: list[Attack] = []


def attack(
    family: str, name: str, *codes: str, unsure: bool = False
) -> Callable[[Callable[[Bench], Made | bytes]], Callable[[Bench], Made | bytes]]:
    """Enter a maker in the list; without codes it is a genuine file."""

    def enter(make: Callable[[Bench], Made | bytes]) -> Callable[[Bench], Made | bytes]:
        ATTACKS.append(Attack(name, family, codes, unsure, make))
        return make

    return enter


def genuine(
    family: str, name: str
) -> Callable[[Callable[[Bench], Made | bytes]], Callable[[Bench], Made | bytes]]:
    """Enter the maker of a file that must be PASSED."""
    return attack(family, name)


class Bench:
    """The world of keys, and signed documents that attacks start from (each made once)."""

    def __init__(self, world: World) -> None:
        self.world = world
        # Other verifiers want the usage stated.
        usage = key_usage("digital_signature", "content_commitment")
        self.signer = world.build("Signer", world.ca, world.key(), [(usage, True)])
        self._made: dict[str, Doc] = {}

    def cms(self, octets: bytes, signer: Holder | None = None, **options: object) -> bytes:
        """Sign octets as a PDF signature does."""
        options.setdefault("claimed", SIGN_AT)
        return self.world.sign(octets, signer or self.signer, **options)  # type: ignore[arg-type]

    def token(self, octets: bytes) -> bytes:
        """Timestamp octets."""
        return self.world.token(octets, SIGN_AT)

    def signed(self, more: Mapping[int, bytes] | None = None, **options: object) -> Doc:
        """Return the base document with one signature."""
        key = repr((sorted((more or {}).items()), sorted(options.items(), key=str)))
        if key not in self._made:
            self._made[key] = Doc().update(BASE | dict(more or {}), sign=Signing(self.cms, 10), **options)  # type: ignore[arg-type]
        return self._made[key]

    def sign(self, number: int = 31, **options: object) -> Signing:
        """Return a further signature of the trusted signer."""
        return Signing(self.cms, number, **options)  # type: ignore[arg-type]

    def stamp(self, number: int = 31) -> Signing:
        """Return a document timestamp."""
        return Signing(
            self.token, number, kind=b"/Type /DocTimeStamp /Filter /Adobe.PPKLite /SubFilter /ETSI.RFC3161"
        )


@dataclass(frozen=True)
class Signing:
    """How a signature dictionary is written.

    Attributes:
        cms: signs the covered octets.
        number: of the object.
        kind: first entries of the dictionary.
        extra: further entries.
        ranges: turns the right byte range into the one that is written, and signed.
        wrap: turns the signature's hex digits into what stands in the hole (same length).
    """

    cms: Callable[[bytes], bytes]
    number: int
    kind: bytes = b"/Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached"
    extra: bytes = b""
    ranges: Callable[[int, int, int, int], tuple[int, ...]] | None = None
    wrap: Callable[[bytes], bytes] | None = None

    def placeholder(self) -> bytes:
        numbers = b" ".join([b"#" * 10] * 4)
        moment = f"{SIGN_AT:%Y%m%d%H%M%S}Z".encode()
        return b"<< %b /M (D:%b) %b/ByteRange [%b] /Contents <%b> >>" % (
            self.kind,
            moment,
            self.extra,
            numbers,
            b"0" * _HOLE,
        )

    def fill(self, data: bytes, start: int) -> bytes:
        """Write byte range and signature into the hole that begins behind `start`."""
        found = re.compile(rb"<0{%d}>" % _HOLE).search(data, start)
        assert found is not None
        first, second = found.span()
        right = (0, first, second, len(data) - second)
        numbers = right if self.ranges is None else self.ranges(*right)
        text = b" ".join(b"%d" % number for number in numbers).ljust(43)
        assert len(text) == 43
        data = re.compile(rb"\[#{10} #{10} #{10} #{10}\]").sub(b"[" + text + b"]", data, count=1)
        covered = b"".join(
            data[max(0, at) : max(0, at + size)]
            for at, size in zip(numbers[::2], numbers[1::2], strict=False)
        )
        value = self.cms(covered).hex().encode()
        assert len(value) <= _HOLE, len(value)
        value = value.ljust(_HOLE, b"0")
        if self.wrap is not None:
            value = self.wrap(value)
        return data[: first + 1] + value + data[second - 1 :]


@dataclass(frozen=True)
class Doc:
    """A PDF that grows by incremental updates."""

    data: bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    trailer: bytes = b"/Root 1 0 R /Info 11 0 R "
    ends: tuple[int, ...] = ()
    sections: tuple[int, ...] = ()
    size: int = 1

    def update(
        self,
        objects: Mapping[int, bytes],
        *,
        sign: Signing | None = None,
        trailer: bytes | None = None,
        free: tuple[int, ...] = (),
        xref: Mapping[int, int] | None = None,
        named: bool = True,
        generations: Mapping[int, int] | None = None,
        before: bytes = b"",
        between: bytes = b"",
        after: bytes = b"",
        table: bool = True,
        packed: Mapping[int, bytes] | None = None,
        prev: int | None = None,
    ) -> Doc:
        """Add a revision.

        Args:
            objects: by number.
            sign: a signature, whose dictionary is one more object.
            trailer: entries, in place of the document's.
            free: objects that the cross-reference frees.
            xref: offsets to name, in place of the right ones.
            named: the cross-reference names the objects at all.
            generations: of objects whose generation is not 0.
            before: octets before the objects.
            between: octets between the objects and the cross-reference.
            after: octets behind %%EOF.
            table: a cross-reference table; else a stream.
            packed: objects that go into an object stream (needs a cross-reference stream).
            prev: offset to name as the previous cross-reference.
        """
        generations = generations or {}
        start = len(self.data)
        out = bytearray(self.data + before)
        offsets: dict[int, int] = {}
        bodies = dict(objects)
        if sign is not None:
            bodies[sign.number] = sign.placeholder()
        if packed:
            bodies[90] = _object_stream(packed)
        for number, body in bodies.items():
            offsets[number] = len(out)
            out += b"%d %d obj\n%b\nendobj\n" % (number, generations.get(number, 0), body)
        out += between
        if not named:
            offsets = {}
        offsets |= xref or {}
        section = len(out)
        size = max(self.size, *(number + 1 for number in (*offsets, *free)), 1 if table else 100)
        entries = self.trailer if trailer is None else trailer
        previous = self.sections[-1] if self.sections else None
        previous = prev if prev is not None else previous
        if previous is not None:
            entries += b"/Prev %d " % previous
        if table:
            out += _table(offsets, free, generations)
            out += b"trailer\n<< /Size %d %b>>\n" % (size, entries)
        else:
            out += _xref_stream(section, offsets, free, packed or {}, entries)
        out += b"startxref\n%d\n%%%%EOF\n" % section + after
        data = bytes(out) if sign is None else sign.fill(bytes(out), start)
        return replace(
            self, data=data, ends=(*self.ends, len(data)), sections=(*self.sections, section), size=size
        )


def _table(offsets: Mapping[int, int], free: tuple[int, ...], generations: Mapping[int, int]) -> bytes:
    out = b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d %05d n \n" % (number, offset, generations.get(number, 0))
    for number in free:
        out += b"%d 1\n0000000000 00001 f \n" % number
    return out


def _object_stream(packed: Mapping[int, bytes]) -> bytes:
    head, body = b"", b""
    for number, value in packed.items():
        head += b"%d %d " % (number, len(body))
        body += value + b" "
    return stream(head + body, b"/Type /ObjStm /N %d /First %d " % (len(packed), len(head)))


def _xref_stream(
    section: int,
    offsets: Mapping[int, int],
    free: tuple[int, ...],
    packed: Mapping[int, bytes],
    entries: bytes,
) -> bytes:
    rows = {number: (1, offset, 0) for number, offset in offsets.items()}
    rows |= {number: (2, 90, index) for index, number in enumerate(packed)}
    rows |= dict.fromkeys(free, (0, 0, 1))
    rows[99] = (1, section, 0)
    index = b" ".join(b"%d 1" % number for number in sorted(rows))
    data = b"".join(
        b"%c%b%b" % (kind, first.to_bytes(4, "big"), second.to_bytes(2, "big"))
        for _, (kind, first, second) in sorted(rows.items())
    )
    return b"99 0 obj\n%b\nendobj\n" % stream(
        data, b"/Type /XRef /W [ 1 4 2 ] /Index [ %b ] /Size 100 %b" % (index, entries)
    )


def stream(data: bytes, entries: bytes = b"", *, packed: bool = False) -> bytes:
    """Write a stream object."""
    if packed:
        data, entries = zlib.compress(data), entries + b"/Filter /FlateDecode "
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


FORM_XOBJECT = b"/Type /XObject /Subtype /Form /BBox [ 0 0 190 20 ] "
CATALOG = b"<< /Type /Catalog /Pages 2 0 R /AcroForm 5 0 R /Metadata 12 0 R /OCProperties 15 0 R %b>>"
PAGES = b"<< /Type /Pages /Kids [ 3 0 R 16 0 R%b ] /Count %d >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 800 ] /Contents 4 0 R "
    b"/Resources << /Font << /F1 7 0 R >> /XObject << /X1 14 0 R >> /Properties << /L1 18 0 R >> >> "
    b"/Annots [ 6 0 R 9 0 R 13 0 R 17 0 R 19 0 R%b ] %b>>"
)
FORM = b"<< /Fields [ 6 0 R 9 0 R 17 0 R%b ] /SigFlags 3 /DR << /Font << /F1 7 0 R >> >> /DA (/F1 0 Tf) %b>>"
TEXT = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Nom) /P 3 0 R /Rect [ 10 10 200 30 ] %b>>"
AMOUNT = (
    b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Montant) /P 3 0 R /Rect [ 10 140 200 160 ] "
    b"/V (100) /AP << /N 20 0 R >> %b>>"
)
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta><?xpacket end="w"?>'
)
BASE: dict[int, bytes] = {
    1: CATALOG % b"",
    2: PAGES % (b"", 2),
    3: PAGE % (b"", b""),
    4: stream(b"/OC /L1 BDC BT /F1 12 Tf 50 700 Td (Il doit 100 EUR) Tj ET EMC /X1 Do"),
    5: FORM % (b"", b""),
    6: TEXT % b"/V (avant) /AP << /N 8 0 R >> ",
    7: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    8: stream(b"BT (avant) Tj ET", FORM_XOBJECT),
    9: b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Un) /P 3 0 R /V 10 0 R /Rect [ 10 50 200 80 ] /F 132 >>",
    11: b"<< /Producer (un) >>",
    12: stream(XMP, b"/Type /Metadata /Subtype /XML "),
    13: b"<< /Type /Annot /Subtype /Link /Rect [ 0 0 9 9 ] /P 3 0 R >>",
    14: stream(b"0 0 9 9 re f", FORM_XOBJECT),
    15: b"<< /OCGs [ 18 0 R ] /D << /ON [ 18 0 R ] >> >>",
    16: b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 800 ] /Contents 21 0 R /Resources << >> >>",
    17: AMOUNT % b"",
    18: b"<< /Type /OCG /Name (L1) >>",
    19: b"<< /Type /Annot /Subtype /Stamp /Rect [ 300 690 500 720 ] /F 4 /P 3 0 R /AP << /N 22 0 R >> >>",
    20: stream(b"BT (100) Tj ET", FORM_XOBJECT),
    21: stream(b"0 0 50 50 re f", b""),
    22: stream(b"1 g 0 0 190 20 re f", FORM_XOBJECT),
}
EVIL = stream(b"BT /F1 12 Tf 50 700 Td (Il doit 999 EUR) Tj ET")
HIDDEN = b"/Rect [ 0 0 0 0 ] /F 132 "
SECOND = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Deux) /P 3 0 R /V 31 0 R %b>>"


def second(entries: bytes = HIDDEN, more: Mapping[int, bytes] | None = None) -> dict[int, bytes]:
    """Return the objects of a further signature field."""
    return {
        3: PAGE % (b" 30 0 R", b""),
        5: FORM % (b" 30 0 R", b""),
        30: SECOND % entries,
        40: stream(b"0 0 9 9 re f", FORM_XOBJECT),
    } | dict(more or {})


def filled(value: bytes = b"apres") -> dict[int, bytes]:
    """Return the objects of a form field that was filled."""
    return {
        6: TEXT % (b"/V (%b) /AP << /N 41 0 R >> " % value),
        41: stream(b"BT (%b) Tj ET" % value, FORM_XOBJECT),
    }


def certified(level: int) -> bytes:
    """Return the entry of a certification signature."""
    return (
        b"/Reference [ << /Type /SigRef /TransformMethod /DocMDP "
        b"/TransformParams << /Type /TransformParams /P %d /V /1.2 >> >> ] " % level
    )


def locking(action: bytes, names: bytes = b"") -> bytes:
    """Return the entry of a signature that locks fields."""
    return b"/Reference [ << /TransformMethod /FieldMDP /TransformParams << /Action %b %b/V /1.2 >> >> ] " % (
        action,
        names,
    )
