"""What keeps a hostile PDF from exhausting the process: limits, a cheap look at the bytes, a fenced probe.

qpdf holds an object in about 70 to 140 times its written size, and reads an object stream whole. Three
fences:

* process-wide qpdf limits, set once when this module is imported: no Flate stream inflates past
  `FLATE_LIMIT`. They hold for every pikepdf user of the process; one that must decode larger page content or
  images does so in a process of its own;
* `looks_costly`: a search of the raw bytes for what those limits do not cover (LZW, filters named by
  reference or in escaped letters, very many tokens, escaped letters or tables, very large files);
* `probe`: the same examination in a child with limited memory, processor time and wall time. Only files that
  look costly pay for it.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from vault.errors import Refused
from vault.files.qpdf_limits import limit_qpdf

FLATE_LIMIT = 2 * 1024 * 1024
_ALWAYS_PROBED = 32 * 1024 * 1024
_NEVER_COUNTED = 1024 * 1024
_MAX_TOKENS = 1_500_000
_CHUNK = 64 * 1024
# Random (compressed) octets hold 6 % of separators; written objects hold far more.
_DENSE = _CHUNK * 8 // 100
_SEPARATORS = b"\x00\t\n\x0c\r ()<>[]{}/%"
_UNUSUAL_FILTER = re.compile(rb"/(?:LZW|Filter[\x00\t\n\x0c\r \[]*[0-9%])")
_ESCAPED = re.compile(rb"#[0-9A-Fa-f]{2}")
_ESCAPE_BEFORE = re.compile(rb"/[^\x00\t\n\x0c\r ()<>\[\]{}/%]*\Z")
_ESCAPE_AFTER = re.compile(rb"[^\x00\t\n\x0c\r ()<>\[\]{}/%]*")
_COSTLY_NAMES = re.compile(rb"/(?:Filter|LZW.*|XRef)\Z")
_TABLE = re.compile(rb"/XRef(?!Stm)")
# One table may hold all that follows it, the next ones too: qpdf reads as often as there are tables.
_MAX_TABLES = 50
_MAX_ESCAPES = 20_000
# Octets of a name at most, and as many escapes.
NAME_REACH = 254
# Searched at once, while no other thread runs.
_PIECE = 1024 * 1024
_SLOW_STEP = 0.002
_READ_AT_OPENING = re.compile(rb"/(?:ObjStm|XRef)")
_MAX_TRIED = 32

limit_qpdf(FLATE_LIMIT)


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """How much a PDF may ask of the inspection.

    Attributes:
        max_pages: pages of a document.
        max_objects: entries of the cross-reference table, and objects visited by the walk.
        max_inflated: octets of all object streams once inflated.
        max_tokens: separators in all inflated object streams (memory is about 140 octets for each).
        seconds: wall time of the examination in this process, and processor time in the probe.
        memory: octets the examination may add to the process.
    """

    max_pages: int = 20_000
    max_objects: int = 300_000
    max_inflated: int = 64 * 1024 * 1024
    max_tokens: int = 3_000_000
    seconds: float = 2.0
    memory: int = 256 * 1024 * 1024


class MemoryGrew(Exception):
    """The process grew while examining a file: only a probe can tell whether the file was the cause."""


class Budget:
    """Wall time and memory of one examination; `spend` is called whenever one more object may be read.

    Reading one object costs up to the size of the file, so memory is looked at after each slow step too.

    Raises:
        Refused: PDF_TOO_COMPLEX when the time is over.
        MemoryGrew: when the whole process grew past the limit, by this file or by another thread.
    """

    def __init__(self, limits: InspectionLimits, *, watch_memory: bool) -> None:
        self._limits = limits
        self._last = time.monotonic()
        self._end = self._last + limits.seconds
        self._watch = watch_memory
        self._start = resident() if watch_memory else 0
        self._steps = 0

    def spend(self) -> None:
        """Count one step."""
        now = time.monotonic()
        slow, self._last = now - self._last > _SLOW_STEP, now
        self._steps += 1
        if now > self._end:
            raise too_complex("time", self._limits.seconds)
        if (
            self._watch
            and (slow or self._steps % 256 == 0)
            and resident() - self._start > self._limits.memory
        ):
            raise MemoryGrew


def too_complex(what: str, limit: float) -> Refused:
    """Build the refusal of a file that asks too much; `what` names the limit it passed."""
    return Refused("PDF_TOO_COMPLEX", f"{what} over {limit}", what=what, limit=limit)


def resident() -> int:
    """Return the resident memory of this process in octets."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = os.read(descriptor, 256).split(maxsplit=2)[1]
    finally:
        os.close(descriptor)
    return int(pages) * mmap.PAGESIZE


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a non-empty file for reading; its pages belong to the cache, not to the process."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    with data:
        yield data


def pieces(data: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where pieces of a file begin and end, so that a large map never counts as memory held."""
    for start in range(0, len(data), _PIECE):
        end = min(len(data), start + _PIECE)
        yield start, end
        if isinstance(data, mmap.mmap) and len(data) > _PIECE:
            data.madvise(mmap.MADV_DONTNEED, start, end - start)


def escaped_names(data: bytes | mmap.mmap) -> Iterator[bytes]:
    """Yield, decoded, each name written with `#xx` escapes (ISO 32000-1 section 7.3.5)."""
    done = 0
    for match in _ESCAPED.finditer(data):
        if match.start() < done:
            continue
        before = _ESCAPE_BEFORE.search(data[max(0, match.start() - NAME_REACH // 2) : match.start()])
        if before is None:
            continue
        after = _ESCAPE_AFTER.match(data[match.start() : match.start() + NAME_REACH])
        rest = after[0] if after else b""
        done = match.start() + len(rest)
        yield _unescaped(before[0] + rest)


def looks_costly(data: bytes | mmap.mmap) -> bool:
    """Tell whether opening this file here could cost more than the process-wide limits allow."""
    size = len(data)
    if size > _ALWAYS_PROBED or _UNUSUAL_FILTER.search(data):
        return True
    if _more(_ESCAPED, data, _MAX_ESCAPES) or _more(_TABLE, data, _MAX_TABLES):
        return True
    if any(_COSTLY_NAMES.match(name) for name in escaped_names(data)):
        return True
    if size <= _NEVER_COUNTED:
        return False
    tokens = 0
    for start in range(0, size, _CHUNK):
        chunk = data[start : start + _CHUNK]
        found = separators(chunk)
        tokens += found if found > _DENSE else 0
        if tokens > _MAX_TOKENS:
            return True
    return False


def _more(pattern: re.Pattern[bytes], data: bytes | mmap.mmap, most: int) -> bool:
    """Tell whether something is found more often than so."""
    return any(count == most for count, _ in enumerate(pattern.finditer(data)))


def _unescaped(name: bytes) -> bytes:
    """Decode the `#xx` escapes of a name."""
    return _ESCAPED.sub(lambda match: bytes([int(match[0][1:], 16)]), name)


def overflows(data: mmap.mmap) -> bool:
    """Tell whether a file qpdf could not open holds an object or table stream past `FLATE_LIMIT`.

    Only chooses the words of a refusal (too complex, or damaged), so a rough reading of the bytes will do.
    """
    for tried, match in enumerate(_READ_AT_OPENING.finditer(data)):
        start = data.find(b"stream", match.end(), match.end() + 2048)
        if tried == _MAX_TRIED:
            break
        if start < 0:
            continue
        written = _unescaped(data[max(0, match.start() - 256) : start])
        if b"LZW" in written or written.count(b"/Fl") > 1:
            return True
        body = data[start + 6 : start + 6 + FLATE_LIMIT].lstrip(b"\r\n")
        try:
            inflated = zlib.decompressobj().decompress(body, FLATE_LIMIT + 1)
        except zlib.error:
            continue
        if len(inflated) > FLATE_LIMIT:
            return True
    return False


def separators(data: bytes) -> int:
    """Count the octets that end tokens: an upper bound of the tokens, at memory speed."""
    return len(data) - len(data.translate(None, _SEPARATORS))


def probe(path: Path, descriptor: int, limits: InspectionLimits) -> dict[str, object]:
    """Examine a file in a fenced child process.

    Args:
        path: a path the child can open; `/proc/self/fd/N` works, the descriptor is handed down.
        descriptor: the descriptor behind the path.
        limits: what it may cost; processor time grows with the file, one second for each 50 MB.

    Returns:
        What `vault.files.pdf_probe` prints: findings as (code, detail, params) lists, pages, signed, version.

    Raises:
        Refused: PDF_TOO_COMPLEX when the child passed a limit or died.
    """
    seconds = limits.seconds + path.stat().st_size / 50_000_000
    command = [sys.executable, "-I", "-m", "vault.files.pdf_probe", str(path), json.dumps(asdict(limits))]
    try:
        child = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            [*command, str(int(seconds + 1))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(descriptor,),
            timeout=3 * seconds + 5,
            check=False,
        )
        report = json.loads(child.stdout) if child.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, OSError):
        report = None
    if not isinstance(report, dict):
        raise too_complex("memory", limits.memory)
    return report


def fence(limits: InspectionLimits, seconds: int) -> None:
    """Limit this process, for good: memory beyond what it holds now, processor time, no core file.

    RLIMIT_DATA counts what is allocated, not the mapped file, which may be larger than the whole allowance.
    """
    held = int(Path("/proc/self/statm").read_bytes().split()[5]) * mmap.PAGESIZE
    ceiling = held + limits.memory
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
