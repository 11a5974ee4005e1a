"""What a hop may change in the trailer, the catalog, the form, the long-term data and the properties."""

from __future__ import annotations

import hashlib
import re

from signing.judgement import ChangeKind
from signing.pdf_fields import added_field
from signing.pdf_hop import CHANGED, Hop, differs
from signing.pdf_objects import Ref, Stream, integer
from signing.pdf_places import Place, Role, added_items, keys_of, name, raw
from signing.pdf_states import TRAILER, State

# Of one section of the file only (ISO 32000-1, tables 15 and 17); /DocChecksum is LibreOffice's.
_OF_SECTION = frozenset(
    {b"/Size", b"/Prev", b"/ID", b"/DocChecksum", b"/XRefStm", b"/Type", b"/W", b"/Index", b"/Length"}
    | {b"/Filter", b"/DecodeParms", b"/DL"}
)
# Text of the properties (ISO 32000-1, table 317); no key of a form is among them.
_PROPERTIES = frozenset(
    {
        b"/Title",
        b"/Author",
        b"/Subject",
        b"/Keywords",
        b"/Creator",
        b"/Producer",
        b"/CreationDate",
        b"/ModDate",
    }
)
_VERSION = re.compile(rb"/[12]\.\d")
_DEEP = 5
# The profile sRGB of Little CMS, which DSS and PDFBox carry: device colours as every screen shows them.
_SRGB = frozenset({"4064240d928fddcc777915e2be0c81871c5ea9b6e08327ddbe6be9908fc22525"})
_MAX_PROFILE = 1 << 16


def compare_document(hop: Hop) -> None:
    """Compare trailer and catalog of the two states of a hop, entry by entry."""
    old, new = Place(hop.old.trailer, TRAILER), Place(hop.new.trailer, TRAILER)
    for key in sorted(keys_of(old, new) - _OF_SECTION):
        before, after = raw(old, key), raw(new, key)
        if key == b"/Root":
            if before == after and isinstance(after, Ref):
                _catalog(hop, *hop.both(old, new, key, Role.CATALOG))
            else:
                hop.refuse(CHANGED, "another catalog was put in place")
        elif key == b"/Info":
            _info(hop, old, new)
        elif key == b"/Encrypt":
            hop.refuse("FORMAT_FAILURE", "encryption appears after a signature")
        elif key == b"/AdditionalStreams":
            _source(hop, old, new)
        elif after is not None and before != after:
            hop.refuse(CHANGED, f"the trailer has another {name(key)}")
    if integer(raw(new, b"/Size")) < integer(raw(old, b"/Size")):
        # Viewers take objects from /Size on as missing (ISO 32000-1, 7.5.4).
        hop.refuse("FORMAT_FAILURE", "the trailer counts fewer objects than before")


def _source(hop: Hop, old: Place, new: Place) -> None:
    """LibreOffice opens the document that this stream holds instead of the pages.

    Writers that number the references of a trailer anew make it point to whatever comes next, which is no stream
    and which it ignores.
    """
    key = b"/AdditionalStreams"
    before, after = hop.enter(hop.old, old, key), hop.enter(hop.new, new, key)
    shown = []
    for state, place in ((hop.old, before), (hop.new, after)):
        items = place.value if isinstance(place.value, list) else [place.value]
        found = [hop.follow(state, item, place.owner, place.path) for item in items if item is not None]
        shown.append([item for item in found if isinstance(item.value, Stream)])
    streams = [item.ref for item in shown[1]]
    if streams and (before.value != after.value or hop.touched.union(hop.fresh).intersection(streams)):
        hop.refuse(CHANGED, "the trailer has another source document")


def _catalog(hop: Hop, old: Place, new: Place) -> None:
    rules = {
        b"/AcroForm": _form,
        b"/DSS": _long_term,
        b"/Metadata": _metadata,
        b"/PieceInfo": _private,
        b"/Extensions": _extensions,
        b"/Version": _version,
        b"/Perms": _permissions,
        b"/OutputIntents": _colours,
    }
    if not isinstance(old.value, dict) or not isinstance(new.value, dict):
        hop.refuse(CHANGED, "the catalog is no dictionary")
        return
    for key in sorted(keys_of(old, new)):
        if key in rules:
            rules[key](hop, old, new)
        elif differs(hop, old, new, key):
            hop.refuse(CHANGED, f"the catalog has another {name(key)}")


def _info(hop: Hop, old: Place, new: Place) -> None:
    if _is_form_too(hop):
        # Some makers write both into one object: the rules of forms hold for it.
        hop.both(old, new, b"/Info", Role.FORM)
        return
    before, after = hop.both(old, new, b"/Info", Role.METADATA)
    if before.value == after.value:
        return
    hop.note(ChangeKind.METADATA)
    if after.value is not None and not isinstance(after.value, dict):
        hop.refuse(CHANGED, "the properties are no dictionary")


def _is_form_too(hop: Hop) -> bool:
    """Whether the properties and the form are one object, in both states."""
    found = []
    for state in (hop.old, hop.new):
        root = state.get(state.trailer, b"/Root")
        found.append(root.get(b"/AcroForm") if isinstance(root, dict) else None)
        found.append(state.trailer.get(b"/Info"))
    return isinstance(found[0], Ref) and all(item == found[0] for item in found)


def _metadata(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/Metadata", Role.METADATA)
    if before.ref == after.ref and after.ref not in hop.touched and after.ref not in hop.fresh:
        return
    hop.note(ChangeKind.METADATA)
    kind = (hop.new.get(after.value, b"/Type"), hop.new.get(after.value, b"/Subtype"))
    if after.value is not None and kind != (b"/Metadata", b"/XML"):
        hop.refuse(CHANGED, "the metadata are something else")


def _private(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/PieceInfo", Role.METADATA)
    _all_below(hop, before, after, Role.METADATA, ChangeKind.METADATA)


def _extensions(hop: Hop, old: Place, new: Place) -> None:
    """Makers state the version they write for: names and numbers only."""
    before, after = hop.both(old, new, b"/Extensions", Role.METADATA)
    hop.explain_below(hop.old, before, Role.METADATA, 2)
    hop.explain_below(hop.new, after, Role.METADATA, 2)
    if after.value is not None and not isinstance(after.value, dict):
        hop.refuse(CHANGED, "the extensions are no dictionary")


def _version(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.old.get(old.value, b"/Version"), hop.new.get(new.value, b"/Version")
    if before == after:
        return
    if not isinstance(after, bytes) or not _VERSION.fullmatch(after):
        hop.refuse(CHANGED, "the catalog has another /Version")
    elif isinstance(before, bytes) and after < before:
        hop.refuse(CHANGED, "the catalog has an older /Version")


def _colours(hop: Hop, old: Place, new: Place) -> None:
    """DSS puts a colour profile beside a signature that has an image; any other one could paint text white."""
    before, after = hop.enter(hop.old, old, b"/OutputIntents"), hop.enter(hop.new, new, b"/OutputIntents")
    if before.value is None and isinstance(after.value, list) and hop.signatures:
        profiles = [hop.new.get(item, b"/DestOutputProfile") for item in after.value]
        if all(isinstance(item, Stream) and _is_plain_profile(hop.new, item) for item in profiles):
            return
    if differs(hop, old, new, b"/OutputIntents"):
        hop.refuse(CHANGED, "the catalog has another /OutputIntents")


def _is_plain_profile(state: State, profile: Stream) -> bool:
    data = state.decoded(profile, _MAX_PROFILE)
    return data is not None and hashlib.sha256(data).hexdigest() in _SRGB


def _permissions(hop: Hop, old: Place, new: Place) -> None:
    """A new certification may come, usage rights may go."""
    before, after = hop.both(old, new, b"/Perms", Role.FORM)
    for key in keys_of(before, after):
        mine, its = raw(before, key), raw(after, key)
        certifies = key == b"/DocMDP" and mine is None and isinstance(its, Ref) and its in hop.signatures
        leaves = key in {b"/UR3", b"/UR"} and its is None
        if mine != its and not certifies and not leaves:
            hop.refuse(CHANGED, f"the permissions have another {name(key)}")


def _long_term(hop: Hop, old: Place, new: Place) -> None:
    """All that stands below the /DSS dictionary is validation material (ISO 32000-2, 12.8.4.3)."""
    before, after = hop.both(old, new, b"/DSS", Role.LONG_TERM)
    if after.value is not None and not isinstance(after.value, dict):
        hop.refuse(CHANGED, "the long-term data are no dictionary")
    _all_below(hop, before, after, Role.LONG_TERM, ChangeKind.DSS)


def _all_below(hop: Hop, before: Place, after: Place, role: Role, kind: ChangeKind) -> None:
    """Whatever stands below two places is of one role, and a change there of one kind."""
    below = [
        hop.explain_below(state, place, role, _DEEP) for state, place in ((hop.old, before), (hop.new, after))
    ]
    if before.value != after.value or any(below):
        hop.note(kind)


def _form(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/AcroForm", Role.FORM)
    if before.value is None and after.value is None:
        return
    if not isinstance(after.value, dict) or not isinstance(before.value, dict | None):
        hop.refuse(CHANGED, "the form is gone")
        return
    rules = {
        b"/Fields": _fields,
        b"/DR": _resources,
        b"/NeedAppearances": _need_appearances,
        b"/XFA": _dynamic,
        b"/DA": _default_appearance,
    }
    for key in sorted(keys_of(before, after) - {b"/SigFlags"}):
        if key in rules:
            rules[key](hop, before, after)
        elif not differs(hop, before, after, key):
            continue
        elif key in _PROPERTIES and _is_form_too(hop):
            hop.note(ChangeKind.METADATA)
        else:
            hop.refuse(CHANGED, f"the form has another {name(key)}")


def _fields(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/Fields", Role.ARRAY)
    added = added_items(before.value, after.value)
    if added is None:
        hop.refuse(CHANGED, "a form field is gone")
    for item in added or ():
        added_field(hop, hop.follow(hop.new, item, after.owner, after.path))


def _resources(hop: Hop, old: Place, new: Place) -> None:
    before, after = hop.both(old, new, b"/DR", Role.FORM)
    _more_names(hop, before, after, 2)


def _more_names(hop: Hop, old: Place, new: Place, depth: int) -> None:
    if old.value is None:
        return
    if not isinstance(old.value, dict) or not isinstance(new.value, dict):
        if old.value != new.value:
            hop.refuse(CHANGED, "the resources of the form changed")
        return
    for key in sorted(old.value):
        if depth > 1 and isinstance(hop.old.get(old.value, key), dict):
            _more_names(hop, *hop.both(old, new, key, Role.FORM), depth - 1)
        elif differs(hop, old, new, key):
            hop.refuse(CHANGED, f"the resources of the form have another {name(key)}")


def _need_appearances(hop: Hop, old: Place, new: Place) -> None:
    before = hop.old.get(old.value, b"/NeedAppearances")
    after = hop.new.get(new.value, b"/NeedAppearances")
    if after not in {before, None, b"false"}:
        hop.refuse(CHANGED, "viewers are asked to draw the form anew")


def _default_appearance(hop: Hop, old: Place, new: Place) -> None:
    if raw(old, b"/DA") is not None and differs(hop, old, new, b"/DA"):
        hop.refuse(CHANGED, "the form has another /DA")


def _dynamic(hop: Hop, old: Place, new: Place) -> None:
    """A dynamic form (XFA) is a second document that only few viewers show: what it says is not judged."""
    before, after = hop.both(old, new, b"/XFA", Role.FORM)
    below = [
        hop.explain_below(state, place, Role.FORM, 2)
        for state, place in ((hop.old, before), (hop.new, after))
    ]
    if before.value != after.value or after.ref in hop.touched or any(below):
        hop.refuse("PDF_DYNAMIC_FORM", "the dynamic form (XFA) was changed", indeterminate=True)
