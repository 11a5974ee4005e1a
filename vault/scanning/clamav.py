"""ClamAV behind the port `vault.scanning.base.Scanner`: clamd's protocol (clamd(8)) over TCP or a socket file.

A command is `z`, its name and a NUL, and so is the answer without the `z`. INSTREAM is followed by chunks, each behind
its length in four octets, and a length of zero. Only the answer `stream: OK` means clean.
"""

from __future__ import annotations

import io
import re
import select
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from vault.scanning.base import NotScanned, Reason, ScannerDown

_FRAME = 256 * 1024
_LONGEST_ANSWER = 4096
_OCTETS_PER_S = 4 * 1024 * 1024
_FOUND = re.compile(r"stream: ([ -~]{1,500}) FOUND")
_VERSION = re.compile(r"ClamAV [ -~]{1,190}")
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_LIMIT = "Heuristics.Limits.Exceeded"
_TOO_LARGE = "INSTREAM size limit exceeded"
# clamd unpacks at most a hundred levels, whatever its configuration says.
_DEEPER_THAN_ANY = 102
# The file of eicar.org that every engine finds and that does nothing; in two parts, lest one finds it here.
_HARMLESS = (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")


@dataclass(frozen=True, slots=True)
class ClamdConfig:
    """How clamd is reached.

    Attributes:
        address: path of its socket, or `HOST:PORT`.
        connect_timeout_s: seconds to connect, and for its version.
        timeout_s: seconds for one file; a second more for each 4 MiB.
        connections: files it is given at once.
    """

    address: str
    connect_timeout_s: float = 2.0
    timeout_s: float = 10.0
    connections: int = 8


class Clamd:
    """One clamd; safe for many threads."""

    def __init__(self, config: ClamdConfig) -> None:
        """Take where it is; it is not asked yet.

        Raises:
            ValueError: the address is neither a path nor `HOST:PORT`.
        """
        self._config = config
        self._place = _place(config.address)
        self._turns = threading.BoundedSemaphore(config.connections)

    def version(self) -> str:
        """See `Scanner`: such as `ClamAV 1.4.3/27800/Sun Nov 22 09:11:02 2026`."""
        with self._connected(self._config.connect_timeout_s) as line:
            line.send(b"zVERSION\0")
            answer = line.answer()
        if _VERSION.fullmatch(answer) is None:
            raise ScannerDown("SCANNER_DOWN", "what answers is no clamd")
        return answer

    def scan(self, chunks: Iterable[bytes]) -> str:
        """See `Scanner`."""
        began = time.monotonic()
        if not self._turns.acquire(timeout=self._config.timeout_s):
            raise ScannerDown("SCANNER_DOWN", "too many files at once")
        try:
            # Waiting for a turn counts: a hanging engine must not hold up one row of files after the other.
            with self._connected(self._config.timeout_s - (time.monotonic() - began)) as line:
                whole = _give(line, chunks)
                found = _read_verdict(line.answer())
                if not (whole or found):
                    raise ScannerDown("SCANNER_DOWN", "it calls clean what it was not given")
                return found
        finally:
            self._turns.release()

    def prove(self) -> None:
        """See `Scanner`; that limits are told is `AlertExceedsMax yes` of clamd.conf."""
        if not self.scan((b"".join(_HARMLESS),)):
            raise ScannerDown("SCANNER_BLIND", "it does not find the test file: are its signatures loaded?")
        try:
            self.scan((_too_deep(),))
        except NotScanned:
            return
        raise ScannerDown("SCANNER_BLIND", "it is silent about what passes its limits: AlertExceedsMax yes")

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[_Line]:
        limit = self._config.connect_timeout_s
        try:
            with _connect(self._place, limit) as connection:
                yield _Line(connection, seconds)
        except OSError as error:
            raise ScannerDown("SCANNER_DOWN", type(error).__name__) from error


class _Line:
    """A connection with an end in time."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._socket = connection
        self._end = time.monotonic() + seconds

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it; what is large has more time."""
        self._end += len(data) / _OCTETS_PER_S
        self._limit()
        self._socket.sendall(data)

    def has_answer(self) -> bool:
        """Tell whether clamd speaks before it was given all."""
        ready = select.poll()
        ready.register(self._socket, select.POLLIN)
        return bool(ready.poll(0))

    def answer(self) -> str:
        """Return what it answers, up to the NUL."""
        data = b""
        while b"\0" not in data:
            self._limit()
            part = self._socket.recv(_LONGEST_ANSWER)
            data += part
            if not part or len(data) > _LONGEST_ANSWER:
                raise ScannerDown("SCANNER_DOWN", "the answer has no end")
        return data.partition(b"\0")[0].decode("ascii", "replace")

    def _limit(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def _give(line: _Line, chunks: Iterable[bytes]) -> bool:
    """Send a file, or as much of it as clamd wants; tell whether it was all."""
    try:
        line.send(b"zINSTREAM\0")
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                if line.has_answer():
                    return False
                frame, view = view[:_FRAME], view[_FRAME:]
                line.send(struct.pack(">I", len(frame)))
                line.send(frame)
        line.send(struct.pack(">I", 0))
    except (BrokenPipeError, ConnectionResetError):
        return False  # it may have said why
    return True


def _read_verdict(answer: str) -> str:
    if answer == "stream: OK":
        return ""
    if answer.startswith(_TOO_LARGE):
        raise NotScanned(Reason.LARGE, answer[:120])
    found = _FOUND.fullmatch(answer)
    if found is None:
        raise ScannerDown("SCANNER_DOWN", "the answer is none")
    if found[1].startswith(_LIMIT):
        raise NotScanned(Reason.COMPLEX, found[1][:120])
    return found[1][:120]


def _place(address: str) -> str | tuple[str, int]:
    if address.startswith("/"):
        return address
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError("neither a path nor HOST:PORT")
    return found["six"] or found["host"], int(found["port"])


def _connect(place: str | tuple[str, int], seconds: float) -> socket.socket:
    if isinstance(place, tuple):
        return socket.create_connection(place, seconds)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _too_deep() -> bytes:
    """Return an archive within archives, deeper than clamd looks."""
    data = b"nothing"
    for _ in range(_DEEPER_THAN_ANY):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("a.zip"), data)
        data = out.getvalue()
    return data
