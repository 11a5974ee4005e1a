"""Who is calling. What they may do is decided by `vault.access` alone.

A caller shows a token, or a browser's session; both at once would name two callers, and is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from api.browser import check_header, session_of, session_value
from api.deps import AGENT_HEADER, MANDATE_HEADER, get_vault, single_header
from api.peers import demand_rate, get_peers
from vault.access import Action
from vault.authorization.assurance import Act
from vault.authorization.ties import Subject
from vault.domain.actors import ANONYMOUS, Actor, Assurance, Role
from vault.errors import NotFound, Refused, Unauthenticated
from vault.people.pseudonyms import checked_agent, pseudonym_of
from vault.people.systems import TOKEN_PREFIX

_MAX_TOKEN = 512


def caller_or_anonymous(request: Request) -> Actor:
    """Return the bearer of the token or the person of the session, or nobody in particular when there is neither.

    Raises:
        NotFound: the caller says to act under a mandate that is not theirs.
        Unauthenticated: the Authorization header is there but names nobody.
        Refused: TWO_IDENTITIES; FORM_EXPIRED: a session asks for a change without its form token.
    """
    header = single_header(request, "Authorization")
    if header is not None:
        if session_value(request):
            raise Refused("TWO_IDENTITIES")
        return _under_mandate(request, _bearer(request, header))
    session = session_of(request)
    if session is None:
        return ANONYMOUS
    check_header(request)
    return _under_mandate(request, session.actor)


def caller(request: Request) -> Actor:
    """Return who calls. Raises Unauthenticated when nobody in particular does."""
    actor = caller_or_anonymous(request)
    if actor is ANONYMOUS:
        raise Unauthenticated("UNAUTHENTICATED")
    return actor


def demand_proof(request: Request, actor: Actor, action: Action, safe_id: str, act: Act) -> None:
    """Demand the proof of identity that an act takes, of a caller who may do it: of others nothing is asked.

    Raises:
        NotFound: not for this caller.
        Conflict: SAFE_CLOSED.
        Unauthenticated: STEP_UP_REQUIRED.
    """
    vault = get_vault(request)
    with vault.parts.database.reading() as connection:
        vault.people.ties.demand(connection, actor, action, Subject(safe_id))
    vault.people.login.assurance.demand(actor, act)


def _under_mandate(request: Request, actor: Actor) -> Actor:
    """Return the caller, under the mandate that the request names if it names one.

    Whether the mandate counts now, and for what, is decided with what is asked: so a refusal stands in the journal.

    Raises:
        NotFound: no mandate that names this person.
    """
    named = single_header(request, MANDATE_HEADER)
    if named is None:
        return actor
    if actor.role not in {Role.HOLDER, Role.MANDATARY}:
        raise NotFound("NOT_FOUND")
    mandate = get_vault(request).people.mandates.demand_own(actor.id, named)
    return replace(actor, role=Role.MANDATARY, mandate_id=mandate.id)


def _bearer(request: Request, header: str) -> Actor:
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN:
        raise Unauthenticated("UNAUTHENTICATED")
    actor = _system(request, token) if token.startswith(TOKEN_PREFIX) else _made_up(request, token)
    if actor is None:
        demand_rate(request, "tokens")
        raise Unauthenticated("UNAUTHENTICATED")
    return actor


def _system(request: Request, token: str) -> Actor | None:
    """Return the system that bears a token, and for whom it says it acts; None when the token does not count."""
    actor = get_vault(request).people.systems.authenticate(token, get_peers(request).certificate(request))
    agent = single_header(request, AGENT_HEADER)
    if actor is None or agent is None:
        return actor
    named = replace(actor, agent=checked_agent(agent))
    return replace(actor, agent=pseudonym_of(get_vault(request).parts.keyring, named))


def _made_up(request: Request, token: str) -> Actor | None:
    """Return the development persona with this token; a token that is shown now proves as much as its login would."""
    vault = get_vault(request)
    actor = vault.personas.authenticate(token)
    if actor is None:
        return None
    return replace(
        actor,
        id=pseudonym_of(vault.parts.keyring, actor) or actor.id,
        assurance=Assurance.HIGH,
        authenticated_at=vault.parts.clock.now(),
    )


Caller = Annotated[Actor, Depends(caller)]
AnyCaller = Annotated[Actor, Depends(caller_or_anonymous)]
