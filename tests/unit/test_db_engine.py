"""The database: durability settings, transactions, locks, schema changes."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError

from vault.db import engine as engine_module
from vault.db import sqlite as sqlite_module
from vault.db.engine import Database
from vault.db.models import metadata, outbox
from vault.db.twins import TwinGuard
from vault.errors import SettingsRefused

SPAWN = multiprocessing.get_context("spawn")
ROW = {"topic": "t", "payload": "p", "created_at": "2026-01-01T00:00:00.000Z"}


def opened(folder: Path) -> Database:
    database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "locks")
    database.migrate()
    return database


def rows(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(outbox.c.id)).all())


def schema(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Statements by table, the order of constraints left out."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    )
    return {name: sorted(sql.replace(",", " ").split()) for name, sql in found}


def test_pragmas(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as connection:
        for name, value in {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "secure_delete": 1,
            "busy_timeout": sqlite_module.BUSY_TIMEOUT_MS,
            "temp_store": 2,
        }.items():
            assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value, name
    for path in tmp_path.glob("safe.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database.close()


def test_upgrade_gives_exactly_the_tables_of_the_models(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = schema(connection.connection.driver_connection)  # type: ignore[arg-type]
    database.close()
    # compare_metadata does not see check constraints: compare the very statements.
    plain = create_engine(f"sqlite:///{tmp_path / 'models.db'}")
    metadata.create_all(plain)
    with sqlite3.connect(tmp_path / "models.db") as connection:
        assert migrated == schema(connection)
    connection.close()
    plain.dispose()


def test_downgrade_to_base_and_up_again(tmp_path: Path) -> None:
    database = opened(tmp_path)
    assert database.revision() == "0004"
    database.migrate()  # nothing to do
    database.downgrade("base")
    assert database.revision() is None
    with database.reading() as connection:
        left = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
    assert set(left) == {"alembic_version"}
    database.migrate()
    assert rows(database) == 0
    database.close()


def test_a_schema_change_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'safe.db'}", tmp_path)
    real = command.upgrade

    def upgrade_then_die(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        raise RuntimeError("the machine stops before the commit")

    monkeypatch.setattr(engine_module.command, "upgrade", upgrade_then_die)
    with pytest.raises(RuntimeError):
        database.migrate()
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    database.close()


def _migrate(folder: str) -> None:
    Database.open(f"sqlite:///{folder}/safe.db", Path(folder)).migrate()


def test_processes_may_migrate_at_once(tmp_path: Path) -> None:
    processes = [SPAWN.Process(target=_migrate, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_writing_commits_and_rolls_back(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.writing() as connection:
        connection.execute(insert(outbox), ROW)
    with pytest.raises(KeyError), database.writing() as connection:  # noqa: PT012
        connection.execute(insert(outbox), ROW)
        raise KeyError
    assert rows(database) == 1
    database.close()


def test_what_a_read_transaction_writes_is_dropped_and_it_sees_one_state(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as reader:
        assert reader.execute(select(outbox.c.id)).all() == []
        with database.writing() as connection:
            connection.execute(insert(outbox), ROW)
        assert reader.execute(select(outbox.c.id)).all() == []
    with database.reading() as reader:
        reader.execute(insert(outbox), ROW)
    assert rows(database) == 1
    database.close()


def test_writers_take_turns(tmp_path: Path) -> None:
    database = opened(tmp_path)
    inside, most = 0, 0
    guard = threading.Lock()

    def write() -> None:
        nonlocal inside, most
        for _ in range(10):
            with database.writing() as connection:
                with guard:
                    inside += 1
                    most = max(most, inside)
                connection.execute(insert(outbox), ROW)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, rows(database)) == (1, 80)
    database.close()


def test_error_messages_do_not_show_values(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with pytest.raises(IntegrityError) as caught, database.writing() as connection:
        connection.execute(insert(outbox), {**ROW, "topic": None, "payload": "canary-of-a-value"})
    assert "canary" not in str(caught.value)
    database.close()


def test_one_leader_at_a_time(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.leading("publisher") as first, database.leading("publisher") as second:
        assert (first, second) == (True, False)
        with database.leading("healer") as other:
            assert other
    with database.leading("publisher") as again:
        assert again
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "no url"])
def test_other_databases_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        Database.open(url, tmp_path)
    assert caught.value.code == "DATABASE_UNSUPPORTED"


def test_twins_are_noticed_across_threads(tmp_path: Path) -> None:
    guard = TwinGuard(tmp_path)
    seen: list[bool] = []

    def try_it(key: bytes) -> None:
        with TwinGuard(tmp_path).hold(key) as mine:
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


def _hold_for_ever(folder: str, ready: object) -> None:
    with TwinGuard(Path(folder)).hold(b"key") as mine:
        assert mine
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_the_kernel_frees_a_dead_twin(tmp_path: Path) -> None:
    ready = SPAWN.Event()
    process = SPAWN.Process(target=_hold_for_ever, args=(str(tmp_path), ready))
    process.start()
    assert ready.wait(60)
    with TwinGuard(tmp_path).hold(b"key") as mine:
        assert not mine
    assert process.pid is not None
    os.kill(process.pid, 9)
    process.join(10)
    with TwinGuard(tmp_path).hold(b"key") as mine:
        assert mine
