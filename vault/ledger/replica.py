"""A server that follows the first one, for reads that cost much and decide nothing.

It is asked only when it has what the caller knows already: who may see something is decided on the first server, which
also says how long the ledger is; a copy that has fewer entries is passed over. So nobody sees less than what was when
the decision was made, and whatever is wrong with the copy, the first server answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from vault.db.engine import Database
from vault.db.limits import DatabaseLimits
from vault.errors import SettingsRefused, Unavailable, VaultError
from vault.ledger.stored import Head, find_head

_T = TypeVar("_T")
_REST_S = 10.0
_log = logging.getLogger("probans.database")


class Replica:
    """One follower; opened when it is first asked, and left alone for a while when it does not answer."""

    def __init__(self, url: str, lock_folder: Path, limits: DatabaseLimits) -> None:
        """Open nothing yet; its arguments are those of `Database.open`."""
        self._open: Callable[[], Database] = lambda: Database.open(url, lock_folder, limits)
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._rests_until = 0.0

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            if self._database is not None:
                self._database.close()

    def read(self, known: Head, work: Callable[[Connection], _T]) -> tuple[_T] | None:
        """Do the work on the copy if it has this much of this ledger; None when the first server must.

        Args:
            known: of the ledger, as the decision knew it.
            work: reads, and may be done once more elsewhere.
        """
        try:
            with self._opened().reading() as connection:
                head = find_head(connection)
                if head is None or head.origin != known.origin or head.size < known.size:
                    return None
                return (work(connection),)
        except Unavailable as error:
            self._rest(error)
        except DBAPIError as error:  # such as a schema that has not followed yet
            self._rest(Unavailable("DATABASE_UNAVAILABLE", type(error).__name__))
        except VaultError:
            pass  # damaged, it may be, or refused: the first server says
        return None

    def _opened(self) -> Database:
        with self._lock:
            if time.monotonic() < self._rests_until:
                raise Unavailable("DATABASE_UNAVAILABLE", "it did not answer a moment ago")
            if self._database is None:
                try:
                    self._database = self._open()
                except (Unavailable, SettingsRefused) as error:
                    self._rest(error)
                    raise Unavailable("DATABASE_UNAVAILABLE", error.detail) from error
            return self._database

    def _rest(self, error: VaultError) -> None:
        now = time.monotonic()
        if now >= self._rests_until:
            self._rests_until = now + _REST_S
            _log.warning("the copy of the database is passed over: %s %s", error.code, error.detail)


def read_as_of(
    database: Database, replica: Replica | None, known: Head, work: Callable[[Connection], _T]
) -> _T:
    """Do a work that reads, on the copy where that has this much of the ledger, else on the database itself."""
    done = replica.read(known, work) if replica is not None else None
    if done is not None:
        return done[0]
    with database.reading() as connection:
        return work(connection)
