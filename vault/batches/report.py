"""What became of the lines of a batch, as CSV or JSON lines, and a sealed summary of it when it has ended.

A report names lines by their numbers, acts by their identifiers, and nobody: what a line said is not in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from vault.batches.desk import Batches
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.documents.sealed_reports import FOLDER, seal
from vault.documents.typesetting import render
from vault.domain.actors import Actor
from vault.domain.batches import ENDED, Batch, LineResult, LineState
from vault.errors import Conflict
from vault.messages.catalogue import message
from vault.rights.journal_exports import cell
from vault.sealing.desk import SealingDesk

TYPES: Mapping[str, str] = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
COLUMNS = ("line", "state", "code", "field", "reason_fr", "reason_en", "document", "entry")
_BOM = "\ufeff"
_TEMPLATE = "batch"
_WORDS: Mapping[LineState, tuple[str, str]] = {
    LineState.ISSUED: ("actes délivrés", "acts issued"),
    LineState.RECEIVED: (
        "reçus, cachet en attente d'horodatage",
        "received, the seal waits for its timestamp",
    ),
    LineState.REFUSED: ("refusés", "refused"),
    LineState.WRONG: ("lignes inutilisables du manifeste", "lines of the manifest that cannot be used"),
    LineState.WAITING: ("sans fichier", "without a file"),
}
_NOTE = {
    "fr": (
        "Ce relevé est scellé par l'exploitant du coffre. Le rapport ligne par ligne est le fichier dont l'empreinte "
        "est ci-dessus ; chaque acte a sa propre inscription au registre, qui se vérifie sans ce service."
    ),
    "en": (
        "This statement is sealed by the operator of the safe. The report line by line is the file whose digest stands "
        "above; each act has its own entry in the ledger, which is verified without this service."
    ),
}


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report ready to leave.

    Attributes:
        name: for people.
        media_type: of the content.
        chunks: the octets.
    """

    name: str
    media_type: str
    chunks: Iterator[bytes]


class BatchReports:
    """Writes reports of batches."""

    def __init__(self, batches: Batches, desk: SealingDesk, spool: Path, clock: Clock) -> None:
        """Take what it works with.

        Args:
            batches: of the safe.
            desk: seals the summary.
            spool: folder for unnamed files.
            clock: the service's time.
        """
        self._batches = batches
        self._desk = desk
        self._spool = spool
        self._clock = clock

    def report(self, actor: Actor, batch_id: str, form: str) -> ReportFile:
        """Return the report, `csv` or `json`. Raises NotFound."""
        pages = self._batches.results(actor, batch_id)
        chunks = _csv(pages) if form == "csv" else _json(pages)
        return ReportFile(f"{batch_id}.{'csv' if form == 'csv' else 'ndjson'}", TYPES[form], chunks)

    def summary(self, actor: Actor, batch_id: str) -> ReportFile:
        """Return a sealed PDF of counts and digests.

        Raises:
            NotFound: no such batch, or not for this caller.
            Conflict: BATCH_NOT_ENDED.
            vault.sealing.desk.SealingWaits: no timestamp or no fresh revocation data now.
        """
        batch = self._batches.see(actor, batch_id)
        if batch.state not in ENDED:
            raise Conflict("BATCH_NOT_ENDED", state=batch.state.value)
        digest = hashlib.sha256()
        for chunk in _json(self._batches.results(actor, batch_id)):
            digest.update(chunk)
        now = self._clock.now()
        made = render(_TEMPLATE, _summary(batch, digest.hexdigest(), rfc3339(now)), at=now, folder=FOLDER)
        pdf = seal(made, self._desk, self._spool)
        return ReportFile(f"{batch_id}.pdf", "application/pdf", iter((pdf,)))


def record(result: LineResult) -> dict[str, Any]:
    """Return a line as reports have it; members by `COLUMNS`."""
    fr, en = "", ""
    if result.code:
        fr, en = (message(result.code, lang, field=result.field or "—").title for lang in ("fr", "en"))
    return {
        "line": result.line,
        "state": result.state.value,
        "code": result.code,
        "field": result.field,
        "reason_fr": fr,
        "reason_en": en,
        "document": result.document_id,
        "entry": result.seq,
    }


def _json(pages: Iterable[list[LineResult]]) -> Iterator[bytes]:
    for page in pages:
        yield b"".join(orjson.dumps(record(each)) + b"\n" for each in page)


def _csv(pages: Iterable[list[LineResult]]) -> Iterator[bytes]:
    # Without this mark, the common spreadsheet reads accents in the machine's old character set.
    yield (_BOM + ",".join(COLUMNS) + "\r\n").encode()
    for page in pages:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        for each in page:
            values = record(each)
            writer.writerow(["" if values[name] is None else cell(values[name]) for name in COLUMNS])
        yield text.getvalue().encode()


def _summary(batch: Batch, report: str, at: str) -> dict[str, Any]:
    ended = batch.ended_at or at
    facts = (
        ("Lot", "Batch", batch.id),
        ("Administration", "Administration", batch.administration_id),
        ("Commencé le", "Begun", batch.created_at),
        ("Terminé le", "Ended", ended),
        ("Lignes du manifeste", "Lines of the manifest", str(batch.lines)),
        ("Empreinte du manifeste (SHA-256)", "Digest of the manifest (SHA-256)", batch.manifest),
        ("Empreinte du rapport JSON (SHA-256)", "Digest of the JSON report (SHA-256)", report),
    )
    return {
        "batch": batch.id,
        "state": batch.state.value,
        "date": {"fr": f"{parse_rfc3339(at):%d/%m/%Y %H:%M} UTC", "en": at},
        "facts": [{"name": {"fr": fr, "en": en}, "value": value} for fr, en, value in facts],
        "counts": [
            {"name": {"fr": fr, "en": en}, "count": batch.counts.get(state, 0)}
            for state, (fr, en) in _WORDS.items()
        ],
        "note": _NOTE,
    }
