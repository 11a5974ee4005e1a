"""Marked copies: made of an original at request, for one recipient and purpose, never in the original's place.

A copy shows the pages of a PDF or the picture of an image under a transparent text, with a strip below that says for
whom it was made, what for and until when. It is made anew from what is seen: seals, signatures, attachments, forms,
scripts, links and metadata of the original are not in it. Whoever wants to can take a mark off; it says for whom a copy
was made, it locks nothing.

The work is done in a child process with limited memory and time (`vault.documents.watermark_child`): originals come
from anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal

import typst

from plumbing.disk import in_memory
from vault.errors import Refused, Unavailable
from vault.intake import Spool, receive
from vault.records.objects import file_chunks

PDF, JPEG, PNG = "application/pdf", "image/jpeg", "image/png"
ENDINGS = {PDF: "pdf", JPEG: "jpg", PNG: "png"}
_TEMPLATES = Path(__file__).resolve().parent / "watermark_templates"
_LONGEST = 300  # characters of one text
_SHOWN_BELOW = 0x530  # Latin, Greek, Cyrillic: what the fonts at hand show
_TYPOGRAPHY = "’‘“”«»–—…€№"
_IMAGE_PPI = 220.0
_Form = Literal["pdf", "png"]
_REASONS = frozenset({"pages", "pixels", "password", "damaged", "size"})


@dataclass(frozen=True, slots=True)
class Marking:
    """What a copy says of itself.

    Attributes:
        recipient: for whom, in words.
        purpose: what for, in words.
        ends_at: until when, UTC.
        address: where it can be verified.
        reference: of the share; opens nothing.
    """

    recipient: str
    purpose: str
    ends_at: datetime
    address: str
    reference: str

    def data(self) -> dict[str, str]:
        """Return what the templates take; characters that no font at hand shows stand as their number."""
        return {
            "recipient": shown(self.recipient),
            "purpose": shown(self.purpose),
            "end_fr": f"{self.ends_at:%d/%m/%Y}",
            "end_en": f"{self.ends_at:%Y-%m-%d}",
            "address": shown(self.address),
            "reference": shown(self.reference),
        }


@dataclass(frozen=True, slots=True)
class MarkingLimits:
    """What making one copy may cost.

    Attributes:
        size: octets of an original.
        pages: pages of a PDF.
        pixels: of an image.
        memory: octets the child may take beyond its start.
        seconds: processor time of the child; thrice that on the wall.
    """

    size: int = 256 * 1024 * 1024
    pages: int = 1000
    pixels: int = 60_000_000
    memory: int = 768 * 1024 * 1024
    seconds: int = 30


@dataclass(frozen=True, slots=True)
class Copy:
    """A marked copy in an unnamed file, which goes when nothing refers to it any more.

    Attributes:
        stream: the file.
        size: octets.
        sha256: digest, 32 octets.
    """

    stream: BinaryIO
    size: int
    sha256: bytes

    def read(self, offset: int, length: int | None) -> Iterator[bytes]:
        """Yield octets from an offset, a length of them (None: to the end)."""
        left = self.size - offset if length is None else length
        self.stream.seek(offset)
        while left > 0 and (chunk := self.stream.read(min(left, 1 << 20))):
            left -= len(chunk)
            yield chunk


def demand_markable(media_type: str) -> None:
    """Refuse a type of which no marked copy can be made. Raises Refused(COPY_TYPE_UNSUPPORTED)."""
    if media_type not in ENDINGS:
        raise Refused("COPY_TYPE_UNSUPPORTED", media_type=media_type)


def shown(text: str) -> str:
    """Return a text as the fonts at hand show it."""
    cut = text[:_LONGEST]
    return "".join(
        each
        if each.isprintable() and (ord(each) < _SHOWN_BELOW or each in _TYPOGRAPHY)
        else f"\\u{{{ord(each):x}}}"
        for each in cut
    ) + ("…" if len(text) > _LONGEST else "")


class Watermarks:
    """Makes marked copies."""

    def __init__(
        self, spool: Path, limits: MarkingLimits = MarkingLimits(), *, at_once: int | None = None
    ) -> None:
        """Take what it works with.

        Args:
            spool: folder for unnamed files.
            limits: of one copy.
            at_once: copies made at the same time; None: as many as there are processors, at least two.
        """
        self._spool = spool
        self._limits = limits
        self._turns = threading.BoundedSemaphore(at_once or max(2, os.cpu_count() or 1))

    def make(self, original: Iterable[bytes], size: int, media_type: str, marking: Marking) -> Copy:
        """Make a marked copy; the same arguments give the same octets.

        Args:
            original: octets of the original.
            size: how many they are.
            media_type: of the original.
            marking: what the copy says of itself.

        Raises:
            Refused: COPY_TYPE_UNSUPPORTED; COPY_IMPOSSIBLE with `reason`: `pages`, `pixels`, `size`, `password`,
                `damaged` or `limits`.
            Unavailable: BUSY when too many copies are being made; STORAGE_UNAVAILABLE.
        """
        demand_markable(media_type)
        if size > self._limits.size:
            raise Refused("COPY_IMPOSSIBLE", reason="size")
        if not self._turns.acquire(timeout=self._limits.seconds):
            raise Unavailable("BUSY")
        try:
            overlays = _overlays(marking, "pdf" if media_type == PDF else "png")
            with receive(original, folder=self._spool, limit=self._limits.size) as source:
                made = Spool(self._spool).open()
                try:
                    self._run(source.stream, overlays, made, media_type)
                    return _finished(made)
                except BaseException:
                    made.close()
                    raise
        finally:
            self._turns.release()

    def _run(self, source: BinaryIO, overlays: tuple[bytes, bytes], made: BinaryIO, media_type: str) -> None:
        """Run the child. Raises Refused(COPY_IMPOSSIBLE)."""
        limits = json.dumps(asdict(self._limits))
        with in_memory(overlays[0], "overlay") as band, in_memory(overlays[1], "overlay") as tile:
            files = (source.fileno(), band, tile, made.fileno())
            command = [sys.executable, "-I", "-m", "vault.documents.watermark_child", media_type, limits]
            try:
                child = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
                    [*command, *map(str, files)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    pass_fds=files,
                    timeout=3 * self._limits.seconds,
                    env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Refused("COPY_IMPOSSIBLE", reason="limits") from None
            except OSError as error:
                raise Unavailable("BUSY", "no process is to be had") from error
        if child.returncode != 0:
            said = child.stdout[:32].decode("ascii", "replace")
            raise Refused("COPY_IMPOSSIBLE", reason=said if said in _REASONS else "limits")


def _overlays(marking: Marking, form: _Form) -> tuple[bytes, bytes]:
    data = json.dumps(marking.data(), ensure_ascii=False)
    return _typeset("band", data, form), _typeset("tile", data, form)


def _typeset(name: str, data: str, form: _Form) -> bytes:
    made = typst.compile(
        _TEMPLATES / f"{name}.typ",
        root=_TEMPLATES,
        font_paths=_fonts(),
        ignore_system_fonts=True,
        format=form,
        ppi=_IMAGE_PPI if form == "png" else None,
        sys_inputs={"data": data},
        timestamp=0,
        pdf_tags=False,
    )
    return bytes(made)


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[])


def _finished(made: BinaryIO) -> Copy:
    state, size = hashlib.sha256(), 0
    for chunk in file_chunks(made):
        state.update(chunk)
        size += len(chunk)
    return Copy(made, size, state.digest())
