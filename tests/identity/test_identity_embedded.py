"""The development provider: the whole protocol within the process, on loopback alone; its codes count once."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from identity.embedded import CLIENT_ID, DevPersona, EmbeddedProvider, draw_key
from identity.embedded_client import ISSUER, EmbeddedIdentity
from identity.errors import IdentityError

ORIGIN = "http://127.0.0.1:8000"
BACK = f"{ORIGIN}/connexion/retour"
PEOPLE = (
    DevPersona("camille", "Camille Exemple", "Camille, titulaire", {"role": "holder", "holder": "camille"}),
    DevPersona(
        "agent", "Agent", "Agent", {"role": "agent", "administration": "mairie", "service": "etat-civil"}
    ),
)


class Site:
    def __init__(self, folder: Path, hands: Any, key: bytes) -> None:
        self.hands = hands
        self.provider = EmbeddedProvider(key, folder, PEOPLE, hands)
        self.identity = EmbeddedIdentity(self.provider, hands)

    def asked(self, start: Any) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(start.url).query))

    def choose(self, start: Any, subject: str = "camille", assurance: str = "substantial") -> dict[str, str]:
        checked = self.provider.check(ORIGIN, self.asked(start))
        return dict(parse_qsl(urlsplit(self.provider.answer(ORIGIN, checked, subject, assurance)).query))


@pytest.fixture
def site(tmp_path: Path, login: Any) -> Site:
    return Site(tmp_path / "used", login.hands, draw_key())


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(IdentityError) as caught:
        act()
    return caught.value.code


def test_made_up_people_log_in(site: Site) -> None:
    start = site.identity.begin(BACK)
    proven = site.identity.finish(start, site.choose(start), BACK)
    assert (proven.issuer, proven.subject, proven.name) == (ISSUER, "camille", "Camille Exemple")
    assert proven.attributes == {"role": "holder", "holder": "camille"}
    assert proven.assurance == "substantial"
    start = site.identity.begin(BACK, assurance="high", fresh=True)
    assert site.provider.check(ORIGIN, site.asked(start)).assurance == "high"
    proven = site.identity.finish(start, site.choose(start, "agent", "high"), BACK)
    assert proven.attributes == {"role": "agent", "administration": "mairie", "service": "etat-civil"}
    assert site.identity.config.claims.values["role"] == {"agent": "agent", "holder": "holder"}


def test_refusals(site: Site) -> None:
    start = site.identity.begin(BACK)
    assert code_of(lambda: site.identity.finish(start, site.choose(start, ""), BACK)) == "IDENTITY_DENIED"
    start = site.identity.begin(BACK, assurance="high")
    assert code_of(lambda: site.identity.finish(start, site.choose(start), BACK)) == "IDENTITY_ASSURANCE"
    assert code_of(lambda: site.choose(start, "camille", "highest")) == "IDENTITY_ANSWER"


def test_a_code_counts_once_for_a_minute_in_every_process(site: Site, tmp_path: Path) -> None:
    key = draw_key()
    one, other = (Site(tmp_path / "both", site.hands, key) for _ in range(2))
    start = one.identity.begin(BACK)
    answer = one.choose(start)
    assert other.identity.finish(start, answer, BACK).subject == "camille"
    assert code_of(lambda: one.identity.finish(start, answer, BACK)) == "IDENTITY_CODE"
    start = one.identity.begin(BACK)
    answer = one.choose(start)
    one.hands.move(61)
    assert code_of(lambda: one.identity.finish(start, answer, BACK)) == "IDENTITY_CODE"
    start = one.identity.begin(BACK)
    assert code_of(lambda: site.identity.finish(start, one.choose(start), BACK)) == "IDENTITY_CODE", (
        "another folder's"
    )
    assert code_of(lambda: one.identity.finish(start, {**answer, "state": start.state, "code": "x"}, BACK))


def test_the_token_endpoint_knows_its_client(site: Site) -> None:
    def ask(pair: bytes, **form: str) -> tuple[int, str]:
        header = "Basic " + base64.b64encode(pair).decode()
        status, members = site.provider.token(ORIGIN, header, form)
        return status, members["error"]

    right = f"{CLIENT_ID}:{site.provider.client_secret}".encode()
    assert ask(b"probans:wrong") == (401, "invalid_client")
    assert ask(b"other:" + right.partition(b":")[2]) == (401, "invalid_client")
    assert ask(b"\xff") == (401, "invalid_client")
    assert site.provider.token(ORIGIN, "Basic !", {})[0] == 401
    assert site.provider.token(ORIGIN, "", {})[0] == 401
    assert ask(right) == (400, "unsupported_grant_type")
    for code in ("", "x", "é", "A" * 100):
        assert ask(right, grant_type="authorization_code", code=code) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://127.0.0.1:8001/x"},
        {"redirect_uri": "http://127.0.0.1:8000@evil.example/"},
        {"redirect_uri": "//evil.example"},
        {"redirect_uri": ""},
        {"client_id": "other"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"state": ""},
        {"nonce": "x" * 201},
        {"scope": "profile"},
    ],
)
def test_requests_that_lead_elsewhere_are_refused(site: Site, change: dict[str, str]) -> None:
    asked = {**site.asked(site.identity.begin(BACK)), **change}
    assert code_of(lambda: site.provider.check(ORIGIN, asked)) == "IDENTITY_ANSWER"


def test_it_answers_on_loopback_alone(site: Site) -> None:
    for origin in (
        "http://safe.example",
        "https://safe.example",
        "http://203.0.113.5:8000",
        "ftp://127.0.0.1",
    ):
        assert (
            code_of(lambda here=origin: site.identity.begin(f"{here}/connexion/retour")) == "IDENTITY_ANSWER"
        )
        assert code_of(lambda here=origin: site.provider.metadata(here)) == "IDENTITY_ANSWER"


def test_logout_goes_back_here_or_to_the_first_page(site: Site) -> None:
    url = site.identity.logout_url("a.b.c", f"{ORIGIN}/")
    assert url is not None
    assert url.startswith(f"{ORIGIN}/dev-identity/logout?")
    parameters = dict(parse_qsl(urlsplit(url).query))
    assert site.provider.after_logout(ORIGIN, parameters).startswith(f"{ORIGIN}/?state=")
    for back in ("https://evil.example/", "", "//evil.example/"):
        assert site.provider.after_logout(ORIGIN, {"post_logout_redirect_uri": back}) == "/"
    assert code_of(lambda: site.identity.check_logout_token("a.b.c")) == "TOKEN_EVENTS"
    assert code_of(lambda: site.identity.check_front_channel({})) == "IDENTITY_ANSWER"


def test_a_broken_key_is_named(tmp_path: Path, login: Any) -> None:
    assert (
        code_of(lambda: EmbeddedProvider(b"nonsense", tmp_path, PEOPLE, login.hands))
        == "IDENTITY_MISCONFIGURED"
    )
