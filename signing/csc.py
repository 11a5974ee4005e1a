"""Remote signing by the API of the Cloud Signature Consortium, version 2 (ETSI TS 119 432): keys in somebody's HSM."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from signing.cms_form import RSASSA_PSS
from signing.csc_http import Answer, Wire
from signing.errors import KeyUnusable, SigningUnavailable
from signing.secret_files import Secret
from signing.signers import ECDSA_P256, RSA_PKCS1, RSA_PSS, CheckedSigner, PublicKey, algorithm_of
from signing.turns import Turns

_SHA256 = "2.16.840.1.101.3.4.2.1"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_PSS = "1.2.840.113549.1.1.10"
_RSA_SHA256 = "1.2.840.113549.1.1.11"
# What `key/algo` may name for each way to sign; keys are often named by their kind alone (RFC 3279, RFC 5480).
_ALGORITHMS = MappingProxyType(
    {
        ECDSA_P256: frozenset({_ECDSA_SHA256, "1.2.840.10045.2.1"}),
        RSA_PSS: frozenset({_PSS, "1.2.840.113549.1.1.1"}),
        RSA_PKCS1: frozenset({_RSA_SHA256}),
    }
)
_SIGN_ALGO = MappingProxyType({ECDSA_P256: _ECDSA_SHA256, RSA_PSS: _PSS, RSA_PKCS1: _RSA_SHA256})
# The parameters alone, out of the AlgorithmIdentifier of the same form that our CMS has.
_PSS_PARAMETERS = base64.b64encode(RSASSA_PSS[2 + 11 :]).decode()
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_EARLIER_S = 30.0
_LONGEST_S = 86_400.0
_AT_ONCE = 8  # signatures
_ERROR = re.compile(r"[A-Za-z_]{1,40}")
_REFUSED_PIN = frozenset({"invalid_pin", "invalid_otp", "invalid_authdata", "locked_pin"})


@dataclass(frozen=True, slots=True)
class CscConfig:
    """A remote signing service.

    Attributes:
        address: of its API, `https://HOST[:PORT]/csc/v2`.
        bearer: a token that does not change while it runs; None to ask for tokens.
        token_address: where tokens are asked for by client credentials (RFC 6749 section 4.4).
        client_id: ours there.
        client_secret: ours there.
        seconds: for one exchange; a signature takes two, and one more when a new token is needed.
        tls_ca: PEM anchors; None for those of this computer.
    """

    address: str
    bearer: Secret | None = None
    token_address: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    seconds: float = 10.0
    tls_ca: Path | None = None


class CscSigner(CheckedSigner):
    """A `Signer` whose key a remote service holds.

    Attributes:
        certificate: of the key, as the service has it.
        chain: its issuers, as the service has them.
    """

    def __init__(
        self,
        ask: Callable[[bytes], bytes],
        chain: Sequence[x509.Certificate],
        public: PublicKey,
        algorithm: str,
        name: str,
    ) -> None:
        """Take the key; see `CscService.signer`."""
        super().__init__(public, algorithm, ask, name)
        self.certificate = chain[0]
        self.chain = tuple(chain[1:])


class CscService:
    """One remote signing service. Safe for threads.

    What is asked for twice by itself: only what a new token lets through after a 401. A signature that got no answer is
    not asked for again here; sealing waits and its file is sealed later.
    """

    def __init__(self, config: CscConfig) -> None:
        """Take the service; asks nothing yet.

        Raises:
            KeyUnusable: an address is not https, there is no way to authenticate, or the anchors cannot be read.
        """
        for address in filter(None, (config.address, config.token_address)):
            parts = urlsplit(address)
            if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
                raise KeyUnusable("the address of a signing service is https://HOST[:PORT]/PATH")
        if config.bearer is None and not (config.token_address and config.client_id and config.client_secret):
            raise KeyUnusable("a signing service wants a bearer token, or an address for tokens and a client")
        self._config = config
        self._wire = Wire(config.seconds, config.tls_ca)
        self._guard = threading.Lock()
        self._token = ""
        self._ends = 0.0
        self._refused: dict[str, bytes] = {}
        self._accepted_pins: dict[str, bytes] = {}
        self._trying = threading.Lock()
        self._turns = Turns(_AT_ONCE, "the signing service")

    def info(self) -> Mapping[str, Any]:
        """Return what the service says of itself (section 11.1 of the API). Raises SigningUnavailable, KeyUnusable."""
        return self._accepted(self._exchange("info", {}), "info")

    def credentials(self) -> list[str]:
        """Return the identifiers of our keys (credentials/list). Raises SigningUnavailable, KeyUnusable."""
        content = self._accepted(self._exchange("credentials/list", {}), "credentials/list")
        found = content.get("credentialIDs")
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise SigningUnavailable("the signing service's list of credentials cannot be read")
        return found

    def signer(self, credential: str, pin: Secret | None = None) -> CscSigner:
        """Return what signs with a key.

        1. The key is enabled and its certificate valid, as the service sees it.
        2. It can be used by software alone: nobody has to be asked, save for a PIN that we hold.
        3. The certificate can be read, and the key signs in a way that is known here.

        Args:
            credential: the key's identifier there.
            pin: where the key wants one.

        Raises:
            KeyUnusable: one of these does not hold.
            SigningUnavailable: the service does not answer.
        """
        content = self._accepted(
            self._exchange(
                "credentials/info",
                {"credentialID": credential, "certificates": "chain", "certInfo": True, "authInfo": True},
            ),
            "credentials/info",
        )
        key, cert, auth = (_member(content, name) for name in ("key", "cert", "auth"))
        # 1
        if key.get("status") != "enabled" or cert.get("status", "valid") != "valid":
            raise KeyUnusable(
                "the signing service says that this key is not enabled or its certificate not valid"
            )
        # 2
        factor = _factor(auth, pin)
        # 3
        chain = _certificates(cert)
        public, algorithm = _algorithm(chain[0], key)
        ask = partial(self.sign_hash, credential, algorithm, factor, pin if factor else None)
        return CscSigner(ask, chain, public, algorithm, f"key {credential!r}")

    def sign_hash(
        self, credential: str, algorithm: str, factor: str, pin: Secret | None, digest: bytes
    ) -> bytes:
        """Have a SHA-256 digest signed: authorised for this digest alone, then signed; so many at once, others in turn.

        Both assurance levels of the API are served so: SCAL2 demands that the authorisation names the digest, SCAL1
        allows it.

        Args:
            credential: the key.
            algorithm: how it signs.
            factor: what the service calls its PIN.
            pin: the PIN, where it wants one.
            digest: 32 octets.

        Raises:
            SigningUnavailable: the service does not answer, or is slow and others are before.
            KeyUnusable: it refuses.
        """
        with self._turns.one():
            return self._signed(credential, algorithm, factor, pin, digest)

    def _signed(
        self, credential: str, algorithm: str, factor: str, pin: Secret | None, digest: bytes
    ) -> bytes:
        hashed = {"credentialID": credential, "hashes": [_text(digest)], "hashAlgorithmOID": _SHA256}
        wanted: dict[str, Any] = {**hashed, "numSignatures": 1}
        secret = None if pin is None else pin.read()
        if secret is None:
            answer = self._exchange("credentials/authorize", wanted)
        else:
            wanted["authData"] = [{"id": factor, "value": secret}]
            answer = self._authorize(credential, wanted, _fingerprint(secret))
        authorised = self._accepted(answer, "credentials/authorize")
        request = {**hashed, "SAD": authorised.get("SAD"), "signAlgo": _SIGN_ALGO[algorithm]}
        if algorithm == RSA_PSS:
            request["signAlgoParams"] = _PSS_PARAMETERS
        signatures = self._accepted(self._exchange("signatures/signHash", request), "signatures/signHash")
        return _sole_signature(signatures.get("signatures"))

    def _authorize(self, credential: str, wanted: Mapping[str, Any], known: bytes) -> Answer:
        """Send a PIN; one that was never accepted by one caller at a time: each wrong try brings a lock nearer."""
        if self._accepted_pins.get(credential) == known:
            return self._with_pin(credential, wanted, known)
        if not self._trying.acquire(timeout=self._config.seconds):
            raise SigningUnavailable("the signing service is being asked whether it takes this PIN")
        try:
            return self._with_pin(credential, wanted, known)
        finally:
            self._trying.release()

    def _with_pin(self, credential: str, wanted: Mapping[str, Any], known: bytes) -> Answer:
        if self._refused.get(credential) == known:
            raise KeyUnusable("the signing service refused this PIN before; it is not tried again")
        answer = self._exchange("credentials/authorize", wanted)
        if answer.status == 200:
            self._accepted_pins[credential] = known
        elif answer.content.get("error") in _REFUSED_PIN:
            # A second try could lock the key.
            self._refused[credential] = known
            self._accepted_pins.pop(credential, None)
        return answer

    def _exchange(self, method: str, content: Mapping[str, Any]) -> Answer:
        """Post with a token; once more with another one after a 401, which says that nothing was done."""
        token = self._bearer("")
        answer = self._ask(method, content, token)
        another = self._bearer(token) if answer.status == 401 else token
        return answer if another == token else self._ask(method, content, another)

    def _ask(self, method: str, content: Mapping[str, Any], token: str) -> Answer:
        return self._wire.post(
            f"{self._config.address.rstrip('/')}/{method}",
            json.dumps(content).encode(),
            {"Content-Type": _JSON, "Accept": _JSON, "Authorization": f"Bearer {token}"},
        )

    def _bearer(self, refused: str) -> str:
        """Return a token other than one that was refused, if there can be another one."""
        if self._config.bearer is not None:
            return self._config.bearer.read()
        with self._guard:
            if self._token and self._token != refused and time.monotonic() < self._ends:
                return self._token
            self._token, lasts = self._new_token()
            self._ends = time.monotonic() + max(0.0, lasts - _EARLIER_S)
            return self._token

    def _new_token(self) -> tuple[str, float]:
        config = self._config
        if config.client_secret is None:
            raise KeyUnusable("a signing service wants a client secret")
        form = {
            "grant_type": "client_credentials",
            "client_id": config.client_id,
            "client_secret": config.client_secret.read(),
            "scope": "service",
        }
        answer = self._wire.post(
            config.token_address, urlencode(form).encode(), {"Content-Type": _FORM, "Accept": _JSON}
        )
        content = self._accepted(answer, "token")
        token, lasts = content.get("access_token"), content.get("expires_in", 3600)
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise SigningUnavailable("the signing service's token cannot be read")
        known = isinstance(lasts, int | float) and not isinstance(lasts, bool)
        return token, float(max(0.0, min(lasts, _LONGEST_S))) if known else 0.0

    @staticmethod
    def _accepted(answer: Answer, method: str) -> Mapping[str, Any]:
        if answer.status == 200:
            return answer.content
        error = answer.content.get("error")
        words = error if isinstance(error, str) and _ERROR.fullmatch(error) else f"HTTP {answer.status}"
        raise KeyUnusable(f"the signing service refuses {method}: {words}")


def _member(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise KeyUnusable(f"the signing service tells nothing of {name!r}")
    return value


def _factor(auth: Mapping[str, Any], pin: Secret | None) -> str:
    """Return what the service calls the PIN of a key, "" for none; refuse one whose every use a person has to allow."""
    mode, objects = auth.get("mode"), auth.get("objects")
    if mode == "implicit":
        return ""
    sole = objects[0] if isinstance(objects, list) and len(objects) == 1 else None
    if mode != "explicit" or not isinstance(sole, dict) or sole.get("type") != "Password":
        raise KeyUnusable("this key wants somebody to allow each use, which a service cannot do")
    name = sole.get("id")
    if not isinstance(name, str) or not name:
        raise KeyUnusable("the signing service does not name the PIN of this key")
    if pin is None:
        raise KeyUnusable("this key wants a PIN")
    return name


def _certificates(cert: Mapping[str, Any]) -> list[x509.Certificate]:
    try:
        found = [x509.load_der_x509_certificate(_octets(each)) for each in cert["certificates"]]
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        raise KeyUnusable("the signing service's certificates cannot be read") from error
    if not found:
        raise KeyUnusable("the signing service has no certificate for this key")
    return found


def _algorithm(certificate: x509.Certificate, key: Mapping[str, Any]) -> tuple[PublicKey, str]:
    try:
        public = certificate.public_key()
        named = {str(each) for each in key["algo"]}
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        raise KeyUnusable("the signing service's key cannot be read") from error
    usual = algorithm_of(public)
    if isinstance(public, PublicKey):
        for algorithm in (usual, RSA_PKCS1) if usual == RSA_PSS else (usual,):
            if named & _ALGORITHMS.get(algorithm, frozenset()):
                return public, algorithm
    raise KeyUnusable("the signing service's key signs in no way that is known here")


def _sole_signature(found: object) -> bytes:
    if isinstance(found, list) and len(found) == 1:
        with suppress(ValueError, TypeError):
            return _octets(found[0])
    raise SigningUnavailable("the signing service's answer holds no signature")


def _octets(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("not a string")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _fingerprint(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
