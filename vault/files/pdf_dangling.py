"""References in a PDF that a seal inside would change the meaning of.

A reference to a number from /Size on means nothing (ISO 32000-1, 7.3.10), until an object of the seal gets that number.
One to another generation than the object has means nothing either, but some readers show the object as long as the file
is not sealed. The same with one to an object that the table calls free while it still stands in the file: PDFium draws
it, and no longer once the file is sealed.

The octets are searched first, which costs little and finds too much. What it finds is asked of qpdf, whose reading the
seal goes by: octets of pictures, and of revisions that were replaced, refer to nothing.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping

import pikepdf

from vault.files.pdf_guard import Budget
from vault.files.pdf_numbers import listed_in
from vault.files.pdf_references import Octets, Pair, objects, references, unusual

Table = Mapping[Pair, pikepdf.XrefEntry]

# A file in which more is found, or is to be asked, is taken for one that has such references.
_MOST_FOUND = 100_000
_MOST_ASKED = 1000
_MOST_PROBES = 8
_IN_FILE, _IN_STREAM = 1, 2  # kinds of entries
_ROW = struct.Struct(">BQI")
_TAIL = 1054  # octets in which qpdf looks for the last `startxref`
_START = re.compile(rb"startxref[\x00\t\n\x0c\r ]+([0-9]{1,10})")


class Dangling:
    """The references of one file that may mean nothing.

    Attributes:
        farthest: the largest number that an unusual reference seems to name; 0 where there is none.
    """

    def __init__(self, table: Table, known: int, spend: Callable[[], None]) -> None:
        """Begin with a table.

        Args:
            table: what objects the file has.
            known: the largest number below /Size.
            spend: called for each place that is looked at closely; may raise.
        """
        self.farthest = 0
        self._table = table
        self._known = known
        self._spend = spend
        self._numbers = {number for number, _ in table}
        # Numbers that references with generation 0, the usual ones, may lead astray to.
        self._watched = {number for number, generation in table if generation}
        if len(self._numbers) < known:
            self._watched |= set(range(1, known + 1)) - self._numbers
        self._found: set[Pair] = set()
        self._listed: set[int] = set()

    def search(self, text: Octets, start: int, end: int) -> None:
        """Note what seems to be a reference to nothing, and ends between two places of the file's octets."""
        for pair in unusual(text, self._known, self._spend, start, end):
            self.farthest = max(self.farthest, pair[0])
            self._note(pair)
        if self._watched:
            for pair in references(text, self._spend, start, end):
                if pair[0] in self._watched:
                    self._note(pair)

    def search_inflated(self, text: bytes) -> None:
        """Do the same for an inflated object stream."""
        self.search(text, 0, len(text))
        if self._watched:
            self._listed |= listed_in(text) - self._numbers

    def _note(self, pair: Pair) -> None:
        if pair not in self._table and len(self._found) <= _MOST_FOUND:
            self._found.add(pair)

    def any(self, pdf: pikepdf.Pdf, data: Octets, pieces: Iterable[tuple[int, int]], budget: Budget) -> bool:
        """Tell whether the file has such references.

        Args:
            pdf: the open file.
            data: its octets.
            pieces: places between which they are searched.
            budget: spent from.
        """
        absent = {number for number, _ in self._found if number <= self._known} - self._numbers
        there = self._listed & absent
        if absent:
            for start, end in pieces:
                there.update(
                    number for number, _ in objects(data, self._spend, start, end) if number in absent
                )
        pairs = sorted(pair for pair in self._found if pair[0] not in absent - there)
        if max(len(self._found) - _MOST_FOUND, len(pairs) - _MOST_ASKED) > 0:
            return True
        # What stands in an object that is asked for in another generation is not seen while that is asked.
        alone = [{number: generation} for number, generation in pairs if number in self._numbers]
        together: list[dict[int, int]] = []
        for number, generation in pairs:
            if number not in self._numbers:
                probe = next((each for each in together if number not in each), None)
                if probe is None:
                    together.append(probe := {})
                probe[number] = generation
        probes = together + alone
        return len(probes) > _MOST_PROBES or any(self._refers(pdf, data, each, budget) for each in probes)

    def _refers(self, pdf: pikepdf.Pdf, data: Octets, asked: dict[int, int], budget: Budget) -> bool:
        """Tell whether any object, or the trailer, refers to some numbers, or has anything wrong with it.

        The file is read once more with a table behind it in which they have objects: without, qpdf reads references to
        them as null and says nothing.

        Args:
            pdf: the open file.
            data: its octets.
            asked: generations by number.
            budget: spent from.
        """
        update = _update(pdf, self._table, data, asked, self._known + 1)
        if update is None:
            return True
        stream = io.BufferedReader(_Updated(data, update))
        try:
            with pikepdf.open(stream, attempt_recovery=False, inherit_page_attributes=False) as probe:
                tops = (probe.get_object(*each) for each in self._table if each[0] not in asked)
                for top in (probe.trailer["/Former"], *tops):
                    if any(asked.get(child.objgen[0]) == child.objgen[1] for child in _children(top, budget)):
                        return True
                return bool(probe.get_warnings())
        except pikepdf.PdfError:
            return True


def _children(top: pikepdf.Object, budget: Budget) -> Iterator[pikepdf.Object]:
    """Yield what a top-level object refers to, as far as it is a dictionary."""
    stack = [top]
    while stack:
        item = stack.pop()
        entries = item.stream_dict if isinstance(item, pikepdf.Stream) else item
        if isinstance(entries, pikepdf.Dictionary):
            values: Iterable[object] = (entries[key] for key in entries.keys())  # noqa: SIM118 - as in the walk
        elif isinstance(entries, pikepdf.Array):
            values = entries
        else:
            continue
        for value in values:
            budget.spend()
            if isinstance(value, pikepdf.Dictionary | pikepdf.Array | pikepdf.Stream):
                if value.is_indirect:
                    yield value
                else:
                    stack.append(value)


def _update(pdf: pikepdf.Pdf, table: Table, data: Octets, asked: dict[int, int], size: int) -> bytes | None:
    """Return a table as a stream (ISO 32000-1, 7.5.8) in which all numbers that are asked for have an object.

    Its dictionary holds the former trailer as `/Former`; None where that is not found.
    """
    starts = _START.findall(data[max(0, len(data) - _TAIL) :])
    former = _trailer(data, int(starts[-1])) if starts else None
    if former is None:
        return None
    rows = dict.fromkeys(range(size), bytes(_ROW.size))
    for (number, generation), entry in table.items():
        if entry.type == _IN_FILE:
            rows[number] = _ROW.pack(_IN_FILE, entry.offset, generation)
        elif entry.type == _IN_STREAM:
            rows[number] = _ROW.pack(_IN_STREAM, entry.obj_stream_number, entry.obj_stream_index)
    out = bytearray(b"\n")
    for number, generation in asked.items():
        rows[number] = _ROW.pack(_IN_FILE, len(data) + len(out), generation)
        out += b"%d %d obj\n<< >>\nendobj\n" % (number, generation)
    own, at = max(rows) + 1, len(data) + len(out)
    rows[own] = _ROW.pack(_IN_FILE, at, 0)
    index = b"0 %d" % size + b"".join(b" %d 1" % number for number in list(rows)[size:])
    content = b"".join(rows.values())
    out += b"%d 0 obj\n<< /Type /XRef /W [1 8 4] /Index [%b] /Size %d" % (own, index, own + 1)
    out += b" /Root %d %d R /Former %b /Length %d >>\n" % (*pdf.Root.objgen, former, len(content))
    return bytes(out + b"stream\n" + content + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % at)


def _trailer(data: Octets, at: int) -> bytes | None:
    """Return the octets of the trailer of the table, or of the dictionary of the stream, at a place."""
    if data[at : at + 4] == b"xref":
        begin, end = data.find(b"trailer", at) + len(b"trailer"), b"startxref"
    else:
        begin, end = data.find(b"obj", at) + len(b"obj"), b"stream"
    until = data.find(end, begin)
    return bytes(data[begin:until]) if until > begin > at else None


class _Updated(io.RawIOBase):
    """A file with an update behind it, neither of which is copied."""

    def __init__(self, data: Octets, update: bytes) -> None:
        self._data, self._update = data, update
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = len(self._data) + len(self._update)
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = len(self._data)
        if self._at < size:
            piece = self._data[self._at : min(size, self._at + len(buffer))]
        else:
            piece = self._update[self._at - size : self._at - size + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
