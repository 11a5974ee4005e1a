"""`probans recover`: rebuild the database from recovery records, objects and the published ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.cli.common import FAILED, existing, plain_errors, settings_for


def recover(
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
) -> None:
    """Bring an emptied or older database up to what the ledger and the recovery records know."""
    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            report = parts.recovery().run(parts.clock)
        finally:
            parts.close()
    typer.echo(
        f"{report.entries} inscriptions rétablies / entries restored, "
        f"{report.changes} changements / changes, {report.appended} ajoutées / appended, "
        f"{report.destroyed} destructions rejouées / destructions replayed"
    )
    for line in report.findings:
        typer.echo(line)
    if report.findings:
        raise typer.Exit(FAILED)
