"""ID tokens and logout tokens, judged (OpenID Connect Core 1.0, 3.1.3.7; Back-Channel Logout 1.0, 2.6)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from identity.base import LoginStart, LogoutNotice
from identity.errors import LoginRefused, TokenRefused
from identity.fetching import finite
from identity.keys import KeySource

ALGORITHMS = frozenset(
    {"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"}
)
"""Asymmetric ones alone: `none` proves nothing, and with HS* a public key could be taken for the secret."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_TOKEN = 32 * 1024
MAX_LOGOUT_AGE_S = 600.0
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512", "DSA": "sha512", "25519": "sha512"}
_ID_TYPES = frozenset({"", "jwt", "application/jwt"})
_LOGOUT_TYPES = _ID_TYPES | {"logout+jwt", "application/logout+jwt"}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe, about what.

    Attributes:
        issuer: the provider's issuer identifier.
        client_id: what it knows us by.
        algorithms: signature algorithms accepted from it.
        keys: its keys.
        leeway_s: seconds that its clock may differ.
    """

    issuer: str
    client_id: str
    algorithms: tuple[str, ...]
    keys: KeySource
    leeway_s: float


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token whose signature is the provider's.

    Attributes:
        algorithm: of the signature.
        values: the claims; personal data.
    """

    algorithm: str
    values: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """Return a claim that is a text, or an empty one."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """Return a claim that is a finite number, or None where there is none. Raises TokenRefused(TOKEN_FORMAT)."""
        if name not in self.values:
            return None
        number = finite(self.values[name])
        if number is None:
            raise TokenRefused("TOKEN_FORMAT", f"{name} is no number")
        return number


def signed_claims(token: str, trust: Trust, types: frozenset[str] = _ID_TYPES) -> Claims:
    """Return the claims of a token signed by the provider.

    1. Three parts of base64url, of a usual size; an encrypted token has five.
    2. The header: a JSON object with an algorithm of the allow-list, an accepted type, and no critical extension.
    3. The key is the provider's, named by the header, of the algorithm's family; never one that comes with the token.
    4. The signature.
    5. The claims are a JSON object in which no member stands twice.

    Args:
        token: compact serialisation (RFC 7515).
        trust: whom to believe.
        types: accepted values of `typ`, in lower case.

    Returns:
        The claims.

    Raises:
        TokenRefused: TOKEN_FORMAT (1, 2, 5), TOKEN_ALGORITHM (2), TOKEN_KEY (3), TOKEN_SIGNATURE (4).
        ProviderUnavailable: the provider's keys cannot be fetched.
    """
    # 1
    parts = token.split(".")
    if len(token) > MAX_TOKEN or len(parts) != 3 or not token.isascii():
        raise TokenRefused("TOKEN_FORMAT", "not a signed token")
    # 2
    header = _json_object(parts[0])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or algorithm not in trust.algorithms:
        raise TokenRefused("TOKEN_ALGORITHM", "signature algorithm not accepted")
    kind, kid = header.get("typ", ""), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in types or "crit" in header or "b64" in header:
        raise TokenRefused("TOKEN_FORMAT", "another type of token, or an extension that is not known")
    if kid is not None and not isinstance(kid, str):
        raise TokenRefused("TOKEN_FORMAT", "kid is no text")
    # 3
    named = trust.keys.find(kid, algorithm)
    # 4
    try:
        jws.deserialize_compact(
            token, named.key, registry=_Registry(algorithms=[algorithm], strict_check_header=False)
        )
    except (
        JoseError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        AssertionError,
        RecursionError,
    ) as error:
        raise TokenRefused("TOKEN_SIGNATURE", "the signature is not the provider's") from error
    # 5
    return Claims(algorithm, _json_object(parts[1]))


def check_id_token(token: str, trust: Trust, start: LoginStart, access_token: str, now: datetime) -> Claims:
    """Judge an ID token (OIDC Core 3.1.3.7; the numbers in brackets are that section's).

    1. Signature, algorithm and key [1, 6, 7, 8]: `signed_claims`.
    2. `iss` is exactly the provider's [2].
    3. `aud` is us and nobody else [3]; `azp`, where it stands, is us [4, 5].
    4. `exp` is to come, `nbf` and `iat` are not [9]; `iat` is not before this login began [10].
    5. `nonce` is the one sent [11].
    6. `sub` is a text of 1 to 255 characters; `events` does not stand there: a logout token is no ID token.
    7. `at_hash`, where it stands, is that of the access token (3.1.3.8).
    8. Where the person had to be asked again, `auth_time` is not before this login began [13].

    The level (`acr` [12]) is the caller's to judge, since its values are each provider's own.

    Args:
        token: the ID token.
        trust: whom to believe.
        start: the login.
        access_token: came beside the ID token.
        now: the time, UTC.

    Returns:
        Its claims.

    Raises:
        TokenRefused: the codes of `signed_claims` (1), TOKEN_ISSUER (2), TOKEN_AUDIENCE (3), TOKEN_EXPIRED,
            TOKEN_NOT_YET (4), TOKEN_NONCE (5), TOKEN_FORMAT (4, 6, 8), TOKEN_EVENTS (6), TOKEN_HASH (7).
        LoginRefused: IDENTITY_NOT_FRESH (8).
        ProviderUnavailable: the provider's keys cannot be fetched.
    """
    # 1
    claims = signed_claims(token, trust)
    # 2, 3
    _check_parties(claims, trust)
    # 4
    _check_times(claims, trust, now, needs_expiry=True)
    issued = claims.number("iat")
    if issued is None:
        raise TokenRefused("TOKEN_FORMAT", "iat is missing")
    if issued < int(start.begun_at.timestamp()) - trust.leeway_s:
        raise TokenRefused("TOKEN_EXPIRED", "issued before this login began")
    # 5
    if not hmac.compare_digest(claims.text("nonce").encode(errors="replace"), start.nonce.encode()):
        raise TokenRefused("TOKEN_NONCE", "the nonce is not that of this login")
    # 6
    if not usual_subject(claims.values.get("sub")):
        raise TokenRefused("TOKEN_FORMAT", "sub is missing or unusual")
    if "events" in claims.values:
        raise TokenRefused("TOKEN_EVENTS", "a logout token is no ID token")
    # 7
    if "at_hash" in claims.values and not hmac.compare_digest(
        claims.text("at_hash").encode(errors="replace"), half_hash(access_token, claims.algorithm).encode()
    ):
        raise TokenRefused("TOKEN_HASH", "at_hash is not that of the access token")
    # 8
    authenticated = claims.number("auth_time")
    if start.fresh and (
        authenticated is None or authenticated < int(start.begun_at.timestamp()) - trust.leeway_s
    ):
        raise LoginRefused("IDENTITY_NOT_FRESH", "the provider did not ask the person again")
    if authenticated is not None and authenticated > now.timestamp() + trust.leeway_s:
        raise TokenRefused("TOKEN_NOT_YET", "auth_time is to come")
    return claims


def check_logout_token(token: str, trust: Trust, now: datetime) -> LogoutNotice:
    """Judge a back-channel logout token (Back-Channel Logout 1.0, 2.6).

    1. Signature, algorithm and key: `signed_claims`.
    2. `iss` and `aud` as in an ID token.
    3. `iat` is recent and not to come; `exp`, where it stands, is to come.
    4. `sub` or `sid` says who.
    5. `events` has the logout event, whose value is an object.
    6. `nonce` does not stand there: an ID token is no logout token.
    7. `jti` stands there; the caller refuses one that it has seen until `expires_at`.

    Args:
        token: the logout token.
        trust: whom to believe.
        now: the time, UTC.

    Returns:
        Who is to be logged out.

    Raises:
        TokenRefused: the codes of `signed_claims` (1), TOKEN_ISSUER, TOKEN_AUDIENCE (2), TOKEN_EXPIRED,
            TOKEN_NOT_YET (3), TOKEN_FORMAT (3, 4, 7), TOKEN_EVENTS (5), TOKEN_NONCE (6).
        ProviderUnavailable: the provider's keys cannot be fetched.
    """
    # 1
    claims = signed_claims(token, trust, _LOGOUT_TYPES)
    # 2
    _check_parties(claims, trust)
    # 3
    _check_times(claims, trust, now, needs_expiry=False)
    issued = claims.number("iat")
    if issued is None:
        raise TokenRefused("TOKEN_FORMAT", "iat is missing")
    last = issued + MAX_LOGOUT_AGE_S + trust.leeway_s
    if now.timestamp() >= last:
        raise TokenRefused("TOKEN_EXPIRED", "issued too long ago")
    # 4
    subject, session = claims.values.get("sub"), claims.values.get("sid")
    named = [value for value in (subject, session) if value is not None]
    if not named or not all(map(usual_subject, named)):
        raise TokenRefused("TOKEN_FORMAT", "neither sub nor sid says who, or one is unusual")
    # 5
    events = claims.values.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise TokenRefused("TOKEN_EVENTS", "no logout event")
    # 6
    if "nonce" in claims.values:
        raise TokenRefused("TOKEN_NONCE", "a logout token has no nonce")
    # 7
    if not usual_subject(claims.values.get("jti")):
        raise TokenRefused("TOKEN_FORMAT", "jti is missing or unusual")
    return LogoutNotice(
        issuer=trust.issuer,
        subject=claims.text("sub"),
        sid=claims.text("sid"),
        jti=claims.text("jti"),
        expires_at=datetime.fromtimestamp(last, UTC),
    )


def half_hash(value: str, algorithm: str) -> str:
    """Return the left half of a hash as base64url: at_hash of an access token (OIDC Core 3.1.3.6)."""
    digest = hashlib.new(_HASHES[algorithm[2:]], value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def usual_subject(value: object) -> bool:
    """Tell whether this is an identifier as OIDC Core 2 limits them: 1 to 255 characters of printable ASCII."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


class _Registry(jws.JWSRegistry):
    """Limits that leave room for a certificate chain in the header, which some providers send."""

    max_header_length = 8 * 1024
    max_payload_length = MAX_TOKEN


def _check_parties(claims: Claims, trust: Trust) -> None:
    if claims.values.get("iss") != trust.issuer:
        raise TokenRefused("TOKEN_ISSUER", "another issuer's token")
    audience = claims.values.get("aud")
    if audience not in (trust.client_id, [trust.client_id]) or claims.values.get("azp", trust.client_id) != (
        trust.client_id
    ):
        raise TokenRefused("TOKEN_AUDIENCE", "a token for another client, or for others too")


def _check_times(claims: Claims, trust: Trust, now: datetime, *, needs_expiry: bool) -> None:
    at = now.timestamp()
    ends = claims.number("exp")
    if ends is None and needs_expiry:
        raise TokenRefused("TOKEN_FORMAT", "exp is missing")
    if ends is not None and at >= ends + trust.leeway_s:
        raise TokenRefused("TOKEN_EXPIRED", "the token has expired")
    for name in ("iat", "nbf"):
        begins = claims.number(name)
        if begins is not None and begins > at + trust.leeway_s:
            raise TokenRefused("TOKEN_NOT_YET", f"{name} is to come")


def _json_object(part: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise TokenRefused("TOKEN_FORMAT", "not base64url of a JSON object") from error
    if not isinstance(value, dict):
        raise TokenRefused("TOKEN_FORMAT", "not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found
