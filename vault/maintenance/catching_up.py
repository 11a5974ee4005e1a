"""Catching up: what one store of two noted as owed to the other gets there.

The truth of what is pending lies with the things themselves: a note in the store that has the only copy. Notes are few
and found without a listing of all there is; what a note was lost of, a scrub finds.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

from storage.errors import LogConflict, StorageError, StorageUnavailable
from storage.pair_catching import pay
from storage.pair_owed import Owed, read_note
from storage.pair_sites import Site, Sites
from vault.db.engine import Database
from vault.observability.health import Health
from vault.tasks.runner import Task

ROLE = "catch-up"
_Outcome = Literal["paid", "nothing", "down", "damaged", "conflict"]
_AT_ONCE = 8
_BATCH = 64
_DESTRUCTIONS_EVERY_S = 60.0
_log = logging.getLogger("probans.storage")


@dataclass(slots=True)
class CaughtUp:
    """What a pass did.

    Attributes:
        paid: things that the other store has now.
        left: things that could not be given to it now.
        damaged: of them, those whose only copy is damaged: nobody has the right octets any more.
        conflicts: of them, files of the ledger of which the stores tell two histories.
        destructions: finished, now that both stores answer.
    """

    paid: int = 0
    left: int = 0
    damaged: int = 0
    conflicts: int = 0
    destructions: int = 0


def catch_up(
    database: Database, sites: Sites, finish_destructions: Callable[[], int] | None = None
) -> CaughtUp | None:
    """Pay what is owed, unless another process is at it; every step may be stopped and repeated.

    Steps:
        1. Become the one that does it.
        2. Give each store what the other one noted. Records are copied within a write transaction, which keeps out
           whoever rewrites or deletes them.
        3. When both answer, finish the destructions that one store held up.

    Args:
        database: of the safe.
        sites: the two stores.
        finish_destructions: `Lifecycle.finish_destructions`; None leaves them to others.

    Returns:
        What was done; None when another process is at it.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
    """
    # 1
    with database.leading(ROLE) as leader:
        if not leader:
            return None
        done = CaughtUp()
        # 2
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="catch-up") as pool:
            for site in sites.each:
                _pay_all(database, sites, site, done, pool)
        # 3
        if finish_destructions is not None and all(site.state.ok for site in sites.each):
            done.destructions = finish_destructions()
        return done


def catch_up_tasks(
    database: Database, sites: Sites | None, finish_destructions: Callable[[], int], period_s: float = 5.0
) -> tuple[Task, ...]:
    """Return catching up as a task; none where there is one store."""
    if sites is None:
        return ()

    look_at = 0.0

    def run() -> int:
        nonlocal look_at
        now = time.monotonic()
        # Unfinished ones are found by reading the rows of all documents: soon only where a store was away.
        looks = now >= look_at
        done = catch_up(database, sites, finish_destructions if looks else None)
        if done is None:
            return 0
        if done.paid or not all(site.state.ok for site in sites.each):
            look_at = 0.0
        elif looks:
            look_at = now + _DESTRUCTIONS_EVERY_S
        return done.paid + done.destructions

    return (Task(ROLE, run, period_s=period_s, limit_s=3600.0, at_once=True),)


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """How one of two stores is.

    Attributes:
        name: `first` or `second`.
        up: whether it answered last.
        owed: things that it lacks and the other one has; None while the other one, which knows, is down.
    """

    name: str
    up: bool
    owed: int | None


def sites_figures(sites: Sites | None) -> list[SiteFigures]:
    """Return how both stores are; nothing where there is one."""
    if sites is None:
        return []
    owed = sites.owed()
    return [SiteFigures(site.name, site.state.ok, owed.get(site.name)) for site in sites.each]


def sites_health(sites: Sites) -> Health:
    """Tell which store is down, and how much each is owed. Where one suffices, no process is out of service for it."""
    owed = sites.owed()
    down = [f"{each.name} down ({each.note})" for each in (site.state for site in sites.each) if not each.ok]
    lags = [f"{count} owed to the {name} store" for name, count in owed.items() if count]
    return Health(
        not down, ", ".join([*down, *lags]) or "both stores answer, nothing is owed", needed=sites.both
    )


def _pay_all(database: Database, sites: Sites, site: Site, done: CaughtUp, pool: ThreadPoolExecutor) -> None:
    """Pay what one site noted, some at once; stop where a site does not answer."""
    try:
        with site.asked() as stores:
            names = list(stores.owed.names())
    except StorageUnavailable:
        return  # what it has noted nobody knows now
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        outcomes = Counter(pool.map(lambda name: _pay(database, sites, site, name), batch))
        done.paid += outcomes["paid"]
        done.damaged += outcomes["damaged"]
        done.conflicts += outcomes["conflict"]
        done.left += outcomes["damaged"] + outcomes["conflict"] + outcomes["down"]
        if outcomes["down"]:
            done.left += len(names) - start - len(batch)
            return


def _pay(database: Database, sites: Sites, site: Site, name: str) -> _Outcome:
    """Pay one note."""
    owed: Owed | None = None
    try:
        with site.asked() as stores:
            owed = read_note(stores.owed, name)
        if owed is None:
            return "nothing"
        with database.writing() if owed.kind == "record" else nullcontext():
            paid = pay(sites, site, owed)
    except StorageUnavailable:
        return "down"
    except StorageError as error:
        what = owed.name if owed is not None else name
        _log.critical("the stores cannot be made alike", extra={"object": what, "code": error.code})
        return "conflict" if isinstance(error, LogConflict) else "damaged"
    return "paid" if paid else "nothing"
