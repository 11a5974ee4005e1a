"""Which systems there are; an operator registers and ends them. What they do is in `vault.people.systems`.

Each system has one recovery file with its whole present state, durable before the row changes. The file is the
truth: recovery and each start of the service bring the row up to it, so that a system which was ended does not come
back with an older copy of the database.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select

from storage.errors import StorageError
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.db.models import administrations
from vault.db.system_tables import system_tokens, systems
from vault.domain.systems import SCOPES, System
from vault.errors import LedgerError, NotFound, Refused
from vault.ids import new_id
from vault.people.system_keys import MOST_KEYS
from vault.records.book import RecordBook
from vault.records.changes import Change
from vault.recovery.records import lacks_parent

ID_PREFIX = "sys"
_RECORD = "system-"
_log = logging.getLogger("probans.records")
_MAX_NAME = 200
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}|")


class SystemRegistry:
    """Registers systems."""

    def __init__(self, database: Database, records: RecordBook, clock: Clock) -> None:
        self._database = database
        self._records = records
        self._clock = clock

    def add(
        self,
        *,
        administration_id: str | None,
        service: str,
        name: str,
        scopes: Collection[str],
        keys: Sequence[Mapping[str, str]] = (),
        certificates: Sequence[str] = (),
    ) -> System:
        """Register a system.

        Args:
            administration_id: whose it is; None for the portal.
            service: of the administration, or "".
            name: what its operators call it.
            scopes: of `vault.domain.systems.SCOPES`.
            keys: from `vault.people.system_keys.read_keys`.
            certificates: from `vault.people.system_keys.read_certificates`.

        Raises:
            Refused: FIELD_INVALID naming the field; KEY_REFUSED when there is nothing it could prove itself with.
            NotFound: UNKNOWN_ADMINISTRATION.
        """
        _check_words(service, name, scopes)
        _check_means(keys, certificates)
        system = System(
            client_id=new_id(ID_PREFIX),
            administration_id=administration_id,
            service=service,
            name=name,
            keys=tuple(keys),
            certificates=tuple(certificates),
            scopes=frozenset(scopes),
            created_at=self._now(),
        )
        with self._database.writing() as connection:
            if administration_id is not None:
                known = select(administrations.c.id).where(administrations.c.id == administration_id)
                if connection.scalar(known) is None:
                    raise NotFound("UNKNOWN_ADMINISTRATION")
            self._write(connection, system)
        return system

    def all(self) -> Sequence[System]:
        """Return every system, ended ones too, in order of registration."""
        with self._database.reading() as connection:
            rows = connection.execute(select(systems).order_by(systems.c.created_at, systems.c.client_id))
            return [system_of(row) for row in rows.mappings()]

    def end(self, client_id: str) -> System:
        """End a system for good: its tokens stop counting at once. Ending it again changes nothing.

        Raises:
            NotFound: UNKNOWN_SYSTEM.
        """
        with self._database.writing() as connection:
            system = self._known(connection, client_id)
            if system.ended_at is None:
                system = replace(system, ended_at=self._now())
                self._write(connection, system)
            return system

    def rotate(
        self,
        client_id: str,
        keys: Sequence[Mapping[str, str]] = (),
        certificates: Sequence[str] = (),
        *,
        keep: bool = False,
    ) -> System:
        """Give a system other keys and certificates; tokens it got with those before stop counting at once.

        Args:
            client_id: the system.
            keys: the new ones.
            certificates: the new ones.
            keep: those before count too, until the next change.

        Raises:
            NotFound: UNKNOWN_SYSTEM, or it was ended.
            Refused: KEY_REFUSED when nothing is left, or too much.
        """
        with self._database.writing() as connection:
            before = self._known(connection, client_id)
            if before.ended_at is not None:
                raise NotFound("UNKNOWN_SYSTEM")
            if keep:
                given = {key["kid"] for key in keys}
                keys = (*keys, *(key for key in before.keys if key["kid"] not in given))
                certificates = tuple(dict.fromkeys((*certificates, *before.certificates)))
            _check_means(keys, certificates)
            system = replace(before, keys=tuple(keys), certificates=tuple(certificates))
            self._write(connection, system)
            return system

    def _now(self) -> datetime:
        """Return the time as the row will tell it."""
        return parse_rfc3339(rfc3339(self._clock.now()))

    def _known(self, connection: Connection, client_id: str) -> System:
        system = load_system(connection, client_id)
        if system is None:
            raise NotFound("UNKNOWN_SYSTEM")
        return system

    def _write(self, connection: Connection, system: System) -> None:
        row = _row(system)
        key = {"client_id": row.pop("client_id")}
        # Inserted where it is missing, updated where it is there: see vault.recovery.rebuilding.
        change = Change(system.client_id, b"", b"", (("systems", {**key, **row}),), (("systems", key, row),))
        self._records.write(_RECORD + system.client_id, [change.encode()])
        faults.point("systems.recorded")
        follow_record(connection, change)


def load_system(connection: Connection, client_id: str) -> System | None:
    """Return a system, also one that was ended, or None."""
    row = connection.execute(select(systems).where(systems.c.client_id == client_id)).mappings().first()
    return None if row is None else system_of(row)


def follow_record(connection: Connection, change: Change) -> None:
    """Bring the row of a system up to its recovery record; its tokens end where anything changes."""
    ((_, row),) = change.inserts
    before = connection.execute(select(systems).where(systems.c.client_id == row["client_id"])).mappings()
    present = before.first()
    if present is None:
        change.apply(connection, 0, "")
    elif dict(present) != dict(row):
        replace(change, inserts=()).apply(connection, 0, "")
        connection.execute(delete(system_tokens).where(system_tokens.c.client_id == row["client_id"]))


def follow_records(database: Database, records: RecordBook) -> None:
    """Bring the rows of all systems up to their recovery records.

    A file that cannot be read must not keep the service from starting: its row stays as it is, and the log says so.
    """
    changes = []
    for name in records.names():
        if name.startswith(_RECORD):
            try:
                changes += [Change.decode(data) for data in records.read(name)]
            except (StorageError, LedgerError) as error:
                _log.error(
                    "recovery file of a system cannot be read", extra={"record": name, "code": error.code}
                )
    if not changes:
        return
    with database.writing() as connection:
        for change in changes:
            if not lacks_parent(connection, change):
                follow_record(connection, change)


def system_of(row: RowMapping) -> System:
    """Return the system that a row describes."""
    return System(
        client_id=row["client_id"],
        administration_id=row["administration_id"],
        service=row["service"],
        name=row["name"],
        keys=tuple(json.loads(row["keys"])),
        certificates=tuple(json.loads(row["certificates"])),
        scopes=frozenset(row["scopes"].split()),
        created_at=parse_rfc3339(row["created_at"]),
        ended_at=parse_rfc3339(row["ended_at"]) if row["ended_at"] else None,
    )


def _row(system: System) -> dict[str, Any]:
    return {
        "client_id": system.client_id,
        "administration_id": system.administration_id,
        "service": system.service,
        "name": system.name,
        "keys": json.dumps([dict(key) for key in system.keys], sort_keys=True),
        "certificates": json.dumps(list(system.certificates)),
        "scopes": " ".join(sorted(system.scopes)),
        "created_at": rfc3339(system.created_at),
        "ended_at": rfc3339(system.ended_at) if system.ended_at else None,
    }


def _check_words(service: str, name: str, scopes: Collection[str]) -> None:
    if not _SERVICE.fullmatch(service):
        raise Refused("FIELD_INVALID", "lower-case letters, digits and hyphens, at most 64", field="service")
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise Refused("FIELD_INVALID", f"1 to {_MAX_NAME} characters", field="name")
    if unknown := sorted(set(scopes) - SCOPES.keys()):
        raise Refused("FIELD_INVALID", f"unknown: {unknown[0][:64]}", field="scope")
    if not scopes:
        raise Refused("FIELD_INVALID", "at least one", field="scope")


def _check_means(keys: Sequence[Mapping[str, str]], certificates: Sequence[str]) -> None:
    if not keys and not certificates:
        problem = "neither a public key nor a certificate"
    elif len(keys) > MOST_KEYS or len(certificates) > MOST_KEYS:
        problem = f"more than {MOST_KEYS} keys or certificates"
    elif len({key["kid"] for key in keys}) < len(keys):
        problem = "two keys have the same kid"
    else:
        return
    raise Refused("KEY_REFUSED", problem)
