"""The access journal of a safe as a PDF for people, French with English beside; `sealed_reports.seal` seals it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from vault.clock import rfc3339
from vault.documents.sealed_reports import FOLDER
from vault.documents.typesetting import render

MAX_PDF_LINES = 2000
_TEMPLATE = "journal"
_LONGEST = 400  # characters of one text
_NOTE = {
    "fr": (
        "Ce relevé est scellé par l'exploitant du coffre. Chaque ligne est une inscription du registre : sa preuve, "
        "que le titulaire peut demander, se vérifie sans ce service."
    ),
    "en": (
        "This statement is sealed by the operator of the safe. Each line is an entry of the ledger: its proof, which "
        "the holder can ask for, is verified without this service."
    ),
}


def typeset(
    holder: str, lines: Sequence[Mapping[str, Any]], seq: int, *, more: bool, at: datetime, filters: str
) -> bytes:
    """Typeset a journal.

    Args:
        holder: name of the holder.
        lines: from `vault.rights.journal_exports.record`, newest first, at most `MAX_PDF_LINES`.
        seq: number of the export's own entry.
        more: whether older lines were left out.
        at: time of the export, UTC.
        filters: which lines were asked for, in words.

    Returns:
        A PDF (PDF/A-2a, PDF/UA-1), not sealed.

    Raises:
        vault.errors.VaultError: see `vault.documents.typesetting.render`.
    """
    data = {
        "holder": _plain(holder),
        "date": {"fr": f"{at:%d/%m/%Y %H:%M} UTC", "en": rfc3339(at)},
        "entry": seq,
        "filters": _plain(filters),
        "count": len(lines),
        "more": more,
        "limit": MAX_PDF_LINES,
        "lines": [_line(line) for line in lines],
        "note": _NOTE,
    }
    return render(_TEMPLATE, data, at=at, folder=FOLDER)


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    cited = [line[name] for name in ("case", "consent", "share", "requisition", "mandate") if line[name]]
    about = [line["title"] or line["document"] or line["matter"], *cited]
    return {
        "entry": line["entry"],
        "time": f"{line['time'][:10]} {line['time'][11:19]}",
        "granted": line["granted"],
        "what": _both(line, "what"),
        "who": _both(line, "who"),
        "why": _both(line, "purpose"),
        "words": _plain(line["words"]),
        "about": _plain(", ".join(about)),
    }


def _both(line: Mapping[str, Any], name: str) -> dict[str, str]:
    return {"fr": _plain(line[f"{name}_fr"]), "en": _plain(line[f"{name}_en"])}


def _plain(text: str) -> str:
    """Return a text that the fonts show; letters that they lack stand as their code."""
    shown = "".join(
        char if char.isprintable() and (ord(char) < 0x180 or char in "’‘“”–—…€≥") else f"\\u{{{ord(char):x}}}"
        for char in text[:_LONGEST]
    )
    return shown if len(text) <= _LONGEST else f"{shown}…"
