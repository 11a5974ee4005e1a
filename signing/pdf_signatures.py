"""Finding the signatures of a PDF and checking, on the raw octets, what each of them covers.

qpdf says which objects the document has; every statement about coverage is checked on the file itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pikepdf

from signing.cms_read import MAX_CMS
from signing.errors import PdfRefused, SignatureRefused, SigningError
from signing.hostile import HOSTILE
from signing.pdf_reader import refusing_pdf, walk_tree
from signing.pdf_values import material_streams

_MAX_SIGNATURES = 200
_MAX_DICTIONARY = 1 << 20
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (pikepdf.PdfError, *HOSTILE)
_END_OF_FILE = re.compile(rb"%%EOF(\r\n|\r|\n)?\Z")
_HEX = re.compile(rb"<((?:[0-9A-Fa-f]{2})*)>")
_LOWER_HEX = re.compile(rb"<((?:[0-9a-f]{2})*)>")


@dataclass(frozen=True, slots=True)
class PdfSignature:
    """One signature (or document timestamp) of a PDF, read but not verified.

    Attributes:
        path: the file.
        file_size: octets of the file.
        field_name: name of the first field that shows it; "" when it has none.
        number: object number and generation of the signature dictionary.
        offset: where qpdf reads that object; -1 when it is not an object of its own in the file.
        sub_filter: such as "ETSI.CAdES.detached".
        keys: names of the dictionary's entries.
        byte_range: the four integers.
        contents: the value of /Contents, padding included.
        claimed_time: /M as written; "" when absent.
        certification: DocMDP permission (1, 2 or 3) when this is the certification signature, else None.
        alone: True when the document has no other signature.
        certificates: DER certificates of the DSS dictionary.
        crls: DER CRLs of the DSS dictionary.
        covers_whole_file: whether the byte range ends where the file ends.
        covered_by_other: whether another signature's byte range ends where the file ends.
        fault: why the signature, or the document, cannot be read; then the other attributes mean nothing.
    """

    path: Path
    file_size: int
    field_name: str = ""
    number: tuple[int, int] = (0, 0)
    offset: int = -1
    sub_filter: str = ""
    keys: frozenset[str] = frozenset()
    byte_range: tuple[int, int, int, int] = (0, 0, 0, 0)
    contents: bytes = field(default=b"", repr=False)
    claimed_time: str = ""
    certification: int | None = None
    alone: bool = True
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    crls: tuple[bytes, ...] = field(default=(), repr=False)
    covers_whole_file: bool = False
    covered_by_other: bool = False
    fault: SignatureRefused | None = None

    @property
    def is_document_timestamp(self) -> bool:
        """Whether this is a timestamp over the document instead of a signature."""
        return self.sub_filter == "ETSI.RFC3161"

    @property
    def end(self) -> int:
        """Offset where the covered revision ends."""
        return self.byte_range[2] + self.byte_range[3]


def pdf_signatures(path: Path) -> list[PdfSignature]:
    """List the signatures of a PDF in document order; none is hidden by another that cannot be read.

    Args:
        path: the file.

    Returns:
        One item for each distinct signature dictionary; an unreadable one has its `fault`.

    Raises:
        SignatureRefused: FORMAT_FAILURE when no signature can be looked for: the file is not a readable PDF,
            is encrypted or has too many signatures.
    """
    try:
        with refusing_pdf(), pikepdf.open(path, suppress_warnings=True) as pdf:
            return _list(pdf, path)
    except PdfRefused as error:
        raise SignatureRefused("FORMAT_FAILURE", str(error)) from error


def check_coverage(signature: PdfSignature, *, strict: bool) -> None:
    """Check on the raw octets what a signature covers.

    1. The document and the signature are readable. 2. The byte range is [0 a b c] with 0 < a < b and its
    end inside the file. 3. The object that qpdf resolved stands before the gap, and nothing ends it
    before the gap. 4. The gap is exactly one hexadecimal string: the value of /Contents; in lower case
    when strict. 5. A revision ends where the range ends. 6. What follows is covered by another signature
    or does not exist.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    # 1
    if signature.fault is not None:
        raise signature.fault
    # 2
    start, gap_start, gap_end, rest = signature.byte_range
    if not (start == 0 < gap_start < gap_end and rest > 0 and signature.end <= signature.file_size):
        raise SignatureRefused("FORMAT_FAILURE", "the byte range is not two parts around one gap")
    if not 2 <= gap_end - gap_start <= 2 * MAX_CMS + 2:
        raise SignatureRefused("FORMAT_FAILURE", "the gap of the byte range has an unusable size")
    with signature.path.open("rb") as stream:
        # 3
        if not 0 <= signature.offset < gap_start or gap_start - signature.offset > _MAX_DICTIONARY:
            raise SignatureRefused("FORMAT_FAILURE", "the signature dictionary is not around its gap")
        stream.seek(signature.offset)
        before = stream.read(gap_start - signature.offset)
        header = b"%d %d obj" % signature.number
        if not before.startswith(header) or b"endobj" in before:
            raise SignatureRefused("FORMAT_FAILURE", "the signature dictionary is not around its gap")
        # 4
        gap = stream.read(gap_end - gap_start)
        found = (_LOWER_HEX if strict else _HEX).fullmatch(gap)
        if found is None or bytes.fromhex(found[1].decode("ascii")) != signature.contents:
            raise SignatureRefused("FORMAT_FAILURE", "the gap of the byte range is not the signature value")
        # 5
        stream.seek(max(gap_end, signature.end - 16))
        if _END_OF_FILE.search(stream.read(signature.end - stream.tell())) is None:
            raise SignatureRefused("FORMAT_FAILURE", "the byte range does not end where a revision ends")
    # 6
    if not signature.covers_whole_file and not signature.covered_by_other:
        raise SignatureRefused("FORMAT_FAILURE", "what follows the last signature is covered by none")


def digest_covered(signature: PdfSignature, algorithm: str) -> bytes:
    """Hash the two parts of a checked byte range, streaming.

    Args:
        signature: whose coverage was checked.
        algorithm: hashlib name.
    """
    state = hashlib.new(algorithm, usedforsecurity=False)
    with signature.path.open("rb") as stream:
        for start, size in (signature.byte_range[:2], signature.byte_range[2:]):
            stream.seek(start)
            left = size
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise SignatureRefused("FORMAT_FAILURE", "the file is shorter than the byte range")
                state.update(chunk)
                left -= len(chunk)
    return state.digest()


def _list(pdf: pikepdf.Pdf, path: Path) -> list[PdfSignature]:
    file_size = path.stat().st_size
    if pdf.is_encrypted:
        raise SignatureRefused("FORMAT_FAILURE", "signatures of encrypted PDFs are not judged")
    root = pdf.trailer["/Root"]
    values = list(islice(_values(root), _MAX_SIGNATURES + 1))
    if len(values) > _MAX_SIGNATURES:
        raise SignatureRefused("FORMAT_FAILURE", "the PDF has too many signatures")
    if not values:
        return []
    material: dict[str, Any] = {
        "certificates": material_streams(root, "/Certs"),
        "crls": material_streams(root, "/CRLs"),
        "alone": len(values) == 1,
    }
    offsets = {identity: entry for identity, entry in pdf.get_xref_table().items() if entry.type == 1}
    found = []
    for name, value in values:
        try:
            details = _details(root, value)
            entry = offsets.get(details["number"])
            details["offset"] = -1 if entry is None else entry.offset
            signature = PdfSignature(path=path, file_size=file_size, field_name=name, **details, **material)
        except SigningError as error:
            signature = _faulty(path, file_size, name, str(error))
        except _UNREADABLE as error:
            signature = _faulty(path, file_size, name, f"unreadable ({type(error).__name__})")
        found.append(signature)
    if pdf.get_warnings():
        # qpdf had to guess, so another reader may guess otherwise and show something else.
        return [
            _faulty(path, file_size, item.field_name, "the PDF is damaged or ambiguous") for item in found
        ]
    return _with_ends(found)


def _with_ends(found: list[PdfSignature]) -> list[PdfSignature]:
    whole = [item.fault is None and item.end == item.file_size for item in found]
    return [
        replace(item, covers_whole_file=mine, covered_by_other=sum(whole) > mine)
        for item, mine in zip(found, whole, strict=True)
    ]


def _faulty(path: Path, file_size: int, name: str, reason: str) -> PdfSignature:
    fault = SignatureRefused("FORMAT_FAILURE", f"the signature cannot be judged: {reason}")
    return PdfSignature(path=path, file_size=file_size, field_name=name, fault=fault)


def _values(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield field name and value of everything that claims to be a signature, each object once.

    Fields come first, then widgets that no field tree holds, then permission signatures without field: what a
    viewer may show as a signature must not stay out of the verdict.
    """
    seen: set[tuple[int, int]] = set()
    for name, node in _fields(root):
        value = node.get("/V")
        if value is None:
            continue
        if not isinstance(value, pikepdf.Dictionary):
            if node.get("/FT") == pikepdf.Name.Sig:
                yield name, value
            continue
        if not value.is_indirect or value.objgen not in seen:
            seen.add(value.objgen)
            yield name, value
    permissions = root.get("/Perms")
    for key in ("/DocMDP", "/UR3", "/UR"):
        value = None if permissions is None else permissions.get(key)
        if isinstance(value, pikepdf.Dictionary) and (not value.is_indirect or value.objgen not in seen):
            seen.add(value.objgen)
            yield "", value


def _fields(root: Any) -> Iterator[tuple[str, Any]]:
    form = root.get("/AcroForm")
    fields = None if form is None else form.get("/Fields")
    if isinstance(fields, pikepdf.Array):
        for _, node in walk_tree(list(fields)):
            yield _text(node.get("/T")), node
    for _, page in walk_tree([root.get("/Pages")]):
        annotations = page.get("/Annots")
        if isinstance(annotations, pikepdf.Array):
            for widget in annotations:
                if isinstance(widget, pikepdf.Dictionary) and "/V" in widget:
                    yield _text(widget.get("/T")), widget


def _text(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.String) else ""


def _details(root: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, pikepdf.Dictionary) or not value.is_indirect:
        raise SignatureRefused("FORMAT_FAILURE", "the signature is not an indirect dictionary")
    numbers = value.get("/ByteRange")
    if not isinstance(numbers, pikepdf.Array) or len(numbers) != 4:
        raise SignatureRefused("FORMAT_FAILURE", "there is no byte range of four integers")
    byte_range: tuple[Any, ...] = tuple(numbers)
    if not all(type(number) is int and number >= 0 for number in byte_range):
        raise SignatureRefused("FORMAT_FAILURE", "the byte range is not four integers")
    contents = value.get("/Contents")
    if not isinstance(contents, pikepdf.String):
        raise SignatureRefused("FORMAT_FAILURE", "there is no signature value")
    sub_filter = value.get("/SubFilter")
    permissions = root.get("/Perms")
    certified = None if permissions is None else permissions.get("/DocMDP")
    certifies = isinstance(certified, pikepdf.Dictionary) and certified.objgen == value.objgen
    return {
        "number": value.objgen,
        "sub_filter": str(sub_filter)[1:] if isinstance(sub_filter, pikepdf.Name) else "",
        "keys": frozenset(value.keys()),
        "byte_range": byte_range,
        "contents": bytes(contents),
        "claimed_time": _text(value.get("/M")),
        "certification": _permission(value) if certifies else None,
    }


def _permission(value: Any) -> int | None:
    """Return P of the one DocMDP transform (2 is the default, ISO 32000-1 table 254)."""
    levels = [
        reference["/TransformParams"].get("/P", 2)
        for reference in value.get("/Reference", ())
        if reference.get("/TransformMethod") == pikepdf.Name.DocMDP
    ]
    return levels[0] if len(levels) == 1 and levels[0] in {1, 2, 3} else None
