"""What is SQLite's own: durability settings, the very statements of the schema, locks by files."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from vault.db import sqlite as sqlite_module
from vault.db.engine import Database
from vault.db.models import metadata
from vault.db.twins import TwinGuard
from vault.errors import SettingsRefused, Unavailable

SPAWN = multiprocessing.get_context("spawn")
ROW = {"topic": "t", "payload": "p", "created_at": "2026-01-01T00:00:00.000Z"}


def opened(folder: Path) -> Database:
    database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "locks")
    database.migrate()
    return database


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


def topics(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT topic FROM outbox ORDER BY id")]


def glanced(database: Database) -> list[str]:
    """The same by the way of what is asked with every request."""
    return [row[0] for row in database.rows("SELECT topic FROM outbox ORDER BY id", ())]


def add(database: Database, topic: str) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO outbox (topic, payload, created_at) VALUES (?, 'p', 't')", (topic,)
        )


@pytest.mark.parametrize("read", [topics, glanced])
def test_a_copy_in_the_file_s_place_is_what_is_written_to_and_guarded(
    tmp_path: Path, read: Callable[[Database], list[str]]
) -> None:
    """Connections that have the old file open would write where nobody ever looks again."""
    database, path = opened(tmp_path), tmp_path / "safe.db"
    asked: list[int] = []

    def guard(connection: Connection) -> None:
        asked.append(connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar_one())

    database.guard = guard
    add(database, "one")
    with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "copy.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    add(database, "two")
    assert read(database) == ["one", "two"]
    for name in ("safe.db-wal", "safe.db-shm"):
        (tmp_path / name).unlink()
    (tmp_path / "copy.db").rename(path)
    assert read(database) == ["one"]
    add(database, "three")
    database.close()
    assert asked == [0, 1]
    again = Database.open(f"sqlite:///{path}", tmp_path / "locks")
    assert topics(again) == ["one", "three"]
    again.close()


def test_a_file_that_is_gone_is_an_outage_and_not_made_anew(tmp_path: Path) -> None:
    database, path = opened(tmp_path), tmp_path / "safe.db"
    for found in tmp_path.glob("safe.db*"):
        found.rename(tmp_path / f"away-{found.name}")
    for use in (topics, glanced, lambda database: add(database, "lost")):
        with pytest.raises(Unavailable) as caught:
            use(database)
        assert caught.value.code == "DATABASE_UNAVAILABLE"
    assert not path.exists()
    for found in tmp_path.glob("away-*"):
        found.rename(tmp_path / found.name.removeprefix("away-"))
    add(database, "back")
    assert topics(database) == glanced(database) == ["back"]
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "no url"])
def test_other_databases_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        Database.open(url, tmp_path)
    assert caught.value.code == "DATABASE_UNSUPPORTED"


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
