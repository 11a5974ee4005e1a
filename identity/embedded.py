"""The development provider: made-up people to choose from, by the same protocol as real ones, on loopback only.

It proves nothing: whoever reaches it may be anybody. Settings refuse it in production.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from identity.base import ASSURANCES, Clock, reaches
from identity.errors import LoginRefused, ProviderMisconfigured
from identity.fetching import check_address
from identity.oidc import challenge_of, with_query
from identity.tokens import half_hash
from plumbing.addresses import is_loopback

PATH = "/dev-identity"
CLIENT_ID = "probans"
CODE_S = 60
TOKEN_S = 300
_NONCE = 12
_LEVELS = frozenset(ASSURANCES)


@dataclass(frozen=True, slots=True)
class DevPersona:
    """Somebody made up.

    Attributes:
        subject: `sub`.
        name: for pages.
        label: name and quality, to choose by.
        attributes: further claims, such as role and administration.
    """

    subject: str
    name: str
    label: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that was checked.

    Attributes:
        redirect_uri: where the answer goes, on this server.
        state: goes back as it came.
        nonce: goes into the ID token.
        challenge: S256 code challenge.
        assurance: level asked for; `substantial` where none was.
    """

    redirect_uri: str
    state: str
    nonce: str
    challenge: str
    assurance: str


def draw_key() -> bytes:
    """Return a new signature key as PEM (P-256)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


class EmbeddedProvider:
    """The provider's side. Safe for threads and processes: codes are sealed by the key, used ones are files.

    Every method takes the origin by which it is reached (`http://127.0.0.1:8000`), since the issuer has it.

    Args:
        key: PEM private key of the data folder.
        used: folder of used codes; made where missing.
        personas: whom one may choose.
        clock: the time in tokens.

    Raises:
        ProviderMisconfigured: IDENTITY_MISCONFIGURED, the key cannot be read.
    """

    def __init__(self, key: bytes, used: Path, personas: Sequence[DevPersona], clock: Clock) -> None:
        try:
            self._key = jwk.import_key(key, "EC")
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderMisconfigured(
                "IDENTITY_MISCONFIGURED", "the development provider's key cannot be read"
            ) from error
        self._kid = self._key.thumbprint()
        self._codes = AESGCM(hashlib.sha256(b"probans/dev-identity/code/v1\n" + key).digest())
        self.client_secret = hashlib.sha256(b"probans/dev-identity/client/v1\n" + key).hexdigest()
        self._used = used
        self._personas = {persona.subject: persona for persona in personas}
        self._clock = clock

    @property
    def personas(self) -> Sequence[DevPersona]:
        """Whom one may choose."""
        return tuple(self._personas.values())

    def metadata(self, origin: str) -> dict[str, Any]:
        """Return the description of itself (OpenID Connect Discovery 1.0). Raises LoginRefused(IDENTITY_ANSWER)."""
        issuer = issuer_at(origin)
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "end_session_endpoint": f"{issuer}/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": list(ASSURANCES),
            "scopes_supported": ["openid"],
            "authorization_response_iss_parameter_supported": True,
        }

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK set."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "use": "sig", "alg": "ES256"}]}

    def check(self, origin: str, parameters: Mapping[str, str]) -> Asked:
        """Check an authorization request; the answer goes to this very server or nowhere.

        Raises:
            LoginRefused: IDENTITY_ANSWER, a parameter is missing or not what this service sends.
        """
        issuer_at(origin)
        redirect_uri = parameters.get("redirect_uri", "")
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        if any(parameters.get(name) != value for name, value in wanted.items()):
            raise LoginRefused("IDENTITY_ANSWER", "the request is not one of this service")
        if not _at_origin(redirect_uri, origin) or "openid" not in parameters.get("scope", "").split(" "):
            raise LoginRefused("IDENTITY_ANSWER", "the request is not one of this service")
        state, nonce, challenge = (parameters.get(name, "") for name in ("state", "nonce", "code_challenge"))
        if not all(0 < len(value) <= 200 for value in (state, nonce, challenge)):
            raise LoginRefused("IDENTITY_ANSWER", "the request lacks state, nonce or code_challenge")
        levels = [value for value in parameters.get("acr_values", "").split(" ") if value in _LEVELS]
        assurance = levels[0] if levels and not reaches("substantial", levels[0]) else "substantial"
        return Asked(redirect_uri, state, nonce, challenge, assurance)

    def answer(self, origin: str, asked: Asked, subject: str, assurance: str) -> str:
        """Return where to send the browser of somebody who chose a persona and a level, or nobody.

        Args:
            origin: by which the provider is reached.
            asked: the checked request.
            subject: the chosen persona; another text: the person leaves.
            assurance: the chosen level.

        Raises:
            LoginRefused: IDENTITY_ANSWER, there is no such level.
        """
        common = {"state": asked.state, "iss": issuer_at(origin)}
        if subject not in self._personas:
            return with_query(asked.redirect_uri, {"error": "access_denied", **common})
        if assurance not in _LEVELS:
            raise LoginRefused("IDENTITY_ANSWER", "no such level")
        moment = int(self._clock.now().timestamp())
        code = {
            "iss": issuer_at(origin),
            "sub": subject,
            "acr": assurance,
            "redirect_uri": asked.redirect_uri,
            "nonce": asked.nonce,
            "challenge": asked.challenge,
            "at": moment,
        }
        return with_query(asked.redirect_uri, {"code": self._seal(code), **common})

    def token(self, origin: str, authorization: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer the token endpoint (RFC 6749, 4.1.3).

        Args:
            origin: by which the provider is reached.
            authorization: the Authorization header.
            form: the members.

        Returns:
            Status and JSON.
        """
        if not self._knows(authorization):
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != "authorization_code":
            return 400, {"error": "unsupported_grant_type"}
        code = self._open(form.get("code", ""))
        moment = int(self._clock.now().timestamp())
        if (
            code is None
            or code["iss"] != issuer_at(origin)
            or not 0 <= moment - code["at"] <= CODE_S
            or code["redirect_uri"] != form.get("redirect_uri")
            or code["challenge"] != challenge_of(form.get("code_verifier", ""))
            or not self._first_use(form["code"])
        ):
            return 400, {"error": "invalid_grant"}
        persona = self._personas[code["sub"]]
        access = secrets.token_urlsafe(24)
        claims = {
            **persona.attributes,
            "name": persona.name,
            "iss": code["iss"],
            "sub": persona.subject,
            "aud": CLIENT_ID,
            "iat": moment,
            "exp": moment + TOKEN_S,
            "auth_time": code["at"],
            "nonce": code["nonce"],
            "acr": code["acr"],
            "sid": secrets.token_urlsafe(16),
            "at_hash": half_hash(access, "ES256"),
        }
        id_token = jwt.encode({"alg": "ES256", "kid": self._kid}, claims, self._key, algorithms=["ES256"])
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": TOKEN_S, "id_token": id_token}
        return 200, answer

    def after_logout(self, origin: str, parameters: Mapping[str, str]) -> str:
        """Return where to go after a logout: back to this server where that is asked, else to its first page."""
        back = parameters.get("post_logout_redirect_uri", "")
        if not _at_origin(back, origin):
            return "/"
        state = parameters.get("state", "")
        return with_query(back, {"state": state}) if state else back

    def _knows(self, authorization: str) -> bool:
        scheme, _, pair = authorization.partition(" ")
        try:
            name, _, secret = base64.b64decode(pair, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            return False
        equal = hmac.compare_digest(unquote(secret).encode(errors="replace"), self.client_secret.encode())
        return scheme.lower() == "basic" and unquote(name) == CLIENT_ID and equal

    def _seal(self, code: Mapping[str, object]) -> str:
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._codes.encrypt(nonce, json.dumps(code).encode(), None)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _open(self, code: str) -> dict[str, Any] | None:
        try:
            sealed = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
            opened: dict[str, Any] = json.loads(self._codes.decrypt(sealed[:_NONCE], sealed[_NONCE:], None))
        except (ValueError, binascii.Error, InvalidTag):
            return None
        return opened

    def _first_use(self, code: str) -> bool:
        self._used.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self._used.iterdir():
            with suppress(OSError):
                if old.stat().st_mtime < time.time() - 10 * CODE_S:
                    old.unlink()
        # By what the code opens to: its text could be written in several ways.
        sealed = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_")
        try:
            (self._used / hashlib.sha256(sealed).hexdigest()).touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True


def issuer_at(origin: str) -> str:
    """Return the issuer by which the provider is known at an origin. Raises LoginRefused(IDENTITY_ANSWER)."""
    try:
        parts = check_address(origin)
    except ValueError as error:
        raise LoginRefused("IDENTITY_ANSWER", "the development provider answers on loopback only") from error
    if not is_loopback(parts.hostname or "") or parts.path or parts.query:
        raise LoginRefused("IDENTITY_ANSWER", "the development provider answers on loopback only")
    return origin + PATH


def origin_of(address: str) -> str:
    """Return the origin of an absolute address. Raises LoginRefused(IDENTITY_ANSWER) unless it is on loopback."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise LoginRefused("IDENTITY_ANSWER", "not an address") from error
    origin = f"{parts.scheme}://{parts.netloc}"
    issuer_at(origin)
    return origin


def _at_origin(address: str, origin: str) -> bool:
    try:
        parts = check_address(address)
    except ValueError:
        return False
    return f"{parts.scheme}://{parts.netloc}" == origin
