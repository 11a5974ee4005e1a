"""Makes receipts from the database and its newest checkpoint."""

from __future__ import annotations

from typing import Protocol

from vault.db.engine import Database
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import best_checkpoint
from vault.ledger.receipt import format_receipt
from vault.ledger.stored import StoredTiles, latest_checkpoint
from vault.ledger.tree import inclusion_proof


class Waits(Protocol):
    """Somebody who knows when a checkpoint is published."""

    def wait(self, size: int, timeout: float) -> bytes | None:
        """Return a checkpoint note of at least `size` entries, None when none comes in time."""
        ...


class Receipts:
    """Gives receipts of ledger entries."""

    def __init__(self, database: Database, publisher: Waits | None) -> None:
        """Make the service.

        Args:
            database: holds the ledger and its checkpoints.
            publisher: is asked to wait for a checkpoint; None where nothing publishes.
        """
        self._database = database
        self._publisher = publisher
        self._roots: dict[tuple[int, int], bytes] = {}

    def receipt(self, seq: int, wait: float = 0.0) -> bytes | None:
        """Return the receipt of an entry, with every signature held under its checkpoint.

        The checkpoint is the newest; where witnesses cosign, the one most of them cosigned lately. Asked for
        again later, the receipt of the same entry may bear more cosignatures.

        Args:
            seq: number of the entry.
            wait: seconds to wait for a checkpoint that covers it.

        Returns:
            The receipt (c2sp.org/tlog-proof), None while no checkpoint covers the entry.

        Raises:
            LedgerError: TILE_MISSING when the database is damaged.
        """
        if wait > 0 and self._publisher is not None:
            self._publisher.wait(seq + 1, wait)
        with self._database.reading() as connection:
            best = best_checkpoint(connection, seq + 1) if seq >= 0 else None
            if best is None:
                return None
            size, note = best
            proof = inclusion_proof(StoredTiles(connection, self._roots), seq, size)
        return format_receipt(seq, proof, note)

    def published_size(self) -> int:
        """Return how many entries the newest checkpoint covers, 0 before the first."""
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
        return latest[0] if latest else 0

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, None before the first."""
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
        return Checkpoint.parse(latest[1]) if latest else None


class StoredReceipts(Receipts):
    """Receipts from a safe's folder while no service runs: only checkpoints that are there already."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, None)
