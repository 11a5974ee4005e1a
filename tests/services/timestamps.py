"""Timestamp authorities of somebody else, over HTTP on the loopback: with their own root, unit and revocation list.

One answers with the product's own code, the other is `openssl ts`, which shares nothing with it. Either
can be told to misbehave.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.services.dropping import DroppingServer
from timestamping import der
from timestamping.authority import EmbeddedAuthority
from timestamping.messages import Failure, rejection
from timestamping.verify import unwrap_response

POLICY = "1.3.6.1.4.1.55555.7"
REPLY = "application/timestamp-reply"


class Skewed:
    """The machine's clock, off by a span."""

    def __init__(self, skew: timedelta = timedelta()) -> None:
        self.skew = skew

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew


class Outside:
    """An authority that answers at one address for its whole life.

    Attributes:
        mode: "well", "down" (connections are cut), "error", "html", "mods", "wrong imprint", "wrong nonce", "replay",
            "drip" (an octet of the header now and then), "slow", "rejects", "busy".
        clock: what its tokens state; `skew` may be set.
        asked: timestamp requests taken.
        authorizations: what they showed.
        crl_up: whether its revocation list is to be had.
        revoked: whether that list names its unit.
    """

    def __init__(self, name: str, days: int = 3650) -> None:
        self.name, self.mode, self.clock = name, "well", Skewed()
        self.asked, self.lists = 0, 0
        self.crl_up, self.revoked = True, False
        self.slow_s = 1.0
        self.authorizations: list[str] = []
        self._kept: bytes | None = None
        self._stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                outer._posted(self)

            def do_GET(self) -> None:
                outer.lists += 1
                number = int(self.path.removeprefix("/crl"))
                outer._write(self, 200 if outer.crl_up else 503, "application/pkix-crl", outer.crl(number))

            def log_message(self, *_: object) -> None:
                pass

        self._server = DroppingServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/tsa"
        self._issuers = [
            (_name(f"Racine {name}{number}"), ec.generate_private_key(ec.SECP256R1()))
            for number in ("", " 2")
        ]
        self.roots = [
            self._certificate(key, subject, 3650, number)
            for number, (subject, key) in enumerate(self._issuers)
        ]
        self.root = self.roots[0]
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.unit = self._certificate(self.key, _name(f"Horodatage {name}"), days, 0)
        self._authority = EmbeddedAuthority(self.key, (self.unit,), POLICY, self.clock)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def respond(self, request: bytes) -> bytes:
        """Answer a request as an honest authority does."""
        return self._authority.respond(request)

    def new_key(self) -> None:
        """Go on with another key, its certificate from the second root: other revocation lists prove it."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.unit = self._certificate(self.key, _name(f"Horodatage {self.name} 2"), 3650, 1)
        self._authority = EmbeddedAuthority(self.key, (self.unit,), POLICY, self.clock)

    def crl(self, number: int = 0) -> bytes:
        """Return a fresh revocation list of one of its roots."""
        now = datetime.now(UTC).replace(microsecond=0)
        issuer, issuer_key = self._issuers[number]
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        ).add_extension(x509.CRLNumber(1), critical=False)
        if self.revoked:
            gone = x509.RevokedCertificateBuilder().serial_number(self.unit.serial_number)
            builder = builder.add_revoked_certificate(gone.revocation_date(now - timedelta(hours=1)).build())
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)

    def anchors(self, folder: Path) -> Path:
        """Write its roots where the service can read them."""
        path = folder / f"{self.name}.pem"
        path.write_bytes(b"".join(root.public_bytes(Encoding.PEM) for root in self.roots))
        return path

    def close(self) -> None:
        """Stop."""
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.drop()

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, subject: x509.Name, days: int, number: int
    ) -> x509.Certificate:
        issuer, issuer_key = self._issuers[number]
        ca = subject == issuer
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=days + 1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if not ca:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            place = x509.UniformResourceIdentifier(f"http://127.0.0.1:{self.port}/crl{number}")
            point = x509.DistributionPoint([place], None, None, None)
            builder = builder.add_extension(usage, critical=True)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def _posted(self, handler: BaseHTTPRequestHandler) -> None:
        request = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked += 1
        self.authorizations.append(handler.headers.get("Authorization", ""))
        mode = self.mode
        if mode == "down":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if mode == "slow":
            self._stopping.wait(self.slow_s)
        if mode == "drip":
            self._drip(handler)
            return
        status, kind = (503 if mode == "error" else 200), ("text/html" if mode == "html" else REPLY)
        body = b"<html><body>Bienvenue</body></html>" if mode == "html" else self._body(mode, request)
        self._write(handler, status, kind, body)

    def _body(self, mode: str, request: bytes) -> bytes:
        match mode:
            case "mods":
                token = unwrap_response(self.respond(request))
                return der.sequence(der.sequence(der.integer(1)), token)
            case "wrong imprint":
                other = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
                return self.respond(_changed(request, "message_imprint", other))
            case "wrong nonce":
                return self.respond(_changed(request, "nonce", 1))
            case "replay":
                self._kept = self._kept or self.respond(request)
                return self._kept
            case "rejects":
                return rejection(Failure.BAD_ALG, "no")
            case "busy":
                return rejection(Failure.SYSTEM_FAILURE, "later")
        return self.respond(request)

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            for octet in b"HTTP/1.1 200 OK\r\nX-Filler: " + b"a" * 10_000:
                handler.wfile.write(bytes((octet,)))
                handler.wfile.flush()
                if self._stopping.wait(0.02):
                    return

    def _write(self, handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
        with suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)


class OutsideOpenssl(Outside):
    """The same, its tokens made by `openssl ts`."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(key)
        (folder / "unit.pem").write_bytes(self.unit.public_bytes(Encoding.PEM))
        (folder / "serial").write_text("01\n")
        (folder / "ts.cnf").write_text(
            "[tsa]\ndefault_tsa = tsa1\n[tsa1]\n"
            f"serial = {folder / 'serial'}\nsigner_cert = {folder / 'unit.pem'}\nsigner_key = {folder / 'key.pem'}\n"
            f"signer_digest = sha256\ndefault_policy = {POLICY}\ndigests = sha256, sha384, sha512\n"
            "accuracy = secs:1\nordering = no\ntsa_name = no\ness_cert_id_chain = no\ness_cert_id_alg = sha256\n"
        )

    def respond(self, request: bytes) -> bytes:
        """See `Outside`; its own clock is the machine's."""
        with self._lock:  # the file of serial numbers is openssl's only order
            (self._folder / "query").write_bytes(request)
            command = ("openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply")
            subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=30)
            return (self._folder / "reply").read_bytes()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _changed(request: bytes, field: str, value: object) -> bytes:
    asked = tsp.TimeStampReq.load(request)
    fields = {
        "version": 1,
        "message_imprint": asked["message_imprint"],
        "nonce": asked["nonce"],
        "cert_req": True,
    }
    return bytes(tsp.TimeStampReq({**fields, field: value}).dump())


def until(found, seconds: float = 15.0):  # type: ignore[no-untyped-def]
    """Wait until something is true; return it."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value
