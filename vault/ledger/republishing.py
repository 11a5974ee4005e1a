"""Puts cosignatures under the checkpoint that is already published."""

from __future__ import annotations

import logging

from storage.base import LogStore
from storage.errors import LogConflict, ObjectMissing, StorageError
from vault.core import faults
from vault.db.engine import Database
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import cosignatures_of, with_cosignatures
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.stored import latest_checkpoint
from vault.ledger.tiles import CHECKPOINT_PATH, CHECKPOINT_TYPE

_log = logging.getLogger("probans.witnessing")


class Republisher:
    """Swaps the published checkpoint for itself with more signature lines."""

    def __init__(self, database: Database, log_store: LogStore) -> None:
        self._database = database
        self._store = log_store
        self._done: tuple[int, int] | None = None

    def put(self, size: int) -> None:
        """Put the cosignatures held of a size under the published checkpoint, if it is still that one.

        While a publication is under way it is left alone, and whoever was first at a swap has won: the next
        call comes soon.
        """
        with self._database.reading() as connection:
            lines = cosignatures_of(connection, size)
        if not lines or self._done == (size, len(lines)):
            return
        with self._database.leading("publisher") as free:
            if not free:
                return
            try:
                standing = self._store.get(CHECKPOINT_PATH)
                if not self._same(standing, size):
                    return
                cosigned = with_cosignatures(standing, lines)
                if cosigned != standing:
                    faults.point("witnessing.before-publish")
                    self._store.compare_and_swap(CHECKPOINT_PATH, standing, cosigned, CHECKPOINT_TYPE)
                    faults.point("witnessing.after-publish")
            except (ObjectMissing, LogConflict, LedgerProofRefused):
                return
            except StorageError as error:
                _log.warning("cosignatures are not published yet: %s", error.code)
                return
        self._done = (size, len(lines))

    def _same(self, standing: bytes, size: int) -> bool:
        """Tell whether the published checkpoint is the database's newest and of this size, root and all."""
        published = Checkpoint.parse(standing)
        with self._database.reading() as connection:
            latest = latest_checkpoint(connection)
        if latest is None or published.size != size or latest[0] != size:
            return False
        return published.note.text == Checkpoint.parse(latest[1]).note.text
