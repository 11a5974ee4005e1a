"""What the audits of documents and of matters share: the run over their rows, and recovery files by commitment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import Connection, Table, func, select

from vault.db.engine import Database
from vault.ledger.findings import AuditReport, Problem, Progress
from vault.ledger.sampled import undetected_share
from vault.ledger.stored import read_head
from vault.records.book import RecordBook
from vault.records.changes import Change

_FILES_KEPT = 64
_PAGE = 256
Judge = Callable[[Connection, str, AuditReport], None]


class Book:
    """Recovery files by commitment, the last ones read kept: a group's entries belong to many documents."""

    def __init__(self, records: RecordBook) -> None:
        self._records = records
        self._kept: OrderedDict[str, Mapping[bytes, Change]] = OrderedDict()

    def changes(self, name: str) -> Mapping[bytes, Change]:
        """Return the changes of a file. Raises StorageError, LedgerError(RECORD_INVALID)."""
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        changes = [Change.decode(data) for data in self._records.read(name)]
        self._kept[name] = {change.commitment: change for change in changes}
        if len(self._kept) > _FILES_KEPT:
            self._kept.popitem(last=False)
        return self._kept[name]

    def forget(self) -> None:
        """Read everything anew."""
        self._kept.clear()


def begin_report(database: Database, table: Table) -> tuple[AuditReport, int]:
    """Return a report that names the ledger, and how many rows there are."""
    report = AuditReport()
    with database.reading(patient=True) as connection:
        head = read_head(connection)
        total = connection.scalar(select(func.count()).select_from(table)) or 0
    report.origin, report.size = head.origin, head.size
    return report, total


def judge_each(
    database: Database,
    table: Table,
    judge: Judge,
    book: Book,
    report: AuditReport,
    total: int,
    sample: int | None,
    progress: Progress,
) -> None:
    """Judge every row, or some drawn by chance.

    A service may be running: what looks wrong is looked at again, in a newer state of the database.

    Args:
        database: of the safe.
        table: has the column `id`.
        judge: lists the problems of the row with an identifier.
        book: what the judge reads recovery files through.
        report: gets the problems and the counts.
        total: rows there are.
        sample: rows to draw; None judges all.
        progress: called with rows done and rows in all.
    """
    wanted = total if sample is None else min(sample, total)
    for identifier in _identifiers(database, table, sample):
        if _problems(database, identifier, judge):
            book.forget()
            report.problems += _problems(database, identifier, judge)
        report.checked += 1
        progress(min(report.checked, wanted), wanted)
    if sample is not None and report.checked < total:
        report.undetected_share = undetected_share(report.checked)


def _problems(database: Database, identifier: str, judge: Judge) -> list[Problem]:
    found = AuditReport()
    with database.reading() as connection:
        judge(connection, identifier, found)
    return found.problems


def _identifiers(database: Database, table: Table, sample: int | None) -> Iterator[str]:
    """Yield identifiers a page at a time, so that neither memory nor a transaction grows."""
    if sample is not None:
        with database.reading(patient=True) as connection:
            yield from list(connection.scalars(select(table.c.id).order_by(func.random()).limit(sample)))
        return
    last = ""
    while True:
        query = select(table.c.id).where(table.c.id > last).order_by(table.c.id).limit(_PAGE)
        with database.reading() as connection:
            page = list(connection.scalars(query))
        if not page:
            return
        yield from page
        last = page[-1]
