"""Who refers to an object of a PDF: needed before an object that was redefined may be called harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from signing.pdf_objects import Ref, references
from signing.pdf_states import TRAILER, State

_REFERENCE = re.compile(rb"(?<!\d)(\d{1,10}) (\d{1,5}) R")


class Spot(NamedTuple):
    """A place that refers to an object.

    Attributes:
        owner: the object that holds the reference; `TRAILER` for the trailer.
        path: the dictionary keys on the way to it, joined; places in arrays do not count.
        near: the last of these keys.
    """

    owner: Ref
    path: bytes
    near: bytes


class Census:
    """References between the objects of one state, kept up to date from state to state.

    It is taken from qpdf's text of every object, so that what no reader reaches is known too; a string that looks
    like a reference only makes the exact look, by `spots`, happen once more.
    """

    def __init__(self, state: State) -> None:
        """Read every object of a state once."""
        self._forward: dict[Ref, frozenset[Ref]] = {}
        self._backward: dict[Ref, set[Ref]] = {}
        self._places: dict[Ref, dict[Ref, list[tuple[bytes, bytes]]]] = {}
        self._live: frozenset[Ref] | None = None
        self._read(state, (Ref(*identity) for identity in state.table))

    def update(self, state: State, changed: Iterable[Ref]) -> None:
        """Go on to a later state, in which only these objects differ."""
        self._read(state, changed)

    def _read(self, state: State, identities: Iterable[Ref]) -> None:
        self._live = None
        self._set(TRAILER, state.trailer_text())
        for identity in identities:
            self._set(identity, state.text(identity))

    def _set(self, owner: Ref, text: bytes) -> None:
        self._places.pop(owner, None)
        found = frozenset(Ref(int(number), int(gen)) for number, gen in _REFERENCE.findall(text))
        for target in self._forward.get(owner, frozenset()) - found:
            self._backward[target].discard(owner)
        if found:
            self._forward[owner] = found
        else:
            self._forward.pop(owner, None)
        for target in found:
            self._backward.setdefault(target, set()).add(owner)

    def spots(self, state: State, target: Ref) -> Iterator[Spot]:
        """Yield every place that refers to an object, in the state that the census stands at."""
        for owner in sorted(self._backward.get(target, ())):
            for path, near in self._places_in(state, owner).get(target, ()):
                yield Spot(owner, path, near)

    def _places_in(self, state: State, owner: Ref) -> dict[Ref, list[tuple[bytes, bytes]]]:
        """Return where an object refers to what: read once, for arrays may hold references by the thousand."""
        found = self._places.get(owner)
        if found is None:
            found = self._places[owner] = {}
            value = state.trailer if owner == TRAILER else state.value(owner)
            for path, near, target in references(value if value is not None else b"null"):
                found.setdefault(target, []).append((path, near))
        return found

    def is_live(self, identity: Ref) -> bool:
        """Whether the trailer leads to an object, by whatever way."""
        if self._live is None:
            seen = {TRAILER}
            waiting = [TRAILER]
            while waiting:
                for target in self._forward.get(waiting.pop(), ()):
                    if target not in seen:
                        seen.add(target)
                        waiting.append(target)
            self._live = frozenset(seen)
        return identity in self._live
