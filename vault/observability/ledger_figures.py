"""What monitoring asks about the ledger: how far it is written, published, dated and cosigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vault.clock import Clock
from vault.db.engine import Database
from vault.ledger.alarms import standing_alarms
from vault.ledger.anchors import latest_anchor
from vault.ledger.cosignatures import last_cosigned, newest_met
from vault.ledger.policy import Policy
from vault.ledger.stored import latest_checkpoint, read_head


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """Where the ledger stands; one answer whichever process gives it.

    Attributes:
        size: entries.
        published: entries that the newest checkpoint covers.
        anchored: entries that the newest outside date covers.
        anchor_age: seconds since that date by the service's clock; None before the first.
        quorum: entries that a checkpoint covers which the witnesses' quorum cosigned; None without witnesses.
        cosigned: by name in the policy, entries that the newest checkpoint covers which the witness cosigned.
        alarms: witnesses that hold another history.
    """

    size: int
    published: int
    anchored: int
    anchor_age: float | None
    quorum: int | None
    cosigned: Mapping[str, int]
    alarms: int


def ledger_figures(database: Database, policy: Policy, clock: Clock) -> LedgerFigures:
    """Read the figures.

    Raises:
        Unavailable: the database cannot be had.
        LedgerError: there is no ledger yet.
    """
    with database.reading() as connection:
        latest, anchor = latest_checkpoint(connection), latest_anchor(connection)
        return LedgerFigures(
            size=read_head(connection).size,
            published=latest[0] if latest else 0,
            anchored=anchor.size if anchor else 0,
            anchor_age=(clock.now() - anchor.gen_time).total_seconds() if anchor else None,
            quorum=newest_met(connection, policy) if policy.witnesses else None,
            cosigned={name: last_cosigned(connection, [key]) for name, key in policy.witnesses.items()},
            alarms=len(standing_alarms(connection)),
        )
