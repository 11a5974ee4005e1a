"""Giving a site what the other one noted as owed to it. Every step can be repeated, and stopped between any two."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from storage import retention
from storage.base import ObjectStore, Stored
from storage.errors import ObjectDamaged, ObjectMissing, RetentionActive, StorageError
from storage.pair_log import copy_file
from storage.pair_owed import Owed, owe, settle
from storage.pair_sites import Site, Sites, SiteStores

_MEDIA_TYPE = "application/octet-stream"
# What is noted before it is written.
_AHEAD = frozenset({"record", "log", "log-swapped"})


def pay(sites: Sites, site: Site, owed: Owed, young_s: float = 600.0) -> bool:
    """Have the other site get a thing that this one noted, then remove the note.

    A young note of which nothing is to be done may be ahead of what is being written: it stays for now.

    Args:
        sites: the two.
        site: the one that has it.
        owed: what. For records the caller keeps out whoever rewrites or deletes them.
        young_s: seconds for which a note counts as young.

    Returns:
        Whether the note is gone.

    Raises:
        StorageUnavailable: a site does not answer; the note stays.
        LogConflict: the sites tell two histories; the note stays.
        ObjectDamaged: the copy that is there is damaged; the note stays.
    """
    other = sites.other(site)
    with site.asked() as source, other.asked() as target:
        if owed.kind in _AHEAD and _same(source, target, owed) and time.time() - owed.at < young_s:
            return False
        if owed.kind == "record":
            _pay_record(source, target, owed.name, first=site is sites.first)
        else:
            _PAYING[owed.kind](source, target, owed.name)
        sites.point("sites.paid")
        settle(source.owed, owed)
        if owed.kind != "record" and _lags(source, target, owed):
            owe(source.owed, owed)  # it changed just now, and its note was the one that went
    return True


def copy_object(source: ObjectStore, target: ObjectStore, address: str) -> Stored:
    """Copy an object that the other site lacks, under the same retention; one it has keeps the longer one.

    Raises:
        ObjectMissing: it is not here.
        ObjectDamaged: the octets here are not those of the address.
        StorageUnavailable: a site does not answer.
    """
    here = source.stat(address)
    try:
        there = target.stat(address)
    except ObjectMissing:
        pass
    else:
        if retention.later(there.retain_until, here.retain_until) == there.retain_until:
            return there
        if here.retain_until is not None:
            with suppress(RetentionActive):
                return target.extend(address, here.retain_until)
        return target.stat(address)
    staged = target.put(source.read(address), here.retain_until)
    if staged.address != address:
        target.discard([staged])
        raise ObjectDamaged("the copy to be taken is damaged")
    [stored] = target.commit([staged])
    try:
        source.stat(address)
    except ObjectMissing:  # deleted meanwhile: so is its copy
        with suppress(StorageError):
            target.delete(address)
    return stored


def _pay_object(source: SiteStores, target: SiteStores, address: str) -> None:
    with suppress(ObjectMissing):  # deleted since
        copy_object(source.objects, target.objects, address)


def _pay_file(source: SiteStores, target: SiteStores, path: str) -> None:
    with suppress(ObjectMissing):  # removed since
        target.log.put_if_absent(path, source.log.get(path), _MEDIA_TYPE)


def _pay_swap(source: SiteStores, target: SiteStores, path: str) -> None:
    with suppress(ObjectMissing):
        copy_file(source, target, path, _MEDIA_TYPE)


def _pay_removal(source: SiteStores, target: SiteStores, path: str) -> None:
    try:
        source.log.get(path)
    except ObjectMissing:
        with suppress(RetentionActive):
            target.log.remove(path)


def _pay_record(source: SiteStores, target: SiteStores, name: str, *, first: bool) -> None:
    """Copy a record; one that is gone here was deleted, and goes there too: deleting begins at the second site.

    Of two that differ the first site's counts if it says that the second one lags, else the second's, which has taken
    it while the first did not answer.
    """
    here, there = _record(source, name), _record(target, name)
    if here == there:
        return
    if here is None:
        if not first:
            target.records.delete(name)
        return
    if there is not None and not first and _is_noted(target, name):
        return
    target.records.write(name, here)


def _is_noted(stores: SiteStores, name: str) -> bool:
    try:
        stores.owed.read(Owed("record", name).note)
    except ObjectMissing:
        return False
    return True


def _record(stores: SiteStores, name: str) -> bytes | None:
    try:
        return stores.records.read(name)
    except ObjectMissing:
        return None


def _same(source: SiteStores, target: SiteStores, owed: Owed) -> bool:
    """Tell whether a thing that is noted ahead is the same at both sites, or is not here yet."""
    if owed.kind == "record":
        return _record(source, owed.name) == _record(target, owed.name)
    try:
        here = source.log.get(owed.name)
    except ObjectMissing:
        return True
    try:
        return target.log.get(owed.name) == here
    except ObjectMissing:
        return False


def _lags(source: SiteStores, target: SiteStores, owed: Owed) -> bool:
    try:
        if owed.kind == "object":
            here, there = source.objects.stat(owed.name), target.objects.stat(owed.name)
            return retention.later(here.retain_until, there.retain_until) != there.retain_until
        if owed.kind == "log-swapped":
            return source.log.get(owed.name) != target.log.get(owed.name)
    except ObjectMissing:
        pass
    return False


_PAYING: dict[str, Callable[[SiteStores, SiteStores, str], None]] = {
    "object": _pay_object,
    "log": _pay_file,
    "log-swapped": _pay_swap,
    "log-removed": _pay_removal,
}
