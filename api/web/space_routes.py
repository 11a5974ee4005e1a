"""Every route of the document space and of agents' pages."""

from __future__ import annotations

from api.web import (
    agent_space,
    space_cases,
    space_consents,
    space_contacts,
    space_documents,
    space_journal,
    space_mandates,
    space_requests,
    space_rights,
    space_shares,
)

ROUTERS = tuple(
    each.router
    for each in (
        space_documents,
        space_requests,
        space_consents,
        space_cases,
        space_journal,
        space_shares,
        space_mandates,
        space_rights,
        space_contacts,
        agent_space,
    )
)
