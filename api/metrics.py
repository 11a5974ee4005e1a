"""Counters in the Prometheus text format; nothing in a label comes from a caller.

Each process keeps its series in its slot of a shared memory block, so that whichever process answers `/metrics` can
make one of all: a scrape sees the service, not one process of it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from dataclasses import dataclass

from api.metric_families import (
    IN_FLIGHT,
    PROCESSES,
    STEP_BACKS,
    Series,
    escaped,
    is_gauge,
    joined,
    written,
)
from api.shared_series import SharedSeries
from vault.observability.ledger_figures import LedgerFigures

_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
# What a process watches is asked this often at most, but for a scrape that this process answers.
_WATCH_S = 1.0
_TICK_S = 5.0
_log = logging.getLogger("probans.metrics")


class Metrics:
    """The counters of one process, and through the shared block those of its siblings."""

    def __init__(self, block: MutableSequence[int] | None = None, slot: int = 0) -> None:
        """Start at zero.

        Args:
            block: shared memory of a whole number of slots (`api.shared_series`); None for a single process.
            slot: which slot is this process's own.
        """
        self._series: Series = defaultdict(float)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._shared = SharedSeries(block, slot) if block is not None else None
        # A process that takes the place of another goes on from its counters: they never go back.
        before = self._shared.own() if self._shared is not None else {}
        self._series.update({name: value for name, value in before.items() if not is_gauge(name)})
        self._names: dict[tuple[str, str, int], _Names] = {}
        self._step_backs: Callable[[], int] = lambda: 0
        self._watched: Callable[[], Mapping[str, float]] = dict
        self._seen: Mapping[str, float] = {}
        self._seen_at: float | None = None
        self._stop = threading.Event()
        self._share()

    def watch_clock(self, step_backs: Callable[[], int]) -> None:
        """Count what a function says: how often this process found the clock set back behind the ledger."""
        self._step_backs = step_backs

    def watch(self, series: Callable[[], Mapping[str, float]]) -> None:
        """Tell with the counters what a function says: how the parts of this process do."""
        self._watched = series

    def start(self) -> None:
        """Share what is watched now and then, so that siblings know of a process nobody asks anything."""

        def keep() -> None:
            while not self._stop.wait(_TICK_S):
                with self._lock:
                    self._share()

        threading.Thread(target=keep, name="probans-metrics", daemon=True).start()

    def close(self) -> None:
        """Stop sharing."""
        self._stop.set()

    @property
    def in_flight(self) -> int:
        """Requests being answered by this process."""
        return self._in_flight

    def begin(self) -> None:
        """Count a request in."""
        with self._lock:
            self._in_flight += 1

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request out.

        Args:
            method: HTTP method, one of the known ones.
            route: template of the route, never the address itself.
            status: HTTP status; 499 when the client went away.
            seconds: from the first octet in to the last one out.
        """
        with self._lock:
            self._in_flight -= 1
            names = self._names.get((method, route, status))
            if names is None:
                names = self._names[method, route, status] = _Names.of(method, route, status)
            series = self._series
            series[names.total] += 1
            series[names.sum] += seconds
            series[names.count] += 1
            for bound, name in names.buckets:
                # Every bucket is there from the first request on: a bound that is not told is not known to be 0.
                series[name] += seconds <= bound
            if self._shared is not None:
                if self._is_time_to_look():
                    self._share()
                else:
                    self._shared.put({name: series[name] for name in names.all} | self._standing())

    def text(self) -> str:
        """Return the series of all processes in the text exposition format 0.0.4."""
        with self._lock:
            self._seen_at = None
            self._share()
            others = self._shared.others() if self._shared is not None else ()
            total = joined([self._snapshot(), *others])
        return written(total)

    def _snapshot(self) -> Series:
        found = {**self._series, **self._standing()}
        for name, value in self._seen.items():
            found[name] = value if is_gauge(name) else self._series.get(name, 0.0) + value
        return found

    def _standing(self) -> Series:
        """Return what every process always tells of itself."""
        return {
            IN_FLIGHT: float(self._in_flight),
            PROCESSES: 1.0,
            STEP_BACKS: self._series.get(STEP_BACKS, 0.0) + self._step_backs(),
        }

    def _is_time_to_look(self) -> bool:
        return self._seen_at is None or time.monotonic() - self._seen_at >= _WATCH_S

    def _look(self) -> None:
        if self._is_time_to_look():
            self._seen_at = time.monotonic()
            try:
                self._seen = self._watched()
            except Exception:  # no request fails because a part cannot say how it does
                _log.exception("a part cannot say how it does")

    def _share(self) -> None:
        self._look()
        if self._shared is not None:
            self._shared.keep_only(self._snapshot())


@dataclass(frozen=True, slots=True)
class _Names:
    """The series that a request of one method, route and status is counted in.

    Attributes:
        total: counts requests with the status.
        sum: of seconds.
        count: counts requests.
        buckets: bounds in seconds and what counts requests that took no longer.
        all: every name.
    """

    total: str
    sum: str
    count: str
    buckets: tuple[tuple[float, str], ...]
    all: tuple[str, ...]

    @classmethod
    def of(cls, method: str, route: str, status: int) -> _Names:
        labels = f'method="{method}",route="{route}"'
        total = f'probans_requests_total{{{labels},status="{status}"}}'
        seconds, count = (f"probans_request_seconds_{each}{{{labels}}}" for each in ("sum", "count"))
        buckets = tuple(
            (bound, f'probans_request_seconds_bucket{{{labels},le="{bound}"}}') for bound in _BUCKETS
        )
        buckets = (*buckets, (math.inf, f'probans_request_seconds_bucket{{{labels},le="+Inf"}}'))
        return cls(total, seconds, count, buckets, (total, seconds, count, *(name for _, name in buckets)))


def ledger_text(figures: LedgerFigures | None) -> str:
    """Write where the ledger stands in the same format; with None, that it cannot be asked.

    Labels are names of witnesses in the operator's policy.
    """
    lines = list(_gauge("probans_ledger_up", "Whether the ledger can be asked.", float(figures is not None)))
    if figures is not None:
        lines += _gauge("probans_ledger_entries", "Entries of the ledger.", figures.size)
        lines += _gauge("probans_ledger_published_entries", "Entries under a checkpoint.", figures.published)
        lines += _gauge("probans_ledger_anchored_entries", "Entries with an outside date.", figures.anchored)
        if figures.anchor_age is not None:
            lines += _gauge(
                "probans_ledger_anchor_age_seconds", "Seconds since that date.", figures.anchor_age
            )
        lines += _gauge("probans_witness_alarms", "Witnesses that hold another history.", figures.alarms)
        if figures.quorum is not None:
            lines += _gauge(
                "probans_witness_quorum_entries",
                "Entries that the witnesses' quorum cosigned.",
                figures.quorum,
            )
            family = "probans_witness_cosigned_entries"
            lines += [f"# HELP {family} Entries that a witness cosigned.", f"# TYPE {family} gauge"]
            lines += [
                f'{family}{{witness="{escaped(name)}"}} {size}'
                for name, size in sorted(figures.cosigned.items())
            ]
    return "\n".join(lines) + "\n"


def _gauge(name: str, words: str, value: float) -> Iterator[str]:
    yield from (f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value:.15g}")
