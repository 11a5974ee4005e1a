"""`probans notices`: what mail servers pass on to the service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vault.bootstrap import open_parts
from vault.cli.common import existing, plain_errors, settings_for
from vault.errors import Refused, Unavailable
from vault.notices.bounces import LONGEST_REPORT, Bounces, Report, read_report
from vault.settings import Settings

# sysexits.h: the mail server keeps the report and passes it on again.
_TRY_AGAIN = 75

notices = typer.Typer(no_args_is_help=True, help="Notifications. / Notifications.")


@notices.callback()
def _several() -> None:
    """Avis de non-remise. / Delivery reports."""


@notices.command()
def bounce(
    data: Annotated[Path, typer.Option("--data", help="Folder of the safe.")] = Path("demo/data"),
    recipient: Annotated[
        str, typer.Option(help="Address that the report came to; its headers are searched when empty.")
    ] = "",
) -> None:
    """Note a delivery report (RFC 3464) from standard input; what is none is dropped.

    Ends with code 0 also for what is dropped, so that nothing is sent back for it, and with 75 to be asked again.
    """
    content = sys.stdin.buffer.read(LONGEST_REPORT)
    try:
        report = read_report(content, recipient)
    except Refused as error:
        typer.echo(f"ignoré / dropped: {error.code}", err=True)
        return
    with plain_errors():
        settings = settings_for(existing(data))
        try:
            changed = _note(settings, report)
        except Unavailable as error:
            raise typer.Exit(_TRY_AGAIN) from error
    typer.echo("noté / noted" if changed else "sans effet / without effect")


def _note(settings: Settings, report: Report) -> bool:
    parts = open_parts(settings)
    try:
        return Bounces(parts.database, parts.keyring, parts.clock, settings.notice_doubt_after).note(report)
    finally:
        parts.close()
