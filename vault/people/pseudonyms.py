"""How the access journal names agents: by a pseudonym that their administration can resolve, and nobody else.

An administration that knows an agent's identifier asks for the pseudonym and compares. The other way round there is
no way: the pseudonym is a keyed digest.
"""

from __future__ import annotations

from vault.core.keyring import Keyring
from vault.domain.actors import Actor, Role
from vault.errors import Refused
from vault.ids import id_of

PREFIX = "agt"
MAX_AGENT = 128


def checked_agent(agent: str) -> str:
    """Return an administration's identifier of an agent as it is. Raises Refused(FIELD_INVALID)."""
    if not 0 < len(agent) <= MAX_AGENT or not all("!" <= character <= "~" for character in agent):
        raise Refused("FIELD_INVALID", f"1 to {MAX_AGENT} visible ASCII characters", field="agent")
    return agent


def agent_pseudonym(keyring: Keyring, administration_id: str, agent: str) -> str:
    """Return `agt_…`, always the same for one agent of one administration.

    Args:
        keyring: has the key of the digest.
        administration_id: whose agent it is; the same identifier elsewhere has another pseudonym.
        agent: the administration's identifier of the agent.
    """
    return id_of(PREFIX, keyring.index("agent", administration_id, agent))


def pseudonym_of(keyring: Keyring, actor: Actor) -> str:
    """Return the pseudonym of the person behind an agent or a system; "" where there is none or none is named."""
    if actor.administration_id is None:
        return ""
    if actor.role is Role.AGENT:
        return agent_pseudonym(keyring, actor.administration_id, actor.id)
    if actor.role is Role.SYSTEM and actor.agent:
        return agent_pseudonym(keyring, actor.administration_id, actor.agent)
    return ""
