"""Logging in over HTTP: the embedded provider and an outside one, proof anew, logout in its four ways."""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta

import pytest

from api.errors import problem_of
from identity.discovery import Discovery
from vault.authorization.assurance import Act
from vault.domain.actors import Assurance, Role
from vault.errors import Unauthenticated


def who(vault, browser):
    session = vault.people.login.sessions.find(browser.session)
    return None if session is None else session.actor


def test_a_made_up_holder_finds_the_safe_that_was_there(browser, login_vault):
    done = browser.become("camille", "high", back="/?cursor=1#documents")
    assert done.status_code == 303
    assert done.headers["location"] == "/?cursor=1#documents"
    actor = who(login_vault, browser)
    persona = login_vault.personas.named("camille").actor
    assert (actor.role, actor.id, actor.safe_id) == (Role.HOLDER, "camille", persona.safe_id)
    assert actor.assurance is Assurance.HIGH
    assert actor.authenticated_at is not None
    assert "Camille Exemple" in browser.get("/espace").text


@pytest.mark.parametrize(
    ("persona", "role", "administration"),
    [
        ("agent-etat-civil", Role.AGENT, "mairie-specimen"),
        ("auditeur", Role.AUDITOR, None),
        ("exploitant", Role.OPERATOR, None),
    ],
)
def test_agents_and_others_have_the_role_that_the_provider_grants_and_no_safe(
    browser, login_vault, persona, role, administration
):
    browser.become(persona)
    actor = who(login_vault, browser)
    assert (actor.role, actor.administration_id, actor.safe_id) == (role, administration, None)


def test_an_unknown_person_gets_an_account_and_a_safe_once(browser, new_browser, login_vault):
    browser.log_in("nouvelle", acr="2")
    first = who(login_vault, browser)
    again = new_browser()
    again.log_in("nouvelle", acr="1")
    second = who(login_vault, again)
    assert first.safe_id is not None
    assert (first.id, first.safe_id) == (second.id, second.safe_id)
    assert (first.assurance, second.assurance) == (Assurance.SUBSTANTIAL, Assurance.LOW)
    with login_vault.parts.database.reading() as connection:
        rows = login_vault.people.login.accounts._safes.load(connection, first.safe_id)
    assert rows.name == "Nouvelle"


def test_claims_outside_the_map_make_nobody_an_agent(browser, login_vault):
    browser.log_in(
        "rusee",
        role="operator",
        administration="mairie-specimen",
        groups=["admin"],
        safe_id="safe_x",
        holder="camille",
    )
    actor = who(login_vault, browser)
    assert (actor.role, actor.administration_id) == (Role.HOLDER, None)
    assert actor.id != "camille"
    assert actor.safe_id != login_vault.personas.named("camille").actor.safe_id


def test_the_login_page_says_that_it_is_never_compulsory(browser):
    french, english = browser.get("/connexion").text, browser.get("/connexion?lang=en").text
    assert "jamais obligatoire" in french
    assert "guichet" in french
    assert "never compulsory" in english
    assert "on paper" in english
    assert "Outside identity" in english


def test_rest_is_answered_to_a_session(browser, login_vault):
    browser.become("camille")
    safe_id = login_vault.personas.named("camille").actor.safe_id
    listed = browser.get(f"/v1/safes/{safe_id}/documents")
    assert listed.status_code == 200
    other = login_vault.personas.named("dominique").actor.safe_id
    assert browser.get(f"/v1/safes/{other}/documents").status_code == 404


def test_a_provider_that_is_down_is_told_with_the_other_way(browser, login_vault, op, monkeypatch):
    provider = login_vault.people.login.logins.providers["ailleurs"]
    monkeypatch.setattr(provider, "_discovery", Discovery(provider.config.issuer, op, time.monotonic))
    monkeypatch.setattr(op, "down", True)
    answer = browser.post("/connexion/ailleurs")
    assert answer.status_code == 503
    assert "guichet" in answer.text


def test_who_refuses_at_the_provider_is_told_so(browser):
    answer = browser.choose(browser.begin("developpement"), "", "low")
    assert answer.status_code == 401
    assert "abandonnée" in answer.text
    assert not browser.session


def test_a_page_leads_to_a_proof_anew_and_back(browser, login_vault, clock):
    browser.log_in("presse", acr="2")
    clock.ahead = timedelta(minutes=11)
    before = browser.session
    asked = browser.post("/acces/delier", identite="idn_0")
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/acces/renforcer?niveau=&minutes=10")
    page = browser.get(asked.headers["location"])
    assert "moins de 10 minutes" in page.text
    assert "guichet" in page.text
    clock.ahead = timedelta()
    url = browser.leads(
        browser.post("/acces/renforcer", retour="/acces", niveau="high", fournisseur="ailleurs")
    )
    assert "prompt=login" in url
    assert "max_age=0" in url
    done = browser.get(browser.op.code(url, "presse", acr="3"))
    assert (done.status_code, done.headers["location"]) == (303, "/acces")
    assert who(login_vault, browser).assurance is Assurance.HIGH
    assert browser.session != before
    assert login_vault.people.login.sessions.find(before) is None


def test_a_proof_anew_below_what_was_asked_changes_nothing(browser, login_vault):
    browser.log_in("basse", acr="1")
    before = browser.session
    url = browser.leads(browser.post("/acces/renforcer", niveau="high", fournisseur="ailleurs"))
    answer = browser.get(browser.op.code(url, "basse", acr="2"))
    assert answer.status_code == 401
    assert "ne suffit pas" in answer.text
    assert browser.session == before
    assert who(login_vault, browser).assurance is Assurance.LOW


def test_a_proof_anew_of_somebody_else_or_an_old_one_is_refused(browser, login_vault):
    browser.log_in("juste", acr="1")
    url = browser.leads(browser.post("/acces/renforcer", fournisseur="ailleurs"))
    assert browser.get(browser.op.code(url, "autre")).status_code == 401
    url = browser.leads(browser.post("/acces/renforcer", fournisseur="ailleurs"))
    stale = browser.get(browser.op.code(url, "juste", auth_time=int(time.time()) - 4000))
    assert stale.status_code == 401
    assert who(login_vault, browser).assurance is Assurance.LOW


def test_a_proof_anew_gives_no_other_quality(browser, new_browser, login_vault):
    browser.become("camille")
    login = login_vault.people.login
    session = login.sessions.find(browser.session)
    url = browser.leads(browser.post("/acces/relier", fournisseur="developpement"))
    assert browser.choose(url, "agent-paie").status_code == 303
    assert who(login_vault, browser).role is Role.HOLDER
    url = browser.leads(browser.post("/acces/renforcer", fournisseur="developpement"))
    assert browser.choose(url, "agent-paie").status_code == 401
    assert who(login_vault, browser).role is Role.HOLDER
    other = new_browser()
    other.become("agent-paie")
    assert who(login_vault, other).role is Role.AGENT
    assert login.sessions.find(other.session).account_id == session.account_id


def test_rest_tells_programs_which_proof_is_missing(login_vault, browser, clock):
    browser.log_in("faible", acr="1")
    clock.ahead = timedelta(minutes=20)
    with pytest.raises(Unauthenticated) as caught:
        login_vault.people.login.assurance.demand(who(login_vault, browser), Act.EXPORT)
    problem = problem_of(caught.value)
    assert problem.status == 401
    assert problem.body("fr")["params"] == {
        "level": "substantial",
        "minutes": 15,
        "place": "/acces/renforcer",
    }
    assert problem.headers["WWW-Authenticate"] == (
        'Bearer realm="probans", error="insufficient_user_authentication", acr_values="substantial", max_age="900"'
    )
    assert "guichet" in problem.body("fr")["action"]


def test_logging_out_ends_the_session_here_and_leads_to_the_provider(browser, login_vault):
    browser.log_in("partante")
    value = browser.session
    page = browser.post("/deconnexion")
    assert browser.leads(page).startswith("https://idp.example/logout?id_token_hint=")
    assert login_vault.people.login.sessions.find(value) is None
    assert not browser.session
    assert "déconnecté" in browser.get("/deconnexion").text
    assert browser.get("/acces").headers["location"] == "/connexion?retour=%2Facces"


def test_logging_out_of_the_embedded_provider_comes_back_here(browser):
    browser.become("dominique")
    url = browser.leads(browser.post("/deconnexion"))
    assert url.startswith("http://127.0.0.1/dev-identity/logout?")
    assert browser.get(url).headers["location"].startswith("http://127.0.0.1/deconnexion")


def test_the_back_channel_ends_one_session_or_all_of_a_person(new_browser, login_vault, op):
    sid = secrets.token_hex(4)
    one, two, other = new_browser(), new_browser(), new_browser()
    one.log_in("retiree", sid=f"{sid}-1")
    two.log_in("retiree", sid=f"{sid}-2")
    other.log_in("restante", sid=f"{sid}-3")

    def send(**claims):
        return other.http.post(
            "/connexion/ailleurs/back-channel", data={"logout_token": op.logout_token(**claims)}
        )

    answer = send(sid=f"{sid}-1")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert who(login_vault, one) is None
    assert who(login_vault, two) is not None
    assert send(sub="retiree").status_code == 200
    assert who(login_vault, two) is None
    assert who(login_vault, other) is not None


def test_the_front_channel_ends_the_session_it_names_and_may_be_framed_by_the_provider(browser, login_vault):
    sid = secrets.token_hex(8)
    browser.log_in("encadree", sid=sid)
    for wrong in (f"sid={sid}", f"iss=https://autre.example&sid={sid}", "iss=https://idp.example"):
        assert browser.get(f"/connexion/ailleurs/front-channel?{wrong}").status_code == 400
    assert who(login_vault, browser) is not None
    answer = browser.get(f"/connexion/ailleurs/front-channel?iss=https://idp.example&sid={sid}")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors https://idp.example"
    assert who(login_vault, browser) is None


def test_sessions_are_listed_and_ended_one_by_one_or_all(new_browser, login_vault):
    browsers = [new_browser() for _ in range(4)]
    for each in browsers:
        each.log_in("multiple")
    page = browsers[0].get("/acces").text
    ids = re.findall(r'name="session" value="(ses_\w+)"', page)
    assert len(ids) == 3
    assert browsers[0].post("/acces/fermer", session=ids[0]).status_code == 303
    alive = [who(login_vault, each) is not None for each in browsers]
    assert alive.count(False) == 1
    browsers[0].post("/acces/fermer", session="")
    assert [who(login_vault, each) is not None for each in browsers] == [True, False, False, False]


def test_no_page_of_logging_in_holds_code(browser):
    browser.log_in("lectrice")
    for path in ("/connexion", "/acces", "/acces/renforcer?niveau=high&minutes=15"):
        text = browser.get(path).text
        assert not re.search(r"<script(?! src=\"/static/)|\son\w+=|style=", text), path
        assert len(re.findall("<h1", text)) == 1
        assert "never compulsory" in browser.get(f"{path}{'&' if '?' in path else '?'}lang=en").text
        browser.get(f"{path}{'&' if '?' in path else '?'}lang=fr")
