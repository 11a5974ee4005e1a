"""Makes the proof of one journal line, which anybody verifies without the service; for the holder alone."""

from __future__ import annotations

from storage.errors import StorageError
from vault.access import Action
from vault.db.engine import Database
from vault.domain.actors import Actor
from vault.errors import LedgerError, NotFound, Unavailable
from vault.evidence.journal_line import LineDate, LineProof
from vault.ledger.anchors import Anchors
from vault.ledger.receipts import Receipts
from vault.rights.journal_lines import JournalLines


class LineProofs:
    """Puts entry, opening, receipt and anchor of a line together."""

    def __init__(
        self,
        database: Database,
        lines: JournalLines,
        receipts: Receipts,
        anchors: Anchors,
        origin: str,
        wait_max: float,
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            lines: finds entries and decides.
            receipts: gives receipts under the newest checkpoint.
            anchors: gives the outside dates.
            origin: name of the log.
            wait_max: seconds to wait for a checkpoint at most.
        """
        self._database = database
        self._lines = lines
        self._receipts = receipts
        self._anchors = anchors
        self._origin = origin
        self._wait_max = wait_max

    def proof(self, actor: Actor, seq: int, *, with_key: bool, wait: float = 0.0) -> bytes | None:
        """Return the proof of a line; None while no checkpoint covers its entry.

        Args:
            actor: the holder.
            seq: number of the entry.
            with_key: put the key of its tags in. Whoever has it can follow everything of that chain in the public
                ledger, so it is there only when asked for.
            wait: seconds to wait for a checkpoint; capped by settings.

        Raises:
            NotFound: no such line, or not for this caller; DOCUMENT_DESTROYED, its opening was erased.
            LedgerError: ROW_DAMAGED, the opening does not open.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        with self._database.reading() as connection:
            found = self._lines.find(connection, actor, seq, Action.JOURNAL_PROOF)
        if found.line.state == "erased":
            raise NotFound("DOCUMENT_DESTROYED")
        if found.opening is None or not found.tag_key:
            raise LedgerError("ROW_DAMAGED", f"the opening of entry {seq} does not open")
        try:
            anchor = self._anchors.covering(seq + 1)
        except StorageError as error:
            raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
        dated = None
        if anchor is None:
            receipt = self._receipts.receipt(seq, max(0.0, min(wait, self._wait_max)))
        else:
            receipt = self._anchors.receipt(seq, anchor)
            dated = LineDate(anchor.anchor, anchor.token, tuple(sorted(set(anchor.crls))))
        if receipt is None:
            return None
        return LineProof(
            self._origin,
            found.body,
            found.opening,
            receipt,
            found.line.chain,
            found.line.counter,
            bytes.fromhex(found.tag_key) if with_key else None,
            dated,
        ).encode()
