"""Puts together what sharing with third parties consists of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.authorization.assurance import Assurances
from vault.authorization.giving import Giving
from vault.authorization.rates import Lockout
from vault.composition.parts import Parts
from vault.documents.bundles import Bundles
from vault.documents.watermarks import Watermarks
from vault.journal import Journal
from vault.matters.services import Means
from vault.records.objects import Shelf
from vault.sharing.opening import Openings
from vault.sharing.reading import SharedReading
from vault.sharing.shares import Shares


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
    means: Means,
    journal: Journal,
    bundles: Bundles,
    lockout: Lockout,
    assurances: Assurances,
) -> Sharing:
    """Return the services.

    Args:
        parts: the backends.
        means: what services about matters have in common.
        journal: writes reads down.
        bundles: puts evidence together.
        lockout: counts wrong secrets.
        assurances: how surely an identity must be proven.
    """
    settings = parts.settings
    giving = Giving(unscanned=settings.gives_unscanned)
    shares = Shares(means, assurances, giving, longest_days=settings.share_days)
    openings = Openings(means, lockout, timedelta(minutes=settings.access_window_minutes))
    shelf = Shelf(parts.objects, parts.keyring)
    reading = SharedReading(means, journal, shelf, bundles, Watermarks(settings.spool_folder), giving)
    return Sharing(shares, openings, reading)
