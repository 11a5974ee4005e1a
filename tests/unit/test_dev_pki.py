"""The development PKI: made once, whole, by whoever comes first; its CRLs never run out."""

from __future__ import annotations

import multiprocessing
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signing import dev_pki
from signing.base import KeyPurpose
from signing.crl import Crl, read_crls
from signing.dev_pki import CRL_LIFE, DevPki, is_development
from signing.errors import KeyUnusable, SignatureRefused
from signing.keys import SealKey, certificate_purposes
from signing.trust import TrustStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def pki(tmp_path: Path) -> DevPki:
    return DevPki.open(tmp_path / "pki", NOW)


def keys(pki: DevPki) -> list[SealKey]:
    return [pki.act_seal("mairie", "Mairie"), pki.reception_seal, pki.evidence_seal, pki.timestamp]


def number(crl: Crl) -> int:
    return crl.parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_every_key_has_its_purpose_and_a_valid_path(pki: DevPki) -> None:
    store = TrustStore(pki.roots())
    for key, purpose in zip(keys(pki), KeyPurpose, strict=True):
        assert key.purpose is purpose
        assert certificate_purposes(key.certificate) == {purpose}
        assert key.chain == (pki.authority,)
        path = store.validate(key.certificate, key.chain, pki.crls(NOW), NOW)
        assert path == (key.certificate, pki.authority, pki.root)
    assert len({key.certificate for key in keys(pki)}) == 4


def test_everything_says_that_it_is_for_development(pki: DevPki) -> None:
    for certificate in (pki.root, pki.authority, *(key.certificate for key in keys(pki))):
        assert is_development(certificate)
        subject = certificate.subject.rfc4514_string()
        assert "SPÉCIMEN" in subject
        assert "développement" in subject


def test_profiles_are_those_that_etsi_and_rfc_3161_ask_for(pki: DevPki) -> None:
    for certificate in (pki.root, pki.authority, *(key.certificate for key in keys(pki))):
        extensions = certificate.extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).critical
        assert extensions.get_extension_for_class(x509.KeyUsage).critical
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER)
    assert pki.root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 1
    assert pki.authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    for key in keys(pki)[:3]:
        usage = key.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.content_commitment
        assert not usage.digital_signature
    stamp = pki.timestamp.certificate.extensions
    assert stamp.get_extension_for_class(x509.KeyUsage).value.digital_signature
    extended = stamp.get_extension_for_class(x509.ExtendedKeyUsage)
    assert extended.critical
    assert [oid.dotted_string for oid in extended.value] == ["1.3.6.1.5.5.7.3.8"]
    life = (
        pki.evidence_seal.certificate.not_valid_after_utc - pki.evidence_seal.certificate.not_valid_before_utc
    )
    assert life == timedelta(days=3 * 365)


def test_opening_again_gives_the_same(tmp_path: Path, pki: DevPki) -> None:
    again = DevPki.open(tmp_path / "pki", NOW + HOUR)
    assert [key.certificate for key in keys(again)] == [key.certificate for key in keys(pki)]
    assert again.roots() == pki.roots()
    assert (tmp_path / "pki" / "roots.pem").read_bytes() == pki.roots_pem()
    data = b"x"
    keys(again)[0].sign(data)


def test_act_seals_are_one_per_administration_and_algorithm(pki: DevPki) -> None:
    one = pki.act_seal("mairie-1", "Mairie de Saint-Étienne")
    assert pki.act_seal("mairie-1", "another name later") is one
    assert pki.act_seal("mairie-2", "Mairie").certificate != one.certificate
    pss = pki.act_seal("mairie-1", "Mairie de Saint-Étienne", algorithm="rsa-pss")
    assert (one.algorithm, pss.algorithm) == ("ecdsa-p256-sha256", "rsassa-pss-sha256")
    with pytest.raises(KeyUnusable):
        pki.act_seal("mairie-1", "Mairie", algorithm="md5")


@pytest.mark.parametrize("name", ["", "\x00\x1b[31m", "é" * 300, "a\u202eb", "../../etc/passwd", "=CN,/OU"])
def test_any_name_of_an_administration_is_taken(pki: DevPki, name: str, tmp_path: Path) -> None:
    key = pki.act_seal(name, name)
    text = key.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert isinstance(text, str)
    assert len(text.encode()) <= 64
    assert text.isprintable()
    assert {path.parent for path in tmp_path.rglob("*.p12")} == {tmp_path / "pki"}


def test_files_are_for_the_owner_only(tmp_path: Path, pki: DevPki) -> None:
    pki.act_seal("mairie", "Mairie")
    folder = tmp_path / "pki"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_private_keys_are_not_in_clear(tmp_path: Path, pki: DevPki) -> None:
    with pytest.raises(KeyUnusable):
        dev_pki.load_pkcs12(tmp_path / "pki" / "timestamp.p12", b"", KeyPurpose.TIMESTAMP)
    assert pki.timestamp.purpose is KeyPurpose.TIMESTAMP


def test_crls_are_renewed_at_half_life_and_never_lapse(pki: DevPki) -> None:
    before = read_crls(pki.crls(NOW))
    assert all(crl.covers(NOW) and crl.next_update - crl.this_update == CRL_LIFE for crl in before)
    assert not pki.refresh_crls(NOW + 11 * HOUR)
    assert pki.refresh_crls(NOW + 12 * HOUR)
    for hours in range(0, 24 * 10, 7):
        at = NOW + hours * HOUR + 12 * HOUR
        after = read_crls(pki.crls(at))
        assert all(crl.covers(at) for crl in after)
        assert all(number(new) > number(old) for new, old in zip(after, before, strict=True))


def test_a_clock_set_back_renews_too(pki: DevPki) -> None:
    earlier = NOW - 3 * HOUR
    assert all(crl.covers(earlier) for crl in read_crls(pki.crls(earlier)))


def test_revocation_shows_at_once_in_every_process(tmp_path: Path, pki: DevPki) -> None:
    other = DevPki.open(tmp_path / "pki", NOW)
    key = pki.reception_seal
    first = read_crls(pki.crls(NOW))[1]
    pki.revoke(key.certificate.serial_number, NOW, x509.ReasonFlags.key_compromise)
    crls = other.crls(NOW + HOUR)
    second = read_crls(crls)[1]
    assert number(second) == number(first) + 1
    assert second.revocation_date(key.certificate.serial_number) == NOW.replace(microsecond=0)
    with pytest.raises(SignatureRefused) as caught:
        TrustStore(pki.roots()).validate(key.certificate, key.chain, crls, NOW + HOUR)
    assert caught.value.code == "REVOKED"
    later = read_crls(other.crls(NOW + 40 * HOUR))[1]
    assert later.revocation_date(key.certificate.serial_number) is not None


def test_revoking_the_authority_shows_in_the_root_s_list(pki: DevPki) -> None:
    pki.revoke(pki.authority.serial_number, NOW)
    root, authority = read_crls(pki.crls(NOW))
    assert root.revocation_date(pki.authority.serial_number) is not None
    assert authority.revocation_date(pki.authority.serial_number) is None
    key = pki.evidence_seal
    with pytest.raises(SignatureRefused) as caught:
        TrustStore(pki.roots()).validate(key.certificate, key.chain, pki.crls(NOW), NOW)
    assert caught.value.code == "REVOKED"


def test_a_crash_between_revoking_and_listing_is_made_good(
    pki: DevPki, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = pki.evidence_seal.certificate.serial_number
    with monkeypatch.context() as patch:
        patch.setattr(DevPki, "refresh_crls", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            pki.revoke(serial, NOW)
    assert read_crls(pki.crls(NOW))[1].revocation_date(serial) is not None


@pytest.mark.parametrize("survived", range(7))
def test_a_first_start_cut_short_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    real, count = dev_pki._write, 0

    def dying(path: Path, content: bytes) -> None:
        nonlocal count
        if count == survived:
            raise KeyboardInterrupt
        count += 1
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(dev_pki, "_write", dying)
        with pytest.raises(KeyboardInterrupt):
            DevPki.open(tmp_path / "pki", NOW)
    pki = DevPki.open(tmp_path / "pki", NOW)
    assert pki.roots_pem() == (tmp_path / "pki" / "roots.pem").read_bytes()
    key = pki.evidence_seal
    TrustStore(pki.roots()).validate(key.certificate, key.chain, pki.crls(NOW), NOW)


def _open_and_seal(folder: Path) -> tuple[bytes, ...]:
    pki = DevPki.open(folder, NOW)
    seal = pki.act_seal("mairie", "Mairie")
    certificates = (pki.root, seal.certificate, pki.timestamp.certificate)
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def test_processes_that_start_together_share_one_pki(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.map(_open_and_seal, [tmp_path / "pki"] * 6, chunksize=1)
    assert len(set(found)) == 1


def test_threads_that_ask_together_share_one_seal(pki: DevPki) -> None:
    found: list[SealKey] = []
    threads = [
        threading.Thread(target=lambda: found.append(pki.act_seal("mairie", "Mairie"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(key) for key in found}) == 1


def test_keys_near_their_end_are_made_anew(tmp_path: Path, pki: DevPki) -> None:
    soon = pki.evidence_seal.certificate.not_valid_after_utc - timedelta(days=29)
    later = DevPki.open(tmp_path / "pki", soon)
    assert later.evidence_seal.certificate != pki.evidence_seal.certificate
    assert later.evidence_seal.certificate.not_valid_after_utc > soon + timedelta(days=1000)
    assert later.roots() == pki.roots()


def test_damaged_folder_is_said_to_be(tmp_path: Path, pki: DevPki) -> None:
    assert pki.roots()
    (tmp_path / "pki" / "passphrase").write_bytes(b"another")
    with pytest.raises(KeyUnusable):
        DevPki.open(tmp_path / "pki", NOW)
    (tmp_path / "pki" / "passphrase").unlink()
    with pytest.raises(KeyUnusable):
        DevPki.open(tmp_path / "pki", NOW)


@pytest.mark.needs("openssl")
def test_openssl_agrees(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    pki = DevPki.open(tmp_path / "pki", now)
    crls = tmp_path / "crls.pem"
    crls.write_bytes(
        b"".join(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM) for crl in pki.crls(now))
    )
    (tmp_path / "ca.pem").write_bytes(pki.authority.public_bytes(Encoding.PEM))
    for key in keys(pki):
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(key.certificate.public_bytes(Encoding.PEM))
        command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CRLfile", crls]
        command += ["-CAfile", tmp_path / "pki" / "roots.pem", "-untrusted", tmp_path / "ca.pem", leaf]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
