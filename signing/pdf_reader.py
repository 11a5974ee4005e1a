"""What a seal revision needs to know of a PDF, read through qpdf and never by an own parser of the file.

Only the last `startxref` is looked up in the bytes, the way qpdf does; a file on which qpdf gives any warning
is refused, so both always speak of the same cross-reference section.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pikepdf

from signing.base import SealSource
from signing.errors import PdfRefused, SigningError
from signing.hostile import HOSTILE

# What qpdf says of a hostile file is that file's text: it is read through `get_warnings`, and goes to no log.
_qpdf = logging.getLogger("pikepdf._core")
_qpdf.addHandler(logging.NullHandler())
_qpdf.propagate = False

# ISO 32000-1 Annex C: the largest object number that readers must take.
MAX_OBJECT_NUMBER = 8_388_607
# qpdf looks for the last startxref this far from the end.
_TAIL = 1054
# Up to here one read of the whole file costs less than the four places looked at.
_SMALL = 1 << 15
_STARTXREF = re.compile(rb"startxref\s+([0-9]{1,15})\s")
# qpdf grants each object so many octets of the file, and takes those with larger numbers for absent.
_OCTETS_EACH = 3
_MAX_NODES = 200_000
_USUAL_DEPTH = 40
_NO_MORE = object()
_PAGE = pikepdf.Name.Page
_DAMAGE: tuple[type[Exception], ...] = (pikepdf.PdfError, pikepdf.ForeignObjectError, OSError, *HOSTILE)
# What is about one section only, and what the writer makes itself.
_LEFT_OUT_OF_TRAILER = frozenset(
    {"/Type", "/W", "/Index", "/Length", "/Filter", "/DecodeParms", "/F", "/FFilter", "/FDecodeParms", "/DL"}
    | {"/Size", "/Prev", "/XRefStm", "/Root"}
)
_USUAL_IN_TRAILER = frozenset({"/Info", "/ID"})
# Entries of a dictionary as qpdf writes them, of the kinds that need no parser: nothing in them can look like another.
_PLAIN_ENTRY = re.compile(
    rb" (/[A-Za-z]+) (/[A-Za-z0-9]+|[0-9]+(?: [0-9]+ R)?|\[ (?:[0-9]+ )+\]|\[ <[0-9a-f]+> <[0-9a-f]+> \]"
    rb"|<<(?: /[A-Za-z]+ [0-9]+)+ >>)(?= [/>])"
)
_REFERENCE = re.compile(rb"(?<![0-9.])([0-9]{1,10}) [0-9]{1,5} R(?![A-Za-z0-9])")
_OWN_CATALOG_KEYS = frozenset({"/AcroForm", "/DSS", "/Perms"})
_OWN_FORM_KEYS = frozenset({"/Fields", "/SigFlags"})
_ANNOTATIONS = frozenset({"/Annots"})
_OWN_PAGE_KEYS = frozenset({"/Annots", "/Tabs"})


@dataclass(frozen=True, slots=True)
class SealablePdf:
    """The parts of a PDF that a seal revision rewrites or points to.

    Attributes:
        startxref: offset of the newest cross-reference section.
        xref_stream: True when that section is a stream.
        size: one plus the highest object number.
        trailer: entries to carry over, key and value as PDF text, without those the writer makes itself.
        root: (number, generation) of the catalog.
        catalog: the catalog's entries as PDF text, without /AcroForm, /DSS and /Perms, brackets cut.
        page: (number, generation) of the first page.
        page_entries: the page's entries as PDF text, without /Annots and, when tagged, /Tabs, brackets cut.
        annotations: elements of the page's /Annots as PDF text.
        corner: lower left corner of the visible page, as PDF text.
        tagged: True for a tagged PDF, where the tab order must follow the structure.
        has_id: True when the trailer has an identifier.
        form: the interactive form's entries as PDF text, without /Fields and /SigFlags, brackets cut.
        fields: elements of the form's /Fields as PDF text.
        field_names: partial names of the top-level fields.
    """

    startxref: int
    xref_stream: bool
    size: int
    trailer: bytes = field(repr=False)
    root: tuple[int, int]
    catalog: bytes = field(repr=False)
    page: tuple[int, int]
    page_entries: bytes = field(repr=False)
    annotations: bytes = field(repr=False)
    corner: tuple[bytes, bytes]
    tagged: bool
    has_id: bool
    form: bytes = field(repr=False)
    fields: bytes = field(repr=False)
    field_names: frozenset[str] = field(repr=False)


@contextmanager
def refusing_pdf() -> Iterator[None]:
    """Turn what qpdf and pikepdf throw on damaged files into `PdfRefused`."""
    try:
        yield
    except SigningError:
        raise
    except pikepdf.PasswordError as error:
        raise PdfRefused(
            "PDF_ENCRYPTED", "the PDF is encrypted; remove the protection and try again"
        ) from error
    except _DAMAGE as error:
        raise PdfRefused("PDF_DAMAGED", "the PDF is damaged; save it anew and try again") from error


def read_sealable(source: SealSource) -> SealablePdf:
    """Read what the seal needs.

    1. Not encrypted, opened without warning, header at offset 0. 2. No signature, filled signature field
    or permission signature (a signed file is never certified over). 3. Newest cross-reference section,
    its kind and size, which is one that qpdf believes. 4. Page tree, first page. 5. Form. 6. None of it refers to
    objects that the file has not: their numbers are the ones that the seal's own objects get. 7. Still no warning.

    Args:
        source: the file; `source.pdf` is read, not changed, and must not have been changed.

    Raises:
        PdfRefused: PDF_ENCRYPTED, PDF_DAMAGED, PDF_ALREADY_SIGNED or PDF_UNSUPPORTED.
    """
    with refusing_pdf():
        if source.pdf is not None:
            return _read(source.pdf, source.stream, source.size)
        # Inherited page attributes stay where they are: qpdf would move them into objects that the file has not.
        with pikepdf.open(source.path, attempt_recovery=False, inherit_page_attributes=False) as pdf:
            return _read(pdf, source.stream, source.size)


def _read(pdf: pikepdf.Pdf, stream: BinaryIO, file_size: int) -> SealablePdf:
    # 1
    if pdf.is_encrypted:
        raise PdfRefused("PDF_ENCRYPTED", "the PDF is encrypted; remove the protection and try again")
    _require_no_warning(pdf)
    octets = _octets_of(stream, file_size)
    if octets(0, 5) != b"%PDF-":
        raise PdfRefused("PDF_DAMAGED", "octets stand before the PDF header; save the file anew")
    root = _dictionary(pdf.trailer.get("/Root"), "catalog")
    if not root.is_indirect:
        raise ValueError("the catalog is not an indirect object")
    form = _get(root, "/AcroForm")
    form = None if form is None else _dictionary(form, "form")
    if form is not None and "/Kids" in form:
        raise ValueError("the form is a node of a tree")
    fields = None if form is None else _get(form, "/Fields")
    # 2
    names = _refuse_signed(root, fields)
    # 3
    startxref, xref_stream = _newest_section(octets, file_size)
    size = int(pdf.trailer["/Size"])
    if size - 1 > file_size // _OCTETS_EACH:
        raise PdfRefused("PDF_DAMAGED", "object numbers that the file cannot have; save the file anew")
    # 4
    require_page_tree(pdf)
    page = _first_page(root)
    marks = _get(root, "/MarkInfo")
    tagged = marks is not None and bool(marks.get("/Marked", False))
    annotations = _get(page, "/Annots")
    # 5
    known = SealablePdf(
        startxref=startxref,
        xref_stream=xref_stream,
        size=size,
        trailer=_trailer(pdf.trailer, stream=xref_stream),
        root=root.objgen,
        catalog=_entries(root, _OWN_CATALOG_KEYS),
        page=page.objgen,
        page_entries=_entries(page, _OWN_PAGE_KEYS if tagged else _ANNOTATIONS),
        annotations=_elements(annotations),
        corner=_corner(page),
        tagged=tagged,
        has_id="/ID" in pdf.trailer,
        form=b"" if form is None else _entries(form, _OWN_FORM_KEYS),
        fields=_elements(fields),
        field_names=names,
    )
    # 6
    _require_no_dangling(known)
    # 7
    _require_no_warning(pdf)
    return known


def require_page_tree(pdf: pikepdf.Pdf) -> None:
    """Have qpdf go through the page tree, once for an open file; what it has to repair there it warns of.

    Raises:
        ValueError: there is no page.
    """
    if len(pdf.pages) == 0:
        raise ValueError("no page")


def _require_no_warning(pdf: pikepdf.Pdf) -> None:
    if pdf.get_warnings():
        raise PdfRefused("PDF_DAMAGED", "the PDF is damaged; save it anew and try again")


def _octets_of(stream: BinaryIO, file_size: int) -> Callable[[int, int], bytes]:
    """Return what reads octets of a file: from where, how many."""
    if file_size > _SMALL:

        def read(start: int, count: int) -> bytes:
            stream.seek(start)
            return stream.read(count)

        return read
    stream.seek(0)
    whole = stream.read(file_size + 1)
    return lambda start, count: whole[start : start + count]


def _newest_section(octets: Callable[[int, int], bytes], file_size: int) -> tuple[int, bool]:
    tail = octets(max(0, file_size - _TAIL), _TAIL)
    found = _STARTXREF.match(tail + b"\n", tail.rfind(b"startxref"))
    if found is None or not 0 < int(found[1]) < file_size:
        raise ValueError("no usable startxref")
    startxref = int(found[1])
    head = octets(startxref, 64).lstrip(b"\x00\t\n\x0c\r ")
    if len(octets(file_size - 1, 2)) != 1:
        raise PdfRefused("SOURCE_CHANGED", "the file does not have the size that intake measured")
    return startxref, not head.startswith(b"xref")


def _trailer(trailer: pikepdf.Object, *, stream: bool) -> bytes:
    """Carry every entry over that is not about one section only (ISO 32000-1 section 7.5.6).

    Into a cross-reference stream only the usual ones: it is an object, and a dangling reference elsewhere in the
    file may lead to its number; nothing that the file's maker chose may be found there.
    """
    text: bytes = trailer.unparse(resolved=True)
    plain: list[tuple[bytes, bytes]] = _PLAIN_ENTRY.findall(text)
    if sum([len(key) + len(value) + 2 for key, value in plain]) == len(text) - len(b"<< >>"):
        kept = [entry for entry in plain if _is_carried_over(entry[0].decode(), stream=stream)]
        return b" ".join([b"%b %b" % entry for entry in kept])
    unwanted = (key for key in trailer.keys() if not _is_carried_over(key, stream=stream))  # noqa: SIM118 - qpdf's
    return _entries(trailer, frozenset(unwanted))


def _is_carried_over(key: str, *, stream: bool) -> bool:
    return key in _USUAL_IN_TRAILER if stream else key not in _LEFT_OUT_OF_TRAILER


def _require_no_dangling(known: SealablePdf) -> None:
    texts = (known.catalog, known.page_entries, known.annotations, known.form, known.fields, known.trailer)
    if max(map(int, _REFERENCE.findall(b" ".join(texts))), default=0) >= known.size:
        raise PdfRefused(
            "PDF_UNSUPPORTED", "the PDF refers to objects that it has not, or was changed in memory"
        )


def _dictionary(value: Any, what: str) -> pikepdf.Dictionary:
    if not isinstance(value, pikepdf.Dictionary):
        raise ValueError(f"no usable {what}")  # noqa: TRY004 - hostile data, not a caller's mistake
    return value


def _get(dictionary: pikepdf.Object, key: str) -> Any:
    """Return a value or None; `get` takes five times as long to say that there is none."""
    return dictionary[key] if key in dictionary else None  # noqa: SIM401 - it is the slow one


def _entries(dictionary: pikepdf.Object, without: frozenset[str]) -> bytes:
    """Return a dictionary's entries as PDF text, references kept, some left out, brackets cut."""
    unwanted = [key for key in without if key in dictionary]
    if unwanted:
        dictionary = copy.copy(dictionary)
        for key in unwanted:
            del dictionary[key]
    text: bytes = dictionary.unparse(resolved=True)
    return text.strip()[2:-2].strip()


def _elements(array: Any) -> bytes:
    if array is None:
        return b""
    if not isinstance(array, pikepdf.Array):
        raise ValueError("an array is something else")  # noqa: TRY004
    text: bytes = array.unparse(resolved=True)
    return text.strip()[1:-1].strip()


def _refuse_signed(root: pikepdf.Dictionary, fields: Any) -> frozenset[str]:
    """Refuse a document that carries any signature; return the top-level field names."""
    permissions = _get(root, "/Perms")
    if permissions is not None and len(permissions.keys()) > 0:
        raise PdfRefused("PDF_ALREADY_SIGNED", "the PDF carries a permission signature")
    if fields is None:
        return frozenset()
    names = set()
    for depth, entry in walk_tree(fields):
        name = entry.get("/T")
        if depth == 0 and name is not None:
            names.add(str(name))
        if entry.get("/FT") == pikepdf.Name.Sig and entry.get("/V") is not None:
            raise PdfRefused("PDF_ALREADY_SIGNED", "the PDF already carries a signature")
        value = entry.get("/V")
        if isinstance(value, pikepdf.Dictionary) and "/ByteRange" in value:
            raise PdfRefused("PDF_ALREADY_SIGNED", "the PDF already carries a signature")
    return frozenset(names)


def walk_tree(nodes: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Yield the dictionaries of a tree under /Kids in document order, each indirect one once."""
    stack: list[tuple[int, Iterator[Any]]] = [(0, iter(nodes))]
    seen: set[tuple[int, int]] = set()
    count = 0
    while stack:
        depth, siblings = stack[-1]
        node = next(siblings, _NO_MORE)
        if node is _NO_MORE:
            stack.pop()
            continue
        count += 1
        if count > _MAX_NODES:
            raise ValueError("the tree has too many nodes")
        if not isinstance(node, pikepdf.Dictionary):
            continue
        identity = node.objgen
        if identity[0]:
            if identity in seen:
                continue
            seen.add(identity)
        yield depth, node
        kids = node.get("/Kids")
        if kids is not None and isinstance(kids, pikepdf.Array):
            # One by one: who wants the first page must not pay for the thousand after it.
            stack.append((depth + 1, map(kids.__getitem__, range(len(kids)))))


def _first_page(root: pikepdf.Dictionary) -> Any:
    page = _straight_down(root)
    if page is None:
        page = next((node for _, node in walk_tree([root.get("/Pages")]) if "/Kids" not in node), None)
    if page is None:
        raise ValueError("no page")
    if not page.is_indirect or page.get("/Type") != _PAGE:
        raise ValueError("the first page is not an indirect page object")
    return page


def _straight_down(root: pikepdf.Dictionary) -> Any:
    """Return the leaf to which first kids lead; None where one is missing or odd, and the tree has to be walked."""
    node = _get(root, "/Pages")
    for _ in range(_USUAL_DEPTH):
        if not isinstance(node, pikepdf.Dictionary):
            break
        if "/Kids" not in node:
            return node
        kids = node["/Kids"]
        if not isinstance(kids, pikepdf.Array) or not len(kids):
            break
        node = kids[0]
    return None


def _corner(page: pikepdf.Dictionary) -> tuple[bytes, bytes]:
    """Return the lower left corner of the crop box, where an empty rectangle counts as outside (PDF/UA)."""
    found: dict[str, pikepdf.Array] = {}
    node: Any = page
    seen: set[tuple[int, int]] = set()
    while isinstance(node, pikepdf.Dictionary) and node.objgen not in seen:
        seen.add(node.objgen)
        for name in ("/CropBox", "/MediaBox"):
            if name not in found and name in node:
                box = node[name]
                if isinstance(box, pikepdf.Array) and len(box) == 4:
                    found[name] = box
        node = None if "/CropBox" in found else _get(node, "/Parent")
    chosen = found.get("/CropBox", found.get("/MediaBox"))
    if chosen is None:
        return b"0", b"0"
    numbers = _numbers(chosen)
    low = [min(numbers[axis], numbers[axis + 2]) for axis in (0, 1)]
    return tuple(f"{value:f}".rstrip("0").rstrip(".").encode() for value in low)  # type: ignore[return-value]


def _numbers(box: pikepdf.Array) -> list[float]:
    """Return the elements of an array as numbers; their text is read at once where no element is a reference."""
    text: bytes = box.unparse(resolved=True)
    words = text[1:-1].split()
    if len(words) == len(box):
        try:
            return list(map(float, words))
        except ValueError:
            pass
    return [float(value) for value in box]
