"""In what quality somebody logs in: what a provider's configuration grants, and nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from identity.base import ProviderConfig
from vault.domain.actors import Role
from vault.errors import Forbidden
from vault.people.pseudonyms import MAX_AGENT

# Systems prove themselves with their own keys, bearers with a code, mandataries by their mandate.
_GRANTED_BY_PROVIDERS = frozenset({Role.HOLDER, Role.AGENT, Role.AUDITOR, Role.OPERATOR, Role.OFFICER})
_OF_ADMINISTRATIONS = frozenset({Role.AGENT})
_AGENT = re.compile(rf"[!-~]{{1,{MAX_AGENT}}}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Quality:
    """In what quality somebody logged in.

    Attributes:
        role: holder, agent, auditor, operator or officer.
        administration_id: the agent's administration.
        service: service of that administration, or "".
        agent: the administration's own identifier of the agent, or ""; the journal has its pseudonym.
    """

    role: Role
    administration_id: str | None = None
    service: str = ""
    agent: str = ""


def granted_roles(config: ProviderConfig) -> frozenset[Role]:
    """Return the roles that a provider's configuration grants.

    A provider without any word of roles is one of citizens. One whose claims name roles grants those that its
    configuration spells out value by value, and no other.
    """
    claims = config.claims
    if "role" in claims.fixed:
        named = {claims.fixed["role"]}
    elif "role" in claims.attributes:
        named = set(claims.values.get("role", {}).values())
    else:
        return frozenset({Role.HOLDER})
    return frozenset(role for role in _GRANTED_BY_PROVIDERS if role.value in named)


def quality_of(config: ProviderConfig, attributes: Mapping[str, str], subject: str) -> Quality:
    """Return the quality that a login proves.

    Args:
        config: of the provider.
        attributes: what its mapped claims say.
        subject: the provider's identifier of the person: the agent's, where no attribute `agent` is mapped.

    Raises:
        Forbidden: LOGIN_ROLE_REFUSED: the provider grants this person no role here.
    """
    granted = granted_roles(config)
    said = attributes.get("role", Role.HOLDER.value if granted == {Role.HOLDER} else "")
    role = next((each for each in granted if each.value == said), None)
    if role is None:
        raise Forbidden("LOGIN_ROLE_REFUSED")
    if role not in _OF_ADMINISTRATIONS:
        return Quality(role)
    administration, service = attributes.get("administration", ""), attributes.get("service", "")
    agent = attributes.get("agent") or subject
    if not administration or (service and not _SERVICE.fullmatch(service)) or not _AGENT.fullmatch(agent):
        raise Forbidden("LOGIN_ROLE_REFUSED")
    return Quality(role, administration, service, agent)
