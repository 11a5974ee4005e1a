"""Signed notes (c2sp.org/signed-note): the text and its signature lines, and nothing about keys."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vault.ledger.errors import malformed

MAX_NOTE = 512 * 1024
MAX_SIGNATURES = 64
_DASH = "\u2014"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def b64encode(data: bytes) -> str:
    """Write RFC 4648 section 4 base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str) -> bytes:
    """Read what `b64encode` writes and no other spelling of it. Raises LedgerProofRefused(FORMAT_FAILURE)."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        data = None
    if data is None or b64encode(data) != text:
        raise malformed("not base64 in its one form", found=text[:80])
    return data


def is_key_name(name: str) -> bool:
    """Tell whether a text can name a key: not empty, no space of any kind, no plus sign, no control."""
    return bool(name) and not any(c.isspace() or c == "+" or c < " " for c in name)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line.

    Attributes:
        name: key name.
        key_id: four octets that with the name identify the key.
        signature: the octets after the key id.
    """

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> bytes:
        """Return the line with its newline."""
        return f"{_DASH} {self.name} {b64encode(self.key_id + self.signature)}\n".encode()


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; its signatures are not verified.

    Attributes:
        text: signed text, with its last newline.
        signatures: signature lines in their order.
    """

    text: bytes
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE with what is wrong.
        """
        if len(data) > MAX_NOTE:
            raise malformed("note too long", expected=MAX_NOTE, found=len(data))
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed("a note is UTF-8 text") from error
        if _CONTROL.search(whole):
            raise malformed("a note has no control characters")
        text, separator, tail = whole.rpartition("\n\n")
        if not separator or not text or not tail.endswith("\n"):
            raise malformed("a note is text, an empty line and signature lines")
        lines = tail[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise malformed("too many signatures", expected=MAX_SIGNATURES, found=len(lines))
        return cls(text.encode() + b"\n", tuple(_signature(line) for line in lines))

    def encode(self) -> bytes:
        """Write the note."""
        return encode(self.text, self.signatures)


def encode(text: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    """Write a note of a text that ends in a newline and its signature lines."""
    return text + b"\n" + b"".join(signature.line() for signature in signatures)


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, blob = rest.partition(" ")
    if dash != _DASH or not is_key_name(name):
        raise malformed("not a signature line", found=line[:80])
    octets = b64decode(blob)
    if len(octets) < 5:
        raise malformed("a signature is too short", found=line[:80])
    return NoteSignature(name, octets[:4], octets[4:])
