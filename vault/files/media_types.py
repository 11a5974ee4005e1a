"""The type of a file, decided from its content. What a name or a header claims is only compared with it."""

from __future__ import annotations

import codecs
import re
import zipfile
from posixpath import splitext
from typing import BinaryIO

import puremagic

from vault.files.zip_ends import directory_within

UNKNOWN = "application/octet-stream"
PDF = "application/pdf"
TEXT = "text/plain"
XML = "application/xml"
ZIP = "application/zip"
HEAD = 64 * 1024
_PDF_HEADER_WITHIN = 1024
_MAX_DIRECTORY = 4 * 1024 * 1024
_MAX_MEMBERS = 10_000
_SURE_ENOUGH = 0.6
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")

_OOXML = "application/vnd.openxmlformats-officedocument."
_BY_EXTENSION = {
    "asice": "application/vnd.etsi.asic-e+zip",
    "asics": "application/vnd.etsi.asic-s+zip",
    "csv": TEXT,
    "docx": _OOXML + "wordprocessingml.document",
    "gif": "image/gif",
    "heic": "image/heif",
    "heif": "image/heif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": TEXT,
    "log": TEXT,
    "md": TEXT,
    "mp4": "video/mp4",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": PDF,
    "png": "image/png",
    "pptx": _OOXML + "presentationml.presentation",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": TEXT,
    "webp": "image/webp",
    "xlsx": _OOXML + "spreadsheetml.sheet",
    "xml": XML,
    "zip": ZIP,
}
_OFFICE_PARTS = {
    "word/document.xml": "docx",
    "xl/workbook.xml": "xlsx",
    "ppt/presentation.xml": "pptx",
}
# One type under several names: never worth a finding.
_SAME = {
    "application/csv": TEXT,
    "application/json": TEXT,
    "application/x-pdf": PDF,
    "application/x-zip-compressed": ZIP,
    "image/heic": "image/heif",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "text/rtf": "application/rtf",
    "text/xml": XML,
}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
)
_XML_SKIP = re.compile(
    r"\s*(?:<\?xml[\s?].*?\?>|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*+(?:\[.*?\]\s*+)?>|\s+)", re.DOTALL
)
_XML_ROOT = re.compile(r"<(?:[\w.\-]+:)?([\w.\-]+)[\s/>]")
_BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def detect(stream: BinaryIO, size: int) -> str:
    """Decide the media type from the content alone.

    Args:
        stream: seekable binary file; left at offset 0.
        size: its octets.

    Returns:
        A media type without parameters; `application/octet-stream` when nothing is recognised. A PDF is
        recognised by `%PDF-` within its first 1024 octets, as readers do (ISO 32000-1 annex H, note 13).
    """
    stream.seek(0)
    head = stream.read(HEAD)
    try:
        return _by_signature(head) or _zip_type(stream, head) or _by_text(head, size) or _by_magic(head)
    finally:
        stream.seek(0)


def claimed_by_name(name: str) -> str | None:
    """Return the type a file name's extension stands for, when it is one we can check."""
    return _BY_EXTENSION.get(splitext(name)[1].lower().removeprefix("."))


def same_type(declared: str, found: str) -> bool:
    """Tell whether a declared type is an honest name of the found one.

    Generic declarations (octet-stream, any text for text, zip for zip-based formats, XML for XML-based ones)
    are honest: they say less, not something else.
    """
    claim = declared.split(";", 1)[0].strip().lower()
    claim, found = _SAME.get(claim, claim), _SAME.get(found, found)
    if claim in {found, UNKNOWN, "binary/octet-stream", ""}:
        return True
    if found == TEXT:
        return claim.startswith("text/") and claim != "text/html"
    if found == XML:
        return claim.endswith("+xml") and claim != "image/svg+xml"
    if claim == XML:
        return found.endswith("+xml")
    if claim == ZIP:
        return found.endswith("+zip") or found.startswith((_OOXML, "application/vnd.oasis.opendocument."))
    return False


def _by_signature(head: bytes) -> str | None:
    """Formats whose first octets leave no doubt."""
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    return PDF if b"%PDF-" in head[: _PDF_HEADER_WITHIN + 5] else None


def _zip_type(stream: BinaryIO, head: bytes) -> str | None:
    """Name the format inside a zip: by its stored `mimetype` member, or by the parts of an office file."""
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    # ODF 1.2 part 3 section 3.3, EN 319 162-1 annex A.1: name at 30, content stored right after it.
    if head[30:38] == b"mimetype" and head[8:10] == b"\0\0" and head[28:30] == b"\0\0":
        length = int.from_bytes(head[18:22], "little")
        text = head[38 : 38 + min(length, 100)].decode("ascii", "replace").strip().lower()
        if _MEDIA_TYPE.fullmatch(text):
            return text
    if not directory_within(stream, _MAX_DIRECTORY):
        return ZIP
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist()[:_MAX_MEMBERS])
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, IndexError, NotImplementedError):
        return ZIP
    for part, extension in _OFFICE_PARTS.items():
        if part in names and "[Content_Types].xml" in names:
            return _BY_EXTENSION[extension]
    return ZIP


def _by_text(head: bytes, size: int) -> str | None:
    """XML (by prolog or root; well-formedness is not judged), HTML, SVG, RTF and plain text in UTF-8."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = head.decode("utf-16", "replace")
        return _markup(text) if text.lstrip("\ufeff").startswith("<") else None
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=size <= len(head))
    except UnicodeDecodeError:
        # An XML prolog may declare another encoding; it is ASCII itself.
        return _markup(head.decode("latin-1")) if head.startswith(b"<?xml") else None
    if text.startswith("{\\rtf"):
        return _BY_EXTENSION["rtf"]
    if _BINARY.search(text):
        return None
    return _markup(text) or TEXT


def _markup(text: str) -> str | None:
    """Tell XML, SVG and HTML by what stands first."""
    text = text.lstrip("\ufeff")
    prolog = text.startswith("<?xml")
    if re.match(r"\s*<!doctype\s+html", text, re.IGNORECASE):
        return "text/html"
    position = 0
    for _ in range(64):
        match = _XML_SKIP.match(text, position)
        if match is None or match.end() == position:
            break
        position = match.end()
    root = _XML_ROOT.match(text, position)
    if root is None:
        return XML if prolog else None
    kind = root[1].lower()
    if kind in {"html", "svg"}:
        return "text/html" if kind == "html" else "image/svg+xml"
    return XML


def _by_magic(head: bytes) -> str:
    """Ask puremagic, and believe it only when it matched enough octets."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError, IndexError, KeyError, TypeError):
        return UNKNOWN
    for match in matches:
        if match.confidence >= _SURE_ENOUGH and _MEDIA_TYPE.fullmatch(match.mime_type or ""):
            return str(match.mime_type)
    return UNKNOWN
