"""A provider's public keys (RFC 7517): kept for a while, fetched again when a token names one that is not known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwk
from joserfc.errors import JoseError

from identity.errors import ProviderUnavailable, TokenRefused
from identity.fetching import Fetcher

KEPT_S = 600.0
REFETCH_S = 10.0
MAX_KEYS = 64
MIN_RSA_BITS = 2048
# Public members alone, so that neither a shared secret nor a private key is ever taken for a public one.
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_FAMILY = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A public key of a provider.

    Attributes:
        kid: its name; empty: none.
        family: `RSA`, `EC` or `OKP`.
        algorithm: the only one that it is for; empty: any of its family.
        key: the key.
    """

    kid: str
    family: str
    algorithm: str
    key: PublicKey


def parse_keys(published: Mapping[str, Any]) -> tuple[NamedKey, ...]:
    """Return the signature keys of a JWK set; those that are not understood, weak or for encryption are left out.

    Raises:
        ValueError: it is no JWK set, or has more than `MAX_KEYS` keys.
    """
    listed = published.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError("no JWK set of a usual size")
    found = (_parse(each) for each in listed if isinstance(each, dict))
    return tuple(key for key in found if key is not None)


def _parse(described: dict[str, Any]) -> NamedKey | None:
    family, operations = described.get("kty"), described.get("key_ops", ["verify"])
    kid, algorithm = described.get("kid", ""), described.get("alg", "")
    if not (isinstance(family, str) and isinstance(kid, str) and isinstance(algorithm, str)):
        return None
    for_signatures = (
        described.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
    if family not in _PUBLIC or not for_signatures or (family == "OKP" and described.get("crv") != "Ed25519"):
        return None
    try:
        key = jwk.import_key({name: described[name] for name in ("kty", *_PUBLIC[family])})
        public = key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, AssertionError, OverflowError):
        return None
    weak = isinstance(public, RSAPublicKey) and public.key_size < MIN_RSA_BITS
    return None if weak or isinstance(key, jwk.OctKey) else NamedKey(kid, family, algorithm, key)


def choose(keys: tuple[NamedKey, ...], kid: str | None, algorithm: str) -> NamedKey | None:
    """Return the key that a token names, or the only one that fits where it names none (OIDC Core 10.1)."""
    fitting = [
        key
        for key in keys
        if key.family == _FAMILY.get(algorithm[:2])
        and key.algorithm in ("", algorithm)
        and (kid is None or key.kid == kid)
    ]
    return fitting[0] if len(fitting) == 1 else None


class KeySource:
    """A provider's keys. Safe for threads; no lock is held while fetching.

    Args:
        address: returns the address of the JWK set.
        fetcher: speaks to the provider.
        elapsed: seconds that never go back.
    """

    def __init__(
        self, address: Callable[[], str], fetcher: Fetcher, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._fetcher = fetcher
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._kept: tuple[float, tuple[NamedKey, ...]] | None = None
        self._asked_at: float | None = None

    def find(self, kid: str | None, algorithm: str) -> NamedKey:
        """Return the key of a token.

        1. Keys fetched less than ten minutes ago are used; older ones are fetched again, so that a key which the
           provider took away is refused soon.
        2. When none fits, the keys are fetched once more (rotation), at most every ten seconds: forged names must
           not make us flood the provider.

        Args:
            kid: name in the token's header, or None.
            algorithm: of the token's header, already found in the allow-list.

        Returns:
            The one key that fits.

        Raises:
            TokenRefused: TOKEN_KEY.
            ProviderUnavailable: the keys cannot be fetched.
        """
        # 1
        with self._lock:
            kept = self._kept
        if kept is None or self._elapsed() - kept[0] >= KEPT_S:
            keys = self._fetch()
            found = choose(keys, kid, algorithm)
        else:
            found = choose(kept[1], kid, algorithm)
            # 2
            if found is None and self._may_refetch():
                found = choose(self._fetch(), kid, algorithm)
        if found is None:
            raise TokenRefused("TOKEN_KEY", "no key of the provider has this name and fits the algorithm")
        return found

    def _may_refetch(self) -> bool:
        now = self._elapsed()
        with self._lock:
            if self._asked_at is not None and now - self._asked_at < REFETCH_S:
                return False
            self._asked_at = now
            return True

    def _fetch(self) -> tuple[NamedKey, ...]:
        now = self._elapsed()
        answer = self._fetcher.get(self._address(), {"Accept": "application/jwk-set+json, application/json"})
        if answer.status != 200:
            raise ProviderUnavailable(f"its keys have status {answer.status}")
        try:
            keys = parse_keys(answer.json())
        except ValueError as error:
            raise ProviderUnavailable("its keys are no JWK set") from error
        with self._lock:
            self._kept = (now, keys)
        return keys
