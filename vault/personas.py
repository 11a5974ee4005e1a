"""Development identities with tokens, on loopback only; production refuses them."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.domain.actors import Actor, Role
from vault.errors import NotFound
from vault.keyfiles import read_or_make

ADMINISTRATIONS = {
    "mairie-specimen": "Mairie de Valombre (spécimen)",
    "employeur-specimen": "Manufacture de Valombre (spécimen)",
}
HOLDERS = {"camille": "Camille Exemple", "dominique": "Dominique Modèle"}
_AGENTS = {
    "agent-etat-civil": ("Agent d'état civil", "mairie-specimen"),
    "agent-paie": ("Agent de paie", "employeur-specimen"),
}


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
    names = [*HOLDERS, *_AGENTS, "auditeur", "exploitant"]

    def draw() -> bytes:
        return json.dumps({name: f"dev-{name}-{secrets.token_urlsafe(24)}" for name in names}).encode()

    return dict(json.loads(read_or_make(path, draw)))


def build_personas(tokens: dict[str, str], safe_of: dict[str, str]) -> Personas:
    """Put the personas together from their tokens and the safes of the made-up holders."""
    personas = [
        Persona(
            Actor(id=holder, role=Role.HOLDER, name=name, safe_id=safe_of[holder]),
            tokens[holder],
            f"{name}, titulaire",
        )
        for holder, name in HOLDERS.items()
    ]
    personas += [
        Persona(
            Actor(id=agent, role=Role.AGENT, name=name, administration_id=administration),
            tokens[agent],
            f"{name}, {ADMINISTRATIONS[administration]}",
        )
        for agent, (name, administration) in _AGENTS.items()
    ]
    personas.append(
        Persona(Actor(id="auditeur", role=Role.AUDITOR, name="Auditeur"), tokens["auditeur"], "Auditeur")
    )
    personas.append(
        Persona(
            Actor(id="exploitant", role=Role.OPERATOR, name="Exploitant"), tokens["exploitant"], "Exploitant"
        )
    )
    return Personas(personas)
