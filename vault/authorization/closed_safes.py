"""What a closure leaves of a safe: the one table of its effects, which `vault.authorization.ties` always applies.

A wish of the holder (`wish`) changes nothing until the safe is closed. A death or dissolution that the data-protection
officer confirmed ends the holder's own access and every mandate given before, at once: what somebody could have learnt
of the holder's secrets opens nothing. Mandates that an administration gives from then on count: the heirs' notary, the
liquidator. A closed safe takes nothing in and gives nothing to third parties; what lies in it stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vault.access import Action, Relation

WISH = "wish"
DEATH = "death"
DISSOLUTION = "dissolution"
KINDS = (WISH, DEATH, DISSOLUTION)
# What may still be asked of a closed safe by its holder, or by whom an administration named for the holder.
_STAYS = frozenset(
    {
        Action.LIST, Action.DESCRIBE, Action.READ, Action.EVIDENCE, Action.RECEIPT, Action.KEYS, Action.SAFE_SEE,
        Action.JOURNAL, Action.JOURNAL_PROOF, Action.EXPORT, Action.CONTACTS, Action.CLOSURE_SEE,
        Action.MANDATE_SEE, Action.MANDATE_END, Action.REQUEST_SEE, Action.CONSENT_SEE, Action.CONSENT_WITHDRAW,
        Action.STATEMENT_SEE, Action.SHARE_SEE, Action.SHARE_WITHDRAW, Action.CASE_SEE, Action.REPORT_MAKE,
        Action.REPORT_SEE, Action.NOTE_ADD, Action.NOTE_SEE,
    }
)  # fmt: skip
# What an administration may no longer ask of it; its own acts it still reads and revokes.
_ENDS = frozenset({Action.ISSUE, Action.REQUEST_MAKE, Action.CASE_WRITE})
# Where a caller who would be entitled is told that the safe is closed. Reading a document is refused like any other
# refused read, and stands in the journal as such.
TOLD = frozenset(
    {
        Action.ISSUE, Action.DEPOSIT, Action.LIST, Action.LABEL, Action.SAFE_SEE, Action.JOURNAL, Action.EXPORT,
        Action.CONTACTS, Action.CLOSURE_ASK, Action.CLOSURE_CONFIRM, Action.CLOSURE_CANCEL, Action.MANDATE_GRANT,
        Action.REQUEST_ANSWER, Action.SHARE_CREATE, Action.CASE_WRITE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Closing:
    """A closure of a safe that has effects now.

    Attributes:
        official: a death or dissolution; else the holder's wish.
        closed: the notice is over.
        notice_seq: number of the ledger entry from which the notice runs.
    """

    official: bool
    closed: bool
    notice_seq: int


def is_left(action: Action, relation: Relation, closings: Sequence[Closing]) -> bool:
    """Tell whether what a relation allows stays allowed, whatever mandate it rests on."""
    closed = any(each.closed for each in closings)
    if relation is Relation.OWN_SAFE:
        return not any(each.official for each in closings) and (not closed or action in _STAYS)
    if relation is Relation.MANDATE:
        return not closed or action in _STAYS
    if relation is Relation.OWN_ADMINISTRATION:
        return not closed or action not in _ENDS
    return not closed or relation not in {Relation.CONSENT, Relation.SHARE}


def is_mandate_left(official: bool, given_seq: int, closings: Sequence[Closing]) -> bool:
    """Tell whether a mandate still counts.

    Args:
        official: an administration gave it.
        given_seq: number of the ledger entry by which it was given.
        closings: closures of the safe.
    """
    return all(
        (official and given_seq > each.notice_seq) if each.official else (official or not each.closed)
        for each in closings
    )
