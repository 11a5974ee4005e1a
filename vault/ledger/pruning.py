"""Forgets checkpoints that prove nothing any more: a busy ledger publishes several a second.

A later checkpoint proves all that an earlier one does. What dates an entry from outside are anchors, whose checkpoints
stay, with what witnesses signed under them; the tree itself is in entries and tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile

from vault.clock import Clock, rfc3339
from vault.db.engine import Database
from vault.tasks.runner import Task

KEPT_FOR = timedelta(days=1)
# The newest stay however old they are: what witnesses know is compared with them.
NEWEST_KEPT = 1000
BATCH = 500
_PERIOD_S = 3600.0
_OLDEST = (
    "SELECT size, made_at FROM checkpoints WHERE size NOT IN (SELECT size FROM anchors)"
    " AND size < (SELECT size FROM checkpoints ORDER BY size DESC LIMIT 1 OFFSET ?) ORDER BY size LIMIT ?"
)


class CheckpointPruning:
    """Removes old checkpoints and their cosignatures from the database, a batch at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Take the ledger's database, and the service's time."""
        self._database = database
        self._clock = clock

    @property
    def task(self) -> Task:
        """The removal, as it runs in the background."""
        return Task("checkpoints", self.prune, _PERIOD_S, full=BATCH, at_once=True)

    def prune(self) -> int:
        """Remove a batch; return how many checkpoints it was.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        before = rfc3339(self._clock.now() - KEPT_FOR)
        found = self._database.rows(_OLDEST, (NEWEST_KEPT - 1, BATCH))
        # A larger one was made later: the first that is not old ends the search.
        old = [(size,) for size, _ in takewhile(lambda row: row[1] < before, found)]
        if old:
            self._remove(old)
        return len(old)

    def _remove(self, sizes: Sequence[tuple[int]]) -> None:
        with self._database.writing() as connection:
            for table in ("cosignatures", "checkpoints"):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE size = ?", list(sizes))  # noqa: S608
