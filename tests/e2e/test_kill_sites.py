"""`kill -9` of a service with two stores, between what it does at the one and at the other, and while one is away.

Nothing answered is lost, nothing is doubled, and when both stores are there again they become alike by what was noted.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Plan
from tests.e2e.harness.client import Reply
from tests.e2e.harness.load import Load
from tests.e2e.harness.server import Server
from tests.e2e.harness.siege import ANY_MOMENT, Siege
from tests.e2e.test_kill import SITE_POINTS
from vault.backends.stores import prepare_folder
from vault.bootstrap import open_parts
from vault.maintenance.catching_up import catch_up
from vault.maintenance.scrubbing import Pace
from vault.maintenance.site_scrubbing import scrub_sites
from vault.settings import Settings

pytestmark = pytest.mark.timeout(7200)
# Reached only while the second store is away; what is paid then was owed before.
AWAY = {"sites.before-owed", "sites.after-owed", "sites.paid"}


class PatientLoad(Load):
    """Clients that take 503 for an answer: while a store is away nothing is destroyed, and its going is noticed late.

    Attributes:
        put_off: how many there were.
    """

    put_off = 0

    def expect(self, reply: Reply, *statuses: int) -> bool:
        if reply.status != 503:
            return super().expect(reply, *statuses)
        self.put_off += 1
        return False


class TwoStores(Siege):
    """A folder, and another one that is moved away and put back under load."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.second = folder / "elsewhere"
        self.point = ""
        super().__init__(folder, seed, {"STORE2_FOLDER": self.second, "STORE_WRITES": "one"})
        self.load = PatientLoad(seed)
        prepare_folder(self.second)

    def meanwhile(self, server: Server) -> None:
        if self.point in AWAY:
            self.second.rename(self.second.with_name("unmounted"))
            # Long enough for more to be owed than the trap lets pass.
            time.sleep(2 if self.point == "sites.paid" else 0.3)
        if self.point == "sites.paid":
            self.restore()

    def restore(self) -> None:
        unmounted = self.second.with_name("unmounted")
        if unmounted.exists():
            # A write under way may have made folders in its place.
            shutil.rmtree(self.second, ignore_errors=True)
            unmounted.rename(self.second)

    @property
    def here(self) -> Settings:
        return Settings(data=self.data, store2_folder=self.second, store_writes="one", retention_days=0)

    def owed(self) -> dict[str, int]:
        parts = open_parts(self.here)
        try:
            assert parts.sites is not None
            return parts.sites.owed()
        finally:
            parts.close()

    def compared(self) -> list[str]:
        """Pay what is owed, and return how the stores still differ."""
        parts = open_parts(self.here)
        try:
            assert parts.sites is not None
            done = catch_up(parts.database, parts.sites)
            assert done is not None
            assert done.left == 0
            report = scrub_sites(parts.database, parts.sites, parts.clock, pace=Pace(0))
            return [f"{each.code} {each.where}" for each in report.problems]
        finally:
            parts.close()


def test_kills_between_two_stores(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    siege = TwoStores(tmp_path, plan.seed)
    begun, owed = time.monotonic(), 0
    for point in (*SITE_POINTS, ANY_MOMENT):
        siege.point = point
        siege.strike(point)
        siege.restore()
        owed += sum(siege.owed().values())
    siege.end(bundles=8)
    assert set(siege.kills) == {*SITE_POINTS, ANY_MOMENT}
    assert owed > 0
    assert siege.compared() == []
    figure(
        f"kill -9 with two stores: {sum(siege.kills.values())} kills, seed {plan.seed}, {owed} things owed meanwhile, "
        f"{len(siege.load.given)} documents, {len(siege.load.destroyed)} destroyed, 0 lost, 0 doubled, stores alike, "
        f"{time.monotonic() - begun:.0f} s"
    )
