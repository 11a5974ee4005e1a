"""The way to a few routes that business software asks without end: no look through all routes, nothing to be injected.

The framework needs as long to get to an endpoint and back as the endpoint itself needs for all that HTTP is about. So
endpoints that take the request alone, at an address without parameters, are called here. They stay among the
framework's routes, which describe them and answer every other method.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import KINDS, answer

Table = Mapping[tuple[str, str], APIRoute]


def direct_routes(routes: Iterable[BaseRoute], endpoints: Collection[Any]) -> Table:
    """Return the routes of endpoints by method and address."""
    return {
        (method, route.path): route
        for route in routes
        if isinstance(route, APIRoute) and route.endpoint in endpoints
        for method in route.methods or ()
    }


class Direct:
    """Answers for the routes of a table, and hands on everything else."""

    def __init__(self, app: ASGIApp, *, table: Table) -> None:
        """Wrap an application.

        Args:
            app: what answers everything else.
            table: from `direct_routes`.
        """
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        route = self._table.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
        except KINDS as error:
            response = await answer(request, error)
        await response(scope, receive, send)
