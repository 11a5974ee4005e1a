"""Whoever falls silent loses its locks by the server's clock, and finds out; whoever speaks keeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.postgresql import Server
from vault.db import postgresql
from vault.db.engine import Database, DatabaseLimits
from vault.db.twins import TwinGuard

pytestmark = pytest.mark.needs("postgresql")
LIMITS = DatabaseLimits(connections=4, statement_s=5, lock_s=5, idle_s=5)
LEASE_S = 1.0


@pytest.fixture
def url(postgresql_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(postgresql, "_LEASE_S", LEASE_S)
    yield postgresql_server.create("safe")
    for name in postgresql_server.databases():
        postgresql_server.drop(name)


def test_a_process_that_speaks_keeps_its_locks_however_long_it_works(url: str, tmp_path: Path) -> None:
    one, two = Database.open(url, tmp_path, LIMITS), Database.open(url, tmp_path, LIMITS)
    guard = TwinGuard(tmp_path, one.locks)
    with one.leading("role") as leader, guard.hold(b"key") as mine:
        assert leader
        assert mine
        time.sleep(3 * LEASE_S)
        assert guard.holds(b"key")
        with two.leading("role") as second, TwinGuard(tmp_path, two.locks).hold(b"key") as theirs:
            assert not second
            assert not theirs
    assert not guard.holds(b"key")
    one.close()
    two.close()


def test_a_process_that_is_silent_loses_its_locks_and_finds_out(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Database.open(url, tmp_path, LIMITS), Database.open(url, tmp_path, LIMITS)
    guard = TwinGuard(tmp_path, one.locks)
    with guard.hold(b"key") as mine:
        assert mine
        locks = one.locks
        with locks._mutex:  # type: ignore[union-attr] - as if the whole process were paused
            time.sleep(2 * LEASE_S)
            with TwinGuard(tmp_path, two.locks).hold(b"key") as theirs:
                assert theirs
                assert guard.holds(b"key"), "it cannot know yet"
        time.sleep(LEASE_S)
        assert not guard.holds(b"key"), "its next sign of life told it"
        with guard.hold(b"other") as other:
            assert other, "with a new session"
            assert not guard.holds(b"key")
            assert guard.holds(b"other")
    one.close()
    two.close()


def test_files_are_not_lost(tmp_path: Path) -> None:
    guard = TwinGuard(tmp_path)
    with guard.hold(b"key"):
        assert guard.holds(b"key")
