"""What the frame of a new signature lies over: it may not stand in place of what was shown before.

Only annotations, fields among them, and the share of the page are looked at: where the page's own text stands would
take its fonts and a painter.
"""

from __future__ import annotations

from signing.pdf_hop import Hop
from signing.pdf_objects import Ref, Stream, Value, integer, rectangle
from signing.pdf_painting import draws, operations
from signing.pdf_places import Place, inherited
from signing.pdf_states import State

_OVERLAP = "PDF_APPEARANCE_OVERLAP"
# Annotation flags (ISO 32000-1, table 165): hidden, not viewed; of the screen's size or direction, not the page's.
_UNSEEN = 2 | 32
_LOOSE = 8 | 16
_PLAIN_LOOK = frozenset({b"/R", b"/TP"})
_UNDRAWN = frozenset({b"/Popup", b"/Link", b"/Widget"})
_MAX_SHARE = 0.25
# A field that waited for its signature has a place that earlier signers saw.
_MAX_SHARE_PREPARED = 0.5
_TOUCHING = 1.0
_MAX_DEPTH = 64
_SMALL = 1 << 16
Box = tuple[float, float, float, float]


def is_page(value: Value | None) -> bool:
    """Whether a value is a page."""
    return isinstance(value, dict) and value.get(b"/Type") == b"/Page"


def is_flat(box: Box | None) -> bool:
    """Whether a rectangle has no area."""
    return box is not None and (box[0] == box[2] or box[1] == box[3])


def pages_of(hop: Hop, identity: Ref) -> set[Ref]:
    """Return the old pages whose list of annotations holds an object."""
    pages = hop.owners(identity, lambda path, owner: path == b"/Annots" and is_page(owner))
    for array in hop.owners(identity, lambda path, owner: not path and isinstance(owner, list)):
        pages |= hop.owners(array, lambda path, owner: path == b"/Annots" and is_page(owner))
    return pages


def shows(state: State, widget: Value | None) -> bool:
    """Whether a new widget may draw anything on its page, be it under the pointer only."""
    if is_flat(rectangle(state.get(widget, b"/Rect"))):
        return False
    look = state.get(widget, b"/MK")
    if isinstance(look, dict) and any(state.get(look, key) != [] for key in look.keys() - _PLAIN_LOOK):
        return True
    appearance = state.get(widget, b"/AP")
    for key in appearance if isinstance(appearance, dict) else ():
        drawn = state.get(appearance, key)
        data = state.decoded(drawn, _SMALL) if isinstance(drawn, Stream) else None
        if drawn is not None and (data is None or data.strip()):
            return True
    return False


def check_overlap(hop: Hop, page: Ref, widget: Place, *, prepared: bool) -> None:
    """Refuse a signature that is shown over too much of its page, or over what an annotation showed before.

    Args:
        hop: from the state in which it was not shown to the one in which it is.
        page: where.
        widget: of the signature, in the new state.
        prepared: the old state has the widget, empty.
    """
    box = rectangle(hop.new.get(widget.value, b"/Rect"))
    paper = _paper(hop.new, page)
    if box is None or paper is None or integer(hop.new.get(widget.value, b"/F")) & _LOOSE:
        hop.refuse(_OVERLAP, "what a new signature covers cannot be told")
        return
    share = _MAX_SHARE_PREPARED if prepared else _MAX_SHARE
    if _area(_common(box, paper)) > share * _area(paper):
        hop.refuse(_OVERLAP, "a new signature covers too much of its page")
    others = hop.old.get(page, b"/Annots")
    for item in others if isinstance(others, list) else ():
        if item == widget.ref:
            continue
        other = rectangle(hop.old.get(item, b"/Rect"))
        if other is not None and _covers(box, other) and _is_seen(hop.old, item):
            hop.refuse(_OVERLAP, "a new signature covers a field, a signature or an annotation")


def _is_seen(state: State, item: Value) -> bool:
    """Whether an annotation shows something: what it has drawn, or what viewers draw for it."""
    if integer(state.get(item, b"/F")) & _UNSEEN:
        return False
    kind = state.get(item, b"/Subtype")
    normal = state.get(state.get(item, b"/AP"), b"/N")
    if isinstance(normal, Stream):
        data = state.decoded(normal, _SMALL)
        if data is None or draws(operations(data)):
            return True
    elif normal is not None:
        return True
    if kind != b"/Widget" or not isinstance(item, Ref):
        return kind not in _UNDRAWN
    # A signature that is not drawn has its place all the same.
    return inherited(state, item, b"/FT") == b"/Sig" or (
        normal is None and inherited(state, item, b"/V") is not None
    )


def _covers(box: Box, other: Box) -> bool:
    """Whether one lies over the other by more than frames side by side do; nothing is too small to be covered."""
    left, bottom, right, top = _common(box, other)
    reach = min(_TOUCHING, (other[2] - other[0]) / 2, (other[3] - other[1]) / 2)
    return right - left > reach and top - bottom > reach


def _paper(state: State, page: Ref) -> Box | None:
    for key in (b"/CropBox", b"/MediaBox"):
        value: Value | None = page
        for _ in range(_MAX_DEPTH):
            box = rectangle(state.get(value, key))
            if box is not None:
                return None if is_flat(box) else box
            value = state.get(value, b"/Parent")
            if value is None:
                break
    return None


def _common(one: Box, other: Box) -> Box:
    return (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
