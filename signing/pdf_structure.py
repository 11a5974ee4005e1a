"""What a hop may change in the structure tree: new elements for new widgets, nothing that is read aloud."""

from __future__ import annotations

from signing.judgement import ChangeKind
from signing.pdf_hop import CHANGED, Hop, differs
from signing.pdf_objects import Ref, Value
from signing.pdf_places import Place, Role, added_items, keys_of, name, raw
from signing.pdf_states import State

# Text that is spoken in place of the content (ISO 32000-1, 14.9.4 and 14.9.5).
_SPOKEN = frozenset({b"/ActualText", b"/E", b"/Alt"})
_MAX_NEW = 1000


def changed_structure(hop: Hop) -> set[Ref]:
    """Return the old elements, number trees and roots of the structure tree that were overridden."""
    return {identity for identity in hop.touched if _is_structure(hop.old.value(identity))}


def _is_structure(value: Value | None) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get(b"/Type")
    element = kind in {None, b"/StructElem"} and b"/S" in value and b"/P" in value
    return element or kind == b"/StructTreeRoot" or (kind is None and b"/Nums" in value)


def compare_structure(hop: Hop, identity: Ref) -> None:
    """Judge an object of the structure tree that both states have: things may be added."""
    old = Place(hop.old.value(identity), identity, b"", identity)
    new = Place(hop.new.value(identity), identity, b"", identity)
    hop.explain(old, Role.STRUCTURE)
    if not _is_structure(new.value):
        hop.refuse(CHANGED, "an element of the structure tree became something else")
        return
    for key in sorted(keys_of(old, new)):
        if key in {b"/K", b"/Nums"}:
            _more(hop, old, new, key)
        elif not _free(old, key) and differs(hop, old, new, key):
            hop.refuse(CHANGED, f"an element of the structure tree has another {name(key)}")
    hop.note(ChangeKind.STRUCTURE)


def _free(old: Place, key: bytes) -> bool:
    if key == b"/ParentTree":
        return raw(old, key) is None
    return key == b"/ParentTreeNextKey" or (key == b"/Limits" and raw(old, b"/Nums") is not None)


def _more(hop: Hop, old: Place, new: Place, key: bytes) -> None:
    before, after = hop.enter(hop.old, old, key), hop.enter(hop.new, new, key)
    if isinstance(before.value, list) and isinstance(after.value, list):
        hop.explain(before, Role.ARRAY)
        hop.explain(after, Role.ARRAY)
    first, second = _items(before, raw(old, key)), _items(after, raw(new, key))
    added = added_items(first, second)
    if added is None:
        hop.refuse(CHANGED, "something in the structure tree is gone")
        return
    for item in added:
        _element(hop, item)


def _items(place: Place, written: Value | None) -> list[Value]:
    """Return what stands under /K: an array, or one item alone."""
    if isinstance(place.value, list):
        return place.value
    return [] if written is None else [written]


def _element(hop: Hop, item: Value) -> None:
    """A new element must be new, and say nothing of its own."""
    waiting, seen = [item], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if isinstance(value, Ref):
            if value not in hop.fresh:
                # The parent tree names elements, and an element names annotations, that were there before.
                continue
            value = hop.new.value(value) or b"null"
        if seen > _MAX_NEW or not isinstance(value, dict | list | bytes):
            hop.refuse(CHANGED, "the structure tree got something else than elements")
            return
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if value.keys() & _SPOKEN:
                hop.refuse(CHANGED, "the structure tree got text that is spoken")
            waiting.extend(_kids(hop.new, value))


def _kids(state: State, entries: dict[bytes, Value]) -> list[Value]:
    kids = entries.get(b"/K")
    inner = state.resolve(kids)
    if isinstance(inner, list):
        return inner
    return [] if kids is None or isinstance(inner, bytes) else [kids]
