"""`probans keys`: the keys of a safe, made, certified, listed, tried, changed, and in the end discarded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_vault
from vault.cli.common import existing, plain_errors, settings_for
from vault.cli.keys_cabinet import check, csr, install, list_keys, retire
from vault.cli.keys_encryption import prepare, rotate_encryption

keys = typer.Typer(
    help="Les clés du coffre : les préparer, les certifier, les changer. / The keys of a safe.",
    no_args_is_help=True,
    add_completion=False,
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
keys.command("csr")(csr)
keys.command("install")(install)
keys.command("retire")(retire)
keys.command("list")(list_keys)
keys.command("check")(check)
keys.command("prepare")(prepare)
keys.command("rotate-encryption")(rotate_encryption)


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
