"""A safe with two providers: the embedded one with its personas, and an outside one that the tests speak for."""

from __future__ import annotations

import html
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwk, jwt
from starlette.testclient import TestClient

from api.app import create_app
from identity.base import ClaimMap, ProviderConfig
from identity.fetching import Answer
from identity.oidc import OpenIdProvider
from vault.bootstrap import open_vault
from vault.clock import SystemClock
from vault.service import Vault
from vault.settings import Settings

ISSUER = "https://idp.example"
CLIENT = "coffre"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class MovableClock:
    """The machine's clock, moved on by tests."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def new_key() -> jwk.ECKey:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return jwk.import_key(pem, "EC")


@dataclass
class OutsideProvider:
    """The provider's side of `idp.example`, spoken to within the process; implements identity.fetching.Fetcher."""

    key: jwk.ECKey = field(default_factory=new_key)
    codes: dict[str, dict[str, object]] = field(default_factory=dict)
    down: bool = False

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        if self.down:
            return Answer(503, "text/plain", b"")
        if url.endswith("/jwks"):
            public = {**self.key.as_dict(private=False), "kid": "k", "use": "sig", "alg": "ES256"}
            return self._json(200, {"keys": [public]})
        return self._json(
            200,
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/jwks",
                "end_session_endpoint": f"{ISSUER}/logout",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
            },
        )

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        claims = self.codes.pop(form.get("code", ""), None)
        if claims is None:
            return self._json(400, {"error": "invalid_grant"})
        members = {"access_token": "a", "token_type": "Bearer", "id_token": self.sign(claims)}
        return self._json(200, members)

    def sign(self, claims: Mapping[str, object], kind: str = "JWT", key: jwk.ECKey | None = None) -> str:
        return jwt.encode({"alg": "ES256", "kid": "k", "typ": kind}, dict(claims), key or self.key)

    def code(self, url: str, subject: str, **claims: object) -> str:
        """Return the path and query that the browser is sent back with."""
        asked = dict(parse_qsl(urlsplit(url).query))
        now = int(time.time())
        code = secrets.token_urlsafe(8)
        self.codes[code] = {
            "iss": ISSUER, "aud": CLIENT, "sub": subject, "nonce": asked["nonce"], "iat": now, "exp": now + 300,
            "auth_time": now, "name": subject.title(), "email": f"{subject}@courriel.example",
            "email_verified": True, **claims,
        }  # fmt: skip
        return f"{urlsplit(asked['redirect_uri']).path}?state={asked['state']}&code={code}"

    def logout_token(self, key: jwk.ECKey | None = None, **claims: object) -> str:
        now = int(time.time())
        said = {
            "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(8),
            "events": {LOGOUT: {}}, **claims,
        }  # fmt: skip
        return self.sign(
            {name: value for name, value in said.items() if value is not None}, "logout+jwt", key
        )

    @staticmethod
    def _json(status: int, members: Mapping[str, object]) -> Answer:
        return Answer(status, "application/json", json.dumps(members).encode())


def outside_config(**changes: object) -> ProviderConfig:
    members: dict[str, object] = {
        "name": "ailleurs",
        "issuer": ISSUER,
        "client_id": CLIENT,
        "client_secret": "s",
        "label_fr": "Identité d’ailleurs",
        "label_en": "Outside identity",
        "claims": ClaimMap(attributes={"holder": "citizen"}),
        "acr": {"1": "low", "2": "substantial", "3": "high"},
        **changes,
    }
    return ProviderConfig(**members)  # type: ignore[arg-type]


def add_provider(vault: Vault, config: ProviderConfig, op: OutsideProvider) -> None:
    """Let a running safe have another provider, as if its file had named it."""
    login = vault.people.login
    login.logins.providers[config.name] = OpenIdProvider(config, SystemClock(), op)  # type: ignore[index]
    login.accounts._providers[config.name] = config  # type: ignore[index]


@pytest.fixture(scope="session")
def login_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    settings = Settings(
        data=tmp_path_factory.mktemp("logins") / "data",
        publish_interval=0.05,
        rate_logins=0,
        assurance="substantial",
    )
    opened = open_vault(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def op(login_vault: Vault) -> OutsideProvider:
    outside = OutsideProvider()
    add_provider(login_vault, outside_config(), outside)
    return outside


@pytest.fixture
def clock(login_vault: Vault) -> Iterator[MovableClock]:
    """A clock of the login services that tests move on."""
    moved, login = MovableClock(), login_vault.people.login
    parts = (login.sessions, login.logins, login.assurance, login.accounts)
    for part in parts:
        part._clock = moved
    yield moved
    for part in parts:
        part._clock = login_vault.parts.clock


@dataclass
class Browser:
    """A browser of a person: keeps cookies, follows nothing by itself."""

    http: TestClient
    op: OutsideProvider

    def get(self, path: str, **more: object) -> httpx.Response:
        return self.http.get(path, **more)  # type: ignore[arg-type]

    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get("/").text)
        assert found
        return found[1]

    def post(
        self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None, **fields: str
    ) -> httpx.Response:
        token = self.form_token() if token is None else token
        return self.http.post(path, data={"form_token": token, **fields}, headers=dict(headers or {}))

    def begin(self, provider: str = "ailleurs", back: str = "/acces") -> str:
        """Begin a login and return the provider's address."""
        return self.leads(self.post(f"/connexion/{provider}", retour=back))

    @staticmethod
    def leads(page: httpx.Response) -> str:
        """Return where a page that leads to a provider leads."""
        assert page.status_code == 200, page.text
        found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', page.text)
        assert found, page.text
        return html.unescape(found[1])

    def log_in(self, subject: str, back: str = "/acces", **claims: object) -> httpx.Response:
        """Log in at the outside provider."""
        return self.get(self.op.code(self.begin(back=back), subject, **claims))

    def choose(self, url: str, persona: str, level: str = "substantial") -> httpx.Response:
        """Choose a persona on the embedded provider's page, and come back."""
        page = self.get(url)
        asked = html.unescape(re.search(r'name="asked" value="([^"]*)"', page.text)[1])  # type: ignore[index]
        token = re.search(r'name="form_token" value="([^"]+)"', page.text)[1]  # type: ignore[index]
        sent = self.http.post(
            "/dev-identity/authorize",
            data={"form_token": token, "asked": asked, "persona": persona, "assurance": level},
        )
        assert sent.status_code == 303, sent.text
        return self.get(sent.headers["location"])

    def become(self, persona: str, level: str = "substantial", back: str = "/acces") -> httpx.Response:
        """Log in at the embedded provider."""
        return self.choose(self.begin("developpement", back), persona, level)

    @property
    def session(self) -> str:
        return self.http.cookies.get("probans_session") or ""


@pytest.fixture(scope="session")
def login_app(login_vault: Vault, op: OutsideProvider):
    return create_app(login_vault)


@pytest.fixture
def new_browser(login_app, op: OutsideProvider) -> Callable[[], Browser]:
    def make() -> Browser:
        client = TestClient(
            login_app,
            base_url="http://127.0.0.1",
            headers={"Accept": "text/html"},
            follow_redirects=False,
            client=("127.0.0.1", 50_000),
            raise_server_exceptions=False,
        )
        return Browser(client, op)

    return make


@pytest.fixture
def browser(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()
