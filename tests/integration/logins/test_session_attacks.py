"""Attacks on logins and sessions: each is tried, and each ends in the right code with nothing changed."""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from api.browser import local_path
from api.rules import routes_of
from vault.db.account_tables import pending_logins, sessions
from vault.errors import Unauthenticated

EXPIRED = "expiré, a déjà servi ou vient d’un autre navigateur"
SAFE = {"GET", "HEAD", "OPTIONS"}


def live(vault, browser):
    return vault.people.login.sessions.find(browser.session)


def swapped(path: str, **changes: str) -> str:
    parts = urlsplit(path)
    fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return f"{parts.path}?" + "&".join(f"{k}={quote(v)}" for k, v in {**fields, **changes}.items() if v)


# The login under way


def test_an_answer_counts_once(browser, login_vault):
    path = browser.op.code(browser.begin(), "une-fois")
    assert browser.get(path).status_code == 303
    value = browser.session
    again = browser.get(path)
    assert again.status_code == 400
    assert EXPIRED in again.text
    assert browser.session == value


def test_an_answer_counts_once_even_if_it_failed(browser, op):
    url = browser.begin()
    path = op.code(url, "rate", nonce="other")
    assert browser.get(path).status_code == 401
    assert browser.get(op.code(url, "rate")).status_code == 400


@pytest.mark.parametrize("changes", [{"state": "x" * 43}, {"state": ""}, {"code": "wrong"}, {"code": ""}])
def test_a_swapped_state_or_code_logs_nobody_in(browser, changes):
    path = browser.op.code(browser.begin(), "echangee")
    answer = browser.get(swapped(path, **changes))
    assert answer.status_code in {400, 401}
    assert not browser.session


def test_the_state_of_another_login_does_not_fit_its_nonce(browser, op):
    first, second = browser.begin(), browser.begin()
    one, two = op.code(first, "premiere"), op.code(second, "seconde")
    code = parse_qs(urlsplit(one).query)["code"][0]
    assert browser.get(swapped(two, code=code)).status_code == 401
    assert not browser.session


def test_an_answer_for_another_provider_is_refused(browser):
    path = browser.op.code(browser.begin(), "ailleurs").replace("/retour/ailleurs", "/retour/developpement")
    answer = browser.get(path)
    assert answer.status_code == 400
    assert not browser.session


@pytest.mark.parametrize("query", ["state=a&state=b&code=c", "state=a&code=b&code=c", f"state={'x' * 5000}"])
def test_odd_queries_are_refused(browser, query):
    assert browser.get(f"/connexion/retour/ailleurs?{query}").status_code == 400


def test_the_login_of_another_browser_is_refused_and_not_spoilt(browser, new_browser, login_vault):
    """Login CSRF: who is made to follow an answer is not logged in to the account of somebody else."""
    attacker, victim = browser, new_browser()
    path = attacker.op.code(attacker.begin(), "attaquante")
    refused = victim.get(path)
    assert refused.status_code == 400
    assert EXPIRED in refused.text
    assert live(login_vault, victim) is None
    assert attacker.get(path).status_code == 303


def test_a_browser_cannot_be_bound_beforehand(browser, new_browser, login_vault):
    """Cookies of an own login put into another browser carry the login, and nothing of another person's."""
    attacker, victim = browser, new_browser()
    victim.begin()
    path = attacker.op.code(attacker.begin(), "plantee")
    for cookie in victim.http.cookies.jar:
        assert cookie.value not in {each.value for each in attacker.http.cookies.jar}
    assert victim.get(path).status_code == 400


def test_a_login_ends_after_ten_minutes(browser, clock):
    path = browser.op.code(browser.begin(), "lente")
    clock.ahead = timedelta(minutes=10, seconds=1)
    assert browser.get(path).status_code == 400


def test_beginning_a_login_needs_a_form_of_ours(browser, new_browser):
    assert browser.post("/connexion/ailleurs", token="").status_code == 403
    foreign = new_browser().form_token()
    assert browser.post("/connexion/ailleurs", token=foreign).status_code == 403
    assert browser.post("/connexion/ailleurs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.post("/connexion/ailleurs", headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post("/connexion/personne").status_code == 404


def test_nothing_of_a_login_stands_in_clear(browser, login_vault):
    url = browser.begin()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    browser.log_in("secrete", sid="sid-en-clair")
    with login_vault.parts.database.reading() as connection:
        rows = [*connection.execute(select(pending_logins)), *connection.execute(select(sessions))]
    text = b" ".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )
    for secret in (asked["state"], asked["nonce"], browser.session, "sid-en-clair", "Secrete", "idp.example"):
        assert secret.encode() not in text


# The session


def test_a_planted_session_is_not_taken_over_by_a_login(browser, new_browser, login_vault):
    """Fixation: a value that somebody else knows is dead after the login, live or not before."""
    attacker = new_browser()
    attacker.log_in("fixeuse")
    for planted in (attacker.session, secrets.token_urlsafe(32)):
        browser.http.cookies.set("probans_session", planted, domain="127.0.0.1", path="/")
        browser.log_in("fixee")
        assert browser.session != planted
        assert login_vault.people.login.sessions.find(planted) is None
        assert live(login_vault, browser) is not None
        browser.http.cookies.clear()


@pytest.mark.parametrize("value", ["", "x", "x" * 43, "é" * 43, "x" * 5000, "a; b"])
def test_values_that_were_never_given_are_nobody(browser, value):
    header = {"Cookie": f"probans_session={value}".encode("utf-8", "replace")}
    assert browser.get("/acces", headers=header).status_code == 303
    assert browser.get("/v1/safes/safe_x/documents", headers=header).status_code == 401


def test_a_session_ends_when_idle(browser, login_vault, clock):
    browser.log_in("oisive")
    clock.ahead = timedelta(minutes=29)
    assert browser.get("/acces").status_code == 200
    clock.ahead = timedelta(minutes=58)
    assert browser.get("/acces").status_code == 200
    clock.ahead = timedelta(minutes=89)
    assert live(login_vault, browser) is None
    assert browser.get("/acces").status_code == 303


def test_a_session_ends_whatever_happens(browser, login_vault, clock):
    browser.log_in("assidue")
    for minutes in range(25, 480, 25):
        clock.ahead = timedelta(minutes=minutes)
        assert live(login_vault, browser) is not None, minutes
    clock.ahead = timedelta(minutes=481)
    assert live(login_vault, browser) is None


def test_a_proof_anew_does_not_make_a_session_longer(browser, login_vault, clock):
    browser.log_in("prolongee")
    ends_at = live(login_vault, browser).ends_at
    url = browser.leads(browser.post("/acces/renforcer", fournisseur="ailleurs"))
    browser.get(browser.op.code(url, "prolongee"))
    assert live(login_vault, browser).ends_at == ends_at


def test_an_account_has_twenty_sessions_at_most(login_vault, new_browser):
    first = new_browser()
    first.log_in("nombreuse")
    login = login_vault.people.login
    account = live(login_vault, first).account_id
    browsers = [new_browser() for _ in range(20)]
    for each in browsers:
        each.log_in("nombreuse")
    assert len(login.sessions.of_account(account)) == 20
    assert live(login_vault, first) is None


def test_rows_of_another_account_do_not_open(browser, new_browser, login_vault):
    browser.log_in("ligne-a")
    other = new_browser()
    other.log_in("ligne-b")
    a, b = live(login_vault, browser), live(login_vault, other)
    with login_vault.parts.database.writing() as connection:
        sealed = connection.scalar(select(sessions.c.sealed).where(sessions.c.id == b.id))
        connection.execute(sessions.update().where(sessions.c.id == a.id).values(sealed=sealed))
    assert browser.get("/acces").status_code == 500
    login_vault.people.login.sessions.end(browser.session)


def test_a_token_and_a_session_at_once_are_refused(browser, login_vault):
    browser.become("camille")
    token = login_vault.personas.named("dominique").token
    answer = browser.get("/v1/safes/safe_x/documents", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (400, "TWO_IDENTITIES")


# Changes asked for by other sites


def test_no_change_is_done_for_a_session_without_its_form_token(browser, login_app, login_vault):
    """Every route that changes something, with the session's cookie and nothing else."""
    browser.become("camille")
    before = live(login_vault, browser)
    tried = 0
    for method, path in routes_of(login_app):
        # The logout message of a provider proves itself; tokens and timestamps are asked for without a session.
        if method in SAFE or path in {"/connexion/{provider}/back-channel", "/tsa", "/v1/token"}:
            continue
        address = re.sub(r"\{[^}]+\}", "x", path)
        for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = browser.http.request(
                method,
                address,
                headers={
                    **headers,
                    "Idempotency-Key": "k",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
                content=b"form_token=&session=&persona=",
            )
            assert 400 <= answer.status_code < 500, (method, path, answer.status_code)
            tried += 1
    assert tried > 30
    assert live(login_vault, browser) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Probans-Form-Token": "x"}, 403),
        ({"Probans-Form-Token": "own", "Origin": "https://evil.example"}, 403),
        ({"Probans-Form-Token": "own", "Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Probans-Form-Token": "own", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Probans-Form-Token": "own", "Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
        ({"Probans-Form-Token": "own", "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Probans-Form-Token": "own", "Origin": "null", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Probans-Form-Token": "own"}, 201),
    ],
)
def test_rest_with_a_session_needs_the_token_in_its_header(browser, headers, status):
    browser.become("camille")
    own = browser.form_token()
    sent = {name: own if value == "own" else value for name, value in headers.items()}
    answer = browser.http.post(
        "/v1/attachments",
        content=b"<a/>",
        headers={
            **sent,
            "Accept": "application/json",
            "Idempotency-Key": secrets.token_hex(8),
            "Probans-Document": "eyJmaWxlX25hbWUiOiJhLnhtbCJ9",
            "Content-Type": "application/xml",
        },
    )
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["code"] == "FORM_EXPIRED"


def test_the_form_token_dies_with_the_session_s_value(browser, new_browser):
    other = new_browser()
    other.log_in("jeton-b")
    before = browser.form_token()
    browser.log_in("jeton-a")
    for token in (before, other.form_token(), ""):
        assert browser.post("/deconnexion", token=token).status_code == 403
    first = browser.form_token()
    url = browser.leads(browser.post("/acces/renforcer", fournisseur="ailleurs"))
    browser.get(browser.op.code(url, "jeton-a"))
    assert browser.post("/deconnexion", token=first).status_code == 403
    assert browser.post("/deconnexion").status_code == 200


def test_others_sessions_and_identities_cannot_be_touched(browser, new_browser, login_vault):
    other = new_browser()
    other.log_in("voisine")
    theirs = live(login_vault, other)
    browser.log_in("curieuse")
    assert browser.post("/acces/fermer", session=theirs.id).status_code == 404
    identity = login_vault.people.login.accounts.identities(theirs.account_id)[0]
    assert browser.post("/acces/delier", identite=identity.id).status_code == 404
    assert live(login_vault, other) is not None


# Open redirects

ELSEWHERE = [
    "https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example", "http:evil.example", "javascript:alert(1)", "data:text/html,x", "/..//evil.example",
    "/./evil", "/../acces", "/acces//evil.example", "/@evil.example", "/acces\r\nLocation: https://evil.example",
    "/acces\x00", " /acces", "/\t/evil.example", "evil.example", "", "?a", "#a", "/deconnexion", "/connexion",
    "/acces?a=b?c", "/acces?retour=//evil.example", "/é", "/" + "a" * 600, "/acces/renforcer", "/dev-identity/logout",
    "/a:b", "/;evil", "/acces?x=<script>",
]  # fmt: skip


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_login_leads_elsewhere(address):
    assert local_path(address) == "/"


def test_a_login_leads_where_the_form_said_or_home(browser):
    assert browser.log_in("voyageuse", back="//evil.example").headers["location"] == "/"
    assert browser.log_in("voyageuse", back="/documents/doc_1/original?x=1#a").headers["location"] == (
        "/documents/doc_1/original?x=1#a"
    )
    for address in ("//evil.example", "https://evil.example"):
        page = browser.get(f"/connexion?retour={quote(address)}").text
        assert "evil" not in re.findall(r'name="retour" value="([^"]*)"', page)[0]


@given(st.text(st.sampled_from("/\\.?#%:@a0-_~=&;<> \t\r\n"), max_size=20).map("/".__add__))
def test_a_local_path_is_read_as_one_by_everybody(text):
    path = local_path(text)
    assert path.startswith("/")
    assert not re.match(r"/[/\\]|/\.{1,2}(?:/|$)", path)
    assert not re.search(r"[\\\s<>:@;]|//", path.partition("?")[0])
    assert urlsplit(path).netloc == ""


# Logout messages


def refusals(op, new_key):
    now = int(time.time())
    return {
        "forged": op.logout_token(key=new_key, sub="visee"),
        "audience": op.logout_token(sub="visee", aud="autre"),
        "issuer": op.logout_token(sub="visee", iss="https://autre.example"),
        "nonce": op.logout_token(sub="visee", nonce="n"),
        "events": op.logout_token(sub="visee", events={}),
        "nobody": op.logout_token(),
        "old": op.logout_token(sub="visee", iat=now - 90_000, exp=now - 89_000),
        "no jti": op.logout_token(sub="visee", jti=None),
        "an id token": op.sign(
            {"iss": "https://idp.example", "aud": "coffre", "sub": "visee", "exp": now + 60}
        ),
        "none": "eyJhbGciOiJub25lIn0.e30.",
        "nothing": "",
    }


def test_forged_logout_messages_end_nothing(browser, login_vault, op):
    browser.log_in("visee")
    for name, token in refusals(op, type(op)().key).items():
        answer = browser.http.post("/connexion/ailleurs/back-channel", data={"logout_token": token})
        assert answer.status_code == 400, name
        assert live(login_vault, browser) is not None, name


def test_a_logout_message_counts_once(browser, login_vault, op):
    browser.log_in("rejouee")
    token = op.logout_token(sub="rejouee")

    def send(content):
        return browser.http.post(
            "/connexion/ailleurs/back-channel",
            content=content,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    for odd in ("", "logout_token=a&logout_token=b", "x=1", "&" * 50, "logout_token"):
        assert send(odd).status_code == 400
    assert send(f"logout_token={token}").status_code == 200
    assert live(login_vault, browser) is None
    browser.log_in("rejouee")
    assert send(f"logout_token={token}").status_code == 400
    assert live(login_vault, browser) is not None


# Cookies


def test_cookies_are_for_this_host_alone_over_tls(login_vault, new_browser, monkeypatch):
    settings = login_vault.settings.model_copy(update={"address": "https://coffre.example"})
    monkeypatch.setattr(login_vault, "settings", settings)
    browser = new_browser()
    browser.http.base_url = "https://127.0.0.1"
    begun = browser.http.post("/connexion/ailleurs", data={"form_token": browser.form_token()})
    url = browser.leads(begun)
    assert "redirect_uri=https%3A%2F%2Fcoffre.example%2Fconnexion%2Fretour%2Failleurs" in url
    (bound,) = (each for each in begun.headers.get_list("set-cookie") if each.startswith("__Host-"))
    done = browser.get(browser.op.code(url, "cuisiniere"))
    (cookie,) = (each for each in done.headers.get_list("set-cookie") if each.startswith("__Host-probans="))
    for each in (bound, cookie):
        words = {word.strip().lower() for word in each.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= words
        assert not any(word.startswith("domain") for word in words)
    assert re.fullmatch(r"__Host-probans=[A-Za-z0-9_-]{43}", cookie.split(";")[0])
    assert browser.get("/acces").status_code == 200


@pytest.mark.parametrize("escape", ['\\"', "\\101"])
def test_a_cookie_that_is_slow_to_read_stops_nobody(browser, escape):
    """CVE-2024-7592: escapes in quotes take the standard library quadratic time, many seconds for so many."""
    browser.log_in("encombree")
    hostile = '="' + escape * (100_000 // len(escape)) + '"'
    ours = f"probans_session={browser.session}"
    browser.http.cookies.clear()
    started = time.process_time()
    assert browser.get("/acces", headers={"Cookie": f"a{hostile}; {ours};b{hostile}"}).status_code == 200
    assert browser.get("/acces", headers=[("Cookie", f"a{hostile}"), ("Cookie", ours)]).status_code == 200
    assert browser.get("/acces", headers={"Cookie": f"probans_session{hostile}"}).status_code == 303
    assert browser.get("/healthz", headers={"Cookie": f"a{hostile}"}).status_code == 200
    assert time.process_time() - started < 5


@pytest.mark.parametrize("other", ['a="b;c"', "a=" + "b" * 5000, "a={}; " * 2000, r"a=\x; b", ";;=;"])
def test_foreign_cookies_of_the_host_do_not_end_a_session(browser, other):
    browser.log_in("voisine")
    ours = f"probans_session={browser.session}"
    browser.http.cookies.clear()
    for cookies in (f"{other}; {ours}", f"{ours}; {other}"):
        assert browser.get("/acces", headers={"Cookie": cookies}).status_code == 200


def test_sessions_of_a_provider_that_is_gone_are_dead(browser, login_vault):
    browser.log_in("orpheline")
    sessions_ = login_vault.people.login.sessions
    kept = sessions_._providers
    sessions_._providers = ["developpement"]
    try:
        assert live(login_vault, browser) is None
    finally:
        sessions_._providers = kept


def test_an_ended_session_cannot_be_renewed(browser, login_vault):
    browser.log_in("finie")
    sessions_ = login_vault.people.login.sessions
    value = browser.session
    sessions_.end(value)
    with pytest.raises(Unauthenticated) as caught:
        sessions_.rotate(value)
    assert caught.value.code == "SESSION_ENDED"
