"""What a system proves itself with: a short JWT signed with its own key (RFC 7523, private_key_jwt).

The rules are those of RFC 7523 section 3 and RFC 8725; of algorithms only those with a public key and no known end
are taken, and the key decides which of them it is for, never the token alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact

from vault.errors import Unauthenticated

MAX_OCTETS = 8192
LONGEST = timedelta(minutes=5)
SKEW = timedelta(seconds=30)
# RFC 9864 calls Ed25519 by its name; EdDSA is the older word for it.
_MODEL = {"ES256": "ES256", "PS256": "PS256", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_KEY_TYPE = {"ES256": "EC", "PS256": "RSA", "Ed25519": "OKP"}
# A token made for something else (an access token, a logout token) says so here, and is none of ours.
_TYPES = frozenset({"jwt", "client-authentication+jwt"})
_MAX_TEXT = 255
# Modulus of the decoy of PS256: an odd number of the usual length, whose factors nobody needs.
_DECOY_MODULUS = (1 << 2047) + 1

PublicKey = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Assertion:
    """A proof that was checked.

    Attributes:
        client_id: whose it is.
        jti: its own identifier; it counts once.
        ends_at: from when on it is refused by its age.
    """

    client_id: str
    jti: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Unproven:
    """A JWT that was read, nothing of it believed.

    Attributes:
        client_id: who it says it is from.
    """

    client_id: str
    claims: Mapping[str, Any]
    compact: CompactSignature
    algorithm: str


def read(text: str) -> Unproven:
    """Take a JWT apart.

    Steps:
        1. Three parts of ASCII, of bounded length.
        2. The header names an algorithm of the list, a type that fits, and nothing that must be understood.
        3. The claims are an object whose subject is a short text.

    Raises:
        Unauthenticated: CLIENT_REFUSED; the detail names the step, for the operator's log alone.
    """
    # 1
    if len(text) > MAX_OCTETS or not text.isascii():
        raise _refused("size or characters")
    try:
        compact = extract_compact(text.encode("ascii"))
        header = compact.headers()
        claims = json.loads(compact.payload)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refused("no JWT") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refused("no JWT")
    # 2
    named = header.get("alg")
    algorithm = _MODEL.get(named) if isinstance(named, str) else None
    if algorithm is None:
        raise _refused("algorithm")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _refused("type")
    if "crit" in header or "b64" in header or not isinstance(header.get("kid", ""), str):
        raise _refused("header")
    # 3
    subject = claims.get("sub")
    if not _is_text(subject):
        raise _refused("subject")
    return Unproven(str(subject), claims, compact, algorithm)


def check(
    found: Unproven, keys: Sequence[PublicKey] | None, audiences: Collection[str], now: datetime
) -> Assertion:
    """Check who a JWT is from and what it is for.

    Steps:
        1. The signature is of one of the client's keys, of the type that the algorithm wants. For a client that does
           not exist as much is calculated, and refused.
        2. Issuer and subject are the client itself.
        3. The one audience is this service.
        4. It has not ended, ends within five minutes, and was not made in the future.
        5. It has an identifier, so that it can count once; whether it did is for the caller to find out.

    Args:
        found: what `read` gave.
        keys: the client's public keys; None when there is no such client.
        audiences: addresses of this service.
        now: current time.

    Raises:
        Unauthenticated: CLIENT_REFUSED; the detail names the step, for the operator's log alone.
    """
    # 1
    if not _is_signed(found, keys or ()):
        raise _refused("signature" if keys is not None else "unknown client")
    claims = found.claims
    # 2
    if claims.get("iss") != found.client_id:
        raise _refused("issuer")
    # 3
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        # One address in two spellings; several would let another of them use the token here.
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:
        raise _refused("audience")
    # 4
    ends_at = _instant(claims.get("exp"), "exp")
    if ends_at is None or ends_at + SKEW <= now:
        raise _refused("expired")
    if ends_at > now + LONGEST + SKEW:
        raise _refused("ends too late")
    for name in ("iat", "nbf"):
        since = _instant(claims.get(name), name)
        if since is not None and since > now + SKEW:
            raise _refused(f"{name} in the future")
    # 5
    jti = claims.get("jti")
    if not _is_text(jti):
        raise _refused("jti")
    return Assertion(found.client_id, str(jti), ends_at + SKEW)


def _is_signed(found: Unproven, keys: Sequence[PublicKey]) -> bool:
    kid = found.compact.headers().get("kid")
    wanted = _KEY_TYPE[found.algorithm]
    fitting = [key for key in keys if key["kty"] == wanted and kid in {None, key.get("kid")}]
    for key in fitting:
        if _verifies(found, import_key(dict(key))):
            return True
    if not fitting:
        _verifies(found, _decoy(found.algorithm))
    return False


def _verifies(found: Unproven, key: Key) -> bool:
    segments = found.compact.segments
    signed = segments["header"] + b"." + segments["payload"]
    model = JWSRegistry.algorithms[found.algorithm]
    try:
        model.check_key(key)
        return model.verify(signed, _octets(segments["signature"]), key)
    except (JoseError, ValueError, TypeError):
        return False


def _octets(segment: bytes) -> bytes:
    return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


@cache
def _decoy(algorithm: str) -> Key:
    """Return a key that nobody signs with."""
    if algorithm == "ES256":
        return ECKey.import_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    if algorithm == "PS256":
        return RSAKey.import_key(rsa.RSAPublicNumbers(65537, _DECOY_MODULUS).public_key())
    return OKPKey.import_key(ed25519.Ed25519PrivateKey.generate().public_key())


def _instant(value: object, name: str) -> datetime | None:
    """Read a NumericDate (RFC 7519 section 2). Raises Unauthenticated(CLIENT_REFUSED)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(name)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _refused(name) from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()


def _refused(step: str) -> Unauthenticated:
    return Unauthenticated("CLIENT_REFUSED", step)
