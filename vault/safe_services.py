"""Puts together what is about safes themselves: who acts for holders, how safes are opened and closed."""

from __future__ import annotations

from dataclasses import dataclass

from vault.assurance import Assurances
from vault.closures import Closures
from vault.labels import Labels
from vault.ledger.writer import LedgerWriter
from vault.mandates import Mandates
from vault.matters import Matters
from vault.parts import Parts
from vault.safes import SafeRegistry
from vault.ties import Ties


@dataclass(frozen=True, slots=True)
class SafeServices:
    """The services about safes.

    Attributes:
        labels: free words by which holders find documents.
        mandates: who may act for whom.
        closures: how safes are closed.
        safes: opens safes and tells about them.
    """

    labels: Labels
    mandates: Mandates
    closures: Closures
    safes: SafeRegistry


def open_safe_services(
    parts: Parts, matters: Matters, ledger: LedgerWriter, ties: Ties, assurances: Assurances
) -> SafeServices:
    """Return the services.

    Args:
        parts: the backends.
        matters: writes.
        ledger: commits.
        ties: decides.
        assurances: how surely an identity must be proven.
    """
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock
    mandates = Mandates(
        database,
        keyring,
        matters,
        ties,
        assurances,
        clock,
        authorities=settings.authorities,
        longest_days=settings.mandate_days,
    )
    closures = Closures(
        database,
        keyring,
        matters,
        ledger,
        ties,
        assurances,
        clock,
        authorities=settings.authorities,
        notice_days=settings.closure_notice_days,
    )
    safes = SafeRegistry(
        database, keyring, parts.records, matters, ties, closures, clock, authorities=settings.authorities
    )
    labels = Labels(database, keyring, parts.records, matters, ties)
    return SafeServices(labels, mandates, closures, safes)
