"""The four independent axes of a document and their legal transitions, each in one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from vault.errors import Conflict


class Reception(StrEnum):
    """Was the file taken in?"""

    RECEIVED = "received"
    REJECTED = "rejected"


class Sealing(StrEnum):
    """Does it carry its seal and timestamp?"""

    WAITING = "waiting"
    SEALED = "sealed"


class Scan(StrEnum):
    """What the antivirus said."""

    PENDING = "pending"
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNED = "unscanned"


class Status(StrEnum):
    """Is the document in force?"""

    VALID = "valid"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"
    DESTROYED = "destroyed"


RECEPTION: Mapping[Reception, frozenset[Reception]] = {
    Reception.RECEIVED: frozenset({Reception.REJECTED}),
    Reception.REJECTED: frozenset(),
}
SEALING: Mapping[Sealing, frozenset[Sealing]] = {
    Sealing.WAITING: frozenset({Sealing.SEALED}),
    Sealing.SEALED: frozenset(),
}
SCAN: Mapping[Scan, frozenset[Scan]] = {
    Scan.PENDING: frozenset({Scan.CLEAN, Scan.INFECTED, Scan.UNSCANNED}),
    Scan.CLEAN: frozenset({Scan.INFECTED}),
    Scan.UNSCANNED: frozenset({Scan.PENDING, Scan.CLEAN, Scan.INFECTED}),
    Scan.INFECTED: frozenset({Scan.CLEAN}),
}
STATUS: Mapping[Status, frozenset[Status]] = {
    Status.VALID: frozenset({Status.SUPERSEDED, Status.REVOKED, Status.DESTROYED}),
    Status.SUPERSEDED: frozenset({Status.REVOKED, Status.DESTROYED}),
    Status.REVOKED: frozenset({Status.DESTROYED}),
    Status.DESTROYED: frozenset(),
}


def move_status(current: Status, wanted: Status) -> Status:
    """Return `wanted` when the table allows it. Raises Conflict(STATE_CONFLICT)."""
    if wanted not in STATUS[current]:
        raise Conflict("STATE_CONFLICT", current=current.value, wanted=wanted.value)
    return wanted
