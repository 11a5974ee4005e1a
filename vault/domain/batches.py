"""Batches of acts: what states a batch and its lines have, and what callers are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vault.errors import Conflict


class BatchState(StrEnum):
    """Where a batch is.

    LOADING: its lines are being written. CHECKED: a dry run, nothing is issued. REFUSED: all or nothing was asked,
    and a line is wrong. OPEN: files are taken. PAUSED: none is, for now. FINISHED, CANCELLED: none is any more.
    """

    LOADING = "loading"
    CHECKED = "checked"
    REFUSED = "refused"
    OPEN = "open"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class LineState(StrEnum):
    """What became of a line.

    WRONG: the manifest's own line cannot be used. WAITING: its file did not come yet. REFUSED: its file, or the holder
    it is for, cannot be taken; another file may come. ISSUED: there is an act. RECEIVED: there is one, whose seal
    waits for its timestamp and follows by itself.
    """

    WRONG = "wrong"
    WAITING = "waiting"
    REFUSED = "refused"
    ISSUED = "issued"
    RECEIVED = "received"


BATCH: Mapping[BatchState, frozenset[BatchState]] = {
    BatchState.LOADING: frozenset({BatchState.CHECKED, BatchState.REFUSED, BatchState.OPEN}),
    BatchState.CHECKED: frozenset({BatchState.OPEN, BatchState.CANCELLED}),
    BatchState.REFUSED: frozenset(),
    BatchState.OPEN: frozenset({BatchState.PAUSED, BatchState.FINISHED, BatchState.CANCELLED}),
    BatchState.PAUSED: frozenset({BatchState.OPEN, BatchState.FINISHED, BatchState.CANCELLED}),
    BatchState.FINISHED: frozenset(),
    BatchState.CANCELLED: frozenset(),
}
LINE: Mapping[LineState, frozenset[LineState]] = {
    LineState.WRONG: frozenset(),
    LineState.WAITING: frozenset({LineState.REFUSED, LineState.ISSUED, LineState.RECEIVED}),
    LineState.REFUSED: frozenset({LineState.REFUSED, LineState.ISSUED, LineState.RECEIVED}),
    LineState.ISSUED: frozenset(),
    LineState.RECEIVED: frozenset(),
}
#: From these nothing follows: what was kept of the lines beyond their results is erased.
ENDED = frozenset(state for state, after in BATCH.items() if not after)
#: Lines in these may still get a file.
OPEN_LINES = frozenset(state for state, after in LINE.items() if after)


def move_batch(current: BatchState, wanted: BatchState) -> BatchState:
    """Return `wanted` when the table allows it. Raises Conflict(STATE_CONFLICT)."""
    if wanted not in BATCH[current]:
        raise Conflict("STATE_CONFLICT", current=current.value, wanted=wanted.value)
    return wanted


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the database holds it.

    Attributes:
        id: `bat_…`.
        administration_id: issues its acts.
        state: where it is.
        all_or_nothing: one wrong line refuses it whole.
        lines: how many lines its manifest has.
        created_at: RFC 3339.
        ended_at: RFC 3339; None while it goes on.
        manifest: hex SHA-256 of the manifest as it came.
        scope: 32 octets that stand for who brought it and under which key; the keys of its lines come from them.
        request: 32 octets that stand for what was asked.
        counts: lines by state.
    """

    id: str
    administration_id: str
    state: BatchState
    all_or_nothing: bool
    lines: int
    created_at: str
    ended_at: str | None
    manifest: str
    scope: bytes = field(repr=False)
    request: bytes = field(repr=False)
    counts: Mapping[LineState, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineResult:
    """What became of a line.

    Attributes:
        line: number in the manifest, from 1.
        state: of the line.
        code: why it is wrong or refused, or "".
        field: the field that is wrong, or "".
        document_id: the act, or "".
        seq: the ledger entry of the act; None where there is none.
    """

    line: int
    state: LineState
    code: str = ""
    field: str = ""
    document_id: str = ""
    seq: int | None = None


@dataclass(slots=True)
class Fed:
    """What became of files that came together.

    Attributes:
        members: files looked at.
        issued: of them, those that became acts now.
        already: whose line had been issued before, with the same file.
        refused: whose line was refused.
        unmatched: that no line is waiting for: no line names them, or another file was issued for it.
        busy: whose line another sender is issuing at this moment.
        stopped: True when the rest was left because the batch was paused or ended meanwhile.
        problems: the first of them, with code.
    """

    members: int = 0
    issued: int = 0
    already: int = 0
    refused: int = 0
    unmatched: int = 0
    busy: int = 0
    stopped: bool = False
    problems: list[MemberProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MemberProblem:
    """What is wrong with a file of a part.

    Attributes:
        member: its place in the part, from 1.
        line: line it is for; None where there is none.
        code: what is wrong.
        field: the field that is wrong, or "".
    """

    member: int
    line: int | None
    code: str
    field: str = ""
