"""What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414), checked and kept for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from identity.errors import ProviderMisconfigured, ProviderUnavailable
from identity.fetching import Answer, Fetcher, check_address

KEPT_S = 3600.0
FAILURE_KEPT_S = 3.0
_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Addresses and abilities of a provider.

    Attributes:
        issuer: its issuer identifier, the one configured.
        authorization_endpoint: where browsers are sent.
        token_endpoint: where codes are redeemed.
        jwks_uri: its public keys.
        userinfo_endpoint: further claims; empty: none.
        end_session_endpoint: logout page; empty: none.
        answers_with_issuer: it says that its answers carry `iss` (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    answers_with_issuer: bool = False


def parse_metadata(issuer: str, described: Mapping[str, Any]) -> Metadata:
    """Check a provider's description of itself.

    1. `issuer` is exactly the one configured (Discovery 4.3): else one provider could speak for another.
    2. Every address is https, or http on loopback.
    3. Code flow and S256 are not denied: where the lists stand, they name them.

    Args:
        issuer: the configured one.
        described: the JSON object.

    Returns:
        What we use of it.

    Raises:
        ProviderMisconfigured: IDENTITY_DISCOVERY.
    """
    # 1
    if described.get("issuer") != issuer:
        raise _refused("it names another issuer")
    # 2
    addresses = {
        name: _address(described, name, needed=needed)
        for name, needed in (
            ("authorization_endpoint", True),
            ("token_endpoint", True),
            ("jwks_uri", True),
            ("userinfo_endpoint", False),
            ("end_session_endpoint", False),
        )
    }
    # 3
    for name, wanted in (("response_types_supported", "code"), ("code_challenge_methods_supported", "S256")):
        listed = described.get(name)
        if listed is not None and (not isinstance(listed, list) or wanted not in listed):
            raise _refused(f"{name} lacks {wanted}")
    return Metadata(
        issuer=issuer,
        answers_with_issuer=described.get("authorization_response_iss_parameter_supported") is True,
        **addresses,
    )


class Discovery:
    """Fetches and keeps a provider's description. Safe for threads; no lock is held while fetching.

    A failure is remembered for a few seconds, so that a provider that is down costs one time limit and not one
    for each person who tries.

    Args:
        issuer: the configured issuer.
        fetcher: speaks to it.
        elapsed: seconds that never go back.
    """

    def __init__(self, issuer: str, fetcher: Fetcher, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._fetcher = fetcher
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._known: tuple[float, Metadata] | None = None
        self._failed: tuple[float, str] | None = None

    def metadata(self) -> Metadata:
        """Return the description.

        Raises:
            ProviderUnavailable: no answer in time, or none a few seconds ago.
            ProviderMisconfigured: IDENTITY_DISCOVERY.
        """
        now = self._elapsed()
        with self._lock:
            if self._known is not None and now - self._known[0] < KEPT_S:
                return self._known[1]
            if self._failed is not None and now - self._failed[0] < FAILURE_KEPT_S:
                raise ProviderUnavailable(self._failed[1])
        try:
            answer = self._ask()
        except ProviderUnavailable as error:
            with self._lock:
                self._failed = (self._elapsed(), str(error))
            raise
        try:
            described = answer.json()
        except ValueError as error:
            raise _refused("no JSON object") from error
        found = parse_metadata(self._issuer, described)
        with self._lock:
            self._known, self._failed = (now, found), None
        return found

    def _ask(self) -> Answer:
        answer = self._fetcher.get(self._issuer.rstrip("/") + _PATH)
        if answer.status != 200:
            raise ProviderUnavailable(f"its description has status {answer.status}")
        return answer


def _address(described: Mapping[str, Any], name: str, *, needed: bool) -> str:
    value = described.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise _refused(f"{name} is missing")
    try:
        check_address(value)
    except ValueError as error:
        raise _refused(f"{name} is no https address") from error
    return value


def _refused(what: str) -> ProviderMisconfigured:
    return ProviderMisconfigured("IDENTITY_DISCOVERY", f"the provider's description is refused: {what}")
