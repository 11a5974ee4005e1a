"""Who asks: the caller as the access rules see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class Role(StrEnum):
    """In what quality somebody acts."""

    HOLDER = "holder"
    MANDATARY = "mandatary"
    AGENT = "agent"
    SYSTEM = "system"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    OFFICER = "officer"
    BEARER = "bearer"
    ANONYMOUS = "anonymous"


class Assurance(IntEnum):
    """How surely an identity was proven (eIDAS, Regulation (EU) 910/2014, article 8)."""

    LOW = 1
    SUBSTANTIAL = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller whose identity was proven (or an anonymous one).

    Attributes:
        id: stable identifier given by the identity provider; personal data, never logged or stored in clear.
        role: the quality in which the caller acts.
        name: name for pages; personal data.
        safe_id: the holder's own safe, for holders; of the person who acts, for mandataries.
        administration_id: the administration of an agent or a system.
        service: service of that administration, or "".
        assurance: how surely the identity was proven; None where no login happened (development tokens, systems).
        scopes: what a system was registered for.
        agent: pseudonym of the agent for whom a system says it acts, or "".
        mandate_id: the mandate a mandatary acts under.
        share_id: the share whose code a bearer showed.
        authenticated_at: when the identity was last proven, UTC; None where no login happened.
    """

    id: str
    role: Role
    name: str = ""
    safe_id: str | None = None
    administration_id: str | None = None
    service: str = ""
    assurance: Assurance | None = None
    scopes: frozenset[str] = frozenset()
    agent: str = ""
    mandate_id: str | None = None
    share_id: str | None = None
    authenticated_at: datetime | None = None


ANONYMOUS = Actor(id="", role=Role.ANONYMOUS)
