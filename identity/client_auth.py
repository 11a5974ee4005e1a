"""How the token endpoint is told who asks (OIDC Core 9; RFC 6749, 2.3.1; RFC 7523)."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from identity.base import ProviderConfig
from identity.errors import ProviderMisconfigured

ASSERTION_S = 60
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class ClientAuthentication:
    """Adds this service's proof to requests to the token endpoint.

    Args:
        config: the provider; the key file of private_key_jwt is read here, once.

    Raises:
        ProviderMisconfigured: IDENTITY_MISCONFIGURED, the secret is missing or the key cannot be used.
    """

    def __init__(self, config: ProviderConfig) -> None:
        self._config = config
        self._key: jwk.Key | None = None
        self._algorithm = ""
        if config.authentication == "private_key_jwt":
            self._key, self._algorithm = _load(config)
        elif not config.client_secret:
            raise ProviderMisconfigured("IDENTITY_MISCONFIGURED", f"provider {config.name}: no client secret")

    def add(self, token_endpoint: str, now: datetime) -> tuple[dict[str, str], dict[str, str]]:
        """Return what to add to the form and to the headers of a request.

        Args:
            token_endpoint: where it goes.
            now: the time, UTC.

        Returns:
            Form members, headers.
        """
        config = self._config
        if config.authentication == "client_secret_basic":
            pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret, safe='')}"
            return {}, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        if self._key is None:
            return {"client_id": config.client_id, "client_secret": config.client_secret}, {}
        moment = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": config.client_id,
            "sub": config.client_id,
            "aud": config.issuer if config.client_audience == "issuer" else token_endpoint,
            "jti": secrets.token_urlsafe(24),
            "iat": moment,
            "exp": moment + ASSERTION_S,
        }
        header = {"alg": self._algorithm} | ({"kid": config.client_key_id} if config.client_key_id else {})
        assertion = jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
        return {
            "client_id": config.client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
        }, {}


def _load(config: ProviderConfig) -> tuple[jwk.Key, str]:
    problem = f"provider {config.name}: the private key"
    if config.client_key is None:
        raise ProviderMisconfigured("IDENTITY_MISCONFIGURED", f"{problem} is not named")
    try:
        pem = config.client_key.read_bytes()
        loaded = load_pem_private_key(pem, None)
        if isinstance(loaded, EllipticCurvePrivateKey):
            return jwk.import_key(pem, "EC"), _BY_CURVE[loaded.curve.name]
        if isinstance(loaded, Ed25519PrivateKey):
            return jwk.import_key(pem, "OKP"), "EdDSA"
        if isinstance(loaded, RSAPrivateKey) and loaded.key_size >= 2048:
            return jwk.import_key(pem, "RSA"), "RS256"
    except (OSError, JoseError, ValueError, TypeError, KeyError) as error:
        raise ProviderMisconfigured("IDENTITY_MISCONFIGURED", f"{problem} cannot be read") from error
    raise ProviderMisconfigured("IDENTITY_MISCONFIGURED", f"{problem} is of a kind that cannot be used")
