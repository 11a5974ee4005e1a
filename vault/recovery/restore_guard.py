"""Refuses to write to a database that is older than, or another than, what was published and recorded."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import ObjectMissing, StorageError
from vault.errors import LedgerError, Unavailable
from vault.ledger import tree
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.stored import StoredTiles, find_head
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.records.book import RecordBook
from vault.recovery.tidying import newest_group


class RestoreGuard:
    """Compares the ledger's head with what is known outside of the database; meant for `Database.guard`.

    It runs in the first write transaction, and again in the first one on each server that took the place of another:
    a copy of yesterday, or a standby that lags behind, must not grow a second history.
    """

    def __init__(self, log: LogStore, records: RecordBook) -> None:
        """Make a guard.

        Args:
            log: holds the published checkpoint. Its signatures are not looked at: a checkpoint of somebody else's
                does not have our root.
            records: the recovery files, named by the size of the ledger at which their group began.
        """
        self._log = log
        self._records = records
        self._committed = 0

    def committed(self, size: int) -> None:
        """Remember what this process itself committed; meant for `LedgerWriter.on_commit`."""
        self._committed = max(self._committed, size)

    def check(self, connection: Connection) -> None:
        """Look, within a write transaction, so that nobody advances the head meanwhile.

        Steps:
            1. The published checkpoint is of no greater size than the head.
            2. Nor did a group begin beyond the head: one begins only when the one before is committed.
            3. Nor did this process commit more.
            4. The entries of the database hash up to the published checkpoint.

        Raises:
            LedgerError: LEDGER_BEHIND, LEDGER_FORKED.
            LedgerProofRefused: the published checkpoint cannot be read.
            Unavailable: STORAGE_UNAVAILABLE when the stores cannot be read.
        """
        try:
            published = Checkpoint.parse(self._log.get(CHECKPOINT_PATH))
        except ObjectMissing:
            published = None
        except StorageError as error:
            raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
        head = find_head(connection)
        size = head.size if head is not None else 0
        # 1
        if published is not None:
            _demand(size, published.size, "the published ledger")
        # 2
        _demand(size, newest_group(self._records), "recovery records")
        # 3
        _demand(size, self._committed, "what this process committed")
        # 4
        if published is not None:
            root = tree.root(StoredTiles(connection, {}), published.size)
            if root != published.root:
                raise LedgerError(
                    "LEDGER_FORKED",
                    f"at size {published.size} the database has the root {root.hex()}, the published ledger"
                    f" {published.root.hex()}",
                )


def _demand(size: int, known: int, where: str) -> None:
    if known > size:
        raise LedgerError(
            "LEDGER_BEHIND",
            f"the database ends at entry {size}, {where} at {known}: run `probans recover`",
        )
