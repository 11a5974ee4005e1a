"""A remote signing service of the tests' own: the API of the Cloud Signature Consortium over TLS, on the loopback.

It authorises and signs as the API says, checks everything that it is sent, and misbehaves when it is told to.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from signing.csc import CscConfig, CscService
from signing.secret_files import Secret
from tests.services.certificates import local_tls

SHA256 = "2.16.840.1.101.3.4.2.1"
ECDSA = "1.2.840.10045.4.3.2"
PSS = "1.2.840.113549.1.1.10"
PKCS1 = "1.2.840.113549.1.1.11"
PSS_PARAMETERS = bytes.fromhex(
    "3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
)


@dataclass
class Credential:
    """A key of the service.

    Attributes:
        key: the private key.
        chain: its certificate, then its issuers.
        mode: how its use is allowed.
        pin: what an explicit mode wants.
        algo: what `key/algo` says.
        status: of the key.
        raw: ECDSA signatures as r ‖ s.
        factor: what it calls the PIN.
        tries: how often a PIN was sent.
    """

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    chain: Sequence[x509.Certificate]
    mode: str = "implicit"
    pin: str = ""
    algo: Sequence[str] = ()
    status: str = "enabled"
    raw: bool = False
    factor: str = "PIN"
    tries: int = 0


@dataclass
class Refusal(Exception):
    """What a method answers instead."""

    status: int
    error: str


@dataclass
class Authorised:
    """What a SAD allows, once."""

    credential: str
    hashes: list[str]
    until: float


class RemoteSigner:
    """One service.

    Attributes:
        credentials: keys by identifier.
        calls: methods that were answered, by name.
        ca: PEM file with its TLS anchor.
        address: of its API.
        behaviour: what it does wrong: "", "401", "500", "429", "hang", "drip", "garbage", "list", "wrong-signature",
            "no-signature", "dead-sad", "slow".
        pause_s: how long each answer takes when it is slow.
        only: method that it does this in; empty for all.
    """

    client_id = "probans"
    client_secret = "a client secret of the tests"

    def __init__(self, token_lasts: int = 3600) -> None:
        """Start it."""
        self.credentials: dict[str, Credential] = {}
        self.calls: Counter[str] = Counter()
        self.behaviour = self.only = ""
        self.pause_s = 2.0
        self.token_lasts = token_lasts
        self._tokens: set[str] = set()
        self._sads: dict[str, Authorised] = {}
        self._released = threading.Event()
        self._guard = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="probans-csc-"))
        self.ca, context = local_tls(self._folder)
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                service.answer(self)

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Clients that cut the connection are what tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.host = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.address = f"{self.host}/csc/v2"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def doing(self, behaviour: str, only: str = "") -> Iterator[None]:
        """Misbehave for a while, in one method or in all."""
        self.behaviour, self.only = behaviour, only
        self._released.clear()
        try:
            yield
        finally:
            self.behaviour = self.only = ""
            self._released.set()

    def config(self, **changes: Any) -> CscConfig:
        """Return how it is reached."""
        named: dict[str, Any] = {
            "address": self.address,
            "token_address": f"{self.host}/oauth2/token",
            "client_id": self.client_id,
            "client_secret": Secret.of(self.client_secret),
            "seconds": 10.0,
            "tls_ca": self.ca,
            **changes,
        }
        return CscConfig(**named)

    def client(self, **changes: Any) -> CscService:
        """Return a client."""
        return CscService(self.config(**changes))

    def new_token(self) -> str:
        """Return a bearer token that is good."""
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return token

    def expire_tokens(self) -> None:
        """Forget every token that was given out."""
        self._tokens.clear()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        method = handler.path.removeprefix("/csc/v2/").lstrip("/")
        behaviour = self.behaviour if self.only in ("", method) else ""
        self.calls[method] += 1
        if behaviour == "hang":
            self._released.wait(60)
            return
        if behaviour == "slow":
            self._released.wait(self.pause_s)
        try:
            status, content = 200, self._serve(method, body, handler.headers, behaviour)
        except Refusal as refusal:
            status, content = (
                refusal.status,
                {"error": refusal.error, "error_description": "words\r\nof its own"},
            )
        octets = json.dumps(content).encode()
        if behaviour == "garbage":
            octets = b"<html>not JSON</html>"
        elif behaviour == "list":
            octets = b"[1]"
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(octets)))
        handler.end_headers()
        if behaviour == "drip":
            for octet in octets:
                handler.wfile.write(bytes((octet,)))
                if self._released.wait(0.1):
                    return
            return
        handler.wfile.write(octets)

    def _serve(self, method: str, body: bytes, headers: Mapping[str, str], behaviour: str) -> dict[str, Any]:
        if behaviour in {"500", "429"}:
            raise Refusal(int(behaviour), "server_error")
        if method == "oauth2/token":
            return self._token(parse_qs(body.decode()))
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self._tokens or behaviour == "401":
            raise Refusal(401, "invalid_token")
        asked = json.loads(body)
        if method == "info":
            return {
                "specs": "2.0.0.0",
                "name": "test service",
                "methods": ["credentials/info", "signatures/signHash"],
            }
        if method == "credentials/list":
            return {"credentialIDs": sorted(self.credentials)}
        credential = self.credentials.get(asked.get("credentialID", ""))
        if credential is None:
            raise Refusal(400, "invalid_request")
        if method == "credentials/info":
            return self._info(credential)
        if method == "credentials/authorize":
            return self._authorise(credential, asked)
        if method == "signatures/signHash":
            return {"signatures": self._signed(credential, asked, behaviour)}
        raise Refusal(404, "invalid_request")

    def _token(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        wanted = {
            "grant_type": ["client_credentials"],
            "client_id": [self.client_id],
            "client_secret": [self.client_secret],
            "scope": ["service"],
        }
        if dict(form) != wanted:
            raise Refusal(401, "invalid_client")
        return {"access_token": self.new_token(), "token_type": "Bearer", "expires_in": self.token_lasts}

    def _info(self, credential: Credential) -> dict[str, Any]:
        certificates = [_text(each.public_bytes(Encoding.DER)) for each in credential.chain]
        auth: dict[str, Any] = {"mode": credential.mode}
        if credential.mode == "explicit":
            auth |= {
                "expression": "PIN",
                "objects": [{"type": "Password", "id": credential.factor, "format": "A"}],
            }
        default = [ECDSA] if isinstance(credential.key, ec.EllipticCurvePrivateKey) else [PSS]
        return {
            "key": {"status": credential.status, "algo": list(credential.algo) or default, "len": 256},
            "cert": {"status": "valid", "certificates": certificates},
            "auth": auth,
            "SCAL": "2",
            "multisign": 1,
        }

    def _authorise(self, credential: Credential, asked: Mapping[str, Any]) -> dict[str, Any]:
        if (
            asked.get("numSignatures") != 1
            or asked.get("hashAlgorithmOID") != SHA256
            or len(asked["hashes"]) != 1
        ):
            raise Refusal(400, "invalid_request")
        if credential.mode == "explicit":
            credential.tries += 1
            if asked.get("authData") != [{"id": credential.factor, "value": credential.pin}]:
                raise Refusal(400, "invalid_pin")
        sad = secrets.token_urlsafe(24)
        with self._guard:
            self._sads[sad] = Authorised(asked["credentialID"], asked["hashes"], time.monotonic() + 30)
        return {"SAD": sad, "expiresIn": 30}

    def _signed(self, credential: Credential, asked: Mapping[str, Any], behaviour: str) -> list[str]:
        with self._guard:
            allowed = self._sads.pop(asked.get("SAD", ""), None)
        known = allowed is not None and allowed.until > time.monotonic() and behaviour != "dead-sad"
        if not known or (allowed.credential, allowed.hashes) != (asked["credentialID"], asked["hashes"]):  # type: ignore[union-attr]
            raise Refusal(400, "invalid_request")
        digest = base64.b64decode(asked["hashes"][0], validate=True)
        if asked.get("hashAlgorithmOID") != SHA256 or len(digest) != 32:
            raise Refusal(400, "invalid_request")
        if behaviour == "no-signature":
            return []
        if behaviour == "wrong-signature":
            digest = bytes(reversed(digest))
        return [_text(_sign(credential, digest, asked))]


def _sign(credential: Credential, digest: bytes, asked: Mapping[str, Any]) -> bytes:
    hashed, algorithm = Prehashed(hashes.SHA256()), asked.get("signAlgo")
    if isinstance(credential.key, ec.EllipticCurvePrivateKey) and algorithm == ECDSA:
        signature = credential.key.sign(digest, ec.ECDSA(hashed))
        if not credential.raw:
            return signature
        return b"".join(each.to_bytes(32, "big") for each in decode_dss_signature(signature))
    if isinstance(credential.key, rsa.RSAPrivateKey) and algorithm == PSS:
        if base64.b64decode(asked.get("signAlgoParams", "")) != PSS_PARAMETERS:
            raise Refusal(400, "invalid_request")
        return credential.key.sign(digest, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashed)
    if isinstance(credential.key, rsa.RSAPrivateKey) and algorithm == PKCS1:
        return credential.key.sign(digest, padding.PKCS1v15(), hashed)
    raise Refusal(400, "invalid_request")


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
