"""`probans migrate`: move a safe from its data folder to other stores and another database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer

from vault.backends.moving import End, open_source, open_target, place_of
from vault.cli.audit import audit_whole
from vault.cli.audit_words import summary, tell
from vault.cli.common import plain_errors
from vault.cli.ledger_options import EXIT_CODES, shown_progress
from vault.clock import Clock, SystemClock
from vault.db.engine import Database
from vault.errors import Conflict, SettingsRefused
from vault.ledger.stored import find_head
from vault.maintenance.moved import alone_in, read_note
from vault.maintenance.moving import Move, MoveReport, take_back
from vault.settings import Settings


def migrate(
    source: Annotated[
        Path,
        typer.Option(
            "--from", exists=True, file_okay=False, metavar="DIR", help="Folder of the safe to move."
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Option(
            "--to", exists=True, dir_okay=False, metavar="SETTINGS", help="Settings of the new place, a file."
        ),
    ] = None,
    source_settings: Annotated[
        Path | None,
        typer.Option(
            "--from-settings",
            exists=True,
            dir_okay=False,
            metavar="SETTINGS",
            help="Settings of the safe to move, a file, if it has some that are not the default.",
        ),
    ] = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Copy the key files too that the new place lacks.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Give up a move that was begun; the safe lives where it was.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Déménager un coffre. / Move a safe to other stores and another database.

    Cut short, the same command goes on where it was. Nothing of the environment counts here. Exit code: 0 moved, 1 not,
    3 moved, but something cannot be decided.
    """
    if target is None and not undo:
        raise typer.BadParameter("--to is missing")
    with plain_errors(), ExitStack() as resources:
        clock = SystemClock()
        old = Settings.from_file(source_settings).model_copy(update={"data": source})
        new = Settings.from_file(target) if target is not None else None
        if new is not None and new.data.resolve() == old.data.resolve():
            raise SettingsRefused(
                "SETTINGS_REFUSED",
                "The new place has the data folder of the old one: set PROBANS_DATA in --to.",
            )
        if undo:
            _undo(old, new, clock, resources)
            return
        assert new is not None  # noqa: S101 - asked above
        report = _move(old, new, clock, resources, with_keys=with_keys)
    _tell(report, json=json)
    raise typer.Exit(EXIT_CODES[report.verdict])


def _move(old: Settings, new: Settings, clock: Clock, resources: ExitStack, *, with_keys: bool) -> MoveReport:
    source = open_source(old, clock, resources)
    resources.enter_context(alone_in(old.data))
    # The origin is what the ledger says, whatever settings a safe of the default was served with.
    with source.database.reading() as connection:
        head = find_head(connection)
    if head is None:
        raise Conflict("MOVE_UNSUPPORTED", "it has no ledger yet")
    source = End(old.model_copy(update={"origin": head.origin}), source.database, source.stores)
    end = open_target(new, clock, resources)
    move = Move(source, end, clock, with_keys=with_keys, shown=shown_progress)
    return move.run(lambda: audit_whole(new))


def _undo(old: Settings, new: Settings | None, clock: Clock, resources: ExitStack) -> None:
    resources.enter_context(alone_in(old.data))
    note, database = read_note(old.data), None
    if note is not None and new is not None:
        if note.to != place_of(new):
            raise Conflict("MOVE_ELSEWHERE", to=note.to)
        database = Database.open(new.database_address, new.data / "run", new.database_limits)
        resources.callback(database.close)
    taken = take_back(old.data, database)
    typer.echo(
        f"Déménagement vers {taken.to} abandonné : le coffre vit de nouveau dans {old.data}. "
        f"/ The move to {taken.to} is given up: the safe lives in {old.data} again."
    )


def _tell(report: MoveReport, *, json: bool) -> None:
    if json:
        told = {
            "verdict": report.verdict,
            "to": report.to,
            "origin": report.origin,
            "size": report.size,
            "already": report.already,
            "rows": report.rows,
            "copied": {
                "objects": report.objects,
                "files": report.files,
                "records": report.records,
                "keys": report.keys,
            },
            "audits": {name: summary(each) for name, each in report.audits.items()},
        }
        typer.echo(orjson.dumps(told))
        return
    if report.already:
        typer.echo(f"Déjà déménagé vers {report.to}. / Already moved to {report.to}.")
        return
    for name, each in report.audits.items():
        tell(name, each)
    typer.echo(
        f"{report.rows} lignes / rows, {report.objects} objets / objects, {report.records} enregistrements / records, "
        f"{report.files} fichiers du registre / ledger files, {len(report.keys)} clés / keys"
    )
    typer.echo(
        f"{report.origin} continue à / goes on at {report.size} : {report.to}\n"
        "Le coffre ne démarre plus à son ancienne place. / The safe no longer starts in its old place."
    )
