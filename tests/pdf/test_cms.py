"""CMS signatures: our own form octet for octet, other software's with care."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core as asn1_core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.sign.general import as_signing_certificate_v2

from signing.cms import CmsSigner, parse_cms, verify_cms
from signing.cms_form import signed_attributes
from signing.der import element_size, integer, tlv
from signing.errors import SignatureRefused

DIGEST = hashlib.sha256(b"content").digest()
TOKEN = tlv(0x30, bytes.fromhex("06092a864886f70d010701"), tlv(0xA0, tlv(0x04, bytes(300))))
AT = datetime(2026, 11, 22, 9, 30, 12, 345678, tzinfo=UTC)


@pytest.fixture(params=["p256", "rsa-pss"])
def key(request: pytest.FixtureRequest, pdf_bench: Any) -> Any:
    return pdf_bench.key(request.param)


def made(key: Any, signing_time: datetime | None = None, crls: tuple[bytes, ...] = ()) -> bytes:
    draft = CmsSigner(key).sign(DIGEST, signing_time=signing_time, certificates=key.chain, crls=crls)
    return draft.finish(TOKEN)


@pytest.mark.parametrize("signing_time", [None, AT, datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)])
def test_own_form_is_read_back_and_verifies(key: Any, signing_time: datetime | None, pdf_bench: Any) -> None:
    crls = pdf_bench.pki.crls(pdf_bench.now)
    der = made(key, signing_time, crls)
    parsed = parse_cms(der, strict=True)
    report = verify_cms(parsed, DIGEST)
    assert report.signer == key.certificate
    assert set(report.certificates) == {key.certificate, *key.chain}
    assert set(report.crls) == set(crls)
    assert report.tokens == (TOKEN,)
    assert report.signing_time == (signing_time and signing_time.replace(microsecond=0))
    assert report.imprint == hashlib.sha256(parsed.signature).digest()
    assert parsed.other_unsigned == ()


def test_certificates_are_written_once_and_the_seal_certificate_is_always_there(key: Any) -> None:
    signer = CmsSigner(key)
    many = (*key.chain, key.certificate, *key.chain, key.certificate)
    once = signer.sign(DIGEST, signing_time=None, certificates=(), crls=()).finish(TOKEN)
    twice = signer.sign(DIGEST, signing_time=None, certificates=many, crls=()).finish(TOKEN)
    assert parse_cms(once, strict=True).certificates == (key.certificate,)
    assert len(parse_cms(twice, strict=True).certificates) == 1 + len(key.chain)


def test_the_reserve_is_an_exact_upper_bound(key: Any) -> None:
    signer = CmsSigner(key)
    bound = signer.max_size(key.chain, (), len(TOKEN), None)
    sizes = {len(made(key)) for _ in range(40)}
    assert max(sizes) <= bound
    assert bound - min(sizes) <= 8
    longest = signer.sign(DIGEST, signing_time=None, certificates=key.chain, crls=())
    while len(longest.signature) < key.max_signature_size:
        longest = signer.sign(DIGEST, signing_time=None, certificates=key.chain, crls=())
    assert len(longest.finish(TOKEN)) == bound


def test_another_implementation_reads_the_same_attributes(key: Any) -> None:
    info = asn1_cms.ContentInfo.load(made(key, AT), strict=True)["content"]["signer_infos"][0]
    attributes = {item["type"].native: item["values"][0] for item in info["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2", "signing_time"}
    certificate = asn1_x509.Certificate.load(key.certificate.public_bytes(Encoding.DER))
    assert attributes["signing_certificate_v2"].dump() == as_signing_certificate_v2(certificate).dump()
    assert info["unsigned_attrs"][0]["type"].native == "signature_time_stamp_token"
    assert info["version"].native == "v1"


def test_pades_has_no_signing_time(key: Any) -> None:
    assert b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05" not in signed_attributes(DIGEST, key.certificate, None)


def test_every_bit_counts(key: Any) -> None:
    """No bit outside the token and the issuers' certificates can change; validation covers those two."""
    der = made(key)
    elsewhere = [(der.index(TOKEN), len(TOKEN))]
    for certificate in key.chain:
        encoded = certificate.public_bytes(Encoding.DER)
        elsewhere.append((der.index(encoded), len(encoded)))
    step = 3 if key.max_signature_size > 100 else 1
    for position in range(0, len(der), step):
        if any(start <= position < start + size for start, size in elsewhere):
            continue
        changed = bytearray(der)
        changed[position] ^= 1 << (position % 8)
        with pytest.raises(SignatureRefused):
            verify_cms(parse_cms(bytes(changed), strict=True), DIGEST)


def rewritten(der: bytes, change: Any) -> bytes:
    content = asn1_cms.ContentInfo.load(der)
    change(content["content"])
    return content.dump(force=True)


def test_shapes_that_are_not_ours(key: Any) -> None:
    der = made(key)

    def second_signer(data: Any) -> None:
        data["signer_infos"].append(data["signer_infos"][0].copy())

    def no_certificate(data: Any) -> None:
        data["certificates"] = [item for item in data["certificates"] if item.chosen.ca]

    def inside(data: Any) -> None:
        data["encap_content_info"] = {"content_type": "data", "content": b"content"}

    def more_unsigned(data: Any) -> None:
        data["signer_infos"][0]["unsigned_attrs"].append(
            asn1_cms.CMSAttribute({"type": "1.2.3.4", "values": [asn1_core.Null()]})
        )

    for change, code, foreign in (
        (second_signer, "FORMAT_FAILURE", False),
        (no_certificate, "NO_SIGNING_CERTIFICATE_FOUND", False),
        (inside, "FORMAT_FAILURE", False),
        (more_unsigned, "FORMAT_FAILURE", True),
    ):
        changed = rewritten(der, change)
        with pytest.raises(SignatureRefused) as caught:
            parse_cms(changed, strict=True)
        assert caught.value.code == code, change
        if foreign:
            assert parse_cms(changed, strict=False).other_unsigned == ("1.2.3.4",)
        else:
            with pytest.raises(SignatureRefused):
                parse_cms(changed, strict=False)


def test_trailing_octets_and_a_missing_token(key: Any) -> None:
    der = made(key)
    for strict in (True, False):
        with pytest.raises(SignatureRefused, match="CMS"):
            parse_cms(der + b"\x00", strict=strict)
    draft = CmsSigner(key).sign(DIGEST, signing_time=None, certificates=(), crls=())
    for token in (b"", b"\x30", TOKEN + b"\x00", b"\x31\x00", b"\x30\x81\x05\x00"):
        with pytest.raises(SignatureRefused) as caught:
            draft.finish(token)
        assert caught.value.code == "FORMAT_FAILURE"


def test_other_content_other_key_other_certificate(key: Any, pdf_bench: Any) -> None:
    parsed = parse_cms(made(key), strict=True)
    with pytest.raises(SignatureRefused) as caught:
        verify_cms(parsed, hashlib.sha256(b"other").digest())
    assert (caught.value.code, caught.value.indeterminate) == ("HASH_FAILURE", False)

    class Liar:
        """Signs with its own key under another's certificate."""

        certificate = pdf_bench.pki.act_seal("mairie-y", "Mairie de Y").certificate
        max_signature_size = key.max_signature_size
        sign = key.sign

    lie = CmsSigner(Liar()).sign(DIGEST, signing_time=None, certificates=(), crls=()).finish(TOKEN)
    with pytest.raises(SignatureRefused) as caught:
        verify_cms(parse_cms(lie, strict=True), DIGEST)
    assert caught.value.code in {"SIG_CRYPTO_FAILURE", "FORMAT_FAILURE"}


def test_binding_to_another_certificate_of_the_same_key(pdf_bench: Any) -> None:
    """A certificate with the same name, serial number and key, but other contents, takes nothing over."""
    private = ec.generate_private_key(ec.SECP256R1())
    first, second = (self_signed(private, days=days) for days in (1, 2))

    class Held:
        certificate = first
        max_signature_size = 72

        def sign(self, data: bytes) -> bytes:
            return private.sign(data, ec.ECDSA(hashes.SHA256()))

    der = CmsSigner(Held()).sign(DIGEST, signing_time=None, certificates=(), crls=()).finish(TOKEN)
    verify_cms(parse_cms(der, strict=True), DIGEST)
    one, two = (item.public_bytes(Encoding.DER) for item in (first, second))

    def swap(data: Any) -> None:
        data["certificates"] = [asn1_cms.CertificateChoices("certificate", asn1_x509.Certificate.load(two))]

    swapped = rewritten(der, swap)
    assert one not in swapped
    with pytest.raises(SignatureRefused) as caught:
        verify_cms(parse_cms(swapped, strict=False), DIGEST)
    assert (caught.value.code, caught.value.indeterminate) == ("NO_SIGNING_CERTIFICATE_FOUND", True)
    with pytest.raises(SignatureRefused):
        parse_cms(swapped, strict=True)


def self_signed(private: Any, days: int = 1) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "élue")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + timedelta(days=days))
        .sign(private, hashes.SHA256())
    )


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_foreign_cms_verifies_up_to_its_missing_binding(algorithm: Any, kind: str) -> None:
    """Another library's PKCS #7: PKCS #1 v1.5 or ECDSA, other digests, no signing-certificate attribute."""
    private: Any = (
        rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    )
    der = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(b"content")
        .add_signer(self_signed(private), private, algorithm)
        .sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    )
    parsed = parse_cms(der, strict=False)
    assert parsed.digest_algorithm == algorithm.name
    with pytest.raises(SignatureRefused) as caught:
        verify_cms(parsed, hashlib.new(algorithm.name, b"content").digest())
    assert (caught.value.code, caught.value.indeterminate) == ("SIG_CONSTRAINTS_FAILURE", True)
    with pytest.raises(SignatureRefused) as caught:
        verify_cms(parsed, hashlib.new(algorithm.name, b"other").digest())
    assert caught.value.code == "HASH_FAILURE"
    with pytest.raises(SignatureRefused):
        parse_cms(der, strict=True)


def test_weak_digest_and_key_prove_nothing_alone() -> None:
    from signing.cms_crypto import check_strength

    small = rsa.generate_private_key(65537, 1024).public_key()
    fine = rsa.generate_private_key(65537, 2048).public_key()
    check_strength(fine, "sha256")
    for key, digest in ((small, "sha256"), (fine, "sha1"), (fine, "md5")):
        with pytest.raises(SignatureRefused) as caught:
            check_strength(key, digest)
        assert (caught.value.code, caught.value.indeterminate) == ("CRYPTO_CONSTRAINTS_FAILURE", True)


@pytest.fixture(scope="module")
def der(pdf_bench: Any) -> bytes:
    return made(pdf_bench.key())


@settings(max_examples=150)
@given(data=st.data())
def test_hostile_octets_are_refused_and_nothing_else(data: st.DataObject, der: bytes) -> None:
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(der) - 1))
        changed[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    for strict in (True, False):
        try:
            verify_cms(parse_cms(bytes(changed), strict=strict), DIGEST)
        except SignatureRefused:
            continue


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(SignatureRefused):
        parse_cms(noise, strict=False)


def test_deep_nesting_ends_in_a_refusal() -> None:
    with pytest.raises(SignatureRefused):
        parse_cms(b"\x30\x80" * 50_000, strict=False)


@given(st.integers(min_value=-(2**80), max_value=2**80))
def test_integers_are_minimal_der(value: int) -> None:
    encoded = integer(value)
    assert int.from_bytes(encoded[2:], "big", signed=True) == value
    assert asn1_core.Integer.load(encoded).native == value
    assert asn1_core.Integer(value).dump() == encoded


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_minimal_der(size: int) -> None:
    assert element_size(tlv(0x30, bytes(size))) == len(tlv(0x30, bytes(size)))


@pytest.mark.parametrize(
    "bad", [b"", b"\x30", b"\x30\x80", b"\x30\x81\x01\x00", b"\x30\x82\x00\x80", b"\x30\x02\x00"]
)
def test_lengths_that_are_not_der(bad: bytes) -> None:
    with pytest.raises(ValueError, match="DER"):
        element_size(bad)
