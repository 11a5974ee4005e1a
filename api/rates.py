"""Limits on routes that answer strangers: each says which kind of request it is, the settings say how many."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from api.auth import AnyCaller
from api.deps import get_vault
from api.peers import demand_rate
from vault.domain.actors import ANONYMOUS


def limited(kind: str) -> Any:
    """Return a dependency that counts requests by the network they come from, before anything else is done.

    Args:
        kind: of `Settings.rates_per_minute`.
    """

    async def gate(request: Request) -> None:
        demand_rate(request, kind)

    return Depends(gate)


def limited_by_caller(kind: str) -> Any:
    """Return a dependency that counts requests by who is logged in, and by the network where nobody is.

    Args:
        kind: of `Settings.rates_per_minute`.
    """

    def gate(request: Request, actor: AnyCaller) -> None:
        if actor is ANONYMOUS:
            demand_rate(request, kind)
        else:
            get_vault(request).people.limits.demand(kind, f"{actor.role.value} {actor.id}")

    return Depends(gate)
