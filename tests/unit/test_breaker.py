"""The circuit breaker, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timestamping.breaker import Breaker, State
from timestamping.drift import Drift, Finding, drift_of, judge


@dataclass
class Moved:
    at: float = 0.0

    def __call__(self) -> float:
        return self.at


def breaker(clock: Moved, draw: float = 0.999_999) -> Breaker:
    return Breaker(3, 1.0, 15.0, now=clock, draw=lambda: draw)


def fail(made: Breaker) -> bool:
    ticket = made.enter()
    assert ticket is not None
    return made.failed(ticket)


def succeed(made: Breaker) -> bool:
    ticket = made.enter()
    assert ticket is not None
    return made.succeeded(ticket)


def test_it_opens_at_the_limit_and_closes_after_a_trial() -> None:
    clock = Moved()
    made = breaker(clock)
    assert [fail(made), fail(made)] == [False, False]
    assert (made.state, made.would_admit()) == (State.CLOSED, True)
    assert fail(made)
    assert (made.state, made.enter()) == (State.OPEN, None)
    clock.at = 0.99
    assert made.enter() is None
    clock.at = 1.0
    assert made.state is State.HALF_OPEN
    trial = made.enter()
    assert trial is not None
    assert made.enter() is None, "one at a time"
    assert made.succeeded(trial)
    assert made.state is State.CLOSED


def test_each_pause_in_a_row_is_twice_as_long_up_to_the_longest() -> None:
    clock = Moved()
    made = breaker(clock)
    for _ in range(3):
        fail(made)
    for pause in (1, 2, 4, 8, 15, 15, 15):
        clock.at += pause - 0.01
        assert made.enter() is None, pause
        clock.at += 0.01
        assert fail(made), pause


def test_pauses_vary_between_half_and_the_whole() -> None:
    clock = Moved()
    made = breaker(clock, draw=0.0)
    for _ in range(3):
        fail(made)
    clock.at = 0.49
    assert made.enter() is None
    clock.at = 0.5
    assert made.enter() is not None


def test_on_probation_one_failure_opens_it_again_and_good_conduct_ends_it() -> None:
    clock = Moved()
    made = breaker(clock)
    for _ in range(3):
        fail(made)
    clock.at = 1.0
    assert succeed(made)
    assert fail(made), "on probation"
    clock.at += 1.99
    assert made.enter() is None, "for twice as long"
    clock.at += 0.01
    assert succeed(made)
    for _ in range(4):
        assert not succeed(made)
    assert [fail(made), fail(made)] == [False, False]
    assert fail(made)
    clock.at += 1.0
    assert made.enter() is not None, "as short as the first"


def test_one_that_flaps_is_found_out() -> None:
    made = breaker(Moved())
    opened = 0
    for number in range(12):
        if made.enter() is None:
            opened = number
            break
        made.failed(0) if number % 2 == 0 else made.succeeded(0)
    assert 0 < opened <= 10


def test_what_began_before_it_opened_changes_nothing_after() -> None:
    clock = Moved()
    made = breaker(clock)
    late = [made.enter() for _ in range(2)]
    for _ in range(3):
        fail(made)
    assert late[0] is not None
    assert late[1] is not None
    assert not made.failed(late[0])
    assert not made.succeeded(late[1])
    assert made.state is State.OPEN
    clock.at = 1.0
    assert made.state is State.HALF_OPEN


@given(st.lists(st.sampled_from("sfw"), max_size=60), st.floats(0, 1, exclude_max=True))
def test_it_never_stays_closed_to_everybody(moves: list[str], draw: float) -> None:
    """Whatever happens, after the longest pause somebody may ask."""
    clock = Moved()
    made = breaker(clock, draw)
    for move in moves:
        if move == "w":
            clock.at += 1.0
        elif (ticket := made.enter()) is not None:
            made.succeeded(ticket) if move == "s" else made.failed(ticket)
    clock.at += 15.0
    assert made.would_admit()
    assert made.enter() is not None


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("gen_time", "asked", "received", "drift"),
    [
        (NOON, NOON, NOON + S, 0),
        (NOON, NOON + 0.9 * S, NOON + 1.5 * S, 0),  # a whole second stands for all of it
        (NOON, NOON + 3 * S, NOON + 4 * S, -2),
        (NOON + 9 * S, NOON, NOON + 2 * S, 7),
        (NOON + 9 * S, NOON, NOON + 20 * S, 0),  # a slow answer accuses nobody
        (NOON + 0.5 * S, NOON + S, NOON + S, -0.5),  # fractions stand for themselves
    ],
)
def test_drift_is_the_distance_outside_of_the_round_trip(
    gen_time: datetime, asked: datetime, received: datetime, drift: float
) -> None:
    assert drift_of(gen_time, asked, received) == drift * S


def test_one_odd_token_in_three_does_not_count_and_old_ones_are_forgotten() -> None:
    kept = Drift(600)
    assert kept.value(0) is None
    kept.add(0, 300 * S)
    assert kept.value(1) == 300 * S
    kept.add(2, 0 * S)
    assert kept.value(3) == 0 * S
    kept.add(4, -400 * S)
    assert kept.value(5) == 300 * S
    kept.add(6, 1 * S)
    assert kept.value(7) == 1 * S
    assert kept.value(605) == 1 * S
    assert kept.value(607) is None


@pytest.mark.parametrize(
    ("drifts", "finding", "off"),
    [
        ({}, Finding.UNKNOWN, ()),
        ({"a": None}, Finding.UNKNOWN, ()),
        ({"a": 2, "b": None}, Finding.AGREE, ()),
        ({"a": 30, "b": 1}, Finding.AUTHORITY, ("a",)),
        ({"a": 30, "b": 31}, Finding.OUR_CLOCK, ("a", "b")),
        ({"a": -30, "b": -39}, Finding.OUR_CLOCK, ("a", "b")),
        ({"a": 30, "b": -30}, Finding.ALL_DIFFER, ("a", "b")),
        ({"a": 30, "b": 90}, Finding.ALL_DIFFER, ("a", "b")),
        ({"a": 30, "b": None}, Finding.ONE_OR_THE_OTHER, ("a",)),
        ({"a": 30, "b": 31, "c": 0}, Finding.AUTHORITY, ("a", "b")),
    ],
)
def test_who_is_wrong(drifts: dict[str, float | None], finding: Finding, off: tuple[str, ...]) -> None:
    known = {name: None if drift is None else drift * S for name, drift in drifts.items()}
    assert judge(known, 10 * S) == (finding, off)
