"""Recovery records at two sites.

A record holds keys: one that came back from the other site would undo an erasure. So what replaces or deletes needs
both sites, whatever the setting, and is not done until both have done it; a record under a new name may lie at one
site alone for a while. Of two copies that differ the first site's counts: replacing begins there, deleting ends there.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from storage.errors import ObjectMissing, StorageError, StorageUnavailable
from storage.names import is_record_name, writable_record_name
from storage.pair_owed import Owed, owe, settle
from storage.pair_sites import Sites, failures


class PairRecordStore:
    """`RecordStore` over two of any kind."""

    def __init__(self, sites: Sites) -> None:
        """Take two sites."""
        self._sites = sites

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a record at both sites.

        Steps:
            1. Neither site is known to be down, else nothing is begun.
            2. A note at the first site says that the second may lag: a stop in between is made good from it.
            3. The first site, then the second; then the note goes.

        Raises:
            NameRefused: no record may bear this name.
            StorageUnavailable: a site does not take it; repeat it.
        """
        writable_record_name(name)
        owed = Owed("record", name)
        # 1
        with self._sites.second.asked() as second:
            pass
        # 2
        with self._sites.first.asked() as first:
            owe(first.owed, owed)
            # 3
            first.records.write(name, data)
        self._sites.point("sites.record-replaced")
        with self._sites.second.asked():
            second.records.write(name, data)
        with suppress(StorageUnavailable), self._sites.first.asked():
            settle(first.owed, owed)

    def add(self, name: str, data: bytes) -> None:
        """Write a record under a new name, at both sites at once; where one suffices, the other one is owed it.

        Raises:
            NameRefused: no record may bear this name.
            StorageUnavailable: too few sites take it.
        """
        writable_record_name(name)
        results = self._sites.at_both(lambda stores: stores.records.add(name, data))
        failed = failures(results)
        if failed and (self._sites.both or len(failed) == len(results)):
            raise failed[0]
        for site, result in zip(self._sites.each, results, strict=True):
            if isinstance(result, StorageError):
                with self._sites.other(site).asked() as stores:
                    self._sites.point("sites.before-owed")
                    owe(stores.owed, Owed("record", name))
                    self._sites.point("sites.after-owed")

    def read(self, name: str) -> bytes:
        """Return the bytes, of the first site if it has them. Raises ObjectMissing, StorageUnavailable."""
        return self._sites.first_answer(lambda stores: stores.records.read(name))

    def copies(self, name: str) -> Sequence[bytes]:
        """Return the copy of each site that has one, the first site's first. Raises StorageUnavailable."""
        found: list[bytes] = []
        for site in self._sites.each:
            try:
                with site.asked() as stores:
                    found.append(stores.records.read(name))
            except ObjectMissing:
                site.confirm()
        return found

    def delete(self, name: str) -> None:
        """Delete at both sites, the second one first; absent is success.

        A stop in between leaves the record where whoever repeats the deletion finds it.

        Raises:
            StorageUnavailable: a site does not answer; repeat it.
        """
        if not is_record_name(name):
            return
        with self._sites.first.asked() as first:
            pass  # known to be down: nothing is begun
        with self._sites.second.asked() as second:
            second.records.delete(name)
        # Absent is success, and all is absent where the volume is.
        self._sites.second.confirm()
        self._sites.point("sites.record-deleted")
        with self._sites.first.asked():
            first.records.delete(name)
        self._sites.first.confirm()

    def names(self) -> Iterator[str]:
        """Yield every name that a site has, sorted. Raises StorageUnavailable when neither answers."""
        found: list[list[str]] = []
        failure: StorageUnavailable | None = None
        for site in self._sites.each:
            try:
                with site.asked() as stores:
                    found.append(list(stores.records.names()))
            except StorageUnavailable as error:
                failure = error
        if not found and failure is not None:
            raise failure
        return (name for name, _ in groupby(heapq.merge(*found)))
