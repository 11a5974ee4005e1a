"""Forged, expired, replayed, swapped and confused tokens, each refused by its code; key rotation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwk

from identity.errors import IdentityError, TokenRefused
from identity.keys import MAX_KEYS, parse_keys
from identity.tokens import LOGOUT_EVENT, half_hash

HOUR = 3600


def encoded(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iss": "https://evil.example"}, "TOKEN_ISSUER"),
        ({"iss": "https://id.example/"}, "TOKEN_ISSUER"),
        ({"iss": None}, "TOKEN_ISSUER"),
        ({"aud": "another"}, "TOKEN_AUDIENCE"),
        ({"aud": ["probans-test", "another"]}, "TOKEN_AUDIENCE"),
        ({"aud": []}, "TOKEN_AUDIENCE"),
        ({"aud": None}, "TOKEN_AUDIENCE"),
        ({"aud": {"probans-test": 1}}, "TOKEN_AUDIENCE"),
        ({"azp": "another"}, "TOKEN_AUDIENCE"),
        ({"exp": -31}, "TOKEN_EXPIRED"),
        ({"exp": None}, "TOKEN_FORMAT"),
        ({"exp": "later"}, "TOKEN_FORMAT"),
        ({"exp": True}, "TOKEN_FORMAT"),
        ({"exp": 10**400}, "TOKEN_FORMAT"),
        ({"iat": 31}, "TOKEN_NOT_YET"),
        ({"iat": -31}, "TOKEN_EXPIRED"),
        ({"iat": None}, "TOKEN_FORMAT"),
        ({"nbf": 31}, "TOKEN_NOT_YET"),
        ({"nonce": "another"}, "TOKEN_NONCE"),
        ({"nonce": "\ud800"}, "TOKEN_NONCE"),
        ({"nonce": None}, "TOKEN_NONCE"),
        ({"nonce": ["x"]}, "TOKEN_NONCE"),
        ({"sub": None}, "TOKEN_FORMAT"),
        ({"sub": ""}, "TOKEN_FORMAT"),
        ({"sub": "x" * 256}, "TOKEN_FORMAT"),
        ({"sub": "a\nb"}, "TOKEN_FORMAT"),
        ({"sub": 1}, "TOKEN_FORMAT"),
        ({"at_hash": half_hash("another", "ES256")}, "TOKEN_HASH"),
        ({"at_hash": None, "events": {LOGOUT_EVENT: {}}}, "TOKEN_EVENTS"),
        ({"at_hash": 1}, "TOKEN_HASH"),
    ],
)
def test_each_claim_is_judged(login: Any, change: dict[str, Any], code: str) -> None:
    moment = int(login.hands.at.timestamp())
    for name in ("exp", "iat", "nbf"):
        if type(change.get(name)) is int and abs(change[name]) < HOUR:
            change = {**change, name: moment + change[name]}
    login.liar.change = change
    assert login.refused() == code


def test_what_the_standard_allows_is_taken(login: Any) -> None:
    moment = int(login.hands.at.timestamp())
    for change in (
        {"aud": ["probans-test"], "azp": "probans-test"},
        {"exp": moment - 29, "iat": moment + 29.5, "nbf": moment + 29},
        {"at_hash": None},
        {"auth_time": None},
    ):
        login.liar.change = change
        assert login.finish().subject == "person-1"


def test_a_replayed_token_has_another_logins_nonce(login: Any) -> None:
    login.begin()
    old = login.liar.id_token()
    login.liar.forge = lambda _: old
    assert login.refused() == "TOKEN_NONCE"
    login.hands.move(HOUR)
    assert login.refused() == "TOKEN_EXPIRED"


def test_a_token_without_signature_proves_nothing(login: Any) -> None:
    for algorithm in ("none", "None", "NONE", "nOnE"):
        login.liar.forge = lambda claims, name=algorithm: f"{encoded({'alg': name})}.{encoded(claims)}."
        assert login.refused() == "TOKEN_ALGORITHM"


def test_a_public_key_is_never_taken_for_a_shared_secret(make: Callable[..., Any]) -> None:
    """HS256 keyed with what everybody can fetch: the key as PEM, as DER, as JSON; and the client secret too."""
    login = make(algorithms=("ES256", "RS256", "HS256"))
    key = login.liar.key
    secrets = [
        key.as_pem(private=False),
        key.as_der(private=False),
        json.dumps(key.as_dict(private=False)).encode(),
        b"a secret of the test, long enough",
    ]
    for secret in secrets:

        def forge(claims: dict[str, Any], used: bytes = secret) -> str:
            signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims)}"
            return f"{signed}.{encoded(hmac.new(used, signed.encode(), hashlib.sha256).digest())}"

        login.liar.forge = forge
        assert login.refused() == "TOKEN_ALGORITHM"


def test_a_key_that_comes_with_the_token_counts_for_nothing(login: Any) -> None:
    own = jwk.generate_key("EC", "P-256", {"kid": "one"})
    public = own.as_dict(private=False)
    for header in (
        {},
        {"jwk": public},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/"},
    ):
        login.liar.forge = lambda claims, more=header: login.liar.sign(claims, own, **more)
        assert login.refused() == "TOKEN_SIGNATURE"
    assert not any("evil" in url for _, url, _, _ in login.liar.asked)
    login.liar.forge = lambda claims: login.liar.sign(claims, own, kid="unknown")
    assert login.refused() == "TOKEN_KEY"


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda token: token + "x", "TOKEN_SIGNATURE"),
        (lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), "TOKEN_SIGNATURE"),
        (lambda token: token.rpartition(".")[0] + ".", "TOKEN_SIGNATURE"),
        (lambda token: token + ".x.y", "TOKEN_FORMAT"),
        (lambda token: token.partition(".")[2], "TOKEN_FORMAT"),
        (lambda token: "x" * 40_000, "TOKEN_FORMAT"),
        (lambda token: "é" + token, "TOKEN_FORMAT"),
        (lambda token: token.replace(".", ".A", 1), "TOKEN_SIGNATURE"),
        (lambda token: "." + token.partition(".")[2], "TOKEN_FORMAT"),
        (lambda token: encoded([1]) + "." + token.partition(".")[2], "TOKEN_FORMAT"),
        (lambda token: encoded(b"[" * 20_000) + "." + token.partition(".")[2], "TOKEN_FORMAT"),
        (lambda token: encoded({"alg": ["ES256"]}) + "." + token.partition(".")[2], "TOKEN_ALGORITHM"),
        (lambda token: encoded({"alg": "ES256", "kid": 1}) + "." + token.partition(".")[2], "TOKEN_FORMAT"),
        (
            lambda token: encoded(b'{"alg":"ES256","alg":"none"}') + "." + token.partition(".")[2],
            "TOKEN_FORMAT",
        ),
        (
            lambda token: (
                encoded({"alg": "ES256", "kid": "one", "b64": False, "crit": ["b64"]})
                + "."
                + token.partition(".")[2]
            ),
            "TOKEN_FORMAT",
        ),
        (
            lambda token: (
                encoded({"alg": "ES256", "kid": "one", "crit": ["exp"]}) + "." + token.partition(".")[2]
            ),
            "TOKEN_FORMAT",
        ),
    ],
)
def test_changed_tokens(login: Any, forge: Callable[[str], str], code: str) -> None:
    login.liar.forge = lambda claims: forge(login.liar.sign(claims))
    assert login.refused() == code


def test_other_types_of_token_are_no_id_tokens(login: Any) -> None:
    for kind in ("logout+jwt", "at+jwt", "JOSE"):
        login.liar.header = {"typ": kind}
        assert login.refused() == "TOKEN_FORMAT"
    for kind in ("JWT", "jwt"):
        login.liar.header = {"typ": kind}
        assert login.finish().subject == "person-1"


def test_a_member_twice_in_the_claims_is_refused(login: Any) -> None:
    """Signed by the provider itself; readers would differ about what it says."""
    from joserfc import jws

    def forge(claims: dict[str, Any]) -> str:
        text = json.dumps(claims)[:-1] + ', "sub": "person-2"}'
        return jws.serialize_compact({"alg": "ES256", "kid": "one"}, text, login.liar.key)

    login.liar.forge = forge
    assert login.refused() == "TOKEN_FORMAT"


@pytest.mark.parametrize(
    ("kind", "size", "algorithm"),
    [
        ("RSA", 2048, "RS256"),
        ("RSA", 2048, "PS256"),
        ("RSA", 2048, "RS512"),
        ("EC", "P-384", "ES384"),
        ("EC", "P-521", "ES512"),
        ("OKP", "Ed25519", "EdDSA"),
        ("OKP", "Ed25519", "Ed25519"),
    ],
)
def test_usual_algorithms(make: Callable[..., Any], kind: str, size: Any, algorithm: str) -> None:
    login = make(algorithms=(algorithm,))
    login.liar.key = jwk.generate_key(kind, size, {"kid": "one"})
    login.liar.header = {"alg": algorithm}
    login.liar.change = {"at_hash": half_hash("an-access-token", algorithm)}
    assert login.finish().subject == "person-1"
    other = make(algorithms=("ES256",))
    other.liar.key, other.liar.header = login.liar.key, login.liar.header
    assert other.refused() == "TOKEN_ALGORITHM"


def test_keys_rotate(login: Any) -> None:
    login.finish()
    assert login.liar.times_asked("/jwks") == 1
    login.liar.key = jwk.generate_key("EC", "P-256", {"kid": "two"})
    assert login.finish().subject == "person-1"
    assert login.liar.times_asked("/jwks") == 2
    for _ in range(30):
        login.liar.forge = lambda claims: login.liar.sign(claims, kid="made up")
        assert login.refused() == "TOKEN_KEY"
    assert login.liar.times_asked("/jwks") == 2, "forged names do not make us flood the provider"
    login.hands.move(10)
    assert login.refused() == "TOKEN_KEY"
    assert login.liar.times_asked("/jwks") == 3


def test_a_key_taken_away_is_refused_within_ten_minutes(login: Any) -> None:
    login.finish()
    stolen = login.liar.key
    login.liar.key = jwk.generate_key("EC", "P-256", {"kid": "two"})
    login.liar.forge = lambda claims: login.liar.sign(claims, stolen)
    login.hands.move(600)
    assert login.refused() == "TOKEN_KEY"


def test_keys_that_cannot_be_fetched(login: Any) -> None:
    for published in ({"keys": 1}, [], None):
        login.liar.keys = lambda value=published: value
        start = login.begin()
        assert login.refused(start) in {"IDENTITY_UNAVAILABLE", "TOKEN_KEY"}


def test_only_public_signature_keys_of_a_usual_size_are_read() -> None:
    good = jwk.generate_key("EC", "P-256", {"kid": "good"}).as_dict(private=True)
    weak = jwk.import_key(
        rsa.generate_private_key(65537, 1024).private_bytes(
            *_pem()  # type: ignore[arg-type]
        ),
        "RSA",
    ).as_dict(private=False)
    published = [
        good,
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "kid": 5},
        {**good, "crv": "P-000"},
        {**good, "x": "!"},
        {**good, "x": 7},
        {**good, "x": encoded(b"\1" * 32)},
        {"kty": "oct", "k": encoded(b"shared"), "kid": "secret"},
        {"kty": ["EC"]},
        {"kty": "AKP", "alg": "ML-DSA-44"},
        {"kty": "OKP", "crv": "X25519", "x": encoded(b"\1" * 32), "kid": "exchange"},
        weak,
        "text",
        None,
    ]
    found = parse_keys({"keys": published})
    assert [key.kid for key in found] == ["good"]
    assert "d" not in found[0].key.as_dict(private=None), "private members are left where they were"
    for wrong in ({"keys": [good] * (MAX_KEYS + 1)}, {"keys": {}}, {}):
        with pytest.raises(ValueError, match="no JWK set"):
            parse_keys(wrong)


def _pem() -> tuple[object, object, object]:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()


def test_without_a_name_only_the_single_key_that_fits_counts(login: Any) -> None:
    login.liar.header = {"kid": None}
    assert login.finish().subject == "person-1"
    public = login.liar.key.as_dict(private=False)
    login.liar.published = [public, {**public, "kid": "two"}]
    login.hands.move(600)
    assert login.refused() == "TOKEN_KEY"
    login.liar.published = [public, {**public, "kid": "two", "alg": "ES384"}]
    login.hands.move(600)
    assert login.finish().subject == "person-1"


def test_a_logout_token_names_who_is_out(login: Any) -> None:
    login.begin()
    notice = login.party.check_logout_token(login.liar.logout_token())
    assert (notice.issuer, notice.subject, notice.sid) == ("https://id.example", "person-1", "session-1")
    assert notice.jti == "message-1"
    assert notice.expires_at is not None
    assert (notice.expires_at - login.hands.at).total_seconds() == 630, (
        "a replay is refused by its age from then on"
    )
    assert login.party.check_logout_token(login.liar.logout_token(sub=None)).subject == ""
    assert login.party.check_logout_token(login.liar.logout_token(sid=None, exp=None)).sid == ""


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "https://evil.example"}, "TOKEN_ISSUER"),
        ({"aud": "another"}, "TOKEN_AUDIENCE"),
        ({"events": None}, "TOKEN_EVENTS"),
        ({"events": {}}, "TOKEN_EVENTS"),
        ({"events": [LOGOUT_EVENT]}, "TOKEN_EVENTS"),
        ({"events": {LOGOUT_EVENT: True}}, "TOKEN_EVENTS"),
        ({"nonce": "any"}, "TOKEN_NONCE"),
        ({"sub": None, "sid": None}, "TOKEN_FORMAT"),
        ({"sub": 5}, "TOKEN_FORMAT"),
        ({"sid": ""}, "TOKEN_FORMAT"),
        ({"jti": None}, "TOKEN_FORMAT"),
        ({"jti": "x" * 300}, "TOKEN_FORMAT"),
        ({"iat": None}, "TOKEN_FORMAT"),
        ({"iat": 2**40}, "TOKEN_NOT_YET"),
        ({"iat": 0, "exp": None}, "TOKEN_EXPIRED"),
        ({"exp": 0}, "TOKEN_EXPIRED"),
    ],
)
def test_logout_tokens_are_judged(login: Any, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        login.party.check_logout_token(login.liar.logout_token(**changed))
    assert caught.value.code == code


def test_an_id_token_logs_nobody_out(login: Any) -> None:
    login.begin()
    with pytest.raises(TokenRefused) as caught:
        login.party.check_logout_token(login.liar.id_token())
    assert caught.value.code == "TOKEN_EVENTS"
    login.liar.forge = lambda _: login.liar.logout_token()
    assert login.refused() == "TOKEN_FORMAT"


def test_a_front_channel_logout_names_issuer_and_session(login: Any) -> None:
    notice = login.party.check_front_channel({"iss": "https://id.example", "sid": "session-1"})
    assert (notice.sid, notice.subject, notice.jti) == ("session-1", "", "")
    for parameters in (
        {},
        {"sid": "x"},
        {"iss": "https://evil.example", "sid": "x"},
        {"iss": "https://id.example"},
    ):
        with pytest.raises(IdentityError):
            login.party.check_front_channel(parameters)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    token=st.one_of(
        st.text(), st.tuples(st.binary(), st.binary(), st.binary()).map(lambda p: ".".join(map(encoded, p)))
    )
)
def test_any_text_as_a_token_ends_in_a_code(login: Any, token: str) -> None:
    with pytest.raises(IdentityError):
        login.party.check_logout_token(token)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    name=st.sampled_from(["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "sid", "events", "nonce"]),
    value=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_any_claim_is_judged_or_refused(login: Any, name: str, value: object) -> None:
    token = login.liar.logout_token(**{name: value})
    try:
        notice = login.party.check_logout_token(token)
    except IdentityError:
        return
    assert notice.issuer == "https://id.example"
    assert notice.subject or notice.sid
