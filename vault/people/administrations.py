"""Administrations: registered by an operator, each with a recovery file that is durable before its row."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update

from vault.clock import Clock, rfc3339
from vault.core import faults
from vault.db import models
from vault.db.engine import Database
from vault.errors import Refused
from vault.files.fields import check_text
from vault.records.book import RecordBook
from vault.records.changes import Change

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MAX_NAME = 200


class Administrations:
    """Registers administrations. Each has an act seal of its own, which the cabinet holds (`docs/keys.md`)."""

    def __init__(self, database: Database, records: RecordBook, clock: Clock) -> None:
        """Args as stored."""
        self._database = database
        self._records = records
        self._clock = clock

    def add(self, identifier: str, name: str) -> None:
        """Register an administration, or change its name.

        Args:
            identifier: stable; lower-case letters, digits and hyphens, 64 at most.
            name: in French, as people read it.

        Raises:
            Refused: FIELD_INVALID naming the field.
            storage.errors.StorageUnavailable: its recovery file cannot be written; nothing changed.
        """
        if not _ID.fullmatch(identifier):
            raise Refused("FIELD_INVALID", "lower-case letters, digits and hyphens", field="administration")
        check_text("name", name, _MAX_NAME, required=True)
        table = models.administrations
        with self._database.writing() as connection:
            found = connection.execute(select(table).where(table.c.id == identifier)).mappings().first()
            created = found["created_at"] if found else rfc3339(self._clock.now())
            row = {"id": identifier, "name": name, "created_at": created}
            # Documents name their administration, so recovery needs it before them.
            change = Change(identifier, b"", b"", inserts=((table.name, row),))
            self._records.write(f"administration-{identifier}", [change.encode()])
            faults.point("administrations.recorded")
            if found is None:
                connection.execute(insert(table), row)
            else:
                connection.execute(update(table).where(table.c.id == identifier).values(name=name))

    def all(self) -> dict[str, str]:
        """Return names by identifier, in order."""
        table = models.administrations
        with self._database.reading() as connection:
            rows = connection.execute(select(table.c.id, table.c.name).order_by(table.c.id)).all()
        return {row.id: row.name for row in rows}


class Names:
    """Names of administrations by identifier, each read once."""

    def __init__(self, database: Database, known: Mapping[str, str]) -> None:
        """Take the names that are known without asking."""
        self._database = database
        self._known = dict(known)

    def __call__(self, identifier: str) -> str:
        """Return the name of an administration; its identifier where it has none."""
        if identifier not in self._known:
            with self._database.reading() as connection:
                name = _name(connection, identifier)
            if name is None:
                return identifier
            self._known[identifier] = name
        return self._known[identifier]


def _name(connection: Connection, identifier: str) -> str | None:
    table = models.administrations
    return connection.scalar(select(table.c.name).where(table.c.id == identifier))
