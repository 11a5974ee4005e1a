"""What `/metrics` says of the parts of one process, and of the work that waits for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping

from api.metric_families import Series, labelled
from timestamping.breaker import State
from timestamping.several import SeveralAuthorities
from vault.errors import VaultError
from vault.observability.timestamp_health import days_left
from vault.observability.work_figures import Queue, WorkFigures, work_figures
from vault.service import Vault
from vault.tasks.runner import TaskState

_STATES = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}
# They run as long as the process does: one that is not there has died.
_THREADS = ("ledger", "publisher")
_KEPT_S = 1.0


def process_series(vault: Vault) -> Mapping[str, float]:
    """Return the series of this process; asks neither database nor network."""
    found: Series = {}
    found.update(_authorities(vault))
    if vault.settings.tasks == "inside":
        found.update(_tasks(vault.tasks.states()))
    alive = {thread.name for thread in threading.enumerate()}
    expected = [*_THREADS]
    expected += ["witnessing"] if vault.witnessing is not None else []
    expected += ["tasks"] if vault.settings.tasks == "inside" else []
    for name in expected:
        found[labelled("probans_thread_alive", thread=name)] = float(f"probans-{name}" in alive)
    in_use, most = vault.parts.database.pool()
    found[labelled("probans_database_connections", what="in-use")] = in_use
    found[labelled("probans_database_connections", what="most")] = most
    return found


def work_text(figures: WorkFigures) -> str:
    """Write what waits in the text exposition format."""
    lines: list[str] = []
    sizes = {"sealing": figures.sealing, "outbox": figures.outbox}
    sizes |= {f"letters-{channel}": queue for channel, queue in figures.letters.items()}
    lines += _told(
        "probans_waiting",
        "What waits, by queue, counted up to 10000.",
        {labelled("probans_waiting", queue=name): float(queue.size) for name, queue in sizes.items()},
    )
    lines += _told(
        "probans_waiting_oldest_seconds",
        "Seconds for which the first one of a queue waits; 0 when nothing does.",
        {
            labelled("probans_waiting_oldest_seconds", queue=name): _age(queue)
            for name, queue in sizes.items()
        },
    )
    lines += _told(
        "probans_letters_failed_lately",
        "Messages that did not arrive, of the last 24 hours, by how they ended, counted up to 10000.",
        {
            labelled("probans_letters_failed_lately", end=end): float(count)
            for end, count in figures.failed.items()
        },
    )
    lines += _told(
        "probans_documents_by_scan",
        "Documents that wait for the antivirus or that it found infected, counted up to 10000.",
        {
            labelled("probans_documents_by_scan", verdict=verdict): float(count)
            for verdict, count in figures.scans.items()
        },
    )
    if figures.tasks:
        family = "probans_worker_task_last_success_timestamp_seconds"
        told = {labelled(family, task=name): at.timestamp() for name, at in figures.tasks.items()}
        lines += _told(family, "When a worker last did a task well, in seconds since 1970.", told)
    return "\n".join(lines) + "\n"


class WorkText:
    """What waits, asked of the database once a second at most, however often it is scraped."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._text, self._at = "", float("-inf")

    def text(self) -> str:
        """Return the series; none while the database cannot be had, which `probans_ledger_up` tells."""
        with self._lock:
            if time.monotonic() - self._at >= _KEPT_S:
                try:
                    self._text = work_text(work_figures(self._vault.parts.database, self._vault.parts.clock))
                except VaultError:
                    self._text = ""
                self._at = time.monotonic()
            return self._text


def _age(queue: Queue) -> float:
    return 0.0 if queue.age is None else queue.age


def _told(family: str, words: str, series: Mapping[str, float]) -> Iterator[str]:
    yield from (f"# HELP {family} {words}", f"# TYPE {family} gauge")
    yield from (f"{name} {value:.15g}" for name, value in series.items())


def _authorities(vault: Vault) -> Iterator[tuple[str, float]]:
    now = vault.parts.clock.now()
    asked = {"documents": vault.dated.authority}
    if vault.dated.anchor_authority is not vault.dated.authority:
        asked["ledger"] = vault.dated.anchor_authority
    for use, authority in asked.items():
        if not isinstance(authority, SeveralAuthorities):
            continue
        for state in authority.states():

            def named(family: str, name: str = state.name, dates: str = use) -> str:
                return labelled(f"probans_timestamp_{family}", dates=dates, authority=name)

            yield named("authority_state"), _STATES[state.breaker]
            yield named("tokens_total"), float(state.tokens)
            yield named("failures_total"), float(state.failures)
            if state.drift is not None:
                yield named("drift_seconds"), state.drift.total_seconds()
            left = days_left(state, now)
            if left is not None:
                yield named("certificate_days_left"), float(left)


def _tasks(states: Mapping[str, TaskState]) -> Iterator[tuple[str, float]]:
    for name, state in states.items():
        yield labelled("probans_task_runs_total", task=name), float(state.runs)
        yield labelled("probans_task_failures_total", task=name), float(state.failures)
        yield labelled("probans_task_failures_in_a_row", task=name), float(state.in_a_row)
        yield labelled("probans_task_running_seconds", task=name), state.running_s or 0.0
        if state.succeeded_at is not None:
            name_of = labelled("probans_task_last_success_timestamp_seconds", task=name)
            yield name_of, state.succeeded_at.timestamp()
