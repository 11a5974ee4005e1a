"""What `vault.db.engine.Database` asks of a kind of database; one module for each implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine


class KeyLocks(Protocol):
    """Locks by key, shared by every process of a database and freed when their holder dies."""

    def hold(self, key: bytes) -> AbstractContextManager[bool]:
        """Try to hold a key while the block runs; give False at once when another thread or process does."""
        ...

    def holds(self, key: bytes) -> bool:
        """Tell whether a key that this process took is still its own, as far as it knows; it asks nobody."""
        ...


class Backend(Protocol):
    """One kind of database."""

    @property
    def engine(self) -> Engine:
        """The engine; connections of it begin no transaction by themselves."""
        ...

    @property
    def locks(self) -> KeyLocks | None:
        """Locks between hosts; None where all processes are on one host."""
        ...

    def begin(self, connection: Connection, *, write: bool, patient: bool) -> None:
        """Begin a transaction; a writing one has the writers' turn until it ends, or is begun within `turn`.

        Raises sqlalchemy.exc.DBAPIError or Unavailable.
        """
        ...

    def glance(
        self, sql: str, parameters: Sequence[Any], is_guarded: Callable[[Any], bool]
    ) -> list[Any] | None:
        """Return the rows of one statement that reads, where it needs no transaction around it to be one.

        Args:
            sql: the statement, question marks as placeholders.
            parameters: their values.
            is_guarded: tells of a connection whether it may be read from as it is.

        Returns:
            None where that cannot be done: then it is read in a transaction, which raises what there is to raise.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Keep other writers out, where transactions themselves do not."""
        ...

    def leading(self, role: str) -> AbstractContextManager[bool]:
        """See `Database.leading`."""
        ...

    def incarnation(self, connection: Connection) -> object:
        """Return what tells this run of the server from one that took its place; compared for equality."""
        ...

    def is_dead(self, connection: Connection) -> bool:
        """Tell whether a connection that failed to begin had been dead before."""
        ...

    def scrub(self) -> bool:
        """See `Database.scrub`."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
