"""Where a value stands in a PDF, and what an object is there: what a hop is explained with."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from signing.pdf_objects import Ref, Value, text_of
from signing.pdf_states import State


class Role(Enum):
    """What a changed object is in the document."""

    CATALOG = "catalog"
    PAGE = "page"
    FORM = "form"
    FIELD = "field"
    VALUE = "value of a field"
    APPEARANCE = "appearance"
    ARRAY = "array"
    LONG_TERM = "long-term data"
    METADATA = "metadata"
    STRUCTURE = "structure"


# Keys by which anything may refer to a changed object of a role, whose changes they do not show.
KEYS: dict[Role | None, frozenset[bytes]] = {
    Role.CATALOG: frozenset({b"/Data", b"/P", b"/Parent"}),
    Role.FIELD: frozenset(
        {b"/Fields", b"/Kids", b"/Annots", b"/P", b"/Parent", b"/Obj", b"/CO", b"/T", b"/Data", b"/K", b"/AN"}
        | {b"/Popup", b"/IRT", b"/Prev", b"/Next", b"/SE"}
    ),
    Role.STRUCTURE: frozenset(
        {b"/K", b"/P", b"/Parent", b"/Nums", b"/Names", b"/Kids", b"/SE", b"/Pg", b"/Ref"}
        | {b"/StructTreeRoot", b"/ParentTree"}
    ),
}
NO_KEYS: frozenset[bytes] = frozenset()
_MAX_DEPTH = 64
# Keys of annotations, structure elements and outline items through which a new object shows nothing, although an
# old one already referred to its number; and those by which such dictionaries are reached, as resources never are.
HARMLESS = frozenset({b"/P", b"/Popup", b"/IRT", b"/Prev", b"/Pg", b"/Obj", b"/SE", b"/Dest"})
HARMLESS_OWNERS = HARMLESS | {
    b"/Annots", b"/Kids", b"/Fields", b"/Parent", b"/K", b"/First", b"/Last", b"/Next", b"/CO", b"/T", b"/Nums"
}  # fmt: skip


class Place(NamedTuple):
    """A value and where it stands.

    Attributes:
        value: resolved; None where there is none.
        owner: the object it stands in, itself when it is one.
        path: the keys that lead to it inside its owner.
        ref: the reference that led to it, None for a direct value.
    """

    value: Value | None
    owner: Ref
    path: bytes = b""
    ref: Ref | None = None


def raw(place: Place, key: bytes) -> Value | None:
    """Return an entry of a dictionary as it is written; None where there is none."""
    return place.value.get(key) if isinstance(place.value, dict) else None


def keys_of(*places: Place) -> set[bytes]:
    """Return the keys of dictionaries, all together."""
    found: set[bytes] = set()
    for place in places:
        if isinstance(place.value, dict):
            found.update(place.value)
    return found


def name(key: bytes) -> str:
    """Show a key."""
    return key.decode("latin-1")[:100]


def added_items(old: Value | None, new: Value | None) -> list[Value] | None:
    """Return what an array has more than before; None when an old element is gone or moved."""
    if not isinstance(old, list | None) or not isinstance(new, list | None):
        return None
    waiting = list(reversed(old or []))
    added = []
    for item in new or []:
        if waiting and item == waiting[-1]:
            waiting.pop()
        else:
            added.append(item)
    return None if waiting else added


def field_line(state: State, identity: Ref) -> Iterator[dict[bytes, Value]]:
    """Yield a field's dictionary and those above it, nearest first."""
    seen: set[Ref] = set()
    value: Value | None = identity
    while len(seen) < _MAX_DEPTH:
        if isinstance(value, Ref):
            if value in seen:
                return
            seen.add(value)
            value = state.value(value)
        if not isinstance(value, dict):
            return
        yield value
        value = value.get(b"/Parent")


def inherited(state: State, identity: Ref, key: bytes) -> Value | None:
    """Return an inheritable entry of a field, resolved."""
    for entries in field_line(state, identity):
        if key in entries:
            return state.resolve(entries[key])
    return None


def full_name(state: State, identity: Ref) -> str:
    """Return the fully qualified name of a field (ISO 32000-1, 12.7.3.2)."""
    parts = [text_of(state.resolve(entries.get(b"/T"))) for entries in field_line(state, identity)]
    return ".".join(part for part in reversed(parts) if part)


class Pages:
    """The numbers of pages, read once and only when one is asked for: no hop may change the page tree."""

    def __init__(self) -> None:
        self._numbers: dict[Ref, int] | None = None
        self._state: State | None = None

    def stand_at(self, state: State) -> None:
        """Say which state to read them from."""
        self._state = state

    def number(self, page: Ref) -> int | None:
        """Return the number of a page, from 1; None when the page tree does not hold it."""
        if self._numbers is None:
            self._numbers = {} if self._state is None else _page_numbers(self._state)
        return self._numbers.get(page)


def _page_numbers(state: State) -> dict[Ref, int]:
    root = state.get(state.trailer, b"/Root")
    stack: list[Value | None] = [root.get(b"/Pages") if isinstance(root, dict) else None]
    numbers: dict[Ref, int] = {}
    seen: set[Ref] = set()
    while stack:
        reference = stack.pop()
        if not isinstance(reference, Ref) or reference in seen:
            continue
        seen.add(reference)
        # Most are pages, and need not be read further.
        kids = state.get(reference, b"/Kids") if b"/Kids" in state.text(reference) else None
        if isinstance(kids, list):
            stack.extend(reversed(kids))
        else:
            numbers[reference] = len(numbers) + 1
    return numbers
