"""Scrubbing: every stored octet against the address it lies under, every named object against the store.

Addresses are digests of the stored, encrypted octets, so this needs no key: bit rot, an object that went away, a lock
that was shortened and names that somebody wrote over are found before anybody asks for the document.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import ColumnElement, select

from storage.base import ObjectStore
from storage.errors import ObjectDamaged, ObjectMissing, StorageError, StorageUnavailable
from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.domain.states import Status
from vault.ledger.findings import AuditReport, Problem, Progress, quiet

_PAGE = 512
_IN_A_ROW = 10
#: What objects are named for: parts of documents, papers of matters.
KINDS = ("part", "paper")


@dataclass(frozen=True, slots=True)
class Named:
    """An object that the database names.

    Attributes:
        address: of it.
        size: of its stored octets.
        retain_until: of its document; None where the database keeps no date.
    """

    address: str
    size: int
    retain_until: datetime | None


class Mender(Protocol):
    """Makes good, from another copy, what is wrong with one."""

    def mend(self, code: str, address: str, until: datetime | None) -> str:
        """Return what was done, in words. Raises StorageError when it cannot be done."""
        ...

    def is_owed(self, address: str) -> bool:
        """Tell whether the object is known to be on its way."""
        ...


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
    site: str = "",
    mender: Mender | None = None,
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
        site: said of what is wrong, where there are several stores.
        mender: makes good what is wrong; None only reports it.

    Raises:
        StorageUnavailable: the store does not answer any more.
    """
    report = AuditReport(origin=origin)
    # 1
    named = 0
    for item in named_objects(database):
        named += 1
        if problem_of(objects, item, clock.now()) and (again := _named_now(database, item.address)):
            problem = problem_of(objects, again, clock.now())
            if problem:
                _tell(
                    report,
                    Problem(problem[0], _where(item.address, site), *problem[1:], "named"),
                    again,
                    mender,
                )
    # 2
    failures = 0
    for address in objects.addresses():
        try:
            found = wrong_octets(objects, address, pace)
            if found:
                wrong = Problem(
                    "OBJECT_DAMAGED", _where(address, site), "octets of this address", found, "octets"
                )
                _tell(report, wrong, Named(address, 0, None), mender)
            failures = 0
        except ObjectMissing:
            pass  # deleted since the listing; had it been named, step 1 or the next run says so
        except StorageUnavailable as error:
            failures += 1
            if failures >= _IN_A_ROW:
                raise
            report.add(
                error.code,
                _where(address, site),
                "its octets",
                str(error),
                check="octets",
                indeterminate=True,
            )
        report.checked += 1
        progress(report.checked, max(named, report.checked))
    # 3
    report.problems += [
        replace(each, where=f"{each.where} ({site} store)") if site else each
        for each in audit_store(objects).problems
    ]
    return report


def _where(address: str, site: str) -> str:
    return f"object {address} ({site} store)" if site else f"object {address}"


def _tell(report: AuditReport, wrong: Problem, item: Named, mender: Mender | None) -> None:
    """Have a problem made good, or list it."""
    if mender is not None:
        if mender.is_owed(item.address):
            wrong = replace(wrong, found=f"{wrong.found}; the other store owes it", indeterminate=True)
        try:
            done = mender.mend(wrong.code, item.address, item.retain_until)
        except StorageError as error:
            wrong = replace(wrong, found=f"{wrong.found}; not repaired: {error}")
        else:
            if done:
                report.repaired.append(replace(wrong, found=done))
                return
    report.problems.append(wrong)


def wrong_octets(objects: ObjectStore, address: str, pace: Pace) -> str:
    """Read an object; return what was found in the place of its octets, nothing where they are right.

    Raises:
        ObjectMissing: it is gone.
        StorageUnavailable: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in objects.read(address):
            digest.update(chunk)
            size += len(chunk)
            pace.passed(len(chunk))
    except ObjectDamaged as error:
        return str(error)
    return "" if digest.hexdigest() == address else f"{size} octets, {digest.hexdigest()}"


def problem_of(objects: ObjectStore, item: Named, now: datetime) -> tuple[str, str, str] | None:
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


def named_objects(database: Database) -> Iterator[Named]:
    """Yield what the database names, a page at a time: parts of documents not destroyed, papers of matters."""
    for kind in KINDS:
        yield from named_after(database, kind, "")


def named_after(database: Database, kind: str, address: str) -> Iterator[Named]:
    """Yield what the database names of one kind, in order of addresses, beyond one; a page at a time."""
    parts = kind == "part"
    table = models.objects if parts else models.matter_papers
    while page := _page(database, table.c.address > address, parts=parts):
        yield from page
        address = page[-1].address


def scrub_named(
    database: Database,
    objects: ObjectStore,
    item: Named,
    clock: Clock,
    report: AuditReport,
    *,
    pace: Pace,
    site: str = "",
    mender: Mender | None = None,
) -> None:
    """Look at one object that the database names, and read it; as steps 1 and 2 of `scrub`.

    Raises:
        StorageUnavailable: the store does not answer.
    """
    report.checked += 1
    wrong = problem_of(objects, item, clock.now())
    if wrong is None:
        try:
            found = wrong_octets(objects, item.address, pace)
        except ObjectMissing:
            wrong = "OBJECT_MISSING", "an object in the store", "none"
        else:
            wrong = ("OBJECT_DAMAGED", "octets of this address", found) if found else None
    # Destroyed meanwhile, it is not looked for any more.
    if wrong is not None and (again := _named_now(database, item.address)) is not None:
        if wrong[0] == "OBJECT_UNLOCKED" and problem_of(objects, again, clock.now()) is None:
            return
        _tell(report, Problem(wrong[0], _where(item.address, site), *wrong[1:], "named"), again, mender)


def _named_now(database: Database, address: str) -> Named | None:
    for parts in (True, False):
        table = models.objects if parts else models.matter_papers
        found = _page(database, table.c.address == address, parts=parts)
        if found:
            return found[0]
    return None


def _page(database: Database, which: ColumnElement[bool], *, parts: bool) -> list[Named]:
    objects, documents, papers = models.objects, models.documents, models.matter_papers
    with database.reading() as connection:
        if not parts:
            query = select(papers.c.address, papers.c.stored_size).where(which)
            rows = connection.execute(query.order_by(papers.c.address).limit(_PAGE)).all()
            return [Named(address, size, None) for address, size in rows]
        dated = (
            select(objects.c.address, objects.c.stored_size, documents.c.retain_until)
            .join(documents, documents.c.id == objects.c.document_id)
            .where(which, documents.c.status != Status.DESTROYED.value)
            .order_by(objects.c.address)
            .limit(_PAGE)
        )
        found = connection.execute(dated).all()
    return [Named(address, size, parse_rfc3339(until)) for address, size, until in found]
