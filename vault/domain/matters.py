"""Matters: what has a life and ledger entries beside documents; their legal transitions, all in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from vault.domain.actors import Role
from vault.errors import Conflict


class MatterKind(StrEnum):
    """What a matter is; its events are `kind.verb`."""

    MANDATE = "mandate"
    REQUEST = "request"
    CONSENT = "consent"
    STATEMENT = "statement"
    SHARE = "share"
    CASE = "case"
    REPORT = "report"
    NOTE = "note"
    REQUISITION = "requisition"
    CLOSURE = "closure"
    EXPORT = "export"


PREFIXES: Mapping[MatterKind, str] = {
    MatterKind.MANDATE: "mdt",
    MatterKind.REQUEST: "req",
    MatterKind.CONSENT: "csn",
    MatterKind.STATEMENT: "stm",
    MatterKind.SHARE: "shr",
    MatterKind.CASE: "cas",
    MatterKind.REPORT: "rpt",
    MatterKind.NOTE: "nte",
    MatterKind.REQUISITION: "rqs",
    MatterKind.CLOSURE: "cls",
    MatterKind.EXPORT: "xpt",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing that may happen to a matter.

    Attributes:
        before: states in which it may; empty for what begins the matter.
        after: the state it leads to.
        writers: in what quality somebody may cause it.
    """

    before: frozenset[str]
    after: str
    writers: frozenset[Role]


def _begins(after: str, *writers: Role) -> Transition:
    return Transition(frozenset(), after, frozenset(writers))


def _leads(before: str, after: str, *writers: Role) -> Transition:
    return Transition(frozenset(before.split("|")), after, frozenset(writers))


_H, _M, _A, _S = Role.HOLDER, Role.MANDATARY, Role.AGENT, Role.SYSTEM
_O, _D, _U, _B = Role.OPERATOR, Role.OFFICER, Role.AUDITOR, Role.BEARER

TRANSITIONS: Mapping[MatterKind, Mapping[str, Transition]] = {
    # Who grants is said in the entry: the holder, or an administration (guardianship, register of companies).
    MatterKind.MANDATE: {
        "granted": _begins("live", _H, _A, _S),
        "renounced": _leads("live", "ended", _M, _H),
        "revoked": _leads("live", "ended", _H, _A, _S),
    },
    MatterKind.REQUEST: {
        "made": _begins("open", _A, _S),
        "accepted": _leads("open", "accepted", _H, _M),
        "declined": _leads("open", "declined", _H, _M),
        "cancelled": _leads("open", "cancelled", _A, _S),
        "expired": _leads("open", "expired", _O),
    },
    MatterKind.CONSENT: {
        "given": _begins("live", _H, _M),
        "withdrawn": _leads("live", "withdrawn", _H, _M),
        # The seal of a withdrawal that took effect while no timestamp was to be had.
        "withdrawal-sealed": _leads("withdrawn", "withdrawn", _O),
    },
    MatterKind.STATEMENT: {
        "issued": _begins("issued", _H, _M),
    },
    MatterKind.SHARE: {
        "created": _begins("live", _H, _M),
        "opened": _leads("live", "live", _B),
        "exhausted": _leads("live", "exhausted", _B),
        "refused": _leads("live|exhausted|withdrawn", "=", _B),
        "withdrawn": _leads("live|exhausted", "withdrawn", _H, _M),
    },
    MatterKind.CASE: {
        "opened": _begins("open", _A, _S),
        "moved": _leads("open", "open", _A, _S),
        "linked": _leads("open", "open", _A, _S),
        "closed": _leads("open", "closed", _A, _S),
        "reopened": _leads("closed", "open", _A, _S),
    },
    MatterKind.REPORT: {
        "opened": _begins("open", _H, _M),
        "taken": _leads("open", "in-hand", _D),
        "answered": _leads("open|in-hand", "answered", _D),
        "reopened": _leads("answered", "in-hand", _D, _H, _M),
        "closed": _leads("answered", "closed", _H, _M, _D),
    },
    MatterKind.NOTE: {
        "added": _begins("open", _H, _M),
        "answered": _leads("open", "answered", _A, _S, _D),
        "withdrawn": _leads("open|answered", "withdrawn", _H, _M),
    },
    MatterKind.REQUISITION: {
        "recorded": _begins("live", _D),
        "ended": _leads("live", "ended", _D),
    },
    MatterKind.CLOSURE: {
        "asked": _begins("asked", _H, _A, _S),
        # A wish is confirmed by the holder, a death or dissolution by the data-protection officer.
        "confirmed": _leads("asked", "notice", _H, _D),
        "cancelled": _leads("asked|notice", "cancelled", _H, _A, _S, _D),
        "closed": _leads("notice", "closed", _O, _D),
    },
    MatterKind.EXPORT: {
        "asked": _begins("asked", _H, _M),
        "delivered": _leads("asked|delivered", "delivered", _H, _M),
        "journal": _begins("delivered", _H),
    },
}
# A transition to "=" leaves the state as it is.
SAME = "="
EVENTS: Mapping[str, tuple[MatterKind, Transition]] = {
    f"{kind.value}.{verb}": (kind, transition)
    for kind, verbs in TRANSITIONS.items()
    for verb, transition in verbs.items()
}


def move_matter(event: str, state: str | None) -> str:
    """Return the state an event leads to.

    Args:
        event: `kind.verb`.
        state: the matter's state; None before it begins.

    Raises:
        Conflict: STATE_CONFLICT, the event may not happen now.
    """
    transition = EVENTS[event][1]
    allowed = state is None if not transition.before else state in transition.before
    if not allowed:
        raise Conflict("STATE_CONFLICT", current=state or "", wanted=transition.after)
    return state if transition.after == SAME and state is not None else transition.after


@dataclass(frozen=True, slots=True)
class Matter:
    """A matter as the database holds it, its private part opened.

    Attributes:
        id: prefix by kind (`PREFIXES`) and 26 characters.
        kind: what it is.
        safe_id: the safe it is about, if any.
        administration_id: the administration that takes part, if any.
        document_id: the document it is about, if it is one.
        parent_id: the matter it follows from: the request of a consent, the case of a request.
        state: by `TRANSITIONS`.
        created_at: the service's statement, UTC.
        ends_at: it counts no longer from then on, UTC; None: no such time.
        first_seq: entry that began it.
        last_seq: its newest entry.
        next_counter: counter of its next tag.
        private: the personal part; members by kind.
    """

    id: str
    kind: MatterKind
    safe_id: str | None
    administration_id: str | None
    document_id: str | None
    parent_id: str | None
    state: str
    created_at: datetime
    ends_at: datetime | None
    first_seq: int
    last_seq: int
    next_counter: int
    private: Mapping[str, Any] = field(default_factory=dict)

    def is_live(self, now: datetime) -> bool:
        """Tell whether it counts now: in state `live`, begun, and not at its end."""
        starts = self.private.get("starts_at")
        begun = starts is None or datetime.fromisoformat(str(starts)) <= now
        return self.state == "live" and begun and (self.ends_at is None or now < self.ends_at)
