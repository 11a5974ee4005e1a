"""Sessions and demands without a server: who acts, what an act demands, what the settings mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from identity.base import ClaimMap, ProvenIdentity, ProviderConfig
from vault.authorization.assurance import DEMANDS, Act, Assurances, demand_assurance
from vault.bootstrap import open_parts
from vault.clock import SystemClock
from vault.composition.parts import Parts
from vault.domain.actors import Actor, Assurance, Role
from vault.errors import NotFound, Unauthenticated
from vault.people.accounts import Accounts
from vault.people.sessions import SessionLimits, Sessions
from vault.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIGS = {"p": ProviderConfig("p", "https://p.example", "c", claims=ClaimMap(attributes={"holder": "h"}))}


class Fixed:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


def actor(level: Assurance | None, minutes: float | None) -> Actor:
    proven = None if minutes is None else NOW - timedelta(minutes=minutes)
    return Actor("a", Role.HOLDER, assurance=level, authenticated_at=proven)


def refusal(who: Actor, level: Assurance | None, within: timedelta | None) -> dict[str, object] | None:
    try:
        demand_assurance(who, level, within, Fixed())
    except Unauthenticated as error:
        return {"code": error.code, **error.params}
    return None


@pytest.mark.parametrize("proven", [None, *Assurance])
@pytest.mark.parametrize("demanded", [None, *Assurance])
def test_a_level_is_reached_by_itself_and_higher_ones(
    proven: Assurance | None, demanded: Assurance | None
) -> None:
    enough = demanded is None or (proven is not None and proven >= demanded)
    assert (refusal(actor(proven, 0), demanded, None) is None) == enough


@pytest.mark.parametrize(
    ("minutes", "enough"), [(0, True), (15, True), (15.01, False), (600, False), (None, False)]
)
def test_a_proof_is_fresh_for_as_long_as_the_act_says(minutes: float | None, enough: bool) -> None:
    assert (refusal(actor(Assurance.HIGH, minutes), None, timedelta(minutes=15)) is None) == enough


def test_the_refusal_says_what_is_missing_and_where_to_prove_it() -> None:
    said = refusal(actor(Assurance.LOW, 60), Assurance.SUBSTANTIAL, timedelta(minutes=15))
    assert said == {
        "code": "STEP_UP_REQUIRED",
        "level": "substantial",
        "minutes": 15,
        "place": "/acces/renforcer",
    }


def test_every_act_stands_in_the_table() -> None:
    assert set(DEMANDS) == set(Act)
    anybody = actor(None, 0)
    Assurances(Fixed(), None).demand(anybody, Act.CONSENT)
    with pytest.raises(Unauthenticated):
        Assurances(Fixed(), Assurance.SUBSTANTIAL).demand(anybody, Act.CONSENT)


def test_sensitive_acts_demand_substantial_in_production_unless_said_otherwise() -> None:
    assert Settings().sensitive_assurance == "none"
    assert Settings(environment="production").sensitive_assurance == "substantial"
    assert Settings(environment="production", assurance="high").sensitive_assurance == "high"
    assert Settings(environment="production", assurance="none").sensitive_assurance == "none"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    opened = open_parts(Settings(data=tmp_path / "data"))
    yield opened
    opened.close()


def test_a_holder_under_a_mandate_acts_as_its_mandatary(parts: Parts) -> None:
    clock = SystemClock()
    accounts = Accounts(parts.database, parts.keyring, parts.records, clock, CONFIGS)
    limits = SessionLimits(timedelta(minutes=30), timedelta(hours=8))
    sessions = Sessions(parts.database, parts.keyring, clock, limits, CONFIGS)
    proven = ProvenIdentity(
        "p",
        "https://p.example",
        "s",
        "Anne",
        "",
        "high",
        clock.now() + timedelta(hours=1),
        "",
        "",
        {"holder": "H"},
    )
    signed = accounts.sign_in(proven)
    value = sessions.open(signed, proven, "D" * 500)
    session = sessions.find(value)
    assert session is not None
    assert (session.actor.role, session.actor.id, session.actor.mandate_id) == (Role.HOLDER, "H", None)
    assert session.actor.authenticated_at is not None
    assert session.actor.authenticated_at <= clock.now(), (
        "a provider's clock that is ahead makes nothing fresher"
    )
    assert len(session.device) == 200
    sessions.act_under(session.id, "mdt_1")
    acting = sessions.find(value)
    assert acting is not None
    assert (acting.actor.role, acting.actor.mandate_id, acting.actor.safe_id) == (
        Role.MANDATARY, "mdt_1", session.actor.safe_id,
    )  # fmt: skip
    assert acting.quality == session.quality
    # A proof anew keeps it; whoever logs in again acts for themselves.
    renewed = sessions.find(sessions.renew(value, acting, signed, proven))
    assert renewed is not None
    assert renewed.actor.mandate_id == "mdt_1"
    again = sessions.find(sessions.open(signed, proven, ""))
    assert again is not None
    assert again.actor.mandate_id is None
    sessions.act_under(session.id, None)
    assert [each.actor.role for each in sessions.of_account(signed.account.id)] == [Role.HOLDER] * 2
    with pytest.raises(Unauthenticated):
        sessions.act_under("ses_0", "mdt_1")
    with pytest.raises(NotFound):
        sessions.end_one("acc_0", session.id)
    assert sessions.end_all(signed.account.id) == 2
    with pytest.raises(Unauthenticated):
        sessions.renew(value, replace(session, account_id="acc_0"), signed, proven)
