"""The incremental revision that makes a PDF a sealed act, written as bytes (ISO 32000-1, 7.5.6 and 12.8).

It adds a certification signature in an invisible field with an empty appearance, and the validation material
in a DSS dictionary of the same revision, so that the signature covers it too. /Info and XMP are left alone.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from cryptography.hazmat.primitives.serialization import Encoding

from signing.base import SealSource, ValidationMaterial
from signing.errors import PdfRefused
from signing.pdf_reader import MAX_OBJECT_NUMBER, SealablePdf, read_sealable

_TOOLTIP = (b"\xfe\xff" + "Cachet électronique / Electronic seal".encode("utf-16-be")).hex().encode()
# Print and Locked (ISO 32000-1 table 165): PDF/A wants the first, nobody should move the field.
_WIDGET_FLAGS = 132
_BYTE_RANGE_WIDTH = 48
_COPY_OCTETS = 1 << 20
_END_OF_OBJECT = b"\nendobj\n"
_EMPTY_APPEARANCE = (
    b"<< /Type /XObject /Subtype /Form /FormType 1 /BBox [0 0 0 0] /Resources << >> /Length 0 >>\n"
    b"stream\n\nendstream"
)


@dataclass(frozen=True, slots=True)
class RevisionDraft:
    """A seal revision without its signature value.

    Attributes:
        head: octets that follow the input, up to the gap.
        reserve: octets of CMS that the gap takes: `<`, two hexadecimal digits each, `>`.
        tail: octets that follow the gap.
    """

    head: bytes = field(repr=False)
    reserve: int
    tail: bytes = field(repr=False)

    def fill(self, cms: bytes) -> bytes:
        """Return what stands between head and tail: the CMS and zero octets up to the reserve."""
        return b"<%b>" % hexlify(cms.ljust(self.reserve, b"\x00"))


@dataclass(frozen=True, slots=True)
class MaterialObjects:
    """Validation material as the objects of a DSS dictionary (ETSI EN 319 142-1 section 5.4.2.2), encoded once.

    Attributes:
        material: what they were made of.
        certificates: bodies of stream objects, `endobj` included.
        crls: the same.
    """

    material: ValidationMaterial = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)
    crls: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, material: ValidationMaterial) -> MaterialObjects:
        """Encode the material; what is in it twice is written once."""
        encoded = dict.fromkeys(item.public_bytes(Encoding.DER) for item in material.certificates)
        streams = [
            tuple(_stream_body(b"", item) + _END_OF_OBJECT for item in items)
            for items in (encoded, dict.fromkeys(material.crls))
        ]
        return cls(material, *streams)


def draft_revision(
    source: SealSource, material: MaterialObjects, reserve: int, at: datetime
) -> RevisionDraft:
    """Write the revision of a PDF; the same inputs give the same octets.

    Args:
        source: the PDF.
        material: certificates and CRLs for the DSS dictionary.
        reserve: octets to reserve for the CMS.
        at: value of /M, cut to the second.

    Raises:
        PdfRefused: see `signing.pdf_reader.read_sealable`; PDF_UNSUPPORTED when object numbers run out.
    """
    return _Writer(source, read_sealable(source)).write(material, reserve, at)


class _Writer:
    """Collects the objects of one revision with their offsets.

    Objects with new numbers hold nothing that the file's maker chose: a reference to a number that the file has
    not means nothing there (ISO 32000-1, 7.3.10), and must not begin to mean something with the seal. What is
    the file's own keeps its number (catalog, page) or stands inside the catalog (form).
    """

    def __init__(self, source: SealSource, pdf: SealablePdf) -> None:
        self._source = source
        self._pdf = pdf
        self._next = pdf.size
        # An input may end without end of line, and what follows must start on its own line.
        self._parts: list[bytes] = [b"\n"]
        self._position = source.size + 1
        self._entries: dict[int, tuple[int, int]] = {}

    def write(self, material: MaterialObjects, reserve: int, at: datetime) -> RevisionDraft:
        dss = self._validation_material(material)
        appearance = self._take()
        self._object((appearance, 0), _EMPTY_APPEARANCE)
        signature, widget = self._take(), self._take()
        if self._next > MAX_OBJECT_NUMBER:
            raise PdfRefused("PDF_UNSUPPORTED", "the PDF has too many objects to take a seal")
        self._object((widget, 0), self._widget(signature, appearance))
        self._object(self._pdf.page, self._page(widget))
        self._object(
            self._pdf.root,
            b"<< %b /AcroForm %b /DSS %d 0 R /Perms << /DocMDP %d 0 R >> >>"
            % (self._pdf.catalog, self._form(widget), dss, signature),
        )
        return self._signature(signature, reserve, at)

    def _take(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._position += len(data)

    def _object(self, identity: tuple[int, int], body: bytes) -> None:
        number, generation = identity
        self._entries[number] = (self._position, generation)
        self._append(b"%d %d obj\n%b%b" % (number, generation, body, _END_OF_OBJECT))

    def _validation_material(self, material: MaterialObjects) -> int:
        """Write the DSS dictionary and its streams."""
        body = b"<< /Type /DSS"
        for name, streams in ((b"/Certs", material.certificates), (b"/CRLs", material.crls)):
            if streams:
                first = self._next
                self._streams(streams)
                body += b" %b [%b]" % (name, _references(range(first, self._next)))
        number = self._take()
        self._object((number, 0), body + b" >>")
        return number

    def _streams(self, bodies: Sequence[bytes]) -> None:
        position, number, entries = self._position, self._next, self._entries
        for body in bodies:
            header = b"%d 0 obj\n" % number
            self._parts += (header, body)
            entries[number] = (position, 0)
            position += len(header) + len(body)
            number += 1
        self._position, self._next = position, number

    def _widget(self, signature: int, appearance: int) -> bytes:
        names = (f"Probans{index}" for index in count(1))
        name = next(name for name in names if name not in self._pdf.field_names)
        horizontal, vertical = self._pdf.corner
        corner = b"%b %b" % (horizontal, vertical)
        return (
            b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (%b) /TU <%b> /F %d /Rect [%b %b] "
            b"/P %d %d R /V %d 0 R /AP << /N %d 0 R >> >>"
        ) % (
            name.encode(),
            _TOOLTIP,
            _WIDGET_FLAGS,
            corner,
            corner,
            *self._pdf.page,
            signature,
            appearance,
        )

    def _form(self, widget: int) -> bytes:
        # SigFlags 3: signatures exist, append only (ISO 32000-1 table 219).
        return b"<< %b /Fields [%b %d 0 R] /SigFlags 3 >>" % (self._pdf.form, self._pdf.fields, widget)

    def _page(self, widget: int) -> bytes:
        tabs = b" /Tabs /S" if self._pdf.tagged else b""
        return b"<< %b /Annots [%b %d 0 R]%b >>" % (
            self._pdf.page_entries,
            self._pdf.annotations,
            widget,
            tabs,
        )

    def _signature(self, number: int, reserve: int, at: datetime) -> RevisionDraft:
        """Write the signature dictionary, the cross-reference section and the trailer around the gap."""
        self._entries[number] = (self._position, 0)
        self._append(
            b"%d 0 obj\n<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached /M (D:%b) "
            b"/Reference [<< /Type /SigRef /TransformMethod /DocMDP "
            b"/TransformParams << /Type /TransformParams /P 1 /V /1.2 >> >>] /ByteRange "
            % (number, b"%04d%02d%02d%02d%02d%02dZ" % at.astimezone(UTC).timetuple()[:6])
        )
        contents = b" /Contents "
        gap_start = self._position + _BYTE_RANGE_WIDTH + len(contents)
        gap_end = gap_start + 2 * reserve + 2
        end_of_object = b" >>\nendobj\n"
        tail = end_of_object + self._cross_reference(gap_end + len(end_of_object))
        byte_range = b"[0 %d %d %d]" % (gap_start, gap_end, len(tail))
        self._append(byte_range.ljust(_BYTE_RANGE_WIDTH) + contents)
        return RevisionDraft(head=b"".join(self._parts), reserve=reserve, tail=tail)

    def _cross_reference(self, position: int) -> bytes:
        """Write the section in the kind that the file's newest one has, its trailer, and the end of file."""
        if self._pdf.xref_stream:
            number = self._take()
            self._entries[number] = (position, 0)
            section = self._xref_stream(number)
        else:
            section = self._xref_table()
        return b"%bstartxref\n%d\n%%%%EOF\n" % (section, position)

    def _trailer(self) -> bytes:
        trailer = b"/Size %d /Prev %d /Root %d %d R %b" % (
            self._next,
            self._pdf.startxref,
            *self._pdf.root,
            self._pdf.trailer,
        )
        if not self._pdf.has_id:
            # PDF 2.0 demands an identifier; PDF/A demands it too.
            identifier = hashlib.sha256(b"probans/pdf-id/v1" + self._source.sha256).hexdigest()[:32].encode()
            trailer += b" /ID [<%b> <%b>]" % (identifier, identifier)
        return trailer

    def _xref_table(self) -> bytes:
        lines = [b"xref\n"]
        for numbers in _runs(sorted(self._entries)):
            lines.append(b"%d %d\n" % (numbers[0], len(numbers)))
            lines += [b"%010d %05d n \n" % self._entries[number] for number in numbers]
        return b"".join(lines) + b"trailer\n<< %b >>\n" % self._trailer()

    def _xref_stream(self, number: int) -> bytes:
        numbers = sorted(self._entries)
        width = (max(position for position, _ in self._entries.values()).bit_length() + 7) // 8
        in_use = 1 << 8 * (width + 2)
        data = b"".join(
            [
                (in_use | position << 16 | generation).to_bytes(width + 3, "big")
                for position, generation in map(self._entries.__getitem__, numbers)
            ]
        )
        index = b" ".join(b"%d %d" % (run[0], len(run)) for run in _runs(numbers))
        entries = b"/Type /XRef /W [1 %d 2] /Index [%b] %b" % (width, index, self._trailer())
        return b"%d 0 obj\n%b\nendobj\n" % (number, _stream_body(entries, data))


def hash_source(source: SealSource) -> hashlib._Hash:
    """Return a SHA-256 state that has consumed the input, from the one at hand or in one streaming pass.

    Raises:
        PdfRefused: SOURCE_CHANGED when the octets are not the ones that intake hashed.
    """
    if source.hash_state is not None:
        state: hashlib._Hash = source.hash_state.copy()  # type: ignore[attr-defined]
    else:
        state = hashlib.sha256()
        source.stream.seek(0)
        while chunk := source.stream.read(_COPY_OCTETS):
            state.update(chunk)
    if state.digest() != source.sha256:
        raise PdfRefused("SOURCE_CHANGED", "the file is not the one that intake hashed")
    return state


def _stream_body(entries: bytes, data: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


def _references(numbers: Sequence[int]) -> bytes:
    return b" ".join(b"%d 0 R" % number for number in numbers)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Split ascending numbers into runs of consecutive ones."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
