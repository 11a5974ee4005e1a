"""Finding the signatures of a PDF and checking, on the raw octets, what each of them covers.

qpdf says which objects the document has; every statement about coverage is checked on the file itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pikepdf

from signing.cms_read import MAX_CMS
from signing.errors import PdfRefused, SignatureRefused, SigningError
from signing.hostile import HOSTILE
from signing.pdf_reader import refusing_pdf, require_page_tree
from signing.pdf_signature_fields import Claim, claims
from signing.pdf_states import too_complex
from signing.pdf_unreadable import has_lost_field, has_stray_signature, is_value_lost
from signing.pdf_values import material_streams

_MAX_SIGNATURES = 200
_MAX_DICTIONARY = 1 << 20
_ENCRYPTED = "signatures of encrypted PDFs are not judged"
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (pikepdf.PdfError, *HOSTILE)
_END_OF_FILE = re.compile(rb"%%EOF(\r\n|\r|\n)?\Z")
_LOOSE_END_OF_FILE = re.compile(rb"%%EOF[\x00\t\n\x0c\r ]{0,16}\Z")


@dataclass(frozen=True, slots=True)
class PdfSignature:
    """One signature (or document timestamp) of a PDF, read but not verified.

    Attributes:
        path: the file.
        file_size: octets of the file.
        field_name: name of the first field that shows it; "" when it has none.
        number: object number and generation of the signature dictionary, or of the field it stands in.
        offset: where qpdf reads that object; -1 when it is not an object of its own in the file.
        direct: the dictionary stands inside its field instead of being an object.
        field_number: object number and generation of the field or widget; (0, 0) when it has none.
        sub_filter: such as "ETSI.CAdES.detached".
        keys: names of the dictionary's entries.
        byte_range: the four integers.
        contents: the value of /Contents, padding included.
        claimed_time: /M as written; "" when absent.
        certification: DocMDP permission (1, 2 or 3) when this is the certification signature, else None.
        alone: True when the document has no other signature.
        certificates: DER certificates of the DSS dictionary.
        crls: DER CRLs of the DSS dictionary.
        ocsps: DER OCSP responses of the DSS dictionary.
        usage_rights: it grants rights to a viewer (ISO 32000-1, 12.8.2.3) and is no signature of the document.
        document_warnings: what qpdf had to guess to read the document; empty for a sound one.
        covers_whole_file: whether the byte range ends where the file ends.
        covered_by_other: whether another signature's byte range ends where the file ends.
        fault: why the signature, or the document, cannot be read; then the other attributes mean nothing.
    """

    path: Path
    file_size: int
    field_name: str = ""
    number: tuple[int, int] = (0, 0)
    offset: int = -1
    direct: bool = False
    field_number: tuple[int, int] = (0, 0)
    sub_filter: str = ""
    keys: frozenset[str] = frozenset()
    byte_range: tuple[int, int, int, int] = (0, 0, 0, 0)
    contents: bytes = field(default=b"", repr=False)
    claimed_time: str = ""
    certification: int | None = None
    alone: bool = True
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    crls: tuple[bytes, ...] = field(default=(), repr=False)
    ocsps: tuple[bytes, ...] = field(default=(), repr=False)
    usage_rights: bool = False
    document_warnings: tuple[str, ...] = field(default=(), repr=False)
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
        SignatureRefused: when no signature can be looked for: FORMAT_FAILURE, the file is no readable PDF;
            PDF_ENCRYPTED or PDF_TOO_COMPLEX (both indeterminate), it is encrypted or has too many signatures.
    """
    try:
        with (
            refusing_pdf(),
            # The page tree is left alone: qpdf would complete and repair it.
            pikepdf.open(path, suppress_warnings=True, inherit_page_attributes=False) as pdf,
        ):
            return _list(pdf, path)
    except PdfRefused as error:
        if error.code == "PDF_ENCRYPTED":
            raise SignatureRefused(error.code, _ENCRYPTED, indeterminate=True) from error
        raise SignatureRefused("FORMAT_FAILURE", str(error)) from error


def check_coverage(signature: PdfSignature, *, strict: bool) -> None:
    """Check on the raw octets what a signature covers.

    1. The document and the signature are readable. 2. The byte range is [0 a b c] with 0 < a < b and its
    end inside the file. 3. The object that qpdf resolved stands before the gap, and nothing ends it
    before the gap. 4. The gap is exactly one hexadecimal string: the value of /Contents; in lower case
    when strict. 5. A revision ends where the range ends. 6. When strict: what follows is covered by another
    signature or does not exist, the dictionary is an object of its own, and qpdf has nothing to say against
    the document, its page tree included; else what follows is the matter of `pdf_changes`.

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
        digits = gap[1:-1] if strict else gap[1:-1].lower()
        if gap[:1] + gap[-1:] != b"<>" or digits != signature.contents.hex().encode("ascii"):
            raise SignatureRefused("FORMAT_FAILURE", "the gap of the byte range is not the signature value")
        # 5
        stream.seek(max(gap_end, signature.end - 32))
        ends = _END_OF_FILE if strict else _LOOSE_END_OF_FILE
        if ends.search(stream.read(signature.end - stream.tell())) is None:
            raise SignatureRefused("FORMAT_FAILURE", "the byte range does not end where a revision ends")
    # 6
    if strict:
        _require_sound(signature)


def _require_sound(signature: PdfSignature) -> None:
    if not signature.covers_whole_file and not signature.covered_by_other:
        raise SignatureRefused("FORMAT_FAILURE", "what follows the last signature is covered by none")
    if signature.direct:
        raise SignatureRefused("FORMAT_FAILURE", "the signature is not an indirect dictionary")
    try:
        # As the sealer reads: what it found sound must be so here.
        with refusing_pdf(), pikepdf.open(signature.path, inherit_page_attributes=False) as pdf:
            require_page_tree(pdf)
            damaged = bool(signature.document_warnings or pdf.get_warnings())
    except PdfRefused as error:
        raise SignatureRefused("FORMAT_FAILURE", str(error)) from error
    if damaged:
        # qpdf had to guess, so another reader may guess otherwise and show something else.
        raise SignatureRefused("FORMAT_FAILURE", "the PDF is damaged or ambiguous")


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
        raise SignatureRefused("PDF_ENCRYPTED", _ENCRYPTED, indeterminate=True)
    root = pdf.trailer["/Root"]
    found_claims = claims(root, lambda node: is_value_lost(pdf, path, node))
    claimed = list(islice(found_claims, _MAX_SIGNATURES + 1))
    if len(claimed) > _MAX_SIGNATURES:
        raise too_complex("the PDF has too many signatures")
    material: dict[str, Any] = {
        "certificates": material_streams(root, "/Certs"),
        "crls": material_streams(root, "/CRLs"),
        "ocsps": material_streams(root, "/OCSPs"),
        "alone": len(claimed) == 1,
    }
    places = pdf.get_xref_table()
    found = []
    for claim in claimed:
        try:
            details = _details(root, claim)
            entry = places.get(details["number"])
            details["offset"] = entry.offset if entry is not None and entry.type == 1 else -1
            signature = PdfSignature(path=path, file_size=file_size, **details, **material)
        except SigningError as error:
            signature = _faulty(path, file_size, claim.name, str(error))
        except _UNREADABLE as error:
            signature = _faulty(path, file_size, claim.name, f"unreadable ({type(error).__name__})")
        found.append(replace(signature, usage_rights=claim.usage_rights))
    if all(item.usage_rights for item in found):
        if has_lost_field(root):
            found.append(
                _faulty(path, file_size, "", "the form says that there is one, but no field can be read")
            )
        elif has_stray_signature(pdf, path, [item.offset for item in found]):
            found.append(_faulty(path, file_size, "", "no field shows it"))
    warnings = tuple(str(item) for item in pdf.get_warnings())
    return [replace(item, document_warnings=warnings) for item in _with_ends(_without_twins(found))]


def _without_twins(found: list[PdfSignature]) -> list[PdfSignature]:
    """Fault the signatures that have their value or the end of their range in common with another."""
    readable = [item.fault is None and not item.usage_rights for item in found]
    values = Counter(item.contents for item, one in zip(found, readable, strict=True) if one)
    ends = Counter(item.end for item, one in zip(found, readable, strict=True) if one)
    reason = "another signature has the same value or range"
    return [
        _faulty(item.path, item.file_size, item.field_name, reason)
        if one and (values[item.contents] > 1 or ends[item.end] > 1)
        else item
        for item, one in zip(found, readable, strict=True)
    ]


def _with_ends(found: list[PdfSignature]) -> list[PdfSignature]:
    whole = [item.fault is None and item.end == item.file_size for item in found]
    return [
        replace(item, covers_whole_file=mine, covered_by_other=sum(whole) > mine)
        for item, mine in zip(found, whole, strict=True)
    ]


def _faulty(path: Path, file_size: int, name: str, reason: str) -> PdfSignature:
    fault = SignatureRefused("FORMAT_FAILURE", f"the signature cannot be judged: {reason}")
    return PdfSignature(path=path, file_size=file_size, field_name=name, fault=fault)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.String) else ""


def _details(root: Any, claim: Claim) -> dict[str, Any]:
    value, node = claim.value, claim.node
    owner = value if isinstance(value, pikepdf.Dictionary) and value.is_indirect else node
    if not isinstance(value, pikepdf.Dictionary) or owner is None or not owner.is_indirect:
        raise SignatureRefused("FORMAT_FAILURE", "the signature is no dictionary in an object")
    if claim.doubtful:
        raise SignatureRefused("FORMAT_FAILURE", "another field has the same name or the same signature")
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
    certifies = isinstance(certified, pikepdf.Dictionary) and certified.objgen == owner.objgen
    return {
        "field_name": claim.name,
        "number": owner.objgen,
        "direct": not value.is_indirect,
        "field_number": (0, 0) if node is None or not node.is_indirect else node.objgen,
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
