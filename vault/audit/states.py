"""Replays a document's status events and says where they must have led."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vault.domain.documents import Kind
from vault.domain.states import SEALING, STATUS, Sealing, Status
from vault.errors import LedgerError
from vault.ledger.events import Event, EventSpec, spec

SEALED_BY = {Event.ISSUED: Kind.ACT, Event.DEPOSITED: Kind.ATTACHMENT}


@dataclass(slots=True)
class Replayed:
    """Where a document's events lead.

    Attributes:
        kind: act or attachment, as its row says.
        status, sealing: the two axes that the ledger decides.
        first_seq: entry of its reception; None without events.
        issued_seq: entry of its seal; None while it waits.
        destroyed_seq: entry of its destruction, if any.
        superseded: whether another act replaced it.
        illegal: (entry, code, what happened) of each event that may not follow those before it.
    """

    kind: str
    status: Status = Status.VALID
    sealing: Sealing = Sealing.WAITING
    first_seq: int | None = None
    issued_seq: int | None = None
    destroyed_seq: int | None = None
    superseded: bool = False
    illegal: list[tuple[int, str, str]] = field(default_factory=list)

    def expected(self) -> Iterator[tuple[str, object]]:
        """Yield columns of the document's row with the values they must have."""
        yield "status", self.status.value
        yield "sealing", self.sealing.value
        yield "first_seq", self.first_seq
        yield "issued_seq", self.issued_seq

    def take(self, seq: int, name: str) -> None:
        """Take the next status event."""
        try:
            event = spec(name)
        except LedgerError:
            self.illegal.append((seq, "EVENT_UNKNOWN", name))
            return
        if event.event is Event.RECEIVED:
            if self.first_seq is not None:
                self.illegal.append((seq, "TRANSITION_ILLEGAL", "reception after other events"))
        elif event.event in SEALED_BY:
            self._seal(seq, event)
        elif event.status is not None:
            self._move(seq, event, event.status)
        if self.first_seq is None:
            self.first_seq = seq

    def _seal(self, seq: int, event: EventSpec) -> None:
        right = SEALED_BY[event.event].value == self.kind
        if Sealing.SEALED not in SEALING[self.sealing] or self.status is Status.DESTROYED or not right:
            what = f"{event.event} of an {self.kind} that is {self.sealing}, {self.status}"
            self.illegal.append((seq, "TRANSITION_ILLEGAL", what))
        self.sealing, self.issued_seq = Sealing.SEALED, seq

    def _move(self, seq: int, event: EventSpec, status: Status) -> None:
        # Only a destruction may come before the seal.
        waits = self.sealing is Sealing.WAITING and status is not Status.DESTROYED
        if self.first_seq is None or status not in STATUS[self.status] or waits:
            what = f"{event.event} of what is {self.sealing}, {self.status}"
            self.illegal.append((seq, "TRANSITION_ILLEGAL", what))
        self.status = status
        self.superseded |= status is Status.SUPERSEDED
        if status is Status.DESTROYED:
            self.destroyed_seq = seq


def replay(kind: str, events: Iterable[tuple[int, str]]) -> Replayed:
    """Replay status events.

    Args:
        kind: act or attachment.
        events: entry number and event name, in the order of their counters.
    """
    replayed = Replayed(kind)
    for seq, name in events:
        replayed.take(seq, name)
    return replayed
