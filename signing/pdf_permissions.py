"""What the signatures of a PDF allow to happen after them (ISO 32000-2, 12.8.2.2, 12.8.2.4 and 12.7.5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signing.errors import SignatureRefused
from signing.judgement import Change, ChangeKind
from signing.pdf_objects import Ref, Value, text_of
from signing.pdf_signatures import PdfSignature
from signing.pdf_states import State

_LONG_TERM = frozenset({ChangeKind.DSS, ChangeKind.DOC_TIMESTAMP})
_BESIDE = frozenset({ChangeKind.METADATA, ChangeKind.STRUCTURE, ChangeKind.REWRITTEN})
_USUAL = _LONG_TERM | _BESIDE | {ChangeKind.SIGNATURE, ChangeKind.FIELD_FILLED}
_ANNOTATING = _USUAL | {ChangeKind.ANNOTATION}
_MAX_REFERENCES = 16


@dataclass(frozen=True, slots=True)
class Lock:
    """Fields that a signature locks.

    Attributes:
        action: b"/All", b"/Include" or b"/Exclude".
        names: fully qualified field names; each stands for all the fields below it too.
    """

    action: bytes
    names: frozenset[str]

    def holds(self, name: str) -> bool:
        """Whether a field of this fully qualified name is locked."""
        parts = name.split(".")
        named = any(".".join(parts[:size]) in self.names for size in range(1, len(parts) + 1))
        return self.action == b"/All" or named is (self.action == b"/Include")


@dataclass(frozen=True, slots=True)
class Permission:
    """What may happen after a signed state.

    Attributes:
        level: 1 nothing but long-term data; 2 also filling and signing; 3 also annotations; None when no
            signature certifies, which allows the same as 2.
        locks: of every signature so far.
    """

    level: int | None
    locks: tuple[Lock, ...]

    def is_locked(self, name: str) -> bool:
        """Whether any signature locks a field of this fully qualified name."""
        return any(lock.holds(name) for lock in self.locks)

    def refuse(self, changes: Iterable[Change]) -> SignatureRefused | None:
        """Return why one of the changes of a hop is not permitted; None when all are.

        With level 1, properties and structure may change only beside long-term data or a document timestamp.
        """
        kinds = {change.kind for change in changes}
        allowed = _USUAL
        if self.level == 1:
            allowed = _LONG_TERM | _BESIDE if kinds & _LONG_TERM else frozenset({ChangeKind.REWRITTEN})
        elif self.level == 3:
            allowed = _ANNOTATING
        for kind in ChangeKind:
            if kind in kinds - allowed:
                return SignatureRefused(
                    "PDF_CHANGE_NOT_PERMITTED",
                    f"the signed document forbids this later change: {kind.value}",
                )
        return None


def permission(state: State, signatures: Sequence[PdfSignature]) -> Permission:
    """Read what the signatures of a state allow together.

    Args:
        state: a state whose end is the newest of the signatures' ends.
        signatures: every sound signature that the state holds.
    """
    levels: list[int] = []
    locks: list[Lock] = []
    for signature in signatures:
        owner = state.value(Ref(*signature.number))
        value = state.get(owner, b"/V") if signature.direct else owner
        references = state.get(value, b"/Reference")
        for reference in references[:_MAX_REFERENCES] if isinstance(references, list) else ():
            _transform(state, reference, levels, locks)
        lock = state.get(state.value(Ref(*signature.field_number)), b"/Lock")
        if isinstance(lock, dict):
            locks.append(_lock(state, lock))
            if b"/P" in lock:
                levels.append(_level(lock[b"/P"]))
    return Permission(min(levels, default=None), tuple(locks))


def _transform(state: State, reference: Value, levels: list[int], locks: list[Lock]) -> None:
    method = state.get(reference, b"/TransformMethod")
    parameters = state.get(reference, b"/TransformParams")
    if method == b"/DocMDP":
        # Without parameters 2 is the default (table 257); parameters of a wrong type allow nothing.
        stated: Value | None = b"2" if parameters is None else None
        if isinstance(parameters, dict):
            stated = state.resolve(parameters.get(b"/P", b"2"))
        levels.append(_level(stated))
    elif method == b"/FieldMDP":
        locks.append(_lock(state, parameters))
    elif method not in {b"/UR", b"/UR3", b"/Identity"}:
        levels.append(1)


def _level(value: Value | None) -> int:
    return int(value) if isinstance(value, bytes) and value in {b"1", b"2", b"3"} else 1


def _lock(state: State, value: Value | None) -> Lock:
    """Read a lock; one that cannot be read locks everything."""
    action = state.get(value, b"/Action")
    names = state.get(value, b"/Fields")
    if isinstance(action, bytes) and action in {b"/Include", b"/Exclude"} and isinstance(names, list):
        return Lock(action, frozenset(text_of(state.resolve(name)) for name in names))
    return Lock(b"/All", frozenset())
