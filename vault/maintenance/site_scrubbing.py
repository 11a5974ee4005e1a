"""Scrubbing two stores: each against its addresses and the database, then the one against the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from storage import retention
from storage.errors import (
    LogConflict,
    ObjectDamaged,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
)
from storage.pair_catching import copy_object
from storage.pair_log import copy_file
from storage.pair_owed import Owed
from storage.pair_sites import Site, Sites, SiteStores
from vault.clock import Clock
from vault.db.engine import Database
from vault.ledger.findings import AuditReport, Problem, Progress, quiet
from vault.ledger.finished import is_finished
from vault.maintenance.catching_up import catch_up
from vault.maintenance.scrubbing import Mender, Pace, scrub
from vault.recovery.records import group_start
from vault.recovery.returning_records import may_return

_MEDIA_TYPE = "application/octet-stream"


class _SiteMender:
    """Makes good what is wrong at one site, from the copy at the other."""

    def __init__(self, sites: Sites, site: Site, *, repair: bool) -> None:
        self._site = site
        self._other = sites.other(site)
        self._repair = repair

    def is_owed(self, address: str) -> bool:
        """Tell whether the other site has noted that this one lacks it."""
        try:
            with self._other.asked() as source:
                source.owed.read(Owed("object", address).note)
        except StorageError:
            return False
        return True

    def mend(self, code: str, address: str, until: datetime | None) -> str:
        """Copy what is missing, replace what is damaged, lengthen what is not locked for long enough."""
        if not self._repair or code not in {"OBJECT_MISSING", "OBJECT_DAMAGED", "OBJECT_UNLOCKED"}:
            return ""
        if code == "OBJECT_UNLOCKED" and until is not None:
            with self._site.asked() as target:
                target.objects.extend(address, until)
            return "locked again"
        with self._other.asked() as source, self._site.asked() as target:
            if code == "OBJECT_MISSING":
                copy_object(source.objects, target.objects, address)
                return f"copied from the {self._other.name} store"
            try:
                kept = retention.later(source.objects.stat(address).retain_until, until)
                target.objects.repair(address, source.objects.read(address), kept)
            except ObjectMissing as error:
                raise ObjectDamaged(f"the {self._other.name} store has none") from error
            return f"replaced by the octets of the {self._other.name} store"


def mender_of(sites: Sites, site: Site) -> Mender:
    """Return what makes good, from the other site, what is wrong at one."""
    return _SiteMender(sites, site, repair=True)


def scrub_sites(
    database: Database,
    sites: Sites,
    clock: Clock,
    *,
    pace: Pace,
    repair: bool = False,
    origin: str = "",
    progress: Progress = quiet,
) -> AuditReport:
    """Compare both stores with their addresses, with the database and with each other.

    Steps:
        1. When it repairs: what is owed is paid first.
        2. Each store by itself, as `vault.maintenance.scrubbing.scrub`.
        3. Recovery records: the same at both. Of two that differ the first store's counts; one that only the second
           has is copied where the database names it: it must not come back otherwise.
        4. The ledger's files: the same at both; finished ones never differ.

    Args:
        database: of the safe; a service may be running.
        sites: the two stores.
        clock: locks that are over are not asked for.
        pace: of reading.
        repair: whether what is wrong in one store is made good from the other.
        origin: of the ledger, for the report.
        progress: called with objects read and objects in all, as far as known.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
    """
    report = AuditReport(origin=origin)
    # 1
    if repair:
        catch_up(database, sites)
    # 2
    for site in sites.each:
        mender = _SiteMender(sites, site, repair=repair)
        try:
            with site.asked() as stores:
                found = scrub(
                    database,
                    stores.objects,
                    clock,
                    pace=pace,
                    progress=progress,
                    site=site.name,
                    mender=mender,
                )
        except StorageUnavailable as error:
            report.add(
                error.code, f"{site.name} store", "an answer", str(error), check="site", indeterminate=True
            )
            continue
        report.checked += found.checked
        report.problems += found.problems
        report.repaired += found.repaired
    with suppress(StorageUnavailable), sites.first.asked() as first, sites.second.asked() as second:
        # 3
        _records(database, first, second, report, repair=repair)
        # 4
        _files(first, second, report, repair=repair)
    return report


def _records(
    database: Database, first: SiteStores, second: SiteStores, report: AuditReport, *, repair: bool
) -> None:
    for name in _union(first.records.names(), second.records.names()):
        if _read(first, name) == _read(second, name) or _noted(first, second, Owed("record", name)):
            continue
        # Within a write transaction nobody rewrites or deletes them: looked at again.
        with database.writing() as connection:
            here, there = (_read(stores, name) for stores in (first, second))
            if here == there:
                continue
            named = may_return(connection, name)
            if not named and group_start(name) is not None:
                continue  # of a group that was never committed, or came back: the next start empties it
            if here is None and not named:
                where, found = f"record {name} (second store)", "one that nothing names; it is not copied"
                report.add("NAME_FOREIGN", where, "no record of this name", found, check="records")
                continue
            code, lacking = "OBJECT_MISSING", "first" if here is None else "second"
            if here is not None and there is not None:
                code = "RECORD_DIFFERS"
            found = "none" if code == "OBJECT_MISSING" else "another one"
            wrong = Problem(
                code, f"record {name} ({lacking} store)", "the record of the other store", found, "records"
            )
            if not repair:
                report.problems.append(wrong)
                continue
            if here is not None:
                second.records.write(name, here)
            elif there is not None:
                first.records.write(name, there)
            done = f"copied from the {'second' if here is None else 'first'} store"
            report.repaired.append(replace(wrong, found=done))


def _files(first: SiteStores, second: SiteStores, report: AuditReport, *, repair: bool) -> None:
    for path in list(_union(first.log.list(), second.log.list())):
        here, there = _file(first, path), _file(second, path)
        finished = is_finished(path)
        owed = (Owed("log", path), Owed("log-swapped", path), Owed("log-removed", path))
        if here == there or _noted(first, second, *owed):
            continue
        where = f"ledger file {path} ({'first' if here is None else 'second'} store)"
        if here is not None and there is not None and finished:
            report.add("LOG_CONFLICT", where, "the file of the other store", "another one", check="ledger")
            continue
        found = "none" if here is None or there is None else "an older one"
        wrong = Problem("LOG_LAGS", where, "the file of the other store", found, "ledger")
        # What the publisher writes or removes while this runs is no difference to speak of.
        if (_file(first, path), _file(second, path)) != (here, there):
            continue
        if not repair:
            report.problems.append(wrong)
            continue
        try:
            if here is None and not finished and ".p/" in path:
                second.log.remove(path)  # a partial tile that the first store has whole
            elif here is None:
                copy_file(second, first, path, _MEDIA_TYPE)
            else:
                copy_file(first, second, path, _MEDIA_TYPE)
        except (LogConflict, ObjectMissing) as error:
            report.problems.append(
                Problem(error.code, where, "the file of the other store", str(error), "ledger")
            )
        else:
            report.repaired.append(replace(wrong, found="made like the other store's"))


def _union(*names: Iterator[str]) -> list[str]:
    return sorted({name for each in names for name in each})


def _read(stores: SiteStores, name: str) -> bytes | None:
    try:
        return stores.records.read(name)
    except ObjectMissing:
        return None


def _file(stores: SiteStores, path: str) -> bytes | None:
    try:
        return stores.log.get(path)
    except ObjectMissing:
        return None


def _noted(first: SiteStores, second: SiteStores, *things: Owed) -> bool:
    """Tell whether it is known already that one of the two lags."""
    for stores in (first, second):
        for thing in things:
            with suppress(ObjectMissing):
                stores.owed.read(thing.note)
                return True
    return False
