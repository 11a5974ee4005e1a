"""Shares tasks among the worker processes of all hosts, by Procrastinate on the safe's own PostgreSQL database.

Time is cut into slots. For each slot and task Procrastinate makes one job, which one worker takes: its shift, in which
it runs the task as often as the task asks for. A worker tells the database every few seconds that it is alive. One that
does not any more, because it was killed, paused or cut off, loses its jobs to the others. What such a worker still does
meanwhile, or once it wakes, is what `vault.tasks.runner` says of tasks that run twice.

The tables of jobs hold nothing that is missed when they are lost. They lie in a schema of their own, named by what it
must look like: another version of Procrastinate has another one, beside it while both are in use.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from psycopg import sql

from vault.errors import SettingsRefused, Unavailable
from vault.tasks.runner import Task, TaskRunner

SLOT_S = 30
_SCHEMA = "probans_tasks_"
_OLD_SCHEMA_S = 3600
_PAUSE_S = 2.0
# Lost commits of jobs do no harm, so nobody waits for disks and standbys.
_OPTIONS = (
    "-c search_path={schema} -c synchronous_commit=off -c statement_timeout=20s -c lock_timeout=10s"
    " -c idle_in_transaction_session_timeout=20s"
)
_OUTAGES = (ConnectorException, psycopg.Error, OSError, Unavailable)
_log = logging.getLogger("probans.tasks")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How workers watch each other.

    Attributes:
        beat_s: seconds between two signs of life.
        lost_s: seconds without one after which a worker has lost its jobs.
        poll_s: seconds between two looks for a job.
    """

    beat_s: float = 5.0
    lost_s: float = 15.0
    poll_s: float = 1.0


class TaskEngine:
    """One worker process."""

    def __init__(
        self,
        parameters: dict[str, Any],
        runner: TaskRunner,
        on_stuck: Callable[[Sequence[Task]], None],
        config: EngineConfig | None = None,
    ) -> None:
        """Make a worker; `run` begins.

        Args:
            parameters: of libpq, for connections to the database.
            runner: has the tasks.
            on_stuck: told of tasks whose run does not end; it must end the process, since nothing else frees it.
            config: how workers watch each other.
        """
        self._parameters = parameters
        self._runner = runner
        self._on_stuck = on_stuck
        self._config = config or EngineConfig()
        self._schema = schema_name()
        self._pool = ThreadPoolExecutor(max(1, len(runner.tasks)), "probans-task")
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, on_ready: Callable[[], None]) -> None:
        """Work until `stop`; goes on by itself after the database was away.

        Args:
            on_ready: told once, as the work begins.

        Raises:
            SettingsRefused: DATABASE_UNSUPPORTED: the schema of jobs cannot be made.
            Unavailable: DATABASE_UNAVAILABLE, at the start only.
        """
        prepare(self._parameters, self._schema)
        try:
            asyncio.run(self._main(on_ready))
        finally:
            self._pool.shutdown()

    def stop(self) -> None:
        """Stop; runs under way end with the thing they are at. From any thread, or from a signal."""
        self._runner.stop()
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _main(self, on_ready: Callable[[], None]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        on_ready()
        watch = asyncio.create_task(self._watch())
        try:
            while not self._stopping.is_set():
                try:
                    await self._work(self._stopping)
                except _OUTAGES as error:
                    _log.warning("tasks wait for the database: %s", type(error).__name__)
                await self._pause(_PAUSE_S)
        finally:
            watch.cancel()

    async def _work(self, stopping: asyncio.Event) -> None:
        """Be a worker until told to stop, or until the database is lost."""
        # Each time: nobody minds when the schema is dropped.
        await asyncio.to_thread(prepare, self._parameters, self._schema)
        app = self._app()
        async with app.open_async():
            side = [asyncio.create_task(app.run_worker_async()), asyncio.create_task(self._relieve(app))]
            stop = asyncio.create_task(self._stopped(stopping))
            try:
                done, _ = await asyncio.wait([*side, stop], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.cancel()
                for each in side:
                    each.cancel()
                await asyncio.gather(*side, return_exceptions=True)
            for each in done:
                each.result()

    def _app(self) -> App:
        size = len(self._runner.tasks)
        options = f"{self._parameters.get('options', '')} {_OPTIONS.format(schema=self._schema)}"
        kwargs = {**self._parameters, "options": options.strip()}
        connector = PsycopgConnector(kwargs=kwargs, min_size=1, max_size=4, timeout=10.0)
        app = App(
            connector=connector,
            worker_defaults={
                "concurrency": size,
                "fetch_job_polling_interval": self._config.poll_s,
                "abort_job_polling_interval": 60.0,
                "delete_jobs": "always",
                "install_signal_handlers": False,
                "update_heartbeat_interval": self._config.beat_s,
                "stalled_worker_timeout": self._config.lost_s,
            },
        )
        for task in self._runner.tasks:
            job = app.task(name=task.name, lock=task.name, queueing_lock=task.name)(self._shift(task))
            app.periodic(cron=f"* * * * * */{SLOT_S}")(job)
        return app

    def _shift(self, task: Task) -> Callable[[int], Coroutine[Any, Any, None]]:
        """Return what a job of a task does."""
        slots = max(1, int(task.period_s // SLOT_S))

        async def shift(timestamp: int) -> None:
            if timestamp // SLOT_S % slots:
                return
            assert self._loop is not None and self._stopping is not None  # noqa: S101, PT018 - `_main` set them
            # Of the slot's beginning, unless this host's clock is far from that of the host that made the job.
            left = min(timestamp + SLOT_S - time.time(), float(SLOT_S))
            end = time.monotonic() + left
            while not self._stopping.is_set():
                again = await self._loop.run_in_executor(self._pool, self._runner.run, task)
                pause = 0.0 if again else task.period_s
                if time.monotonic() + pause >= end:
                    break
                await self._pause(pause)

        return shift

    async def _relieve(self, app: App) -> None:
        """Give jobs of workers that are not heard of any more to the others."""
        jobs = app.job_manager
        while True:
            with suppress(*_OUTAGES):  # the worker beside finds that out for itself
                for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=self._config.lost_s):
                    _log.warning("task %s is taken over from a worker that is gone", job.task_name)
                    try:
                        await jobs.retry_job(job)
                    except UniqueViolation:
                        # The next shift waits already.
                        await jobs.finish_job(job, Status.FAILED, delete_job=True)
            await asyncio.sleep(self._config.beat_s)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._config.beat_s)
            if stuck := self._runner.stuck():
                self._on_stuck(stuck)

    @staticmethod
    async def _stopped(stopping: asyncio.Event) -> None:
        await stopping.wait()

    async def _pause(self, seconds: float) -> None:
        assert self._stopping is not None  # noqa: S101 - `_main` set it
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def schema_name() -> str:
    """Return the name of the schema whose tables this version of Procrastinate works with."""
    return _SCHEMA + hashlib.sha256(SchemaManager.get_schema().encode()).hexdigest()[:8]


def prepare(parameters: dict[str, Any], schema: str) -> None:
    """Make the schema of jobs where it is missing, and remove those that no worker has used for an hour.

    Raises:
        SettingsRefused: DATABASE_UNSUPPORTED: the database's user may not make a schema.
        Unavailable: DATABASE_UNAVAILABLE.
    """
    try:
        with psycopg.connect(**parameters) as connection:
            # Two workers that start at once.
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_SCHEMA,))
            for (other,) in connection.execute(
                "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) AND nspname <> %s",
                (_SCHEMA, schema),
            ).fetchall():
                _remove_unused(connection, other)
            found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
                connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
                connection.execute(SchemaManager.get_schema().encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingsRefused(
            "DATABASE_UNSUPPORTED",
            "the worker keeps its jobs in a schema of its own: GRANT CREATE ON DATABASE to its user",
        ) from error
    except psycopg.Error as error:
        raise Unavailable("DATABASE_UNAVAILABLE", type(error).__name__) from error


def _remove_unused(connection: psycopg.Connection[Any], schema: str) -> None:
    workers = sql.Identifier(schema, "procrastinate_workers")
    query = sql.SQL("SELECT max(last_heartbeat) > now() - make_interval(secs => {}) FROM {}")
    try:
        with connection.transaction():
            row = connection.execute(query.format(_OLD_SCHEMA_S, workers)).fetchone()
        if row is not None and row[0]:
            return
    except psycopg.errors.UndefinedTable:
        pass  # not finished
    except psycopg.errors.InsufficientPrivilege:
        return  # somebody else's
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
