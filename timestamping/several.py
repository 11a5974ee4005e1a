"""Several outside authorities in order of preference: who is down, wrong or off in time is passed over.

A seal embeds what proves its authority's certificates before it knows the token, and reserves room for the token's
size. So whoever seals does not ask "a token, of anybody" but takes `turns`: each turn is one authority with the chain,
the size and the token that belong together, and what was prepared for one is never completed with another's token.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from cryptography import x509

from timestamping.base import Clock, TimestampAuthority, Token
from timestamping.breaker import Breaker, State
from timestamping.drift import Drift, Finding, drift_of, judge
from timestamping.errors import AuthorityUnavailable, ClockDisagrees, TimestampingError, TokenRefused

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


class LimitedAuthority(TimestampAuthority, Protocol):
    """An authority whose answer can be waited for as long as the caller wants, and no longer."""

    def token(self, imprint: bytes, within: float | None = None) -> Token:
        """See `TimestampAuthority`; `within` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class SeveralConfig:
    """How several authorities are asked.

    Attributes:
        whole: seconds for one seal, whoever of them is asked.
        failures: after how many an authority is left alone.
        first_pause: seconds of the first pause; each one in a row is twice as long.
        longest_pause: seconds of the longest.
        warning: drift from which an authority comes last, while others agree with the local clock.
        remembered: seconds for which the drift of a token counts.
    """

    whole: float = 15.0
    failures: int = 3
    first_pause: float = 1.0
    longest_pause: float = 15.0
    warning: timedelta = timedelta(seconds=10)
    remembered: float = 600.0


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """How an authority does, seen from this process.

    Attributes:
        name: given by the operator.
        breaker: whether it is asked.
        tokens: good ones that it gave.
        failures: calls that gave none.
        code: of the last failure, "" after a good token.
        drift: of its time against the local clock; None when it is not known.
        certificate_ends: when the first certificate of its last token ends; None before the first.
    """

    name: str
    breaker: State
    tokens: int
    failures: int
    code: str
    drift: timedelta | None
    certificate_ends: datetime | None


class SeveralAuthorities:
    """A `TimestampAuthority` made of several. Safe for threads.

    Args:
        authorities: by name, the preferred one first.
        clock: local time that theirs is compared with.
        config: limits.
        monotonic: seconds of a clock that never goes back.
        draw: random number, 0 included, 1 excluded.
    """

    def __init__(
        self,
        authorities: Sequence[tuple[str, LimitedAuthority]],
        clock: Clock,
        config: SeveralConfig,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._monotonic = monotonic
        self._members = tuple(
            _Member(name, authority, clock, config, monotonic, draw) for name, authority in authorities
        )
        self._said: tuple[Finding, tuple[str, ...]] = (Finding.UNKNOWN, ())

    @property
    def own(self) -> bool:
        """True when the operator runs every one of them; each token says it for itself."""
        return all(member.authority.own for member in self._members)

    @property
    def expected_size(self) -> int:
        """That of the first one that answers. Raises AuthorityUnavailable, TokenRefused."""
        return self._first(lambda turn: turn.expected_size)

    def chain(self) -> Sequence[x509.Certificate]:
        """That of the first one that answers. Raises AuthorityUnavailable, TokenRefused."""
        return self._first(lambda turn: turn.chain())

    def token(self, imprint: bytes) -> Token:
        """Timestamp with the first one that answers, for callers that embed nothing else of it.

        Raises:
            AuthorityUnavailable: none answers.
            TokenRefused: HASH_FAILURE when the imprint is not 32 octets; else as the last one that failed, or
                TSA_CLOCK when that of one did.
        """
        return self._first(lambda turn: turn.token(imprint))

    def turns(self) -> Iterator[TimestampAuthority]:
        """Yield whom to ask, one after the other, until the caller has its token or the time for all is over.

        Those that are left alone for now are not among them. One whose time is off comes after the others, unless all
        are off: what the others state tells whether it is this one or the local clock that is wrong.
        """
        deadline = self._monotonic() + self._config.whole
        _, off = self.clocks()
        for member in sorted(self._members, key=lambda each: each.name in off):
            if self._monotonic() < deadline and member.breaker.would_admit():
                yield _Turn(member, deadline, self._look)

    def chains(self) -> list[Sequence[x509.Certificate]]:
        """Return the chains of those that are asked at present and gave a token; asks nobody."""
        return [
            member.authority.chain()
            for member in self._members
            if member.tokens and member.breaker.state is State.CLOSED
        ]

    def states(self) -> list[AuthorityState]:
        """Say how each one does, the preferred one first; asks nobody."""
        return [member.state() for member in self._members]

    def clocks(self) -> tuple[Finding, tuple[str, ...]]:
        """Say what their times tell of the local clock, and which of them are off; see `drift.judge`."""
        at = self._monotonic()
        drifts = {member.name: member.drift.value(at) for member in self._members}
        return judge(drifts, self._config.warning)

    def _look(self) -> None:
        """Say once what the clocks tell, after a token."""
        said = self.clocks()
        if said == self._said or said[0] is Finding.UNKNOWN:
            return
        before, self._said = self._said, said
        if said[0] is not Finding.AGREE:
            drifts = {
                each.name: each.drift.total_seconds() for each in self.states() if each.drift is not None
            }
            _log.warning("clocks differ: %s", said[0].value, extra={"off": said[1], "seconds": drifts})
        elif before[0] is not Finding.UNKNOWN:
            _log.warning("clocks agree again")

    def _first(self, ask: Callable[[TimestampAuthority], _Answer]) -> _Answer:
        failure: TimestampingError = AuthorityUnavailable("every timestamp authority is left alone for now")
        for turn in self.turns():
            try:
                return ask(turn)
            except TimestampingError as error:
                failure = error if failure.code != "TSA_CLOCK" else failure
        raise failure


def turns(authority: TimestampAuthority) -> Iterator[TimestampAuthority]:
    """Yield whom to ask for one seal, one after the other: the members of several authorities, or the only one."""
    if isinstance(authority, SeveralAuthorities):
        yield from authority.turns()
    else:
        yield authority


class _Member:
    """One authority, its breaker and what is known of it."""

    def __init__(
        self,
        name: str,
        authority: LimitedAuthority,
        clock: Clock,
        config: SeveralConfig,
        monotonic: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self.name, self.authority = name, authority
        self.breaker = Breaker(
            config.failures, config.first_pause, config.longest_pause, now=monotonic, draw=draw
        )
        self.drift = Drift(config.remembered)
        self.tokens = 0
        self._failures = 0
        self._code = ""
        self._ends: datetime | None = None
        self._clock, self.monotonic = clock, monotonic

    def ask(self, imprint: bytes, within: float) -> Token:
        """Have it timestamp. Raises AuthorityUnavailable, TokenRefused."""
        if within <= 0:
            raise AuthorityUnavailable("the time for all timestamp authorities is over")
        ticket = self.breaker.enter()
        if ticket is None:
            raise AuthorityUnavailable(f"the timestamp authority {self.name} is left alone for now")
        asked, began = self._clock.now(), self.monotonic()
        try:
            token = self.authority.token(imprint, within)
        except ClockDisagrees as error:
            # It answers, and well: which of the two clocks is wrong is not for the breaker to say.
            self._note(error.gen_time, asked, began)
            self._failures += 1
            self._code = error.code
            self.breaker.succeeded(ticket)
            raise
        except BaseException as error:
            self._failed(ticket, getattr(error, "code", type(error).__name__))
            raise
        self._note(token.gen_time, asked, began)
        self.tokens += 1
        self._code = ""
        self._ends = min((each.not_valid_after_utc for each in token.chain), default=None)
        if self.breaker.succeeded(ticket):
            _log.warning("timestamp authority %s answers again", self.name)
        return token

    def meet(self, within: float) -> None:
        """Ask for a first token where none came yet: it tells chain and size."""
        if not self.tokens:
            self.ask(os.urandom(32), within)

    def state(self) -> AuthorityState:
        return AuthorityState(
            self.name,
            self.breaker.state,
            self.tokens,
            self._failures,
            self._code,
            self.drift.value(self.monotonic()),
            self._ends,
        )

    def _note(self, gen_time: datetime, asked: datetime, began: float) -> None:
        # Wall and monotonic time may both have moved oddly meanwhile: the longer span is the safe one.
        now, at = self._clock.now(), self.monotonic()
        passed = timedelta(seconds=at - began)
        drift = drift_of(gen_time, min(asked, now - passed), max(now, asked + passed))
        self.drift.add(at, drift)

    def _failed(self, ticket: int, code: str) -> None:
        self._failures += 1
        is_new, self._code = code != self._code, code
        if self.breaker.failed(ticket) or is_new:
            _log.warning(
                "timestamp authority %s: %s", self.name, code, extra={"breaker": self.breaker.state.value}
            )


class _Turn:
    """One member, for what is left of the time for all."""

    def __init__(self, member: _Member, deadline: float, then: Callable[[], None]) -> None:
        self._member, self._deadline, self._then = member, deadline, then

    @property
    def own(self) -> bool:
        return self._member.authority.own

    @property
    def expected_size(self) -> int:
        self._meet()
        return self._member.authority.expected_size

    def chain(self) -> Sequence[x509.Certificate]:
        self._meet()
        return self._member.authority.chain()

    def token(self, imprint: bytes) -> Token:
        if len(imprint) != 32:
            raise TokenRefused("HASH_FAILURE", "the imprint is not a SHA-256 digest")
        try:
            return self._member.ask(imprint, self._left())
        finally:
            self._then()

    def _meet(self) -> None:
        try:
            self._member.meet(self._left())
        finally:
            self._then()

    def _left(self) -> float:
        return self._deadline - self._member.monotonic()
