"""Signatures that a PDF has and that cannot be read: what qpdf cannot read it takes as missing, so octets are read.

A file that says it is signed, to whatever reader, must never be called unsigned because its signature is broken
(forgeries "with universal reach" leave out or garble the byte range or the value).
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pikepdf

from signing.pdf_reader import walk_tree

_MAX_OBJECT = 1 << 18
_MAX_STRAYS = 100
_MAX_TRIES = 100
_SPACE = rb"[\x00\t\n\x0c\r ]"
# A name ends at white space or a delimiter; each of its letters may be written as an escape.
_VALUE = re.compile(rb"/(?:V|#56)[\x00\t\x0c ]*+")
_LINE_END = re.compile(rb"[\r\n]")
_BETWEEN = re.compile(rb"(?:%b|%%[^\r\n]*+[\r\n])*+" % _SPACE)
_REFERENCE = re.compile(rb"\+?(\d{1,10})%b+(\d{1,10})%b+R" % (_SPACE, _SPACE))
_RANGE = re.compile(
    rb"/" + b"".join(rb"(?:%c|#%02X|#%02x)" % (letter, letter, letter) for letter in b"ByteRange")
)
_OBJECT = re.compile(rb"\d%b{1,8}\d{1,5}%b{1,8}obj\Z" % (_SPACE, _SPACE))
_SIGNATURE = re.compile(rb"/(?:Contents|SubFilter|Filter|Sig|DocTimeStamp)(?![A-Za-z0-9#])")
_RIGHTS = re.compile(rb"/UR3?(?![A-Za-z0-9#])")
_DATA = re.compile(rb"stream(?:\r\n|\n|\r)")
_SIGNATURES_EXIST = 1


def is_value_lost(pdf: pikepdf.Pdf, path: Path, node: Any) -> bool:
    """Whether a field that reads as empty was written with a value: a reference to what is not there or not readable.

    Args:
        pdf: the opened file.
        path: the file.
        node: the field or widget.
    """
    if not node.is_indirect:
        return False
    table = pdf.get_xref_table()
    for identity in values_in(_written(pdf, path, node, table.get(node.objgen))):
        if identity not in table or pdf.get_object(identity) is None:
            return True
    return False


def values_in(text: bytes) -> Iterator[tuple[int, int]]:
    """Find the references that are written as values, after white space and comments; in linear time.

    A comment may hold what looks like a key, with a comment of its own to the same end of the line. What follows
    that end is the same for both, so it is read once.

    Args:
        text: an object as it stands in the file.
    """
    line_end = behind = done = 0
    tried = -1
    for key in _VALUE.finditer(text):
        if key.start() < done:
            continue
        place = key.end()
        if text[place : place + 1] in (b"%", b"\r", b"\n"):
            if line_end < place:
                found = _LINE_END.search(text, place)
                line_end = len(text) if found is None else found.start()
            if line_end >= behind:
                between = _BETWEEN.match(text, line_end)
                behind = line_end if between is None else between.end()
            place = behind
        if place == tried:
            continue
        tried = place
        reference = _REFERENCE.match(text, place)
        if reference is not None:
            done = reference.end()
            yield int(reference[1]), int(reference[2])


def _written(pdf: pikepdf.Pdf, path: Path, node: Any, entry: Any) -> bytes:
    """Return an object as it stands in the file, or in its object stream."""
    if entry is None:
        return b""
    if entry.type == 1:
        with path.open("rb") as stream:
            stream.seek(entry.offset)
            return stream.read(_MAX_OBJECT).partition(b"endobj")[0]
    holder = pdf.get_object(entry.obj_stream_number, 0)
    first = int(holder["/First"])
    data: bytes = holder.read_bytes()
    numbers = [int(item) for item in data[:first].split()]
    places = dict(zip(numbers[::2], numbers[1::2], strict=False))
    start = places[node.objgen[0]]
    end = min((place for place in places.values() if place > start), default=len(data))
    return data[first + start : first + end]


def has_lost_field(root: Any) -> bool:
    """Whether the form says that there are signatures, and something stands where no field can be read."""
    form = root.get("/AcroForm")
    if not isinstance(form, pikepdf.Dictionary):
        return False
    flags = form.get("/SigFlags")
    if not isinstance(flags, int) or not flags & _SIGNATURES_EXIST:
        return False
    fields = form.get("/Fields")
    if not isinstance(fields, pikepdf.Array):
        return True
    lists = [fields, *(node.get("/Kids") for _, node in walk_tree(list(fields)))]
    return any(
        not isinstance(item, pikepdf.Dictionary)
        for items in lists
        if isinstance(items, pikepdf.Array)
        for item in items
    )


def has_stray_signature(pdf: pikepdf.Pdf, path: Path, owned: Iterable[int]) -> bool:
    """Whether a signature stands in the octets of a file which shows none, in whatever revision.

    Args:
        pdf: the opened file.
        path: the file.
        owned: offsets of objects that are known, such as usage rights of viewers.
    """
    known = set(owned)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        in_stream: Callable[[int], bool] | None = None
        for count, found in enumerate(_RANGE.finditer(octets)):
            if count >= _MAX_STRAYS:
                return True
            start = _object_start(octets, found.start())
            end = octets.find(b"endobj", found.end(), found.end() + _MAX_OBJECT)
            text = octets[start : end if end >= 0 else found.end() + _MAX_OBJECT]
            if start in known or not _SIGNATURE.search(text) or _RIGHTS.search(text):
                continue
            in_stream = in_stream or _streams(pdf, octets)
            if not in_stream(found.start()):
                return True
    return False


def _object_start(octets: mmap.mmap, position: int) -> int:
    """Return where the object around an offset begins; at most so far before it as objects are long."""
    lowest = max(0, position - _MAX_OBJECT)
    end = position
    for _ in range(_MAX_TRIES):
        place = octets.rfind(b"obj", lowest, end)
        if place < 0:
            break
        line = octets[max(0, place - 24) : place + 3]
        found = _OBJECT.search(line)
        if found is not None:
            digits = place + 3 - len(found[0])
            while digits > 0 and octets[digits - 1 : digits].isdigit():
                digits -= 1
            return digits
        end = place
    return lowest


def _streams(pdf: pikepdf.Pdf, octets: mmap.mmap) -> Callable[[int], bool]:
    """Return what tells whether an offset lies inside a stream that is in use, as an attached PDF does."""
    places = sorted(
        (entry.offset or 0, identity) for identity, entry in pdf.get_xref_table().items() if entry.type == 1
    )
    offsets = [offset for offset, _ in places]

    def inside(position: int) -> bool:
        index = bisect_right(offsets, position) - 1
        if index < 0:
            return False
        offset, identity = places[index]
        item = pdf.get_object(identity)
        data = _DATA.search(octets, offset, position)
        if not isinstance(item, pikepdf.Stream) or data is None:
            return False
        length = item.stream_dict.get("/Length")
        return isinstance(length, int) and position < data.end() + length

    return inside
