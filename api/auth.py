"""Who is calling. What they may do is decided by `vault.access` alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from api.deps import get_vault, single_header
from vault.domain.actors import ANONYMOUS, Actor
from vault.errors import Unauthenticated

_MAX_TOKEN = 512


def caller_or_anonymous(request: Request) -> Actor:
    """Return the bearer of the token, or nobody in particular when there is none.

    Raises:
        Unauthenticated: the Authorization header is there but names nobody.
    """
    header = single_header(request, "Authorization")
    if header is None:
        return ANONYMOUS
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN:
        raise Unauthenticated("UNAUTHENTICATED")
    actor = get_vault(request).personas.authenticate(token)
    if actor is None:
        raise Unauthenticated("UNAUTHENTICATED")
    return actor


def caller(request: Request) -> Actor:
    """Return the bearer of the token. Raises Unauthenticated without a token that names somebody."""
    actor = caller_or_anonymous(request)
    if actor is ANONYMOUS:
        raise Unauthenticated("UNAUTHENTICATED")
    return actor


Caller = Annotated[Actor, Depends(caller)]
AnyCaller = Annotated[Actor, Depends(caller_or_anonymous)]
