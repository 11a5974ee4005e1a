"""`probans keys prepare` and `rotate-encryption`: the keys that encrypt, and those of a safe that has not begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.backends.keys import encryption_file, make_token_keys, open_changer
from vault.bootstrap import open_parts
from vault.cli.common import FAILED, plain_errors, settings_for
from vault.cli.ledger_options import shown_progress
from vault.composition.parts import Parts
from vault.sealing.encryption_rotation import EncryptionRotated, EncryptionRotation
from vault.sealing.held_keys import usable_keys
from vault.sealing.rewrapping import Rewrapping
from vault.settings import Settings

Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]


def prepare(
    data: Data = Path("demo/data"),
    module: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="PKCS#11 module: the first key-encryption key lies there."),
    ] = None,
    token: Annotated[str, typer.Option(help="Label of the token.")] = "",
    pin_file: Annotated[Path | None, typer.Option(dir_okay=False, help="File with its PIN.")] = None,
) -> None:
    """Créer les premières clés d’un coffre. / Make the first keys of a safe: encryption, look-ups, ledger.

    In production the service makes none by itself: two hosts that start at once would make two of each. Copy them to
    every host afterwards.
    """
    settings = settings_for(data)
    with plain_errors():
        if module is not None:
            if pin_file is None:
                raise typer.BadParameter("--module goes with --pin-file")
            place = {"module": str(module), "pin_file": str(pin_file.absolute())}
            make_token_keys(settings, {**place, **({"token": token} if token else {})})
        open_parts(settings, first_keys=True).close()
    typer.echo(f"{settings.keys_folder} : clés prêtes / keys are ready")
    typer.echo(
        "Gardez-en une copie hors ligne : sans elles, aucun document ne se lit. / "
        "Keep a copy off-line: without them no document can be read."
    )


def rotate_encryption(
    data: Data = Path("demo/data"),
    add_only: Annotated[
        bool,
        typer.Option(
            "--add-only", help="Only make the next key, to bring it to every host before it is used."
        ),
    ] = False,
    retire: Annotated[
        str, typer.Option(metavar="KEY", help="Take this key out, which nothing names any more.")
    ] = "",
) -> None:
    """Changer la clé de chiffrement des clés. / Change the key-encryption key; the service may be running.

    Every wrapped key in the database and in the recovery records is wrapped anew; no object is touched. A change
    that was cut short is finished by calling it again.

    Exit code: 0 done, 1 refused or something could not be opened.
    """
    settings = settings_for(data)
    with plain_errors(), usable_keys():
        parts = open_parts(settings)
        try:
            rotation = _rotation(parts, settings)
            if retire:
                rotation.retire(_id(retire))
                _tell_retired(retire, settings)
                return
            if add_only:
                _tell_added(rotation.prepare().hex(), settings)
                return
            with shown_progress("rotate-encryption") as progress:
                changed = rotation.rotate(lambda count: progress(count, count))
        finally:
            parts.close()
    _tell(changed)
    raise typer.Exit(FAILED if changed.done.findings else 0)


def _rotation(parts: Parts, settings: Settings) -> EncryptionRotation:
    rewrapping = Rewrapping(parts.database, parts.keyring, parts.records)
    return EncryptionRotation(parts.database, open_changer(settings), rewrapping, parts.clock)


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise typer.BadParameter("a key is named by its 16 hex digits") from error


def _tell(changed: EncryptionRotated) -> None:
    if changed.resumed:
        typer.echo("Changement commencé auparavant, achevé. / A change begun earlier was finished.")
    typer.echo(
        f"clé active / active key: {changed.active.hex()}; {changed.done.rows} lignes / rows, "
        f"{changed.done.records} fichiers de reprise / recovery files"
    )
    for finding in changed.done.findings:
        typer.echo(finding)
    for old in changed.old:
        typer.echo(f"Dans un jour / in a day: probans keys rotate-encryption --retire {old.hex()}")


def _tell_added(name: str, settings: Settings) -> None:
    typer.echo(
        f"clé suivante / next key: {name}. Portez {encryption_file(settings).name} sur chaque hôte, puis "
        "recommencez sans --add-only. / Bring that file to every host, then call this without --add-only."
    )


def _tell_retired(name: str, settings: Settings) -> None:
    typer.echo(
        f"{name} : retirée de / taken out of {encryption_file(settings).name}. Les sauvegardes de la base faites avant "
        "le changement ne s’ouvrent qu’avec elle : gardez-la hors ligne aussi longtemps qu’elles. / Backups of the "
        "database from before the change open with it alone: keep it off-line as long as them."
    )
