"""An S3 service reached over TLS, with anchors of our own: the right ones, none, and a certificate of another name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage.errors import StorageUnavailable
from storage.s3 import S3Client, S3Config, S3ObjectsConfig, S3ObjectStore
from storage.s3_buckets import demand_locked, make
from tests.services.versitygw import Gateway

pytestmark = pytest.mark.needs("versitygw")


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.anchors = folder / f"{name}.pem"
        certificate = self._certificate(self._name, self._key.public_key(), ca=True)
        self.anchors.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, address: str) -> tuple[Path, Path]:
        """Return the files of a certificate for an address, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))])
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
        certificate = self._certificate(name, key.public_key(), ca=False, alternative=alternative)
        files = self._folder / f"{address}.crt", self._folder / f"{address}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        ca: bool,
        alternative: x509.SubjectAlternativeName | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "anchors")


@pytest.fixture
def gateway(authority: Authority) -> Iterator[Gateway]:
    own = Gateway(tls=authority.server("127.0.0.1"))
    yield own
    own.remove()


def client(gateway: Gateway, anchors: Path | None) -> S3Client:
    config = S3Config(gateway.endpoint, gateway.access_key, gateway.secret_key, ca=anchors, seconds=5.0)
    return S3Client(config)


def test_a_store_over_tls(gateway: Gateway, authority: Authority, tmp_path: Path) -> None:
    connected = client(gateway, authority.anchors)
    assert connected.endpoint.startswith("https://")
    make(connected, "locked", locked=True)
    demand_locked(connected, "locked")
    store = S3ObjectStore(connected, S3ObjectsConfig("locked", tmp_path, parts_above=5 << 20))
    for data in (b"", b"small", b"large" * 1_500_000):
        [stored] = store.commit([store.put([data])])
        assert b"".join(store.read(stored.address)) == data
    store.close()


def test_a_store_that_nobody_vouches_for_is_not_talked_to(gateway: Gateway, tmp_path: Path) -> None:
    for anchors in (None, Authority(tmp_path, "others").anchors):
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            make(client(gateway, anchors), "locked", locked=True)


def test_a_certificate_of_another_name_is_refused(authority: Authority) -> None:
    gateway = Gateway(tls=authority.server("127.0.0.2"))
    try:
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            make(client(gateway, authority.anchors), "locked", locked=True)
    finally:
        gateway.remove()
