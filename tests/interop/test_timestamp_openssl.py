"""OpenSSL asks the embedded authority and judges what it answers."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing import profiles
from signing.base import KeyPurpose
from signing.dev_pki import DevPki
from signing.profiles import Issuer
from timestamping.authority import EmbeddedAuthority

pytestmark = pytest.mark.needs("openssl")
POLICY = "1.3.6.1.4.1.99999.1.1"
DATA = b"acte de naissance"


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("pki"), datetime.now(UTC))


@pytest.fixture(scope="module")
def authority(pki: DevPki) -> EmbeddedAuthority:
    key = pki.timestamp
    return EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, SystemClock())


@pytest.fixture
def folder(tmp_path: Path, pki: DevPki, authority: EmbeddedAuthority) -> Path:
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "other").write_bytes(DATA + b"!")
    (tmp_path / "root.pem").write_bytes(pki.roots_pem())
    issuers = b"".join(c.public_bytes(Encoding.PEM) for c in authority.chain())
    (tmp_path / "chain.pem").write_bytes(issuers)
    return tmp_path


def test_openssl_verifies_our_tokens(folder: Path, authority: EmbeddedAuthority) -> None:
    for _ in range(5):
        (folder / "token").write_bytes(authority.token(hashlib.sha256(DATA).digest()).der)
        arguments = ("ts", "-verify", "-in", "token", "-token_in", "-CAfile", "root.pem")
        verified = openssl(folder, *arguments, "-data", "data")
        assert "Verification: OK" in verified.stdout, verified.stderr
        assert "Verification: FAILED" in openssl(folder, *arguments, "-data", "other").stdout


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("certificates", [True, False])
def test_openssl_asks_and_accepts_the_answer(
    folder: Path, authority: EmbeddedAuthority, digest: str, certificates: bool
) -> None:
    query = ("ts", "-query", "-data", "data", f"-{digest}", "-tspolicy", POLICY, "-out", "query")
    asked = openssl(folder, *query, *(["-cert"] if certificates else []))
    assert asked.returncode == 0, asked.stderr
    (folder / "reply").write_bytes(authority.respond((folder / "query").read_bytes()))
    read = openssl(folder, "ts", "-reply", "-in", "reply", "-text").stdout
    assert "Status: Granted." in read
    assert f"Policy OID: {POLICY}" in read
    assert f"Hash Algorithm: {digest}" in read
    assert "Accuracy: 0x01 seconds" in read
    verify = ("ts", "-verify", "-in", "reply", "-queryfile", "query", "-CAfile", "root.pem")
    untrusted = [] if certificates else ["-untrusted", "chain.pem"]
    verified = openssl(folder, *verify, *untrusted)
    assert "Verification: OK" in verified.stdout, verified.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-sha1"], "unrecognized or unsupported algorithm identifier"),
        (["-sha256", "-tspolicy", "1.2.3.4"], "the requested TSA policy is not supported by the TSA"),
    ],
)
def test_openssl_reads_our_rejections(
    folder: Path, authority: EmbeddedAuthority, options: list[str], reason: str
) -> None:
    openssl(folder, "ts", "-query", "-data", "data", *options, "-out", "query")
    (folder / "reply").write_bytes(authority.respond((folder / "query").read_bytes()))
    read = openssl(folder, "ts", "-reply", "-in", "reply", "-text").stdout
    assert "Status: Rejected." in read
    assert f"Failure info: {reason}" in read


@pytest.fixture(scope="module")
def rsa_authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddedAuthority, x509.Certificate]:
    now = datetime.now(UTC)
    root_key, key = profiles.new_key("p256"), rsa.generate_private_key(65537, 3072)
    assert not isinstance(root_key, rsa.RSAPrivateKey)
    name = profiles.subject("racine", "Probans", "root")
    root = Issuer(profiles.root_certificate(root_key, name, now), root_key)
    unit = profiles.subject("horodatage", "Probans", "tsa")
    leaf = profiles.leaf_certificate(root, key, unit, KeyPurpose.TIMESTAMP, now)
    return EmbeddedAuthority(key, [leaf], POLICY, SystemClock()), root.certificate


def test_openssl_verifies_rsa_pss_tokens_as_cms(
    tmp_path: Path, rsa_authority: tuple[EmbeddedAuthority, x509.Certificate]
) -> None:
    """`openssl ts` (3.0) knows no RSA-PSS, whoever signed; `openssl cms` checks signature, path and role."""
    authority, root = rsa_authority
    token = authority.token(hashlib.sha256(DATA).digest()).der
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (tmp_path / "token").write_bytes(token)
    arguments = (
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-CAfile",
        "root.pem",
        "-purpose",
        "timestampsign",
    )
    verified = openssl(tmp_path, *arguments, "-in", "token", "-out", "info")
    assert verified.returncode == 0, verified.stderr
    assert hashlib.sha256(DATA).digest() in (tmp_path / "info").read_bytes()
    (tmp_path / "token").write_bytes(token[:-1] + bytes((token[-1] ^ 1,)))
    assert openssl(tmp_path, *arguments, "-in", "token", "-out", "info").returncode != 0
