"""Writes down how the tasks of workers go, so that processes that do not run them can tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from vault.clock import Clock, parse_rfc3339, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.tasks.runner import TaskState

_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Written:
    """What is written down of a task.

    Attributes:
        succeeded_at: end of a run that went well, some seconds before the last one at most; None before the first.
        failed_at: since when it fails; None when it does not.
        code: of that failure.
        done: things done by the worker that wrote last.
    """

    succeeded_at: datetime | None
    failed_at: datetime | None
    code: str
    done: int


class TaskBook:
    """One row a task; the worker that ran it last writes it, every few seconds at most."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._at = 0.0
        self._noted: dict[str, TaskState] = {}

    def note(self, states: Mapping[str, TaskState]) -> None:
        """Write down what changed since the last time, unless that was just now.

        Args:
            states: of this process's tasks, by name.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        with self._lock:
            if time.monotonic() - self._at < _EVERY_S:
                return
            changed = {name: state for name, state in states.items() if self._news(name, state)}
            self._at = time.monotonic()
            if not changed:
                return
            with self._database.writing() as connection:
                for name, state in changed.items():
                    self._write(connection, name, state)
            self._noted.update(changed)

    def _news(self, name: str, state: TaskState) -> bool:
        noted = self._noted.get(name, TaskState())
        return (noted.succeeded_at, noted.failures) != (state.succeeded_at, state.failures)

    def _write(self, connection: Connection, name: str, state: TaskState) -> None:
        table = models.task_runs
        values = {
            "succeeded_at": rfc3339(state.succeeded_at) if state.succeeded_at else None,
            "code": state.code[:40],
            "done": state.done,
        }
        before = connection.execute(select(table).where(table.c.name == name)).mappings().first()
        since = before["failed_at"] if before is not None else None
        values["failed_at"] = (since or rfc3339(self._clock.now())) if state.code else None
        if before is None:
            connection.execute(insert(table), {"name": name, **values})
            return
        if values["succeeded_at"] is None:
            values["succeeded_at"] = before["succeeded_at"]
        connection.execute(update(table).where(table.c.name == name).values(values))


def read_book(database: Database) -> Mapping[str, Written]:
    """Return what workers wrote down, by task. Raises Unavailable."""
    with database.reading() as connection:
        rows = connection.execute(select(models.task_runs)).mappings().all()
    return {row["name"]: _written(row) for row in rows}


def _written(row: RowMapping) -> Written:
    return Written(_time(row["succeeded_at"]), _time(row["failed_at"]), row["code"], row["done"])


def _time(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None
