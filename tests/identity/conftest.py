"""A provider in this process that lies where a test tells it to, and the relying party that asks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwk, jws

from identity.base import ClaimMap, LoginStart, ProvenIdentity, ProviderConfig
from identity.errors import IdentityError, ProviderUnavailable
from identity.fetching import Answer
from identity.oidc import OpenIdProvider
from identity.tokens import LOGOUT_EVENT, half_hash

ISSUER = "https://id.example"
CLIENT = "probans-test"
SECRET = "a secret of the test, long enough"
BACK = "https://safe.example/connexion/retour"


@dataclass
class Hands:
    """A clock moved by hand, UTC, and the seconds since the test began."""

    at: datetime = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
    passed: float = 0.0

    def now(self) -> datetime:
        return self.at

    def elapsed(self) -> float:
        return self.passed

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.passed += seconds


@dataclass
class Liar:
    """The provider's side, and the connection to it.

    Attributes:
        change: the claims of the next tokens that differ; None takes a claim away.
        forge: makes the token from its claims; the honest signature when None.
        asked: every request.
    """

    hands: Hands
    issuer: str = ISSUER
    key: Any = field(default_factory=lambda: jwk.generate_key("EC", "P-256", {"kid": "one"}))
    described: dict[str, Any] = field(default_factory=dict)
    published: list[dict[str, Any]] | None = None
    change: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[dict[str, Any]], str] | None = None
    token_answer: tuple[int, Any] | None = None
    userinfo: Answer | None = None
    down: bool = False
    begun: LoginStart | None = None
    asked: list[tuple[str, str, Mapping[str, str], Mapping[str, str]]] = field(default_factory=list)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        self._note("GET", url, {}, headers)
        path = url.removeprefix(self.issuer)
        if path == "/.well-known/openid-configuration":
            return answer(200, self.metadata())
        if path == "/jwks":
            return answer(200, {"keys": self.keys()})
        assert path == "/userinfo"
        assert self.userinfo is not None
        return self.userinfo

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        self._note("POST", url, form, headers)
        if self.token_answer is not None:
            return answer(*self.token_answer)
        members = {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.id_token()}
        return answer(200, members)

    def _note(
        self, method: str, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None
    ) -> None:
        self.asked.append((method, url, form, headers or {}))
        if self.down:
            raise ProviderUnavailable("down")

    def times_asked(self, end: str) -> int:
        return sum(url.endswith(end) for _, url, _, _ in self.asked)

    def metadata(self) -> dict[str, Any]:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?theme=dark",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            **self.described,
        }
        return {name: value for name, value in known.items() if value is not None}

    def keys(self) -> list[dict[str, Any]]:
        if self.published is not None:
            return self.published
        return [{**self.key.as_dict(private=False), "use": "sig"}]

    def claims(self) -> dict[str, Any]:
        assert self.begun is not None
        moment = int(self.hands.at.timestamp())
        known = {
            "iss": self.issuer,
            "sub": "person-1",
            "aud": CLIENT,
            "iat": moment,
            "exp": moment + 300,
            "auth_time": moment,
            "nonce": self.begun.nonce,
            "acr": "strong",
            "at_hash": half_hash("an-access-token", "ES256"),
            "name": "Camille Exemple",
            **self.change,
        }
        return {name: value for name, value in known.items() if value is not None}

    def id_token(self) -> str:
        return self.sign(self.claims()) if self.forge is None else self.forge(self.claims())

    def logout_token(self, **changed: Any) -> str:
        moment = int(self.hands.at.timestamp())
        known = {
            "iss": self.issuer,
            "sub": "person-1",
            "aud": CLIENT,
            "iat": moment,
            "exp": moment + 120,
            "jti": "message-1",
            "sid": "session-1",
            "events": {LOGOUT_EVENT: {}},
            **changed,
        }
        claims = {name: value for name, value in known.items() if value is not None}
        return self.sign(claims, typ="logout+jwt")

    def sign(self, claims: dict[str, Any], key: Any = None, **header: Any) -> str:
        used = key or self.key
        algorithm = self.header.get("alg") or {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}[used.key_type]
        full = {"alg": algorithm, "kid": used.kid, **self.header, **header}
        full = {name: value for name, value in full.items() if value is not None}
        lax = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jws.serialize_compact(full, json.dumps(claims), used, registry=lax)


def answer(status: int, members: Any) -> Answer:
    return Answer(status, "application/json", json.dumps(members).encode())


CONFIG = ProviderConfig(
    name="example",
    issuer=ISSUER,
    client_id=CLIENT,
    client_secret=SECRET,
    claims=ClaimMap(),
    acr={"weak": "low", "usual": "substantial", "strong": "high"},
)


@dataclass
class Login:
    """A relying party with the provider it asks."""

    hands: Hands
    liar: Liar
    party: OpenIdProvider

    def begin(self, **how: Any) -> LoginStart:
        self.liar.begun = self.party.begin(BACK, **how)
        return self.liar.begun

    def finish(self, start: LoginStart | None = None, **answered: str | None) -> ProvenIdentity:
        start = start or self.begin()
        given = {"code": "a-code", "state": start.state, **answered}
        return self.party.finish(start, {k: v for k, v in given.items() if v is not None}, BACK)

    def refused(self, start: LoginStart | None = None, **answered: str | None) -> str:
        with pytest.raises(IdentityError) as caught:
            self.finish(start, **answered)
        return caught.value.code

    def asked_for(self, start: LoginStart) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(start.url).query).items()}


@pytest.fixture
def make() -> Callable[..., Login]:
    """Make a relying party whose configuration differs where told."""

    def do(**changed: Any) -> Login:
        hands = Hands()
        config = replace(CONFIG, **changed)
        liar = Liar(hands, issuer=config.issuer)
        return Login(hands, liar, OpenIdProvider(config, hands, liar, hands.elapsed))

    return do


@pytest.fixture
def login(make: Callable[..., Login]) -> Login:
    return make()
