"""Puts together what sharing with third parties consists of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.assurance import Assurances
from vault.bundles import Bundles
from vault.giving import Giving
from vault.journal import Journal
from vault.ledger.writer import LedgerWriter
from vault.matters import Matters
from vault.objects import Shelf
from vault.parts import Parts
from vault.rates import Lockout
from vault.share_opening import Openings
from vault.shared_reading import SharedReading
from vault.shares import Shares
from vault.ties import Ties
from vault.watermarks import Watermarks


@dataclass(frozen=True, slots=True)
class Sharing:
    """The services of shares.

    Attributes:
        shares: holders make, see and withdraw them.
        openings: third parties open them.
        reading: what they see then.
    """

    shares: Shares
    openings: Openings
    reading: SharedReading


def open_sharing(
    parts: Parts,
    matters: Matters,
    ledger: LedgerWriter,
    ties: Ties,
    journal: Journal,
    bundles: Bundles,
    lockout: Lockout,
    assurances: Assurances,
) -> Sharing:
    """Return the services.

    Args:
        parts: the backends.
        matters: writes.
        ledger: commits.
        ties: decides.
        journal: writes reads down.
        bundles: puts evidence together.
        lockout: counts wrong secrets.
        assurances: how surely an identity must be proven.
    """
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock
    giving = Giving(unscanned=settings.gives_unscanned)
    shares = Shares(
        database,
        keyring,
        matters,
        ties,
        assurances,
        clock,
        giving,
        longest_days=settings.share_days,
    )
    interval = timedelta(minutes=settings.access_window_minutes)
    openings = Openings(database, keyring, matters, ledger, ties, lockout, clock, interval)
    reading = SharedReading(
        database,
        keyring,
        matters,
        ties,
        journal,
        Shelf(parts.objects, keyring),
        bundles,
        Watermarks(settings.spool_folder),
        clock,
        giving,
    )
    return Sharing(shares, openings, reading)
