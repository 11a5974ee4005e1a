"""Eight clients at once on two processes: no error, nothing lost, nothing doubled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Plan
from tests.e2e.harness.judge import check_whole
from tests.e2e.harness.load import Load
from tests.e2e.harness.server import serving
from vault.settings import Settings

pytestmark = pytest.mark.timeout(3600)


def loaded(folder: Path, seed: int, seconds: float, figure: Callable[[str], None]) -> None:
    data, load = folder / "data", Load(seed)
    with serving(data, workers=2) as server, load.running(server, writers=3, readers=2):
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            assert server.is_alive
            time.sleep(0.05)
    assert not load.wrong, load.wrong
    assert load.cut == 0
    assert not load.unanswered
    entries, documents, keys = check_whole(Settings(data=data))
    assert sorted(documents) == sorted(each.document_id for each in load.given.values())
    assert keys == len(load.asked) == len(set(documents))
    figure(
        f"8 clients, 2 workers, {seconds:.0f} s: {load.requests} requests ({load.requests / seconds:.0f}/s), "
        f"{len(documents)} documents ({len(documents) / seconds:.0f}/s), {entries} ledger entries, 0 errors, "
        "0 lost, 0 doubled"
    )


def test_eight_clients_on_two_processes(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    loaded(tmp_path, plan.seed, 8, figure)


@pytest.mark.soak("load")
def test_long_form(tmp_path: Path, plan: Plan, figure: Callable[[str], None]) -> None:
    loaded(tmp_path, plan.seed, plan.count or 60, figure)
