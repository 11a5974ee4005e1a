"""A provider that others wrote: login, step-up, refusal, logout on three ways, key rotation, down, two at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwk

from identity.base import ClaimMap, ProvenIdentity, ProviderConfig
from identity.errors import IdentityError
from identity.oidc import OpenIdProvider
from identity.providers import Providers
from tests.services.oidc_provider import SECRET, BackChannel, Browser, Service, client, key_set

pytestmark = pytest.mark.needs("oidc-provider")
HOME = "http://127.0.0.1:9/"
BACK = f"{HOME}connexion/retour"
CLAIMS = ClaimMap(
    name=("given_name", "family_name"),
    attributes={"role": "role", "administration": "site"},
    values={"role": {"GESTIONNAIRE": "agent"}},
)


class Now:
    """The computer's clock, ahead where a test moves it."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def listener() -> Iterator[BackChannel]:
    listening = BackChannel()
    yield listening
    listening.stop()


@pytest.fixture(scope="module")
def own_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    key = jwk.generate_key("EC", "P-256", {"kid": "ours"})
    path = tmp_path_factory.mktemp("keys") / "client.pem"
    path.write_bytes(key.as_pem(private=True))
    return path, key.as_dict(private=False)


@pytest.fixture(scope="module")
def service(listener: BackChannel, own_key: tuple[Path, dict[str, Any]]) -> Iterator[Service]:
    back_channel = {"backchannel_logout_uri": listener.url, "backchannel_logout_session_required": True}
    keyed = {
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [own_key[1]]},
    }
    running = Service(
        [
            client(BACK, **back_channel),
            client(BACK, "posted", token_endpoint_auth_method="client_secret_post"),
            {k: v for k, v in client(BACK, "keyed", **keyed).items() if k != "client_secret"},
            client(BACK, "signed", userinfo_signed_response_alg="ES256"),
        ],
        [key_set("first"), key_set("second")],
    )
    yield running
    running.stop()


def config_of(service: Service, **changed: Any) -> ProviderConfig:
    known = ProviderConfig(
        name="autre",
        issuer=service.issuer,
        client_id="probans-test",
        client_secret=SECRET,
        scopes=("openid", "profile", "email", "role"),
        claims=CLAIMS,
        acr={"weak": "low", "usual": "substantial", "strong": "high"},
        acr_default="weak",  # it tells the level only to who asks for one
        demand_issuer_answer=True,
    )
    return replace(known, **changed)


def log_in(party: OpenIdProvider, browser: Browser, **how: Any) -> ProvenIdentity:
    start = party.begin(BACK, **how)
    return party.finish(start, browser.go(start.url, BACK), BACK)


def test_a_person_logs_in(service: Service) -> None:
    party = OpenIdProvider(config_of(service), Now())
    proven = log_in(party, Browser())
    assert (proven.subject, proven.name, proven.email) == (
        "camille",
        "camille Exemple",
        "camille@example.org",
    )
    assert (proven.assurance, proven.issuer) == ("substantial", service.issuer)
    assert proven.attributes == {"role": "agent", "administration": "mairie-specimen"}
    assert abs(proven.authenticated_at - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("userinfo", [False, True])
@pytest.mark.parametrize("how", ["posted", "keyed", "signed"])
def test_every_way_to_say_who_asks(
    service: Service, own_key: tuple[Path, dict[str, Any]], how: str, userinfo: bool
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "posted": {"authentication": "client_secret_post"},
        "keyed": {"authentication": "private_key_jwt", "client_key": own_key[0], "client_key_id": "ours"},
        "signed": {},
    }
    party = OpenIdProvider(config_of(service, client_id=how, userinfo=userinfo, **ways[how]), Now())
    assert log_in(party, Browser()).name == "camille Exemple"


def test_wrong_proofs_of_who_asks_are_told_as_such(service: Service) -> None:
    party = OpenIdProvider(config_of(service, client_secret="not the secret at all"), Now())
    with pytest.raises(IdentityError) as caught:
        log_in(party, Browser())
    assert caught.value.code == "IDENTITY_MISCONFIGURED"


def test_a_code_counts_once_and_only_with_its_secret(service: Service) -> None:
    party = OpenIdProvider(config_of(service), Now())
    browser = Browser()
    start = party.begin(BACK)
    answer = browser.go(start.url, BACK)
    assert party.finish(start, answer, BACK).subject == "camille"
    with pytest.raises(IdentityError) as caught:
        party.finish(start, answer, BACK)
    assert caught.value.code == "IDENTITY_CODE"
    start = party.begin(BACK)
    answer = browser.go(start.url, BACK)
    with pytest.raises(IdentityError) as caught:
        party.finish(replace(start, verifier="x" * 43), answer, BACK)
    assert caught.value.code == "IDENTITY_CODE"
    mine, theirs = party.begin(BACK), party.begin(BACK)
    answer = browser.go(theirs.url, BACK)
    with pytest.raises(IdentityError) as caught:
        party.finish(replace(mine, state=theirs.state, verifier=theirs.verifier), answer, BACK)
    assert caught.value.code == "TOKEN_NONCE"


def test_stepping_up_asks_again_and_demands_the_level(service: Service) -> None:
    party = OpenIdProvider(config_of(service), Now())
    browser = Browser(acr="weak")
    assert log_in(party, browser).assurance == "low"
    assert len(browser.prompts) == 1
    log_in(party, browser)
    assert len(browser.prompts) == 1, "the provider knows the person"
    with pytest.raises(IdentityError) as caught:
        log_in(party, browser, assurance="high")
    assert caught.value.code == "IDENTITY_ASSURANCE"
    browser.acr = "strong"
    time.sleep(1)  # the provider counts whole seconds
    raised = log_in(party, browser, assurance="high", fresh=True)
    assert raised.assurance == "high"
    assert browser.prompts[-1]["params"]["acr_values"] == "strong"
    assert browser.prompts[-1]["prompt"]["name"] == "login"
    browser.acr = "usual"
    with pytest.raises(IdentityError) as caught:
        log_in(party, browser, assurance="high", fresh=True)
    assert caught.value.code == "IDENTITY_ASSURANCE"


def test_an_old_login_is_not_fresh_whatever_the_provider_was_asked(service: Service) -> None:
    """Somebody takes `prompt` and `max_age` out of the address on its way."""
    clock = Now()
    party = OpenIdProvider(config_of(service, leeway_s=0), clock)
    browser = Browser()
    log_in(party, browser)
    time.sleep(1.1)
    start = party.begin(BACK, fresh=True)
    lured = start.url.replace("&prompt=login", "").replace("&max_age=0", "")
    with pytest.raises(IdentityError) as caught:
        party.finish(start, browser.go(lured, BACK), BACK)
    assert caught.value.code == "IDENTITY_NOT_FRESH"


def test_a_person_may_refuse(service: Service) -> None:
    party = OpenIdProvider(config_of(service), Now())
    with pytest.raises(IdentityError) as caught:
        log_in(party, Browser(abort=True))
    assert caught.value.code == "IDENTITY_DENIED"


def test_a_logout_here_leads_through_the_provider_which_tells_us(
    service: Service, listener: BackChannel
) -> None:
    party = OpenIdProvider(config_of(service), Now())
    browser = Browser()
    proven = log_in(party, browser)
    assert proven.sid
    url = party.logout_url(proven.id_token, HOME)
    assert url is not None
    assert browser.log_out(url).startswith(f"{HOME}?state=")
    assert listener.came.wait(10)
    notice = party.check_logout_token(listener.tokens[-1])
    assert (notice.issuer, notice.subject, notice.sid) == (service.issuer, "camille", proven.sid)
    assert notice.jti
    with pytest.raises(IdentityError) as caught:
        party.check_logout_token(proven.id_token)
    assert caught.value.code == "TOKEN_EVENTS"
    late = Now()
    late.ahead = timedelta(minutes=20)
    with pytest.raises(IdentityError) as caught:
        OpenIdProvider(config_of(service), late).check_logout_token(listener.tokens[-1])
    assert caught.value.code == "TOKEN_EXPIRED"
    log_in(party, browser)
    assert len(browser.prompts) == 2, "the session there is over"


def test_keys_rotate_at_the_provider(service: Service) -> None:
    party = OpenIdProvider(config_of(service), Now())
    before = log_in(party, Browser())
    service.rotate()
    assert log_in(party, Browser()).subject == before.subject


def test_two_providers_keep_their_people_apart(service: Service) -> None:
    other = Service([client(BACK)], [key_set("first")])
    try:
        both = Providers(
            [
                OpenIdProvider(config_of(service), Now()),
                OpenIdProvider(config_of(other, name="seconde"), Now()),
            ]
        )
        first, second = (log_in(party, Browser()) for party in both.all())  # type: ignore[arg-type]
        assert first.subject == second.subject
        assert first.issuer != second.issuer
        assert both.of_issuer(second.issuer).config.name == "seconde"
        # The answer of one, brought to the other: mix-up.
        start = both.named("autre").begin(BACK)
        lured = both.named("seconde").begin(BACK)
        answer = {**Browser().go(lured.url, BACK), "state": start.state}
        with pytest.raises(IdentityError) as caught:
            both.named("autre").finish(start, answer, BACK)
        assert caught.value.code == "IDENTITY_ISSUER"
        for token in (first.id_token, second.id_token):
            with pytest.raises(IdentityError):
                both.named("autre").check_logout_token(token)
    finally:
        other.stop()


def test_a_provider_that_is_down_is_said_to_be_so_and_comes_back(service: Service) -> None:
    other = Service([client(BACK)], [key_set("first"), key_set("first")])
    party = OpenIdProvider(config_of(other, timeout_s=2.0), Now())
    browser = Browser()
    start = party.begin(BACK)
    answer = browser.go(start.url, BACK)
    other.stop()
    begun = time.monotonic()
    with pytest.raises(IdentityError) as caught:
        party.finish(start, answer, BACK)
    assert caught.value.code == "IDENTITY_UNAVAILABLE"
    assert time.monotonic() - begun < 2.5
    with pytest.raises(IdentityError) as caught:
        OpenIdProvider(config_of(other), Now()).begin(BACK)
    assert caught.value.code == "IDENTITY_UNAVAILABLE"
    again = Service([client(BACK)], [key_set("first")], port=other.port)
    try:
        assert log_in(party, Browser()).subject == "camille"
    finally:
        again.stop()


def test_a_provider_that_hangs_costs_its_time_limit(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        party = OpenIdProvider(config_of(service, issuer=issuer, timeout_s=0.5), Now())
        begun = time.monotonic()
        with pytest.raises(IdentityError) as caught:
            party.begin(BACK)
        assert caught.value.code == "IDENTITY_UNAVAILABLE"
        assert 0.4 < time.monotonic() - begun < 1.5


def test_the_scope_in_the_address_is_what_was_configured(service: Service) -> None:
    start = OpenIdProvider(config_of(service), Now()).begin(BACK)
    asked = dict(parse_qsl(urlsplit(start.url).query))
    assert asked["scope"] == "openid profile email role"
