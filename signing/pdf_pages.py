"""What a hop may change on pages: nothing but the list of annotations, and there only new ones of some kinds."""

from __future__ import annotations

import re

from signing.judgement import ChangeKind
from signing.pdf_fields import added_field
from signing.pdf_hop import CHANGED, Hop, differs
from signing.pdf_objects import Ref, Stream, Value, rectangle
from signing.pdf_overlap import Box, check_overlap, is_flat, is_page, shows
from signing.pdf_painting import brightness, hides, operations
from signing.pdf_places import Place, Role, added_items, keys_of, name, raw
from signing.pdf_states import State

_MAY_HIDE = "PDF_ANNOTATION_MAY_HIDE"
_MARKUP = frozenset({b"/Text", b"/Highlight", b"/Underline", b"/StrikeOut", b"/Squiggly", b"/Popup", b"/Ink"})
_NUMBER = re.compile(rb"-?\d{1,9}(\.\d{1,9})?|-?\.\d{1,9}")
_MAX_APPEARANCE = 1 << 16
_MAX_WIDTH = 12.0
_LIGHT = 0.8
_DARK = 0.4


def changed_pages(hop: Hop) -> set[Ref]:
    """Return the old pages that were overridden, or whose list of annotations was."""
    found = {identity for identity in hop.touched if is_page(hop.old.value(identity))}
    for identity in hop.touched - found:
        if isinstance(hop.old.value(identity), list):
            found.update(hop.owners(identity, lambda path, owner: path == b"/Annots" and is_page(owner)))
    return found


def compare_page(hop: Hop, identity: Ref) -> None:
    """Judge a page that both states have."""
    old = Place(hop.old.value(identity), identity, b"", identity)
    new = Place(hop.new.value(identity), identity, b"", identity)
    hop.explain(old, Role.PAGE)
    if not is_page(new.value):
        hop.refuse(CHANGED, "a page became something else")
        return
    for key in sorted(keys_of(old, new) - {b"/Annots"}):
        if differs(hop, old, new, key) and not (
            key in {b"/Tabs", b"/LastModified"} and isinstance(raw(new, key), bytes)
        ):
            hop.refuse(CHANGED, f"a page has another {name(key)}")
    before, after = hop.both(old, new, b"/Annots", Role.ARRAY)
    added = added_items(before.value, after.value)
    if added is None:
        hop.refuse(CHANGED, "an annotation is gone")
        return
    for item in added:
        annotation = hop.follow(hop.new, item, after.owner, after.path)
        if hop.new.get(annotation.value, b"/Subtype") == b"/Widget":
            added_field(hop, annotation)
            if shows(hop.new, annotation.value):
                if hop.permission.level == 1:
                    message = "a visible signature was added to a document that forbids it"
                    hop.refuse("PDF_CHANGE_NOT_PERMITTED", message)
                check_overlap(hop, identity, annotation, prepared=False)
        else:
            _annotation(hop, identity, annotation)


def _annotation(hop: Hop, page: Ref, annotation: Place) -> None:
    if hop.permission.level != 3:
        hop.refuse("PDF_ANNOTATION_ADDED", "an annotation was added, which the signature does not allow")
        return
    if not isinstance(annotation.value, dict) or (annotation.ref and annotation.ref not in hop.fresh):
        hop.refuse("PDF_ANNOTATION_ADDED", "an annotation was added that is no new object")
        return
    if annotation.value.keys() & {b"/A", b"/AA"}:
        hop.refuse("PDF_ANNOTATION_ADDED", "an annotation with an action was added")
    kind = hop.new.get(annotation.value, b"/Subtype")
    if kind not in _MARKUP or _may_hide(hop.new, annotation.value, kind):
        hop.refuse(_MAY_HIDE, "an annotation was added that may hide what was signed", indeterminate=True)
    shown = kind[1:].decode("latin-1") if isinstance(kind, bytes) else ""
    hop.note(ChangeKind.ANNOTATION, shown, hop.page_of(page))


def _may_hide(state: State, entries: dict[bytes, Value], kind: Value | None) -> bool:
    style = state.get(entries, b"/BS")
    border = state.get(entries, b"/Border")
    widths = [state.get(style, b"/W")] + (border[2:3] if isinstance(border, list) else [])
    if any(isinstance(width, bytes) and not _is_thin(width) for width in widths):
        return True
    colour = state.get(entries, b"/C")
    shade = _shade(colour) if isinstance(colour, list) else None
    # Highlights are laid over the text like a filter: dark ones black it out. Lines as light as paper wipe it out.
    if shade is not None and (shade < _DARK if kind == b"/Highlight" else shade > _LIGHT):
        return kind != b"/Text"
    normal = state.get(entries, b"/AP")
    if normal is None:
        return False
    if not isinstance(normal, dict) or normal.keys() != {b"/N"}:
        return True
    stream = state.get(normal, b"/N")
    return not isinstance(stream, Stream) or _hides(state, stream, rectangle(state.get(entries, b"/Rect")))


def _hides(state: State, stream: Stream, box: Box | None) -> bool:
    """Whether an appearance does more than draw thin lines that can be seen."""
    data = state.decoded(stream, _MAX_APPEARANCE)
    inner = rectangle(state.get(stream, b"/BBox"))
    if data is None or box is None or inner is None or is_flat(inner) or state.get(stream, b"/Matrix"):
        return True
    # The appearance is stretched into its rectangle, its lines with it.
    stretch = max((box[2] - box[0]) / (inner[2] - inner[0]), (box[3] - box[1]) / (inner[3] - inner[1]))
    return hides(operations(data), stretch, _MAX_WIDTH)


def _shade(colour: list[Value]) -> float | None:
    """Return how light a colour is, from 0 to 1; None for none."""
    numbers = [float(item) for item in colour if isinstance(item, bytes) and _NUMBER.fullmatch(item)]
    return brightness(numbers) if len(numbers) == len(colour) in {1, 3, 4} else None


def _is_thin(width: bytes) -> bool:
    return _NUMBER.fullmatch(width) is not None and float(width) <= _MAX_WIDTH
