"""Readiness: every part asked at once, none waited for beyond the limit, and since when it is as it is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from vault.errors import Unavailable
from vault.observability.health import Ask, Health, Readiness, probe


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fine() -> Health:
    return Health(True, "fine")


def test_a_part_that_hangs_hangs_nobody_and_is_not_asked_again(clock: Clock) -> None:
    free, asked = threading.Event(), []

    def hung() -> Health:
        asked.append(1)
        free.wait(30)
        return Health(True, "back")

    readiness = Readiness(clock, 0.3)
    parts: dict[str, Ask] = {"store": hung, "database": fine, "timestamps": hung}
    for _ in range(3):
        begun = time.monotonic()
        found = readiness.ask(parts, optional=frozenset({"timestamps"}))
        assert 0.2 < time.monotonic() - begun < 1.5, "one limit for all, not one after the other"
        assert found["database"].ok
        store = found["store"]
        assert (store.ok, store.needed, store.note) == (False, True, "no answer within 0.3 s")
        assert not found["timestamps"].needed
    assert len(asked) == 2, "one thread for each part that hangs"
    free.set()
    deadline = time.monotonic() + 5
    while not readiness.ask(parts)["store"].ok:
        assert time.monotonic() < deadline
    assert list(readiness.ask(parts)) == ["store", "database", "timestamps"]


def test_since_when_changes_with_the_state_and_not_with_the_note(clock: Clock) -> None:
    readiness = Readiness(clock)
    begin = clock.time
    assert readiness.ask({"a": fine})["a"].since == begin
    clock.time += timedelta(hours=1)
    assert readiness.ask({"a": lambda: Health(True, "better")})["a"].since == begin
    clock.time += timedelta(hours=1)
    down = readiness.ask({"a": lambda: Health(False, "gone")})["a"]
    assert (down.since, down.note) == (clock.time, "gone")
    clock.time += timedelta(hours=1)
    assert readiness.ask({"a": lambda: Health(False, "still")})["a"].since == down.since
    assert readiness.ask({"a": fine})["a"].since == clock.time


def test_whatever_is_raised_is_told_by_its_code(clock: Clock) -> None:
    def coded() -> Health:
        raise Unavailable("DATABASE_UNAVAILABLE", "secret")

    def other() -> Health:
        raise RuntimeError("secret")

    found = Readiness(clock).ask({"a": coded, "b": other})
    assert (found["a"].note, found["b"].note) == ("DATABASE_UNAVAILABLE", "INTERNAL")
    assert not found["a"].ok
    assert not probe(lambda: str(1 // 0)).ok
    assert probe(lambda: "fine", needed=False) == Health(True, "fine", needed=False)


def test_many_ask_at_once(clock: Clock) -> None:
    readiness = Readiness(clock)
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(readiness.ask({"a": fine})["a"].ok)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 16
