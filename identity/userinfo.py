"""Claims that the ID token lacks, from the userinfo endpoint (OIDC Core 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from identity.discovery import Metadata
from identity.errors import LoginRefused, ProviderUnavailable, TokenRefused
from identity.fetching import Fetcher
from identity.tokens import Trust, signed_claims

# The claims that say how and when somebody logged in stand in the ID token alone.
_ID_TOKEN_ONLY = frozenset({"acr", "amr", "auth_time", "nonce", "at_hash", "azp", "sid", "exp", "iat", "nbf"})


def fetch_userinfo(
    fetcher: Fetcher, metadata: Metadata, trust: Trust, access_token: str, subject: str
) -> Mapping[str, Any]:
    """Return the claims of the userinfo endpoint.

    1. It answers 200 with JSON, or with a signed token of the provider (media type application/jwt).
    2. In a signed one, `iss` and `aud` are as in the ID token, where they stand.
    3. `sub` is that of the ID token: else somebody else's claims could be put in.

    Args:
        fetcher: speaks to the provider.
        metadata: its addresses.
        trust: whom to believe.
        access_token: of the same login.
        subject: `sub` of the ID token.

    Returns:
        The claims, without those that only an ID token may make.

    Raises:
        LoginRefused: IDENTITY_ANSWER (1), IDENTITY_SUBJECT (3).
        TokenRefused: the codes of `signed_claims` (1), TOKEN_ISSUER, TOKEN_AUDIENCE (2).
        ProviderUnavailable: no answer in time, or none with status 200.
    """
    # 1
    if not metadata.userinfo_endpoint:
        raise LoginRefused("IDENTITY_ANSWER", "the provider has no userinfo endpoint")
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json, application/jwt"}
    answer = fetcher.get(metadata.userinfo_endpoint, headers)
    if answer.status != 200:
        raise ProviderUnavailable(f"its userinfo endpoint has status {answer.status}")
    try:
        if answer.media_type == "application/jwt":
            found = signed_claims(answer.body.decode("ascii").strip(), trust).values
            # 2
            if found.get("iss", trust.issuer) != trust.issuer:
                raise TokenRefused("TOKEN_ISSUER", "userinfo of another issuer")
            if found.get("aud", trust.client_id) not in (trust.client_id, [trust.client_id]):
                raise TokenRefused("TOKEN_AUDIENCE", "userinfo for another client")
        else:
            found = answer.json()
    except ValueError as error:
        raise LoginRefused("IDENTITY_ANSWER", "the userinfo endpoint sent no JSON object") from error
    # 3
    if found.get("sub") != subject:
        raise LoginRefused("IDENTITY_SUBJECT", "userinfo speaks of somebody else")
    return {name: value for name, value in found.items() if name not in _ID_TOKEN_ONLY}
