"""A login by authorization code: what is asked, what is believed, and every lie on the way refused by its code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity.base import ClaimMap, LoginStart, reaches
from identity.errors import IdentityError, LoginRefused, ProviderMisconfigured
from identity.fetching import Answer


def test_the_request_has_all_that_protects_it(login: Any) -> None:
    start = login.begin(language="en")
    asked = login.asked_for(start)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(start.verifier.encode()).digest()).rstrip(b"=")
    assert asked == {
        "theme": "dark",
        "response_type": "code",
        "client_id": "probans-test",
        "redirect_uri": "https://safe.example/connexion/retour",
        "scope": "openid profile email",
        "state": start.state,
        "nonce": start.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
        "ui_locales": "en fr",
        "max_age": "43200",
    }
    assert start.verifier not in start.url
    assert len({start.state, start.nonce, start.verifier}) == 3
    assert min(map(len, (start.state, start.nonce, start.verifier))) >= 43
    assert start.state not in repr(start)


def test_a_login_proves_who_it_is(login: Any) -> None:
    login.liar.change = {"sid": "session-1", "email": "camille@example.org", "email_verified": True}
    proven = login.finish()
    assert (proven.provider, proven.issuer, proven.subject) == ("example", "https://id.example", "person-1")
    assert (proven.name, proven.email, proven.assurance) == ("Camille Exemple", "camille@example.org", "high")
    assert proven.authenticated_at == login.hands.at
    assert proven.sid == "session-1"
    assert "person-1" not in repr(proven)
    (method, url, form, headers) = login.liar.asked[1]
    assert (method, url) == ("POST", "https://id.example/token")
    assert form["code_verifier"] == login.liar.begun.verifier
    assert form["redirect_uri"] == "https://safe.example/connexion/retour"
    name, secret = base64.b64decode(headers["Authorization"].split()[1]).decode().split(":")
    assert (name, unquote(secret)) == ("probans-test", "a secret of the test, long enough")


def test_a_login_can_be_kept_as_json(login: Any) -> None:
    start = login.begin(assurance="high", fresh=True)
    assert LoginStart.from_dict(start.as_dict()) == start


STATE = "IDENTITY_STATE"


def test_an_answer_belongs_to_its_own_login(login: Any) -> None:
    assert login.refused(state="other") == STATE
    assert login.refused(state=None) == STATE
    assert login.refused(state="\udc80") == STATE
    other = login.begin()
    mine = login.begin()
    assert login.refused(mine, state=other.state) == STATE
    assert login.refused(replace(login.begin(), provider="another")) == STATE
    assert login.refused(replace(login.begin(), state="")) == STATE
    old = login.begin()
    login.hands.move(601)
    assert login.refused(old) == STATE
    assert login.liar.times_asked("/token") == 0, "no code was sent for any of them"


def test_answers_of_another_provider_are_refused(make: Callable[..., Any]) -> None:
    """Mix-up (RFC 9207): the code of an honest provider must not go to the one that lured the person."""
    plain = make()
    assert plain.refused(iss="https://evil.example") == "IDENTITY_ISSUER"
    assert plain.finish(iss="https://id.example").subject == "person-1"
    promising = make()
    promising.liar.described = {"authorization_response_iss_parameter_supported": True}
    assert promising.refused() == "IDENTITY_ISSUER"
    assert promising.finish(iss="https://id.example").subject == "person-1"
    strict = make(demand_issuer_answer=True)
    assert strict.refused() == "IDENTITY_ISSUER"
    assert strict.refused(error="access_denied", code=None) == "IDENTITY_ISSUER"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "IDENTITY_DENIED"),
        ("login_required", "IDENTITY_DENIED"),
        ("unmet_authentication_requirements", "IDENTITY_ASSURANCE"),
        ("temporarily_unavailable", "IDENTITY_UNAVAILABLE"),
        ("server_error", "IDENTITY_UNAVAILABLE"),
        ("invalid_request", "IDENTITY_ANSWER"),
        ("<script>", "IDENTITY_ANSWER"),
    ],
)
def test_refusals_of_the_provider_are_told_apart(login: Any, error: str, code: str) -> None:
    assert login.refused(error=error) == code
    assert login.liar.times_asked("/token") == 0


@pytest.mark.parametrize("code", [None, "", "x" * 4097, "é", "a\nb"])
def test_unusual_codes_are_not_sent_on(login: Any, code: str | None) -> None:
    assert login.refused(code=code) == "IDENTITY_ANSWER"
    assert login.liar.times_asked("/token") == 0


@pytest.mark.parametrize(
    ("status", "members", "code"),
    [
        (400, {"error": "invalid_grant"}, "IDENTITY_CODE"),
        (401, {"error": "invalid_client"}, "IDENTITY_MISCONFIGURED"),
        (400, {"error": "unauthorized_client"}, "IDENTITY_MISCONFIGURED"),
        (302, {}, "IDENTITY_CODE"),
        (429, {}, "IDENTITY_UNAVAILABLE"),
        (503, {}, "IDENTITY_UNAVAILABLE"),
        (200, [], "IDENTITY_ANSWER"),
        (200, {}, "IDENTITY_ANSWER"),
        (200, {"id_token": 1, "access_token": "a", "token_type": "Bearer"}, "IDENTITY_ANSWER"),
        (200, {"id_token": "a.b.c", "access_token": "a", "token_type": "DPoP"}, "IDENTITY_ANSWER"),
        (200, {"id_token": "a.b.c", "access_token": "a\r\nX: y", "token_type": "Bearer"}, "IDENTITY_ANSWER"),
        (200, {"id_token": "a.b.c", "access_token": "a", "token_type": "Bearer"}, "TOKEN_FORMAT"),
    ],
)
def test_answers_of_the_token_endpoint(login: Any, status: int, members: Any, code: str) -> None:
    login.liar.token_answer = (status, members)
    assert login.refused() == code


def test_a_level_is_never_lowered_in_silence(make: Callable[..., Any]) -> None:
    login = make()
    assert login.asked_for(login.begin(assurance="substantial"))["acr_values"] == "usual"
    for acr, proven in (("strong", "high"), ("usual", "substantial")):
        login.liar.change = {"acr": acr}
        assert login.finish(login.begin(assurance="substantial")).assurance == proven
    for acr in ("weak", "unheard-of", None, 3, ["strong"], "high"):
        login.liar.change = {"acr": acr}
        assert login.refused(login.begin(assurance="substantial")) == "IDENTITY_ASSURANCE"
    login.liar.change = {"acr": "unheard-of"}
    assert login.finish().assurance is None


def test_a_level_that_the_provider_cannot_prove_is_not_even_asked_for(make: Callable[..., Any]) -> None:
    login = make(acr={"weak": "low"}, acr_default="weak")
    with pytest.raises(LoginRefused) as caught:
        login.begin(assurance="high")
    assert caught.value.code == "IDENTITY_ASSURANCE"
    assert login.asked_for(login.begin())["acr_values"] == "weak"
    without = make(acr={}, default_assurance="substantial")
    without.liar.change = {"acr": None}
    assert without.finish(without.begin(assurance="low")).assurance == "substantial"


def test_stepping_up_asks_the_person_again(login: Any) -> None:
    asked = login.asked_for(login.begin(fresh=True))
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    moment = int(login.hands.at.timestamp())
    for when in (moment - 31, moment - 3600, None):
        login.liar.change = {"auth_time": when}
        assert login.refused(login.begin(fresh=True)) == "IDENTITY_NOT_FRESH"
    login.liar.change = {"auth_time": moment - 3600}
    assert login.finish().authenticated_at.timestamp() == moment - 3600
    login.liar.change = {"auth_time": moment + 31}
    assert login.refused() == "TOKEN_NOT_YET"


def test_an_old_session_at_the_provider_is_no_fresh_proof(login: Any) -> None:
    """Whoever sits down at a browser that is logged in there comes in by a mere click: that proves nothing anew."""
    login.liar.change = {"auth_time": None}
    assert login.finish().authenticated_at.timestamp() == 0


def test_a_provider_that_is_down_says_so_at_once_and_is_left_alone(login: Any) -> None:
    login.liar.down = True
    for _ in range(50):
        with pytest.raises(IdentityError) as caught:
            login.begin()
        assert caught.value.code == "IDENTITY_UNAVAILABLE"
    assert len(login.liar.asked) == 1
    login.liar.down = False
    login.hands.move(3)
    assert login.finish().subject == "person-1"
    start = login.begin()
    login.liar.down = True
    assert login.refused(start) == "IDENTITY_UNAVAILABLE"
    login.hands.move(3600)
    assert login.party.logout_url("a.b.c", "https://safe.example/") is None


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://id.example/"},
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://id.example/token"},
        {"token_endpoint": "https://user:password@id.example/token"},
        {"token_endpoint": ["https://id.example/token"]},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://id.example/keys\r\nX: y"},
        {"userinfo_endpoint": "ftp://id.example/"},
        {"end_session_endpoint": "//evil.example"},
        {"response_types_supported": ["id_token"]},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_descriptions_that_could_lead_elsewhere_are_refused(login: Any, described: dict[str, Any]) -> None:
    login.liar.described = described
    with pytest.raises(ProviderMisconfigured) as caught:
        login.begin()
    assert caught.value.code == "IDENTITY_DISCOVERY"


def test_the_description_is_kept_an_hour(login: Any) -> None:
    login.finish()
    login.hands.move(3599)
    login.begin()
    assert login.liar.times_asked("/openid-configuration") == 1
    login.hands.move(1)
    login.begin()
    assert login.liar.times_asked("/openid-configuration") == 2


def test_logout_leads_to_the_provider_and_back(login: Any) -> None:
    url = login.party.logout_url("a.b.c", "https://safe.example/")
    assert url.startswith("https://id.example/logout?id_token_hint=a.b.c&client_id=probans-test&")
    assert "post_logout_redirect_uri=https%3A%2F%2Fsafe.example%2F&state=" in url


def test_a_provider_without_logout_page_has_none(login: Any) -> None:
    login.liar.described = {"end_session_endpoint": None}
    assert login.party.logout_url("a.b.c", "https://safe.example/") is None


def test_userinfo_speaks_of_the_same_person(make: Callable[..., Any]) -> None:
    login = make(userinfo=True, claims=ClaimMap(name=("given_name", "family_name")))
    told = (
        b'{"sub":"person-1","given_name":"Camille","family_name":"Exemple","acr":"x","auth_time":0,"sid":"y"}'
    )
    login.liar.userinfo = Answer(200, "application/json", told)
    proven = login.finish()
    assert (proven.name, proven.assurance, proven.sid) == ("Camille Exemple", "high", "")
    assert proven.authenticated_at == login.hands.at
    assert login.liar.asked[-1][3]["Authorization"] == "Bearer an-access-token"
    for body, code in (
        (b'{"sub":"person-2"}', "IDENTITY_SUBJECT"),
        (b"{}", "IDENTITY_SUBJECT"),
        (b"[" * 100_000, "IDENTITY_ANSWER"),
        (b'{"sub":NaN}', "IDENTITY_ANSWER"),
        (b"\xff", "IDENTITY_ANSWER"),
    ):
        login.liar.userinfo = Answer(200, "application/json", body)
        assert login.refused() == code
    login.liar.userinfo = Answer(401, "application/json", b"{}")
    assert login.refused() == "IDENTITY_UNAVAILABLE"
    login.liar.described = {"userinfo_endpoint": None}
    login.hands.move(3600)
    assert login.refused() == "IDENTITY_ANSWER"


def test_signed_userinfo_is_judged_like_a_token(make: Callable[..., Any]) -> None:
    login = make(userinfo=True, claims=ClaimMap(name=("given_name",)))

    def told(**claims: Any) -> Answer:
        return Answer(200, "application/jwt", login.liar.sign({"sub": "person-1", **claims}).encode())

    login.liar.userinfo = told(given_name="Camille", iss="https://id.example", aud="probans-test")
    assert login.finish().name == "Camille"
    login.liar.userinfo = told(iss="https://evil.example")
    assert login.refused() == "TOKEN_ISSUER"
    login.liar.userinfo = told(aud="another")
    assert login.refused() == "TOKEN_AUDIENCE"
    login.liar.userinfo = told(sub="person-2")
    assert login.refused() == "IDENTITY_SUBJECT"
    forged = told().body[:-8] + b"AAAAAAAA"
    login.liar.userinfo = Answer(200, "application/jwt", forged)
    assert login.refused() == "TOKEN_SIGNATURE"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answered=st.dictionaries(
        st.sampled_from(["code", "state", "iss", "error", "x"]), st.text(max_size=20), max_size=5
    )
)
def test_any_answer_ends_in_a_code(login: Any, answered: dict[str, str]) -> None:
    start = login.begin()
    with pytest.raises(IdentityError):
        login.party.finish(start, answered, "https://safe.example/connexion/retour")


def test_levels_have_an_order() -> None:
    assert reaches("high", "low")
    assert reaches(None, None)
    assert not reaches("low", "substantial")
    assert not reaches(None, "low")
    assert not reaches("high", "highest")
