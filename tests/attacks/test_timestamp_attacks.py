"""Every step of token verification is broken on purpose; each must answer with its own code.

`Forge` writes tokens piece by piece. Its honest token passes, in every accepted algorithm and form, so that a
refusal below is due to the one thing that was changed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from signing.trust import TrustStore
from tests.services.certificates import key_usage as granting
from timestamping import der
from timestamping.algorithms import low_s
from timestamping.authority import EmbeddedAuthority
from timestamping.errors import TokenRefused
from timestamping.verify import Rfc3161Verifier, unwrap_response

DATA = Path(__file__).resolve().parents[1] / "data" / "tst"
NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
IMPRINT = hashlib.sha256(b"original").digest()
POLICY = "1.3.6.1.4.1.99999.1.1"
STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
ANY_KEY = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

OIDS = {
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha224": "2.16.840.1.101.3.4.2.4",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "ecdsa-sha1": "1.2.840.10045.4.1",
    "ecdsa-sha256": "1.2.840.10045.4.3.2",
    "ecdsa-sha384": "1.2.840.10045.4.3.3",
    "rsa": "1.2.840.113549.1.1.1",
    "rsa-sha1": "1.2.840.113549.1.1.5",
    "rsa-sha256": "1.2.840.113549.1.1.11",
    "rsa-pss": "1.2.840.113549.1.1.10",
    "mgf1": "1.2.840.113549.1.1.8",
    "ed25519": "1.3.101.112",
    "signed-data": "1.2.840.113549.1.7.2",
    "data": "1.2.840.113549.1.7.1",
    "tst-info": "1.2.840.113549.1.9.16.1.4",
    "content-type": "1.2.840.113549.1.9.3",
    "message-digest": "1.2.840.113549.1.9.4",
    "signing-time": "1.2.840.113549.1.9.5",
    "signing-certificate": "1.2.840.113549.1.9.16.2.12",
    "signing-certificate-v2": "1.2.840.113549.1.9.16.2.47",
}
NULL = b"\x05\x00"


def algorithm(name: str, parameters: bytes = b"") -> bytes:
    return der.sequence(der.object_id(OIDS[name]), parameters)


def attribute(name: str, *values: bytes) -> bytes:
    return der.sequence(der.object_id(OIDS[name]), der.set_of(values))


def pss(digest: str, *, mask: str | None = None, salt: int = 32, mgf: str = "mgf1") -> bytes:
    return algorithm(
        "rsa-pss",
        der.sequence(
            der.tlv(0xA0, algorithm(digest, NULL)),
            der.tlv(0xA1, algorithm(mgf, algorithm(mask or digest, NULL))),
            der.tlv(0xA2, der.integer(salt)),
        ),
    )


# A small public key infrastructure


@dataclass(frozen=True)
class Party:
    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issue(
    subject: str,
    issuer: Party | None,
    key: Any = None,
    *,
    ca: bool = False,
    usages: Sequence[x509.ObjectIdentifier] | None = (STAMPING,),
    critical: bool = True,
    start: datetime = NOW - timedelta(days=365),
    end: datetime = NOW + timedelta(days=365),
    serial: int | None = None,
    key_usage: tuple[str, ...] | None = ("digital_signature",),
    algorithm_hash: hashes.HashAlgorithm | None = None,
) -> Party:
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(issuer.certificate.subject if issuer else name_of(subject))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), critical=False
        )
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    if key_usage is not None:
        builder = builder.add_extension(granting(*key_usage), critical=True)
    return Party(builder.sign(signer_key, algorithm_hash or hashes.SHA256()), key)


def issue_ca(subject: str, issuer: Party | None) -> Party:
    return issue(subject, issuer, ca=True, usages=None, key_usage=("key_cert_sign", "crl_sign"))


ROOT = issue_ca("root", None)
CA = issue_ca("issuing authority", ROOT)
TSA = issue("timestamp unit", CA)
OTHER_TSA = issue("another timestamp unit", CA)
STRANGER_CA = issue_ca("issuing authority", None)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
RSA_TSA = issue("RSA unit", CA, rsa.generate_private_key(65537, 2048))
TRUST = TrustStore([ROOT.certificate], require_revocation=False)
VERIFIER = Rfc3161Verifier(TRUST)
STRICT = Rfc3161Verifier(TRUST, strict=True)


# The forge


def sign_with(key: Any, message: bytes, digest: str) -> bytes:
    hash_algorithm = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384}.get(
        digest, hashes.SHA512
    )()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return low_s(key.sign(message, ec.ECDSA(hash_algorithm)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hash_algorithm)
    return bytes(key.sign(message))


def reference_v2(certificate: bytes, digest: str | None = None, issuer_serial: bytes = b"") -> bytes:
    stated = algorithm(digest) if digest else b""
    value = der.octets(hashlib.new(digest or "sha256", certificate).digest())
    return der.sequence(der.sequence(der.sequence(stated, value, issuer_serial)))


def issuer_serial_of(party: Party) -> tuple[bytes, int]:
    return party.certificate.issuer.public_bytes(), party.certificate.serial_number


@dataclass
class Forge:
    """An honest token of the own form, unless a field says otherwise."""

    signer: Party = TSA
    key: Any = None
    imprint: bytes = IMPRINT
    imprint_algorithm: bytes = field(default_factory=lambda: algorithm("sha256"))
    gen_time: bytes = b"20261122050000Z"
    info_version: int = 1
    info_tail: bytes = b""
    signed_version: int = 3
    outer_kind: str = "signed-data"
    content_kind: str = "tst-info"
    digests: Sequence[bytes] | None = None
    digest: str = "sha256"
    digest_parameters: bytes = b""
    content: bytes | None = None
    wrapped_content: bytes | None = None
    digested_content: bytes | None = None
    attributes: Sequence[bytes] | None = None
    references: Sequence[bytes] | None = None
    extra_attributes: Sequence[bytes] = ()
    sort_attributes: bool = True
    identifier: bytes | None = None
    signer_version: int = 1
    signature_algorithm: bytes = field(default_factory=lambda: algorithm("ecdsa-sha256"))
    sign: Callable[[bytes], bytes] | None = None
    certificates: Sequence[bytes] | None = None
    crls: bytes = b""
    unsigned: bytes = b""
    second_signer: bytes = b""
    drop_signer: bool = False

    def info(self) -> bytes:
        return der.sequence(
            der.integer(self.info_version),
            der.object_id(POLICY),
            der.sequence(self.imprint_algorithm, der.octets(self.imprint)),
            der.integer(4711),
            der.tlv(der.GENERALIZED_TIME, self.gen_time),
            self.info_tail,
        )

    def signer_info(self, content: bytes) -> bytes:
        references = self.references
        if references is None:
            references = [attribute("signing-certificate-v2", reference_v2(self.signer.der))]
        attributes = self.attributes
        if attributes is None:
            digested = content if self.digested_content is None else self.digested_content
            attributes = [
                attribute("content-type", der.object_id(OIDS["tst-info"])),
                attribute("message-digest", der.octets(hashlib.new(self.digest, digested).digest())),
            ]
        listed = [*attributes, *references, *self.extra_attributes]
        body = b"".join(sorted(listed) if self.sort_attributes else listed)
        message = der.tlv(der.SET, body)
        key = self.key or self.signer.key
        signature = self.sign(message) if self.sign else sign_with(key, message, self.digest)
        identifier = self.identifier
        if identifier is None:
            issuer, serial = issuer_serial_of(self.signer)
            identifier = der.sequence(issuer, der.integer(serial))
        return der.sequence(
            der.integer(self.signer_version),
            identifier,
            algorithm(self.digest, self.digest_parameters),
            der.tlv(0xA0, body),
            self.signature_algorithm,
            der.octets(signature),
            self.unsigned,
        )

    def token(self) -> bytes:
        content = self.info() if self.content is None else self.content
        signer = b"" if self.drop_signer else self.signer_info(content)
        certificates = self.certificates
        if certificates is None:
            certificates = sorted([self.signer.der, CA.der])
        wrapped = der.octets(content) if self.wrapped_content is None else self.wrapped_content
        digests = self.digests
        if digests is None:
            digests = [algorithm(self.digest, self.digest_parameters)]
        signed = der.sequence(
            der.integer(self.signed_version),
            der.set_of(digests),
            der.sequence(der.object_id(OIDS[self.content_kind]), der.tlv(0xA0, wrapped)),
            der.tlv(0xA0, *certificates) if certificates else b"",
            self.crls,
            der.tlv(der.SET, signer, self.second_signer),
        )
        return der.sequence(der.object_id(OIDS[self.outer_kind]), der.tlv(0xA0, signed))


def code_of(
    token: bytes, imprint: bytes = IMPRINT, verifier: Rfc3161Verifier = VERIFIER, **given: Any
) -> str:
    try:
        verifier.verify(token, imprint, **given)
    except TokenRefused as refused:
        return refused.code
    return "accepted"


# What must pass


def test_the_honest_token_is_accepted_even_strictly() -> None:
    report = STRICT.verify(Forge().token(), IMPRINT)
    assert report.signer == TSA.certificate
    assert report.gen_time == NOW
    assert report.serial == 4711


SKI = der.tlv(0x80, x509.SubjectKeyIdentifier.from_public_key(TSA.key.public_key()).digest)
ISSUER, SERIAL = issuer_serial_of(TSA)
REF_ISSUER = der.sequence(der.sequence(der.tlv(0xA4, ISSUER)), der.integer(SERIAL))
P384_TSA = issue("P-384 unit", CA, ec.generate_private_key(ec.SECP384R1()))
ED_TSA = issue("Ed25519 unit", CA, ed25519.Ed25519PrivateKey.generate())
SHA1_REFERENCE = der.sequence(
    der.sequence(der.sequence(der.octets(hashlib.sha1(TSA.der, usedforsecurity=False).digest())))
)


def pss_sign(digest: hashes.HashAlgorithm, salt: int) -> Callable[[bytes], bytes]:
    return lambda m: RSA_TSA.key.sign(m, padding.PSS(padding.MGF1(digest), salt), digest)


FOREIGN = {
    "fraction of a second": Forge(gen_time=b"20261122050000.25Z"),
    "accuracy, ordering, nonce, name, extension": Forge(
        info_tail=der.sequence(der.integer(1), b"\x80\x01\x05", b"\x81\x02\x01\xf4")
        + b"\x01\x01\xff"
        + der.integer(-77)
        + der.tlv(0xA0, der.tlv(0xA4, ISSUER))
        + der.tlv(0xA1, der.sequence(der.object_id("1.2.3"), der.octets(b"x")))
    ),
    "NULL parameters": Forge(digest_parameters=NULL),
    "SHA-512 of an unsorted list": Forge(
        digest="sha512",
        digests=[algorithm("sha512"), algorithm("sha256")],
        sign=lambda m: TSA.key.sign(m, ec.ECDSA(hashes.SHA256())),
    ),
    "signer by key identifier": Forge(identifier=SKI, signer_version=3),
    "signing-certificate (SHA-1)": Forge(references=[attribute("signing-certificate", SHA1_REFERENCE)]),
    "both references": Forge(
        references=[
            attribute("signing-certificate", SHA1_REFERENCE),
            attribute("signing-certificate-v2", reference_v2(TSA.der, "sha512", REF_ISSUER)),
        ]
    ),
    "signing-time": Forge(extra_attributes=[attribute("signing-time", der.tlv(0x17, b"261122050000Z"))]),
    "unsigned attribute": Forge(
        unsigned=der.tlv(0xA1, der.sequence(der.object_id("1.2.3"), der.set_of([NULL])))
    ),
    "certificates in any order, one not needed": Forge(
        certificates=sorted([TSA.der, OTHER_TSA.der, CA.der], reverse=True)
    ),
    "P-384": Forge(
        signer=P384_TSA,
        digest="sha384",
        signature_algorithm=algorithm("ecdsa-sha384"),
        sign=lambda m: P384_TSA.key.sign(m, ec.ECDSA(hashes.SHA384())),
    ),
    "Ed25519": Forge(signer=ED_TSA, digest="sha512", signature_algorithm=algorithm("ed25519")),
    "RSA PKCS#1 v1.5": Forge(signer=RSA_TSA, signature_algorithm=algorithm("rsa-sha256", NULL)),
    "RSA with the digest beside it": Forge(signer=RSA_TSA, signature_algorithm=algorithm("rsa", NULL)),
    "RSA-PSS": Forge(signer=RSA_TSA, signature_algorithm=pss("sha256"), sign=pss_sign(hashes.SHA256(), 32)),
    "RSA-PSS, SHA-512": Forge(
        signer=RSA_TSA,
        digest="sha512",
        signature_algorithm=pss("sha512", salt=64),
        sign=pss_sign(hashes.SHA512(), 64),
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_legitimate_forms_are_accepted_but_not_as_our_own(kind: str) -> None:
    token = FOREIGN[kind].token()
    assert code_of(token) == "accepted"
    # Everything inside the TSTInfo is signed, hence harmless; all else is refused as not ours.
    ours = kind in ("fraction of a second", "accuracy, ordering, nonce, name, extension")
    if kind == "RSA-PSS":
        ours = True
    assert code_of(token, verifier=STRICT) == ("accepted" if ours else "FORMAT_FAILURE")


def test_a_token_without_certificates_is_verified_with_those_at_hand() -> None:
    token = Forge(certificates=[]).token()
    assert code_of(token) == "NO_SIGNING_CERTIFICATE_FOUND"
    assert code_of(token, others=[CA.certificate, TSA.certificate]) == "accepted"
    assert code_of(Forge(certificates=[TSA.der]).token()) == "NO_CERTIFICATE_CHAIN_FOUND"
    assert code_of(Forge(certificates=[TSA.der]).token(), others=[CA.certificate]) == "accepted"


@pytest.mark.parametrize("digest", ["sha384", "sha512"])
def test_an_imprint_may_use_another_accepted_hash(digest: str) -> None:
    imprint = hashlib.new(digest, b"original").digest()
    token = Forge(imprint=imprint, imprint_algorithm=algorithm(digest)).token()
    assert code_of(token, imprint) == "accepted"
    assert code_of(token) == "HASH_FAILURE"


# What must not

EVIL_CONTENT = Forge(imprint=hashlib.sha256(b"forged").digest()).info()
HONEST_SIGNER = Forge().signer_info(Forge().info())
EXPIRED = issue("expired unit", CA, end=NOW - timedelta(seconds=1))
FUTURE = issue("future unit", CA, start=NOW + timedelta(seconds=1))
STRANGER = issue("timestamp unit", STRANGER_CA, serial=SERIAL)
WEAK_RSA = issue("weak unit", CA, rsa.generate_private_key(65537, 1024))
K256 = issue("secp256k1 unit", CA, ec.generate_private_key(ec.SECP256K1()))
SELF_SIGNED = issue("self-signed unit", None)
TWIN = issue("timestamp unit twin", CA, serial=SERIAL)


ROLES = {
    "no extended key usage": issue("unit", CA, usages=None),
    "not critical": issue("unit", CA, critical=False),
    "another usage": issue("unit", CA, usages=[ExtendedKeyUsageOID.CODE_SIGNING]),
    "one more usage": issue("unit", CA, usages=[STAMPING, ExtendedKeyUsageOID.SERVER_AUTH]),
    "any usage": issue("unit", CA, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    "key encipherment": issue("unit", CA, key_usage=("digital_signature", "key_encipherment")),
    "certificate signing": issue("unit", CA, key_usage=("digital_signature", "key_cert_sign")),
    "empty key usage": issue("unit", CA, key_usage=()),
    "no signing usage": issue("unit", CA, key_usage=("key_agreement",)),
    "a certification authority": issue("unit", CA, ca=True),
}


ATTACKS: dict[str, tuple[str, Forge | Callable[[], bytes]]] = {
    # 1 form
    "empty": ("FORMAT_FAILURE", lambda: b""),
    "garbage": ("FORMAT_FAILURE", lambda: random.Random(1).randbytes(1200)),
    "nested without end": ("FORMAT_FAILURE", lambda: b"\x30\x80" * 50_000),
    "a response instead of the token": (
        "FORMAT_FAILURE",
        lambda: der.sequence(der.sequence(der.integer(0)), Forge().token()),
    ),
    "trailing octet": ("FORMAT_FAILURE", lambda: Forge().token() + b"\x00"),
    "truncated": ("FORMAT_FAILURE", lambda: Forge().token()[:-1]),
    "two tokens": ("FORMAT_FAILURE", lambda: Forge().token() * 2),
    "SignedData version": ("FORMAT_FAILURE", Forge(signed_version=1)),
    "not SignedData": ("FORMAT_FAILURE", Forge(outer_kind="data")),
    "content of another type": ("FORMAT_FAILURE", Forge(content_kind="data")),
    "TSTInfo version": ("FORMAT_FAILURE", Forge(info_version=2)),
    "two SignerInfos": ("FORMAT_FAILURE", Forge(second_signer=HONEST_SIGNER)),
    "no SignerInfo": ("FORMAT_FAILURE", Forge(drop_signer=True)),
    "SignerInfo version": ("FORMAT_FAILURE", Forge(signer_version=3)),
    "attributes out of order": (
        "FORMAT_FAILURE",
        Forge(
            sort_attributes=False,
            attributes=[
                attribute("message-digest", der.octets(hashlib.sha256(Forge().info()).digest())),
                attribute("content-type", der.object_id(OIDS["tst-info"])),
            ],
        ),
    ),
    "attribute twice": (
        "FORMAT_FAILURE",
        Forge(extra_attributes=[attribute("content-type", der.object_id(OIDS["tst-info"]))]),
    ),
    "critical extension": (
        "FORMAT_FAILURE",
        Forge(
            info_tail=der.tlv(0xA1, der.sequence(der.object_id("1.2.3"), b"\x01\x01\xff", der.octets(b"")))
        ),
    ),
    "octets after the TSTInfo": ("FORMAT_FAILURE", Forge(content=Forge().info() + NULL)),
    "unknown field in the TSTInfo": ("FORMAT_FAILURE", Forge(info_tail=b"\xa5\x00")),
    "local time": ("FORMAT_FAILURE", Forge(gen_time=b"20261122050000+0100")),
    "time without zone": ("FORMAT_FAILURE", Forge(gen_time=b"20261122050000")),
    "time with trailing zero": ("FORMAT_FAILURE", Forge(gen_time=b"20261122050000.10Z")),
    "time without seconds": ("FORMAT_FAILURE", Forge(gen_time=b"202611220500Z")),
    "no such day": ("FORMAT_FAILURE", Forge(gen_time=b"20260230050000Z")),
    "leap second": ("FORMAT_FAILURE", Forge(gen_time=b"20261231235960Z")),
    "accuracy of 1000 ms": ("FORMAT_FAILURE", Forge(info_tail=der.sequence(b"\x80\x02\x03\xe8"))),
    # 2 algorithms
    "SHA-1 digests": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(digest="sha1", signature_algorithm=algorithm("ecdsa-sha1")),
    ),
    "MD5 digests": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(digest="md5", sign=lambda m: sign_with(TSA.key, m, "sha256")),
    ),
    "SHA-1 imprint": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(
            imprint=hashlib.sha1(b"x", usedforsecurity=False).digest(), imprint_algorithm=algorithm("sha1")
        ),
    ),
    "SHA-224 imprint": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(imprint=bytes(28), imprint_algorithm=algorithm("sha224")),
    ),
    "digest with parameters": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(digest_parameters=der.octets(b"")),
    ),
    "digest algorithm not listed": ("FORMAT_FAILURE", Forge(digests=[algorithm("sha512")])),
    # 3 imprint
    "imprint swapped before signing": ("HASH_FAILURE", Forge(imprint=bytes(32))),
    "imprint cut short": ("HASH_FAILURE", Forge(imprint=IMPRINT[:31])),
    "imprint said to be of another algorithm": (
        "HASH_FAILURE",
        Forge(imprint_algorithm=algorithm("sha512")),
    ),
    # 4 signer
    "signer not in the token": (
        "NO_SIGNING_CERTIFICATE_FOUND",
        Forge(certificates=[OTHER_TSA.der, CA.der]),
    ),
    "signer with another serial number": (
        "NO_SIGNING_CERTIFICATE_FOUND",
        Forge(identifier=der.sequence(ISSUER, der.integer(SERIAL ^ 1))),
    ),
    "unknown key identifier": (
        "NO_SIGNING_CERTIFICATE_FOUND",
        Forge(identifier=der.tlv(0x80, bytes(20)), signer_version=3),
    ),
    # 5 binding
    "no reference": ("CHAIN_CONSTRAINTS_FAILURE", Forge(references=[])),
    "reference to another certificate": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(references=[attribute("signing-certificate-v2", reference_v2(OTHER_TSA.der))]),
    ),
    "the signer is only the second reference": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(
            references=[
                attribute(
                    "signing-certificate-v2",
                    der.sequence(
                        der.sequence(
                            der.sequence(der.octets(hashlib.sha256(OTHER_TSA.der).digest())),
                            der.sequence(der.octets(hashlib.sha256(TSA.der).digest())),
                        )
                    ),
                )
            ]
        ),
    ),
    "reference with another serial number": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(
            references=[
                attribute(
                    "signing-certificate-v2",
                    reference_v2(
                        TSA.der,
                        None,
                        der.sequence(der.sequence(der.tlv(0xA4, ISSUER)), der.integer(SERIAL + 1)),
                    ),
                )
            ]
        ),
    ),
    "reference with another issuer": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(
            references=[
                attribute(
                    "signing-certificate-v2",
                    reference_v2(
                        TSA.der,
                        None,
                        der.sequence(
                            der.sequence(der.tlv(0xA4, name_of("x").public_bytes())), der.integer(SERIAL)
                        ),
                    ),
                )
            ]
        ),
    ),
    "good v2 reference beside a bad v1": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(
            references=[
                attribute(
                    "signing-certificate", der.sequence(der.sequence(der.sequence(der.octets(bytes(20)))))
                ),
                attribute("signing-certificate-v2", reference_v2(TSA.der)),
            ]
        ),
    ),
    "v2 reference by SHA-1": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(references=[attribute("signing-certificate-v2", reference_v2(TSA.der, "sha1"))]),
    ),
    "two values of the reference": (
        "FORMAT_FAILURE",
        Forge(
            references=[
                attribute("signing-certificate-v2", reference_v2(TSA.der), reference_v2(OTHER_TSA.der))
            ]
        ),
    ),
    "empty reference": (
        "FORMAT_FAILURE",
        Forge(references=[attribute("signing-certificate-v2", der.sequence(der.sequence()))]),
    ),
    "leaf replaced by its twin (same issuer and serial number)": (
        "CHAIN_CONSTRAINTS_FAILURE",
        Forge(certificates=sorted([TWIN.der, CA.der])),
    ),
    # 6 content
    "TSTInfo swapped after signing": (
        "HASH_FAILURE",
        Forge(content=Forge(gen_time=b"20200101000000Z").info(), digested_content=Forge().info()),
    ),
    "no content-type": (
        "FORMAT_FAILURE",
        Forge(attributes=[attribute("message-digest", der.octets(hashlib.sha256(Forge().info()).digest()))]),
    ),
    "content-type of another thing": (
        "FORMAT_FAILURE",
        Forge(
            attributes=[
                attribute("content-type", der.object_id(OIDS["data"])),
                attribute("message-digest", der.octets(hashlib.sha256(Forge().info()).digest())),
            ]
        ),
    ),
    "no message-digest": (
        "FORMAT_FAILURE",
        Forge(attributes=[attribute("content-type", der.object_id(OIDS["tst-info"]))]),
    ),
    "two message-digests": (
        "FORMAT_FAILURE",
        Forge(
            attributes=[
                attribute("content-type", der.object_id(OIDS["tst-info"])),
                attribute(
                    "message-digest",
                    *(der.octets(hashlib.sha256(c).digest()) for c in (Forge().info(), EVIL_CONTENT)),
                ),
            ]
        ),
    ),
    # 7 signature
    "signed by another key": ("SIG_CRYPTO_FAILURE", Forge(key=OTHER_TSA.key)),
    "signed by another RSA key": (
        "SIG_CRYPTO_FAILURE",
        Forge(signer=RSA_TSA, key=OTHER_RSA, signature_algorithm=algorithm("rsa-sha256", NULL)),
    ),
    "signed by another Ed25519 key": (
        "SIG_CRYPTO_FAILURE",
        Forge(
            signer=ED_TSA,
            key=ed25519.Ed25519PrivateKey.generate(),
            digest="sha512",
            signature_algorithm=algorithm("ed25519"),
        ),
    ),
    "signature over nothing": ("SIG_CRYPTO_FAILURE", Forge(sign=lambda _: b"")),
    "signature over the content": (
        "SIG_CRYPTO_FAILURE",
        Forge(sign=lambda _: sign_with(TSA.key, Forge().info(), "sha256")),
    ),
    "signature of zeros": ("SIG_CRYPTO_FAILURE", Forge(sign=lambda _: encode_dss_signature(0, 0))),
    "RSA algorithm for an elliptic curve key": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signature_algorithm=algorithm("rsa-sha256", NULL)),
    ),
    "elliptic curve algorithm for an RSA key": ("CRYPTO_CONSTRAINTS_FAILURE", Forge(signer=RSA_TSA)),
    "RSA with SHA-1": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=algorithm("rsa-sha1", NULL)),
    ),
    "RSA-PSS without parameters": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=algorithm("rsa-pss")),
    ),
    "RSA-PSS with empty parameters": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=algorithm("rsa-pss", der.sequence())),
    ),
    "RSA-PSS of another hash": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=pss("sha512", salt=64), sign=pss_sign(hashes.SHA512(), 64)),
    ),
    "RSA-PSS with SHA-1 in the mask": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=pss("sha256", mask="sha1")),
    ),
    "RSA-PSS with another mask function": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=pss("sha256", mgf="sha256")),
    ),
    "RSA-PSS with another salt length": (
        "SIG_CRYPTO_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=pss("sha256", salt=20), sign=pss_sign(hashes.SHA256(), 32)),
    ),
    "PKCS#1 signature said to be PSS": (
        "SIG_CRYPTO_FAILURE",
        Forge(signer=RSA_TSA, signature_algorithm=pss("sha256")),
    ),
    "RSA of 1024 bits": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=WEAK_RSA, signature_algorithm=algorithm("rsa-sha256", NULL)),
    ),
    "curve that is not accepted": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=K256, sign=lambda m: K256.key.sign(m, ec.ECDSA(hashes.SHA256()))),
    ),
    "Ed25519 with SHA-256 (RFC 8419)": (
        "CRYPTO_CONSTRAINTS_FAILURE",
        Forge(signer=ED_TSA, signature_algorithm=algorithm("ed25519")),
    ),
    # 9 path
    "signer expired at genTime": ("EXPIRED", Forge(signer=EXPIRED)),
    "signer not yet valid at genTime": ("NOT_YET_VALID", Forge(signer=FUTURE)),
    "genTime before the signer's certificate": ("NOT_YET_VALID", Forge(gen_time=b"20200101000000Z")),
    "genTime after the signer's certificate": ("EXPIRED", Forge(gen_time=b"20400101000000Z")),
    "signer of an untrusted namesake": (
        "NO_CERTIFICATE_CHAIN_FOUND",
        Forge(signer=STRANGER, certificates=sorted([STRANGER.der, STRANGER_CA.der])),
    ),
    "self-signed signer": (
        "NO_CERTIFICATE_CHAIN_FOUND",
        Forge(signer=SELF_SIGNED, certificates=[SELF_SIGNED.der]),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_with_its_code(attack: str) -> None:
    code, made = ATTACKS[attack]
    token = made.token() if isinstance(made, Forge) else made()
    assert code_of(token) == code
    assert code_of(token, verifier=STRICT) != "accepted"


@pytest.mark.parametrize("role", ROLES)
def test_a_signer_of_another_role_is_refused(role: str) -> None:
    assert code_of(Forge(signer=ROLES[role]).token()) == "CHAIN_CONSTRAINTS_FAILURE"


@pytest.mark.parametrize("key_usage", [None, ("content_commitment",)])
def test_key_usage_may_be_absent_or_nonrepudiation(key_usage: tuple[str, ...] | None) -> None:
    assert code_of(Forge(signer=issue("unit", CA, key_usage=key_usage)).token()) == "accepted"


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def high_s(message: bytes) -> bytes:
    r, s = decode_dss_signature(sign_with(TSA.key, message, "sha256"))
    return encode_dss_signature(r, P256_ORDER - s)


STRICT_ONLY = {
    "a certificate that is not needed": Forge(certificates=sorted([TSA.der, OTHER_TSA.der, CA.der])),
    "a certificate twice": Forge(certificates=sorted([TSA.der, CA.der, CA.der])),
    "certificates out of order": Forge(certificates=sorted([TSA.der, CA.der], reverse=True)),
    "a digest algorithm more": Forge(digests=[algorithm("sha256"), algorithm("sha512")]),
    "a digest algorithm twice": Forge(digests=[algorithm("sha256"), algorithm("sha256")]),
    "a certificate of another format": Forge(certificates=[*sorted([TSA.der, CA.der]), b"\xa3\x02\x05\x00"]),
    "an unreadable certificate": Forge(certificates=sorted([TSA.der, CA.der, der.sequence(NULL)])),
    "a revocation list": Forge(crls=der.tlv(0xA1, der.sequence(NULL))),
    "empty revocation lists": Forge(crls=der.tlv(0xA1)),
    "the high s of the signature": Forge(sign=high_s),
}


@pytest.mark.parametrize("change", STRICT_ONLY)
def test_what_anyone_could_change_in_a_foreign_token_is_refused_in_our_own(change: str) -> None:
    token = STRICT_ONLY[change].token()
    assert code_of(token) == "accepted"
    assert code_of(token, verifier=STRICT) == "FORMAT_FAILURE"


def test_the_twin_beside_the_true_leaf_does_not_take_its_place() -> None:
    token = Forge(certificates=sorted([TWIN.der, TSA.der, CA.der])).token()
    assert VERIFIER.verify(token, IMPRINT).signer == TSA.certificate
    assert code_of(Forge(certificates=[CA.der]).token(), others=[TWIN.certificate]) == (
        "CHAIN_CONSTRAINTS_FAILURE"
    )


def test_ber_encodings_of_an_honest_token_are_refused() -> None:
    token = Forge().token()
    honest = der.only(token, der.SEQUENCE)
    body = honest.content
    length = len(body)
    variants = [
        b"\x30\x80" + body + b"\x00\x00",
        b"\x30\x83" + length.to_bytes(3, "big") + body,
        b"\x30\x84" + length.to_bytes(4, "big") + body,
    ]
    # The content as a constructed octet string in two parts, as streaming encoders write it.
    content = Forge().info()
    parts = der.tlv(0x24, der.octets(content[:10]), der.octets(content[10:]))
    streamed = Forge(wrapped_content=parts).token()
    variants.append(streamed)
    for variant in variants:
        assert code_of(variant) == "FORMAT_FAILURE"


class Throwing:
    """A path validator that meets a certificate no library can read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def validate(self, *_: object) -> Sequence[x509.Certificate]:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("x"), AssertionError(), RecursionError(), KeyError(1)])
def test_what_a_path_validator_throws_does_not_leak(error: Exception) -> None:
    verifier = Rfc3161Verifier(Throwing(error))
    assert code_of(Forge().token(), verifier=verifier) == "CERTIFICATE_CHAIN_GENERAL_FAILURE"


def test_a_defect_of_the_path_validator_is_not_taken_for_a_bad_token() -> None:
    with pytest.raises(MemoryError):
        Rfc3161Verifier(Throwing(MemoryError())).verify(Forge().token(), IMPRINT)


# Tokens made by others


class Recorder:
    """Stands for the trust in authorities whose roots are not at hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[x509.Certificate, datetime]] = []

    def validate(
        self, certificate: x509.Certificate, others: object, crls: object, at: datetime
    ) -> list[x509.Certificate]:
        self.asked.append((certificate, at))
        return [certificate]


def test_a_weak_key_is_refused_whatever_the_path_validator_says() -> None:
    token = Forge(signer=WEAK_RSA, signature_algorithm=algorithm("rsa-sha256", NULL)).token()
    assert code_of(token, verifier=Rfc3161Verifier(Recorder())) == "CRYPTO_CONSTRAINTS_FAILURE"


def test_injected_certificates_do_not_become_the_signer() -> None:
    token = unwrap_response((DATA / "sigstore-response-injected-certs.tsr").read_bytes())
    recorder = Recorder()
    report = Rfc3161Verifier(recorder).verify(token, hashlib.sha512(b"hello").digest())
    assert len(report.certificates) == 3
    assert report.signer.serial_number == 0x4EF39E99483E65080E2037BDEEBA92CDD28541AE
    assert recorder.asked == [(report.signer, datetime(2024, 10, 8, 15, 40, 32, tzinfo=UTC))]
    # The injected ones as anchors: were either taken for the signer or its issuer, this would pass.
    for injected in report.certificates:
        if injected != report.signer:
            trust = TrustStore([injected], require_revocation=False)
            code = code_of(token, hashlib.sha512(b"hello").digest(), Rfc3161Verifier(trust))
            assert code == "NO_CERTIFICATE_CHAIN_FOUND"


def test_a_public_authority_s_rsa_pss_token_is_verified_to_its_root() -> None:
    token = (DATA / "dss-d-trust.tsr").read_bytes()
    imprint = hashlib.sha256(b"Test123").digest()
    recorder = Recorder()
    report = Rfc3161Verifier(recorder).verify(token, imprint)
    assert report.gen_time == datetime(2018, 5, 23, 13, 18, 29, tzinfo=UTC)
    assert report.policy == "0.4.0.2023.1.1"
    assert code_of(token, hashlib.sha256(b"Test124").digest(), Rfc3161Verifier(recorder)) == "HASH_FAILURE"
    (root,) = (c for c in report.certificates if c.subject == c.issuer)
    trust = Rfc3161Verifier(TrustStore([root], require_revocation=False))
    assert trust.verify(token, imprint).signer == report.signer


# No octet of an own token is free


class FixedClock:
    def now(self) -> datetime:
        return NOW


OWN = EmbeddedAuthority(TSA.key, [TSA.certificate, CA.certificate], POLICY, FixedClock()).token(IMPRINT).der


def test_every_bit_of_an_own_token_is_authenticated() -> None:
    assert code_of(OWN, verifier=STRICT) == "accepted"
    mutant = bytearray(OWN)
    accepted = []
    for at in range(len(OWN)):
        for bit in range(8):
            mutant[at] ^= 1 << bit
            if code_of(bytes(mutant), verifier=STRICT) == "accepted":
                accepted.append((at, bit))
            mutant[at] ^= 1 << bit
    assert accepted == []
    assert mutant == OWN


@given(at=st.integers(0, len(OWN) - 1), size=st.integers(0, 3), new=st.binary(max_size=3))
def test_no_splice_of_an_own_token_is_accepted(at: int, size: int, new: bytes) -> None:
    mutant = OWN[:at] + new + OWN[at + size :]
    if mutant != OWN:
        assert code_of(mutant, verifier=STRICT) != "accepted"


@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused_and_nothing_leaks(garbage: bytes) -> None:
    assert code_of(garbage) == "FORMAT_FAILURE"
    with pytest.raises(TokenRefused):
        unwrap_response(garbage)


# Responses


def response(status: int, token: bytes = b"", failure: bytes = b"", text: bytes = b"") -> bytes:
    return der.sequence(der.sequence(der.integer(status), text, failure), token)


def test_a_response_is_opened_only_when_granted() -> None:
    token = Forge().token()
    assert unwrap_response(response(0, token)) == token
    assert unwrap_response(response(1, token)) == token, "granted with modifications"
    for status in (2, 3, 4, 5, -1, 77):
        with pytest.raises(TokenRefused) as refused:
            unwrap_response(response(status, token))
        assert refused.value.code == "TSA_STATUS"


@pytest.mark.parametrize(
    "body",
    [
        response(0),
        response(0, Forge().token(), b"\x03\x02\x05\x20"),
        response(0, Forge().token()) + b"\x00",
        response(0, Forge().token() * 2),
        response(0, failure=b"\x03\x02\x05\x21"),
        Forge().token(),
    ],
    ids=["no token", "failure", "trailing", "two tokens", "unused bits", "bare token"],
)
def test_a_malformed_response_is_refused(body: bytes) -> None:
    with pytest.raises(TokenRefused) as refused:
        unwrap_response(body)
    assert refused.value.code == "FORMAT_FAILURE"


def test_the_authority_s_text_cannot_forge_log_lines() -> None:
    text = der.sequence(der.tlv(der.UTF8_STRING, b"no\r\nadmin logged in \xff\x1b[31m" + b"x" * 500))
    with pytest.raises(TokenRefused) as refused:
        unwrap_response(response(2, text=text))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300
