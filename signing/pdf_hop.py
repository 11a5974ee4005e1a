"""One hop, from one signed state to the next: what differs, what explains it, and what nothing explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from signing.errors import SignatureRefused
from signing.judgement import Change, ChangeKind
from signing.pdf_census import Census, Spot
from signing.pdf_objects import Ref, Stream, Value, references
from signing.pdf_permissions import Permission
from signing.pdf_places import HARMLESS, HARMLESS_OWNERS, KEYS, NO_KEYS, Pages, Place, Role, raw
from signing.pdf_signatures import PdfSignature
from signing.pdf_states import TRAILER, State

CHANGED = "PDF_CONTENT_CHANGED"
REDEFINED = "PDF_OBJECT_REDEFINED"
_MAX_WHERE = 200


class Hop:
    """What later octets of a file did to a signed state.

    Attributes:
        old: the state before.
        new: the state after.
        census: of references, standing at the old state until `settle`.
        permission: what the signatures up to the old state allow.
        pages: their numbers.
        signatures: sound signatures whose range ends where the new state ends, by object.
        touched: objects of the old state that have another value in the new one, or none.
        fresh: objects that only the new state has.
        changes: found so far and allowed in kind.
        problems: reasons against the hop.
        replaced: old dictionaries of appearances in whose place others were put.
        added_widgets: new widgets of signature fields, which pages may show.
    """

    def __init__(
        self,
        old: State,
        new: State,
        census: Census,
        permission: Permission,
        signatures: Mapping[Ref, PdfSignature],
        pages: Pages,
    ) -> None:
        self.old = old
        self.new = new
        self.census = census
        self.permission = permission
        self.signatures = signatures
        self.pages = pages
        self.candidates = _differing(old, new)
        self.touched: set[Ref] = set()
        self.fresh: set[Ref] = set()
        for identity in self.candidates:
            if old.value(identity) is None:
                if new.value(identity) is not None:
                    self.fresh.add(identity)
            elif not old.same(new, identity):
                self.touched.add(identity)
        self.changes: dict[tuple[ChangeKind, str], Change] = {}
        self.problems: list[SignatureRefused] = []
        self.added_widgets: set[Ref] = set()
        self.replaced: set[Ref] = set()
        self._roles: dict[Ref, set[Role]] = {}
        self._allowed: set[tuple[Ref, Ref, bytes]] = set()

    def refuse(self, code: str, message: str, *, indeterminate: bool = False) -> None:
        """Keep a reason against the hop; the comparison goes on, since a failure outweighs a doubt."""
        self.problems.append(SignatureRefused(code, message, indeterminate=indeterminate))

    def note(self, kind: ChangeKind, where: str = "", page: int | None = None) -> None:
        """Keep an allowed change, each field or thing once."""
        where = "".join(letter for letter in where if letter.isprintable())[:_MAX_WHERE]
        self.changes.setdefault((kind, where), Change(kind, where, page, self.old.end))

    def enter(self, state: State, place: Place, key: bytes) -> Place:
        """Go to an entry of a dictionary; where a reference leads there, it may do so from here."""
        value = place.value.dictionary if isinstance(place.value, Stream) else place.value
        raw = value.get(key) if isinstance(value, dict) else None
        return self.follow(state, raw, place.owner, place.path + key)

    def follow(self, state: State, raw: Value | None, owner: Ref, path: bytes) -> Place:
        """Go to what a raw value means."""
        if isinstance(raw, Ref):
            self._allowed.add((raw, owner, path))
            return Place(state.value(raw), raw, b"", raw)
        return Place(raw, owner, path)

    def explain(self, place: Place, role: Role) -> bool:
        """Give an object its role; True when it is one that changed."""
        if place.ref is None:
            return False
        self._roles.setdefault(place.ref, set()).add(role)
        return place.ref in self.touched

    def both(self, old: Place, new: Place, key: bytes, role: Role) -> tuple[Place, Place]:
        """Go to the same entry in both states, and give what stands there its role."""
        before, after = self.enter(self.old, old, key), self.enter(self.new, new, key)
        self.explain(before, role)
        self.explain(after, role)
        return before, after

    def explain_below(self, state: State, place: Place, role: Role, depth: int) -> bool:
        """Give all that stands below a place its role; True when something there changed or is new."""
        changed = False
        level = [place]
        seen: set[Ref] = set()
        for _ in range(depth):
            following: list[Place] = []
            for item in level:
                if item.value is None or isinstance(item.value, Stream):
                    continue
                for path, _, target in references(item.value):
                    below = self.follow(state, target, item.owner, item.path + path)
                    changed = self.explain(below, role) or target in self.fresh or changed
                    if target not in seen:
                        seen.add(target)
                        following.append(below)
            level = following
        return changed

    def settle(self) -> None:
        """Look who refers to what was redefined, and move the census to the new state.

        What no reader can reach may be anything. What has a role may be referred to from the places of that role
        only, and these places from nowhere else in their turn. What has none must not be referred to at all.
        """
        for identity in sorted(self.touched):
            self._settle(self.old, identity)
        for identity in sorted(self.fresh):
            spot = self._foreign(self.old, identity, NO_KEYS)
            if spot is not None and not self._defined_harmlessly(identity):
                self.refuse(REDEFINED, _redefined(identity, spot))
        for identity in sorted(self.replaced):
            spot = self._foreign(self.old, identity, frozenset({b"/AP"}))
            if spot is not None:
                self.refuse(REDEFINED, _redefined(identity, spot))
        self.census.update(self.new, self.candidates)
        for identity in sorted(self.touched):
            self._settle(self.new, identity)

    def _settle(self, state: State, identity: Ref) -> None:
        roles = self._roles.get(identity, set())
        if len(roles) > 1:
            # Shown in two ways; no rule for one of them speaks for the other.
            self.refuse(REDEFINED, f"object {identity.number} is used in different ways")
            return
        role = next(iter(roles), None)
        if role is Role.PAGE:
            # Only its list of annotations may change, and nothing but a page has one.
            return
        spot = self._foreign(state, identity, KEYS.get(role, NO_KEYS))
        if spot is None:
            return
        if role is None:
            self.refuse(CHANGED, f"object {identity.number} was changed and is in use ({_shown(spot)})")
        else:
            self.refuse(REDEFINED, _redefined(identity, spot))

    def _foreign(self, state: State, identity: Ref, keys: frozenset[bytes]) -> Spot | None:
        """Return a place that refers to an object, live, not by these keys and not explained."""
        for spot in self.census.spots(state, identity):
            explained = (identity, spot.owner, spot.path) in self._allowed and self._exclusive(
                state, spot.owner
            )
            if not explained and not self._by_key(state, spot, keys) and self.census.is_live(spot.owner):
                return spot
        return None

    def _defined_harmlessly(self, identity: Ref) -> bool:
        """Whether old objects referred to a new one only from where it shows nothing."""
        if isinstance(self.new.value(identity), Stream):
            return False
        for spot in self.census.spots(self.old, identity):
            owners = self.census.spots(self.old, spot.owner)
            known = spot.near in HARMLESS and spot.path == spot.near
            known = known and all(self._by_key(self.old, above, HARMLESS_OWNERS) for above in owners)
            if not known and self.census.is_live(spot.owner):
                return False
        return True

    def _by_key(self, state: State, spot: Spot, keys: frozenset[bytes]) -> bool:
        """Whether a place is under one of these keys; an array is where all that refer to it are."""
        if spot.near in keys:
            return True
        waiting, seen = [spot], {spot.owner}
        while waiting:
            item = waiting.pop()
            if item.path or item.owner == TRAILER or not isinstance(state.value(item.owner), list):
                return False
            for above in self.census.spots(state, item.owner):
                if above.near not in keys and above.owner not in seen:
                    seen.add(above.owner)
                    waiting.append(above)
        return True

    def _exclusive(self, state: State, owner: Ref) -> bool:
        """Whether an object that refers to another is itself used for its one role only, up to the trailer."""
        waiting, seen = [owner], {owner}
        while waiting:
            identity = waiting.pop()
            roles = self._roles.get(identity, set())
            if identity == TRAILER or roles == {Role.PAGE}:
                continue
            if len(roles) != 1:
                return False
            keys = KEYS.get(next(iter(roles)), NO_KEYS)
            for spot in self.census.spots(state, identity):
                if (identity, spot.owner, spot.path) in self._allowed:
                    if spot.owner not in seen:
                        seen.add(spot.owner)
                        waiting.append(spot.owner)
                elif not self._by_key(state, spot, keys) and self.census.is_live(spot.owner):
                    return False
        return True

    def owners(self, identity: Ref, wanted: Callable[[bytes, Value], bool]) -> set[Ref]:
        """Return the old objects that refer to one, chosen by the path to it and their value."""
        found = set()
        for spot in self.census.spots(self.old, identity):
            owner = None if spot.owner == TRAILER else self.old.value(spot.owner)
            if owner is not None and wanted(spot.path, owner):
                found.add(spot.owner)
        return found

    def page_of(self, reference: Value | None) -> int | None:
        """Return the number of a page, from 1; None when it is none."""
        return self.pages.number(reference) if isinstance(reference, Ref) else None


def differs(hop: Hop, old: Place, new: Place, key: bytes) -> bool:
    """Whether an entry differs; the same value, once written directly and once as an object, is the same."""
    before, after = raw(old, key), raw(new, key)
    if before == after:
        return False
    if isinstance(before, Ref) and isinstance(after, Ref):
        return True
    first, second = hop.old.resolve(before), hop.new.resolve(after)
    return isinstance(first, Stream) or first != second


def _redefined(identity: Ref, spot: Spot) -> str:
    return f"object {identity.number} was redefined, and is in use elsewhere too ({_shown(spot)})"


def _shown(spot: Spot) -> str:
    return f"{spot.owner.number} {spot.path.decode('latin-1')[:_MAX_WHERE]}"


def _differing(old: State, new: State) -> set[Ref]:
    """Return the objects whose place differs: by the tables alone, no object is read.

    The catalog, and what shares its object stream, are read when a state is opened, before references to objects
    of other states can be kept: whether these differ is seen in their text.
    """
    found = {Ref(*identity) for identity, _ in old.table.items() ^ new.table.items()}
    numbers = {identity.number for identity in found}
    root = old.trailer.get(b"/Root")
    place = old.table.get(root) if isinstance(root, Ref) else None
    if isinstance(root, Ref) and place is not None:
        found.add(root)
        numbers.add(place[1] if place[0] == 2 and place[1] is not None else -1)
    found.update(
        Ref(*identity) for identity, entry in new.table.items() if entry[0] == 2 and entry[1] in numbers
    )
    return found
