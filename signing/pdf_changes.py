"""What was done to a PDF after each of its signatures, judged revision by revision (ISO 32000-2, 12.8).

A hop is what lies between one signed end and the next, or the end of the file. Both states of it are opened by
qpdf; the objects that differ are found by their cross-reference entries, each must be explained by a role in the
document that may change, and nothing else may refer to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pikepdf

from signing.errors import SignatureRefused
from signing.hostile import HOSTILE
from signing.judgement import Change, ChangeKind
from signing.pdf_census import Census
from signing.pdf_document import compare_document
from signing.pdf_fields import changed_fields, compare_field
from signing.pdf_hop import Hop
from signing.pdf_objects import Ref
from signing.pdf_pages import changed_pages, compare_page
from signing.pdf_permissions import permission
from signing.pdf_places import Pages
from signing.pdf_signatures import PdfSignature, check_coverage
from signing.pdf_states import Entry, Identity, State, material_warnings, open_state, too_complex
from signing.pdf_structure import changed_structure, compare_structure
from signing.pdf_tail import scan, stray_ranges, unnamed

_MAX_HOPS = 64
# States that may be open together.
_KEPT = 3
_DAMAGE: tuple[type[Exception], ...] = (pikepdf.PdfError, OSError, *HOSTILE)
_HEADER = b"%PDF-"


@contextmanager
def revisions(path: Path, signatures: Sequence[PdfSignature]) -> Iterator[Revisions]:
    """Get ready to judge what came after each signature of a file.

    Args:
        path: the file.
        signatures: all that `pdf_signatures` found in it.
    """
    yield Revisions(path, signatures)


class Revisions:
    """The hops of one file; each is compared once, when it is first asked for."""

    def __init__(self, path: Path, signatures: Sequence[PdfSignature]) -> None:
        self._path = path
        self._signatures = signatures
        self._refusals = {id(item): _refusal(item) for item in signatures}
        self._sound = [
            item for item in signatures if not item.usage_rights and self._refusals[id(item)] is None
        ]
        self._size = path.stat().st_size
        self._hops: dict[int, _Result] | None = None

    def after(self, signature: PdfSignature) -> tuple[Change, ...]:
        """Return what was changed after a signature, in the order of the file, all of it allowed.

        1. The signature covers what it must (`check_coverage`). 2. The signed state opens without a guess, at the
        first octet. 3. The signature dictionary is the same in it and in the file. 4. Every hop from its end on
        adds whole revisions in an unambiguous form, and changes only what is allowed.

        Raises:
            SignatureRefused: FORMAT_FAILURE, PDF_CONTENT_CHANGED, PDF_OBJECT_REDEFINED, PDF_APPEARANCE_CHANGED,
                PDF_APPEARANCE_OVERLAP, PDF_ANNOTATION_ADDED, PDF_FIELD_ADDED, PDF_FIELD_LOCKED,
                PDF_CHANGE_NOT_PERMITTED; indeterminate: PDF_AMBIGUOUS, PDF_TOO_COMPLEX, PDF_DYNAMIC_FORM,
                PDF_ANNOTATION_MAY_HIDE. A failure in any hop comes before a doubt in another.
        """
        # 1
        refusal = self._refusals[id(signature)] if id(signature) in self._refusals else _refusal(signature)
        if refusal is not None:
            raise refusal
        problems: list[SignatureRefused] = []
        changes: list[Change] = []
        # 2
        with self._path.open("rb") as stream:
            if stream.read(len(_HEADER)) != _HEADER:
                problems.append(_ambiguous("octets stand before the PDF header"))
        if signature.end == self._size:
            if material_warnings(signature.document_warnings):
                problems.append(_ambiguous("the signed PDF is damaged"))
        else:
            # 3, 4
            for start, result in self._results().items():
                if start >= signature.end:
                    problems += result.problems
                    changes += result.changes
                if start == signature.end:
                    problems += result.of_signed_state
        failed = [problem for problem in problems if not problem.indeterminate]
        for problem in (*failed, *problems):
            raise problem
        return tuple(changes)

    def hidden(self) -> int:
        """Count the signatures that stand in the file and in no field: who looks at the file alone may see them."""
        strays = stray_ranges(self._path, self._signatures)
        if not strays:
            return 0
        with _state(self._path, self._size) as state:
            if state is None:
                return len(strays)
            census = Census(state)
            places = sorted(
                (entry[1], Ref(*identity)) for identity, entry in state.table.items() if entry[0] == 1
            )
            count = 0
            for offset in strays:
                index = bisect_right(places, (offset, Ref(1 << 62, 0))) - 1
                count += index >= 0 and census.is_live(places[index][1])
            return count

    def _results(self) -> dict[int, _Result]:
        if self._hops is None:
            ends = sorted({item.end for item in self._sound} | {self._size})
            if len(ends) - 1 > _MAX_HOPS:
                crowded = _Result([too_complex("the PDF has too many signed revisions")])
                self._hops = dict.fromkeys(ends[:-1], crowded)
            else:
                self._hops = self._compare(ends)
        return self._hops

    def _compare(self, ends: list[int]) -> dict[int, _Result]:
        """Compare all hops in order.

        References to objects that only another state defines must be seen in each, so what all define is needed
        first; where the states are many they are opened twice, at most two at a time.
        """
        if len(ends) <= _KEPT:
            with ExitStack() as stack:
                states = [stack.enter_context(_state(self._path, end)) for end in ends]
                return self._walk(ends, iter(states), _defined(states))
        defined: set[Identity] = set()
        for end in ends:
            with _state(self._path, end) as state:
                defined |= _defined([state])
        with closing(self._opened(ends)) as reopened:
            return self._walk(ends, reopened, defined)

    def _opened(self, ends: list[int]) -> Generator[State | None]:
        """Open one state after the other; the one before stays open."""
        with ExitStack() as previous:
            for end in ends:
                with ExitStack() as current:
                    state = current.enter_context(_state(self._path, end))
                    yield state
                    previous.close()
                    previous.push(current.pop_all())

    def _walk(
        self, ends: list[int], states: Iterator[State | None], defined: set[Identity]
    ) -> dict[int, _Result]:
        comparison = _Comparison(self._path, self._sound, defined)
        results: dict[int, _Result] = {}
        entries: dict[int, Entry | None] = {}
        by_end = {item.end: item for item in self._sound}
        old = next(states)
        final = old
        for start, new in zip(ends, states, strict=False):
            signature = by_end[start]
            results[start] = comparison.compare(start, old, new)
            entries[start] = None if old is None else old.table.get(Ref(*signature.number))
            old = final = new
        for start, entry in entries.items():
            number = Ref(*by_end[start].number)
            if entry is None or final is None or final.table.get(number) != entry:
                message = "the signature dictionary is not the one that was signed"
                results[start].of_signed_state.append(SignatureRefused("FORMAT_FAILURE", message))
        return results


@dataclass(slots=True)
class _Result:
    """What comparing one hop said; `of_signed_state` is against the state it starts from only."""

    problems: list[SignatureRefused] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    of_signed_state: list[SignatureRefused] = field(default_factory=list)


class _Comparison:
    """Compares hops in order; the census of references goes on from one to the next."""

    def __init__(self, path: Path, sound: Sequence[PdfSignature], defined: set[Identity]) -> None:
        self._path = path
        self._sound = sound
        self._defined = defined
        self._census: Census | None = None
        self._pages = Pages()

    def compare(self, start: int, old: State | None, new: State | None) -> _Result:
        """Compare two states; whatever goes wrong is part of the result."""
        result = _Result()
        if old is None:
            result.of_signed_state.append(SignatureRefused("FORMAT_FAILURE", "the signed octets are no PDF"))
        elif old.warnings:
            result.of_signed_state.append(_ambiguous("the signed PDF is damaged"))
        if old is None or new is None or old.warnings or new.warnings:
            self._census = None
            if new is None or (new.warnings and not (old and old.warnings)):
                message = "what follows the signature makes the PDF damaged or ambiguous"
                result.problems.append(SignatureRefused("FORMAT_FAILURE", message))
            return result
        try:
            self._judge(start, old, new, result)
        except SignatureRefused as error:
            result.problems.append(error)
            self._census = None
        except _DAMAGE as error:
            name = type(error).__name__
            result.problems.append(_ambiguous(f"what follows the signature cannot be read ({name})"))
            self._census = None
        return result

    def _judge(self, start: int, old: State, new: State, result: _Result) -> None:
        tail = scan(self._path, start, new.end)
        problem = tail.problem or unnamed(tail, start, new.table, self._table)
        if problem:
            result.problems.append(SignatureRefused("FORMAT_FAILURE", problem))
        for state in (old, new):
            state.declare(self._defined)
        if self._census is None:
            self._census = Census(old)
        self._pages.stand_at(new)
        before = [item for item in self._sound if item.end <= start]
        ending = {Ref(*item.number): item for item in self._sound if item.end == new.end}
        hop = Hop(old, new, self._census, permission(old, before), ending, self._pages)
        compare_document(hop)
        for identity in sorted(changed_pages(hop)):
            compare_page(hop, identity)
        for identity in sorted(changed_fields(hop)):
            compare_field(hop, identity)
        for identity in sorted(changed_structure(hop)):
            compare_structure(hop, identity)
        hop.settle()
        if not hop.changes:
            hop.note(ChangeKind.REWRITTEN)
        result.changes.extend(hop.changes.values())
        result.problems.extend(hop.problems)
        forbidden = hop.permission.refuse(hop.changes.values())
        if forbidden is not None:
            result.problems.append(forbidden)
        self._late(old, new, result)

    def _late(self, old: State, new: State, result: _Result) -> None:
        if any(old.late_warnings(old.end)):
            result.of_signed_state.append(_ambiguous("the signed PDF is damaged"))
            result.problems.append(_ambiguous("the PDF is damaged"))
        earlier, later = new.late_warnings(old.end)
        if later:
            message = "what follows the signature makes the PDF damaged or ambiguous"
            result.problems.append(SignatureRefused("FORMAT_FAILURE", message))
        elif earlier:
            result.problems.append(_ambiguous("the PDF is damaged"))

    def _table(self, end: int) -> dict[Identity, Entry]:
        with _state(self._path, end) as state:
            return {} if state is None else state.table


def _refusal(signature: PdfSignature) -> SignatureRefused | None:
    try:
        check_coverage(signature, strict=False)
    except SignatureRefused as error:
        return error
    return None


def _ambiguous(message: str) -> SignatureRefused:
    return SignatureRefused("PDF_AMBIGUOUS", message, indeterminate=True)


def _defined(states: Sequence[State | None]) -> set[Identity]:
    found: set[Identity] = set()
    for state in states:
        found.update(() if state is None else state.table)
    return found


@contextmanager
def _state(path: Path, end: int) -> Iterator[State | None]:
    """Open a state; None when qpdf can make nothing of it."""
    with ExitStack() as stack:
        try:
            state = stack.enter_context(open_state(path, end))
        except _DAMAGE:
            state = None
        yield state
