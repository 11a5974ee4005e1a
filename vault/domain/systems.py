"""Systems: software that calls by itself, an administration's own or the portal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

# What a system can be registered for; what it may then do, and to which things, `vault.access` decides.
SCOPES: Mapping[str, str] = {
    "acts:issue": "issue acts of the administration",
    "acts:read": "read acts of the administration, and documents whose holders consented",
    "acts:revoke": "revoke and replace acts of the administration",
    "requests:write": "ask holders for documents, and see what became of it",
    "cases:write": "open cases and say where they stand",
    "safes:write": "open safes for holders",
    "mandates:write": "record and end mandates that the administration knows of",
    "closures:write": "ask for the closure of a safe",
    "notes:write": "see and answer rectification notes about the administration's acts",
    "journal:read": "read the access journal of the administration's documents",
    "holders:resolve": "find a holder's safe by the portal's identifier",
    "agents:resolve": "learn the pseudonyms of the administration's own agents",
}


@dataclass(frozen=True, slots=True)
class System:
    """A registered system.

    Attributes:
        client_id: `sys_…`.
        administration_id: whose it is; None for the portal.
        service: service of the administration it acts for; "" for all of it.
        name: what its operators call it.
        keys: public keys (RFC 7517) with which it signs its assertions.
        certificates: SHA-256 thumbprints, hex, of the client certificates it may show.
        scopes: what it was registered for.
        created_at: when, UTC.
        ended_at: when it ceased to be a caller, or None.
    """

    client_id: str
    administration_id: str | None
    service: str
    name: str
    keys: tuple[Mapping[str, str], ...]
    certificates: tuple[str, ...]
    scopes: frozenset[str]
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token, given out once and kept nowhere.

    Attributes:
        token: the bearer token.
        seconds: for how long it counts.
        scopes: for what, sorted.
    """

    token: str
    seconds: int
    scopes: tuple[str, ...]
