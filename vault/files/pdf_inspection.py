"""What is inside a PDF: protection, damage, active content, embedded files, XFA forms, signatures.

A search of the names in the raw bytes and in the inflated object streams decides first: nothing dangerous can
be expressed without its name, so an empty answer spares the walk. A hit is only a suspicion (the name may lie
in a picture's bytes or in an object of an older revision): the walk over everything reachable from the
trailer decides. Nothing here recurses, and every loop spends from one budget.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pikepdf
from pikepdf import settings as qpdf_settings

from vault.errors import Refused, VaultError
from vault.files.pdf_dangling import Dangling, Table
from vault.files.pdf_guard import (
    FLATE_LIMIT,
    NAME_REACH,
    Budget,
    InspectionLimits,
    MemoryGrew,
    escaped_names,
    mapped,
    overflows,
    pieces,
    separators,
    too_complex,
)
from vault.files.pdf_numbers import largest_number, refuse_far_entries
from vault.files.pdf_walk import Found, Walk

_WHITE = rb"[\x00\t\n\x0c\r ]"
_END = rb"(?=[\x00\t\n\x0c\r ()<>\[\]{}/%#])"
# Actions, annotations and entries that carry what an act may not hold, and signatures.
_NAMES = re.compile(
    rb"/(?:JavaScript|JS|Launch|SubmitForm|ImportData|Rendition|RichMedia\w*|Movie|Sound|3D|GoTo[ER3]\w*|Thread"
    rb"|EF|EmbeddedFiles?|FileAttachment|Collection|XFA|NeedsRendering|Sig|ByteRange|DocMDP|UR3?|Screen)"
    + _END
)
_OBJECT = re.compile(_WHITE + rb"*([0-9]{1,10})" + _WHITE + rb"+([0-9]{1,5})" + _WHITE + rb"+obj")
_MAX_TREE_DEPTH = 100
_CONTAINER_FILTERS = {"/FlateDecode", "/Fl", "/ASCIIHexDecode", "/AHx", "/ASCII85Decode", "/A85"}
_ASSOCIATED_PART = re.compile(r"""pdfaid:part\s*(?:=\s*["']|>\s*)3\s*["'<]""")
_SIZE_WARNING = re.compile(r"number of objects \((\d+)\) is not one plus the highest object number \((\d+)\)")
_MAX_METADATA = 1024 * 1024


@dataclass(slots=True)
class PdfReport:
    """What the examination of one PDF found.

    Attributes:
        findings: (code, detail, params) in the order an act is refused for.
        pages: number of pages; None when it could not be read.
        signed: True when the file carries a signature, reachable or not.
        version: such as `1.7`; None when it could not be read.
        pdf: the open file; None when it could not be opened. Closing is the caller's.
        embeds: False when it is known that no file can be reached within it.
        dangles: True when it refers to objects that it has not, whose numbers a seal's would get, to another
            generation of one that it has, or to one that its table calls free and that is there all the same.
    """

    findings: list[Found] = field(default_factory=list)
    pages: int | None = None
    signed: bool = False
    version: str | None = None
    pdf: pikepdf.Pdf | None = None
    embeds: bool = True
    dangles: bool = False

    @classmethod
    def from_json(cls, answer: dict[str, object]) -> PdfReport:
        """Read what the probe printed: our own words, yet from a process that read a hostile file.

        Raises:
            Refused: PDF_DAMAGED when the answer has another shape.
        """
        match answer:
            case {
                "findings": list(findings),
                "pages": int() | None as pages,
                "signed": bool(signed),
                "version": str() | None as version,
                "embeds": bool(embeds),
                "dangles": bool(dangles),
            }:
                found = [(str(code), str(detail), dict(params)) for code, detail, params in findings]
                return cls(found, pages, signed, version, embeds=embeds, dangles=dangles)
            case _:
                raise Refused("PDF_DAMAGED", "the probe gave no readable answer", problem="unreadable")

    def close(self) -> None:
        """Close the file, if open."""
        if self.pdf is not None:
            self.pdf.close()

    def __enter__(self) -> PdfReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def examine(
    path: Path, limits: InspectionLimits, *, watch_memory: bool, data: bytes | mmap.mmap | None = None
) -> PdfReport:
    """Examine one PDF; hostile content ends as findings of the report, never as another exception.

    The numbered steps:
        1. the header stands at offset 0;
        2. qpdf opens the file without any repair, and it is not encrypted;
        3. cross-reference table: not too many entries, each offset leads to the object it names; neither it nor a
           reference names an object that a file of this size cannot have (`vault.files.pdf_numbers`);
        4. object streams: usual filters, bounded once inflated;
        5. page tree: no cycle, no gap, not too deep, not too many pages, whose annotations can be read;
        6. names searched in raw and inflated bytes; on a hit, everything reachable is walked;
        7. qpdf has had nothing to complain about.

    Args:
        path: a path that opens the file (opening by path is three times faster than by stream).
        limits: what it may cost.
        watch_memory: raise MemoryGrew when the process grows; off in the probe, whose memory is fenced.
        data: the file, where the caller has read or mapped it already.

    Returns:
        The report; its findings carry PDF_DAMAGED, PDF_ENCRYPTED, PDF_TOO_COMPLEX, PDF_JAVASCRIPT,
        PDF_ACTIVE_CONTENT, PDF_EMBEDDED_FILES, PDF_XFA.

    Raises:
        MemoryGrew: the file must be examined in a probe.
    """
    report = PdfReport()
    limit_errors = qpdf_settings.qpdf_limit_errors()
    try:
        with mapped(path) if data is None else nullcontext(data) as octets:
            _examine(path, octets, limits, Budget(limits, watch_memory=watch_memory), report)
    except MemoryGrew:
        report.close()
        raise
    except VaultError as refused:
        report.findings.append((refused.code, refused.detail, dict(refused.params)))
    except pikepdf.PasswordError:
        report.findings.append(("PDF_ENCRYPTED", "a password is needed", {}))
    except MemoryError:
        refusal = too_complex("memory", limits.memory)
        report.findings.append((refusal.code, refusal.detail, dict(refusal.params)))
    except Exception as error:
        # qpdf and pikepdf raise many kinds on hostile files; none may leak.
        report.findings.append(_unreadable(path, error, limit_errors))
    return report


def _unreadable(path: Path, error: Exception, limit_errors: int) -> Found:
    """Tell a file that is broken from one that asks for too much."""
    if "bad_alloc" in str(error):
        what = "memory"
    elif qpdf_settings.qpdf_limit_errors() > limit_errors:
        what = "nesting"
    else:
        with mapped(path) as data:
            what = "object stream" if overflows(data) else ""
    if what:
        return ("PDF_TOO_COMPLEX", f"{what}: {type(error).__name__}", {"what": what, "limit": FLATE_LIMIT})
    return ("PDF_DAMAGED", type(error).__name__, {"problem": "unreadable"})


def _examine(
    path: Path, data: bytes | mmap.mmap, limits: InspectionLimits, budget: Budget, report: PdfReport
) -> None:
    """Run the numbered steps of `examine`."""
    # 1
    if data[:5] != b"%PDF-":
        report.findings.append(("PDF_DAMAGED", "header not at offset 0", {"problem": "header"}))
    # 2
    pdf = report.pdf = pikepdf.open(path, attempt_recovery=False, inherit_page_attributes=False)
    report.version = pdf.pdf_version
    if pdf.is_encrypted:
        raise Refused("PDF_ENCRYPTED", "the file is encrypted")
    # 3
    believed = largest_number(len(data))
    refuse_far_entries(data, believed, budget.spend)
    table, containers = _checked_table(data, pdf, limits, budget)
    dangling = Dangling(table, max(0, int(pdf.trailer.get("/Size", 0)) - 1), budget.spend)
    names, annotated = set[bytes](), False
    for start, end in pieces(data):
        dangling.search(data, start, end)
        piece = data[start : end + NAME_REACH]
        names |= _hits(piece)
        annotated = annotated or b"/Annots" in piece
    report.signed = b"/ByteRange" in names
    # 4
    for text in _inflated(pdf, containers, limits, budget):
        dangling.search_inflated(text)
        names |= _hits(text)
        annotated = annotated or b"/Annots" in text
    if dangling.farthest > believed:
        raise Refused("PDF_DAMAGED", "a reference to an object that the file cannot have", problem="numbers")
    report.dangles = dangling.any(pdf, data, pieces(data), budget)
    # 5
    report.pages = _count_pages(pdf, limits, budget, annotated=annotated)
    # The tree is bounded now; in it qpdf looks for what it would repair (step 7 hears of it).
    budget.spend()
    len(pdf.pages)
    # 6
    embeds = False
    if names:
        walk = Walk(pdf, budget, limits.max_objects)
        walk.run()
        embeds = walk.embedded
        report.signed = report.signed or walk.signed
        report.findings.extend(walk.findings(associated_allowed=walk.embedded and _claims_part_3(pdf)))
    # 7
    if not all(_harmless(str(warning)) for warning in pdf.get_warnings()):
        report.findings.append(("PDF_DAMAGED", "qpdf warns", {"problem": "warnings"}))
        return
    report.embeds = embeds


def _harmless(warning: str) -> bool:
    """Tell the one warning that is no damage: a /Size larger than needed, as after freed objects."""
    sizes = _SIZE_WARNING.search(warning)
    return sizes is not None and int(sizes[1]) > int(sizes[2])


def _hits(text: bytes) -> set[bytes]:
    """Return the names we look for, written plainly or with escapes."""
    plain = {match[0] for match in _NAMES.finditer(text)}
    return plain | {name for name in escaped_names(text) if _NAMES.match(name + b" ")}


def _checked_table(
    data: bytes | mmap.mmap, pdf: pikepdf.Pdf, limits: InspectionLimits, budget: Budget
) -> tuple[Table, set[int]]:
    """Check the cross-reference table as qpdf read it; return what it names, and the numbers of the object streams.

    An offset that leads nowhere is damage that qpdf would only notice when the object is asked for.
    """
    if int(pdf.trailer.get("/Size", 0)) > limits.max_objects:
        raise too_complex("objects", limits.max_objects)
    if int(pdf.trailer.get("/Size", 0)) - 1 > largest_number(len(data)):
        raise Refused("PDF_DAMAGED", "object numbers that the file cannot have", problem="numbers")
    table = pdf.get_xref_table()
    if len(table) > limits.max_objects:
        raise too_complex("objects", limits.max_objects)
    containers: set[int] = set()
    budget.spend()
    for (number, generation), entry in table.items():
        kind = entry.type
        if kind == 2 and entry.obj_stream_number is not None:
            containers.add(entry.obj_stream_number)
        elif kind == 1:
            match = _OBJECT.match(data, entry.offset) if entry.offset else None
            if match is None or (int(match[1]), int(match[2])) != (number, generation):
                raise Refused("PDF_DAMAGED", "an offset leads to no such object", problem="table")
    return table, containers


def _inflated(
    pdf: pikepdf.Pdf, containers: set[int], limits: InspectionLimits, budget: Budget
) -> Iterator[bytes]:
    """Yield each object stream, inflated by qpdf itself so that nobody reads it differently."""
    total = tokens = 0
    for number in sorted(containers):
        budget.spend()
        container = pdf.get_object(number, 0)
        if not isinstance(container, pikepdf.Stream):
            raise Refused("PDF_DAMAGED", "an object stream is none", problem="table")
        if not _filters(container) <= _CONTAINER_FILTERS:
            raise too_complex("filter", FLATE_LIMIT)
        try:
            text = container.read_bytes()
        except pikepdf.PdfError as error:
            if len(container.read_raw_bytes()) * 1032 > FLATE_LIMIT:
                raise too_complex("object stream", FLATE_LIMIT) from error
            raise
        total += len(text)
        tokens += separators(text)
        if total > limits.max_inflated:
            raise too_complex("inflated", limits.max_inflated)
        if tokens > limits.max_tokens:
            raise too_complex("tokens", limits.max_tokens)
        yield text


def _filters(container: pikepdf.Stream) -> set[str]:
    """Return the names of a stream's filters."""
    value = container.stream_dict.get("/Filter")
    if value is None:
        return set()
    return {str(item) for item in (value if isinstance(value, pikepdf.Array) else [value])}


def _look_at_annotations(page: pikepdf.Dictionary, budget: Budget) -> None:
    annotations = page.get("/Annots")
    if not isinstance(annotations, pikepdf.Array):
        return
    for annotation in annotations:
        budget.spend()
        node: object = annotation
        for _ in range(_MAX_TREE_DEPTH):
            if not isinstance(node, pikepdf.Dictionary) or "/Parent" not in node:
                break
            node = node["/Parent"]


def _count_pages(pdf: pikepdf.Pdf, limits: InspectionLimits, budget: Budget, *, annotated: bool) -> int:
    """Count the leaves of the page tree (ISO 32000-1 section 7.7.3), refusing what qpdf would repair.

    Where there are annotations, each is looked at, as whoever verifies a seal looks for fields among them: qpdf warns
    then of those that are broken.
    """
    pages = 0
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[pikepdf.Object, int]] = [(pdf.Root["/Pages"], 0)]
    while stack:
        node, depth = stack.pop()
        if not isinstance(node, pikepdf.Dictionary) or not node.is_indirect or node.objgen in seen:
            raise Refused("PDF_DAMAGED", "the page tree is broken", problem="pages")
        seen.add(node.objgen)
        kids = node.get("/Kids")
        if kids is None:
            pages += 1
            if annotated:
                _look_at_annotations(node, budget)
        elif isinstance(kids, pikepdf.Array) and depth < _MAX_TREE_DEPTH:
            for kid in kids:
                budget.spend()
                stack.append((kid, depth + 1))
        elif depth >= _MAX_TREE_DEPTH:
            raise too_complex("page tree", _MAX_TREE_DEPTH)
        if pages > limits.max_pages:
            raise too_complex("pages", limits.max_pages)
    if pages == 0:
        raise Refused("PDF_DAMAGED", "no page", problem="pages")
    return pages


def _claims_part_3(pdf: pikepdf.Pdf) -> bool:
    """Tell whether the XMP metadata claim PDF/A-3 (ISO 19005-3 section 6.6.4)."""
    metadata = pdf.Root.get("/Metadata")
    if not isinstance(metadata, pikepdf.Stream):
        return False
    text = metadata.read_bytes()[:_MAX_METADATA].decode("utf-8", "replace")
    return _ASSOCIATED_PART.search(text) is not None
