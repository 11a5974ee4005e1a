"""`probans recover`: rebuild the database from recovery records, objects and the published ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.cli.common import FAILED, existing, plain_errors, settings_for
from vault.maintenance.new_generation import begin_generation
from vault.maintenance.witnesses_ahead import witnesses_ahead
from vault.recovery.rebuilding import RecoveryReport


def recover(
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
    new_generation: Annotated[
        str | None,
        typer.Option(
            metavar="ORIGIN",
            help="Retire this ledger for good and begin the next, which PROBANS_ORIGIN names. Only where nothing else "
            "helps: witnesses and verifiers need its keys.",
        ),
    ] = None,
    last: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="CHECKPOINT",
            help="With --new-generation: the last checkpoint of the ledger to retire, as somebody kept it.",
        ),
    ] = None,
) -> None:
    """Bring an emptied or older database up to what the ledger and the recovery records know.

    Ends with code 1 when something is left to look at, such as witnesses that know more entries than there are.
    """
    if last is not None and new_generation is None:
        raise typer.BadParameter("--last goes with --new-generation")
    if new_generation is not None:
        _begin(existing(data), new_generation, last)
        return
    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            report = parts.recovery().run(parts.clock)
            ahead, silent = witnesses_ahead(parts)
        finally:
            parts.close()
    for line in silent:
        typer.echo(line, err=True)
    report.findings += ahead
    _tell(report)


def _begin(data: Path, retired: str, last: Path | None) -> None:
    with plain_errors():
        parts = open_parts(settings_for(data), new_generation=True)
        try:
            begun = begin_generation(parts, retired, last.read_bytes() if last else None)
            keys = parts.trusted.log_keys(begun.origin)
        finally:
            parts.close()
    typer.echo(
        f"{begun.retired} est clos à {begun.previous} inscriptions ; {begun.origin} commence, {begun.restated} "
        f"inscriptions reprises. / {begun.retired} is retired at {begun.previous} entries; {begun.origin} begins, "
        f"{begun.restated} entries stated again."
    )
    for key in keys:
        typer.echo(key.vkey)
    _tell(begun.recovery)


def _tell(report: RecoveryReport) -> None:
    typer.echo(
        f"{report.entries} inscriptions rétablies / entries restored, "
        f"{report.changes} changements / changes, {report.appended} ajoutées / appended, "
        f"{report.destroyed} destructions rejouées / destructions replayed, "
        f"{report.followed} lignes mises à jour / rows brought up to date"
    )
    for line in report.findings:
        typer.echo(line)
    if report.findings:
        raise typer.Exit(FAILED)
