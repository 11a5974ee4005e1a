"""The embedded authority: the form of its tokens, its answers, its refusals to start."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from timestamping import der
from timestamping.authority import EmbeddedAuthority
from timestamping.base import SigningKey
from timestamping.errors import AuthorityMisconfigured, AuthorityUnavailable, TokenRefused
from timestamping.messages import MAX_REQUEST, Failure, parse_response
from timestamping.verify import Rfc3161Verifier, unwrap_response

POLICY = "1.3.6.1.4.1.99999.1.1"
IMPRINT = hashlib.sha256(b"acte").digest()


@dataclass
class FixedClock:
    moment: datetime

    def now(self) -> datetime:
        return self.moment


NOW = datetime(2026, 11, 22, 4, 48, 1, 987654, tzinfo=UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("pki"), NOW - timedelta(days=1))


@pytest.fixture(scope="module")
def authority(pki: DevPki) -> EmbeddedAuthority:
    key = pki.timestamp
    return EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, FixedClock(NOW))


@pytest.fixture(scope="module")
def verifier(pki: DevPki) -> Rfc3161Verifier:
    return Rfc3161Verifier(TrustStore(pki.roots(), require_revocation=False), strict=True)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def self_made(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    usages: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.TIME_STAMPING,),
    *,
    critical: bool = True,
    ca: bool = False,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "horodatage")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    return builder.sign(key, hashes.SHA256())


def request(
    *,
    algorithm: str = "sha256",
    digest: bytes | None = None,
    nonce: int | None = None,
    policy: str | None = None,
    certificates: bool = False,
    version: int = 1,
    extensions: object = None,
) -> bytes:
    """A request written by asn1crypto."""
    fields: dict[str, object] = {
        "version": version,
        "message_imprint": {
            "hash_algorithm": {"algorithm": algorithm},
            "hashed_message": hashlib.new(algorithm, b"acte").digest() if digest is None else digest,
        },
        "cert_req": certificates,
    }
    if nonce is not None:
        fields["nonce"] = nonce
    if policy is not None:
        fields["req_policy"] = policy
    if extensions is not None:
        fields["extensions"] = extensions
    return bytes(tsp.TimeStampReq(fields).dump())


def test_a_token_has_the_form_of_the_rfcs(authority: EmbeddedAuthority) -> None:
    token = authority.token(IMPRINT)
    assert token.own_authority
    assert token.gen_time == NOW.replace(microsecond=0)
    content_info = cms.ContentInfo.load(token.der, strict=True)
    assert content_info.dump(force=True) == token.der, "canonical for another encoder too"
    signed = content_info["content"]
    assert signed["version"].native == "v3"
    assert [a["algorithm"].native for a in signed["digest_algorithms"]] == ["sha256"]
    assert signed["crls"].native is None
    assert {c.chosen.dump() for c in signed["certificates"]} == {
        c.public_bytes(Encoding.DER) for c in authority.chain()
    }
    info = signed["encap_content_info"]["content"].parsed
    assert isinstance(info, tsp.TSTInfo)
    assert info["version"].native == "v1"
    assert info["policy"].native == POLICY
    assert info["message_imprint"]["hashed_message"].native == IMPRINT
    assert info["gen_time"].contents == b"20261122044801Z"
    assert info["accuracy"].native == {"seconds": 1, "millis": None, "micros": None}
    assert info["ordering"].native is False
    assert info["nonce"].native is None
    assert 0 < info["serial_number"].native < 2**160
    (signer,) = signed["signer_infos"]
    assert signer["version"].native == "v1"
    assert signer["unsigned_attrs"].native is None
    attributes = {a["type"].native: a["values"] for a in signer["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    (reference,) = attributes["signing_certificate_v2"][0]["certs"]
    leaf = authority.chain()[0].public_bytes(Encoding.DER)
    assert reference["cert_hash"].native == hashlib.sha256(leaf).digest()
    assert b"\x30\x0d\x06\x09\x60\x86\x48\x01" not in reference.dump(), "the default hash is left out"


def test_own_tokens_verify_in_the_strict_form(
    authority: EmbeddedAuthority, verifier: Rfc3161Verifier, pki: DevPki
) -> None:
    for count in range(50):
        imprint = hashlib.sha256(bytes([count])).digest()
        token = authority.token(imprint)
        assert len(token.der) <= authority.expected_size
        report = verifier.verify(token.der, imprint)
        assert report.gen_time == token.gen_time
        assert report.policy == POLICY
        assert report.imprint == imprint
        assert report.imprint_algorithm == "sha256"
        assert report.signer == pki.timestamp.certificate
        assert set(report.certificates) == set(authority.chain())


def test_expected_size_is_the_largest_and_is_reached(authority: EmbeddedAuthority) -> None:
    sizes = {len(authority.token(IMPRINT).der) for _ in range(300)}
    assert max(sizes) == authority.expected_size
    assert max(sizes) - min(sizes) <= 6


def test_an_rsa_authority_signs_with_pss_at_a_fixed_size(rsa_key: rsa.RSAPrivateKey) -> None:
    certificate = self_made(rsa_key)
    authority = EmbeddedAuthority(rsa_key, [certificate], POLICY, FixedClock(NOW))
    token = authority.token(IMPRINT)
    assert len(token.der) == authority.expected_size == len(authority.token(bytes(32)).der)

    class Itself:
        def validate(self, certificate: x509.Certificate, *_: object) -> list[x509.Certificate]:
            return [certificate]

    assert Rfc3161Verifier(Itself(), strict=True).verify(token.der, IMPRINT).signer == certificate


def test_an_imprint_of_another_length_is_refused(authority: EmbeddedAuthority) -> None:
    with pytest.raises(TokenRefused) as refused:
        authority.token(bytes(20))
    assert refused.value.code == "HASH_FAILURE"


def test_outside_its_validity_the_authority_is_silent(pki: DevPki) -> None:
    key = pki.timestamp
    clock = FixedClock(key.certificate.not_valid_after_utc + timedelta(seconds=1))
    authority = EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, clock)
    with pytest.raises(AuthorityUnavailable):
        authority.token(IMPRINT)
    answer = parse_response(authority.respond(request()))
    assert (answer.status, answer.failures, answer.token) == (2, {Failure.TIME_NOT_AVAILABLE}, None)


SERIALS = """
import sys
from datetime import datetime, UTC
from timestamping.authority import _serial
for _ in range(2000):
    print(_serial(datetime(2026, 11, 22, tzinfo=UTC)).hex())
"""


def test_serials_are_unique_across_processes_of_one_instant() -> None:
    root = Path(__file__).resolve().parents[2]
    runs = [
        subprocess.Popen([sys.executable, "-c", SERIALS], stdout=subprocess.PIPE, cwd=root) for _ in range(2)
    ]
    serials = [line for run in runs for line in run.communicate(timeout=60)[0].split()]
    assert len(serials) == len(set(serials)) == 4000
    assert {len(serial) for serial in serials} == {38}
    assert all(int(serial, 16) > 0 and int(serial[:2], 16) < 0x80 for serial in serials)


# Answers to requests


def status_of(answer: bytes) -> tsp.PKIStatusInfo:
    """PKIStatusInfo read by asn1crypto, whose own TimeStampResp cannot go without a token."""
    outer = core.Sequence.load(answer, strict=True)
    status = tsp.PKIStatusInfo.load(outer[0].dump(), strict=True)
    assert status.dump(force=True) == outer[0].dump()
    return status


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("nonce", [None, 0, 1, -5, 2**64 - 1, 2**160])
def test_a_good_request_is_granted_as_asked(
    authority: EmbeddedAuthority, verifier: Rfc3161Verifier, algorithm: str, nonce: int | None
) -> None:
    asked = request(algorithm=algorithm, nonce=nonce, certificates=True, policy=POLICY)
    response = tsp.TimeStampResp.load(authority.respond(asked), strict=True)
    assert response["status"]["status"].native == "granted"
    info = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert info["nonce"].native == nonce
    assert info["message_imprint"].dump() == tsp.TimeStampReq.load(asked)["message_imprint"].dump()
    token = unwrap_response(authority.respond(asked))
    verifier.verify(token, hashlib.new(algorithm, b"acte").digest())


def test_certificates_come_only_on_request(
    authority: EmbeddedAuthority, verifier: Rfc3161Verifier, pki: DevPki
) -> None:
    token = unwrap_response(authority.respond(request()))
    assert cms.ContentInfo.load(token)["content"]["certificates"].native is None
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(token, IMPRINT)
    assert refused.value.code == "NO_SIGNING_CERTIFICATE_FOUND"
    report = verifier.verify(token, IMPRINT, others=authority.chain())
    assert report.signer == pki.timestamp.certificate
    assert report.certificates == ()


@pytest.mark.parametrize(
    ("asked", "failure"),
    [
        (request(algorithm="sha1"), Failure.BAD_ALG),
        (request(algorithm="md5"), Failure.BAD_ALG),
        (request(digest=bytes(31)), Failure.BAD_DATA_FORMAT),
        (request(digest=b""), Failure.BAD_DATA_FORMAT),
        (request(algorithm="sha384", digest=bytes(32)), Failure.BAD_DATA_FORMAT),
        (request(policy="1.2.3.4"), Failure.UNACCEPTED_POLICY),
        (request(nonce=2**600), Failure.BAD_REQUEST),
        (
            request(extensions=[{"extn_id": "1.2.3.4", "critical": False, "extn_value": b"\x05\x00"}]),
            Failure.UNACCEPTED_EXTENSION,
        ),
        (request().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1), Failure.BAD_REQUEST),
        (request() + b"\x00", Failure.BAD_DATA_FORMAT),
        (request()[:-1], Failure.BAD_DATA_FORMAT),
        (b"", Failure.BAD_DATA_FORMAT),
        (b"POST / HTTP/1.1", Failure.BAD_DATA_FORMAT),
        (bytes(MAX_REQUEST + 1), Failure.BAD_REQUEST),
    ],
    ids=[
        "sha1",
        "md5",
        "short imprint",
        "empty imprint",
        "imprint of another algorithm",
        "policy",
        "long nonce",
        "extension",
        "version",
        "trailing",
        "truncated",
        "empty",
        "not DER",
        "too long",
    ],
)
def test_a_bad_request_is_rejected_with_its_reason(
    authority: EmbeddedAuthority, asked: bytes, failure: Failure
) -> None:
    answer = authority.respond(asked)
    status = status_of(answer)
    assert status["status"].native == "rejection"
    assert len(status["fail_info"].native) == 1
    assert len(core.Sequence.load(answer)) == 1
    parsed = parse_response(answer)
    assert parsed.failures == {failure}
    assert parsed.text
    with pytest.raises(TokenRefused) as refused:
        unwrap_response(answer)
    assert refused.value.code == "TSA_STATUS"


def test_the_failure_bits_are_those_that_asn1crypto_reads(authority: EmbeddedAuthority) -> None:
    names = {
        request(algorithm="sha1"): "bad_alg",
        request(policy="1.2.3"): "unaccepted_policy",
        b"": "bad_data_format",
    }
    for asked, name in names.items():
        assert status_of(authority.respond(asked))["fail_info"].native == {name}


def test_a_failing_key_is_answered_not_raised(pki: DevPki, caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def __init__(self, real: SigningKey) -> None:
            self.real: SigningKey | None = real

        def sign(self, data: bytes) -> bytes:
            if self.real is None:
                raise RuntimeError("the token was pulled out")
            return self.real.sign(data)

    key = Failing(pki.timestamp)
    authority = EmbeddedAuthority(
        key, (pki.timestamp.certificate, *pki.timestamp.chain), POLICY, FixedClock(NOW)
    )
    key.real = None
    answer = parse_response(authority.respond(request()))
    assert (answer.status, answer.failures) == (2, {Failure.SYSTEM_FAILURE})
    assert "pulled out" not in answer.text
    assert "pulled out" in caplog.text


def well_formed(answer: bytes) -> None:
    status_of(answer)
    parsed = parse_response(answer)
    granted = parsed.status == 0
    assert parsed.status in (0, 2)
    assert (parsed.token is not None) is granted
    assert bool(parsed.failures) is not granted


@given(garbage=st.binary(max_size=600))
@example(garbage=b"\x30" * 600)
@example(garbage=b"\x30\x80" * 300)
@example(garbage=der.sequence(b"\xff" * 100))
def test_garbage_gets_a_well_formed_answer(authority: EmbeddedAuthority, garbage: bytes) -> None:
    well_formed(authority.respond(garbage))


@given(data=st.data())
def test_a_mutated_request_gets_a_well_formed_answer(
    authority: EmbeddedAuthority, data: st.DataObject
) -> None:
    mutant = bytearray(
        request(
            algorithm=data.draw(st.sampled_from(["sha256", "sha512", "sha1"])),
            nonce=data.draw(st.none() | st.integers(-(2**80), 2**80)),
            certificates=data.draw(st.booleans()),
            policy=data.draw(st.sampled_from([None, POLICY])),
        )
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        match data.draw(st.sampled_from(["change", "delete", "insert"])):
            case "change":
                mutant[at] = data.draw(st.integers(0, 255))
            case "delete" if len(mutant) > 1:
                del mutant[at]
            case _:
                mutant[at:at] = data.draw(st.binary(max_size=4))
    well_formed(authority.respond(bytes(mutant)))


# Refusals to start


def starts(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, chain: list[x509.Certificate], policy: str = POLICY
) -> bool:
    try:
        EmbeddedAuthority(key, chain, policy, FixedClock(NOW))
    except AuthorityMisconfigured:
        return False
    return True


def test_it_starts_only_with_a_fit_certificate() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    stamping = ExtendedKeyUsageOID.TIME_STAMPING
    assert starts(key, [self_made(key)])
    assert not starts(key, [])
    assert not starts(key, [self_made(key, critical=False)])
    assert not starts(key, [self_made(key, (stamping, ExtendedKeyUsageOID.CODE_SIGNING))])
    assert not starts(key, [self_made(key, (ExtendedKeyUsageOID.CODE_SIGNING,))])
    assert not starts(key, [self_made(key, None)])
    assert not starts(key, [self_made(key, ca=True)])
    assert not starts(key, [self_made(key)], policy="not an identifier")
    other = ec.generate_private_key(ec.SECP256R1())
    assert not starts(other, [self_made(key)])
    assert not starts(key, [self_made(key), self_made(other)])


def test_it_does_not_start_with_another_kind_of_key() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        assert not starts(key, [self_made(key)])


class AwayKey:
    """A key in a token that may be away, or may hold another key when it is back."""

    def __init__(self, *keys: SigningKey | None) -> None:
        self.keys = list(keys)

    def sign(self, data: bytes) -> bytes:
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        if key is None:
            raise AuthorityUnavailable("the token is away")
        return key.sign(data)


def test_a_key_that_is_away_at_the_start_dates_when_it_is_back(
    pki: DevPki, verifier: Rfc3161Verifier
) -> None:
    key = pki.timestamp
    chain = (key.certificate, *key.chain)
    authority = EmbeddedAuthority(AwayKey(None, None, key), chain, POLICY, FixedClock(NOW))
    with pytest.raises(AuthorityUnavailable):
        authority.token(IMPRINT)
    verifier.verify(authority.token(IMPRINT).der, IMPRINT)


def test_a_key_that_comes_back_as_another_dates_nothing(pki: DevPki) -> None:
    key = pki.timestamp
    away = AwayKey(None, pki.evidence_seal)
    authority = EmbeddedAuthority(away, (key.certificate, *key.chain), POLICY, FixedClock(NOW))
    with pytest.raises(AuthorityMisconfigured):
        authority.token(IMPRINT)
