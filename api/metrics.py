"""Counters in the Prometheus text format; nothing in a label comes from a caller.

Each process owns one slot of a shared memory block and writes its counters there, so that whichever process
answers `/metrics` can add them all up.
"""

from __future__ import annotations

import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, MutableSequence
from typing import Any, cast

import orjson

from vault.figures import LedgerFigures

SLOT_OCTETS = 256 * 1024
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
_HEAD = 8
_IN_FLIGHT, _PROCESSES = "probans_requests_in_flight", "probans_processes"
_GAUGES = frozenset({_IN_FLIGHT, _PROCESSES})
_STEP_BACKS = "probans_ledger_clock_step_backs_total"

Series = dict[str, float]


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
        self._series.update({name: value for name, value in before.items() if name not in _GAUGES})
        self._step_backs: Callable[[], int] = lambda: 0
        self._share()

    def watch_clock(self, step_backs: Callable[[], int]) -> None:
        """Count what a function says: how often this process found the clock set back behind the ledger."""
        self._step_backs = step_backs

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
                if seconds <= bound:
                    self._series[f'probans_request_seconds_bucket{{{labels},le="{bound}"}}'] += 1
            self._series[f'probans_request_seconds_bucket{{{labels},le="+Inf"}}'] += 1
            self._share()

    def text(self) -> str:
        """Return the counters of all processes in the text exposition format 0.0.4."""
        with self._lock:
            self._share()
            total: Series = defaultdict(float)
            for series in (dict(self._snapshot()), *self._siblings()):
                for name, value in series.items():
                    total[name] += value
        lines = []
        for family, kind, words in _FAMILIES:
            lines += [f"# HELP {family} {words}", f"# TYPE {family} {kind}"]
            lines += [
                f"{name} {value:.15g}"
                for name, value in sorted(total.items())
                if _family(name) in {family, f"{family}_sum", f"{family}_count", f"{family}_bucket"}
            ]
        return "\n".join(lines) + "\n"

    def _snapshot(self) -> Series:
        return {
            **self._series,
            _IN_FLIGHT: float(self._in_flight),
            _PROCESSES: 1.0,
            _STEP_BACKS: self._series.get(_STEP_BACKS, 0.0) + self._step_backs(),
        }

    def _share(self) -> None:
        data = orjson.dumps(self._snapshot())
        if self._block is None or len(data) > SLOT_OCTETS - _HEAD:
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
        raw = bytes(self._block[slot * SLOT_OCTETS : (slot + 1) * SLOT_OCTETS])
        data = raw[_HEAD : _HEAD + int.from_bytes(raw[:4], "big")]
        if not data or zlib.crc32(data) != int.from_bytes(raw[4:_HEAD], "big"):
            return {}
        return cast("Series", orjson.loads(data))


_FAMILIES = (
    ("probans_requests_total", "counter", "Requests answered, by method, route and status."),
    ("probans_request_seconds", "histogram", "Seconds from the first octet in to the last one out."),
    (_IN_FLIGHT, "gauge", "Requests being answered now."),
    (_PROCESSES, "gauge", "Processes that serve."),
    (_STEP_BACKS, "counter", "How often the clock was found set back behind the ledger."),
)


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
                f'{family}{{witness="{_escaped(name)}"}} {size}'
                for name, size in sorted(figures.cosigned.items())
            ]
    return "\n".join(lines) + "\n"


def _gauge(name: str, words: str, value: float) -> Iterator[str]:
    yield from (f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value:.15g}")


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(name: str) -> str:
    return name.partition("{")[0]
