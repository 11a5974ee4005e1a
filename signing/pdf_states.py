"""States of a PDF: what its first octets alone say, opened by qpdf, one state for each place where a signature ends.

An incremental update leaves the octets before it as they were, so the state that was signed can be opened again.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pikepdf

from signing.errors import SignatureRefused
from signing.pdf_objects import STREAM, Ref, Stream, Value, parse

# ISO 32000-1, 7.5.5: the trailer belongs to no object; in references it stands as this owner.
TRAILER = Ref(0, 65535)
MAX_OBJECTS = 300_000
MAX_COMPARED = 256 << 20
_IN_MEMORY = 256 << 20
# Both occur in files of honest makers and leave qpdf nothing to guess.
BENIGN = (
    re.compile(r"reported number of objects \(\d+\) is not one plus the highest object number \(\d+\)"),
    re.compile(r"xref entry for the xref stream itself is missing"),
)
# A stream's length was corrected: its dictionary, and so what it refers to, is read the same way by all.
_LENGTH = re.compile(r"expected endstream|recover(?:ed|ing)? stream length")
_OFFSET = re.compile(r"\(object \d+ \d+, offset (\d+)\)|\(offset (\d+)\)| \(.*?offset (\d+)\)")

_IN_USE = frozenset({1, 2})

# Object number and generation, as qpdf gives them; a `Ref` is one.
Identity = tuple[int, int]
Entry = tuple[int, int | None, int | None]


def material_warnings(warnings: Iterable[Any]) -> tuple[str, ...]:
    """Return the warnings of qpdf that mean it had to guess, so that another reader may guess otherwise."""
    texts = (str(item) for item in warnings)
    return tuple(text for text in texts if not any(benign.search(text) for benign in BENIGN))


class State:
    """One state of a PDF.

    Attributes:
        end: octets of the file that make it.
        table: where each object is: (1, offset, 0), or (2, object stream, index in it).
        warnings: why qpdf had to guess while opening; empty for a sound file.
    """

    def __init__(self, pdf: pikepdf.Pdf, end: int) -> None:
        self.end = end
        self._pdf = pdf
        self.table: dict[Identity, Entry] = {
            identity: (1, entry.offset, 0)
            if entry.type == 1
            else (2, entry.obj_stream_number, entry.obj_stream_index)
            for identity, entry in pdf.get_xref_table().items()
            if entry.type in _IN_USE
        }
        if len(self.table) > MAX_OBJECTS:
            raise too_complex("the PDF has too many objects")
        self.warnings = material_warnings(pdf.get_warnings())
        self._values: dict[Ref, Value | None] = {}

    def declare(self, identities: Iterable[Identity]) -> None:
        """Let references to objects that this state does not define stay visible instead of reading as null."""
        for identity in set(identities).difference(self.table):
            # pikepdf offers no public way to define an object under a number.
            self._pdf._replace_object(identity, pikepdf.Dictionary())  # noqa: SLF001

    def trailer_text(self) -> bytes:
        """Return the canonical text of the newest trailer."""
        text: bytes = self._pdf.trailer.unparse(resolved=True)
        return text

    @property
    def trailer(self) -> dict[bytes, Value]:
        """The newest trailer."""
        value = parse(self.trailer_text())
        return value if isinstance(value, dict) else {}

    def text(self, identity: Ref) -> bytes:
        """Return the canonical text of an object, b"null" where there is none; of a stream, its dictionary's."""
        if identity not in self.table:
            return b"null"
        item = self._pdf.get_object(identity)
        if item is None:
            return b"null"
        text: bytes = item.unparse(resolved=True)
        if text == b"%d %d R" % identity:
            return STREAM + item.stream_dict.unparse(resolved=True)
        return text

    def value(self, identity: Ref) -> Value | None:
        """Return the value of an object; None where it is null or not there."""
        if identity not in self._values:
            text = self.text(identity)
            value: Value | None
            if text.startswith(STREAM):
                entries = parse(text[len(STREAM) :])
                if not isinstance(entries, dict):
                    raise ValueError("a stream without dictionary")
                value = Stream(identity, entries)
            else:
                value = None if text == b"null" else parse(text)
            self._values[identity] = value
        return self._values[identity]

    def resolve(self, value: Value | None) -> Value | None:
        """Follow a reference; other values, and None, are returned as they are."""
        if isinstance(value, Ref):
            return self.value(value)
        return None if value == b"null" else value

    def get(self, value: Value | None, key: bytes) -> Value | None:
        """Return an entry of a dictionary (or of a stream's), resolved; None where there is none."""
        value = self.resolve(value)
        if isinstance(value, Stream):
            value = value.dictionary
        return self.resolve(value.get(key)) if isinstance(value, dict) else None

    def octets(self, stream: Stream) -> bytes:
        """Return a stream's data as they stand in the file."""
        item = self._pdf.get_object(stream.ref)
        length = item.stream_dict.get("/Length")
        if length is not None and int(length) > MAX_COMPARED:
            raise too_complex("a stream is too large to be compared")
        raw: bytes = item.read_raw_bytes()
        return raw

    def decoded(self, stream: Stream, limit: int) -> bytes | None:
        """Return a stream's data, inflated; None when there are more octets than the limit, or other filters."""
        data = self.octets(stream)
        filters = self.resolve(stream.dictionary.get(b"/Filter"))
        if filters in ([b"/FlateDecode"], b"/FlateDecode") and b"/DecodeParms" not in stream.dictionary:
            data = zlib.decompressobj().decompress(data, limit + 1)
        elif filters not in (None, []):
            return None
        return data if len(data) <= limit else None

    def same(self, other: State, identity: Ref) -> bool:
        """Whether an object has the same value in both states; streams need the same octets too."""
        mine, its = self.text(identity), other.text(identity)
        if not mine.startswith(STREAM) and not its.startswith(STREAM):
            return mine == its or self.value(identity) == other.value(identity)
        first, second = self.value(identity), other.value(identity)
        if not isinstance(first, Stream) or not isinstance(second, Stream):
            return False
        if _without_length(first.dictionary) != _without_length(second.dictionary):
            return False
        mine, its = (
            hashlib.sha256(state.octets(item)).digest() for state, item in ((self, first), (other, second))
        )
        return mine == its

    def late_warnings(self, since: int) -> tuple[list[str], list[str]]:
        """Return the warnings that reading objects gave: those about octets before an offset, and the others."""
        before: list[str] = []
        after: list[str] = []
        for text in material_warnings(self._pdf.get_warnings()):
            found = _OFFSET.search(text)
            early = found is not None and int(found[1] or found[2] or found[3]) < since
            if early and _LENGTH.search(text):
                continue
            (before if early else after).append(text)
        return before, after


def _without_length(entries: dict[bytes, Value]) -> dict[bytes, Value]:
    return {key: value for key, value in entries.items() if key != b"/Length"}


def too_complex(message: str) -> SignatureRefused:
    """Return the refusal of a file that would cost too much to judge."""
    return SignatureRefused("PDF_TOO_COMPLEX", message, indeterminate=True)


@contextmanager
def open_state(path: Path, end: int) -> Iterator[State]:
    """Open what the first octets of a file say.

    Args:
        path: the file.
        end: how many octets.

    Raises:
        pikepdf.PdfError: qpdf cannot make a PDF of them.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        if end >= size:
            source: Any = path
        elif end <= _IN_MEMORY and hasattr(os, "memfd_create"):
            source = _copy(stream, end)
        else:
            source = io.BufferedReader(_Cut(stream, end), 1 << 16)
        try:
            # The page tree is left alone: qpdf would complete and repair it.
            with pikepdf.open(
                f"/proc/self/fd/{source}" if isinstance(source, int) else source,
                suppress_warnings=True,
                inherit_page_attributes=False,
                conversion_mode="explicit",
            ) as pdf:
                yield State(pdf, min(end, size))
        finally:
            if isinstance(source, int):
                os.close(source)


def _copy(stream: BinaryIO, end: int) -> int:
    """Copy the first octets to a file in memory; returns its descriptor."""
    target = os.memfd_create("pdf-state")
    done = 0
    while done < end:
        sent = os.sendfile(target, stream.fileno(), done, end - done)
        if sent == 0:
            break
        done += sent
    return target


class _Cut(io.RawIOBase):
    """A file that ends early."""

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream = stream
        self._end = end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        self._stream.seek(self._position)
        data = self._stream.read(max(0, min(len(buffer), self._end - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
