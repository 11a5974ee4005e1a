"""Turns at what holds keys: so many at once, nobody waits long, and who would is told at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from signing import tokens_caller, turns
from signing.errors import SigningUnavailable
from signing.tokens_caller import OneCaller
from signing.turns import Turns

AT_ONCE, PATIENCE_S = 3, 0.4


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(tokens_caller, "PATIENCE_S", PATIENCE_S)


def crowd(call: Callable[[], object], count: int) -> tuple[int, list[float]]:
    """So many callers at once: how many had a turn, and how long each other one waited to hear that it would not."""
    had, refused = [0], []
    guard = threading.Lock()

    def one() -> None:
        begun = time.monotonic()
        try:
            call()
        except SigningUnavailable:
            with guard:
                refused.append(time.monotonic() - begun)
        else:
            with guard:
                had[0] += 1

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return had[0], refused


def by_turns(of: Turns, seconds: float) -> Callable[[], None]:
    def call() -> None:
        with of.one():
            time.sleep(seconds)

    return call


def test_so_many_at_once() -> None:
    of, inside, most = Turns(AT_ONCE, "a service"), [0], [0]
    guard = threading.Lock()

    def call() -> None:
        with of.one():
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            with guard:
                inside[0] -= 1

    assert crowd(call, 40) == (40, [])
    assert most[0] == AT_ONCE


@pytest.mark.parametrize("kind", ["turns", "one caller"])
def test_a_slow_one_takes_few_callers(kind: str) -> None:
    """Once it is known to be slow, who would wait in vain is refused at once."""
    slow = 3 * PATIENCE_S
    if kind == "turns":
        call, at_once = by_turns(Turns(AT_ONCE, "a service"), slow), AT_ONCE
    else:
        caller, at_once = OneCaller("test"), 1

        def call() -> None:
            caller.call(lambda: time.sleep(slow), 20.0)

    # Nobody knows yet: they wait as long as their patience.
    had, refused = crowd(call, 12)
    assert (had, len(refused)) == (at_once, 12 - at_once)
    assert max(refused) < 2 * PATIENCE_S
    begun = time.monotonic()
    had, refused = crowd(call, 12)
    assert had >= at_once
    assert sorted(refused)[len(refused) // 2] < PATIENCE_S / 2
    assert time.monotonic() - begun < 3 * slow


def test_one_that_hangs_takes_none_after_a_while() -> None:
    of, go = Turns(1, "a service"), threading.Event()

    def hang() -> None:
        with of.one():
            go.wait(20)

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(1.2 * PATIENCE_S)
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(SigningUnavailable, match="slow"), of.one():
            pass
    assert time.monotonic() - begun < PATIENCE_S / 2
    go.set()
    thread.join(10)
    with of.one():
        pass


def test_refusals_at_once_do_not_make_it_look_fast() -> None:
    of = Turns(1, "a service")
    by_turns(of, PATIENCE_S)()
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), of.one():
            raise ZeroDivisionError
    assert of._pace.is_hopeless(1, 1, 0.0)
    for _ in range(20):
        with of.one():
            pass
    assert not of._pace.is_hopeless(1, 1, 0.0)
