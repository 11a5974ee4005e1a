"""How much of a database a process takes; apart, so that settings can name it without the database's libraries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """What a process takes of a database, and how long it waits for it; SQLite has its own.

    Attributes:
        connections: connections in the pool at most, beside the one that holds locks.
        statement_s: seconds a statement may take, unless its transaction is a patient one.
        lock_s: seconds a transaction waits for another one.
        idle_s: seconds a transaction may lie open between two statements: after that a paused process loses its
            locks, and what it had not committed.
        replicated: refuse a server whose commits do not wait for a standby.
    """

    connections: int = 16
    statement_s: float = 30.0
    lock_s: float = 10.0
    idle_s: float = 30.0
    replicated: bool = False
