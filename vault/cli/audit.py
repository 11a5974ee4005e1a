"""`probans audit`: check a ledger whole, from a safe's folder, from a copied ledger or from its address."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer

from signing.judgement import JudgingPolicy
from signing.trust import TrustStore
from vault.cli.audit_words import summary, tell
from vault.cli.common import USAGE, fail, plain_errors, settings_for
from vault.cli.ledger_options import (
    EXIT_CODES,
    Previous,
    cores,
    published_files,
    read_known,
    read_previous,
    shown_progress,
)
from vault.cli.policy_options import FILE, PolicyFile, Vkeys, read_policy, read_roots
from vault.errors import LedgerError, VaultError
from vault.evidence.means import Means
from vault.ledger.anchor_audit import AnchoredFiles, anchor_verifier, audit_anchors
from vault.ledger.audit_state import StateFile
from vault.ledger.files import LogReader, PublishedFiles
from vault.ledger.findings import AuditReport, Progress
from vault.ledger.policy import Policy
from vault.ledger.published import Work, audit_previous, audit_published
from vault.ledger.sampled import audit_sample
from vault.settings import Settings

_Check = Callable[[Progress], AuditReport | None]


def audit(
    source: Annotated[
        str, typer.Argument(help="Data folder of a safe, folder of a copied ledger, or its address.")
    ],
    vkeys: Vkeys = None,
    policy: PolicyFile = None,
    since: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            metavar="CHECKPOINT",
            help="Checkpoint trusted already, or the copied ledger it stands in: only what is new is read.",
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Look at N entries drawn by chance.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the checkpoint here if everything holds, for --since."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes that share the published entries; as many as cores."
        ),
    ] = None,
    tsa_trust: Annotated[
        Path | None,
        typer.Option(**FILE, metavar="PEM", help="Root certificates of those who date the ledger's anchors."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="Remembers how far the published entries are read: an audit cut short goes on from there.",
        ),
    ] = None,
    previous: Previous = None,
    pdf: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="Write the report as a sealed PDF; only in a safe's folder, where the key of the seal is.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Vérifier tout le registre. / Check the whole ledger; in a safe's folder, every document too.

    Exit code: 0 everything holds, 1 something does not, 3 something cannot be decided, 2 wrong usage.
    """
    if state is not None and sample is not None:
        raise typer.BadParameter("--state goes with an audit of all entries, not with --sample")
    given = read_policy(vkeys, policy)
    how = _How(since, sample, Work(processes or cores(), StateFile(state) if state else None), previous, pdf)
    authorities = read_roots(tsa_trust, "--tsa-trust")
    with plain_errors():
        if "://" not in source and _is_safe(Path(source)):
            reports = _of_safe(settings_for(Path(source)), given, authorities, how, save)
        else:
            reports = _of_files(published_files(source), given, authorities, how, save)
    verdict = _verdict(reports)
    if json:
        summaries = {name: summary(report) for name, report in reports.items()}
        typer.echo(orjson.dumps({"verdict": verdict, **summaries}))
    else:
        for name, report in reports.items():
            tell(name, report)
        _tell_of_anchors(reports, judged=authorities is not None or "documents" in reports)
    raise typer.Exit(EXIT_CODES[verdict])


def _is_safe(folder: Path) -> bool:
    """Tell a safe's folder from a copied ledger: it holds the keys, or what a first start left."""
    return (folder / "keys").is_dir() or (folder / "opening.lock").is_file()


@dataclass(frozen=True, slots=True)
class _How:
    """What the options say of the published files."""

    since: Path | None
    sample: int | None
    work: Work
    previous: Path | None
    pdf: Path | None


def _verdict(reports: dict[str, AuditReport]) -> str:
    verdicts = {report.verdict for report in reports.values()}
    return next(word for word in ("FAILED", "INDETERMINATE", "PASSED") if word in verdicts)


def _of_files(
    files: AnchoredFiles,
    policy: Policy | None,
    authorities: TrustStore | None,
    how: _How,
    save: Path | None,
) -> dict[str, AuditReport]:
    if how.pdf is not None:
        fail(
            "--pdf : le rapport est scellé avec les clés du coffre, qui ne sont pas ici ; --json est possible. "
            "/ the report is sealed with the safe's keys, which are not here; --json can be had.",
            USAGE,
        )
    if policy is None:
        fail("--vkeys manque : un registre se vérifie avec ses clés. / --vkeys is needed.", USAGE)
    checks = {
        "published": _published(files, policy, how),
        "anchors": _anchors(files, policy, authorities, how),
    }
    before = read_previous(how.previous, policy)
    if before is not None:
        checks["previous"] = lambda _progress: audit_previous(files, policy, before)
    return _run(checks, files, save)


def _published(files: PublishedFiles, policy: Policy, how: _How) -> _Check:
    known, sample = read_known(how.since, policy, files), how.sample
    if sample is not None and known is None:
        return lambda progress: audit_sample(files, policy, sample, progress=progress)

    def check(progress: Progress) -> AuditReport:
        try:
            return audit_published(files, policy, since=known, progress=progress, work=how.work)
        except LedgerError as error:
            fail(f"--state : {error.detail} \\[{error.code}]", USAGE)

    return check


def _anchors(files: AnchoredFiles, policy: Policy, authorities: TrustStore | None, how: _How) -> _Check:
    known = read_known(how.since, policy, files)
    verifier = anchor_verifier(authorities)
    after = known.checkpoint.size if known else 0
    return lambda progress: audit_anchors(files, policy, verifier, after=after, progress=progress)


def audit_whole(settings: Settings) -> dict[str, AuditReport]:
    """Audit everything that a safe holds; return the reports by name.

    Raises:
        VaultError, StorageError: it cannot be opened.
    """
    return _of_safe(settings, None, None, _How(None, None, Work(cores(), None), None, None), None)


def _of_safe(
    settings: Settings, given: Policy | None, authorities: TrustStore | None, how: _How, save: Path | None
) -> dict[str, AuditReport]:
    # A copied ledger is audited without the code of database and store.
    from vault.audit.contents import audit_safe
    from vault.audit.matters import audit_matters
    from vault.audit.seals import SealJudge
    from vault.bootstrap import open_parts, sealing_desk, timestamp_trust
    from vault.documents.sealed_reports import seal, typeset
    from vault.ledger.audit import StoreFiles, audit_agreement, audit_database
    from vault.maintenance.scrubbing import audit_store

    parts = open_parts(settings)
    policy = given or parts.policy
    files = StoreFiles(parts.log)
    try:
        dated = timestamp_trust(parts)
        means = Means(TrustStore(parts.pki.roots()), dated, None, None, JudgingPolicy(parts.clock.now()))
        checks: dict[str, _Check] = {
            "published": _published(files, policy, how),
            "anchors": _anchors(files, policy, authorities or dated, how),
            "agreement": lambda progress: audit_agreement(parts.database, parts.log, progress=progress),
            "documents": lambda progress: audit_safe(
                parts.database,
                parts.keyring,
                parts.objects,
                parts.records,
                seals=SealJudge(means, parts.settings.spool_folder),
                sample=how.sample,
                progress=progress,
            ),
            "matters": lambda progress: audit_matters(
                parts.database,
                parts.keyring,
                parts.objects,
                parts.records,
                sample=how.sample,
                progress=progress,
            ),
        }
        if parts.settings.store_endpoint:
            checks["store"] = lambda _progress: audit_store(parts.objects, parts.settings.origin)
        if how.sample is None:
            checks = {
                "database": lambda progress: audit_database(parts.database, policy, progress=progress),
                **checks,
            }
        reports = _run(checks, files, save)
        if how.pdf is not None:
            report = typeset(reports, _verdict(reports), parts.clock.now())
            _write(how.pdf, seal(report, sealing_desk(parts), parts.settings.spool_folder))
        return reports
    finally:
        parts.close()


def _run(checks: dict[str, _Check], files: PublishedFiles, save: Path | None) -> dict[str, AuditReport]:
    before = _note(files) if save else None
    reports = {}
    for name, check in checks.items():
        with shown_progress(name) as progress:
            report = check(progress)
        if report is not None:
            reports[name] = report
    # The log may have grown meanwhile: only a checkpoint that stood throughout was judged.
    whole = all(report.ok for report in reports.values())
    if save is not None and before is not None and whole and before == _note(files):
        _write(save, before)
    return reports


def _note(files: PublishedFiles) -> bytes | None:
    try:
        return LogReader(files).checkpoint()
    except VaultError:
        return None  # the audit says why


def _write(path: Path, note: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _tell_of_anchors(reports: dict[str, AuditReport], *, judged: bool) -> None:
    if "anchors" not in reports:
        typer.echo(
            "ancres non vérifiées : l'adresse n'en donne pas la liste / anchors not checked: not listed there"
        )
    elif reports["anchors"].checked and not judged:
        typer.echo(
            "  les autorités qui datent ne sont pas jugées : --tsa-trust manque / the dating authorities are not "
            "judged without --tsa-trust"
        )
