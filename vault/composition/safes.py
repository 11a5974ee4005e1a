"""Puts together what is about safes themselves: who acts for holders, how safes are opened and closed."""

from __future__ import annotations

from dataclasses import dataclass

from vault.authorization.assurance import Assurances
from vault.composition.parts import Parts
from vault.matters.labels import Labels
from vault.matters.services import Means
from vault.people.closures import Closures
from vault.people.mandates import Mandates
from vault.people.safes import SafeRegistry


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


def open_safe_services(parts: Parts, means: Means, assurances: Assurances) -> SafeServices:
    """Return the services.

    Args:
        parts: the backends.
        means: what services about matters have in common.
        assurances: how surely an identity must be proven.
    """
    settings = parts.settings
    authorities = settings.authorities
    mandates = Mandates(means, assurances, authorities=authorities, longest_days=settings.mandate_days)
    closures = Closures(means, assurances, authorities=authorities, notice_days=settings.closure_notice_days)
    safes = SafeRegistry(means, parts.records, closures, authorities=authorities)
    labels = Labels(means, parts.records)
    return SafeServices(labels, mandates, closures, safes)
