"""Ports of the identity package (OpenID Connect Core 1.0; assurance levels of the eIDAS regulation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

ASSURANCES = ("low", "substantial", "high")
"""Assurance levels from weakest to strongest (Regulation (EU) 910/2014, article 8)."""

Assurance = Literal["low", "substantial", "high"]
Authentication = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]
LOGIN_S = 600.0
"""Seconds for which a login under way is kept: none takes longer."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def reaches(proven: str | None, demanded: str | None) -> bool:
    """Tell whether a proven assurance level is at least the demanded one; an unknown level proves nothing."""
    if demanded is None:
        return True
    if demanded not in ASSURANCES or proven not in ASSURANCES:
        return False
    return ASSURANCES.index(proven) >= ASSURANCES.index(demanded)


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> datetime:
        """Return the current time, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimMap:
    """Which claims of a provider say what.

    Attributes:
        name: claims whose values, joined by a space, are the name for pages.
        email: claim of the e-mail address; empty: none is taken.
        email_trusted: take an address that the provider does not say to be verified.
        attributes: our attribute (role, administration, service, holder…) to the provider's claim.
        fixed: attributes that everyone who comes from this provider has; they win over claims.
        values: for an attribute, the provider's values and what they mean here; with an entry for an
            attribute, other values of it are dropped.
    """

    name: tuple[str, ...] = ("name",)
    email: str = "email"
    email_trusted: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One OpenID Connect provider and how it is asked.

    Attributes:
        name: short name in addresses and in the database (`[a-z0-9-]`, at most 32).
        issuer: issuer identifier; https, or http on loopback.
        client_id: what the provider knows this service by.
        authentication: how the token endpoint is told who asks (OIDC Core 9).
        client_secret: shared secret, for client_secret_basic and client_secret_post.
        client_key: file of the PEM private key, for private_key_jwt.
        client_audience: whom the assertion of private_key_jwt is for: the issuer, as newer rules want it lest another
            provider uses it, or the address of the token endpoint, as OIDC Core 9 says.
        client_key_id: `kid` that the provider knows this key by; empty: none is sent.
        scopes: asked for; `openid` is always among them.
        label_fr: French label of the login button.
        label_en: English label of the login button.
        claims: which claims say what.
        acr: the provider's acr value to `low`, `substantial` or `high`; others prove no level.
        acr_default: acr value asked for where no level is demanded; empty: none.
        default_assurance: level where the provider sends no acr; empty: none is proven.
        algorithms: signature algorithms accepted from it.
        userinfo: whether the userinfo endpoint is asked for claims that the ID token lacks.
        demand_issuer_answer: refuse answers without `iss` (RFC 9207), whatever the provider's description says.
        timeout_s: seconds that each request may take in all.
        leeway_s: seconds that the provider's clock may differ.
        login_s: seconds that a login may take from its beginning to its answer.
        tls_ca: PEM file of TLS anchors; None for those of this computer.
    """

    name: str
    issuer: str
    client_id: str
    authentication: Authentication = "client_secret_basic"
    client_secret: str = field(default="", repr=False)
    client_key: Path | None = None
    client_key_id: str = ""
    client_audience: Literal["issuer", "token_endpoint"] = "issuer"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    label_fr: str = ""
    label_en: str = ""
    claims: ClaimMap = field(default_factory=ClaimMap)
    acr: Mapping[str, str] = field(default_factory=dict)
    acr_default: str = ""
    default_assurance: str = ""
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")
    userinfo: bool = False
    demand_issuer_answer: bool = False
    timeout_s: float = 5.0
    leeway_s: float = 30.0
    login_s: float = LOGIN_S
    tls_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LoginStart:
    """A login begun; kept by the server until its answer comes, all of it, and used once.

    Attributes:
        url: where the person's browser is sent.
        state: opaque value that the answer must carry.
        nonce: opaque value that the ID token must carry.
        verifier: PKCE secret (RFC 7636).
        provider: name of the provider asked.
        assurance: least level demanded, or None.
        fresh: whether the person had to be asked again.
        begun_at: when, UTC.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    provider: str = ""
    assurance: str | None = None
    fresh: bool = False
    begun_at: datetime = _LONG_AGO

    def as_dict(self) -> dict[str, str | bool | None]:
        """Return what is kept, as JSON values; `from_dict` takes it back."""
        return {
            "url": self.url,
            "state": self.state,
            "nonce": self.nonce,
            "verifier": self.verifier,
            "provider": self.provider,
            "assurance": self.assurance,
            "fresh": self.fresh,
            "begun_at": self.begun_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, str | bool | None]) -> LoginStart:
        """Return what `as_dict` wrote. Raises KeyError, ValueError on anything else."""
        assurance = kept["assurance"]
        return cls(
            url=str(kept["url"]),
            state=str(kept["state"]),
            nonce=str(kept["nonce"]),
            verifier=str(kept["verifier"]),
            provider=str(kept["provider"]),
            assurance=None if assurance is None else str(assurance),
            fresh=kept["fresh"] is True,
            begun_at=datetime.fromisoformat(str(kept["begun_at"])),
        )


@dataclass(frozen=True, slots=True)
class ProvenIdentity:
    """Who came back from a provider.

    Attributes:
        provider: name of the provider.
        issuer: its issuer identifier; with `subject` the only stable key of a person there.
        subject: `sub`, personal data.
        name: name for pages, personal data; without control characters.
        email: e-mail address, personal data; empty unless the provider says that it is verified.
        assurance: `low`, `substantial`, `high`, or None where no level is proven.
        authenticated_at: when the person proved who they are, UTC; 1970 where the provider does not say.
        sid: the provider's session, for its logout messages; empty when it names none.
        id_token: the ID token, a hint for the provider's logout; personal data.
        attributes: mapped claims such as role, administration, service, holder.
    """

    provider: str
    issuer: str
    subject: str = field(repr=False)
    name: str = field(repr=False)
    email: str = field(repr=False)
    assurance: str | None
    authenticated_at: datetime
    sid: str = field(repr=False)
    id_token: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """A provider says that a person, or one session there, has ended.

    Attributes:
        issuer: the provider's issuer identifier.
        subject: `sub`, or empty: then only `sid` says which session.
        sid: the provider's session, or empty: then every session of `subject` ends.
        jti: identifier of the message; the caller refuses one that it has seen. Empty for front-channel ones.
        expires_at: when `jti` need not be remembered any more, UTC; None without one.
    """

    issuer: str
    subject: str
    sid: str
    jti: str
    expires_at: datetime | None = None


class IdentityProvider(Protocol):
    """A provider that proves who somebody is. Every method raises IdentityError with a code."""

    @property
    def config(self) -> ProviderConfig:
        """What was configured."""
        ...

    def begin(
        self, redirect_uri: str, *, assurance: str | None = None, fresh: bool = False, language: str = "fr"
    ) -> LoginStart:
        """Begin a login.

        Args:
            redirect_uri: our address that the answer comes to, absolute.
            assurance: least level demanded, or None.
            fresh: ask the person again even if they are logged in there (step-up).
            language: `fr` or `en`.
        """
        ...

    def finish(self, start: LoginStart, answer: Mapping[str, str], redirect_uri: str) -> ProvenIdentity:
        """Turn the provider's answer into a proven identity; `start` must not be used again after.

        Args:
            start: what `begin` returned.
            answer: the parameters that came to our address, each once.
            redirect_uri: the same address as at `begin`.
        """
        ...

    def logout_url(self, id_token: str, back: str) -> str | None:
        """Return where to send the browser to end the session there, or None where the provider has no such page.

        Args:
            id_token: the one that the login gave.
            back: our absolute address to come back to.
        """
        ...

    def check_logout_token(self, token: str) -> LogoutNotice:
        """Verify a back-channel logout token; the caller remembers `jti`."""
        ...

    def check_front_channel(self, parameters: Mapping[str, str]) -> LogoutNotice:
        """Check the `iss` and `sid` of a front-channel logout; it ends nothing but the session it names."""
        ...
