"""`probans worker`: the background work in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.cli.common import plain_errors, settings_for


def worker(
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the safe.")] = None,
) -> None:
    """Faire le travail de fond, sans répondre à personne. / Do the background work, answering nobody, until stopped.

    Any number may run, on any number of hosts where the database is PostgreSQL; each task is done by one of them, and
    taken over within a minute when that one is gone. Serving processes leave the work to them with
    PROBANS_TASKS=worker. Exit code 70: a task did not end within its time; start the worker again.
    """
    from vault.worker import run_worker

    with plain_errors():
        run_worker(settings_for(data), lambda: typer.echo("Probans: worker"))
