"""`probans keys`: change keys of a safe, and discard those that had their time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_vault
from vault.cli.common import existing, plain_errors, settings_for

keys = typer.Typer(
    help="Changer les clés du coffre. / Change the keys of a safe.",
    no_args_is_help=True,
    add_completion=False,
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]


@keys.command("rotate-ledger")
def rotate_ledger(
    data: Data = Path("demo/data"),
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=3650,
            metavar="DAYS",
            help="Days for which the keys before sign too; the setting's where none are given.",
        ),
    ] = None,
) -> None:
    """Changer les clés du registre. / Change the ledger's keys; the change is an entry. The service may be running."""
    settings = settings_for(existing(data))
    days = settings.ledger_key_overlap_days if overlap is None else overlap
    with plain_errors():
        vault = open_vault(settings, background=False)
        try:
            changed = vault.rotation.rotate(timedelta(days=days))
        finally:
            vault.close()
    if changed.resumed:
        typer.echo("Changement commencé auparavant, achevé. / A change begun earlier was finished.")
    typer.echo(
        f"inscription / entry {changed.seq}; les clés d'avant signent aussi jusqu'à / "
        f"the keys before sign too until {changed.until}"
    )
    for vkey in changed.vkeys:
        typer.echo(vkey)
    typer.echo(
        "Donnez ces clés aux témoins et aux vérificateurs avant cette date. / "
        "Give these keys to witnesses and verifiers before then."
    )


@keys.command("discard-retired")
def discard_retired(data: Data = Path("demo/data")) -> None:
    """Détruire les clés privées du registre qui ne signent plus. / Delete private ledger keys that sign no more."""
    with plain_errors():
        vault = open_vault(settings_for(existing(data)), background=False)
        try:
            gone = vault.rotation.discard_retired()
        finally:
            vault.close()
    typer.echo(f"{len(gone) // 2} paires détruites / pairs deleted")
    for vkey in gone:
        typer.echo(vkey)
