"""Scrubbing: every stored octet against the address it lies under, every named object against the store.

Addresses are digests of the stored, encrypted octets, so this needs no key: bit rot, an object that went away, a lock
that was shortened and names that somebody wrote over are found before anybody asks for the document.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select

from storage.base import ObjectStore
from storage.errors import ObjectDamaged, ObjectMissing, StorageError, StorageUnavailable
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.domain.states import Status
from vault.ledger.findings import AuditReport, Progress, quiet

_PAGE = 512
_IN_A_ROW = 10


@dataclass(frozen=True, slots=True)
class _Named:
    address: str
    size: int
    retain_until: datetime | None


class Pace:
    """Keeps reading at a rate, so that scrubbing leaves the store to those who wait for it."""

    def __init__(self, octets_per_second: int, wait: Callable[[float], None] = time.sleep) -> None:
        """Begin now; 0 for no limit."""
        self._rate = octets_per_second
        self._wait = wait
        self._begun = time.monotonic()
        self._read = 0

    def passed(self, octets: int) -> None:
        """Wait until this many more octets may have been read."""
        self._read += octets
        if self._rate:
            ahead = self._read / self._rate - (time.monotonic() - self._begun)
            if ahead > 0:
                self._wait(ahead)


def audit_store(objects: ObjectStore, origin: str = "") -> AuditReport:
    """List what others did to a store: names hidden, written over, or foreign. It reads no object."""
    report = AuditReport(origin=origin)
    try:
        report.checked = sum(1 for _ in objects.addresses())
        for each in objects.oddities():
            report.add(
                each.code, f"object {each.name}", "one version, as committed", each.found, check="store"
            )
    except StorageError as error:
        report.add(error.code, "object store", "a listing", str(error), check="store", indeterminate=True)
    return report


def scrub(
    database: Database,
    objects: ObjectStore,
    clock: Clock,
    *,
    pace: Pace,
    origin: str = "",
    progress: Progress = quiet,
) -> AuditReport:
    """Compare a store with its addresses and with the database.

    Steps:
        1. Every object that the database names is there, of its size, under the lock of its document. What looks
           wrong is looked up again: a document may have been destroyed meanwhile.
        2. Every object that is there has the octets of its address.
        3. Nothing lies over an object, or beside them all.

    Args:
        database: of the safe; a service may be running.
        objects: its store.
        clock: locks that are over are not asked for.
        pace: of reading.
        origin: of the ledger, for the report.
        progress: called with objects read and objects in all, as far as known.

    Raises:
        StorageUnavailable: the store does not answer any more.
    """
    report = AuditReport(origin=origin)
    # 1
    named = 0
    for item in _named(database):
        named += 1
        if _problem(objects, item, clock.now()) and (now_named := _again(database, item.address)):
            problem = _problem(objects, now_named, clock.now())
            if problem:
                report.add(problem[0], f"object {item.address}", *problem[1:], check="named")
    # 2
    failures = 0
    for address in objects.addresses():
        try:
            _read(objects, address, pace, report)
            failures = 0
        except ObjectMissing:
            pass  # deleted since the listing; had it been named, step 1 or the next run says so
        except StorageUnavailable as error:
            failures += 1
            if failures >= _IN_A_ROW:
                raise
            report.add(
                error.code, f"object {address}", "its octets", str(error), check="octets", indeterminate=True
            )
        report.checked += 1
        progress(report.checked, max(named, report.checked))
    # 3
    report.problems += audit_store(objects).problems
    return report


def _read(objects: ObjectStore, address: str, pace: Pace, report: AuditReport) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in objects.read(address):
            digest.update(chunk)
            size += len(chunk)
            pace.passed(len(chunk))
    except ObjectDamaged as error:
        report.add(error.code, f"object {address}", "its octets", str(error), check="octets")
        return
    if digest.hexdigest() != address:
        found = f"{size} octets, {digest.hexdigest()}"
        report.add("OBJECT_DAMAGED", f"object {address}", "octets of this address", found, check="octets")


def _problem(objects: ObjectStore, item: _Named, now: datetime) -> tuple[str, str, str] | None:
    """Return the code, what was expected and what was found; None where all is well."""
    try:
        stored = objects.stat(item.address)
    except ObjectMissing:
        return "OBJECT_MISSING", "an object in the store", "none"
    if stored.size != item.size:
        return "OBJECT_DAMAGED", f"{item.size} octets", f"{stored.size} octets"
    until = item.retain_until
    if until is not None and now < until and (stored.retain_until is None or stored.retain_until < until):
        found = rfc3339(stored.retain_until) if stored.retain_until else "none"
        return "OBJECT_UNLOCKED", f"a lock until {rfc3339(until)}", found
    return None


def _named(database: Database) -> Iterator[_Named]:
    """Yield what the database names, a page at a time: parts of documents not destroyed, papers of matters."""
    parts, papers = models.objects, models.matter_papers
    for table in (parts, papers):
        last = ""
        while page := _page(database, table.c.address > last, parts=table is parts):
            yield from page
            last = page[-1].address


def _again(database: Database, address: str) -> _Named | None:
    for parts in (True, False):
        table = models.objects if parts else models.matter_papers
        found = _page(database, table.c.address == address, parts=parts)
        if found:
            return found[0]
    return None


def _page(database: Database, which: ColumnElement[bool], *, parts: bool) -> list[_Named]:
    objects, documents, papers = models.objects, models.documents, models.matter_papers
    with database.reading() as connection:
        if not parts:
            query = select(papers.c.address, papers.c.stored_size).where(which)
            rows = connection.execute(query.order_by(papers.c.address).limit(_PAGE)).all()
            return [_Named(address, size, None) for address, size in rows]
        dated = (
            select(objects.c.address, objects.c.stored_size, documents.c.retain_until)
            .join(documents, documents.c.id == objects.c.document_id)
            .where(which, documents.c.status != Status.DESTROYED.value)
            .order_by(objects.c.address)
            .limit(_PAGE)
        )
        found = connection.execute(dated).all()
    return [_Named(address, size, parse_rfc3339(until)) for address, size, until in found]
