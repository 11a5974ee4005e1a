"""The octets that were appended to a signed PDF, looked at one by one.

qpdf follows the cross-reference tables; another reader may search for objects instead. Here what such a reader
would find is compared with what the tables say: an object that no table names, or that is there twice, makes two
documents of one file.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from signing.pdf_objects import Ref
from signing.pdf_signatures import PdfSignature
from signing.pdf_states import Entry, Identity, too_complex

MAX_REVISIONS = 20
_MAX_OBJECTS = 300_000
_TOKEN = re.compile(
    rb"(?<![0-9])([0-9]{1,10})[\x00\t\n\x0c\r ]+([0-9]{1,5})[\x00\t\n\x0c\r ]+obj(?![A-Za-z0-9])"
    rb"|(?<!end)(stream)(?=\r?\n)"
    rb"|(%%EOF[\x00\t\n\x0c\r ]{0,16})"
    rb"|startxref[\x00\t\n\x0c\r ]+([0-9]{1,15})"
    rb"|(%PDF-)"
    rb"|/([A-Za-z#0-9]{7,30})(?![A-Za-z0-9#])"
)
_LAST = re.compile(rb"startxref[\x00\t\n\x0c\r ]+[0-9]{1,15}[\x00\t\n\x0c\r ]+%%EOF[\x00\t\n\x0c\r ]{0,16}\Z")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_FORBIDDEN = {
    b"XRefStm": "a second cross-reference section for other readers was added",
    b"Encrypt": "encryption appears after a signature",
}


@dataclass(slots=True)
class Tail:
    """What stands between two offsets of a file, outside streams.

    Attributes:
        headers: objects that start there, by offset.
        ends: offsets behind each %%EOF and its white space.
        starts: what each startxref points to.
        problem: why the octets cannot be one more revision; "" when they can.
    """

    headers: dict[int, Ref] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    problem: str = ""


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        yield octets


def scan(path: Path, start: int, end: int) -> Tail:
    """Read what was appended: from the end of a signed state to the end of the next one.

    1. It ends in startxref, a number and %%EOF, and the number points into it. 2. Between two %%EOF no object is
    defined twice. 3. There is no second header, no hybrid cross-reference, no encryption.

    Args:
        path: the file.
        start: offset of the first octet.
        end: offset behind the last.
    """
    tail = Tail()
    with _mapped(path) as octets:
        _read(octets, start, end, tail)
        # 1
        if _LAST.search(octets[max(start, end - 128) : end]) is None:
            tail.problem = tail.problem or "what follows the signature is no revision of the document"
        elif not tail.starts or not start <= tail.starts[-1] < end:
            tail.problem = tail.problem or "what follows the signature has no cross-reference of its own"
    return tail


def _read(octets: mmap.mmap, start: int, end: int, tail: Tail) -> None:
    numbers: set[int] = set()
    position = start
    while (found := _TOKEN.search(octets, position, end)) is not None:
        position = found.end()
        kind = found.lastindex
        if kind == 2:
            # 2
            _add(tail, numbers, found.start(), Ref(int(found[1]), int(found[2])))
        elif kind == 3:
            position = octets.find(b"endstream", position, end)
            if position < 0:
                tail.problem = tail.problem or "a stream has no end"
                return
        elif kind == 4:
            tail.ends.append(position)
            numbers.clear()
        elif kind == 5:
            tail.starts.append(int(found[5]))
        else:
            # 3
            tail.problem = tail.problem or _forbidden(found)


def _add(tail: Tail, numbers: set[int], offset: int, identity: Ref) -> None:
    if identity.number in numbers:
        tail.problem = tail.problem or f"object {identity.number} is defined twice in one revision"
    numbers.add(identity.number)
    tail.headers[offset] = identity
    if len(tail.headers) > _MAX_OBJECTS:
        raise too_complex("too many objects were added")


def _forbidden(found: re.Match[bytes]) -> str:
    if found.lastindex == 6:
        return "a second PDF header follows the signature"
    return _FORBIDDEN.get(_ESCAPE.sub(_unescape, found[7]), "")


def _unescape(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def unnamed(
    tail: Tail,
    start: int,
    table: dict[Identity, Entry],
    intermediate: Callable[[int], dict[Identity, Entry]],
) -> str:
    """Compare the objects that stand in a tail with those that the cross-reference tables name.

    Args:
        tail: from `scan`.
        start: where it begins.
        table: of the state that ends where the tail ends.
        intermediate: gives the table of the state that ends at an offset inside.

    Returns:
        Why they differ; "" when they do not.

    Raises:
        SignatureRefused: PDF_TOO_COMPLEX (indeterminate).
    """
    named = {entry[1] for entry in table.values() if entry[0] == 1}
    for identity, entry in table.items():
        if entry[0] == 1 and entry[1] is not None and entry[1] >= start:
            found = tail.headers.get(entry[1])
            if found != identity:
                return f"object {identity[0]} does not stand where the cross-reference says"
    # Makers forget to name the cross-reference stream itself.
    left = {offset for offset in tail.headers if offset not in named and offset not in tail.starts}
    inside = tail.ends[:-1]
    if left and len(inside) > MAX_REVISIONS:
        raise too_complex("too many revisions follow a signature")
    for end in inside if left else ():
        left -= {offset for _, offset, _ in intermediate(end).values() if offset is not None}
    if left:
        return f"object {tail.headers[min(left)].number} is in the file, but no cross-reference names it"
    return ""


def stray_ranges(path: Path, signatures: Sequence[PdfSignature]) -> list[int]:
    """Return the offsets of /ByteRange that belong to none of these signatures."""
    known = sorted((item.offset, item.byte_range[2]) for item in signatures if item.offset >= 0)
    found: list[int] = []
    with _mapped(path) as octets:
        position = octets.find(b"/ByteRange")
        while position >= 0 and len(found) < MAX_REVISIONS:
            after = [(start, end) for start, end in known if start <= position]
            # The dictionary may go on behind its gap, up to the next object.
            if not any(
                octets.find(b"endobj", max(start, min(end, position))) > position for start, end in after[-1:]
            ):
                found.append(position)
            position = octets.find(b"/ByteRange", position + 1)
    return found
