"""`probans administrations`: who issues acts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.cli.common import plain_errors, settings_for
from vault.people.administrations import Administrations

Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
administrations = typer.Typer(
    help="Inscrire les administrations qui délivrent des actes. / Register administrations that issue acts.",
    no_args_is_help=True,
    add_completion=False,
)


@administrations.command("add")
def add(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits and hyphens.")],
    name: Annotated[str, typer.Option("--name", help="In French, as people read it.")],
    data: Data = Path("demo/data"),
) -> None:
    """Inscrire une administration, ou changer son nom. / Register an administration, or change its name."""
    with plain_errors():
        parts = open_parts(settings_for(data))
        try:
            Administrations(parts.database, parts.records, parts.clock).add(identifier, name)
        finally:
            parts.close()
    typer.echo(f"{identifier}  {name}")


@administrations.command("list")
def list_administrations(data: Data = Path("demo/data")) -> None:
    """Lister les administrations. / List the administrations."""
    with plain_errors():
        parts = open_parts(settings_for(data))
        try:
            for identifier, name in Administrations(parts.database, parts.records, parts.clock).all().items():
                typer.echo(f"{identifier}  {name}")
        finally:
            parts.close()
