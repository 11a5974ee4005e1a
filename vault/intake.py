"""Step 1 of the pipeline: receive a file into an unnamed spool while hashing it.

The spool never has a name that outlives an instruction: a cut upload, a refusal or a crash leaves nothing on
disk. Up to a mebibyte it lies in memory, beyond that on the spool's volume. Nothing here decides what the file is;
that is `vault.inspection`.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import hmac
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, cast

from vault.errors import Refused, Unavailable

if TYPE_CHECKING:
    from hashlib import _Hash

_DIGEST_SIZES = {"sha-256": 32, "sha-512": 64}
_MAX_DIGEST_HEADER = 8192
# As much as every later step holds of a file at once. A file on a volume costs an inode, taken and given back.
IN_MEMORY = 1 << 20
# Filesystems and kernels without O_TMPFILE answer with one of these.
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}

# RFC 9651 section 3: a dictionary member is a key with an optional item or inner list, then parameters.
_KEY = r"[a-z*][a-z0-9_.*\-]*"
_BARE = (
    r"(?::[A-Za-z0-9+/=]*:"
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"'
    r"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?"
    r"|\?[01]"
    r"|@-?[0-9]{1,15}"
    r"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*)"
)
_PARAMETERS = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_INNER = rf"\( *(?:{_BARE}{_PARAMETERS}(?: +{_BARE}{_PARAMETERS})* *)?\)"
_MEMBER = re.compile(rf"({_KEY})(?:=({_INNER}|{_BARE}))?{_PARAMETERS}")


@dataclass(frozen=True, slots=True)
class DeclaredDigest:
    """The digests a client declared for the bytes it sends.

    Attributes:
        values: (algorithm, digest) pairs, algorithm `sha-256` or `sha-512`; every one must match.
    """

    values: tuple[tuple[str, bytes], ...]


class Spooled:
    """A received file: unnamed, open, hashed. Closing it removes the bytes from the disk.

    Attributes:
        stream: seekable binary file open for reading at offset 0; `path` opens it independently.
        size: octets.
        sha256: digest of all octets (32 octets).
        hash_state: the SHA-256 object that has consumed exactly the file; copy it, never change it.
    """

    __slots__ = ("_path", "hash_state", "sha256", "size", "stream")

    def __init__(self, stream: BinaryIO, size: int, hash_state: _Hash) -> None:
        self.stream = stream
        self.size = size
        self.hash_state = hash_state
        self.sha256 = hash_state.digest()
        self._path = Path(f"/proc/self/fd/{stream.fileno()}")

    @property
    def path(self) -> Path:
        """A path that opens the same bytes from this process, with its own offset."""
        return self._path

    def close(self) -> None:
        """Drop the bytes; harmless when repeated."""
        self.stream.close()

    def __enter__(self) -> Spooled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Spool:
    """A folder (on a volume named in settings) where received bytes wait, without any name.

    Attributes:
        folder: the folder; it must exist and be writable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> BinaryIO:
        """Open a new unnamed file for writing and reading.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE when the folder cannot take a file.
        """
        try:
            try:
                fd = os.open(self.folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
                # Unlinked before the first byte is written: a crash in between leaves an empty file at most.
                fd, name = tempfile.mkstemp(dir=self.folder, prefix="spool-")
                Path(name).unlink()
        except OSError as error:
            raise Unavailable("STORAGE_UNAVAILABLE", "the spool folder cannot take a file") from error
        return cast("BinaryIO", os.fdopen(fd, "w+b"))

    def receive(
        self,
        chunks: Iterable[bytes],
        *,
        limit: int,
        expected_length: int | None = None,
        expected_digest: DeclaredDigest | None = None,
    ) -> Spooled:
        """Write the chunks to an unnamed file while hashing; see the function `receive`."""
        if expected_length is not None and expected_length > limit:
            raise Refused("TOO_LARGE", "the declared length is over the limit", limit=limit)
        spooling = _Spooling(self, expected_length)
        try:
            return _fill(spooling, chunks, limit, expected_length, expected_digest)
        except BaseException:
            with suppress(OSError):  # what is still to be written then need not be
                spooling.stream.close()
            raise


class _Spooling:
    """A file while it is received: in memory as long as it is small.

    Attributes:
        stream: where its octets are now.
    """

    def __init__(self, spool: Spool, expected_length: int | None) -> None:
        self._spool = spool
        small = expected_length is None or expected_length <= IN_MEMORY
        held = _in_memory() if small else None
        self._room = IN_MEMORY if held is not None else None
        self.stream = held or spool.open()

    def write(self, chunk: bytes) -> None:
        """Write a chunk. Raises Unavailable: a full disk is no fault of the client."""
        if self._room is not None:
            self._room -= len(chunk)
            if self._room < 0:
                self._move()
        with _writing():
            self.stream.write(chunk)

    def finish(self) -> BinaryIO:
        """Push all to the file and rewind. Raises as `write`."""
        with _writing():
            self.stream.flush()
            self.stream.seek(0)
        return self.stream

    def _move(self) -> None:
        target, self._room = self._spool.open(), None
        with self.stream as source:
            self.stream = target
            with _writing():
                source.seek(0)
                shutil.copyfileobj(source, target, IN_MEMORY)


def _in_memory() -> BinaryIO | None:
    """Open a file in memory, which a path in /proc opens too like any other; None where that is not allowed."""
    try:
        return cast("BinaryIO", os.fdopen(os.memfd_create("spool"), "w+b"))
    except OSError:
        return None


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("STORAGE_UNAVAILABLE", "the spool cannot be written") from error


def receive(
    chunks: Iterable[bytes],
    *,
    folder: Path,
    limit: int,
    expected_length: int | None = None,
    expected_digest: DeclaredDigest | None = None,
) -> Spooled:
    """Receive a file into an unnamed spool file while hashing it; memory use is one chunk.

    Args:
        chunks: the bytes in order; an exception it raises goes through, and nothing is left.
        folder: where the spool file is made.
        limit: greatest number of octets accepted; passing it refuses at once.
        expected_length: octets the client announced (Content-Length), when it did.
        expected_digest: what the client declared with Repr-Digest or Content-Digest.

    Returns:
        The spooled file; the caller closes it.

    Raises:
        Refused: EMPTY_FILE, TOO_LARGE (limit), TRUNCATED (received, expected), LENGTH_MISMATCH (expected),
            DIGEST_MISMATCH (algorithm).
        Unavailable: STORAGE_UNAVAILABLE when the spool cannot be written.
    """
    return Spool(folder).receive(
        chunks, limit=limit, expected_length=expected_length, expected_digest=expected_digest
    )


def _fill(
    spooling: _Spooling,
    chunks: Iterable[bytes],
    limit: int,
    expected_length: int | None,
    expected_digest: DeclaredDigest | None,
) -> Spooled:
    """Copy, count and hash; then compare with what was announced."""
    declared = expected_digest.values if expected_digest else ()
    states: dict[str, _Hash] = {"sha-256": hashlib.sha256()}
    if any(name == "sha-512" for name, _ in declared):
        states["sha-512"] = hashlib.sha512()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Refused("TOO_LARGE", "more octets than the limit", limit=limit)
        if expected_length is not None and size > expected_length:
            raise Refused("LENGTH_MISMATCH", "more octets than announced", expected=expected_length)
        for state in states.values():
            state.update(chunk)
        spooling.write(chunk)
    if expected_length is not None and size < expected_length:
        raise Refused("TRUNCATED", "the upload ended early", received=size, expected=expected_length)
    if size == 0:
        raise Refused("EMPTY_FILE", "no octet was received")
    for name, value in declared:
        if not hmac.compare_digest(states[name].digest(), value):
            raise Refused("DIGEST_MISMATCH", "the declared digest is another one", algorithm=name)
    return Spooled(spooling.finish(), size, states["sha-256"])


def parse_digest_headers(repr_digest: str | None, content_digest: str | None) -> DeclaredDigest | None:
    """Read the digest fields of RFC 9530 (dictionaries of RFC 9651 byte sequences).

    Without content coding both fields speak of the same octets, so every sha-256 and sha-512 found must match
    later. Other algorithms are ignored, as RFC 9530 section 2 allows.

    Args:
        repr_digest: value of `Repr-Digest`, or None.
        content_digest: value of `Content-Digest`, or None.

    Returns:
        What must match, or None when no known algorithm was declared.

    Raises:
        Refused: DIGEST_MALFORMED (field) when a field is not such a dictionary.
    """
    values: list[tuple[str, bytes]] = []
    for field, text in (("Repr-Digest", repr_digest), ("Content-Digest", content_digest)):
        if text is not None:
            values.extend(_known_digests(field, text))
    return DeclaredDigest(tuple(dict.fromkeys(values))) if values else None


def _known_digests(field: str, text: str) -> list[tuple[str, bytes]]:
    """Return the known members of one field; the last of equal keys counts (RFC 9651 section 4.2.2)."""
    members: dict[str, str | None] = {}
    position, text = 0, text.strip(" ")
    while position < len(text):
        match = _MEMBER.match(text, position) if len(text) <= _MAX_DIGEST_HEADER else None
        if match is None:
            raise Refused("DIGEST_MALFORMED", "not a structured field dictionary", field=field)
        members[match[1]] = match[2]
        rest = text[match.end() :].lstrip(" \t")
        if not rest:
            break
        position = len(text) - len(rest[1:].lstrip(" \t"))
        if rest[0] != "," or position >= len(text):
            raise Refused("DIGEST_MALFORMED", "members must be separated by commas", field=field)
    return [
        (name, _byte_sequence(field, members[name], size))
        for name, size in _DIGEST_SIZES.items()
        if name in members
    ]


def _byte_sequence(field: str, raw: str | None, size: int) -> bytes:
    """Decode `:base64:` of exactly `size` octets; missing padding is tolerated (RFC 9651 section 4.2.7)."""
    if raw is None or not raw.startswith(":"):
        raise Refused("DIGEST_MALFORMED", "the digest is not a byte sequence", field=field)
    body = raw[1:-1].rstrip("=")
    try:
        value = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("DIGEST_MALFORMED", "the digest is not base64", field=field) from error
    if len(value) != size:
        raise Refused("DIGEST_MALFORMED", "the digest has the wrong length", field=field)
    return value
