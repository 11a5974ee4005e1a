"""An object store at two sites: both, or one and what it owes to the other.

Writing follows `storage.pair_sites.Sites`; reading falls over to the second site, in the middle of an object too.
Deleting always needs both. Dates are rounded up to seconds, so that both sites say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from storage import retention
from storage.base import Durability, ObjectStore, Oddity, Staged, Stored
from storage.errors import (
    ObjectDamaged,
    ObjectMissing,
    RetentionActive,
    StorageError,
    StorageUnavailable,
)
from storage.names import known_address
from storage.pair_owed import Owed, owe
from storage.pair_sites import Site, Sites, failures
from storage.pair_staging import octets_of, stage


class PairObjectStore:
    """`ObjectStore` over two of any kind."""

    def __init__(self, sites: Sites, spool: Path | None = None) -> None:
        """Take two sites; `spool` is the folder of unnamed files in which encrypted octets wait."""
        self._sites = sites
        self._spool = spool

    @property
    def sites(self) -> Sites:
        """The two sites."""
        return self._sites

    def put(self, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Staged:
        """Stage octets, in no site yet.

        Raises:
            StorageUnavailable: they cannot be kept.
            ValueError: the retention has no time zone.
        """
        return stage(chunks, retention.whole_seconds(retention.checked(retain_until)), self._spool)

    def commit(self, staged: Sequence[Staged]) -> list[Stored]:
        """Make staged objects durable and immutable, at both sites at once.

        Steps:
            1. Both sites take what is not kept yet.
            2. Where the setting wants both and one failed, nothing is acknowledged.
            3. What only one site took is noted there, durably, as owed to the other.

        Raises:
            StorageUnavailable: too few sites took them; commit again, or put again.
            ObjectDamaged: other octets stand under one of the addresses.
        """
        states = {octets_of(item).state for item in staged}
        if "dropped" in states:
            raise StorageUnavailable("these staged octets are gone: put them again")
        waiting = [item for item in staged if octets_of(item).state == "waiting"]
        stored: dict[int, Stored] = {}
        if waiting:
            # 1
            results = self._sites.at_both(
                lambda stores: _take(stores.objects, waiting), sum(item.size for item in waiting)
            )
            # 2
            self._demand(results)
            # 3
            self._note(results, [Owed("object", item.address) for item in waiting])
            taken = next(each for each in results if not isinstance(each, StorageError))
            stored = {id(item): each for item, each in zip(waiting, taken, strict=True)}
            for item in waiting:
                octets_of(item).close("kept")
        return [stored.get(id(item)) or self._kept(item) for item in staged]

    def discard(self, staged: Sequence[Staged]) -> None:
        """Let staged octets go."""
        for item in staged:
            octets_of(item).close("dropped")

    def read(self, address: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield stored octets from the first site that gives them; one that fails half-way is followed by the other.

        Raises:
            ObjectMissing: at the call: neither site has it.
            StorageUnavailable: at the call or while reading: neither gives it.
            ValueError: offset or length is negative.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        begun: list[Site] = []

        def begin(site: Site) -> Iterator[bytes]:
            with site.asked() as stores:
                chunks = stores.objects.read(address, offset, length)
                begun.append(site)
                return chunks

        chunks = _either(self._sites.each, begin)
        return self._continued(chunks, begun[0], address, offset, length)

    def _continued(
        self, chunks: Iterator[bytes], site: Site, address: str, offset: int, length: int | None
    ) -> Iterator[bytes]:
        end = None if length is None else offset + length
        try:
            with site.asked():
                for chunk in chunks:
                    offset += len(chunk)
                    yield chunk
        except StorageError as error:
            failure = error
        else:
            return
        other = self._sites.other(site)
        try:
            with other.asked() as stores:
                left = None if end is None else end - offset
                yield from stores.objects.read(address, offset, left)
        except ObjectMissing:
            raise failure from None

    def stat(self, address: str) -> Stored:
        """Return size and retention, of the first site that has it. Raises ObjectMissing, StorageUnavailable."""
        return self._sites.first_answer(lambda stores: stores.objects.stat(address))

    def extend(self, address: str, retain_until: datetime) -> Stored:
        """Lengthen the retention at both sites; where one suffices, the other one is owed it.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: the new date is earlier than the present one.
            StorageUnavailable: too few sites take it.
        """
        until = retention.whole_seconds(retention.checked(retain_until)) or retain_until
        results = self._sites.at_both(lambda stores: stores.objects.stat(known_address(address)))
        for each in results:
            if isinstance(each, Stored) and retention.later(each.retain_until, until) != until:
                raise RetentionActive("a retention can be lengthened, never shortened")
        return self._lengthened(address, until)

    def _lengthened(self, address: str, until: datetime) -> Stored:
        results = self._sites.at_both(lambda stores: _extend(stores.objects, address, until))
        if all(isinstance(each, ObjectMissing) for each in results):
            raise ObjectMissing("no object has this address")
        if not any(isinstance(each, Stored) for each in results):
            raise failures(results)[0]
        # What one site lacks it is owed whole, whatever the setting: its time to fail was the commit.
        self._demand(results, but=ObjectMissing)
        self._note(results, [Owed("object", address)])
        return next(each for each in results if isinstance(each, Stored))

    def delete(self, address: str) -> None:
        """Delete an object whose retention is over at both sites.

        Raises:
            ObjectMissing: no such object.
            RetentionActive: a retention is not over.
            StorageUnavailable: a site does not answer; repeat it.
        """
        results = self._sites.at_both(lambda stores: stores.objects.stat(known_address(address)))
        if all(isinstance(each, ObjectMissing) for each in results):
            raise ObjectMissing("no object has this address")
        _raise(each for each in failures(results) if not isinstance(each, ObjectMissing))
        # The site that must keep it longest is asked first: neither lets go of what the other one keeps.
        held = [
            (site, each)
            for site, each in zip(self._sites.each, results, strict=True)
            if isinstance(each, Stored)
        ]
        held.sort(key=lambda pair: retention.to_nanoseconds(pair[1].retain_until), reverse=True)
        gone = 0
        for site, _ in held:
            with suppress(ObjectMissing), site.asked() as stores:
                stores.objects.delete(address)
                gone += 1
        if not gone:
            raise ObjectMissing("somebody else deleted the object")

    def addresses(self) -> Iterator[str]:
        """Yield every address that a site has: the first one's, then those that only the second one has.

        Raises:
            StorageUnavailable: neither site answers.
        """
        first, second = self._sites.each
        listed = False
        try:
            with first.asked() as stores:
                yield from stores.objects.addresses()
            listed = True
        except StorageUnavailable:
            if not second.state.ok:
                raise
        try:
            with second.asked() as stores:
                for address in stores.objects.addresses():
                    if not listed or not self._has(first, address):
                        yield address
        except StorageUnavailable:
            if not listed:
                raise

    @staticmethod
    def _has(site: Site, address: str) -> bool:
        try:
            with site.asked() as stores:
                stores.objects.stat(address)
        except ObjectMissing:
            return False
        return True

    def oddities(self) -> Iterator[Oddity]:
        """Yield what others did to either site. Raises StorageUnavailable when one does not answer."""
        for site in self._sites.each:
            with site.asked() as stores:
                for each in stores.objects.oddities():
                    yield Oddity(each.code, each.name, f"{site.name} store: {each.found}")

    def repair(self, address: str, chunks: Iterable[bytes], retain_until: datetime | None = None) -> Stored:
        """Put right octets in the place of damaged ones, at each site that has some. See `ObjectStore.repair`."""
        until = retention.whole_seconds(retention.checked(retain_until))
        item = stage(chunks, until, self._spool)
        octets = octets_of(item)
        try:
            if item.address != address:
                raise ObjectDamaged("these are not the octets of this address")
            results = self._sites.at_both(
                lambda stores: stores.objects.repair(address, octets.chunks(), until), item.size
            )
        finally:
            octets.close("dropped")
        _raise(each for each in failures(results) if not isinstance(each, ObjectMissing))
        stored = [each for each in results if isinstance(each, Stored)]
        if not stored:
            raise ObjectMissing("no object has this address")
        return stored[0]

    def copies(self) -> list[ObjectStore]:
        """Return the stores that answer, for who can tell right octets from wrong ones."""
        found: list[ObjectStore] = []
        for site in self._sites.each:
            with suppress(StorageUnavailable), site.asked() as stores:
                found.append(stores.objects)
        return found

    def forget(self, address: str) -> None:
        """Look anew for an object: one copy turned out to be damaged, and may have been repaired meanwhile."""
        for site in self._sites.each:
            with suppress(StorageUnavailable), site.asked() as stores:
                stores.forget(address)

    def durability(self) -> Durability:
        """Say what both sites give together, as far as they answer."""
        said = [store.durability() for store in self.copies()]
        if not said:
            raise StorageUnavailable("neither store answers")
        enough = any if self._sites.both and len(said) == len(self._sites.each) else all
        rule = "at both sites" if self._sites.both else "at one site, the other one follows,"
        return Durability(
            survives_power_loss=enough(each.survives_power_loss for each in said),
            immutable_for_operator=enough(each.immutable_for_operator for each in said),
            note=f"Objects are kept {rule} before they are acknowledged. "
            + " ".join(dict.fromkeys(each.note for each in said)),
        )

    def close(self) -> None:
        """Close both sites."""
        self._sites.close()

    def _kept(self, item: Staged) -> Stored:
        """Return what an earlier commit kept, with a retention that is not shorter than asked."""
        stored = self.stat(item.address)
        if item.retain_until is not None and item.retain_until > retention.system_now():
            longest = retention.later(stored.retain_until, item.retain_until)
            if longest is not None and longest != stored.retain_until:
                return self._lengthened(item.address, longest)
        return stored

    def _demand(
        self, results: Sequence[object], but: type[StorageError] | tuple[type[StorageError], ...] = ()
    ) -> None:
        """Refuse when too few sites did it. Raises what they raised."""
        failed = [each for each in results if isinstance(each, StorageError)]
        grave = [each for each in failed if not isinstance(each, but)]
        damaged = [each for each in grave if not isinstance(each, StorageUnavailable)]
        if damaged:
            raise damaged[0]
        if len(failed) == len(results) or (self._sites.both and grave):
            raise (grave or failed)[0]

    def _note(self, results: Sequence[object], things: Sequence[Owed]) -> None:
        """Note at the site that did it what the other one lacks. Raises StorageUnavailable."""
        for site, result in zip(self._sites.each, results, strict=True):
            if isinstance(result, StorageError):
                with self._sites.other(site).asked() as stores:
                    self._sites.point("sites.before-owed")
                    for thing in things:
                        owe(stores.owed, thing)
                    self._sites.point("sites.after-owed")


def _take(store: ObjectStore, items: Sequence[Staged]) -> list[Stored]:
    """Have a store take staged octets. Raises StorageUnavailable, ObjectDamaged."""
    taken: list[Staged] = []
    try:
        # One after the other, so that those taken are known when one fails.
        taken.extend(store.put(octets_of(item).chunks(), item.retain_until) for item in items)
        if [each.address for each in taken] == [each.address for each in items]:
            return store.commit(taken)
    except BaseException:
        store.discard(taken)
        raise
    store.discard(taken)
    raise StorageUnavailable("the staged octets changed")


def _extend(store: ObjectStore, address: str, until: datetime) -> Stored:
    stored = store.stat(known_address(address))
    if retention.later(stored.retain_until, until) == stored.retain_until:
        return stored
    with suppress(RetentionActive):  # somebody else was faster, with a longer one
        return store.extend(address, until)
    return store.stat(address)


def _either(sites: Iterable[Site], ask: Callable[[Site], Iterator[bytes]]) -> Iterator[bytes]:
    failure: StorageError | None = None
    for site in sites:
        try:
            return ask(site)
        except StorageError as error:
            if failure is None or isinstance(failure, ObjectMissing):
                failure = error
    assert failure is not None  # noqa: S101 - there are two sites
    raise failure


def _raise(errors: Iterable[StorageError]) -> None:
    for error in errors:
        raise error
