"""What a file is, told from its content alone, and the octets of small signature files."""

from __future__ import annotations

import base64
import binascii
import io
import re
from enum import StrEnum
from typing import BinaryIO

from vault.evidence.journal_line import MAX_LINE, looks_like_line

MAX_DER = 32 << 20  # octets of a signature, token or record in a file of its own

_HEAD = 1024  # octets in which a PDF's header may begin
_TAIL = 4096
_END_RECORD = 22  # octets of a zip end record without comment
_MAX_TEXT = 64 << 20
_CHUNK = 1 << 20
_OVERLAP = 64
_XML_PROOFS = (b"http://www.w3.org/2000/09/xmldsig#", b"urn:ietf:params:xml:ns:ers")
_ARMOUR = re.compile(
    rb"\s*-----BEGIN [A-Z0-9 ]{1,40}-----([A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]{1,40}-----\s*"
)
# Nothing is given back: white space stands in two of the parts, and each way to divide it between them was tried.
_BASE64 = re.compile(rb"\s*MI[A-Za-z0-9+/\s]++={0,2}+\s*+")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_CMS_ARC = bytes.fromhex("2a864886f70d0107")
_AUTHENTICATED = bytes.fromhex("2a864886f70d0109100102")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID = 0x30, 0x31, 0x02, 0x04, 0x06


class Kind(StrEnum):
    """Kinds of file."""

    EMPTY = "empty"
    ZIP = "zip"
    PDF = "PDF"
    CMS = "CMS signature"
    TOKEN = "timestamp token"  # noqa: S105 - a kind of file
    RESPONSE = "timestamp response"
    RECORD = "evidence record"
    LINE = "proof of a journal line"
    XML_PROOF = "signature or record in XML"
    TOO_LARGE = "signature file over the limit"
    OTHER = "other"


def kind_of(file: BinaryIO) -> Kind:
    """Tell what a file is.

    1. Empty. 2. A zip, unless it begins as a PDF does. 3. A PDF, unless it begins as a CMS signature does, which
    may hold one. 4. DER or BER, plain, in base64 or in PEM: see `kind_of_der`. 5. XML that names the namespace of
    a signature or of an evidence record. 6. JSON that says it is the proof of a line of an access journal.

    Args:
        file: seekable.

    Raises:
        OSError: it cannot be read.
    """
    head, tail, length = _ends(file)
    # 1
    if not length:
        return Kind.EMPTY
    # 2
    # A damaged bundle may have lost its first octets, and a PDF in it shows its header early too.
    is_zip = head.startswith(b"PK") or tail[-_END_RECORD:].startswith(b"PK\x05\x06")
    if is_zip and not head.startswith(b"%PDF-"):
        return Kind.ZIP
    # 3
    is_pdf = b"%PDF-" in head or (b"%%EOF" in tail and b"startxref" in tail)
    if is_pdf and kind_of_der(head) is not Kind.CMS:
        return Kind.PDF
    # 4
    kind = _small_kind(file, head, length)
    # 6
    if kind is Kind.OTHER and head[:1] == b"{" and _is_line(file):
        return Kind.LINE
    # 5
    is_xml = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"
    return Kind.XML_PROOF if is_xml and _tells_of_xml_proof(file) else kind


def _small_kind(file: BinaryIO, head: bytes, length: int) -> Kind:
    if head[0] not in (_SEQUENCE, _SET) and head.lstrip()[:2] not in (b"MI", b"--"):
        return Kind.OTHER
    if length > MAX_DER:
        return Kind.TOO_LARGE if kind_of_der(head) is not Kind.OTHER else Kind.OTHER
    return kind_of_der(der_octets(file))


def der_octets(file: BinaryIO) -> bytes:
    """Read a signature file whole, without PEM or base64 around it; at most `MAX_DER` octets.

    Raises:
        OSError: it cannot be read.
    """
    file.seek(0)
    data = file.read(MAX_DER)
    if data[:1] in (b"\x30", b"\x31"):
        return data
    armoured = _ARMOUR.fullmatch(data)
    if armoured is None and _BASE64.fullmatch(data) is None:
        return data
    try:
        return base64.b64decode(b"".join((armoured[1] if armoured else data).split()), validate=True)
    except binascii.Error:
        return data


def kind_of_der(data: bytes) -> Kind:
    """Tell a CMS signature, a token, a timestamp response and an evidence record apart by their first members.

    Only headers are looked at, and wrongly wrapped ones pass too: what a file means to be is the question here,
    not whether it is well made. So it does not take the whole of it, and a broken one is refused by its reader.
    """
    try:
        outer = _header(data, 0)
        first = _header(data, outer[1])
        if outer[0] == _SEQUENCE and first[0] == _OID:
            return _kind_of_content(data, first)
        if outer[0] == _SEQUENCE and first[0] == _SEQUENCE:
            return Kind.RESPONSE if _is_response(data, outer, first) else Kind.OTHER
        if first[0] == _INTEGER and _is_record(data, first):
            return Kind.RECORD
    except IndexError:
        pass
    return Kind.OTHER


def _kind_of_content(data: bytes, oid: tuple[int, int, int]) -> Kind:
    name = data[oid[1] : oid[2]]
    if name == _AUTHENTICATED or (name.startswith(_CMS_ARC) and name != _SIGNED_DATA):
        # Enveloped, digested, authenticated: a CMS, though no signature.
        return Kind.CMS if name == _AUTHENTICATED else Kind.OTHER
    if name != _SIGNED_DATA:
        return Kind.OTHER
    try:
        signed_data = _header(data, _header(data, oid[2])[1])
        version = _header(data, signed_data[1])
        digests = _header(data, version[2])
        content_type = _header(data, _header(data, digests[2])[1])
    except IndexError:
        return Kind.CMS
    return Kind.TOKEN if data[content_type[1] : content_type[2]] == _TST_INFO else Kind.CMS


def _is_response(data: bytes, outer: tuple[int, int, int], status: tuple[int, int, int]) -> bool:
    """PKIStatusInfo, then a ContentInfo of SignedData or nothing (RFC 3161, 2.4.2)."""
    value = _header(data, status[1])
    if value[0] != _INTEGER or value[2] - value[1] != 1 or data[value[1]] > 5:
        return False
    if status[2] >= outer[2]:
        return True
    oid = _header(data, _header(data, status[2])[1])
    return oid[0] == _OID and data[oid[1] : oid[2]] == _SIGNED_DATA


def _is_record(data: bytes, version: tuple[int, int, int]) -> bool:
    """A version, then a sequence of algorithm identifiers; the imprint of a timestamp request is no such one."""
    algorithms = _header(data, version[2])
    first = _header(data, algorithms[1])
    if algorithms[0] != _SEQUENCE or first[0] != _SEQUENCE or _header(data, first[1])[0] != _OID:
        return False
    return first[2] >= algorithms[2] or _header(data, first[2])[0] != _OCTETS


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Read a tag and a length, BER too: (tag, start of the content, its end). Raises IndexError."""
    tag, length = data[at], data[at + 1]
    start = at + 2
    if length == 0x80:
        return tag, start, len(data)
    if length > 0x80:
        count = length & 0x7F
        if count > 8:
            raise IndexError
        start += count
        length = int.from_bytes(data[at + 2 : start], "big")
    return tag, start, start + length


def _is_line(file: BinaryIO) -> bool:
    file.seek(0)
    return looks_like_line(file.read(MAX_LINE + 1))


def _tells_of_xml_proof(file: BinaryIO) -> bool:
    file.seek(0)
    before = b""
    for _ in range(_MAX_TEXT // _CHUNK):
        chunk = file.read(_CHUNK)
        window = before + chunk
        if any(name in window for name in _XML_PROOFS):
            return True
        if not chunk:
            break
        before = window[-_OVERLAP:]
    return False


def _ends(file: BinaryIO) -> tuple[bytes, bytes, int]:
    file.seek(0)
    head = file.read(_HEAD)
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - _TAIL))
    return head, file.read(), length
