"""Takes files out of one file: `python -I -m vault.scanning.child PATH SPOOL FILES OCTETS DEPTH MEMORY SECONDS`.

Run by `vault.scanning.contents`. Writes each file in pieces behind their length (four octets, most significant
first), a length of zero at its end, and 0xFFFFFFFF at the end of all. Whatever it cannot do within its limits ends
it before
that: dying is an answer too. A file that cannot be opened at all, as behind a password, holds none that anybody finds.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import pikepdf
from pikepdf import settings as qpdf_settings

from vault.files.pdf_guard import InspectionLimits, fence
from vault.files.qpdf_limits import limit_qpdf
from vault.scanning.base import NotScanned, Reason
from vault.scanning.contents import END_OF_ALL, END_OF_FILE, LENGTH

_DECODED_LIMIT = 256 << 20
_PIECE = 256 * 1024
_HEAD = 1024
_FLATE = {"/FlateDecode", "/Fl"}
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    EOFError,
    zlib.error,
)


class Taker:
    """Takes apart one file, and what is in it."""

    def __init__(self, out: BinaryIO, spool: str, files: int, octets: int, depth: int) -> None:
        self._out = out
        self._spool = spool
        self._files = files
        self._octets = octets
        self._depth = depth

    def take_apart(self, path: Path, depth: int = 0) -> None:
        """Write every file within. Raises NotScanned."""
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
        is_pdf, is_zip = b"%PDF-" in head, head.startswith(b"PK")
        if not (is_pdf or is_zip):
            return
        if depth >= self._depth:
            raise NotScanned(Reason.COMPLEX)
        if is_pdf:
            self._pdf(path, depth)
        if is_zip:
            self._zip(path, depth)

    def _pdf(self, path: Path, depth: int) -> None:
        limit_errors = qpdf_settings.qpdf_limit_errors()
        try:
            pdf = pikepdf.open(path, inherit_page_attributes=False)
        except pikepdf.PasswordError:
            return
        except pikepdf.PdfError as error:
            if "bad_alloc" in str(error) or qpdf_settings.qpdf_limit_errors() > limit_errors:
                raise NotScanned(Reason.COMPLEX) from error
            return
        with pdf:
            for stream in _embedded(pdf):
                with tempfile.TemporaryFile(dir=self._spool) as copy:
                    self._count()
                    for piece in _decoded(stream):
                        self._write(copy, piece)
                    self._pass_on(copy)
                    self.take_apart(_path_of(copy), depth + 1)

    def _zip(self, path: Path, depth: int) -> None:
        """Look for what the engine unpacks, but does not look into; itself it has looked at already."""
        try:
            archive = zipfile.ZipFile(path)
        except _BROKEN_ZIP:
            return
        with archive:
            for member in archive.infolist():
                self._count()
                with tempfile.TemporaryFile(dir=self._spool) as copy:
                    if self._unpacked(archive, member, copy):
                        self.take_apart(_path_of(copy), depth + 1)

    def _unpacked(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, copy: IO[bytes]) -> bool:
        """Copy a member that may hold files; False for any other, and for one that cannot be read."""
        try:
            with archive.open(member) as stream:
                piece = stream.read(_PIECE)
                if not (b"%PDF-" in piece[:_HEAD] or piece.startswith(b"PK")):
                    return False
                while piece:
                    self._write(copy, piece)
                    piece = stream.read(_PIECE)
        except _BROKEN_ZIP:
            return False
        copy.flush()
        return True

    def _write(self, copy: IO[bytes], piece: bytes) -> None:
        self._octets -= len(piece)
        if self._octets < 0:
            raise NotScanned(Reason.COMPLEX)
        copy.write(piece)

    def _count(self) -> None:
        self._files -= 1
        if self._files < 0:
            raise NotScanned(Reason.COMPLEX)

    def _pass_on(self, copy: IO[bytes]) -> None:
        copy.flush()
        copy.seek(0)
        while piece := copy.read(_PIECE):
            self._out.write(LENGTH.pack(len(piece)) + piece)
        self._out.write(LENGTH.pack(END_OF_FILE))


def _path_of(copy: IO[bytes]) -> Path:
    return Path(f"/proc/self/fd/{copy.fileno()}")


def _embedded(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Stream]:
    """Yield every embedded file's stream once: those that say they are, and those that a specification names."""
    seen: set[tuple[int, int]] = set()
    for item in pdf.objects:
        for stream in _streams(item):
            if stream.objgen not in seen:
                seen.add(stream.objgen)
                yield stream


def _streams(item: pikepdf.Object) -> Iterator[pikepdf.Stream]:
    """Yield the embedded files of an object, and of what lies within it without a number of its own."""
    stack: list[object] = [item]
    while stack:
        each = stack.pop()
        if isinstance(each, pikepdf.Stream):
            if each.stream_dict.get("/Type") == pikepdf.Name.EmbeddedFile:
                yield each
            each = each.stream_dict
        if isinstance(each, pikepdf.Dictionary):
            files = each.get("/EF")
            if isinstance(files, pikepdf.Dictionary):
                yield from (file for file in _values(files) if isinstance(file, pikepdf.Stream))
            related = each.get("/RF")
            if isinstance(related, pikepdf.Dictionary):
                arrays = (array for array in _values(related) if isinstance(array, pikepdf.Array))
                yield from (file for array in arrays for file in array if isinstance(file, pikepdf.Stream))
            stack += _direct(_values(each))
        elif isinstance(each, pikepdf.Array):
            stack += _direct(list(each))


def _values(entries: pikepdf.Object) -> list[object]:
    return [entries[key] for key in entries.keys()]  # noqa: SIM118 - the type of a bare iteration is too wide


def _direct(values: list[object]) -> list[object]:
    kinds = (pikepdf.Dictionary, pikepdf.Array)
    return [each for each in values if isinstance(each, kinds) and not each.is_indirect]


def _decoded(stream: pikepdf.Stream) -> Iterator[bytes]:
    """Yield what a reader would save. Raises pikepdf.PdfError, zlib.error: nobody can tell what that is."""
    entries = stream.stream_dict
    named = entries.get("/Filter")
    filters = [str(each) for each in named] if isinstance(named, pikepdf.Array) else [str(named or "")]
    raw = stream.read_raw_bytes()
    if filters == [""] or not filters:
        yield from _pieces(raw)
    elif len(filters) == 1 and filters[0] in _FLATE and "/DecodeParms" not in entries:
        inflater, rest = zlib.decompressobj(), raw
        # What is cut short or damaged is read as far as it goes, as readers do.
        while rest and not inflater.eof:
            try:
                yield inflater.decompress(rest, _PIECE)
            except zlib.error:
                break
            rest = inflater.unconsumed_tail
        yield inflater.flush()
    else:
        yield from _pieces(stream.read_bytes(pikepdf.StreamDecodeLevel.specialized))


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


def main(arguments: list[str]) -> int:
    """Fence this process and take the file apart; returns the exit status."""
    path, spool, *numbers = arguments
    files, octets, depth, memory, seconds = (int(number) for number in numbers)
    # Attached files are larger than what a page holds; the fence bounds them.
    limit_qpdf(_DECODED_LIMIT)
    fence(InspectionLimits(memory=memory), seconds)
    # Nor may what is taken out fill the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))
    out = sys.stdout.buffer
    try:
        Taker(out, spool, files, octets, depth).take_apart(Path(path))
    except (NotScanned, MemoryError, RecursionError, pikepdf.PdfError, zlib.error, OSError, ValueError):
        return 1
    out.write(LENGTH.pack(END_OF_ALL))
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
