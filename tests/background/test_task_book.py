"""What workers write down of their tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vault.clock import SystemClock
from vault.db.engine import Database
from vault.observability.task_health import workers_tasks
from vault.tasks import book as task_book
from vault.tasks.book import TaskBook, read_book
from vault.tasks.runner import Task, TaskState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK = Task("t", lambda: 0, 10.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'safe.db'}", tmp_path / "run")
    database.migrate()
    yield database
    database.close()


def well(at: datetime, **values: int) -> TaskState:
    return TaskState(runs=1, succeeded_at=at, **values)


def test_a_task_is_written_down_and_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_book, "_EVERY_S", 0.0)
    book = TaskBook(database, SystemClock())
    book.note({"t": well(NOW, done=3)})
    written = read_book(database)["t"]
    assert (written.succeeded_at, written.failed_at, written.code, written.done) == (NOW, None, "", 3)
    assert workers_tasks((TASK,), read_book(database), NOW + timedelta(seconds=149)).ok
    late = workers_tasks((TASK,), read_book(database), NOW + timedelta(seconds=151))
    assert not late.ok
    assert "t was last done at 2026-03-01T12:00:00" in late.note


def test_since_when_a_task_fails_is_kept_until_it_works_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_book, "_EVERY_S", 0.0)
    one, two = TaskBook(database, SystemClock()), TaskBook(database, SystemClock())
    one.note({"t": well(NOW)})
    one.note({"t": TaskState(runs=2, failures=1, code="X_BROKEN", succeeded_at=NOW)})
    since = read_book(database)["t"].failed_at
    assert since is not None
    # Another worker, which never did it well, sees it fail too.
    two.note({"t": TaskState(runs=1, failures=1, code="X_BROKEN")})
    written = read_book(database)["t"]
    assert (written.failed_at, written.succeeded_at, written.code) == (since, NOW, "X_BROKEN")
    assert "t fails since" in workers_tasks((TASK,), read_book(database), NOW).note
    two.note({"t": TaskState(runs=2, failures=1, succeeded_at=NOW + timedelta(hours=1))})
    assert read_book(database)["t"].failed_at is None


def test_it_is_written_some_seconds_apart_and_only_when_there_is_news(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = TaskBook(database, SystemClock())
    book.note({"t": well(NOW)})
    book.note({"t": well(NOW + timedelta(seconds=1))})
    assert read_book(database)["t"].succeeded_at == NOW
    monkeypatch.setattr(task_book, "_EVERY_S", 0.0)
    monkeypatch.setattr(TaskBook, "_write", lambda *_: pytest.fail("nothing is new"))
    book.note({"t": well(NOW)})
