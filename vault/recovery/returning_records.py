"""Which recovery record, found at one of two stores alone, may be copied to the other.

A record that was deleted must not come back: a store that was restored from an old copy, or somebody, may hold one.
So the database is asked whether what it is about is there.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, exists, or_, select

from vault.db import models
from vault.ids import looks_like_id
from vault.recovery.records import group_start

# What is never deleted while the safe lasts; of scans, identifiers and verdicts are all there is.
_LASTING = ("administration-", "service-", "system-", "scans-")


def may_return(connection: Connection, name: str) -> bool:
    """Tell whether the database still names what a recovery record is about.

    Args:
        connection: a transaction that keeps out whoever deletes records.
        name: of the record.
    """
    if name.startswith(_LASTING):
        return True
    if group_start(name) is not None:
        tables = (models.document_entries, models.matter_entries)
        return bool(
            connection.scalar(select(or_(*(exists().where(each.c.record == name) for each in tables))))
        )
    kind, _, rest = name.partition("_")
    about = _ABOUT.get(kind)
    if about is None:
        return False
    column, prefix = about
    identifier = f"{prefix}_{rest}"
    return looks_like_id(identifier, prefix) and bool(
        connection.scalar(select(exists().where(column == identifier)))
    )


_ABOUT: dict[str, tuple[Column[str], str]] = {
    "safe": (models.safes.c.id, "safe"),
    "acc": (models.accounts.c.id, "acc"),
    "cnt": (models.notice_contacts.c.id, "cnt"),
    "labels": (models.document_labels.c.document_id, "doc"),
    "choices": (models.notice_choices.c.safe_id, "safe"),
}
