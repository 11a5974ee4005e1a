"""The access journal of the running safe: what reads it, proves it, exports it, and reports lines of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.authorization.purposes import Purposes
from vault.composition.parts import Parts
from vault.journal import Journal
from vault.ledger.anchors import Anchors
from vault.ledger.receipts import Receipts
from vault.matters.services import Means
from vault.rights.journal_exports import JournalExports
from vault.rights.journal_lines import JournalLines
from vault.rights.line_proofs import LineProofs
from vault.rights.reports import Reports
from vault.sealing.desk import SealingDesk


@dataclass(frozen=True, slots=True)
class JournalDesk:
    """The services of the journal.

    Attributes:
        access: writes access entries.
        lines: reads lines.
        proofs: proves a line.
        exports: writes the journal of a safe out.
        reports: asks the data-protection officer about a line.
        purposes: what each service may name as its purpose.
    """

    access: Journal
    lines: JournalLines
    proofs: LineProofs
    exports: JournalExports
    reports: Reports
    purposes: Purposes


def open_journal_desk(
    parts: Parts,
    means: Means,
    journal: Journal,
    receipts: Receipts,
    purposes: Purposes,
    desk: SealingDesk,
) -> JournalDesk:
    """Put the services of the journal together."""
    settings, database = parts.settings, parts.database
    lines = JournalLines(means, journal, parts.replica)
    anchors = Anchors(database, parts.log)
    window = timedelta(minutes=settings.access_window_minutes)
    return JournalDesk(
        access=journal,
        lines=lines,
        proofs=LineProofs(database, lines, receipts, anchors, settings.origin, settings.receipt_wait_max),
        exports=JournalExports(means, lines, desk, settings.spool_folder, window),
        reports=Reports(means, lines),
        purposes=purposes,
    )
