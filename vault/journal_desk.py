"""The access journal of the running safe: what reads it, proves it, exports it, and reports lines of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.journal import Journal
from vault.journal_exports import JournalExports
from vault.journal_lines import JournalLines
from vault.ledger.anchors import Anchors
from vault.ledger.receipts import Receipts
from vault.ledger.writer import LedgerWriter
from vault.line_proofs import LineProofs
from vault.matters import Matters
from vault.parts import Parts
from vault.purposes import Purposes
from vault.reports import Reports
from vault.sealing import SealingDesk
from vault.ties import Ties


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
    writer: LedgerWriter,
    matters: Matters,
    ties: Ties,
    journal: Journal,
    receipts: Receipts,
    purposes: Purposes,
    desk: SealingDesk,
) -> JournalDesk:
    """Put the services of the journal together."""
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock
    lines = JournalLines(database, keyring, matters.rows, ties, journal, parts.replica)
    anchors = Anchors(database, parts.log)
    window = timedelta(minutes=settings.access_window_minutes)
    return JournalDesk(
        access=journal,
        lines=lines,
        proofs=LineProofs(database, lines, receipts, anchors, settings.origin, settings.receipt_wait_max),
        exports=JournalExports(
            database, keyring, writer, matters, ties, lines, desk, settings.spool_folder, clock, window
        ),
        reports=Reports(database, keyring, matters, ties, lines, clock),
        purposes=purposes,
    )
