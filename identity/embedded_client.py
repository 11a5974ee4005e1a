"""The relying party of the development provider: the usual one, which speaks to it within the process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from identity.base import (
    ASSURANCES,
    ClaimMap,
    Clock,
    LoginStart,
    LogoutNotice,
    ProvenIdentity,
    ProviderConfig,
)
from identity.embedded import CLIENT_ID, EmbeddedProvider, issuer_at, origin_of
from identity.errors import LoginRefused, TokenRefused
from identity.fetching import Answer
from identity.oidc import OpenIdProvider

NAME = "developpement"
ISSUER = "http://localhost/dev-identity"
"""The issuer by which accounts know the made-up people, whatever port the server listens on today."""

ATTRIBUTES = ("role", "administration", "service", "agent", "holder")


class EmbeddedIdentity:
    """Logs made-up people in. Safe for threads; keeps nothing about logins.

    The provider's issuer has the address at which the server is reached, which only the login itself knows.

    Args:
        provider: the provider's side.
        clock: the time that tokens are judged at.
    """

    def __init__(self, provider: EmbeddedProvider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        roles = {persona.attributes["role"] for persona in provider.personas if "role" in persona.attributes}
        self._config = ProviderConfig(
            name=NAME,
            issuer=ISSUER,
            client_id=CLIENT_ID,
            client_secret=provider.client_secret,
            scopes=("openid",),
            label_fr="Identité de développement (personnes fictives)",
            label_en="Development identity (made-up people)",
            claims=ClaimMap(
                attributes=MappingProxyType({name: name for name in ATTRIBUTES}),
                values=MappingProxyType({"role": MappingProxyType({role: role for role in sorted(roles)})}),
            ),
            acr=MappingProxyType({level: level for level in ASSURANCES}),
            algorithms=("ES256",),
            demand_issuer_answer=True,
        )

    @property
    def config(self) -> ProviderConfig:
        """What a provider's file would say."""
        return self._config

    def begin(
        self, redirect_uri: str, *, assurance: str | None = None, fresh: bool = False, language: str = "fr"
    ) -> LoginStart:
        """Begin a login. Raises LoginRefused(IDENTITY_ANSWER) unless our address is on loopback."""
        client = self._client(origin_of(redirect_uri))
        return client.begin(redirect_uri, assurance=assurance, fresh=fresh, language=language)

    def finish(self, start: LoginStart, answer: Mapping[str, str], redirect_uri: str) -> ProvenIdentity:
        """Turn an answer into an identity. Raises IdentityError as `OpenIdProvider.finish` does."""
        proven = self._client(origin_of(redirect_uri)).finish(start, answer, redirect_uri)
        return replace(proven, issuer=ISSUER)

    def logout_url(self, id_token: str, back: str) -> str | None:
        """Return the address of the provider's logout. Raises LoginRefused unless `back` is on loopback."""
        return self._client(origin_of(back)).logout_url(id_token, back)

    def check_logout_token(self, token: str) -> LogoutNotice:
        """Refuse: this provider keeps no sessions. Raises TokenRefused(TOKEN_EVENTS)."""
        raise TokenRefused("TOKEN_EVENTS", "the development provider sends no logout tokens")

    def check_front_channel(self, parameters: Mapping[str, str]) -> LogoutNotice:
        """Refuse: this provider keeps no sessions. Raises LoginRefused(IDENTITY_ANSWER)."""
        raise LoginRefused("IDENTITY_ANSWER", "the development provider sends no logouts")

    def _client(self, origin: str) -> OpenIdProvider:
        config = replace(self._config, issuer=issuer_at(origin))
        return OpenIdProvider(config, self._clock, _WithinProcess(self._provider, origin))


@dataclass(frozen=True, slots=True)
class _WithinProcess:
    """Speaks to the provider without a connection: a server that waits for itself may wait for ever."""

    provider: EmbeddedProvider
    origin: str

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        del headers
        known = self.provider.metadata(self.origin)
        is_keys = url == known["jwks_uri"]
        return _json(200, self.provider.jwks() if is_keys else known)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        del url
        return _json(*self.provider.token(self.origin, (headers or {}).get("Authorization", ""), form))


def _json(status: int, members: Mapping[str, object]) -> Answer:
    return Answer(status, "application/json", json.dumps(members).encode())
