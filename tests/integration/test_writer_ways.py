"""The ways to hand works to the ledger's writer: threads, futures, coroutines; rows left for the group; its syncs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tests.services.postgresql import address
from vault.clock import SystemClock
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of
from vault.db.engine import Database
from vault.db.models import outbox
from vault.errors import LedgerError, Unavailable
from vault.ledger.chain import verify_chain
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.stored import entries, read_head
from vault.ledger.writer import Appended, AsyncSubmitter, LedgerTransaction, LedgerWriter

TAG, COMMITMENT = bytes(range(32)), bytes(32)
COLUMNS = ("topic", "payload", "created_at")


def open_safe(folder: Path) -> tuple[Database, LedgerWriter]:
    database = Database.open(address(folder), folder / "locks")
    database.migrate()
    open_ledger(database, SystemClock(), LedgerKeys.new("safe.example/ledger/1"), [])
    return database, LedgerWriter(database, lambda _name, _records: None, SystemClock())


@pytest.fixture
def safe(tmp_path: Path, each_database: str) -> Iterator[tuple[Database, LedgerWriter]]:
    database, writer = open_safe(tmp_path)
    writer.start()
    yield database, writer
    writer.close()
    database.close()


def row(topic: str) -> tuple[str, str, str]:
    return topic, "p", "2026-01-01T00:00:00.000Z"


def topics(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.scalars(select(outbox.c.topic).order_by(outbox.c.topic)))


def append(tx: LedgerTransaction) -> Appended:
    return tx.append(TAG, COMMITMENT)


def size(database: Database) -> int:
    with database.reading() as connection:
        head = read_head(connection)
        report = verify_chain(body for _, body, _ in entries(connection, 0, head.size))
    assert (report.size, report.last_leaf) == (head.size, head.last_leaf)
    return head.size


def together(writer: LedgerWriter, works: list[object]) -> list[object]:
    """Hand works to the writer in one group; return each outcome, an exception as itself."""
    hold, held = threading.Event(), threading.Event()

    def block(_: LedgerTransaction) -> None:
        held.set()
        hold.wait(10)

    first = writer.submit(block)
    assert held.wait(10)
    futures = [writer.submit(work) for work in works]  # type: ignore[arg-type]
    hold.set()
    first.result(10)
    return [future.exception(10) or future.result() for future in futures]


def test_coroutines_are_answered_after_the_commit(safe: tuple[Database, LedgerWriter]) -> None:
    database, writer = safe

    async def some(submitter: AsyncSubmitter) -> list[int]:
        return [(await submitter.submit(append)).seq for _ in range(5)]

    async def everybody() -> list[list[int]]:
        submitter = AsyncSubmitter(writer)
        return await asyncio.gather(*(some(submitter) for _ in range(64)))

    found = sorted(seq for one in asyncio.run(everybody()) for seq in one)
    assert found == list(range(1, 321))
    assert size(database) == 321


def test_a_coroutine_gets_what_its_work_raised(safe: tuple[Database, LedgerWriter]) -> None:
    database, writer = safe

    def refuse(tx: LedgerTransaction) -> Appended:
        append(tx)
        raise KeyError("its own")

    async def both() -> list[object]:
        submitter = AsyncSubmitter(writer)
        waiting = [submitter.submit(refuse), submitter.submit(append)]
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    refused, appended = asyncio.run(both())
    assert isinstance(refused, KeyError)
    assert isinstance(appended, Appended)
    assert size(database) == 2


def test_a_cancelled_coroutine_and_a_closed_loop_harm_nobody(safe: tuple[Database, LedgerWriter]) -> None:
    database, writer = safe
    hold, held = threading.Event(), threading.Event()

    def block(tx: LedgerTransaction) -> Appended:
        held.set()
        hold.wait(10)
        return append(tx)

    async def leave() -> None:
        submitter = AsyncSubmitter(writer)
        running = submitter.submit(block)
        await asyncio.to_thread(held.wait, 10)
        submitter.submit(append).cancel()  # not begun: must not run
        running.cancel()  # begun: runs, nobody is told

    asyncio.run(leave())
    hold.set()
    writer.run(append)
    assert size(database) == 3


def test_a_writer_that_is_closed_refuses_coroutines(tmp_path: Path) -> None:
    database, writer = open_safe(tmp_path)
    writer.close()

    async def submit() -> None:
        await AsyncSubmitter(writer).submit(append)

    with pytest.raises(Unavailable) as caught:
        asyncio.run(submit())
    assert caught.value.code == "LEDGER_UNAVAILABLE"
    database.close()


def test_rows_left_for_the_group_are_there_for_who_looks(safe: tuple[Database, LedgerWriter]) -> None:
    database, writer = safe

    def leave(tx: LedgerTransaction) -> None:
        tx.insert("outbox", COLUMNS, row("one"))

    def look(tx: LedgerTransaction) -> list[str]:
        tx.insert("outbox", COLUMNS, row("two"))
        seen = list(tx.connection.scalars(select(outbox.c.topic).order_by(outbox.c.id)))
        tx.insert("outbox", COLUMNS, row("three"))
        return seen

    assert together(writer, [leave, look]) == [None, ["one", "two"]]
    assert topics(database) == ["one", "three", "two"]


@pytest.mark.parametrize("looks", [False, True])
def test_rows_left_by_a_work_that_raised_are_undone_with_it(
    safe: tuple[Database, LedgerWriter], *, looks: bool
) -> None:
    database, writer = safe

    def keep(tx: LedgerTransaction) -> None:
        tx.insert("outbox", COLUMNS, row("kept"))

    def refuse(tx: LedgerTransaction) -> None:
        tx.insert("outbox", COLUMNS, row("before"))
        if looks:
            tx.connection.scalars(select(outbox.c.topic)).all()
        tx.insert("outbox", COLUMNS, row("after"))
        raise KeyError("refused")

    kept, refused, again = together(writer, [keep, refuse, keep])
    assert kept is None
    assert isinstance(refused, KeyError)
    assert again is None
    assert topics(database) == ["kept", "kept"]


def test_a_row_the_database_refuses_fails_the_group_and_nothing_is_half_written(
    safe: tuple[Database, LedgerWriter],
) -> None:
    database, writer = safe

    def bad(tx: LedgerTransaction) -> Appended:
        tx.insert("document_entries", ("seq", "document_id"), (1, "doc_none"))
        return append(tx)

    outcomes = together(writer, [append, bad])
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert size(database) == 1
    writer.run(append)
    assert size(database) == 2


@pytest.mark.parametrize("forgiving", [False, True])
def test_a_row_the_database_refuses_fails_the_group_when_another_work_looks(
    safe: tuple[Database, LedgerWriter], *, forgiving: bool
) -> None:
    """The row is found to be refused within another's work: its own must not be answered as if it were there."""
    database, writer = safe

    def bad(tx: LedgerTransaction) -> Appended:
        tx.insert("outbox", COLUMNS, row("beside it"))
        tx.insert("document_entries", ("seq", "document_id"), (1, "doc_none"))
        return append(tx)

    def look(tx: LedgerTransaction) -> Appended:
        try:
            tx.connection.scalars(select(outbox.c.topic)).all()
        except Exception:
            if not forgiving:
                raise
        return append(tx)

    outcomes = together(writer, [bad, look, append])
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert size(database) == 1
    assert topics(database) == []
    writer.run(append)
    assert size(database) == 2


def test_a_work_that_makes_light_of_a_refused_statement_harms_nobody_else(
    safe: tuple[Database, LedgerWriter], each_database: str
) -> None:
    """PostgreSQL takes nothing more after it, SQLite goes on; the works beside it are written in either case."""
    database, writer = safe

    def forgiving(tx: LedgerTransaction) -> Appended:
        with suppress(DBAPIError):
            tx.connection.exec_driver_sql("INSERT INTO document_entries (seq) VALUES (1)")
        return append(tx)

    def keep(tx: LedgerTransaction) -> Appended:
        tx.insert("outbox", COLUMNS, row("kept"))
        return append(tx)

    first, light, last = together(writer, [keep, forgiving, keep])
    kept = each_database == "sqlite"
    assert isinstance(light, Appended if kept else DBAPIError)
    assert [isinstance(each, Appended) for each in (first, last)] == [True, True]
    assert size(database) == 3 + kept
    assert topics(database) == ["kept", "kept"]


def test_rows_of_any_number(safe: tuple[Database, LedgerWriter]) -> None:
    database, _ = safe
    for count in (0, 1, 7, 128, 129, 383):
        with database.writing() as connection:
            insert_rows(
                driver_of(connection), "outbox", COLUMNS, [row(f"{count:03}-{at:03}") for at in range(count)]
            )
    wanted = [f"{count:03}-{at:03}" for count in (1, 7, 128, 129, 383) for at in range(count)]
    assert topics(database) == wanted


def test_a_transaction_takes_no_row_after_its_work(safe: tuple[Database, LedgerWriter]) -> None:
    _, writer = safe
    kept: list[LedgerTransaction] = []
    writer.run(kept.append)
    with pytest.raises(LedgerError) as caught:
        kept[0].insert("outbox", COLUMNS, row("late"))
    assert caught.value.code == "LEDGER_TRANSACTION_BROKEN"


_ONE_BY_ONE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_writer_ways import append, open_safe
database, writer = open_safe(Path(sys.argv[1]))
writer.start()
print("ready", file=sys.stderr, flush=True)
for _ in range(1000):
    writer.run(append)
print("done", file=sys.stderr, flush=True)
"""


@pytest.mark.needs("strace")
def test_an_entry_alone_costs_at_most_one_and_a_half_syncs(tmp_path: Path) -> None:
    traced = subprocess.run(
        ["strace", "-f", "-e", "trace=fsync,fdatasync,sync_file_range,write", "-e", "signal=none",
         sys.executable, "-c", _ONE_BY_ONE, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    lines = traced.stderr.splitlines()
    begun = next(at for at, line in enumerate(lines) if 'write(2, "ready' in line)
    done = next(at for at, line in enumerate(lines) if 'write(2, "done' in line)
    syncs = sum(bool(re.search(r"\b(fsync|fdatasync)\(", line)) for line in lines[begun:done])
    assert 1000 <= syncs <= 1500, f"{syncs} syncs for 1000 entries"
