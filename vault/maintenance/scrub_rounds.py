"""Reads the whole store again and again, a step at a time: scrubbing that goes on where any worker left it.

A round looks at every object that the database names, at each site, in order of addresses. How far it is stands in a
row, which a step changes only where it is as the step found it: of two workers that did the same step, one counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from storage.base import ObjectStore
from storage.errors import StorageUnavailable
from storage.pair_sites import Sites
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.composition.parts import Parts
from vault.db import models
from vault.db.engine import Database
from vault.errors import Unavailable
from vault.ledger.findings import AuditReport
from vault.maintenance.scrubbing import KINDS, Mender, Named, Pace, audit_store, named_after, scrub_named
from vault.maintenance.site_scrubbing import mender_of
from vault.observability.health import Health
from vault.tasks.runner import Task

_ROLE = "scrub"
_STEP_S = 10.0
_LIMIT_S = 600.0
_LARGEST = 8 << 30  # octets of one object, which a step reads to its end
_IN_A_ROW = 10
_KEPT = 10
_SHOWN = 20
_log = logging.getLogger("probans.storage")


@dataclass(frozen=True, slots=True)
class Round:
    """A reading of the whole store.

    Attributes:
        begun_at: UTC.
        ended_at: None while it goes on.
        checked: objects read so far.
        octets: of them.
        problems: found so far.
        undecided: of them, those that another look may clear up.
        repaired: made good from the other store.
    """

    begun_at: datetime
    ended_at: datetime | None
    checked: int
    octets: int
    problems: int
    undecided: int
    repaired: int


@dataclass(slots=True)
class _Step:
    """What a step did: where the next one goes on, None at the end of the round."""

    following: str | None
    report: AuditReport
    octets: int = 0


def open_scrubs(parts: Parts) -> ScrubRounds:
    """Return the scheduled scrub that the settings ask for."""
    settings = parts.settings
    return ScrubRounds(
        parts.database,
        parts.objects,
        parts.sites,
        parts.clock,
        every=settings.scrub_every(production=settings.is_production),
        octets_per_second=int(settings.scrub_rate * (1 << 20)),
    )


class ScrubRounds:
    """One per process; a lock lets only one of all processes work at a time."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        sites: Sites | None,
        clock: Clock,
        *,
        every: timedelta | None,
        octets_per_second: int,
    ) -> None:
        """Take what it works with.

        Args:
            database: names the objects.
            objects: where they lie, if in one store.
            sites: where they lie, if in two: each is read, and made good from the other.
            clock: the service's time.
            every: from the beginning of a round to the next one's; None: there are none.
            octets_per_second: read at most.
        """
        self._database = database
        self._objects = objects
        self._sites = sites
        self._clock = clock
        self._every = every
        self._rate = octets_per_second
        self._stop = threading.Event()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """A step, as it runs in the background; while a round goes on, the next one follows at once."""
        if self._every is None:
            return ()
        limit = _LIMIT_S + _LARGEST / self._rate
        return (Task(_ROLE, self.step, 30.0, limit, full=1, stop=self._stop.set),)

    def step(self) -> int:
        """Read for some seconds, if a round is due and no other process is at it; return how many objects.

        Steps:
            1. Become the one that reads.
            2. Take the round under way, or begin one where the time for it has come.
            3. Read what comes after its cursor.
            4. Write down how far that was, unless somebody else did meanwhile.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE; the round goes on from where it was.
        """
        # 1
        with self._database.leading(_ROLE) as leader:
            if not leader:
                return 0
            # 2
            row = self._due()
            if row is None:
                return 0
            # 3
            try:
                step = self._read(row["cursor"])
            except StorageUnavailable as error:
                raise Unavailable("STORAGE_UNAVAILABLE", error.code) from error
            # 4
            with self._database.writing() as connection:
                self._note(connection, row, step)
            for each in step.report.problems:
                _log.critical("scrub: %s", each.where, extra={"code": each.code})
            return max(step.report.checked, int(step.following is not None))

    def health(self) -> Health:
        """Tell what the newest round found, and when. Raises Unavailable."""
        with self._database.reading() as connection:
            rounds = newest_rounds(connection, 2)
        if not rounds:
            return Health(True, "no round yet", needed=False)
        notes = [_told(each) for each in rounds[: 1 if rounds[0].ended_at is not None else 2]]
        fine = all(each.problems == each.undecided for each in rounds[: len(notes)])
        return Health(fine, "; ".join(notes), needed=False)

    def _due(self) -> RowMapping | None:
        table, now = models.scrub_rounds, self._clock.now()
        newest = select(table).order_by(table.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(newest).mappings().first()
        if row is not None and row["ended_at"] is None:
            return row
        early = row is not None and abs(now - parse_rfc3339(row["begun_at"])) < (self._every or timedelta())
        if early:
            return None
        with self._database.writing() as connection:
            numbers = {"checked": 0, "octets": 0, "problems": 0, "undecided": 0, "repaired": 0}
            connection.execute(
                insert(table),
                {"begun_at": rfc3339(now), "cursor": _cursor(0, KINDS[0]), "found": "[]", **numbers},
            )
            row = connection.execute(newest).mappings().one()
            connection.execute(delete(table).where(table.c.id <= row["id"] - _KEPT))
        return row

    def _read(self, cursor: str) -> _Step:
        number, kind, address = cursor.split(":")
        stores: Sequence[str] = [site.name for site in self._sites.each] if self._sites is not None else [""]
        if int(number) >= len(stores):
            return _Step(None, AuditReport())  # begun when there were two stores
        if self._sites is None:
            return self._store(0, kind, address, self._objects, "", None, last=True)
        site = self._sites.each[int(number)]
        mender = mender_of(self._sites, site)
        with site.asked() as found:
            last = int(number) == len(stores) - 1
            return self._store(int(number), kind, address, found.objects, site.name, mender, last=last)

    def _store(
        self,
        number: int,
        kind: str,
        address: str,
        objects: ObjectStore,
        site: str,
        mender: Mender | None,
        *,
        last: bool,
    ) -> _Step:
        step = _Step(_cursor(number, kind, address), AuditReport())
        until, pace, failures = time.monotonic() + _STEP_S, Pace(self._rate, self._wait), 0
        for item in named_after(self._database, kind, address):
            if self._stop.is_set() or (step.report.checked and time.monotonic() > until):
                return step
            try:
                self._one(objects, item, step, pace, site, mender)
                failures = 0
            except StorageUnavailable as error:
                failures += 1
                if failures == _IN_A_ROW:
                    raise  # it is the store, not these objects
                where = f"object {item.address}"
                step.report.add(error.code, where, "its octets", str(error), indeterminate=True)
            step.following = _cursor(number, kind, item.address)
        if kind == KINDS[0]:
            step.following = _cursor(number, KINDS[1])
            return step
        step.report.problems += audit_store(objects).problems
        step.following = None if last else _cursor(number + 1, KINDS[0])
        return step

    def _wait(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _one(
        self, objects: ObjectStore, item: Named, step: _Step, pace: Pace, site: str, mender: Mender | None
    ) -> None:
        scrub_named(
            self._database, objects, item, self._clock, step.report, pace=pace, site=site, mender=mender
        )
        step.octets += item.size

    def _note(self, connection: Connection, row: RowMapping, step: _Step) -> None:
        table, report = models.scrub_rounds, step.report
        found = orjson.loads(row["found"]) + [[each.code, each.where] for each in report.problems]
        connection.execute(
            update(table)
            .where(table.c.id == row["id"], table.c.cursor == row["cursor"], table.c.ended_at.is_(None))
            .values(
                cursor=step.following or row["cursor"],
                ended_at=None if step.following else rfc3339(self._clock.now()),
                checked=table.c.checked + report.checked,
                octets=table.c.octets + step.octets,
                problems=table.c.problems + len(report.problems),
                undecided=table.c.undecided + sum(each.indeterminate for each in report.problems),
                repaired=table.c.repaired + len(report.repaired),
                found=orjson.dumps(found[:_SHOWN]).decode(),
            )
        )


def newest_rounds(connection: Connection, count: int) -> list[Round]:
    """Return the newest rounds, the newest first."""
    table = models.scrub_rounds
    rows = connection.execute(select(table).order_by(table.c.id.desc()).limit(count)).mappings()
    return [
        Round(
            parse_rfc3339(row["begun_at"]),
            parse_rfc3339(row["ended_at"]) if row["ended_at"] else None,
            row["checked"],
            row["octets"],
            row["problems"],
            row["undecided"],
            row["repaired"],
        )
        for row in rows
    ]


def _told(each: Round) -> str:
    when = f"until {rfc3339(each.ended_at)}" if each.ended_at else f"since {rfc3339(each.begun_at)}, goes on"
    found = f"{each.problems} problems" if each.problems else "no problem"
    if each.repaired:
        found = f"{found}, {each.repaired} repaired"
    return f"round {when}: {each.checked} objects, {found}"


def _cursor(site: int, kind: str, address: str = "") -> str:
    return f"{site}:{kind}:{address}"
