"""The providers of one service, found by name or issuer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from identity.base import IdentityProvider
from identity.errors import ProviderMisconfigured


class Providers:
    """Every provider that people may come from, in the order in which they are offered.

    Args:
        providers: each name and issuer once.
    """

    def __init__(self, providers: Iterable[IdentityProvider]) -> None:
        self._providers = tuple(providers)

    def all(self) -> Sequence[IdentityProvider]:
        """Return every provider."""
        return self._providers

    def named(self, name: str) -> IdentityProvider:
        """Return the provider with this name. Raises ProviderMisconfigured(IDENTITY_UNKNOWN_PROVIDER)."""
        return self._only(each for each in self._providers if each.config.name == name)

    def of_issuer(self, issuer: str) -> IdentityProvider:
        """Return the provider with this issuer identifier. Raises ProviderMisconfigured(IDENTITY_UNKNOWN_PROVIDER)."""
        return self._only(each for each in self._providers if each.config.issuer == issuer)

    @staticmethod
    def _only(found: Iterable[IdentityProvider]) -> IdentityProvider:
        for each in found:
            return each
        raise ProviderMisconfigured("IDENTITY_UNKNOWN_PROVIDER", "no provider has this name or issuer")
