"""The walk over everything reachable in a PDF, judging each dictionary by what it says of itself.

Where an action, an annotation or a file specification hangs does not matter: the catalog, a page, a field in
the depth of a form, an outline item, the next of a chain, a structure element. If a viewer can reach it, so
does the walk.
"""

from __future__ import annotations

from collections.abc import Iterable

import pikepdf

from vault.files.pdf_guard import Budget, too_complex

# Action types (ISO 32000-1 table 198, ISO 32000-2 table 201) that run, fetch, send or open something else.
_ACTIVE_ACTIONS = frozenset(
    {
        "/GoTo3DView",
        "/GoToE",
        "/GoToR",
        "/ImportData",
        "/Launch",
        "/Movie",
        "/Rendition",
        "/RichMediaExecute",
        "/Sound",
        "/SubmitForm",
    }
)
# Annotation types that play or execute something.
_ACTIVE_ANNOTATIONS = frozenset({"/3D", "/Movie", "/RichMedia", "/Screen", "/Sound"})
_SIGNATURE_KEYS = frozenset({"/ByteRange", "/DocMDP", "/UR", "/UR3"})

_Key = tuple[int, int]
Found = tuple[str, str, dict[str, object]]


class Walk:
    """One walk over the objects reachable from the catalog.

    Attributes:
        signed: a signature value or signed permission was met.
        embedded: an embedded file was met.
    """

    def __init__(self, pdf: pikepdf.Pdf, budget: Budget, max_objects: int) -> None:
        self._pdf = pdf
        self._budget = budget
        self._max_objects = max_objects
        self._javascript = False
        self._active: set[str] = set()
        self._xfa = False
        self._loose_files = 0
        self._specifications: dict[_Key, bool] = {}
        self._associated: set[_Key] = set()
        self.signed = False

    @property
    def embedded(self) -> bool:
        """Tell whether any embedded file was met."""
        return bool(self._loose_files or self._specifications)

    def run(self) -> None:
        """Visit every reachable object once.

        Raises:
            Refused: PDF_TOO_COMPLEX when there are too many objects or the time is over.
        """
        seen: set[_Key] = set()
        stack: list[pikepdf.Object] = [self._pdf.Root]
        visited = 0
        while stack:
            self._budget.spend()
            item = stack.pop()
            if item.is_indirect:
                if item.objgen in seen:
                    continue
                seen.add(item.objgen)
            visited += 1
            if visited > self._max_objects * 8:
                raise too_complex("objects", self._max_objects)
            if isinstance(item, pikepdf.Array):
                stack.extend(self._containers(item))
                continue
            entries = item.stream_dict if isinstance(item, pikepdf.Stream) else item
            values = self._values(entries)
            self._judge(item, values)
            stack.extend(self._containers(values.values()))

    def _values(self, entries: pikepdf.Object) -> dict[str, object]:
        """Read the entries of a dictionary; each value may have to be fetched from the file."""
        values: dict[str, object] = {}
        for key in entries.keys():  # noqa: SIM118 - the type of a bare iteration is too wide
            self._budget.spend()
            values[key] = entries[key]
        return values

    def _containers(self, values: Iterable[object]) -> list[pikepdf.Object]:
        """Keep what can hold other objects."""
        kept: list[pikepdf.Object] = []
        for value in values:
            self._budget.spend()
            if isinstance(value, pikepdf.Dictionary | pikepdf.Array | pikepdf.Stream):
                kept.append(value)
        return kept

    def _judge(self, item: pikepdf.Object, values: dict[str, object]) -> None:
        """Judge one dictionary (or a stream's)."""
        action = _name(values.get("/S"))
        subtype = _name(values.get("/Subtype"))
        if action == "/JavaScript" or "/JavaScript" in values or _is_script(values.get("/JS")):
            self._javascript = True
        if action in _ACTIVE_ACTIONS:
            self._active.add(action[1:])
        if action == "/Thread" and "/F" in values:
            self._active.add("Thread")
        if subtype in _ACTIVE_ANNOTATIONS:
            self._active.add(subtype[1:])
        if "/XFA" in values or values.get("/NeedsRendering") is True:
            self._xfa = True
        self._judge_files(item, values, subtype)
        filled = _name(values.get("/FT")) == "/Sig" and "/V" in values
        if filled or not _SIGNATURE_KEYS.isdisjoint(values):
            self.signed = True

    def _judge_files(self, item: pikepdf.Object, values: dict[str, object], subtype: str) -> None:
        """Note embedded files, and which of them some object declares as associated."""
        associated = values.get("/AF")
        if isinstance(associated, pikepdf.Dictionary):
            associated = [associated]
        if isinstance(associated, list | pikepdf.Array):
            self._associated.update(
                entry.objgen for entry in associated if isinstance(entry, pikepdf.Dictionary)
            )
        if "/EF" in values:
            related = _name(values.get("/AFRelationship")) != ""
            if item.is_indirect:
                self._specifications[item.objgen] = related
            else:
                self._loose_files += 1
        if "/Collection" in values:
            self._loose_files += 1
        if subtype == "/FileAttachment":
            target = values.get("/FS")
            if not (isinstance(target, pikepdf.Dictionary) and "/EF" in target):
                self._loose_files += 1

    def findings(self, *, associated_allowed: bool) -> list[Found]:
        """Return the findings as (code, detail, params), gravest first.

        Args:
            associated_allowed: the file claims PDF/A-3, where an embedded file is allowed when it has an
                `/AFRelationship` and some `/AF` entry refers to it (ISO 19005-3 section 6.8).
        """
        found: list[Found] = []
        if self._javascript:
            found.append(("PDF_JAVASCRIPT", "a script is reachable", {}))
        if self._active:
            kinds = ", ".join(sorted(self._active))
            found.append(("PDF_ACTIVE_CONTENT", kinds, {"kinds": kinds}))
        if self._xfa:
            found.append(("PDF_XFA", "the form is XFA", {}))
        tolerated = associated_allowed and not self._loose_files
        if self.embedded and not (
            tolerated
            and all(related and key in self._associated for key, related in self._specifications.items())
        ):
            count = len(self._specifications) + self._loose_files
            found.append(("PDF_EMBEDDED_FILES", f"{count} embedded files", {"count": count}))
        return found


def _name(value: object) -> str:
    """Return the text of a name object, `/` included, or an empty text for anything else."""
    return str(value) if isinstance(value, pikepdf.Name) else ""


def _is_script(value: object) -> bool:
    """Tell whether an entry can hold a script: a text or a stream."""
    return isinstance(value, pikepdf.String | pikepdf.Stream | str)
