"""`probans verify`: judges a file with no network, no database and no service."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from signing.trust import TrustStore
from vault.cli.policy_options import FILE, PolicyFile, Vkeys, read_policy, read_roots
from vault.evidence.ledger_source import LedgerSource, ledger_source
from vault.evidence.report import Verdict
from vault.evidence.verify import verify_file
from vault.evidence.wording import LANGUAGES, lines

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?")


def verify(
    file: Annotated[Path, typer.Argument(**FILE, help="Evidence bundle (.asice), sealed PDF, or any file.")],
    trust: Annotated[
        Path | None, typer.Option(**FILE, metavar="PEM", help="Root certificates of the seals.")
    ] = None,
    tsa_trust: Annotated[
        Path | None,
        typer.Option(**FILE, metavar="PEM", help="Root certificates of timestamps, if they are others."),
    ] = None,
    vkeys: Vkeys = None,
    policy: PolicyFile = None,
    ledger: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Published ledger, for the status of today.")
    ] = None,
    original: Annotated[
        Path | None, typer.Option(**FILE, metavar="FILE", help="A file that must be the document proven.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Judge signatures without timestamp at this time (UTC)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Vérifier un dossier de preuve ou un acte scellé. / Verify an evidence bundle or a sealed act.

    Exit code: 0 PASSED, 1 FAILED, 3 INDETERMINATE, 2 wrong usage.
    """
    keys = read_policy(vkeys, policy)
    anchors = read_roots(trust, "--trust") or TrustStore([])
    verdict = verify_file(
        file,
        trust=anchors,
        tsa_trust=read_roots(tsa_trust, "--tsa-trust"),
        policy=keys,
        ledger=_ledger(ledger),
        original=original,
        at=_time(at),
    )
    try:
        _print(verdict, json=json)
    except BrokenPipeError:
        # Who reads only the first lines must still get the verdict's own exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(verdict.exit_code)


def _print(verdict: Verdict, *, json: bool) -> None:
    if json:
        sys.stdout.buffer.write(verdict.as_json() + b"\n")
        sys.stdout.buffer.flush()
    else:
        french, english = LANGUAGES
        for line in lines(verdict, french):
            typer.echo(line)
        typer.echo("")
        for line in lines(verdict, english, checks=False):
            typer.echo(line)
    sys.stdout.flush()


def _ledger(place: str | None) -> LedgerSource | None:
    if place is None:
        return None
    try:
        return ledger_source(place)
    except ValueError as error:
        raise typer.BadParameter(f"--ledger: {error}") from error


def _time(text: str | None) -> datetime | None:
    """Read a date or an instant; without zone it is UTC."""
    if text is None:
        return None
    if _INSTANT.fullmatch(text) is None:
        raise typer.BadParameter("--at: not YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"--at: {error}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
