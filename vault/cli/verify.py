"""`probans verify`: judges a file with no network, no database and no service."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from signing.judgement import Fetcher
from vault.cli.policy_options import FILE, PolicyFile, Vkeys, read_policy
from vault.cli.trust_options import read_data, read_digests, read_trust
from vault.evidence.fetching import WebFetcher
from vault.evidence.findings import Verdict
from vault.evidence.ledger_source import LedgerSource, ledger_source
from vault.evidence.verify import verify_file
from vault.evidence.wording import LANGUAGES, lines
from vault.verification.limits import DEFAULT_LIMITS
from vault.verification.pool import judge_in_fork

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?")
_NETWORK_SECONDS = 60.0  # more wall time where the network is asked
_PEM = {"metavar": "PEM|system"}
_FILES = {**FILE, "metavar": "FILE"}


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            **FILE, help="Any file: bundle, PDF, ASiC, CMS signature, timestamp, evidence record."
        ),
    ],
    trust: Annotated[
        list[str] | None,
        typer.Option(**_PEM, help="Root certificates of signatures; `system`: this computer's own."),
    ] = None,
    tsa_trust: Annotated[
        list[str] | None,
        typer.Option(**_PEM, help="Root certificates of timestamps, if they are others."),
    ] = None,
    trusted_list: Annotated[
        list[Path] | None, typer.Option(**_FILES, help="Trusted list (ETSI TS 119 612, XML).")
    ] = None,
    trusted_list_signer: Annotated[
        list[Path] | None,
        typer.Option(**{**FILE, "metavar": "PEM"}, help="Certificates that may have signed the lists."),
    ] = None,
    vkeys: Vkeys = None,
    policy: PolicyFile = None,
    ledger: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Published ledger, for the status of today.")
    ] = None,
    original: Annotated[
        list[Path] | None,
        typer.Option(**_FILES, help="A document that must be the one proven; several are possible."),
    ] = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(metavar="ALGORITHM:HEX", help="Digest of a document instead of the document."),
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(**_FILES, help="Signature, timestamp or evidence record beside the file.")
    ] = None,
    certificates: Annotated[
        list[Path] | None, typer.Option(**_FILES, help="Further certificates (PEM); they are not trusted.")
    ] = None,
    crl: Annotated[list[Path] | None, typer.Option(**_FILES, help="Revocation list (PEM or DER).")] = None,
    ocsp: Annotated[list[Path] | None, typer.Option(**_FILES, help="OCSP response (DER).")] = None,
    require_revocation: Annotated[
        bool, typer.Option("--require-revocation", help="No conclusion without revocation data.")
    ] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Get missing revocation data from the network; off by default.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Judge signatures without proof of time at this time (UTC)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Judge without a process of its own, to look for faults.")
    ] = False,
) -> None:
    """Vérifier un fichier signé, quel que soit son auteur. / Verify a signed file, whoever made it.

    Exit code: 0 PASSED, 1 FAILED, 3 INDETERMINATE, 2 wrong usage.
    """
    keys = read_policy(vkeys, policy)
    sources = read_trust(trust or (), tsa_trust or (), trusted_list or (), trusted_list_signer or ())
    data = read_data(certificates or (), crl or (), ocsp or ())
    digests = read_digests(digest or ())
    source, moment = _ledger(ledger), _time(at)
    fetcher: Fetcher | None = WebFetcher() if fetch else None

    def judge() -> Verdict:
        verdict = verify_file(
            file,
            trust=sources.trust,
            tsa_trust=sources.tsa_trust,
            policy=keys,
            ledger=source,
            original=original,
            digests=digests,
            evidence=evidence,
            data=data,
            require_revocation=require_revocation,
            fetch=fetcher,
            at=moment,
        )
        return sources.noted(verdict, moment or datetime.now(UTC))

    verdict = judge() if in_process else _fenced(judge, file, online=fetch or ledger is not None)
    try:
        _print(verdict, json=json)
    except BrokenPipeError:
        # Who reads only the first lines must still get the verdict's own exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(verdict.exit_code)


def _fenced(judge: Callable[[], Verdict], file: Path, *, online: bool) -> Verdict:
    limits = replace(DEFAULT_LIMITS, wall=DEFAULT_LIMITS.wall + _NETWORK_SECONDS * online)
    sys.stdout.flush()
    return judge_in_fork(judge, file.stat().st_size, limits)


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
