"""Keys serve the one purpose that their certificate states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.base import KeyPurpose
from signing.dev_pki import DEVELOPMENT_OID, is_development
from signing.errors import KeyUnusable
from signing.keys import (
    PURPOSE_OIDS,
    PrivateKey,
    SealKey,
    certificate_purposes,
    check_role,
    load_pkcs12,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SEAL = PURPOSE_OIDS[KeyPurpose.ACT_SEAL]
RSA_3072 = rsa.generate_private_key(65537, 3072)
P256 = ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: PrivateKey = P256,
    *,
    policies: list[x509.ObjectIdentifier] | None = None,
    usage: tuple[str, ...] = ("content_commitment",),
    extended: list[x509.ObjectIdentifier] | None = None,
    extended_critical: bool = True,
    ca: bool | None = False,
    key_usage: bool = True,
    issuer: tuple[x509.Certificate, PrivateKey] | None = None,
    name: str = "cachet",
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    parts = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    parts += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(
            issuer[0].subject if issuer else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AC")])
        )
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=10))
    )
    stated = [SEAL] if policies is None else policies
    if stated:
        policy = x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in stated])
        builder = builder.add_extension(policy, critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if key_usage:
        builder = builder.add_extension(
            x509.KeyUsage(**{part: part in usage for part in parts}), critical=True
        )
    if extended is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=extended_critical)
    return builder.sign(issuer[1] if issuer else P256, hashes.SHA256())


def test_p256_signature_verifies() -> None:
    key = SealKey.from_private_key(P256, certificate(), (), KeyPurpose.ACT_SEAL)
    assert (key.algorithm, key.max_signature_size) == ("ecdsa-p256-sha256", 72)
    for _ in range(20):
        signature = key.sign(b"data")
        assert len(signature) <= key.max_signature_size
        P256.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))


def test_rsa_signature_is_pss() -> None:
    key = SealKey.from_private_key(RSA_3072, certificate(RSA_3072), (), KeyPurpose.ACT_SEAL)
    assert (key.algorithm, key.max_signature_size) == ("rsassa-pss-sha256", 384)
    signature = key.sign(b"data")
    assert len(signature) == 384
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    RSA_3072.public_key().verify(signature, b"data", pss, hashes.SHA256())


def test_private_key_shows_nowhere() -> None:
    key = SealKey.from_private_key(P256, certificate(), (), KeyPurpose.ACT_SEAL)
    assert "private" not in repr(key).lower()
    with pytest.raises(AttributeError):
        key.purpose = KeyPurpose.EVIDENCE_SEAL  # type: ignore[misc]


@pytest.mark.parametrize("purpose", list(KeyPurpose))
def test_purposes_are_read_from_policies(purpose: KeyPurpose) -> None:
    assert certificate_purposes(certificate(policies=[PURPOSE_OIDS[purpose]])) == {purpose}
    assert len(set(PURPOSE_OIDS.values())) == len(KeyPurpose)


def test_only_development_certificates_are_for_development() -> None:
    assert not is_development(certificate())
    assert not is_development(certificate(policies=[]))
    assert is_development(certificate(policies=[SEAL, DEVELOPMENT_OID]))


def test_certificates_without_policies_have_no_purpose() -> None:
    assert certificate_purposes(certificate(policies=[])) == frozenset()
    assert certificate_purposes(certificate(policies=[x509.ObjectIdentifier("2.5.29.32.0")])) == frozenset()


TIME_STAMPING, TLS = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH
STAMP = [PURPOSE_OIDS[KeyPurpose.TIMESTAMP]]


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param({"policies": []}, id="no-policy"),
        pytest.param({"policies": [PURPOSE_OIDS[KeyPurpose.EVIDENCE_SEAL]]}, id="other-purpose"),
        pytest.param({"policies": list(PURPOSE_OIDS.values())[:2]}, id="two-purposes"),
        pytest.param({"ca": True}, id="ca"),
        pytest.param({"usage": ("key_encipherment",)}, id="usage"),
        pytest.param({"key_usage": False}, id="no-usage"),
        pytest.param({"extended": [TIME_STAMPING]}, id="timestamp"),
        pytest.param({"extended": [TLS]}, id="tls"),
        pytest.param({"extended": [ExtendedKeyUsageOID.OCSP_SIGNING], "extended_critical": False}, id="ocsp"),
    ],
)
def test_unfit_seal_certificates(refused: dict[str, object]) -> None:
    unfit = certificate(**refused)  # type: ignore[arg-type]
    with pytest.raises(KeyUnusable):
        SealKey.from_private_key(P256, unfit, (), KeyPurpose.ACT_SEAL)


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param({}, id="no-extended-usage"),
        pytest.param({"extended": [TIME_STAMPING], "extended_critical": False}, id="not-critical"),
        pytest.param({"extended": [TIME_STAMPING, TLS]}, id="not-sole"),
        pytest.param({"extended": [TLS]}, id="tls"),
    ],
)
def test_unfit_timestamp_certificates(refused: dict[str, object]) -> None:
    unfit = certificate(policies=STAMP, usage=("digital_signature",), **refused)  # type: ignore[arg-type]
    with pytest.raises(KeyUnusable):
        check_role(unfit, KeyPurpose.TIMESTAMP)


def test_fit_timestamp_certificate() -> None:
    fit = certificate(policies=STAMP, usage=("digital_signature",), extended=[TIME_STAMPING])
    check_role(fit, KeyPurpose.TIMESTAMP)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="p384"),
        pytest.param(rsa.generate_private_key(65537, 2048), id="rsa-2048"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="ed25519"),
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="key-of-another"),
        pytest.param("key", id="no-key"),
    ],
)
def test_unfit_keys(key: object) -> None:
    with pytest.raises(KeyUnusable):
        SealKey.from_private_key(key, certificate(), (), KeyPurpose.ACT_SEAL)


def test_purpose_and_time_are_enforced_on_use() -> None:
    key = SealKey.from_private_key(P256, certificate(), (), KeyPurpose.ACT_SEAL)
    key.require_purpose(KeyPurpose.ACT_SEAL, KeyPurpose.EVIDENCE_SEAL)
    key.require_valid_at(NOW)
    with pytest.raises(KeyUnusable):
        key.require_purpose(KeyPurpose.EVIDENCE_SEAL)
    for moment in (NOW - timedelta(seconds=1), NOW + timedelta(days=11)):
        with pytest.raises(KeyUnusable):
            key.require_valid_at(moment)


@pytest.fixture(scope="module")
def chain() -> tuple[list[x509.Certificate], x509.Certificate]:
    """(root, authority, sub-authority, stranger in disorder), leaf."""
    authority = ("key_cert_sign",)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AC")])
    root = (
        x509.CertificateBuilder()
        .subject_name(root_name)
        .issuer_name(root_name)
        .public_key(keys[0].public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=10))
        .sign(keys[0], hashes.SHA256())
    )
    first = certificate(keys[1], ca=True, usage=authority, name="1", issuer=(root, keys[0]))
    second = certificate(keys[2], ca=True, usage=authority, name="2", issuer=(first, keys[1]))
    stranger = certificate(keys[3], ca=True, usage=authority, name="2")
    leaf = certificate(P256, issuer=(second, keys[2]))
    return [root, stranger, first, second], leaf


def test_issuers_are_put_in_order_without_root_or_strangers(
    chain: tuple[list[x509.Certificate], x509.Certificate],
) -> None:
    (root, stranger, first, second), leaf = chain
    key = SealKey.from_private_key(P256, leaf, [root, stranger, first, second], KeyPurpose.ACT_SEAL)
    assert key.chain == (second, first)


def test_pkcs12_round_trip(tmp_path: Path, chain: tuple[list[x509.Certificate], x509.Certificate]) -> None:
    others, leaf = chain
    path = tmp_path / "key.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"k", P256, leaf, others, BestAvailableEncryption(b"secret"))
    )
    key = load_pkcs12(path, b"secret", KeyPurpose.ACT_SEAL)
    assert key.certificate == leaf
    assert len(key.chain) == 2
    with pytest.raises(KeyUnusable):
        load_pkcs12(path, b"wrong", KeyPurpose.ACT_SEAL)
    with pytest.raises(KeyUnusable):
        load_pkcs12(path, b"secret", KeyPurpose.RECEPTION_SEAL)
    with pytest.raises(KeyUnusable):
        load_pkcs12(tmp_path / "none.p12", b"secret", KeyPurpose.ACT_SEAL)
    path.write_bytes(b"\x30\x80garbage")
    with pytest.raises(KeyUnusable):
        load_pkcs12(path, b"secret", KeyPurpose.ACT_SEAL)
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(None, None, leaf, None, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(KeyUnusable):
        load_pkcs12(path, b"secret", KeyPurpose.ACT_SEAL)
