"""Removes recovery records that no committed entry names: leftovers of crashes, which no destruction finds.

A group's recovery file is durable before the group commits. A crash in between leaves a file with keys of
documents that never were; so does a recovery that was cut short. Nothing but its time would ever end them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import select

from storage.errors import StorageError
from vault.db import models
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ids import looks_like_id
from vault.ledger.stored import read_head
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.recovery.records import group_start, is_destruction_record, record_names_in_use

_log = logging.getLogger("probans.records")


def newest_group(records: RecordBook) -> int:
    """Return the greatest size of the ledger at which a group with a recovery file began, 0 without any."""
    return max((group_start(name) or 0 for name in records.names()), default=0)


def sweep_dead_records(database: Database, records: RecordBook) -> int:
    """Empty recovery files of groups that were never committed; return how many.

    Any process may do it at any time: a file that was there before the head was read, whose group began
    before that head, and which no row names, belongs to a group that can never be committed any more.
    Records of destructions stay: rows stop naming them when their document is forgotten.
    """
    names = list(records.names())
    with database.reading() as connection:
        size = read_head(connection).size
        named = record_names_in_use(connection)
    dead = [name for name in names if name not in named and _began_before(name, size)]
    return _empty(records, dead) + _drop_unopened(database, records)


def _began_before(name: str, size: int) -> bool:
    start = group_start(name)
    return start is not None and start < size


def _empty(records: RecordBook, names: Sequence[str]) -> int:
    emptied = 0
    for name in names:
        try:
            emptied += records.rewrite(name, lambda data: is_destruction_record(Change.decode(data)))
        except (StorageError, LedgerError) as error:
            # It must not keep the service from starting; the next start tries again.
            _log.error("recovery file cannot be swept", extra={"record": name, "code": error.code})
    return emptied


def _drop_unopened(database: Database, records: RecordBook) -> int:
    """Drop records of safes and accounts whose opening was cut short, and of those that ended.

    The write lock keeps openings under way apart.
    """
    dropped = 0
    with database.writing() as connection:
        for prefix, table in (
            ("safe", models.safes),
            ("acc", models.accounts),
            ("cnt", models.notice_contacts),
        ):
            known = set(connection.scalars(select(table.c.id)))
            for name in records.names():
                if looks_like_id(name, prefix) and name not in known:
                    try:
                        records.delete(name)
                        dropped += 1
                    except StorageError as error:
                        # One of two stores may be down: the next start tries again.
                        _log.error(
                            "recovery file cannot be dropped", extra={"record": name, "code": error.code}
                        )
    return dropped
