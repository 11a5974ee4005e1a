"""The report of an audit as a sealed PDF, French first: only who has the safe's keys can make one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from signing.base import KeyPurpose, SealSource
from vault.clock import rfc3339
from vault.documents.typesetting import render
from vault.intake import receive
from vault.ledger.findings import AuditReport
from vault.records.objects import file_chunks
from vault.sealing.desk import SealingDesk

FOLDER = Path(__file__).resolve().parent / "report_templates"
_TEMPLATE = "audit"
_SHOWN = 100  # problems of one part
_LONGEST = 300  # characters of one text
_TITLES = {
    "database": ("Base de données", "Database"),
    "published": ("Registre publié", "Published ledger"),
    "anchors": ("Ancres : dates extérieures", "Anchors: outside dates"),
    "agreement": (
        "Concordance de la base et du registre publié",
        "Agreement of database and published ledger",
    ),
    "documents": ("Documents, pièces et ouvertures", "Documents, parts and openings"),
    "matters": (
        "Mandats, consentements, partages, démarches",
        "Mandates, consents, shares, cases",
    ),
    "store": ("Magasin d'objets : noms cachés ou recouverts", "Object store: names hidden or written over"),
}
_UNITS = {
    "documents": ("documents", "documents"),
    "matters": ("affaires", "matters"),
    "anchors": ("ancres", "anchors"),
    "store": ("objets", "objects"),
}
_CONCLUSIONS = {
    "PASSED": ("Tout ce qui a été examiné concorde.", "Everything that was looked at holds."),
    "FAILED": ("Des anomalies ont été trouvées.", "Something is wrong."),
    "INDETERMINATE": ("Tout n'a pas pu être établi.", "Not everything could be decided."),
}
_NOTE = (
    (
        "Ce rapport est fait et scellé par l'exploitant du coffre, avec ses propres clés : il engage l'exploitant, et "
        "ne remplace pas un audit fait ailleurs, avec les seules clés publiques, du registre publié."
    ),
    (
        "This report is made and sealed by the operator of the safe, with the operator's own keys: it is the "
        "operator's word, and no substitute for an audit of the published ledger done elsewhere, with the public "
        "keys alone."
    ),
)


def typeset(reports: Mapping[str, AuditReport], verdict: str, at: datetime) -> bytes:
    """Typeset the reports of an audit.

    Args:
        reports: by the name of what was audited.
        verdict: of all together.
        at: time of the audit, UTC.

    Returns:
        A PDF (PDF/A-2a, PDF/UA-1), not sealed.

    Raises:
        vault.errors.VaultError: see `vault.documents.typesetting.render`.
    """
    published = reports.get("published", AuditReport())
    witnesses = ", ".join(published.witnesses) or "aucun : seule la clé de l'exploitant / none"
    facts = {
        ("Registre", "Ledger"): published.origin,
        ("Date", "Date"): rfc3339(at),
        ("Inscriptions", "Entries"): str(published.size),
        ("Racine", "Root"): published.root.hex(),
        ("Témoins", "Witnesses"): witnesses,
    }
    data = {
        "origin": _plain(published.origin),
        "date": _both((f"{at:%d/%m/%Y}", f"{at:%Y-%m-%d}")),
        "verdict": verdict,
        "conclusion": _both(_CONCLUSIONS[verdict]),
        "facts": [{"name": _both(name), "value": _plain(value)} for name, value in facts.items()],
        "parts": [_part(name, report) for name, report in reports.items()],
        "note": _both(_NOTE),
    }
    return render(_TEMPLATE, data, at=at, folder=FOLDER)


def seal(pdf: bytes, desk: SealingDesk, spool: Path) -> bytes:
    """Seal and timestamp a report with the evidence seal.

    Args:
        pdf: what `typeset` made.
        desk: seals and timestamps.
        spool: folder for unnamed files.

    Raises:
        vault.sealing.desk.SealingWaits: no timestamp or no fresh revocation data now.
        signing.errors.SigningError: the evidence key cannot be used.
    """
    with receive(iter((pdf,)), folder=spool, limit=len(pdf)) as spooled:
        source = SealSource(
            stream=spooled.stream,
            path=spooled.path,
            size=spooled.size,
            sha256=spooled.sha256,
            hash_state=spooled.hash_state,
        )
        chain = desk.sealers.chain(KeyPurpose.EVIDENCE_SEAL)
        revision = desk.seal(desk.sealers.reports(), chain, source).revision
        return b"".join(file_chunks(spooled.stream)) + revision.appended


def _part(name: str, report: AuditReport) -> dict[str, Any]:
    unit = _UNITS.get(name, ("inscriptions", "entries"))
    looked = [f"{report.checked} {words}" for words in unit]
    if report.start:
        looked = [f"{looked[0]}, à partir de {report.start}", f"{looked[1]}, from {report.start}"]
    if report.undetected_share is not None:
        share = f"{report.undetected_share:.2%}"
        looked[0] += (
            f", tirées au sort : au-delà de {share} de fausses, une au moins serait trouvée 95 fois sur 100"
        )
        looked[1] += f", drawn by chance: with more than {share} wrong, one would be found 95 times in 100"
    return {
        "title": _both(_TITLES.get(name, (name, name))),
        "verdict": report.verdict,
        "looked": _both((looked[0], looked[1])),
        "problems": [
            {
                "code": _plain(item.code),
                "check": _plain(item.check),
                "where": _plain(item.where),
                "expected": _plain(item.expected),
                "found": _plain(item.found),
            }
            for item in report.problems[:_SHOWN]
        ],
        "more": max(0, len(report.problems) - _SHOWN),
    }


def _both(words: tuple[str, str]) -> dict[str, str]:
    return {"fr": words[0], "en": words[1]}


def _plain(text: str) -> str:
    """Return a text that the fonts show: what stands in damaged files may be anything."""
    shown = "".join(
        char if char.isprintable() and ord(char) < 0x180 else f"\\u{{{ord(char):x}}}"
        for char in text[:_LONGEST]
    )
    cut = len(text) > _LONGEST or len(shown) >= 2 * _LONGEST
    return shown[: 2 * _LONGEST - 1] + ("…" if cut else "")
