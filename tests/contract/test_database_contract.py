"""What every kind of database does for the safe: transactions, turns, roles, twins, schema changes."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.services.postgresql import address
from vault.db import engine as engine_module
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of, pyformat
from vault.db.engine import Database
from vault.db.functions import contains_octets
from vault.db.models import ledger_entries, metadata, outbox
from vault.db.twins import TwinGuard
from vault.errors import LedgerError, Unavailable

SPAWN = multiprocessing.get_context("spawn")
ROW = {"topic": "t", "payload": "p", "created_at": "2026-01-01T00:00:00.000Z"}
pytestmark = pytest.mark.usefixtures("each_database")


def opened(folder: Path) -> Database:
    database = Database.open(address(folder), folder / "locks")
    database.migrate()
    return database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = opened(tmp_path)
    yield database
    database.close()


def rows(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(outbox.c.id)).all())


def tables(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_upgrade_gives_exactly_the_tables_of_the_models(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert tables(database) == set(metadata.tables)


def test_downgrade_to_base_and_up_again(database: Database) -> None:
    newest = database.revision()
    database.migrate()  # nothing to do
    database.downgrade("base")
    assert (database.revision(), tables(database)) == (None, set())
    database.migrate()
    assert (database.revision(), rows(database)) == (newest, 0)


def test_a_schema_change_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.open(address(tmp_path), tmp_path)
    real = command.upgrade

    def upgrade_then_die(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        raise RuntimeError("the machine stops before the commit")

    monkeypatch.setattr(engine_module.command, "upgrade", upgrade_then_die)
    with pytest.raises(RuntimeError):
        database.migrate()
    assert tables(database) == set()
    assert database.revision() is None
    database.close()


def _migrate(url: str, folder: str) -> None:
    Database.open(url, Path(folder)).migrate()


def test_processes_may_migrate_at_once(tmp_path: Path) -> None:
    url = address(tmp_path)
    processes = [SPAWN.Process(target=_migrate, args=(url, str(tmp_path))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_writing_commits_and_rolls_back(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    with pytest.raises(KeyError), database.writing() as connection:  # noqa: PT012
        connection.execute(insert(outbox), ROW)
        raise KeyError
    assert rows(database) == 1


def test_a_read_transaction_sees_one_state(database: Database) -> None:
    with database.reading() as reader:
        assert reader.execute(select(outbox.c.id)).all() == []
        with database.writing() as connection:
            connection.execute(insert(outbox), ROW)
        assert reader.execute(select(outbox.c.id)).all() == []
    assert rows(database) == 1


def test_what_a_read_transaction_writes_is_not_kept(database: Database) -> None:
    with suppress(Unavailable), database.reading() as reader:  # PostgreSQL refuses, SQLite forgets
        reader.execute(insert(outbox), ROW)
    assert rows(database) == 0


def test_writers_take_turns_and_see_what_came_before(database: Database) -> None:
    inside, most, seen = 0, 0, []
    guard = threading.Lock()

    def write() -> None:
        nonlocal inside, most
        for _ in range(10):
            with database.writing() as connection:
                with guard:
                    inside += 1
                    most = max(most, inside)
                seen.append(len(connection.execute(select(outbox.c.id)).all()))
                connection.execute(insert(outbox), ROW)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, seen) == (1, list(range(80)))


def _write_ten(url: str, folder: str) -> None:
    database = Database.open(url, Path(folder))
    for _ in range(10):
        with database.writing() as connection:
            count = len(connection.execute(select(outbox.c.id)).all())
            connection.execute(insert(outbox), {**ROW, "payload": str(count)})
    database.close()


def test_writers_of_two_processes_take_turns(database: Database, tmp_path: Path) -> None:
    url = address(tmp_path)
    processes = [SPAWN.Process(target=_write_ten, args=(url, str(tmp_path / "locks"))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with database.reading() as connection:
        counted = list(connection.scalars(select(outbox.c.payload).order_by(outbox.c.id)))
    assert counted == [str(number) for number in range(20)]


def test_what_a_row_breaks_is_the_callers_and_not_an_outage(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.writing() as connection:
        connection.execute(insert(outbox), {**ROW, "topic": None, "payload": "canary-of-a-value"})
    assert "canary" not in str(caught.value)
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)


def test_the_same_statements_with_question_marks(database: Database) -> None:
    body = bytes(range(256)) + b"?%s'"
    with database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ledger_entries (seq, body, leaf) VALUES (?, ?, ?)",
            [(seq, body, bytes(32)) for seq in (0, 1, 2**40)],
        )
    with database.reading() as connection:
        found = connection.exec_driver_sql(
            "SELECT seq, body, '?', '%', '%s' FROM ledger_entries WHERE seq > ? ORDER BY seq DESC LIMIT ?",
            (0, 1),
        ).fetchall()
        assert found == [(2**40, body, "?", "%", "%s")]
        assert type(found[0][1]) is bytes
        for part, there in ((b"?%s'", True), (b"\xff\x00", False)):
            query = select(ledger_entries.c.seq).where(contains_octets(ledger_entries.c.body, part))
            assert bool(connection.execute(query).all()) is there


def test_the_drivers_own_statements_and_savepoints(database: Database) -> None:
    with database.writing() as connection:
        driver = driver_of(connection)
        assert driver.in_transaction
        statement = "INSERT INTO ledger_entries (seq, body, leaf) VALUES (?, ?, ?)"
        columns = ("seq", "body", "leaf")
        insert_rows(driver, "ledger_entries", columns, [(seq, b"b", b"l") for seq in range(3)])
        driver.execute("SAVEPOINT work")
        driver.execute(statement, (3, b"b", b"l"))
        twice = [(seq, b"b", b"l") for seq in (4, 5, 6, 3)]
        for write in (
            lambda: driver.execute(statement, (3, b"b", b"l")),
            lambda: insert_rows(driver, "ledger_entries", columns, twice),
        ):
            driver.execute("SAVEPOINT here")
            with pytest.raises(IntegrityError, match=r"(?i)unique"):
                write()
            driver.execute("ROLLBACK TO here")
        assert driver.in_transaction
        driver.execute("ROLLBACK TO work")
        driver.execute("RELEASE work")
        (count,) = driver.execute("SELECT count(*) FROM ledger_entries WHERE seq < ?", (9,)).fetchone()
        assert count == 3
        assert driver.execute("DELETE FROM ledger_entries WHERE seq = ?", (0,)).rowcount == 1
        driver.execute("COMMIT")
        assert not driver.in_transaction


def test_question_marks_in_literals_and_names_are_no_placeholders() -> None:
    written = "a = ? AND b = '?''?' AND \"c?\" LIKE '%' % ?"
    assert pyformat(written) == "a = %s AND b = '?''?' AND \"c?\" LIKE '%%' %% %s"


def test_one_leader_at_a_time(database: Database) -> None:
    with database.leading("publisher") as first, database.leading("publisher") as second:
        assert (first, second) == (True, False)
        with database.leading("healer") as other:
            assert other
    with database.leading("publisher") as again:
        assert again


def _hold(url: str, folder: str, ready: object) -> None:
    database = Database.open(url, Path(folder))
    with database.leading("role") as leader, TwinGuard(Path(folder), database.locks).hold(b"key") as mine:
        assert leader
        assert mine
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_a_role_and_a_twin_end_with_their_process(database: Database, tmp_path: Path) -> None:
    ready = SPAWN.Event()
    locks = tmp_path / "locks"
    process = SPAWN.Process(target=_hold, args=(address(tmp_path), str(locks), ready))
    process.start()
    assert ready.wait(60)
    guard = TwinGuard(locks, database.locks)
    with database.leading("role") as leader, guard.hold(b"key") as mine, guard.hold(b"other") as other:
        assert (leader, mine, other) == (False, False, True)
    assert process.pid is not None
    os.kill(process.pid, 9)
    process.join(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with database.leading("role") as leader, guard.hold(b"key") as mine:
            if leader and mine:
                return
        time.sleep(0.02)
    raise AssertionError("held by nobody, and not to be had")


def test_twins_are_noticed_across_threads(database: Database, tmp_path: Path) -> None:
    guard = TwinGuard(tmp_path, database.locks)
    seen: list[bool] = []

    def try_it(key: bytes) -> None:
        with TwinGuard(tmp_path, database.locks).hold(key) as mine:
            seen.append(mine)

    with guard.hold(b"a") as mine:
        assert mine
        for key in (b"a", b"b"):
            thread = threading.Thread(target=try_it, args=(key,))
            thread.start()
            thread.join()
    assert seen == [False, True]
    with guard.hold(b"a") as mine:
        assert mine


def test_the_guard_is_asked_before_the_first_write_and_until_it_agrees(database: Database) -> None:
    asked = []

    def guard(connection: object) -> None:
        asked.append(connection)
        if len(asked) == 1:
            raise LedgerError("LEDGER_BEHIND", "not this one")

    database.guard = guard
    with pytest.raises(LedgerError, match="not this one"), database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    for _ in range(3):
        with database.writing() as connection:
            connection.execute(insert(outbox), ROW)
    assert (len(asked), rows(database)) == (2, 3)


def test_nothing_is_read_before_the_guard_agrees(database: Database) -> None:
    asked = []

    def guard(connection: object) -> None:
        asked.append(connection)
        if len(asked) < 3:
            raise LedgerError("LEDGER_BEHIND", "not this one")

    database.guard = guard
    for _ in range(2):
        with pytest.raises(LedgerError, match="not this one"):
            rows(database)
    assert rows(database) == 0
    threads = [threading.Thread(target=rows, args=(database,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 3


def test_a_read_within_a_write_does_not_wait_for_itself(database: Database) -> None:
    def guard(_: object) -> None:
        assert rows(database) == 0

    database.guard = guard
    with database.writing():
        assert rows(database) == 0


def test_scrub_has_nothing_left_to_do_where_nobody_reads(database: Database) -> None:
    assert database.scrub()


def test_a_statement_that_is_wrong_is_no_outage(database: Database) -> None:
    with pytest.raises((DBAPIError, Unavailable)), database.reading() as connection:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")
    assert rows(database) == 0
