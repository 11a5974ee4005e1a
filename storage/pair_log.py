"""The published ledger at two sites: the first one decides, the second one follows.

Two sites that both decided could publish two checkpoints of one size. So while the first does not answer nothing is
published, whatever the setting; entries are committed all the same, and published when it is back. Reading falls over.
What the second lacks is noted at the first.
"""

from __future__ import annotations

import heapq
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby

from storage.errors import LogConflict, ObjectMissing, StorageError, StorageUnavailable
from storage.names import writable_log_path
from storage.pair_owed import Kind, Owed, owe, settle
from storage.pair_sites import Sites, SiteStores

_TRIES = 5
_TILE = re.compile(r"(?:[1-9][0-9]?/)?tile/")


class PairLogStore:
    """`LogStore` over two of any kind."""

    def __init__(self, sites: Sites, place: str = "") -> None:
        """Take two sites; `place` is where this ledger lies in both, with a slash at its end."""
        self._sites = sites
        self._place = place
        self._turn = threading.Lock()

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        """Write once, at the first site, then at the second.

        Raises:
            LogConflict: other bytes stand there, at either site.
            NameRefused: no file may be written at this path.
            StorageUnavailable: the first site does not take it; or the second, where both are wanted.
        """
        self._announce("log", writable_log_path(path))
        with self._sites.first.asked() as stores:
            stores.log.put_if_absent(self._place + path, data, media_type)

        def put(second: SiteStores) -> bool:
            second.log.put_if_absent(self._place + path, data, media_type)
            return True

        self._follow("log", path, put)

    def get(self, path: str) -> bytes:
        """Return the bytes at a path, of the first site if it has them.

        Raises:
            ObjectMissing: neither site has them; or the first, which decides, while the second does not answer.
            StorageUnavailable: the first site does not answer, and the second cannot help.
        """
        missing: ObjectMissing | None = None
        try:
            with self._sites.first.asked() as stores:
                return stores.log.get(self._place + path)
        except ObjectMissing as error:
            missing = error
        except StorageUnavailable:
            pass
        try:
            with self._sites.second.asked() as stores:
                return stores.log.get(self._place + path)
        except ObjectMissing as error:
            if missing is None:
                raise StorageUnavailable("the first store, which decides, does not answer") from error
            raise
        except StorageUnavailable:
            if missing is not None:
                raise missing from None
            raise

    def compare_and_swap(self, path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        """Replace `old` (None: absent) by `new` at the first site; the second then gets what stands there.

        Raises:
            LogConflict: something other than `old` stands there.
            NameRefused: no file may be written at this path.
            StorageUnavailable: the first site does not take it; or the second, where both are wanted.
        """
        full = self._place + writable_log_path(path)
        with self._turn:
            self._announce("log-swapped", path)
            with self._sites.first.asked() as first:
                try:
                    first.log.compare_and_swap(full, old, new, media_type)
                except LogConflict:
                    if old is None or not self._lost(first, full, old):
                        raise
                    first.log.compare_and_swap(full, None, new, media_type)
            self._follow("log-swapped", path, lambda second: copy_file(first, second, full, media_type))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths that start with a prefix, of either site, sorted.

        Raises:
            StorageUnavailable: neither site answers.
        """
        if ".." in prefix.split("/") or prefix.startswith("/"):
            return iter(())
        found: list[list[str]] = []
        failure: StorageUnavailable | None = None
        for site in self._sites.each:
            try:
                with site.asked() as stores:
                    found.append(list(stores.log.list(self._place + prefix)))
            except StorageUnavailable as error:
                failure = error
        if not found and failure is not None:
            raise failure
        return (path.removeprefix(self._place) for path, _ in groupby(heapq.merge(*found)))

    def remove(self, path: str) -> None:
        """Remove a file at both sites; absent is success.

        Raises:
            RetentionActive: the file is a finished one, under its lock.
            StorageUnavailable: the first site does not answer.
        """
        with self._sites.first.asked() as stores:
            stores.log.remove(self._place + path)
        try:
            with self._sites.second.asked() as stores:
                stores.log.remove(self._place + path)
        except StorageUnavailable:
            self._owe("log-removed", path)

    def renew(self) -> int:
        """Lengthen locks at both sites; return how many. Raises StorageUnavailable."""
        renewed = 0
        for site in self._sites.each:
            with site.asked() as stores:
                renewed += stores.log.renew()
        return renewed

    def _lost(self, first: SiteStores, path: str, old: bytes) -> bool:
        """Tell whether the first site lost a file that the second one has: then the second's is what is replaced."""
        try:
            first.log.get(path)
        except ObjectMissing:
            try:
                with self._sites.second.asked() as stores:
                    return stores.log.get(path) == old
            except StorageError:
                return False
        return False

    def _follow(self, kind: Kind, path: str, work: Callable[[SiteStores], bool]) -> None:
        """Have the second site do it too, or note that it is owed. Raises LogConflict, StorageUnavailable."""
        self._sites.point("sites.written")
        try:
            with self._sites.second.asked() as stores:
                done = work(stores)
            if not done:
                self._owe(kind, path)
            elif not self._is_tile(path):
                with suppress(StorageUnavailable), self._sites.first.asked() as stores:
                    settle(stores.owed, Owed(kind, self._place + path))
        except StorageUnavailable:
            self._owe(kind, path)
            if self._sites.both:
                raise

    def _announce(self, kind: Kind, path: str) -> None:
        """Note ahead that the second site may lag: who is stopped between the two does not write some files again.

        Tiles are: they are put again until a checkpoint covers them.
        """
        if not self._is_tile(path):
            with self._sites.first.asked() as stores:
                owe(stores.owed, Owed(kind, self._place + path))

    def _is_tile(self, path: str) -> bool:
        return _TILE.match(self._place + path) is not None

    def _owe(self, kind: Kind, path: str) -> None:
        with self._sites.first.asked() as stores:
            self._sites.point("sites.before-owed")
            owe(stores.owed, Owed(kind, self._place + path))
            self._sites.point("sites.after-owed")


def copy_file(source: SiteStores, target: SiteStores, path: str, media_type: str) -> bool:
    """Have a file of the ledger stand at the other site as it stands at this one.

    Whoever else copies at the same time copies what stands here too: so it is compared once more afterwards.

    Returns:
        False where it changed all the time.

    Raises:
        LogConflict: other bytes stand there in a file that is never replaced: the sites tell two histories.
        ObjectMissing: it is at neither site any more, or was not here.
        StorageUnavailable: a site does not answer.
    """
    wanted = source.log.get(path)
    for _ in range(_TRIES):
        try:
            standing: bytes | None = target.log.get(path)
        except ObjectMissing:
            standing = None
        if standing != wanted:
            try:
                target.log.compare_and_swap(path, standing, wanted, media_type)
            except LogConflict:
                if standing is not None and target.log.get(path) == standing:
                    raise
        before, wanted = wanted, source.log.get(path)
        if before == wanted:
            return True
    return False
