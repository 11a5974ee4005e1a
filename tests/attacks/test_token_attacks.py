"""The token endpoint takes one good proof for one token, and tells nobody else anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from sqlalchemy import func, select
from starlette.testclient import TestClient

from api.app import create_app
from vault.bootstrap import open_vault
from vault.clock import SystemClock
from vault.db import models
from vault.people.system_keys import read_keys
from vault.people.system_registry import SystemRegistry
from vault.service import Vault
from vault.settings import Settings

ADDRESS = "https://coffre.example"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PROXY = ("198.51.100.1", 4711)
REGISTERED = ["acts:issue", "acts:read", "agents:resolve"]


class MovingClock(SystemClock):
    """The machine's clock, some time ahead."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


CLOCK = MovingClock()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    chosen = Settings(
        data=tmp_path_factory.mktemp("tokens") / "data",
        address=ADDRESS,
        trusted_proxies="198.51.100.0/24",
        client_certificate_header="Client-Cert",
        rate_tokens=0,
    )
    opened = open_vault(chosen, CLOCK, background=False)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def registry(vault: Vault) -> SystemRegistry:
    return SystemRegistry(vault.parts.database, vault.parts.records, vault.parts.clock)


@pytest.fixture(scope="module")
def app(vault: Vault) -> Any:
    return create_app(vault)


@pytest.fixture(scope="module")
def client(app: Any) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def proxied(app: Any) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, client=PROXY)


@dataclass
class Software:
    """A registered system with its private key."""

    client_id: str
    key: Key
    algorithm: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        said = {"iss": self.client_id, "sub": self.client_id, "aud": ADDRESS, "exp": now + 60}
        said = {**said, "iat": now, "jti": str(uuid.uuid4()), **changes}
        return {name: value for name, value in said.items() if value is not None}

    def assertion(self, header: dict[str, Any] | None = None, key: Key | None = None, **changes: Any) -> str:
        return signed({"alg": self.algorithm, **(header or {})}, self.claims(**changes), key or self.key)


def signed(header: dict[str, Any], claims: Any, key: Key) -> str:
    """Sign whatever it is; the library would refuse to make some of it."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(jws.JWSRegistry.algorithms[header['alg']].sign(text.encode(), key))}"


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture(scope="module")
def register(registry: SystemRegistry) -> Callable[..., Software]:
    def do(key: Key, algorithm: str, **changes: Any) -> Software:
        said: dict[str, Any] = {
            "administration_id": "mairie-specimen", "service": "etat-civil", "name": "Logiciel",
            "scopes": REGISTERED, "keys": read_keys(key.as_pem(private=False)), **changes,
        }  # fmt: skip
        return Software(registry.add(**said).client_id, key, algorithm)

    return do


@pytest.fixture(scope="module")
def software(register: Callable[..., Software]) -> Software:
    return register(ECKey.generate_key("P-256"), "ES256")


def ask(client: TestClient, assertion: str, **more: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": BEARER,
        "client_assertion": assertion,
    }
    return client.post("/v1/token", data={**form, **more})


def given_token(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def is_refused(answer: httpx.Response, error: str = "invalid_client") -> bool:
    status = 401 if error == "invalid_client" else 400
    return (answer.status_code, answer.json().get("error")) == (status, error)


def who(client: TestClient, token: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Authorization": f"Bearer {token}", **named}
    return client.post("/v1/agents/pseudonym", json={"agent": "a.martin"}, headers=headers)


def test_each_algorithm_of_the_list_gives_a_token_that_counts(client, register):
    for key, algorithm in (
        (ECKey.generate_key("P-256"), "ES256"),
        (RSAKey.generate_key(2048), "PS256"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
        (OKPKey.generate_key("Ed25519"), "Ed25519"),
    ):
        answer = ask(client, register(key, algorithm).assertion())
        body = answer.json()
        assert (body["token_type"], body["expires_in"], body["scope"]) == (
            "Bearer",
            600,
            " ".join(REGISTERED),
        )
        assert re.fullmatch(r"pst_[A-Za-z0-9_-]{43}", body["access_token"])
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        assert who(client, body["access_token"]).status_code == 200


def test_the_token_endpoint_is_an_audience_too_and_a_list_of_one(client, software):
    for audience in (f"{ADDRESS}/v1/token", [ADDRESS]):
        assert ask(client, software.assertion(aud=audience)).status_code == 200
    assert ask(client, software.assertion({"typ": "client-authentication+jwt"})).status_code == 200
    assert ask(client, software.assertion(), client_id=software.client_id, scope="").status_code == 200


def test_what_is_not_stored_is_the_token_itself(client, software, vault):
    token = given_token(ask(client, software.assertion()))
    folder = vault.settings.data
    octets = b"".join(path.read_bytes() for path in folder.glob("probans.db*"))
    assert software.client_id.encode() in octets
    assert token.encode() not in octets
    assert token.removeprefix("pst_").encode() not in octets


CLAIMS = {
    "expired": lambda now: {"exp": now - 31},
    "ends too late": lambda now: {"exp": now + 3600},
    "no end": lambda now: {"exp": None},
    "end as text": lambda now: {"exp": str(now + 60)},
    "end as truth": lambda now: {"exp": True},
    "endless end": lambda now: {"exp": 1e300},
    "not yet": lambda now: {"nbf": now + 120},
    "made tomorrow": lambda now: {"iat": now + 86400},
    "another audience": lambda now: {"aud": "https://another.example"},
    "this and another audience": lambda now: {"aud": [ADDRESS, "https://another.example"]},
    "no audience": lambda now: {"aud": None},
    "empty audience": lambda now: {"aud": []},
    "nested audience": lambda now: {"aud": [[ADDRESS]]},
    "longer audience": lambda now: {"aud": ADDRESS + ".evil.example"},
    "audience of the caller's words": lambda now: {"aud": "http://127.0.0.1"},
    "another issuer": lambda now: {"iss": "sys_00000000000000000000000000"},
    "no issuer": lambda now: {"iss": None},
    "no identifier": lambda now: {"jti": None},
    "empty identifier": lambda now: {"jti": ""},
    "identifier as number": lambda now: {"jti": 5},
    "long identifier": lambda now: {"jti": "x" * 256},
    "identifier with a line": lambda now: {"jti": "a\nb"},
}


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_claims_that_do_not_fit(client, software, name):
    assert is_refused(ask(client, software.assertion(**CLAIMS[name](int(time.time())))))


def forged(software: Software) -> dict[str, str]:
    pem, claims = software.key.as_pem(private=False), software.claims()
    good = software.assertion()
    head, body, seal = good.split(".")
    other = ECKey.generate_key("P-256")

    def with_mac(secret: bytes) -> str:
        text = f"{part({'alg': 'HS256'})}.{part(claims)}"
        return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    public = software.key.as_dict(private=False)
    return {
        "alg none": f"{part({'alg': 'none'})}.{part(claims)}.",
        "alg None": f"{part({'alg': 'None'})}.{part(claims)}.",
        "alg none with the old signature": f"{part({'alg': 'none'})}.{body}.{seal}",
        "no alg": f"{part({})}.{part(claims)}.{seal}",
        "alg as list": f"{part({'alg': ['ES256']})}.{part(claims)}.{seal}",
        "HS256 with the public key as PEM": with_mac(pem),
        "HS256 with the public key as JSON": with_mac(json.dumps(public).encode()),
        "HS256 with nothing": with_mac(b""),
        "another claim": f"{head}.{part({**claims, 'sub': software.client_id})}.{seal}",
        "no signature": f"{head}.{body}.",
        "signature of zeros": f"{head}.{body}.{part(bytes(64))}",
        "signature of a stranger": software.assertion(key=other),
        "a key in the header": software.assertion({"jwk": other.as_dict(private=False)}, key=other),
        "a key by address": software.assertion({"jku": "https://evil.example/keys"}, key=other),
        "another curve": signed({"alg": "ES384"}, claims, ECKey.generate_key("P-384")),
        "RS256": signed({"alg": "RS256"}, claims, RSAKey.generate_key(2048)),
        "must be understood": software.assertion({"crit": ["exp"], "exp": 1}),
        "not encoded": software.assertion({"b64": False, "crit": ["b64"]}),
        "an access token": software.assertion({"typ": "at+jwt"}),
        "a logout token": software.assertion({"typ": "logout+jwt"}),
        "unknown kid": software.assertion({"kid": "another"}),
        "kid as number": f"{part({'alg': 'ES256', 'kid': 5})}.{body}.{seal}",
        "kid that leads out": software.assertion({"kid": "../../etc/passwd"}),
        "four parts": good + ".x",
        "five parts": "a.b.c.d.e",
        "two parts": f"{head}.{body}",
        "not base64": f"{head}.!!!.{seal}",
        "not JSON": f"{head}.{part(b'x')}.{seal}",
        "a list": signed({"alg": "ES256"}, [claims], software.key),
        "deep": f"{head}.{part(b'[' * 5000)}.{seal}",
        "empty claims": signed({"alg": "ES256"}, {}, software.key),
        "subject as object": signed({"alg": "ES256"}, {**claims, "sub": {"a": 1}}, software.key),
        "not ASCII": good + "\u00e9",
        "oversized": software.assertion(padding="x" * 8192),
        "surrogate": signed({"alg": "ES256"}, {**claims, "jti": "\ud800"}, software.key),
    }


def test_forged_proofs(client, software):
    answers = {name: ask(client, text) for name, text in forged(software).items()}
    assert {name for name, answer in answers.items() if not is_refused(answer)} == set()
    # Whoever is refused learns nothing: all these answers are one answer.
    assert len({answer.content for answer in answers.values()}) == 1


def test_a_proof_counts_once_whatever_is_asked_with_it(client, software):
    proof = software.assertion()
    assert ask(client, proof, scope="acts:read").status_code == 200
    assert is_refused(ask(client, proof, scope="acts:read"))
    assert is_refused(ask(client, proof))
    # Another signature over the same claims is the same proof.
    claims = software.claims()
    assert ask(client, signed({"alg": "ES256"}, claims, software.key)).status_code == 200
    assert is_refused(ask(client, signed({"alg": "ES256"}, claims, software.key)))


def test_a_proof_used_up_at_one_moment_gives_one_token(client, app, software):
    from concurrent.futures import ThreadPoolExecutor

    proof = software.assertion()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(client, proof).status_code, range(8)))
    assert sorted(answers) == [200] + [401] * 7


def test_a_proof_cannot_be_kept_until_it_is_forgotten(client, software, vault):
    now = int(time.time())
    proof = software.assertion(exp=now + 299)
    assert ask(client, proof).status_code == 200
    try:
        for minutes in (1, 4, 5, 6, 20):
            CLOCK.ahead = timedelta(minutes=minutes)
            assert is_refused(ask(client, proof))
        assert ask(client, software.assertion(exp=now + 1260, iat=now + 1200)).status_code == 200
        with vault.parts.database.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(models.used_assertions)) == 1
            assert connection.scalar(select(func.count()).select_from(models.system_tokens)) == 1
    finally:
        CLOCK.ahead = timedelta(0)


def test_a_refused_scope_uses_the_proof_of_nobody_up(client, software):
    proof = software.assertion()
    assert is_refused(ask(client, proof, scope="acts:issue acts:revoke"), "invalid_scope")
    assert ask(client, proof, scope="acts:issue").json()["scope"] == "acts:issue"


def test_scopes_cannot_be_widened(client, software):
    for scope in (
        "acts:revoke",
        "acts:issue acts:revoke",
        "*",
        "acts:*",
        "ACTS:ISSUE",
        "acts:issue\tx",
        "x" * 2000,
    ):
        assert is_refused(ask(client, software.assertion(), scope=scope), "invalid_scope")
    narrow = given_token(ask(client, software.assertion(), scope="acts:read"))
    assert who(client, narrow).json()["code"] == "NOT_FOUND"
    wide = given_token(ask(client, software.assertion()))
    assert who(client, wide).status_code == 200


def test_one_client_cannot_prove_another(client, software, register):
    other = register(ECKey.generate_key("P-256"), "ES256")
    assert is_refused(ask(client, other.assertion(iss=software.client_id, sub=software.client_id)))
    assert is_refused(ask(client, other.assertion(sub=software.client_id)))
    assert is_refused(ask(client, other.assertion(), client_id=software.client_id))
    # The same jti of another client is another proof.
    claims = {"jti": "the-same"}
    assert ask(client, software.assertion(**claims)).status_code == 200
    assert ask(client, other.assertion(**claims)).status_code == 200


def test_unknown_ended_and_wrong_look_alike(client, software, register, registry):
    ended = register(ECKey.generate_key("P-256"), "ES256")
    token = given_token(ask(client, ended.assertion()))
    registry.end(ended.client_id)
    nobody = Software("sys_00000000000000000000000000", software.key, "ES256")
    odd = Software("';--", software.key, "ES256")
    answers = [
        ask(client, ended.assertion()),
        ask(client, nobody.assertion()),
        ask(client, odd.assertion()),
        ask(client, software.assertion(key=ECKey.generate_key("P-256"))),
        client.post("/v1/token", data={"grant_type": "client_credentials", "client_id": software.client_id}),
        client.post("/v1/token", data={"grant_type": "client_credentials", "client_id": "nobody"}),
    ]
    assert all(is_refused(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    told = [
        {k: v for k, v in answer.headers.items() if k not in {"x-request-id", "date"}} for answer in answers
    ]
    assert all(headers == told[0] for headers in told)
    assert who(client, token).status_code == 401


def test_a_token_ends_with_its_time_its_keys_and_its_system(client, register, registry):
    made = register(ECKey.generate_key("P-256"), "ES256")
    token = given_token(ask(client, made.assertion()))
    try:
        CLOCK.ahead = timedelta(minutes=10, seconds=1)
        assert who(client, token).status_code == 401
    finally:
        CLOCK.ahead = timedelta(0)
    assert who(client, token).status_code == 200
    fresh = ECKey.generate_key("P-256")
    registry.rotate(made.client_id, read_keys(fresh.as_pem(private=False)))
    assert who(client, token).status_code == 401
    assert is_refused(ask(client, made.assertion()))
    assert ask(client, made.assertion(key=fresh)).status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"grant_type=password&username=a&password=b", "unsupported_grant_type"),
        (b"grant_type=authorization_code&code=x", "unsupported_grant_type"),
        (b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x", "unsupported_grant_type"),
        (b"grant_type=client_credentials", "invalid_client"),
        (b"grant_type=client_credentials&client_id=x&client_secret=y", "invalid_client"),
        (b"grant_type=client_credentials&client_assertion=x", "invalid_request"),
        (b"grant_type=client_credentials&client_assertion=x&client_assertion_type=saml2", "invalid_request"),
        (b"grant_type=client_credentials&scope=\xff", "invalid_request"),
        (b"grant_type=client_credentials&scope=%FF", "invalid_request"),
        (b"grant_type=client_credentials&" + b"a=b&" * 40, "invalid_request"),
        (b"grant_type=client_credentials&x=" + b"a" * 17_000, "invalid_request"),
    ],
)
def test_forms_that_do_not_fit(client, form, error):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert is_refused(client.post("/v1/token", content=form, headers=kind), error)


def test_only_forms_are_taken_and_only_posted(client, software):
    proof = {"grant_type": "client_credentials", "client_assertion_type": BEARER, "client_assertion": "x"}
    assert is_refused(client.post("/v1/token", json=proof), "invalid_request")
    assert client.get("/v1/token", params=proof).status_code == 405
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert is_refused(client.post("/v1/token", content=b"x", headers=kind), "invalid_request")


def certificate() -> x509.Certificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "logiciel")])
    day = timedelta(days=1)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
    )
    return built.sign(key, hashes.SHA256())


def shown(one: x509.Certificate) -> dict[str, str]:
    return {"Client-Cert": f":{base64.b64encode(one.public_bytes(Encoding.DER)).decode()}:"}


def test_a_token_for_a_certificate_counts_with_that_certificate_alone(client, proxied, registry, software):
    mine, other = certificate(), certificate()
    thumbprints = [one.fingerprint(hashes.SHA256()).hex() for one in (mine, other)]
    made = registry.add(
        administration_id="mairie-specimen",
        service="",
        name="mTLS",
        scopes=REGISTERED,
        certificates=thumbprints,
    )
    form = {"grant_type": "client_credentials", "client_id": made.client_id}

    def get(through: TestClient, headers: dict[str, str], **more: str) -> httpx.Response:
        return through.post("/v1/token", data={**form, **more}, headers=headers)

    token = given_token(get(proxied, shown(mine)))
    assert who(proxied, token, **shown(mine)).status_code == 200
    assert who(proxied, token).status_code == 401
    # The other certificate of the same system is not the one the token was given for.
    assert who(proxied, token, **shown(other)).status_code == 401
    assert who(client, token, **shown(mine)).status_code == 401
    # The header of a peer that is no proxy counts as absent, whatever it says of where it came from.
    assert is_refused(get(client, shown(mine)))
    assert is_refused(get(client, {**shown(mine), "X-Forwarded-For": "198.51.100.1"}))
    assert is_refused(get(proxied, {}))
    assert is_refused(get(proxied, shown(certificate())))
    assert is_refused(get(proxied, shown(mine), client_id=software.client_id))
    assert is_refused(get(proxied, {"Client-Cert": "nonsense"}), "invalid_request")
    assert is_refused(get(proxied, shown(mine), scope="acts:revoke"), "invalid_scope")


def test_a_signed_proof_over_an_own_certificate_binds_the_token_too(proxied, client, register):
    mine = certificate()
    made = register(
        ECKey.generate_key("P-256"), "ES256", certificates=[mine.fingerprint(hashes.SHA256()).hex()]
    )
    form = {"grant_type": "client_credentials", "client_assertion_type": BEARER}
    bound = proxied.post(
        "/v1/token", data={**form, "client_assertion": made.assertion()}, headers=shown(mine)
    )
    assert who(proxied, given_token(bound)).status_code == 401
    assert who(proxied, given_token(bound), **shown(mine)).status_code == 200
    strange = proxied.post(
        "/v1/token", data={**form, "client_assertion": made.assertion()}, headers=shown(certificate())
    )
    assert who(client, given_token(strange)).status_code == 200


def test_a_bearer_token_that_is_none(client, software):
    token = given_token(ask(client, software.assertion()))
    for wrong in (
        token[:-1],
        token + "A",
        token.upper(),
        "pst_",
        "pst_" + "A" * 43,
        token.removeprefix("pst_"),
    ):
        assert who(client, wrong).status_code == 401


def test_agents_are_named_by_pseudonyms_that_only_their_administration_learns(
    client, software, register, vault
):
    token = given_token(ask(client, software.assertion()))
    named = who(client, token).json()["pseudonym"]
    assert re.fullmatch(r"agt_[0-9a-hjkmnp-tv-z]{26}", named)
    assert who(client, token).json()["pseudonym"] == named
    elsewhere = register(ECKey.generate_key("P-256"), "ES256", administration_id="employeur-specimen")
    assert who(client, given_token(ask(client, elsewhere.assertion()))).json()["pseudonym"] != named
    portal = register(ECKey.generate_key("P-256"), "ES256", administration_id=None)
    assert who(client, given_token(ask(client, portal.assertion()))).json()["code"] == "NOT_FOUND"
    for persona, status in (
        ("agent-etat-civil", 200),
        ("camille", 404),
        ("auditeur", 404),
        ("exploitant", 404),
    ):
        answer = who(client, vault.personas.named(persona).token)
        assert answer.status_code == status
        assert status != 200 or answer.json()["pseudonym"] == named


@pytest.mark.parametrize("agent", ["", "x" * 129, "a b", "a\x00", "é"])
def test_odd_names_of_agents_are_refused(client, software, agent):
    token = given_token(ask(client, software.assertion()))
    answer = client.post(
        "/v1/agents/pseudonym", json={"agent": agent}, headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()["params"]) == (422, {"field": "agent"})


def test_a_system_says_for_whom_it_acts(client, software):
    token = given_token(ask(client, software.assertion()))
    assert who(client, token, Probans_Agent="a.martin").status_code == 200
    assert who(client, token, Probans_Agent="x" * 129).status_code == 422
    twice = [("Authorization", f"Bearer {token}"), ("Probans-Agent", "a"), ("Probans-Agent", "b")]
    assert client.post("/v1/agents/pseudonym", json={"agent": "a"}, headers=twice).status_code == 422


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_a_good_proof_is_a_proof(client, software, data):
    good = software.assertion()
    place = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=!"))
    changed = good[:place] + letter + good[place + 1 :]
    # The last letter of base64 holds bits that stand for nothing.
    last = {len(good.rsplit(".", cut)[0]) - 1 for cut in (0, 1, 2)} | {len(good) - 1}
    if letter != good[place] and place not in last:
        assert is_refused(ask(client, changed))


def test_a_secret_shared_with_nobody_is_no_key(client, software):
    secret = OctKey.generate_key(256)
    claims = software.claims()
    for algorithm in ("HS256", "HS512"):
        assert is_refused(ask(client, signed({"alg": algorithm}, claims, secret)))
