"""`probans audit`: check a ledger whole, from a safe's folder or from a copied ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from storage.filesystem import FilesystemLogStore
from vault.cli.common import FAILED, USAGE, fail, plain_errors, settings_for
from vault.ledger.audit import AuditReport, audit_database, audit_log_store
from vault.ledger.policy import Policy


def audit(
    source: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Data folder, or a copied ledger.")
    ],
    vkeys: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Public keys of the ledger, one a line.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Vérifier tout le registre. / Check the whole ledger: chain, tree, checkpoint, published files.

    Exit code: 0 everything holds, 1 something does not, 2 wrong usage.
    """
    with plain_errors():
        reports = dict(_reports(source, vkeys))
    if json:
        typer.echo(orjson.dumps({name: _summary(report) for name, report in reports.items()}))
    else:
        for name, report in reports.items():
            typer.echo(f"{name}: {report.origin}, {report.size} inscriptions / entries, {_word(report)}")
            for problem in report.problems:
                typer.echo(
                    f"  {problem.code} {problem.where}: attendu / expected {problem.expected}, "
                    f"trouvé / found {problem.found}"
                )
    if not all(report.ok for report in reports.values()):
        raise typer.Exit(FAILED)


def _reports(source: Path, vkeys: Path | None) -> list[tuple[str, AuditReport]]:
    is_safe = (source / "keys").is_dir()
    policy = Policy.from_vkeys(vkeys.read_text(encoding="utf-8")) if vkeys else None
    if not is_safe:
        if policy is None:
            fail("--vkeys manque : un registre copié se vérifie avec ses clés. / --vkeys is needed.", USAGE)
        return [("published", audit_log_store(FilesystemLogStore(source), policy))]
    from vault.bootstrap import open_parts  # a copied ledger is audited without the database's code

    parts = open_parts(settings_for(source))
    try:
        checks: list[tuple[str, Callable[[], AuditReport]]] = [
            ("database", lambda: audit_database(parts.database)),
            ("published", lambda: audit_log_store(parts.log, policy or parts.policy)),
        ]
        return [(name, check()) for name, check in checks]
    finally:
        parts.close()


def _word(report: AuditReport) -> str:
    return "tout concorde / everything holds" if report.ok else "ANOMALIE / PROBLEM"


def _summary(report: AuditReport) -> dict[str, object]:
    return {
        "ok": report.ok,
        "origin": report.origin,
        "size": report.size,
        "root": report.root.hex(),
        "problems": [
            {"code": item.code, "where": item.where, "expected": item.expected, "found": item.found}
            for item in report.problems
        ],
    }
