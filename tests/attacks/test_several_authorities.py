"""Authorities that fail, lie, stall or drift, one of several or all: the next one is asked, or nobody is believed."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from signing.trust import TrustStore
from tests.services.timestamps import Outside, Skewed
from timestamping.breaker import State
from timestamping.drift import Finding
from timestamping.errors import AuthorityUnavailable, TimestampingError, TokenRefused
from timestamping.rfc3161 import HttpAuthority, HttpAuthorityConfig
from timestamping.several import AuthorityState, SeveralAuthorities, SeveralConfig, turns
from timestamping.verify import Rfc3161Verifier

IMPRINT = hashlib.sha256(b"acte").digest()


@dataclass
class Moved:
    """Seconds that pass as they do, and others that the test adds."""

    more: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.more


@dataclass
class Pair:
    """Two authorities, and what asks them."""

    first: Outside
    second: Outside
    passing: Moved
    clock: Skewed
    several: SeveralAuthorities

    def state(self, name: str) -> AuthorityState:
        return next(each for each in self.several.states() if each.name == name)

    def signer(self) -> str:
        """Have a token; say whose it is, verified with its own root alone."""
        token = self.several.token(IMPRINT)
        for outside in (self.first, self.second):
            try:
                verifier_of(outside).verify(token.der, IMPRINT)
            except TimestampingError:
                continue
            assert token.chain[0] == outside.unit
            return outside.name
        raise AssertionError

    def code(self) -> str:
        with pytest.raises(TimestampingError) as failed:
            self.several.token(IMPRINT)
        return failed.value.code


def verifier_of(outside: Outside) -> Rfc3161Verifier:
    return Rfc3161Verifier(TrustStore([outside.root], require_revocation=False))


def pair_of(first: Outside, second: Outside, timeout: float = 0.6, whole: float = 5.0) -> Pair:
    passing, clock = Moved(), Skewed()
    members = [
        (
            each.name,
            HttpAuthority(
                HttpAuthorityConfig(each.url, timeout=timeout, clock_tolerance=timedelta(seconds=60)),
                verifier_of(each),
                clock,
            ),
        )
        for each in (first, second)
    ]
    config = SeveralConfig(whole=whole, failures=3, first_pause=10.0, longest_pause=60.0)
    several = SeveralAuthorities(members, clock, config, monotonic=passing, draw=lambda: 0.999_999)
    return Pair(first, second, passing, clock, several)


@pytest.fixture(scope="module")
def authorities() -> Iterator[tuple[Outside, Outside]]:
    first, second = Outside("premiere"), Outside("seconde")
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def pair(authorities: tuple[Outside, Outside]) -> Pair:
    for each in authorities:
        each.mode, each.clock.skew, each.asked, each._kept = "well", timedelta(), 0, None
    return pair_of(*authorities)


def test_the_preferred_one_is_asked_and_no_other(pair: Pair) -> None:
    assert [pair.signer() for _ in range(3)] == ["premiere"] * 3
    assert pair.second.asked == 0


MISBEHAVIOURS = {
    "down": "TSA_UNAVAILABLE",
    "error": "TSA_UNAVAILABLE",
    "html": "FORMAT_FAILURE",
    "wrong imprint": "HASH_FAILURE",
    "wrong nonce": "TSA_NONCE",
    "replay": "TSA_NONCE",
    "drip": "TSA_UNAVAILABLE",
    "slow": "TSA_UNAVAILABLE",
    "rejects": "TSA_STATUS",
    "busy": "TSA_UNAVAILABLE",
}


@pytest.mark.parametrize(("mode", "code"), MISBEHAVIOURS.items())
def test_whatever_it_does_wrong_the_next_one_is_asked(pair: Pair, mode: str, code: str) -> None:
    if mode == "replay":  # its first answer is good, and is what it repeats
        pair.first.mode = mode
        assert pair.signer() == "premiere"
    pair.first.mode = mode
    begun = time.monotonic()
    assert pair.signer() == "seconde"
    assert time.monotonic() - begun < 2.5
    assert (pair.state("premiere").code, pair.state("premiere").failures) == (code, 1)


def test_granted_with_modifications_is_granted(pair: Pair) -> None:
    pair.first.mode = "mods"
    assert pair.signer() == "premiere"


def test_a_token_of_another_trusted_authority_is_not_taken_for_its_own(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is believed by its own anchors alone."""
    monkeypatch.setattr(pair.first, "respond", pair.second.respond)
    assert pair.signer() == "seconde"
    assert pair.state("premiere").code == "NO_CERTIFICATE_CHAIN_FOUND"
    assert pair.state("premiere").tokens == 0


def test_all_together_have_one_time_limit(authorities: tuple[Outside, Outside]) -> None:
    first, second = authorities
    first.mode = second.mode = "drip"
    pair = pair_of(first, second, timeout=5.0, whole=0.7)
    begun = time.monotonic()
    assert pair.code() == "TSA_UNAVAILABLE"
    assert time.monotonic() - begun < 1.5


def test_nobody_answers_then_one_does(pair: Pair) -> None:
    pair.first.mode = pair.second.mode = "down"
    assert pair.code() == "TSA_UNAVAILABLE"
    pair.second.mode = "well"
    assert pair.signer() == "seconde"


def test_one_that_keeps_failing_is_left_alone_and_asked_again_later(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.first.mode = "error"
    for _ in range(3):
        assert pair.signer() == "seconde"
    assert pair.state("premiere").breaker is State.OPEN
    asked = pair.first.asked
    for _ in range(5):
        assert pair.signer() == "seconde"
    assert pair.first.asked == asked, "nobody waits for it any more"
    pair.passing.more += 10.0
    assert pair.state("premiere").breaker is State.HALF_OPEN
    assert pair.signer() == "seconde"
    assert (pair.first.asked, pair.state("premiere").breaker) == (asked + 1, State.OPEN)
    pair.first.mode = "well"
    pair.passing.more += 19.0
    assert pair.signer() == "seconde", "the second pause is longer"
    pair.passing.more += 1.0
    assert pair.signer() == "premiere"
    assert pair.state("premiere").breaker is State.CLOSED
    told = [record.getMessage() for record in caplog.records if record.name == "timestamping.several"]
    assert told[0] == "timestamp authority premiere: TSA_UNAVAILABLE"
    assert told[-1] == "timestamp authority premiere answers again"
    assert len(told) == 4, "said when it changes, not at each seal"


def test_all_left_alone_are_not_asked_and_cost_no_time(pair: Pair) -> None:
    pair.first.mode = pair.second.mode = "slow"
    for _ in range(3):
        assert pair.code() == "TSA_UNAVAILABLE"
    asked = pair.first.asked + pair.second.asked
    begun = time.monotonic()
    assert pair.code() == "TSA_UNAVAILABLE"
    assert time.monotonic() - begun < 0.1
    assert pair.first.asked + pair.second.asked == asked
    assert list(turns(pair.several)) == []


def test_one_that_flaps_is_passed_over_before_long(pair: Pair) -> None:
    for number in range(12):
        pair.first.mode = "error" if number % 2 == 0 else "well"
        pair.signer()
    assert pair.first.asked < 12
    assert pair.state("premiere").breaker is State.OPEN


def test_an_imprint_that_is_none_is_held_against_nobody(pair: Pair) -> None:
    for _ in range(5):
        with pytest.raises(TokenRefused):
            pair.several.token(bytes(20))
    assert pair.signer() == "premiere"


def test_what_is_prepared_for_one_is_not_completed_by_another(pair: Pair) -> None:
    """A turn belongs to one authority: where it fails in between, it fails."""
    turn = next(turns(pair.several))
    assert [each.subject for each in turn.chain()] == [pair.first.unit.subject]
    pair.first.mode = "down"
    with pytest.raises(AuthorityUnavailable):
        turn.token(IMPRINT)
    assert pair.second.asked == 0


# Clocks


def test_an_authority_off_by_little_is_told_of_and_comes_last_once_another_agrees(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.first.clock.skew = timedelta(seconds=25)
    assert pair.signer() == "premiere", "within what is tolerated"
    assert pair.several.clocks() == (Finding.ONE_OR_THE_OTHER, ("premiere",))
    assert pair.signer() == "seconde", "a second opinion"
    assert pair.several.clocks() == (Finding.AUTHORITY, ("premiere",))
    assert pair.signer() == "seconde"
    drift = pair.state("premiere").drift
    assert drift is not None
    assert 22 < drift.total_seconds() < 27
    said = [record for record in caplog.records if record.getMessage().startswith("clocks differ")]
    assert [record.getMessage().partition(": ")[2] for record in said] == ["one-or-the-other", "authority"]
    pair.passing.more += 601.0
    assert pair.signer() == "premiere", "asked again when that is long ago"


def test_an_authority_off_by_much_is_refused_and_the_other_asked_in_the_same_call(pair: Pair) -> None:
    pair.first.clock.skew = timedelta(seconds=-90)
    assert pair.signer() == "seconde"
    assert pair.state("premiere").code == "TSA_CLOCK"
    assert pair.state("premiere").breaker is State.CLOSED, "it answers"
    assert pair.several.clocks() == (Finding.AUTHORITY, ("premiere",))
    asked = pair.first.asked
    assert pair.signer() == "seconde"
    assert pair.first.asked == asked, "skipped"


def test_where_both_are_off_alike_it_is_our_clock(pair: Pair) -> None:
    pair.clock.skew = timedelta(seconds=-120)
    assert pair.code() == "TSA_CLOCK"
    assert pair.several.clocks() == (Finding.OUR_CLOCK, ("premiere", "seconde"))
    pair.clock.skew = timedelta()
    assert pair.signer() == "premiere", "at once when the clock is right again"


def test_where_both_are_off_each_by_its_own_nobody_is_believed(pair: Pair) -> None:
    pair.first.clock.skew, pair.second.clock.skew = timedelta(minutes=5), timedelta(minutes=-5)
    assert pair.code() == "TSA_CLOCK"
    assert pair.several.clocks()[0] is Finding.ALL_DIFFER


def test_a_clock_that_is_wrong_is_the_reason_told_though_another_is_down(pair: Pair) -> None:
    pair.first.clock.skew = timedelta(minutes=5)
    pair.second.mode = "down"
    assert pair.code() == "TSA_CLOCK"


def test_a_clock_that_is_off_opens_no_breaker(pair: Pair) -> None:
    """Who answers is asked: so it is seen at once when the clock is right again."""
    pair.clock.skew = timedelta(seconds=-120)
    for _ in range(5):
        assert pair.code() == "TSA_CLOCK"
    assert {state.breaker for state in pair.several.states()} == {State.CLOSED}
    pair.clock.skew = timedelta()
    assert pair.signer() == "premiere"


def test_a_slow_answer_accuses_no_clock(authorities: tuple[Outside, Outside]) -> None:
    first, second = authorities
    first.mode, first.clock.skew = "slow", timedelta()
    first.slow_s = 1.6
    pair = pair_of(first, second, timeout=5.0)
    assert pair.signer() == "premiere"
    assert pair.state("premiere").drift == timedelta()
    first.slow_s = 1.0


def test_ends_of_certificates_are_seen_from_tokens(pair: Pair) -> None:
    assert pair.state("premiere").certificate_ends is None
    pair.signer()
    assert pair.state("premiere").certificate_ends == pair.first.unit.not_valid_after_utc
    assert pair.state("seconde").certificate_ends is None


def test_what_the_log_says_names_no_address(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Addresses of authorities may hold credentials."""
    caplog.set_level(logging.DEBUG, "timestamping")
    pair.first.mode = "error"
    for _ in range(4):
        pair.signer()
    assert not [record for record in caplog.records if "127.0.0.1" in record.getMessage()]
