"""Makes receipts from the database and its newest checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import best_checkpoint
from vault.ledger.entry import leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.pyramids import PyramidCache, TileReader
from vault.ledger.receipt import format_receipt
from vault.ledger.stored import StoredTiles, entry_body, latest_checkpoint
from vault.ledger.tree import inclusion_proof, verify_inclusion

_log = logging.getLogger("probans.ledger")


class Waits(Protocol):
    """Somebody who knows when a checkpoint is published."""

    def wait(self, size: int, timeout: float) -> bytes | None:
        """Return a checkpoint note of at least `size` entries, None when none comes in time."""
        ...


class Prover:
    """Proves entries of the database's ledger, from tiles it remembers; gives out only what it has verified."""

    def __init__(self, cache: PyramidCache | None = None) -> None:
        """Take the cache to remember tiles in, None for one of its own; see there for its memory."""
        self._cache = PyramidCache() if cache is None else cache
        self._roots: dict[tuple[int, int], bytes] = {}

    def prove(self, connection: Connection, seq: int, checkpoint: Checkpoint) -> list[bytes]:
        """Return the audit path of an entry.

        Steps:
            1. Read the entry itself and hash it.
            2. Make the path from remembered tiles, and verify that it leads to the checkpoint's root.
            3. If it does not, what is remembered may be older than a repair of the database: once more, from the
               database alone. If that is right, forget the rest.

        Args:
            connection: a transaction.
            seq: number of the entry.
            checkpoint: one of this log that covers it.

        Raises:
            LedgerError: TILE_MISSING, TILE_DAMAGED; the database is damaged.
        """
        # 1
        body = entry_body(connection, seq)
        if body is None:
            raise LedgerError("TILE_MISSING", "an entry is missing", seq=seq)
        leaf = leaf_hash(body)
        # 2
        try:
            return _verified(self._cache.over(StoredTiles(connection, self._roots)), leaf, seq, checkpoint)
        except LedgerProofRefused:
            _log.warning("a proof from remembered tiles is wrong", extra={"seq": seq})
        # 3
        try:
            proof = _verified(StoredTiles(connection, {}), leaf, seq, checkpoint)
        except LedgerProofRefused as error:
            raise LedgerError(
                "TILE_DAMAGED", "entry and tiles do not lead to the checkpoint", seq=seq, size=checkpoint.size
            ) from error
        self._cache.clear()
        self._roots.clear()
        return proof


def _verified(tiles: TileReader, leaf: bytes, seq: int, checkpoint: Checkpoint) -> list[bytes]:
    proof = inclusion_proof(tiles, seq, checkpoint.size)
    verify_inclusion(leaf, seq, checkpoint.size, proof, checkpoint.root)
    return proof


class Receipts:
    """Gives receipts of ledger entries, each verified against its checkpoint's root before it leaves."""

    def __init__(self, database: Database, publisher: Waits | None) -> None:
        """Make the service.

        Args:
            database: holds the ledger and its checkpoints.
            publisher: is asked to wait for a checkpoint; None where nothing publishes.
        """
        self._database = database
        self._publisher = publisher
        self._prover = Prover()

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
            LedgerError: TILE_MISSING, TILE_DAMAGED when the database is damaged.
        """
        found = self.receipts([seq], wait)
        return found[0] if found else None

    def receipts(self, seqs: Sequence[int], wait: float = 0.0) -> list[bytes] | None:
        """Return the receipts of several entries, all under one checkpoint; see `receipt`.

        Args:
            seqs: numbers of the entries, at least one.
            wait: seconds to wait for a checkpoint that covers them all.

        Returns:
            The receipts in the order asked for, None while no checkpoint covers every entry.

        Raises:
            LedgerError: TILE_MISSING, TILE_DAMAGED when the database is damaged.
        """
        size = max(seqs) + 1
        if wait > 0 and self._publisher is not None:
            self._publisher.wait(size, wait)
        with self._database.reading() as connection:
            best = best_checkpoint(connection, size) if min(seqs) >= 0 else None
            if best is None:
                return None
            _, note = best
            checkpoint = Checkpoint.parse(note)
            proofs = [self._prover.prove(connection, seq, checkpoint) for seq in seqs]
        return [format_receipt(seq, proof, note) for seq, proof in zip(seqs, proofs, strict=True)]

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
