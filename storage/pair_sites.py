"""Two stores at two sites: which of them answers, and what to do with both at once.

A site that failed is left alone for a while, so that nobody waits for its time limit again and again; a thread of its
own asks meanwhile whether it is back, so nobody's request is the one that tries.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from storage.base import LogStore, ObjectStore, RecordStore
from storage.errors import ObjectMissing, StorageError, StorageUnavailable

_T = TypeVar("_T")
_log = logging.getLogger("probans.storage")
_FIRST_LOOK_S = 0.5
_THREADS = 64
_OCTETS_PER_SECOND = 1 << 20
_LONG_COUNT_S = 0.25
_COUNT_RELIED_ON = 20
_LONGEST_RELIED_ON_S = 60.0


@dataclass(frozen=True, slots=True)
class SiteStores:
    """What one site holds.

    Attributes:
        objects: of encrypted octets.
        records: of recovery.
        log: of the published ledger, every generation under its root.
        owed: what this site has and the other one still lacks (`storage.pair_owed`).
        check: raises StorageUnavailable while the site is not there or will not do.
        close: ends its threads.
        forget: has it look anew where an object lies.
    """

    objects: ObjectStore
    records: RecordStore
    log: LogStore
    owed: RecordStore
    check: Callable[[], None]
    close: Callable[[], None] = lambda: None
    forget: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class SiteState:
    """How a site is.

    Attributes:
        name: `first` or `second`.
        ok: whether it answered last.
        note: why not.
    """

    name: str
    ok: bool
    note: str


class Site:
    """One of the two, opened when it is first used.

    Attributes:
        name: `first` or `second`.
    """

    def __init__(self, name: str, opening: Callable[[], SiteStores], rest: float = 5.0) -> None:
        """Open nothing yet.

        Args:
            name: `first` or `second`.
            opening: opens its stores; raises StorageUnavailable while they are not to be had.
            rest: seconds between two looks at a site that is down.
        """
        self.name = name
        self._opening = opening
        self._rest = rest
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._stores: SiteStores | None = None
        self._down = ""
        self._next_look = 0.0

    @contextmanager
    def asked(self) -> Iterator[SiteStores]:
        """Give the site's stores; where one of them raises StorageUnavailable, the site is down for a while.

        Raises:
            StorageUnavailable: it is down.
        """
        yield self._usable()

    @property
    def state(self) -> SiteState:
        """How it is, as far as is known; a site that is down is looked at in the background."""
        down = self._down
        if down:
            self._look_soon()
        return SiteState(self.name, not down, down)

    def confirm(self) -> None:
        """Ask whether it is there at this moment: a volume that is not mounted has nothing, and says so of everything.

        Raises:
            StorageUnavailable: it is not.
        """
        stores = self._usable()
        try:
            stores.check()
        except StorageUnavailable as error:
            self.fell(str(error))
            raise

    def fell(self, why: str) -> None:
        """Take note that it does not answer."""
        with self._lock:
            if not self._down:
                _log.warning("%s store is down: %s", self.name, why)
                self._next_look = time.monotonic() + min(_FIRST_LOOK_S, self._rest)
            self._down = why or "no answer"

    def close(self) -> None:
        """Close what was opened."""
        if self._stores is not None:
            self._stores.close()

    def _usable(self) -> SiteStores:
        if self._down:
            self._look_soon()
            raise StorageUnavailable(f"the {self.name} store is down: {self._down}")
        stores = self._stores
        return stores if stores is not None else self._opened()

    def _opened(self) -> SiteStores:
        with self._looking:
            if self._stores is not None:
                return self._stores
            if self._down:
                raise StorageUnavailable(f"the {self.name} store is down: {self._down}")
            try:
                stores = self._opening()
                stores.check()
            except StorageUnavailable as error:
                self.fell(str(error))
                raise
            self._stores = self._watched(stores)
            return self._stores

    def _watched(self, stores: SiteStores) -> SiteStores:
        """Have every call tell when it finds the site down: of two sites in one step the right one must be named."""
        return replace(
            stores,
            objects=cast("ObjectStore", _Watched(stores.objects, self)),
            records=cast("RecordStore", _Watched(stores.records, self)),
            log=cast("LogStore", _Watched(stores.log, self)),
            owed=cast("RecordStore", _Watched(stores.owed, self)),
        )

    def _look_soon(self) -> None:
        """Have somebody look whether it is back, if it is time and nobody looks."""
        with self._lock:
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + self._rest
        threading.Thread(target=self._look, name=f"probans-{self.name}-store", daemon=True).start()

    def _look(self) -> None:
        if not self._looking.acquire(blocking=False):
            return
        try:
            stores = self._stores or self._watched(self._opening())
            stores.check()
            self._stores = stores
        except Exception as error:  # a store that will not do is not there, whatever says so
            self._down = str(error) or "no answer"
            return
        finally:
            self._looking.release()
        with self._lock:
            self._down = ""
        _log.warning("%s store is back", self.name)


class _Watched:
    """A store of a site, which tells the site when it does not answer."""

    def __init__(self, store: object, site: Site) -> None:
        self._store = store
        self._site = site

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            try:
                result = method(*arguments, **named)
            except StorageUnavailable as error:
                self._site.fell(str(error))
                raise
            return self._each(result) if isinstance(result, Iterator) else result

        return call

    def _each(self, items: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from items
        except StorageUnavailable as error:
            self._site.fell(str(error))
            raise


class Sites:
    """Both sites, and the rule for writing.

    Attributes:
        first: decides where only one can.
        second: the other.
        both: a write counts only when both have it; else one suffices and the other is owed it.
        point: called by name between durable steps, for crash tests.
    """

    def __init__(
        self,
        first: Site,
        second: Site,
        *,
        writes: Literal["both", "one"],
        patience: float = 2.0,
        point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take two sites.

        Args:
            first: decides where only one can.
            second: the other.
            writes: how many sites a write needs.
            patience: seconds for which a write that needs one site waits for the slower one.
            point: called by name between durable steps, for crash tests.
        """
        self.first = first
        self.second = second
        self.both = writes == "both"
        self.point = point
        self._patience = patience
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="two-sites")
        self._counted: tuple[dict[str, int], float] = ({}, 0.0)

    @property
    def each(self) -> tuple[Site, Site]:
        """The two, the first one first."""
        return self.first, self.second

    def other(self, site: Site) -> Site:
        """Return the other site."""
        return self.second if site is self.first else self.first

    def at_both(self, work: Callable[[SiteStores], _T], octets: int = 0) -> list[_T | StorageError]:
        """Do the same at both sites at once; return what each gave or raised, the first site's first.

        Where one site suffices and has done it, the other one is waited for a while, then taken for down; what it
        may still do later harms nobody.

        Args:
            work: to be done; it must be harmless when it is done later.
            octets: to be moved, for which a slow site gets more time.
        """
        futures = [self._pool.submit(self._attempt, site, work) for site in self.each]
        done, late = wait(futures, return_when="FIRST_COMPLETED")
        if late and not self.both and not any(isinstance(each.result(), StorageError) for each in done):
            wait(futures, self._patience + octets / _OCTETS_PER_SECOND)
        else:
            wait(futures)
        self.point("sites.written")
        return [self._result(site, future) for site, future in zip(self.each, futures, strict=True)]

    def first_answer(self, ask: Callable[[SiteStores], _T]) -> _T:
        """Ask the first site, then the other where it lacks something, has it damaged, or does not answer.

        Raises:
            ObjectMissing: neither has it.
            StorageError: one does not answer, or what it has is damaged, and the other one cannot help.
        """
        failure: StorageError | None = None
        for site in self.each:
            try:
                with site.asked() as stores:
                    return ask(stores)
            except StorageError as error:
                if failure is None or isinstance(failure, ObjectMissing):
                    failure = error
        assert failure is not None  # noqa: S101 - there are two sites
        raise failure

    def close(self) -> None:
        """Close both; what is still under way ends by its time limit."""
        self._pool.shutdown(wait=False)
        for site in self.each:
            site.close()

    def owed(self) -> dict[str, int]:
        """Count what each site is owed by the other, as far as they answer; by the name of the site that lacks it.

        Counting lists every note: after a long outage a count that took its time is relied on for a while.
        """
        counted, until = self._counted
        began = time.monotonic()
        if began < until:
            return dict(counted)
        counted = {}
        for site in self.each:
            with suppress(StorageError), site.asked() as stores:
                counted[self.other(site).name] = sum(1 for _ in stores.owed.names())
        took = time.monotonic() - began
        if took > _LONG_COUNT_S:
            self._counted = (counted, began + min(_COUNT_RELIED_ON * took, _LONGEST_RELIED_ON_S))
        return dict(counted)

    def _attempt(self, site: Site, work: Callable[[SiteStores], _T]) -> _T | StorageError:
        try:
            with site.asked() as stores:
                return work(stores)
        except StorageError as error:
            return error

    def _result(self, site: Site, future: Future[_T | StorageError]) -> _T | StorageError:
        if future.done():
            return future.result()
        site.fell("too slow")
        return StorageUnavailable(f"the {site.name} store is too slow")


def failures(results: Sequence[_T | StorageError]) -> list[StorageError]:
    """Return what was raised."""
    return [each for each in results if isinstance(each, StorageError)]
