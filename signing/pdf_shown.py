"""Whether a form field shows the value it has: viewers show the appearance, programs read the value."""

from __future__ import annotations

from collections.abc import Iterator, Set

from signing.pdf_objects import Ref, Stream, Value, integer, is_string, rectangle, text_of
from signing.pdf_painting import covers_more, operations
from signing.pdf_places import inherited
from signing.pdf_states import State

# Annotation flags (ISO 32000-1, table 165): hidden, not viewed. Field flag (table 228): shown as dots.
_UNSEEN = 2 | 32
_PASSWORD = 1 << 13
_MAX_WIDGETS = 10_000
_SMALL = 1 << 16
_OFF = b"/Off"


def is_stale(old: State, new: State, field: Ref, touched: Set[Ref]) -> bool:
    """Whether a field that was filled goes on showing what it showed before, or a button another state than it has.

    Args:
        old: the state before.
        new: the state after.
        field: that was filled.
        touched: objects whose value differs.
    """
    kind = inherited(new, field, b"/FT")
    if kind == b"/Btn":
        return any(_other_state(new, widget) for widget in _widgets(new, field))
    if integer(inherited(new, field, b"/Ff")) & _PASSWORD:
        return False
    return any(
        _says_else(inherited(old, widget, b"/V"), inherited(new, widget, b"/V"), touched)
        and _as_before(old, new, widget, touched)
        for widget in _widgets(new, field)
    )


def _says_else(before: Value | None, after: Value | None, touched: Set[Ref]) -> bool:
    if isinstance(before, Stream) and isinstance(after, Stream):
        return before.ref != after.ref or after.ref in touched
    return _says(before) != _says(after)


def _widgets(state: State, field: Ref) -> Iterator[Ref]:
    """Yield the widgets that show the value of a field, itself if it is one."""
    waiting, seen = [field], {field}
    while waiting and len(seen) < _MAX_WIDGETS:
        item = waiting.pop()
        box = rectangle(state.get(item, b"/Rect"))
        drawn = box is not None and box[0] < box[2] and box[1] < box[3]
        if drawn and not integer(state.get(item, b"/F")) & _UNSEEN:
            yield item
        kids = state.get(item, b"/Kids")
        for kid in kids if isinstance(kids, list) else ():
            if isinstance(kid, Ref) and kid not in seen and state.get(kid, b"/V") is None:
                seen.add(kid)
                waiting.append(kid)


def _as_before(old: State, new: State, widget: Ref, touched: Set[Ref]) -> bool:
    before, after = (state.get(state.get(widget, b"/AP"), b"/N") for state in (old, new))
    if not isinstance(before, Stream) or not isinstance(after, Stream):
        return before is not None and before == after
    if before.ref == after.ref:
        return before.ref not in touched
    return old.octets(before) == new.octets(after)


def hides_more(old: State, new: State, widget: Ref) -> bool:
    """Whether a widget covers what lies below it, and did not before.

    Letters over what was there make a mess that is seen; a box or white letters below them make another document.
    """
    before, after = _drawn(old, widget), _drawn(new, widget)
    background = bool(old.get(old.get(widget, b"/MK"), b"/BG")) and not before
    for key, stream in after.items():
        earlier = before.get(key)
        data = new.decoded(stream, _SMALL)
        known = b"" if earlier is None else old.decoded(earlier, _SMALL)
        if data is None or known is None or _has_painted_letters(new, stream):
            return True
        painted = operations(data)
        if earlier is not None and any(
            old.get(earlier, frame) != new.get(stream, frame) for frame in (b"/BBox", b"/Matrix")
        ):
            known = b""
        if not background and covers_more(operations(known), painted):
            return True
    return False


def _has_painted_letters(state: State, stream: Stream) -> bool:
    """Whether there is a font whose letters may be anything in any colour (Type 3)."""
    form = state.get(state.get(state.trailer, b"/Root"), b"/AcroForm")
    for resources in (state.get(stream, b"/Resources"), state.get(form, b"/DR")):
        fonts = state.get(resources, b"/Font")
        for name in fonts if isinstance(fonts, dict) else ():
            if state.get(state.get(fonts, name), b"/Subtype") == b"/Type3":
                return True
    return False


def _drawn(state: State, widget: Ref) -> dict[bytes, Stream]:
    """Return the appearance streams of a widget, by what they are for."""
    found: dict[bytes, Stream] = {}
    appearance = state.get(widget, b"/AP")
    for key in appearance if isinstance(appearance, dict) else ():
        item = state.get(appearance, key)
        if isinstance(item, Stream):
            found[key] = item
        for name in item if isinstance(item, dict) else ():
            stream = state.get(item, name)
            if isinstance(stream, Stream):
                found[key + name] = stream
    return found


def _other_state(state: State, widget: Ref) -> bool:
    """Whether a check box or radio button shows another state than the value says."""
    states = state.get(state.get(widget, b"/AP"), b"/N")
    if not isinstance(states, dict):
        return False
    shown = state.get(widget, b"/AS")
    value = _says(inherited(state, widget, b"/V"))
    names = {_says(key): key for key in states if key != _OFF}
    return names.get(value, _OFF) != (shown if isinstance(shown, bytes) and shown in states else _OFF)


def _says(value: Value | None) -> object:
    """Return what a value says; an empty text is none."""
    if isinstance(value, list):
        return [_says(item) for item in value]
    if isinstance(value, bytes):
        return text_of(value) if is_string(value) else value.lstrip(b"/").decode("latin-1")
    return "" if value is None else value
