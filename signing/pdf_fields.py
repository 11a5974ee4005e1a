"""What a hop may change in form fields: filling, signing, a new signature field."""

from __future__ import annotations

from signing.judgement import ChangeKind
from signing.pdf_hop import CHANGED, Hop, differs
from signing.pdf_objects import Ref, Stream, Value, integer, is_string, same_text
from signing.pdf_overlap import check_overlap, pages_of, shows
from signing.pdf_places import Place, Role, added_items, full_name, inherited, keys_of, name, raw
from signing.pdf_shown import hides_more, is_stale

_READ_ONLY = 1
_PUSH_BUTTON = 1 << 16
# Annotation flags (ISO 32000-1, table 165) that viewers set on what was filled or signed.
_PRINT_OR_LOCKED = 4 | 128 | 512
_FILLED = frozenset({b"/V", b"/AP", b"/AS", b"/I", b"/RV", b"/M", b"/Ff", b"/F"})
_TEXTS = frozenset({b"/T", b"/TU", b"/TM", b"/DV", b"/V", b"/Opt", b"/MK"})
_SIGNED = frozenset({b"/V", b"/AP", b"/M", b"/F", b"/P"})
_WAYS_IN = (b"/AP", b"/V", b"/I", b"/RV", b"/AS")


def is_field(value: Value | None) -> bool:
    """Whether a dictionary looks like a form field or its widget."""
    return isinstance(value, dict) and (
        value.get(b"/Subtype") == b"/Widget"
        or b"/FT" in value
        or (b"/T" in value and b"/Type" not in value and b"/S" not in value)
    )


def changed_fields(hop: Hop) -> set[Ref]:
    """Return the old fields that were overridden, or whose value or appearance object was."""
    found: set[Ref] = set()
    for identity in hop.touched:
        if is_field(hop.old.value(identity)):
            found.add(identity)
            continue
        if _is_typed(hop.old.value(identity)):
            continue
        level, seen = {identity}, {identity}
        # A widget leads to a stream through at most a dictionary of appearances and one of states.
        for _ in range(3):
            owners = {owner for item in level for owner in hop.owners(item, _leads_from_field)}
            fields = {owner for owner in owners if is_field(hop.old.value(owner))}
            found |= fields
            level = owners - fields - seen
            seen |= level
            if len(seen) > 1000:
                break
    return found


def _leads_from_field(path: bytes, owner: Value) -> bool:
    if is_field(owner):
        return path.startswith(_WAYS_IN)
    return isinstance(owner, dict) and not _is_typed(owner)


def _is_typed(value: Value | None) -> bool:
    """Whether a dictionary says that it is a page, a catalog or the like: no part of an appearance."""
    return isinstance(value, dict) and b"/Type" in value


def compare_field(hop: Hop, identity: Ref) -> None:
    """Judge a field or widget that both states have, by its kind and what it held before."""
    old = Place(hop.old.value(identity), identity, b"", identity)
    new = Place(hop.new.value(identity), identity, b"", identity)
    hop.explain(old, Role.FIELD)
    where = full_name(hop.old, identity)
    if not isinstance(old.value, dict) or not isinstance(new.value, dict):
        hop.refuse(CHANGED, "a form field is gone")
        return
    kind = inherited(hop.old, identity, b"/FT")
    different = {key for key in keys_of(old, new) if differs(hop, old, new, key)}
    # Writers encode text anew: what it says is the same.
    different -= {
        key
        for key in different & _TEXTS
        if same_text(hop.old.get(old.value, key), hop.new.get(new.value, key))
    }
    if b"/Kids" in different:
        different.discard(b"/Kids")
        _kids(hop, old, new)
    if kind == b"/Sig":
        _signed(hop, old, new, different, where)
    elif kind in {b"/Tx", b"/Ch", b"/Btn"}:
        _filled(hop, old, new, different, where)
    elif different:
        hop.refuse(CHANGED, "a form field of unknown kind was changed")


def _kids(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/Kids", Role.ARRAY)
    added = added_items(before.value, after.value)
    if added is None:
        hop.refuse(CHANGED, "a form field is gone")
    for item in added or ():
        added_field(hop, hop.follow(hop.new, item, after.owner, after.path))


def _filled(hop: Hop, old: Place, new: Place, different: set[bytes], where: str) -> None:
    for key in sorted(different - _FILLED):
        hop.refuse(CHANGED, f"the form field {where!r} has another {name(key)}")
    _flags(hop, old, new, b"/Ff", _READ_ONLY)
    _flags(hop, old, new, b"/F", _PRINT_OR_LOCKED)
    button = inherited(hop.old, old.owner, b"/FT") == b"/Btn"
    if button and integer(inherited(hop.old, old.owner, b"/Ff")) & _PUSH_BUTTON:
        hop.refuse(CHANGED, f"the push button {where!r} was changed")
    for key in (b"/V", b"/I", b"/RV"):
        hop.both(old, new, key, Role.VALUE)
    drawn = appearance_changed(hop, old, new)
    filled = bool(different & {b"/AS", b"/I"}) or _value_changed(hop, old.owner)
    if drawn and not filled:
        _redrawn(hop, old, where)
    if filled and is_stale(hop.old, hop.new, old.owner, hop.touched):
        message = f"the form field {where!r} was filled, but goes on showing what it showed before"
        hop.refuse("PDF_DYNAMIC_FORM", message, indeterminate=True)
    if drawn and filled and hides_more(hop.old, hop.new, old.owner):
        message = f"the form field {where!r} was filled with something that may hide what was signed"
        hop.refuse("PDF_ANNOTATION_MAY_HIDE", message, indeterminate=True)
    if not (filled or drawn or different):
        return
    if hop.permission.is_locked(where):
        hop.refuse("PDF_FIELD_LOCKED", f"the form field {where!r} was locked by a signature")
    hop.note(ChangeKind.FIELD_FILLED, where, hop.page_of(raw(new, b"/P")))


def _value_changed(hop: Hop, identity: Ref) -> bool:
    before, after = inherited(hop.old, identity, b"/V"), inherited(hop.new, identity, b"/V")
    if isinstance(before, Stream) and isinstance(after, Stream):
        return before.ref != after.ref or before.ref in hop.touched
    return not same_text(before, after)


def _redrawn(hop: Hop, old: Place, where: str) -> None:
    form = hop.old.get(hop.old.get(hop.old.trailer, b"/Root"), b"/AcroForm")
    if raw(old, b"/AP") is None and hop.old.get(form, b"/NeedAppearances") == b"true":
        # Viewers were asked to draw it: honest ones save what they drew, and whether it shows the value is open.
        message = f"the form field {where!r} was drawn after signing, as the form asks"
        hop.refuse("PDF_DYNAMIC_FORM", message, indeterminate=True)
        return
    message = f"the form field {where!r} looks different, but was not filled"
    hop.refuse("PDF_APPEARANCE_CHANGED", message)


def _flags(hop: Hop, old: Place, new: Place, key: bytes, allowed: int) -> None:
    first, second = hop.old.get(old.value, key), hop.new.get(new.value, key)
    before, after = integer(first), integer(second)
    if first != second and not all(item is None or item == b"%d" % integer(item) for item in (first, second)):
        hop.refuse(CHANGED, f"a form field has another {name(key)}")
    if before & ~after or (after & ~before) & ~allowed:
        hop.refuse(CHANGED, f"a form field has another {name(key)}")


def appearance_changed(hop: Hop, old: Place, new: Place) -> bool:
    """Give the appearance objects of a widget their role; True when it may look different.

    Direct dictionaries and objects, streams and dictionaries of states are all in use.
    """
    before, after = hop.both(old, new, b"/AP", Role.APPEARANCE)
    if before.ref is not None and before.ref != after.ref:
        hop.replaced.add(before.ref)
    looks = False
    for key in sorted(keys_of(before, after)):
        first, second = hop.both(before, after, key, Role.APPEARANCE)
        looks = _look(hop, first, second) or looks
        if isinstance(first.value, dict) or isinstance(second.value, dict):
            for state in sorted(keys_of(first, second)):
                looks = _look(hop, *hop.both(first, second, state, Role.APPEARANCE)) or looks
    return looks


def _look(hop: Hop, old: Place, new: Place) -> bool:
    if isinstance(old.value, dict) and isinstance(new.value, dict):
        return False
    if not isinstance(old.value, Stream) or not isinstance(new.value, Stream):
        return old.value != new.value
    if old.ref == new.ref:
        return old.ref in hop.touched
    return old.value.dictionary != new.value.dictionary or hop.old.octets(old.value) != hop.new.octets(
        new.value
    )


def _signed(hop: Hop, old: Place, new: Place, different: set[bytes], where: str) -> None:
    drawn = appearance_changed(hop, old, new)
    if not different and not drawn:
        return
    if inherited(hop.old, old.owner, b"/V") is not None:
        hop.refuse(CHANGED, f"the signature field {where!r} was changed after it was signed")
        return
    for key in sorted(different - _SIGNED):
        hop.refuse(CHANGED, f"the signature field {where!r} has another {name(key)}")
    if drawn and shows(hop.new, new.value):
        for page in sorted(pages_of(hop, old.owner)):
            check_overlap(hop, page, new, prepared=True)
    _flags(hop, old, new, b"/F", _PRINT_OR_LOCKED)
    if hop.permission.is_locked(where):
        hop.refuse("PDF_FIELD_LOCKED", f"the signature field {where!r} was locked by a signature")
    if inherited(hop.new, old.owner, b"/V") is None:
        hop.refuse("PDF_APPEARANCE_CHANGED", f"the signature field {where!r} was changed without signing it")
    elif b"/V" in different:
        _note_signature(hop, new, where)


def _note_signature(hop: Hop, field: Place, where: str) -> None:
    """The value must be a sound signature that covers all up to the end of the hop."""
    value = raw(field, b"/V")
    identity = value if isinstance(value, Ref) else field.ref
    signature = None if identity is None else hop.signatures.get(identity)
    if signature is None or signature.direct is isinstance(value, Ref):
        hop.refuse("PDF_FIELD_ADDED", f"the signature in field {where!r} does not cover what it came with")
        return
    page = hop.page_of(raw(field, b"/P"))
    stamp = signature.is_document_timestamp
    hop.note(ChangeKind.DOC_TIMESTAMP if stamp else ChangeKind.SIGNATURE, where, page)


def added_field(hop: Hop, place: Place) -> None:
    """Judge a field that only the new state has: nothing but a signature field may come."""
    if place.ref in hop.added_widgets:
        return
    if place.ref is None or place.ref not in hop.fresh or not isinstance(place.value, dict):
        hop.refuse("PDF_FIELD_ADDED", "a form field was added that is no new object")
        return
    where = full_name(hop.new, place.ref)
    if inherited(hop.new, place.ref, b"/FT") != b"/Sig" or not is_string(hop.new.get(place.value, b"/T")):
        hop.refuse("PDF_FIELD_ADDED", f"the form field {where!r} was added")
        return
    hop.added_widgets.add(place.ref)
    parent = raw(place, b"/Parent")
    if isinstance(parent, Ref) and parent not in hop.fresh and inherited(hop.old, parent, b"/FT") is not None:
        hop.refuse("PDF_FIELD_ADDED", f"the field {where!r} got another widget")
    widgets = _widgets(hop, place, where)
    if b"/V" in place.value:
        _note_signature(hop, place, where)
        return
    if any(shows(hop.new, widget.value) for widget in widgets):
        hop.refuse("PDF_FIELD_ADDED", f"the signature field {where!r} was added unsigned, but not empty")
    hop.note(ChangeKind.SIGNATURE, where, hop.page_of(raw(place, b"/P")))


def _widgets(hop: Hop, field: Place, where: str) -> list[Place]:
    """Return the widgets of a new signature field, itself among them; they are new and do nothing."""
    widgets = [field]
    kids = hop.new.get(field.value, b"/Kids")
    for kid in kids if isinstance(kids, list) else ():
        widget = hop.follow(hop.new, kid, field.owner, b"/Kids")
        hop.added_widgets.add(widget.owner)
        widgets.append(widget)
        if widget.ref is None or widget.ref not in hop.fresh or raw(widget, b"/T") is not None:
            hop.refuse("PDF_FIELD_ADDED", f"the signature field {where!r} was added with fields below it")
    if keys_of(*widgets) & {b"/A", b"/AA"}:
        hop.refuse("PDF_FIELD_ADDED", f"the signature field {where!r} was added with an action")
    return widgets
