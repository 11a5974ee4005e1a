"""What the write-ahead log of PostgreSQL says of the ledger's head: every committed advance, in the order of commits.

Read through logical decoding, so the database needs `wal_level=logical`; nothing of the product takes part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.services.postgresql import Server

_SLOT = "heads"
_SIZE = re.compile(r"size\[bigint\]:(\d+)")
_SEQ = re.compile(r"seq\[bigint\]:(\d+)")


class NotOneByOne(AssertionError):
    """An advance of the head is not a compare-and-swap on the one before it."""


@dataclass
class _Transaction:
    moves: list[tuple[int, int]] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)


class HeadLog:
    """Follows the head from the moment it is made.

    Attributes:
        advances: transactions that advanced it.
        size: of the ledger after them.
    """

    def __init__(self, server: Server, database: str) -> None:
        """Begin, once the tables are there."""
        self._server, self._database = server, database
        self.advances, self._begun = 0, self._head()
        self.size = self._begun
        # The row before an update is part of what is logged.
        self._execute("ALTER TABLE ledger_head REPLICA IDENTITY FULL")
        self._execute(f"SELECT pg_create_logical_replication_slot('{_SLOT}', 'test_decoding')")
        # Whoever advanced it meanwhile is not in the log.
        self._begun = self.size = self._head()

    def check(self) -> int:
        """Read the log up to now; return the number of transactions that advanced the head.

        1. Each transaction that touches the head updates it once, from the size that the one before left.
        2. It writes the entries in between, each once, and no other transaction writes any.
        3. The last one leaves the size that the table shows.

        Raises:
            NotOneByOne: it is not so.
        """
        at = _Transaction()
        size = self._head()
        for (line,) in self._execute(f"SELECT data FROM pg_logical_slot_get_changes('{_SLOT}', NULL, NULL)"):
            if line.startswith("BEGIN"):
                at = _Transaction()
            elif line.startswith("table public.ledger_head:"):
                old, _, new = line.partition("new-tuple:")
                if "UPDATE" not in line or not new:
                    raise NotOneByOne(line)
                at.moves.append((int(_SIZE.findall(old)[0]), int(_SIZE.findall(new)[0])))
            elif line.startswith("table public.ledger_entries:"):
                if "INSERT" not in line:
                    raise NotOneByOne(line)
                at.entries.append(int(_SEQ.findall(line)[0]))
            elif line.startswith("COMMIT"):
                self._take(at)
        # 3
        if self.size < size:
            raise NotOneByOne(f"the log ends at {self.size}, the head is at {size}")
        return self.advances

    def _take(self, done: _Transaction) -> None:
        if not done.moves and not done.entries:
            return
        # 1
        if len(done.moves) != 1 or done.moves[0][0] != self.size or done.moves[0][1] <= self.size:
            raise NotOneByOne(f"{done.moves} after {self.size}")
        old, new = done.moves[0]
        # 2
        if sorted(done.entries) != list(range(old, new)):
            raise NotOneByOne(f"{done.entries} written from {old} to {new}")
        self.size = new
        self.advances += 1

    def _head(self) -> int:
        return int(self._execute("SELECT size FROM ledger_head")[0][0])

    def _execute(self, sql: str) -> list[tuple[str]]:
        return self._server.execute(sql, self._database)  # type: ignore[return-value]
