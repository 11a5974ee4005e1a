"""Certificate paths that must not be believed, each with the code of its defect."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signing.crl import read_crls
from signing.errors import SignatureRefused
from signing.trust import TrustStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
P256 = ec.SECP256R1()


@dataclass(frozen=True)
class Party:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def named(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def issue(
    name: str,
    issuer: Party | None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    subject_key: object = None,
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + 300 * DAY,
    issuer_name: x509.Name | None = None,
    cert_sign: bool | None = None,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    digest: hashes.HashAlgorithm | None = None,
    serial: int | None = None,
    basic: bool = True,
) -> Party:
    own = key or ec.generate_private_key(P256)
    public = own.public_key() if subject_key is None else subject_key
    signer = own if issuer is None else issuer.key
    from_name = issuer_name or (named(name) if issuer is None else issuer.certificate.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(from_name)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca if cert_sign is None else cert_sign,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return Party(builder.sign(signer, digest or hashes.SHA256()), own)


def crl(
    issuer: Party,
    *revoked: tuple[x509.Certificate, datetime],
    start: datetime = NOW - timedelta(hours=1),
    end: datetime = NOW + timedelta(hours=23),
    key: ec.EllipticCurvePrivateKey | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(start)
        .next_update(end)
    )
    for certificate, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or issuer.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)


ROOT = issue("Racine", None, ca=True, path_length=2)
CA = issue("Autorité", ROOT, ca=True, path_length=0)
LEAF = issue("Cachet", CA)
CRLS = (crl(ROOT), crl(CA))
STORE = TrustStore([ROOT.certificate])


def code_of(
    leaf: x509.Certificate,
    others: list[x509.Certificate],
    crls: tuple[bytes, ...] = CRLS,
    at: datetime = NOW,
    store: TrustStore = STORE,
) -> str:
    with pytest.raises(SignatureRefused) as caught:
        store.validate(leaf, others, crls, at)
    return caught.value.code


def test_the_good_path_is_believed() -> None:
    path = STORE.validate(LEAF.certificate, [CA.certificate], CRLS, NOW)
    assert path == (LEAF.certificate, CA.certificate, ROOT.certificate)


class TestIssuers:
    def test_wrong_key_under_the_right_name(self) -> None:
        impostor = issue("Autorité", ROOT, ca=True, key=ec.generate_private_key(P256))
        forged = issue("Cachet", Party(CA.certificate, impostor.key))
        assert code_of(forged.certificate, [CA.certificate]) == "NO_CERTIFICATE_CHAIN_FOUND"

    def test_another_root_of_the_same_name(self) -> None:
        root = issue("Racine", None, ca=True)
        ca = issue("Autorité", root, ca=True)
        leaf = issue("Cachet", ca)
        crls = (crl(root), crl(ca))
        assert (
            code_of(leaf.certificate, [ca.certificate, root.certificate], crls)
            == "NO_CERTIFICATE_CHAIN_FOUND"
        )

    def test_self_signed(self) -> None:
        own = issue("Cachet", None)
        assert code_of(own.certificate, [own.certificate]) == "NO_CERTIFICATE_CHAIN_FOUND"

    def test_intermediate_missing(self) -> None:
        assert code_of(LEAF.certificate, []) == "NO_CERTIFICATE_CHAIN_FOUND"

    def test_no_anchor_at_all(self) -> None:
        assert (
            code_of(LEAF.certificate, [CA.certificate], store=TrustStore([])) == "NO_CERTIFICATE_CHAIN_FOUND"
        )

    def test_anchor_used_as_seal(self) -> None:
        assert code_of(ROOT.certificate, []) == "CHAIN_CONSTRAINTS_FAILURE"


class TestConstraints:
    def test_leaf_acting_as_authority(self) -> None:
        forged = issue("Cachet du voisin", LEAF)
        crls = (*CRLS, crl(LEAF))
        others = [LEAF.certificate, CA.certificate]
        assert code_of(forged.certificate, others, crls) == "CHAIN_CONSTRAINTS_FAILURE"

    def test_leaf_acting_as_authority_twice(self) -> None:
        false_ca = issue("Fausse autorité", LEAF, ca=True)
        forged = issue("Cachet du voisin", false_ca)
        others = [false_ca.certificate, LEAF.certificate, CA.certificate]
        crls = (*CRLS, crl(LEAF), crl(false_ca))
        assert code_of(forged.certificate, others, crls) == "NO_CERTIFICATE_CHAIN_FOUND"

    def test_no_basic_constraints(self) -> None:
        ca = issue("Autorité", ROOT, cert_sign=True, basic=False)
        leaf = issue("Cachet", ca)
        crls = (crl(ROOT), crl(ca))
        assert code_of(leaf.certificate, [ca.certificate], crls) == "CHAIN_CONSTRAINTS_FAILURE"

    def test_path_length_of_an_authority(self) -> None:
        below = issue("Sous-autorité", CA, ca=True)
        leaf = issue("Cachet", below)
        crls = (*CRLS, crl(below))
        others = [below.certificate, CA.certificate]
        assert code_of(leaf.certificate, others, crls) == "CHAIN_CONSTRAINTS_FAILURE"

    def test_path_length_of_the_anchor(self) -> None:
        root = issue("Racine", None, ca=True, path_length=0)
        ca = issue("Autorité", root, ca=True)
        leaf = issue("Cachet", ca)
        store = TrustStore([root.certificate])
        crls = (crl(root), crl(ca))
        assert code_of(leaf.certificate, [ca.certificate], crls, store=store) == "CHAIN_CONSTRAINTS_FAILURE"

    def test_authority_that_may_not_sign_certificates(self) -> None:
        ca = issue("Autorité", ROOT, ca=True, cert_sign=False)
        leaf = issue("Cachet", ca)
        crls = (crl(ROOT), crl(ca))
        assert code_of(leaf.certificate, [ca.certificate], crls) == "CHAIN_CONSTRAINTS_FAILURE"

    @pytest.mark.parametrize("where", ["authority", "anchor"])
    def test_name_constraints(self, where: str) -> None:
        only = x509.NameConstraints([x509.DirectoryName(named("Mairie de Lyon"))], None)
        extra: tuple[tuple[x509.ExtensionType, bool], ...] = ((only, True),)
        root = issue("Racine", None, ca=True, extra=extra if where == "anchor" else ())
        ca = issue("Mairie de Lyon", root, ca=True, extra=extra if where == "authority" else ())
        leaf = issue("Mairie de Nice", ca)
        store = TrustStore([root.certificate])
        crls = (crl(root), crl(ca))
        assert code_of(leaf.certificate, [ca.certificate], crls, store=store) == "CHAIN_CONSTRAINTS_FAILURE"
        inside = issue("Mairie de Lyon", ca)
        assert len(store.validate(inside.certificate, [ca.certificate], crls, NOW)) == 3

    def test_unknown_critical_extension(self) -> None:
        strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00")
        leaf = issue("Cachet", CA, extra=((strange, True),))
        assert code_of(leaf.certificate, [CA.certificate]) == "CHAIN_CONSTRAINTS_FAILURE"


class TestTime:
    def test_expired(self) -> None:
        leaf = issue("Cachet", CA, end=NOW - DAY)
        assert code_of(leaf.certificate, [CA.certificate]) == "EXPIRED"
        past = (crl(ROOT, start=NOW - 3 * DAY, end=NOW), crl(CA, start=NOW - 3 * DAY, end=NOW))
        assert len(STORE.validate(leaf.certificate, [CA.certificate], past, NOW - 2 * DAY)) == 3

    def test_not_yet_valid(self) -> None:
        leaf = issue("Cachet", CA, start=NOW + timedelta(seconds=1))
        assert code_of(leaf.certificate, [CA.certificate]) == "NOT_YET_VALID"

    def test_expired_authority(self) -> None:
        ca = issue("Autorité", ROOT, ca=True, end=NOW - timedelta(seconds=1))
        leaf = issue("Cachet", ca)
        assert code_of(leaf.certificate, [ca.certificate], (crl(ROOT), crl(ca))) == "EXPIRED"


class TestRevocation:
    def revoked(self, at: datetime) -> tuple[bytes, bytes]:
        return crl(ROOT), crl(CA, (LEAF.certificate, at))

    @pytest.mark.parametrize("before", [timedelta(0), timedelta(seconds=1), 20 * DAY])
    def test_revoked_before(self, before: timedelta) -> None:
        assert code_of(LEAF.certificate, [CA.certificate], self.revoked(NOW - before)) == "REVOKED"

    def test_revoked_after(self) -> None:
        crls = self.revoked(NOW + timedelta(seconds=1))
        assert len(STORE.validate(LEAF.certificate, [CA.certificate], crls, NOW)) == 3
        assert code_of(LEAF.certificate, [CA.certificate], crls, NOW + timedelta(seconds=1)) == "REVOKED"

    def test_revoked_authority(self) -> None:
        crls = (crl(ROOT, (CA.certificate, NOW - DAY)), crl(CA))
        assert code_of(LEAF.certificate, [CA.certificate], crls) == "REVOKED"

    def test_a_second_list_cannot_hide_the_first(self) -> None:
        for order in (1, -1):
            crls = (crl(ROOT), *(crl(CA), crl(CA, (LEAF.certificate, NOW - DAY)))[::order])
            assert code_of(LEAF.certificate, [CA.certificate], crls) == "REVOKED"

    def test_a_later_list_that_tells_of_an_earlier_revocation_counts(self) -> None:
        later = crl(CA, (LEAF.certificate, NOW - DAY), start=NOW + timedelta(hours=1))
        assert code_of(LEAF.certificate, [CA.certificate], (*CRLS, later)) == "REVOKED"

    def test_no_lists(self) -> None:
        assert code_of(LEAF.certificate, [CA.certificate], ()) == "TRY_LATER"

    @pytest.mark.parametrize("kept", [0, 1])
    def test_one_list_missing(self, kept: int) -> None:
        assert code_of(LEAF.certificate, [CA.certificate], (CRLS[kept],)) == "TRY_LATER"

    def test_stale_list(self) -> None:
        stale = crl(CA, start=NOW - 2 * DAY, end=NOW)  # nextUpdate itself is outside
        assert code_of(LEAF.certificate, [CA.certificate], (CRLS[0], stale)) == "TRY_LATER"

    def test_list_of_the_future(self) -> None:
        future = crl(CA, start=NOW + timedelta(minutes=1))
        crls = (CRLS[0], future)
        assert code_of(LEAF.certificate, [CA.certificate], crls) == "TRY_LATER"
        afterwards = TrustStore([ROOT.certificate], retroactive=True)
        assert len(afterwards.validate(LEAF.certificate, [CA.certificate], crls, NOW)) == 3

    def test_list_of_another_authority(self) -> None:
        other = issue("Autre autorité", ROOT, ca=True)
        crls = (CRLS[0], crl(other))
        assert code_of(LEAF.certificate, [CA.certificate, other.certificate], crls) == "TRY_LATER"

    def test_list_signed_by_another_under_the_right_name(self) -> None:
        forged = crl(CA, key=ec.generate_private_key(P256))
        assert code_of(LEAF.certificate, [CA.certificate], (CRLS[0], forged)) == "TRY_LATER"

    def test_list_signed_by_the_seal_itself(self) -> None:
        forged = crl(CA, key=LEAF.key)
        assert code_of(LEAF.certificate, [CA.certificate], (CRLS[0], forged)) == "TRY_LATER"

    def test_list_that_covers_other_certificates_only(self) -> None:
        scope = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(CA.certificate.subject)
            .last_update(NOW - DAY)
            .next_update(NOW + DAY)
            .add_extension(scope, critical=True)
        )
        partial = builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)
        assert code_of(LEAF.certificate, [CA.certificate], (CRLS[0], partial)) == "TRY_LATER"

    def test_garbage_among_the_lists_proves_nothing_and_harms_nothing(self) -> None:
        crls = (b"", b"\x30\x80", CRLS[0][:-1], *CRLS, LEAF.certificate.public_bytes(Encoding.DER))
        assert len(STORE.validate(LEAF.certificate, [CA.certificate], crls, NOW)) == 3

    def test_revocation_not_required(self) -> None:
        lax = TrustStore([ROOT.certificate], require_revocation=False)
        assert len(lax.validate(LEAF.certificate, [CA.certificate], (), NOW)) == 3
        crls = self.revoked(NOW - DAY)
        assert code_of(LEAF.certificate, [CA.certificate], crls, store=lax) == "REVOKED"


class TestAlgorithms:
    def forged_sha1(
        self, certificate: x509.Certificate, signer: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        """Sign anew with SHA-1, which the builder itself refuses."""
        der = certificate.public_bytes(Encoding.DER)
        ecdsa_sha256, ecdsa_sha1 = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06072a8648ce3d0401")
        assert der.count(ecdsa_sha256) == 2
        tbs = _resized(certificate.tbs_certificate_bytes.replace(ecdsa_sha256, ecdsa_sha1), inner=True)
        signature = signer.sign(tbs, ec.ECDSA(hashes.SHA1()))
        bits = b"\x00" + signature
        body = tbs + b"\x30\x09" + ecdsa_sha1 + b"\x03" + bytes([len(bits)]) + bits
        return x509.load_der_x509_certificate(_sequence(body))

    def test_sha1(self) -> None:
        weak = self.forged_sha1(LEAF.certificate, CA.key)
        assert weak.signature_hash_algorithm is not None
        assert weak.signature_hash_algorithm.name == "sha1"
        assert code_of(weak, [CA.certificate]) == "CRYPTO_CONSTRAINTS_FAILURE"

    def test_small_rsa_key(self) -> None:
        key = rsa.generate_private_key(65537, 1024)
        leaf = issue("Cachet", CA, subject_key=key.public_key())
        assert code_of(leaf.certificate, [CA.certificate]) == "CRYPTO_CONSTRAINTS_FAILURE"

    def test_small_curve(self) -> None:
        key = ec.generate_private_key(ec.SECP224R1())
        leaf = issue("Cachet", CA, subject_key=key.public_key())
        assert code_of(leaf.certificate, [CA.certificate]) == "CRYPTO_CONSTRAINTS_FAILURE"


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
class TestHostile:
    def test_a_crowd_of_look_alikes_costs_little(self) -> None:
        """Certificates that issue each other in every order would make factorially many paths."""
        key = ec.generate_private_key(P256)
        name = CA.certificate.subject
        crowd = [issue("Autorité", None, ca=True, key=key, issuer_name=name).certificate for _ in range(60)]
        leaf = issue("Cachet", Party(crowd[0], key))
        started = datetime.now(UTC)
        assert code_of(leaf.certificate, crowd) == "NO_CERTIFICATE_CHAIN_FOUND"
        assert len(STORE.validate(LEAF.certificate, [*crowd, CA.certificate], CRLS, NOW)) == 3
        assert datetime.now(UTC) - started < timedelta(seconds=5)

    def test_too_many_of_anything(self) -> None:
        many = [CA.certificate] * 300
        assert code_of(LEAF.certificate, many) == "CERTIFICATE_CHAIN_GENERAL_FAILURE"
        lists = tuple([CRLS[0]] * 300)
        assert code_of(LEAF.certificate, [CA.certificate], lists) == "CERTIFICATE_CHAIN_GENERAL_FAILURE"
        genuine = [issue(f"Autorité {n}", ROOT, ca=True).certificate for n in range(40)]
        assert code_of(LEAF.certificate, [*genuine, CA.certificate]) == "CERTIFICATE_CHAIN_GENERAL_FAILURE"

    def test_every_bit_of_a_certificate_matters(self) -> None:
        der = LEAF.certificate.public_bytes(Encoding.DER)
        for position in range(len(der)):
            for bit in range(8):
                damaged = bytearray(der)
                damaged[position] ^= 1 << bit
                try:
                    certificate = x509.load_der_x509_certificate(bytes(damaged))
                except (ValueError, x509.InvalidVersion):
                    continue
                with pytest.raises(SignatureRefused):
                    STORE.validate(certificate, [CA.certificate], CRLS, NOW)

    def test_every_bit_of_a_list_matters(self) -> None:
        der = CRLS[1]
        for position in range(len(der)):
            for bit in range(8):
                damaged = bytearray(der)
                damaged[position] ^= 1 << bit
                issuers = read_crls([bytes(damaged)])
                assert not any(crl.issued_by(CA.certificate) for crl in issuers)


def _sequence(body: bytes) -> bytes:
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def _resized(sequence: bytes, *, inner: bool) -> bytes:
    """Repair the lengths of a TBSCertificate whose AlgorithmIdentifier lost one octet."""
    body = sequence[4:]
    if inner:
        body = body.replace(bytes.fromhex("300a06072a8648ce3d0401"), bytes.fromhex("300906072a8648ce3d0401"))
    return _sequence(body)


def test_the_cache_forgets_nothing_that_matters() -> None:
    """A path kept for one time must not answer for another, or for other lists."""
    store = TrustStore([ROOT.certificate])
    late = NOW + timedelta(hours=2)
    crls = (crl(ROOT), crl(CA, (LEAF.certificate, NOW + timedelta(hours=1))))
    assert len(store.validate(LEAF.certificate, [CA.certificate], crls, NOW)) == 3
    assert len(store.validate(LEAF.certificate, [CA.certificate], crls, NOW)) == 3
    assert code_of(LEAF.certificate, [CA.certificate], crls, late, store) == "REVOKED"
    assert code_of(LEAF.certificate, [CA.certificate], crls, NOW + DAY, store) in {"REVOKED", "TRY_LATER"}
    assert code_of(LEAF.certificate, [CA.certificate], (), NOW, store) == "TRY_LATER"
    assert hashlib.sha256(crls[1]).digest() != hashlib.sha256(CRLS[1]).digest()
