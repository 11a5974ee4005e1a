"""A certification authority of the tests' own, as an operator meets one: it issues for requests and serves its lists.

It is no development PKI: a root, an issuing authority, lists by HTTP on this machine. Certificates keep what the
request asks for, the policy of the purpose above all.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.base import KeyPurpose
from signing.cabinet_table import Entry, changing, write_file
from signing.keys import PURPOSE_OIDS
from signing.signers import PublicKey

_DAY = timedelta(days=1)


class Authority:
    """An authority that works until it is closed.

    Attributes:
        root: the trust anchor.
        issuing: certificate of the issuing authority.
        revoked: serial numbers that the next list names.
        asked: how often a list was asked for.
    """

    def __init__(self, began: datetime | None = None) -> None:
        """Make the keys and serve lists.

        Args:
            began: when the root begins; two days ago when None.
        """
        self.revoked: dict[int, datetime] = {}
        self.asked = 0
        self.down = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Lists, self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        began = began or datetime.now(UTC) - 2 * _DAY
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _name("Racine d’essai")
        self.root = (
            _builder(root, root, self._root_key.public_key(), began, 3650 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(self._root_key, hashes.SHA256())
        )
        self.issuing = (
            _builder(_name("Autorité d’essai"), root, self._key.public_key(), began, 1825 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(_policies("2.5.29.32.0"), critical=False)
            .add_extension(self._points("root.crl"), critical=False)
            .sign(self._root_key, hashes.SHA256())
        )

    @property
    def roots_pem(self) -> bytes:
        """The trust anchor, PEM."""
        return self.root.public_bytes(Encoding.PEM)

    def issue(
        self,
        request: x509.CertificateSigningRequest | PublicKey,
        *,
        purpose: KeyPurpose | None = None,
        policies: tuple[str, ...] = (),
        began: timedelta = timedelta(hours=1),
        days: float = 365.0,
    ) -> bytes:
        """Issue a certificate; return it with its issuer, PEM.

        Args:
            request: a request, whose extensions are kept, or a bare key.
            purpose: for a bare key.
            policies: instead of those that are asked for.
            began: how long ago it begins.
            days: until it ends, from now.
        """
        now = datetime.now(UTC)
        subject = _name("Cachet d’essai")
        public: object = request
        if isinstance(request, x509.CertificateSigningRequest):
            assert request.is_signature_valid
            subject, public = request.subject, request.public_key()
        builder = _builder(subject, self.issuing.subject, public, now - began, began + days * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if isinstance(request, x509.CertificateSigningRequest):
            for each in request.extensions:
                if not policies or each.oid != x509.CertificatePolicies.oid:
                    builder = builder.add_extension(each.value, critical=each.critical)
        else:
            assert purpose is not None
            stamp = purpose is KeyPurpose.TIMESTAMP
            builder = builder.add_extension(_usage(stamp=stamp), critical=True)
            policies = policies or (PURPOSE_OIDS[purpose].dotted_string,)
            if stamp:
                usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
                builder = builder.add_extension(usage, critical=True)
        if policies:
            builder = builder.add_extension(_policies(*policies), critical=False)
        issued = builder.add_extension(self._points("issuing.crl"), critical=False).sign(
            self._key, hashes.SHA256()
        )
        return issued.public_bytes(Encoding.PEM) + self.issuing.public_bytes(Encoding.PEM)

    def key(
        self, folder: Path, name: str, purpose: KeyPurpose, administration: str = "", **how: float
    ) -> Entry:
        """Put a key with its certificate into the cabinet of a folder, without a ceremony; return its entry."""
        private = ec.generate_private_key(ec.SECP256R1())
        content = pkcs12.serialize_key_and_certificates(
            None, private, None, None, BestAvailableEncryption(b"secret")
        )
        folder.mkdir(exist_ok=True)
        write_file(folder / f"{name}.p12", content)
        write_file(folder / "passphrase", b"secret\n")
        chain = self.issue(private.public_key(), purpose=purpose, **how)  # type: ignore[arg-type]
        write_file(folder / f"{name}.pem", chain)
        source = {"file": f"{name}.p12", "passphrase_file": "passphrase"}
        entry = Entry(name, purpose, "active", "pkcs12", source, administration, f"{name}.pem")
        with changing(folder / "cabinet.json") as entries:
            entries.append(entry)
        return entry

    def cabinet(self, folder: Path, *administrations: str, timestamp: bool = True) -> Path:
        """Fill a folder with a whole cabinet and `roots.pem`; return the path of its table."""
        self.key(folder, "reception", KeyPurpose.RECEPTION_SEAL)
        self.key(folder, "evidence", KeyPurpose.EVIDENCE_SEAL)
        if timestamp:
            self.key(folder, "timestamp", KeyPurpose.TIMESTAMP)
        for each in administrations:
            self.key(folder, f"act-{each}", KeyPurpose.ACT_SEAL, each)
        (folder / "roots.pem").write_bytes(self.roots_pem)
        return folder / "cabinet.json"

    def crl(self, name: str, at: datetime | None = None) -> bytes:
        """Return a list, issued now."""
        self.asked += 1
        now = at or datetime.now(UTC)
        issuer, key = (self.root, self._root_key) if name == "root.crl" else (self.issuing, self._key)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - timedelta(minutes=5))
            .next_update(now + _DAY)
            .add_extension(x509.CRLNumber(self.asked), critical=False)
        )
        for serial, when in self.revoked.items() if name == "issuing.crl" else ():
            line = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
            builder = builder.add_revoked_certificate(line.build())
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def _points(self, name: str) -> x509.CRLDistributionPoints:
        place = [x509.UniformResourceIdentifier(f"{self.address}/{name}")]
        return x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, None)])


class _Lists(BaseHTTPRequestHandler):
    """Serves the lists."""

    def __init__(self, authority: Authority, *arguments: object) -> None:
        self._authority = authority
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if self._authority.down or name not in ("root.crl", "issuing.crl"):
            self.send_error(503)
            return
        content = self._authority.crl(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Essai"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: object, began: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(began.replace(microsecond=0))
        .not_valid_after((began + life).replace(microsecond=0))
    )


def _policies(*identifiers: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(each), None) for each in identifiers]
    )


def _usage(*, stamp: bool = False, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=stamp,
        content_commitment=not stamp and not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
