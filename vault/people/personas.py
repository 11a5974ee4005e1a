"""Development identities with tokens, on loopback only; production refuses them."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.core.keyfiles import read_or_make
from vault.domain.actors import Actor, Role
from vault.errors import NotFound

ADMINISTRATIONS = {
    "mairie-specimen": "Mairie de Valombre (spécimen)",
    "employeur-specimen": "Manufacture de Valombre (spécimen)",
}
HOLDERS = {"camille": "Camille Exemple", "dominique": "Dominique Modèle"}


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Who a persona is, before a safe knows them.

    Attributes:
        id: stable identifier.
        role: in what quality they act.
        name: name for pages.
        label: name and quality.
        administration_id: whom an agent acts for.
        service: service of that administration.
    """

    id: str
    role: Role
    name: str
    label: str
    administration_id: str | None = None
    service: str = ""

    @property
    def is_holder(self) -> bool:
        """Tell whether a safe is theirs."""
        return self.role is Role.HOLDER


_AGENTS = (
    ("agent-etat-civil", "Agent d'état civil", "mairie-specimen", "etat-civil"),
    ("agent-paie", "Agent de paie", "employeur-specimen", "paie"),
)
_OTHERS = (
    ("auditeur", Role.AUDITOR, "Auditeur"),
    ("exploitant", Role.OPERATOR, "Exploitant"),
    ("delegue", Role.OFFICER, "Délégué à la protection des données"),
)


def people() -> Sequence[MadeUp]:
    """Return every made-up person."""
    return (
        *(MadeUp(holder, Role.HOLDER, name, f"{name}, titulaire") for holder, name in HOLDERS.items()),
        *(
            MadeUp(
                agent, Role.AGENT, name, f"{name}, {ADMINISTRATIONS[administration]}", administration, service
            )
            for agent, name, administration, service in _AGENTS
        ),
        *(MadeUp(each, role, name, name) for each, role, name in _OTHERS),
    )


@dataclass(frozen=True, slots=True)
class Persona:
    """A made-up person to act as.

    Attributes:
        actor: who it is.
        token: bearer token.
        label: name and quality, for pages and the console.
    """

    actor: Actor
    token: str = field(repr=False)
    label: str = ""


class Personas:
    """The development identities of one data folder."""

    def __init__(self, personas: Sequence[Persona]) -> None:
        self._personas = tuple(personas)

    def all(self) -> Sequence[Persona]:
        """Return every persona."""
        return self._personas

    def named(self, actor_id: str) -> Persona:
        """Return the persona with this identifier. Raises NotFound(UNKNOWN_HOLDER)."""
        for persona in self._personas:
            if persona.actor.id == actor_id:
                return persona
        raise NotFound("UNKNOWN_HOLDER")

    def authenticate(self, token: str) -> Actor | None:
        """Return who holds this token, or None; compares every token in constant time."""
        found = None
        for persona in self._personas:
            if hmac.compare_digest(persona.token.encode(), token.encode(errors="replace")):
                found = persona.actor
        return found


def load_tokens(path: Path) -> dict[str, str]:
    """Return the tokens by persona, drawing them at first use."""
    names = [each.id for each in people()]

    def draw() -> bytes:
        return json.dumps({name: f"dev-{name}-{secrets.token_urlsafe(24)}" for name in names}).encode()

    octets = read_or_make(path, draw)
    drawn = dict(json.loads(octets))
    # A data folder may be older than one of the personas.
    return {name: drawn.get(name) or f"dev-{name}-{_derived(octets, name)}" for name in names}


def _derived(octets: bytes, name: str) -> str:
    return hmac.new(octets, name.encode(), hashlib.sha256).hexdigest()


def build_personas(tokens: dict[str, str], safe_of: dict[str, str]) -> Personas:
    """Put the personas together from their tokens and the safes of the made-up holders."""
    return Personas(
        [
            Persona(
                Actor(
                    id=each.id,
                    role=each.role,
                    name=each.name,
                    safe_id=safe_of[each.id] if each.is_holder else None,
                    administration_id=each.administration_id,
                    service=each.service,
                ),
                tokens[each.id],
                each.label,
            )
            for each in people()
        ]
    )
