"""Who asks: the caller as the access rules see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """In what quality somebody acts."""

    HOLDER = "holder"
    AGENT = "agent"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller whose identity was proven (or an anonymous one).

    Attributes:
        id: stable identifier given by the identity provider; personal data, never logged or stored in clear.
        role: the quality in which the caller acts.
        name: name for pages; personal data.
        safe_id: the holder's own safe, for holders.
        administration_id: the agent's administration, for agents.
    """

    id: str
    role: Role
    name: str = ""
    safe_id: str | None = None
    administration_id: str | None = None


ANONYMOUS = Actor(id="", role=Role.ANONYMOUS)
