"""An OpenID Connect relying party: authorization code flow with PKCE (OIDC Core 3.1, RFC 7636, RFC 9700)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from identity.base import Clock, LoginStart, LogoutNotice, ProvenIdentity, ProviderConfig, reaches
from identity.claims import acr_to_ask, assurance_of, attributes_of, email_of, name_of
from identity.client_auth import ClientAuthentication
from identity.discovery import Discovery, Metadata
from identity.errors import LoginRefused, ProviderMisconfigured, ProviderUnavailable
from identity.fetching import Fetcher, HttpFetcher, finite
from identity.keys import KeySource
from identity.tokens import Claims, Trust, check_id_token, check_logout_token, usual_subject
from identity.userinfo import fetch_userinfo

MAX_PARAMETER = 4096
LONGEST_AGO_S = 12 * 3600
"""Of a usual login: somebody who proved who they are longer ago, at the provider, is asked again."""
# Error codes of RFC 6749 4.1.2.1, OIDC Core 3.1.2.6 and OIDC Unmet Authentication Requirements that mean more
# than "a malformed answer".
_DENIED = frozenset(
    {
        "access_denied",
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)
_DOWN = frozenset({"server_error", "temporarily_unavailable"})
_OUR_FAULT = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})


class OpenIdProvider:
    """One provider, asked by OpenID Connect. Safe for threads; keeps nothing about logins.

    Args:
        config: the provider.
        clock: the time that tokens are judged at.
        fetcher: speaks to the provider; by default over HTTP with the configured limits.
        elapsed: seconds that never go back, for what is kept.

    Raises:
        ProviderMisconfigured: IDENTITY_MISCONFIGURED, no secret, or a key or a file of anchors that cannot be used.
    """

    def __init__(
        self,
        config: ProviderConfig,
        clock: Clock,
        fetcher: Fetcher | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._fetcher = fetcher if fetcher is not None else HttpFetcher(config.timeout_s, config.tls_ca)
        self._authentication = ClientAuthentication(config)
        self._discovery = Discovery(config.issuer, self._fetcher, elapsed)
        keys = KeySource(lambda: self._discovery.metadata().jwks_uri, self._fetcher, elapsed)
        self._trust = Trust(config.issuer, config.client_id, config.algorithms, keys, config.leeway_s)

    @property
    def config(self) -> ProviderConfig:
        """What was configured."""
        return self._config

    def begin(
        self, redirect_uri: str, *, assurance: str | None = None, fresh: bool = False, language: str = "fr"
    ) -> LoginStart:
        """Begin a login.

        Args:
            redirect_uri: our address that the answer comes to, absolute.
            assurance: least level demanded, or None.
            fresh: ask the person again even if they are logged in there (step-up).
            language: `fr` or `en`.

        Returns:
            Where to send the browser, and what to keep until the answer comes.

        Raises:
            LoginRefused: IDENTITY_ASSURANCE, the provider cannot prove that level.
            ProviderUnavailable: its description cannot be fetched.
            ProviderMisconfigured: IDENTITY_DISCOVERY.
        """
        acr = acr_to_ask(self._config, assurance)
        if acr is None:
            raise LoginRefused("IDENTITY_ASSURANCE", "the provider proves no such level")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        parameters = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self._config.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
            "ui_locales": "en fr" if language == "en" else "fr en",
        }
        if acr:
            parameters["acr_values"] = acr
        # max_age obliges the provider to say when the person was asked (OIDC Core 3.1.2.1): an old session there must
        # not pass for a fresh proof here. prompt is what more of them obey.
        parameters["max_age"] = "0" if fresh else str(LONGEST_AGO_S)
        if fresh:
            parameters["prompt"] = "login"
        return LoginStart(
            url=with_query(self._discovery.metadata().authorization_endpoint, parameters),
            state=state,
            nonce=nonce,
            verifier=verifier,
            provider=self._config.name,
            assurance=assurance,
            fresh=fresh,
            begun_at=self._clock.now(),
        )

    def finish(self, start: LoginStart, answer: Mapping[str, str], redirect_uri: str) -> ProvenIdentity:
        """Turn the provider's answer into a proven identity; `start` must not be used again after.

        1. The answer belongs to this login, at this provider, begun not too long ago: `state`, in constant time.
        2. It is this provider's: `iss` (RFC 9207) is equal wherever it stands, and stands where it is promised.
        3. The provider did not refuse.
        4. The code is redeemed, with the PKCE secret, at this provider's token endpoint.
        5. The ID token is judged (`check_id_token`).
        6. The level that it proves is at least the one demanded.
        7. Userinfo, where it is asked, speaks of the same `sub` (OIDC Core 5.3.2); the ID token's claims win.

        Args:
            start: what `begin` returned.
            answer: the parameters that came to our address, each once.
            redirect_uri: the same address as at `begin`.

        Returns:
            Who it is.

        Raises:
            LoginRefused: IDENTITY_STATE (1), IDENTITY_ISSUER (2), IDENTITY_DENIED, IDENTITY_ANSWER (3, 4),
                IDENTITY_CODE (4), IDENTITY_NOT_FRESH (5), IDENTITY_ASSURANCE (3, 6), IDENTITY_SUBJECT (7).
            TokenRefused: the codes of `check_id_token` (5).
            ProviderUnavailable: the provider does not answer in time, or says that it cannot.
            ProviderMisconfigured: IDENTITY_DISCOVERY; IDENTITY_MISCONFIGURED, it does not know this service (4).
        """
        # 1
        age = (self._clock.now() - start.begun_at).total_seconds()
        ours = start.provider == self._config.name and age <= self._config.login_s and bool(start.state)
        if not ours or not hmac.compare_digest(
            answer.get("state", "").encode(errors="replace"), start.state.encode()
        ):
            raise LoginRefused("IDENTITY_STATE", "the answer belongs to no login that is under way here")
        # 2
        metadata = self._discovery.metadata()
        promised = metadata.answers_with_issuer or self._config.demand_issuer_answer
        if answer.get("iss", None if promised else metadata.issuer) != metadata.issuer:
            raise LoginRefused("IDENTITY_ISSUER", "the answer does not come from the provider that was asked")
        # 3
        code = _code_of(answer)
        # 4
        id_token, access_token = self._redeem(metadata, start, code, redirect_uri)
        # 5
        claims = check_id_token(id_token, self._trust, start, access_token, self._clock.now())
        # 6
        assurance = assurance_of(claims.values, self._config)
        if not reaches(assurance, start.assurance):
            raise LoginRefused("IDENTITY_ASSURANCE", "the level that was proven is below the one demanded")
        # 7
        known: Mapping[str, Any] = claims.values
        if self._config.userinfo:
            known = {
                **fetch_userinfo(self._fetcher, metadata, self._trust, access_token, claims.text("sub")),
                **known,
            }
        return self._identity(claims, known, assurance, id_token)

    def logout_url(self, id_token: str, back: str) -> str | None:
        """Return where to send the browser to end the session there (RP-Initiated Logout 1.0).

        Args:
            id_token: the one that the login gave.
            back: our absolute address to come back to.

        Returns:
            The address, or None where the provider has no such page or cannot be asked: logging out here must
            not depend on it.
        """
        try:
            endpoint = self._discovery.metadata().end_session_endpoint
        except (ProviderUnavailable, ProviderMisconfigured):
            return None
        if not endpoint:
            return None
        parameters = {
            "id_token_hint": id_token,
            "client_id": self._config.client_id,
            "post_logout_redirect_uri": back,
            "state": secrets.token_urlsafe(16),
        }
        return with_query(endpoint, parameters)

    def check_logout_token(self, token: str) -> LogoutNotice:
        """Verify a back-channel logout token; the caller remembers `jti`. Raises TokenRefused, ProviderUnavailable."""
        return check_logout_token(token, self._trust, self._clock.now())

    def check_front_channel(self, parameters: Mapping[str, str]) -> LogoutNotice:
        """Check the `iss` and `sid` of a front-channel logout (Front-Channel Logout 1.0).

        Nobody signs it: a page anywhere can make a browser send it, so both are demanded, and the caller ends only
        the session of that very browser, if it has this `sid`.

        Raises:
            LoginRefused: IDENTITY_ISSUER, IDENTITY_ANSWER.
        """
        if parameters.get("iss") != self._config.issuer:
            raise LoginRefused("IDENTITY_ISSUER", "the logout does not come from this provider")
        sid = parameters.get("sid", "")
        if not usual_subject(sid):
            raise LoginRefused("IDENTITY_ANSWER", "the logout names no session")
        return LogoutNotice(issuer=self._config.issuer, subject="", sid=sid, jti="")

    def _redeem(self, metadata: Metadata, start: LoginStart, code: str, redirect_uri: str) -> tuple[str, str]:
        form, headers = self._authentication.add(metadata.token_endpoint, self._clock.now())
        form |= {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": start.verifier,
        }
        answer = self._fetcher.post(metadata.token_endpoint, form, headers)
        if answer.status == 429 or answer.status >= 500:
            raise ProviderUnavailable(f"its token endpoint has status {answer.status}")
        try:
            members = answer.json()
        except ValueError as error:
            raise LoginRefused("IDENTITY_ANSWER", "the token endpoint sent no JSON object") from error
        if answer.status != 200:
            if answer.status == 401 or members.get("error") in _OUR_FAULT:
                raise ProviderMisconfigured(
                    "IDENTITY_MISCONFIGURED", "the provider does not know this service"
                )
            raise LoginRefused("IDENTITY_CODE", "the provider refused the code")
        id_token, access_token, kind = (
            members.get(name) for name in ("id_token", "access_token", "token_type")
        )
        if not (isinstance(id_token, str) and isinstance(access_token, str) and isinstance(kind, str)):
            raise LoginRefused("IDENTITY_ANSWER", "the token endpoint left a token out")
        if kind.lower() != "bearer" or not access_token.isascii() or not access_token.isprintable():
            raise LoginRefused("IDENTITY_ANSWER", "the token endpoint gave an access token of another kind")
        return id_token, access_token

    def _identity(
        self, claims: Claims, known: Mapping[str, Any], assurance: str | None, id_token: str
    ) -> ProvenIdentity:
        # When the token was issued says nothing of when the person was asked: unsaid, it counts as long ago.
        proven_at = finite(known.get("auth_time")) or 0.0
        sid = claims.values.get("sid")
        return ProvenIdentity(
            provider=self._config.name,
            issuer=self._config.issuer,
            subject=claims.text("sub"),
            name=name_of(known, self._config.claims),
            email=email_of(known, self._config.claims),
            assurance=assurance,
            authenticated_at=datetime.fromtimestamp(max(0.0, proven_at), UTC),
            sid=sid if isinstance(sid, str) and usual_subject(sid) else "",
            id_token=id_token,
            attributes=attributes_of(known, self._config.claims),
        )


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a PKCE secret (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def with_query(address: str, parameters: Mapping[str, str]) -> str:
    """Return an address with parameters added to those that it has."""
    parts = urlsplit(address)
    own = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*own, *parameters.items()])))


def _code_of(answer: Mapping[str, str]) -> str:
    """Return the code of an answer. Raises LoginRefused, ProviderUnavailable."""
    error = answer.get("error")
    if error is not None:
        if error in _DENIED:
            raise LoginRefused("IDENTITY_DENIED", "the person or the provider refused")
        if error == "unmet_authentication_requirements":
            raise LoginRefused("IDENTITY_ASSURANCE", "the provider could not prove the level demanded")
        if error in _DOWN:
            raise ProviderUnavailable("the provider says that it cannot answer")
        raise LoginRefused("IDENTITY_ANSWER", "the provider refused the request")
    code = answer.get("code", "")
    if not code or len(code) > MAX_PARAMETER or not code.isascii() or not code.isprintable():
        raise LoginRefused("IDENTITY_ANSWER", "the answer has no usual code")
    return code
