"""`probans serve`: pages and REST API over a safe's folder."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from vault.cli.common import plain_errors, settings_for
from vault.settings import Settings

SERVERS = "probans.servers"


def serve(
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the safe.")] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Number of processes.")] = 1,
) -> None:
    """Serve pages and API until stopped."""
    with plain_errors():
        run_server(settings_for(data), host, port, workers)


def run_server(settings: Settings, host: str, port: int, workers: int) -> None:
    """Hand over to the HTTP server that the distribution registers: this package knows none."""
    (server,) = entry_points(group=SERVERS, name="http")
    server.load()(settings, host, port, workers)
