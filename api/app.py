"""Puts the HTTP application together around a running safe."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from api import errors, openapi, operations, rules
from api.direct import Direct, direct_routes
from api.gathering import Gathering
from api.metrics import Metrics
from api.middleware import MAX_IN_FLIGHT, Guard
from api.peers import Peers
from api.process_series import WorkText, process_series
from api.streams import UploadDesk
from api.v1 import (
    agents,
    batches,
    cases,
    consents,
    exports,
    journal,
    labels,
    mandates,
    notes,
    notices,
    reads,
    reports,
    requests,
    requisitions,
    safes,
    shared,
    shares,
    tokens,
    verifications,
    writes,
)
from api.v1.issuing import is_all_here, issued_together
from api.web import dev_provider, pages
from vault.service import Vault


def create_app(vault: Vault, metrics: Metrics | None = None, max_in_flight: int = MAX_IN_FLIGHT) -> FastAPI:
    """Return the application.

    Args:
        vault: the running safe; the caller closes it.
        metrics: counters; the process's own when None.
        max_in_flight: requests answered at once by this process; beyond, 503 BUSY.

    Raises:
        SettingsRefused: a route stands in no line of `api.rules`.
    """
    counters = metrics or Metrics()
    counters.watch_clock(lambda: vault.writer.step_backs)
    counters.watch(lambda: process_series(vault))
    app = FastAPI(
        title="Probans",
        version=version("probans"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The framework's own records hold addresses, values and exception texts, and follow the environment.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.vault = vault
    app.state.metrics = counters
    app.state.work = WorkText(vault)
    app.state.uploads = UploadDesk()
    app.state.gathering = Gathering(issued_together(vault)) if is_all_here(vault) else None
    app.state.peers = Peers(vault.settings)
    for router in (
        operations.router,
        writes.router,
        batches.router,
        reads.router,
        verifications.router,
        tokens.router,
        agents.router,
        notices.router,
        cases.router,
        mandates.router,
        labels.router,
        safes.router,
        requisitions.router,
        journal.router,
        reports.router,
        requests.router,
        shares.router,
        shared.router,
        consents.router,
        exports.router,
        notes.router,
    ):
        app.include_router(router)
    pages.install(app)
    if vault.parts.identities.development is not None:
        dev_provider.install(app, vault.parts.identities.development)
    errors.install(app)
    rules.demand_rules(app)
    app.add_middleware(Direct, table=direct_routes(rules.flat(app.routes), writes.DIRECT))
    app.add_middleware(
        Guard,
        metrics=counters,
        loopback_only=not vault.settings.is_production,
        trusts=app.state.peers.trusts,
        max_in_flight=max_in_flight,
    )

    def described() -> dict[str, Any]:
        return openapi.describe(app)

    app.openapi = described  # type: ignore[method-assign]
    return app
