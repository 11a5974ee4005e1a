"""Counters that several processes keep in one block of shared memory, so that any of them can tell of all.

A slot is for one process: the names of its series as JSON with a checksum, then a double for each name. Names are
added seldom and never taken away, so a request writes a few numbers where they stand, and nothing is put into words
again. A reader may find a request half counted; each number is whole.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator, Mapping, MutableSequence
from typing import Any, cast

import orjson

from api.metric_families import Series

# Every route with every status that it gives is some hundred thousand octets of names.
SLOT_OCTETS = 1024 * 1024
_HEAD = 8
_NAMES = 896 * 1024
_MOST = (SLOT_OCTETS - _NAMES) // 8
_log = logging.getLogger("probans.metrics")


class SharedSeries:
    """One process's slot, and the others to read. Not for two threads at once."""

    def __init__(self, block: MutableSequence[int], slot: int) -> None:
        """Take a slot over as it is: who had it before may have left series there.

        Args:
            block: shared memory of a whole number of slots.
            slot: which slot is this process's own.
        """
        self._block = memoryview(cast("Any", block)).cast("B")
        self._slot = slot
        start = slot * SLOT_OCTETS
        self._numbers = self._block[start + _NAMES : start + SLOT_OCTETS].cast("d")
        self._places = {name: place for place, name in enumerate(self._names(slot))}
        self._overflowed = False

    def put(self, series: Mapping[str, float]) -> None:
        """Write series into the slot; NaN for one that is no more."""
        places, numbers = self._places, self._numbers
        added = [name for name in series if name not in places]
        if added and not self._overflowed:
            self._add(added, series)
        for name, value in series.items():
            place = places.get(name)
            if place is not None:
                numbers[place] = value

    def keep_only(self, series: Mapping[str, float]) -> None:
        """Write series into the slot as all there are."""
        self.put({**dict.fromkeys(self._places, math.nan), **series})

    def own(self) -> Series:
        """Return what the slot holds."""
        return self._read(self._slot)

    def others(self) -> Iterator[Series]:
        """Read the other slots; one that gets a name at this moment fails its checksum: read it again."""
        for slot in range(len(self._block) // SLOT_OCTETS):
            if slot != self._slot:
                yield next(filter(None, (self._read(slot) for _ in range(50))), {})

    def _add(self, names: list[str], series: Mapping[str, float]) -> None:
        """Make room for more names; their numbers are there before they are."""
        known = [*self._places, *names]
        data = orjson.dumps(known)
        if len(known) > _MOST or len(data) > _NAMES - _HEAD:
            self._overflowed = True
            _log.error("the counters of this process no longer fit: its siblings do not tell new ones of it")
            return
        for place, name in enumerate(names, len(self._places)):
            self._places[name] = place
            self._numbers[place] = series[name]
        start = self._slot * SLOT_OCTETS
        head = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big")
        self._block[start : start + _HEAD + len(data)] = head + data

    def _read(self, slot: int) -> Series:
        names = self._names(slot)
        start = slot * SLOT_OCTETS + _NAMES
        numbers = self._block[start : start + 8 * len(names)].cast("d")
        return {name: value for name, value in zip(names, numbers, strict=True) if not math.isnan(value)}

    def _names(self, slot: int) -> list[str]:
        start = slot * SLOT_OCTETS
        head = bytes(self._block[start : start + _HEAD])
        size = min(int.from_bytes(head[:4], "big"), _NAMES - _HEAD)
        data = bytes(self._block[start + _HEAD : start + _HEAD + size])
        if not data or zlib.crc32(data) != int.from_bytes(head[4:], "big"):
            return []
        return cast("list[str]", orjson.loads(data))
