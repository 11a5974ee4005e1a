"""What an audit found, for people and for machines."""

from __future__ import annotations

from typing import Any

import typer

from vault.ledger.findings import AuditReport

WORDS = {
    "PASSED": "tout concorde / everything holds",
    "FAILED": "ANOMALIE / PROBLEM",
    "INDETERMINATE": "INDÉTERMINÉ / INDETERMINATE",
}
_OBJECTS = "objets / objects"
_UNITS = {
    "store": _OBJECTS,
    "scrub": _OBJECTS,
    "documents": "documents",
    "matters": "affaires / matters",
    "anchors": "ancres / anchors",
}


def tell(name: str, report: AuditReport) -> None:
    """Print a report."""
    unit = _UNITS.get(name, "inscriptions / entries")
    origin = report.origin or "registre inconnu / unknown ledger"
    typer.echo(f"{name}: {origin}, {report.checked} {unit}, {WORDS[report.verdict]}")
    if report.start:
        typer.echo(f"  à partir de / from: {report.start}")
    if report.undetected_share is not None:
        share = f"{report.undetected_share:.2%}"
        typer.echo(
            f"  échantillon : au-delà de {share} d'inscriptions fausses, une au moins serait trouvée 95 fois sur 100."
            f" / sample: with more than {share} of them wrong, it would have found one 95 times in 100."
        )
    if name == "published" and report.checkpoints:
        said = (
            ", ".join(report.witnesses)
            or "aucun : seule la clé de l'opérateur / none: the operator's key alone"
        )
        typer.echo(f"  témoins / witnesses: {said}")
    for seq in report.keys_changed:
        typer.echo(
            f"  clés changées à l'inscription {seq}, annoncées sous les clés d'avant / keys changed at entry {seq}, "
            "announced under the keys before"
        )
    for problem in report.problems:
        typer.echo(
            f"  {problem.code} [{problem.check}] {problem.where}: attendu / expected {problem.expected}, "
            f"trouvé / found {problem.found}"
        )


def summary(report: AuditReport) -> dict[str, Any]:
    """Return a report as JSON shows it."""
    return {
        "ok": report.ok,
        "verdict": report.verdict,
        "origin": report.origin,
        "size": report.size,
        "root": report.root.hex(),
        "start": report.start,
        "checked": report.checked,
        "witnesses": list(report.witnesses),
        "keys_changed": list(report.keys_changed),
        "undetected_share": report.undetected_share,
        "problems": [
            {
                "code": item.code,
                "check": item.check,
                "entry": item.entry,
                "where": item.where,
                "expected": item.expected,
                "found": item.found,
            }
            for item in report.problems
        ],
    }
