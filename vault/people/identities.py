"""Where digital identities come from: the providers that the settings name, or in development made-up people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from identity.embedded import DevPersona, EmbeddedProvider
from identity.providers import Providers
from vault.people.personas import people


@dataclass(frozen=True, slots=True)
class Identities:
    """The providers of this service.

    Attributes:
        providers: every one that people may come from.
        development: the provider's side of the embedded one; None where providers are configured.
    """

    providers: Providers
    development: EmbeddedProvider | None


def made_up_people() -> Sequence[DevPersona]:
    """Return the personas as the development provider knows them; holders by their identifier."""
    return tuple(
        DevPersona(
            subject=each.id,
            name=each.name,
            label=each.label,
            attributes={
                name: value
                for name, value in {
                    "role": each.role.value,
                    "administration": each.administration_id,
                    "service": each.service,
                    "holder": each.id if each.is_holder else "",
                }.items()
                if value
            },
        )
        for each in people()
    )
