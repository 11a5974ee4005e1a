"""The files inside a file that no engine looks into by itself, one after the other.

ClamAV unpacks archives and most of what is attached to a PDF, but not what readers find and it does not: files whose
encoding is named by reference, to begin with. A process of its own (`vault.scanning.child`) takes attached files out
within limits and writes them to a pipe; here they are passed on, never whole in memory.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vault.intake import Spooled
from vault.scanning.base import NotScanned, Reason, ScannerDown

LENGTH = struct.Struct(">I")
END_OF_FILE = 0
END_OF_ALL = 0xFFFFFFFF
LARGEST_FRAME = 1 << 20
_HEAD = 1024
_TAIL = 65_557  # where the end of a ZIP's directory lies (APPNOTE.TXT 4.3.16)
_END_OF_DIRECTORY = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_SMALL_DIRECTORY = 1 << 20


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """What taking files out of one file may cost.

    Attributes:
        files: number of files.
        octets: of all of them.
        depth: files within files.
        memory: octets the child may add to itself.
        seconds: of the child's processor, and a third of its wall time; a second more for each 20 MB.
    """

    files: int = 2000
    octets: int = 1 << 30
    depth: int = 5
    memory: int = 512 << 20
    seconds: int = 20


class Contents:
    """Takes files out of files."""

    def __init__(
        self, spool: Path, limits: ContentLimits = ContentLimits(), *, at_once: int | None = None
    ) -> None:
        """Take what it works with.

        Args:
            spool: folder for the child's unnamed files.
            limits: for one file.
            at_once: children at the same time; None: as many as there are processors, at least two.
        """
        self._spool = spool
        self._limits = limits
        self._turns = threading.BoundedSemaphore(at_once or max(2, os.cpu_count() or 1))

    def files(self, spooled: Spooled) -> Iterator[Iterator[bytes]]:
        """Yield the octets of each file within; each is to be read before the next, wholly or not.

        Raises:
            NotScanned: TOO_COMPLEX: it asks for more than the limits, or cannot be taken apart within them.
            ScannerDown: no process is to be had.
        """
        with self._child(spooled) as out:
            while (length := _length(out)) != END_OF_ALL:
                inner = _octets(out, length)
                yield inner
                for _ in inner:
                    pass

    @contextmanager
    def _child(self, spooled: Spooled) -> Iterator[IO[bytes]]:
        limits = self._limits
        seconds = limits.seconds + spooled.size // 20_000_000
        numbers = (limits.files, limits.octets, limits.depth, limits.memory, seconds)
        descriptor = spooled.stream.fileno()
        command = [sys.executable, "-I", "-m", "vault.scanning.child", f"/proc/self/fd/{descriptor}"]
        if not self._turns.acquire(timeout=seconds):
            raise ScannerDown("SCANNER_DOWN", "too many files are being taken apart")
        try:
            try:
                child = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                    [*command, str(self._spool), *map(str, numbers)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(descriptor,),
                    env={"LC_ALL": "C.UTF-8"},
                )
            except OSError as error:
                raise ScannerDown("SCANNER_DOWN", "no process is to be had") from error
            watchdog = threading.Timer(3.0 * seconds, child.kill)
            watchdog.daemon = True
            watchdog.start()
            try:
                assert child.stdout is not None  # noqa: S101 - a pipe was asked for
                with child.stdout:
                    yield child.stdout
            finally:
                watchdog.cancel()
                with suppress(ProcessLookupError):
                    child.kill()
                child.wait()
        finally:
            self._turns.release()


def may_hold_files(spooled: Spooled) -> bool:
    """Tell whether files may have to be taken out: of a PDF, or of one in an archive, which ZIP files can be."""
    head = os.pread(spooled.stream.fileno(), _HEAD, 0)
    return b"%PDF-" in head or (head.startswith(b"PK") and _leads_further(spooled))


def _leads_further(spooled: Spooled) -> bool:
    """Tell whether a member of an archive may be a PDF or an archive; True where that costs too much to find out.

    Office documents are archives, and hardly any holds such: starting a process for each would cost more than all else.
    """
    descriptor = spooled.stream.fileno()
    tail = os.pread(descriptor, _TAIL, max(0, spooled.size - _TAIL))
    found = tail.rfind(_END_OF_DIRECTORY)
    if found < 0 or len(tail) < found + 16 or _ZIP64 in tail:
        return True
    if int.from_bytes(tail[found + 12 : found + 16], "little") > _SMALL_DIRECTORY:
        return True
    try:
        with zipfile.ZipFile(spooled.path) as archive:
            return any(_may_lead_further(archive, member) for member in archive.infolist())
    except Exception:  # whatever a hostile archive brings about is for the fenced process
        return True


def _may_lead_further(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    # Other ways of packing are unpacked without bound.
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return True
    with archive.open(member) as stream:
        head = stream.read(_HEAD)
    return b"%PDF-" in head or head.startswith(b"PK")


def _octets(out: IO[bytes], length: int) -> Iterator[bytes]:
    """Yield the rest of one file, whose first piece is that long."""
    while length != END_OF_FILE:
        if length > LARGEST_FRAME:
            raise NotScanned(Reason.COMPLEX, "the child writes something else")
        data = out.read(length)
        if len(data) < length:
            raise _gave_up()
        yield data
        length = _length(out)


def _length(out: IO[bytes]) -> int:
    data = out.read(LENGTH.size)
    if len(data) < LENGTH.size:
        raise _gave_up()
    return int(LENGTH.unpack(data)[0])


def _gave_up() -> NotScanned:
    """A child that passed a limit, was killed or crashed says nothing more."""
    return NotScanned(Reason.COMPLEX, "it cannot be taken apart within the limits")
