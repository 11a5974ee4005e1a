"""PostgreSQL in trouble: lost, paused, restarted, restored, unfit. Answers stay right, nothing hangs, all heals."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from tests.services.postgresql import Server
from vault.bootstrap import open_vault
from vault.clock import SystemClock
from vault.db import postgresql
from vault.db.engine import Database, DatabaseLimits
from vault.db.models import outbox
from vault.db.twins import TwinGuard
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import LedgerError, SettingsRefused, Unavailable
from vault.ledger.chain import verify_chain
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.stored import entries, read_head
from vault.ledger.writer import LedgerWriter
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.needs("postgresql")
SPAWN = multiprocessing.get_context("spawn")
ROW = {"topic": "t", "payload": "p", "created_at": "2026-01-01T00:00:00.000Z"}
QUICK = DatabaseLimits(connections=4, statement_s=1.0, lock_s=0.5, idle_s=1.0)
PIECES = bytes(32)


@pytest.fixture
def url(postgresql_server: Server) -> Iterator[str]:
    yield postgresql_server.create("safe")
    for name in postgresql_server.databases():
        postgresql_server.drop(name)


@pytest.fixture
def database(url: str, tmp_path: Path) -> Iterator[Database]:
    database = Database.open(url, tmp_path, QUICK)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that this test may stop."""
    server = Server("log_statement=mod", "log_line_prefix=%p ")
    yield server
    server.remove()


def rows(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(outbox.c.id)).all())


def pid_of(connection: Any) -> int:
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    assert isinstance(pid, int)
    return pid


# What is refused at start


@pytest.mark.parametrize("value", ["off", "local"])
def test_commits_that_may_be_lost_are_refused(
    postgresql_server: Server, url: str, tmp_path: Path, value: str
) -> None:
    postgresql_server.execute(f"ALTER DATABASE safe SET synchronous_commit = {value}")
    if value == "local":  # it syncs the server's own disk
        Database.open(url, tmp_path).close()
        return
    with pytest.raises(SettingsRefused, match="synchronous_commit = off"):
        Database.open(url, tmp_path)


def test_production_wants_commits_that_wait_for_a_standby(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="synchronous_standby_names"):
        Database.open(url, tmp_path, DatabaseLimits(replicated=True))
    assert postgresql._unfit("on", "on", "ANY 1 (a, b)", "UTF8", replicated=True) == ""
    assert "standby" in postgresql._unfit("on", "local", "ANY 1 (a, b)", "UTF8", replicated=True)
    assert "fsync" in postgresql._unfit("off", "on", "", "UTF8", replicated=False)


def test_another_encoding_is_refused(postgresql_server: Server, url: str, tmp_path: Path) -> None:
    postgresql_server.execute(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(SettingsRefused, match="UTF8"):
        Database.open(url.replace("/safe?", "/latin?"), tmp_path)


def test_a_server_that_became_unfit_is_not_written_to(
    postgresql_server: Server, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    postgresql_server.execute("ALTER DATABASE safe SET synchronous_commit = off")
    database.engine.dispose()
    with pytest.raises(Unavailable, match="synchronous_commit"), database.writing():
        pass
    assert "refused" in caplog.text
    postgresql_server.execute("ALTER DATABASE safe RESET synchronous_commit")
    with database.writing():
        pass


def test_no_server_no_start(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Database.open(f"postgresql+psycopg://probans@/safe?host={tmp_path}", tmp_path)


def test_another_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="postgresql\\+psycopg"):
        Database.open("postgresql+psycopg2://probans@/safe", tmp_path)


def test_without_psycopg_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vault.db.postgresql", None)
    with pytest.raises(SettingsRefused, match=r"probans\[postgresql\]"):
        Database.open("postgresql+psycopg://probans@/safe", tmp_path)


# Lost connections


@pytest.mark.parametrize("write", [False, True])
def test_a_connection_lost_in_a_transaction_is_an_outage_and_the_next_one_works(
    postgresql_server: Server, database: Database, write: bool
) -> None:
    with pytest.raises(Unavailable), (database.writing if write else database.reading)() as connection:  # noqa: PT012
        if write:
            connection.execute(insert(outbox), ROW)
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid_of(connection)})")
        connection.execute(select(outbox.c.id))
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    assert rows(database) == 1


def test_a_connection_lost_before_the_commit_commits_nothing(
    postgresql_server: Server, database: Database
) -> None:
    with pytest.raises(Unavailable), database.writing() as connection:  # noqa: PT012
        connection.execute(insert(outbox), ROW)
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid_of(connection)}, 5000)")
    assert rows(database) == 0


def test_connections_that_died_in_the_pool_are_not_noticed_by_anybody(
    postgresql_server: Server, database: Database
) -> None:
    with database.reading(), database.reading(), database.leading("role") as leader:
        assert leader
    postgresql_server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'safe'"
    )
    with database.reading(), database.reading(), database.writing(), database.leading("role") as leader:
        assert leader


def test_a_server_that_is_down_and_up_again(server: Server, tmp_path: Path) -> None:
    database = Database.open(server.create("safe"), tmp_path, QUICK)
    database.migrate()
    guard = TwinGuard(tmp_path, database.locks)
    with guard.hold(b"key"):
        server.stop()
        for use in (
            database.reading,
            database.writing,
            lambda: database.leading("r"),
            lambda: guard.hold(b"k"),
        ):
            with pytest.raises(Unavailable), use():
                pass
        server.start()
    with database.writing() as connection, database.leading("r") as leader, guard.hold(b"key") as mine:
        connection.execute(insert(outbox), ROW)
        assert leader
        assert mine
    assert rows(database) == 1
    database.close()


def test_a_server_that_is_stopped_in_its_tracks_hangs_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_GRACE_S", 0.5)
    monkeypatch.setitem(postgresql._CONNECTING, "connect_timeout", 2)
    database = Database.open(server.create("safe"), tmp_path, QUICK)
    database.migrate()
    with database.leading("role"):  # connected
        pass
    with pytest.raises(Unavailable), database.writing() as connection:  # noqa: PT012
        server.pause()
        connection.execute(insert(outbox), ROW)
    for use in (database.reading, database.writing, lambda: database.leading("role")):
        begun = time.monotonic()
        with pytest.raises(Unavailable), use():
            pass
        assert time.monotonic() - begun < 8
    server.resume()
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    assert rows(database) == 1
    database.close()


# Commits that are none


def test_a_transaction_with_a_failed_statement_is_not_reported_as_committed(database: Database) -> None:
    with pytest.raises(Unavailable), database.writing() as connection:  # noqa: PT012
        connection.execute(insert(outbox), ROW)
        with suppress(IntegrityError):
            connection.execute(insert(outbox), {**ROW, "topic": None})
    assert rows(database) == 0
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)


def test_a_commit_that_waited_for_its_standby_in_vain_is_not_reported_as_done(
    server: Server, tmp_path: Path
) -> None:
    database = Database.open(server.create("safe"), tmp_path, QUICK)
    database.migrate()
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)
    with pytest.raises(Unavailable), database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    server.execute("ALTER SYSTEM RESET synchronous_standby_names")
    server.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    assert rows(database) in {1, 2}, "the first may be there: nobody was told that it is not"
    database.close()


def test_a_fail_over_to_a_synchronous_standby_in_the_middle_of_commits_loses_nothing(
    server: Server, tmp_path: Path
) -> None:
    url = server.create("safe")
    log = Log(url, tmp_path)
    log.close()
    standby = server.standby()
    try:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.execute("SELECT pg_reload_conf()")
        while not server.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            time.sleep(0.05)
        Database.open(url, tmp_path, DatabaseLimits(replicated=True)).close()
        both = f"{url}&host={standby.folder}&target_session_attrs=read-write"
        log = Log(both, tmp_path, DatabaseLimits(statement_s=5, lock_s=5, idle_s=5))
        answered: set[int] = set()
        over = threading.Event()

        def write() -> None:
            while not over.is_set():
                with suppress(Unavailable):
                    answered.add(log.append())

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        server.stop(signal.SIGQUIT)
        before = max(answered)
        standby.execute("SELECT pg_promote()")
        deadline = time.monotonic() + 30
        while max(answered) < before + 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        over.set()
        for thread in threads:
            thread.join(30)
        size = log.check()
        assert max(answered) >= before + 50
        # What was answered is there, each with a number of its own; what was not may be there too.
        assert answered <= set(range(1, size))
        log.close()
    finally:
        standby.remove()


# Limits


def test_a_statement_has_a_limit_that_a_patient_transaction_lifts(database: Database) -> None:
    slow = text("SELECT pg_sleep(1.2)")
    with pytest.raises(Unavailable, match="OperationalError"), database.reading() as connection:
        connection.execute(slow)
    with database.reading(patient=True) as connection:
        connection.execute(slow)
    with pytest.raises(Unavailable), database.reading() as connection:
        connection.execute(slow)


def test_a_turn_that_does_not_come_is_an_outage(database: Database) -> None:
    with database.writing():
        begun = time.monotonic()
        with pytest.raises(Unavailable), database.writing():
            pass
        assert 0.4 < time.monotonic() - begun < 5
    with database.writing():
        pass


def test_connections_are_limited(database: Database) -> None:
    with database.reading(), database.reading(), database.reading(), database.reading():
        with pytest.raises(Unavailable), database.reading():
            pass
        with database.leading("role") as leader:  # has a connection of its own
            assert leader


def test_errors_do_not_quote_rows(database: Database) -> None:
    for values in ({"topic": None}, {"id": 1}):
        with pytest.raises(IntegrityError) as caught, database.writing() as connection:  # noqa: PT012
            connection.execute(insert(outbox), {**ROW, "id": 1})
            connection.execute(insert(outbox), {**ROW, **values, "payload": "canary-of-a-value"})
        assert "canary" not in str(caught.value)
        assert "outbox" in str(caught.value)
    with pytest.raises(Exception, match="InvalidText") as wrong, database.reading() as connection:
        connection.execute(text("SELECT CAST(:v AS INTEGER)"), {"v": "canary"})
    assert "canary" not in str(wrong.value)


# The ledger


class Log:
    """A ledger and its writer."""

    def __init__(self, url: str, folder: Path, limits: DatabaseLimits = QUICK) -> None:
        self.database = Database.open(url, folder, limits)
        self.database.migrate()
        open_ledger(self.database, SystemClock(), LedgerKeys.new("safe.example/ledger/1"), [])
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, SystemClock())
        self.writer.start()

    def append(self, count: int = 1) -> int:
        return self.writer.run(lambda tx: [tx.append(PIECES, PIECES).seq for _ in range(count)][-1])

    def check(self) -> int:
        with self.database.reading() as connection:
            head = read_head(connection)
            report = verify_chain(body for _, body, _ in entries(connection, 0, head.size))
        assert (report.size, report.last_leaf) == (head.size, head.last_leaf)
        return head.size

    def close(self) -> None:
        self.writer.close()
        self.database.close()


def _paused_writer(url: str, folder: str, ready: Any, resumed: Any, answer: Any) -> None:
    """Write a group, stopped by its parent in the middle of it."""
    log = Log(url, Path(folder))

    def work(tx: Any) -> int:
        seq = tx.append(PIECES, PIECES).seq
        tx.connection.execute(insert(outbox), ROW)
        ready.set()
        resumed.wait(60)
        return int(seq)

    try:
        log.writer.run(work)
        answer.put("written")
    except Unavailable as error:
        answer.put(error.code)
    answer.put(log.append())  # and it goes on with what is there now
    log.close()


def test_a_paused_process_loses_its_turn_and_commits_nothing(url: str, tmp_path: Path) -> None:
    log = Log(url, tmp_path)
    ready, resumed, answer = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    other = SPAWN.Process(target=_paused_writer, args=(url, str(tmp_path), ready, resumed, answer))
    other.start()
    assert ready.wait(60)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGSTOP)
    try:
        with suppress(Unavailable):
            log.append()  # its turn has not come within the limit
        time.sleep(QUICK.idle_s + 0.5)
        assert log.append() == 1
    finally:
        os.kill(other.pid, signal.SIGCONT)
    resumed.set()
    assert answer.get(timeout=30) in {"DATABASE_UNAVAILABLE", "LEDGER_UNAVAILABLE"}
    assert answer.get(timeout=30) == 2
    other.join(30)
    assert (log.check(), rows(log.database)) == (3, 0)
    log.close()


def test_a_connection_lost_in_one_work_fails_its_whole_group(
    postgresql_server: Server, url: str, tmp_path: Path
) -> None:
    log = Log(url, tmp_path)

    def cut(tx: Any) -> None:
        tx.append(PIECES, PIECES)
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid_of(tx.connection)}, 5000)")
        tx.connection.execute(insert(outbox), ROW)

    gate = threading.Event()
    works: list[Callable[[Any], Any]] = [
        lambda _tx: gate.wait(10),
        lambda tx: tx.append(PIECES, PIECES),
        cut,
        lambda tx: tx.append(PIECES, PIECES),
    ]
    futures = [log.writer.submit(work) for work in works]
    gate.set()
    errors = [future.exception(30) for future in futures]
    # The first may have been a group of its own.
    assert all(isinstance(error, Unavailable) for error in errors[1:]), errors
    assert log.append() == 1
    assert log.check() == 2
    log.close()


def _append_many(url: str, folder: str, count: int) -> None:
    log = Log(url, Path(folder), DatabaseLimits())
    futures = [log.writer.submit(lambda tx: tx.append(PIECES, PIECES)) for _ in range(count)]
    for future in futures:
        future.result(60)
    log.close()


def test_each_advance_of_the_head_is_one_compare_and_swap(server: Server, tmp_path: Path) -> None:
    """Three processes write at once; the server's own log says how the head moved, step by step."""
    url, each = server.create("safe"), 400
    log = Log(url, tmp_path)
    processes = [SPAWN.Process(target=_append_many, args=(url, str(tmp_path), each)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert log.check() == 3 * each + 1
    log.close()
    server.stop()
    written = (server.folder / "log").read_text()
    steps = [
        (int(found[2]), int(found[1]))
        for found in re.finditer(
            r"UPDATE ledger_head SET size.*?\n.*?DETAIL:  parameters: \$1 = '(\d+)'.*?\$4 = '(\d+)'", written
        )
    ]
    steps.sort()
    assert steps[0][0] == 1
    assert [new for _, new in steps] == [*(old for old, _ in steps[1:]), 3 * each + 1]
    assert len({line.split()[0] for line in written.splitlines() if "UPDATE ledger_head" in line}) >= 3


# Another server in the place of the one that was


def deposit(vault: Vault, key: str) -> str:
    holder = vault.personas.named("camille").actor
    content = f"contenu {key}".encode()
    new = NewDocument("camille", "Pièce", "p.txt")
    return vault.submissions.deposit(holder, new, iter((content,)), Transfer(key)).document_id


def test_a_server_that_lags_behind_is_refused_and_the_right_one_is_taken_again(
    server: Server, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path / "data", database_url=server.create("safe"), publish_interval=0.02)
    vault = open_vault(settings, background=False)
    before = deposit(vault, "before")
    data, lagging, ahead = server.folder / "data", server.folder / "lagging", server.folder / "ahead"
    server.stop()
    shutil.copytree(data, lagging)
    for path in (lagging, *lagging.rglob("*")):
        shutil.chown(path, data.stat().st_uid, data.stat().st_gid)
    lagging.chmod(0o700)
    server.start()
    # Committed and answered, and not on what will be the standby.
    lost = deposit(vault, "lost")
    server.stop()
    data.rename(ahead)
    lagging.rename(data)
    server.start()
    for _ in range(2):
        with pytest.raises(LedgerError) as refused:
            deposit(vault, "after")
        assert refused.value.code == "LEDGER_BEHIND"
    server.stop()
    data.rename(lagging)
    ahead.rename(data)
    server.start()
    after = deposit(vault, "after")
    holder = vault.personas.named("camille").actor
    for document_id, key in ((before, "before"), (lost, "lost"), (after, "after")):
        read = b"".join(vault.reading.original(holder, document_id, "").read(0, None))
        assert read == f"contenu {key}".encode()
    vault.close()


def test_a_standby_is_not_written_to(server: Server, tmp_path: Path) -> None:
    database = Database.open(server.create("safe"), tmp_path, QUICK)
    database.migrate()
    server.stop()
    (server.folder / "data" / "standby.signal").touch()
    shutil.chown(server.folder / "data" / "standby.signal", (server.folder / "data").stat().st_uid)
    server.start()
    assert rows(database) == 0
    with pytest.raises(Unavailable), database.writing():
        pass
    server.execute("SELECT pg_promote()")
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    assert rows(database) == 1
    database.close()


def test_a_lock_connection_that_died_does_not_keep_its_locks(
    postgresql_server: Server, database: Database
) -> None:
    with database.leading("role") as leader:
        assert leader
        postgresql_server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
        )
        other = Database.open(postgresql_server.url("safe"), Path(), QUICK)
        with other.leading("role") as second:
            assert second
        other.close()
    with database.leading("role") as leader:
        assert leader
    with psycopg.connect(f"host={postgresql_server.folder} user=probans dbname=safe") as connection:
        held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert held == (0,)
