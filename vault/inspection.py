"""Step 2 of the pipeline: what a received file is, and what is inside.

An act is refused for what would let it change, act or hide something under a seal; an attachment is never
refused for its content: everything is recorded and shown to whoever opens it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

import pikepdf

from vault.errors import Refused
from vault.files import media_types
from vault.files.pdf_guard import InspectionLimits, MemoryGrew, looks_costly, mapped, probe
from vault.files.pdf_inspection import PdfReport, examine
from vault.intake import IN_MEMORY, Spooled

__all__ = ["Finding", "Inspection", "InspectionLimits", "inspect"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth telling about a file; `vault.messages.catalogue` has the words for its code.

    Attributes:
        code: stable code.
        detail: for operators, in English.
        params: what the message shows.
    """

    code: str
    detail: str
    params: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Inspection:
    """The result of an inspection. Close it (or use it as a context manager) when the seal is made.

    Attributes:
        media_type: decided from the content.
        findings: what was found, gravest first.
        pdf: the PDF of an act, open by path, for the sealer; None for anything else.
        pages: pages of a PDF that could be read.
        has_signatures: the PDF carries signatures: it is never certified over, but sealed beside.
        pdf_version: such as `1.7`.
        embeds: False where it is known that no files are within it.
    """

    media_type: str
    findings: tuple[Finding, ...] = ()
    pdf: pikepdf.Pdf | None = None
    pages: int | None = None
    has_signatures: bool = False
    pdf_version: str | None = None
    embeds: bool = True

    def close(self) -> None:
        """Close the PDF, if open; harmless when repeated."""
        if self.pdf is not None:
            self.pdf.close()

    def __enter__(self) -> Inspection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def inspect(
    spooled: Spooled,
    *,
    name: str,
    declared_type: str | None,
    as_act: bool,
    limits: InspectionLimits | None = None,
) -> Inspection:
    """Decide the type of a received file and look into it when it is a PDF.

    Args:
        spooled: the file; still open afterwards.
        name: a name `clean_file_name` accepted; its extension is only compared.
        declared_type: the client's Content-Type, only compared; None when it gave none.
        as_act: True refuses what an act may not hold; False records it.
        limits: how much a PDF may ask of the inspection.

    Returns:
        The inspection; for a PDF act its `pdf` is open.

    Raises:
        Refused: for an act, the code of its gravest finding: PDF_ENCRYPTED, PDF_DAMAGED, PDF_TOO_COMPLEX,
            PDF_JAVASCRIPT, PDF_ACTIVE_CONTENT (kinds), PDF_XFA, PDF_EMBEDDED_FILES (count).
    """
    media_type = media_types.detect(spooled.stream, spooled.size)
    findings = _differences(media_type, name, declared_type)
    if media_type != media_types.PDF:
        return Inspection(media_type, findings)
    report = _report(spooled, limits or InspectionLimits(), open_after=as_act)
    found = tuple(Finding(code, detail, params) for code, detail, params in report.findings)
    if as_act and found:
        report.close()
        raise Refused(found[0].code, found[0].detail, **found[0].params)
    if as_act and report.dangles and not report.signed:
        report.close()
        # Harmless in itself, and met in genuine files; but a seal inside would give these numbers a meaning.
        raise Refused("PDF_DAMAGED", "references to objects that the file has not", problem="numbers")
    if not as_act:
        report.close()
        report.pdf = None
    return Inspection(
        media_type,
        found + findings,
        pdf=report.pdf,
        pages=report.pages,
        has_signatures=report.signed,
        pdf_version=report.version,
        embeds=report.embeds,
    )


def _report(spooled: Spooled, limits: InspectionLimits, *, open_after: bool) -> PdfReport:
    """Examine here, or first in a fenced process when the file looks costly or proves to be."""
    path = spooled.path
    with _octets_of(spooled) as data:
        if not looks_costly(data):
            try:
                return examine(path, limits, watch_memory=True, data=data)
            except MemoryGrew:
                pass
    answer = probe(path, spooled.stream.fileno(), limits)
    report = PdfReport.from_json(answer)
    if open_after and not report.findings:
        # The fenced process did exactly this within its limits.
        report.pdf = pikepdf.open(path, attempt_recovery=False, inherit_page_attributes=False)
    return report


@contextmanager
def _octets_of(spooled: Spooled) -> Iterator[bytes | mmap.mmap]:
    """Give a received file whole: read where it is small, which costs less than a map, and searches faster."""
    if spooled.size > IN_MEMORY:
        with mapped(spooled.path) as map_:
            yield map_
    else:
        spooled.stream.seek(0)
        data = spooled.stream.read()
        spooled.stream.seek(0)
        yield data


def _differences(found: str, name: str, declared: str | None) -> tuple[Finding, ...]:
    """Compare the type found with what the name and the header claim."""
    findings = []
    for source, claim in (("name", media_types.claimed_by_name(name)), ("header", declared)):
        if claim is not None and not media_types.same_type(claim, found):
            shown = claim.split(";", 1)[0].strip()[:100]
            params: dict[str, object] = {"source": source, "declared": shown, "found": found}
            findings.append(Finding("TYPE_DIFFERS", f"{source} says {shown}, content is {found}", params))
    return tuple(findings)
