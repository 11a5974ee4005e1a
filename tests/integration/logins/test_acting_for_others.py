"""A session under a mandate: begun by choice, refused at once when the mandate ends, left again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from vault.domain.actors import Assurance, Role
from vault.errors import Unauthenticated
from vault.people.mandates import NewMandate


@pytest.fixture
def given(login_vault):
    """Give a mandate to a persona, and return its identifier."""

    def do(mandatary: str) -> str:
        camille = login_vault.personas.named("camille").actor
        now = login_vault.parts.clock.now()
        new = NewMandate(
            holder="camille", mandatary=mandatary, kind="proxy", scope=("read",), basis="Procuration",
            starts_at=None, ends_at=now + timedelta(days=1),
        )  # fmt: skip
        sure = replace(camille, assurance=Assurance.HIGH, authenticated_at=now)
        return login_vault.people.mandates.grant(sure, new, f"key-{now.timestamp()}").document_id

    return do


def test_a_session_acts_under_a_mandate_and_for_oneself_again(browser, login_vault, given):
    browser.become("dominique")
    mandate, camille = given("dominique"), login_vault.personas.named("camille").actor
    place = f"/v1/safes/{camille.safe_id}/documents"
    assert browser.get(place).status_code == 404
    chosen = browser.post("/acces/mandat", mandat=mandate, retour="/acces")
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/acces")
    actor = login_vault.people.login.sessions.find(browser.session).actor
    assert (actor.role, actor.mandate_id) == (Role.MANDATARY, mandate)
    assert browser.get(place).status_code == 200
    # It ends: the very next request opens nothing.
    login_vault.people.mandates.end(camille, mandate, "", f"end-{mandate}")
    assert browser.get(place).status_code == 404
    assert browser.post("/acces/mandat", mandat=mandate).status_code == 404
    assert browser.post("/acces/mandat", mandat="").status_code == 303
    actor = login_vault.people.login.sessions.find(browser.session).actor
    assert (actor.role, actor.mandate_id) == (Role.HOLDER, None)


def test_nobody_acts_under_another_s_mandate(browser, new_browser, login_vault, given):
    mandate = given("un-tiers")
    browser.become("dominique")
    agent = new_browser()
    agent.become("agent-etat-civil")
    for one in (browser, agent):
        assert one.post("/acces/mandat", mandat=mandate).status_code == 404
        assert one.post("/acces/mandat", mandat="mdt_00000000000000000000000000").status_code == 404
        assert login_vault.people.login.sessions.find(one.session).actor.mandate_id is None


def test_the_switch_needs_a_form_of_ours(browser, login_vault, given):
    browser.become("dominique")
    mandate = given("dominique")
    assert browser.post("/acces/mandat", token="x" * 64, mandat=mandate).status_code >= 400
    assert login_vault.people.login.sessions.find(browser.session).actor.mandate_id is None


def test_giving_a_mandate_demands_a_sure_proof(login_vault):
    camille = login_vault.personas.named("camille").actor
    new = NewMandate(
        "camille", "dominique", "proxy", ("read",), "Procuration", None,
        login_vault.parts.clock.now() + timedelta(days=1),
    )  # fmt: skip
    with pytest.raises(Unauthenticated, match="STEP_UP_REQUIRED"):
        login_vault.people.mandates.grant(camille, new, "weak")
