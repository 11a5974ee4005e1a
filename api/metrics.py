"""Counters in the Prometheus text format; nothing in a label comes from a caller.

Each process owns one slot of a shared memory block and writes its series there, so that whichever process
answers `/metrics` can make one of all: a scrape sees the service, not one process of it.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from typing import Any, cast

import orjson

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
from vault.figures import LedgerFigures

# Every route with every status that it gives is some hundred thousand octets.
SLOT_OCTETS = 1024 * 1024
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
_HEAD = 8
# What a process watches is asked this often at most, but for a scrape that this process answers.
_WATCH_S = 1.0
_TICK_S = 5.0
_log = logging.getLogger("probans.metrics")


class Metrics:
    """The counters of one process, and through the shared block those of its siblings."""

    def __init__(self, block: MutableSequence[int] | None = None, slot: int = 0) -> None:
        """Start at zero.

        Args:
            block: shared memory of a whole number of slots; None for a single process.
            slot: which slot is this process's own.
        """
        self._series: Series = defaultdict(float)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._block = memoryview(cast("Any", block)).cast("B") if block is not None else None
        self._slot = slot
        # A process that takes the place of another goes on from its counters: they never go back.
        before = self._read(slot)
        self._series.update({name: value for name, value in before.items() if not is_gauge(name)})
        self._step_backs: Callable[[], int] = lambda: 0
        self._watched: Callable[[], Mapping[str, float]] = dict
        self._seen: Mapping[str, float] = {}
        self._seen_at: float | None = None
        self._stop = threading.Event()
        self._overflowed = False
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
        labels = f'method="{method}",route="{route}"'
        with self._lock:
            self._in_flight -= 1
            self._series[f'probans_requests_total{{{labels},status="{status}"}}'] += 1
            self._series[f"probans_request_seconds_sum{{{labels}}}"] += seconds
            self._series[f"probans_request_seconds_count{{{labels}}}"] += 1
            for bound in _BUCKETS:
                # Every bucket is there from the first request on: a bound that is not told is not known to be 0.
                self._series[f'probans_request_seconds_bucket{{{labels},le="{bound}"}}'] += seconds <= bound
            self._series[f'probans_request_seconds_bucket{{{labels},le="+Inf"}}'] += 1
            self._share()

    def text(self) -> str:
        """Return the series of all processes in the text exposition format 0.0.4."""
        with self._lock:
            self._seen_at = None
            self._share()
            total = joined([self._snapshot(), *self._siblings()])
        return written(total)

    def _snapshot(self) -> Series:
        found = {
            **self._series,
            IN_FLIGHT: float(self._in_flight),
            PROCESSES: 1.0,
            STEP_BACKS: self._series.get(STEP_BACKS, 0.0) + self._step_backs(),
        }
        for name, value in self._seen.items():
            found[name] = value if is_gauge(name) else self._series.get(name, 0.0) + value
        return found

    def _look(self) -> None:
        now = time.monotonic()
        if self._seen_at is None or now - self._seen_at >= _WATCH_S:
            self._seen_at = now
            try:
                self._seen = self._watched()
            except Exception:  # no request fails because a part cannot say how it does
                _log.exception("a part cannot say how it does")

    def _share(self) -> None:
        self._look()
        data = orjson.dumps(self._snapshot())
        if self._block is None:
            return
        if len(data) > SLOT_OCTETS - _HEAD:
            if not self._overflowed:
                self._overflowed = True
                _log.error("the counters of this process no longer fit: its siblings tell old ones of it")
            return
        start = self._slot * SLOT_OCTETS
        head = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big")
        self._block[start : start + _HEAD + len(data)] = head + data

    def _siblings(self) -> Iterator[Series]:
        """Read the other slots; one that is being written at this moment fails its checksum: read it again."""
        count = len(self._block) // SLOT_OCTETS if self._block is not None else 0
        for slot in range(count):
            if slot != self._slot:
                yield next(filter(None, (self._read(slot) for _ in range(50))), {})

    def _read(self, slot: int) -> Series:
        if self._block is None:
            return {}
        start = slot * SLOT_OCTETS
        head = bytes(self._block[start : start + _HEAD])
        size = min(int.from_bytes(head[:4], "big"), SLOT_OCTETS - _HEAD)
        data = bytes(self._block[start + _HEAD : start + _HEAD + size])
        if not data or zlib.crc32(data) != int.from_bytes(head[4:], "big"):
            return {}
        return cast("Series", orjson.loads(data))


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
