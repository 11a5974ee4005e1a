"""Remote signing: tokens that expire, services that lie, drip, hang or refuse, keys that want a person."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signing import csc_http, profiles
from signing.base import KeyPurpose
from signing.cabinet_sources import Sources
from signing.cabinet_table import Entry
from signing.csc import CscConfig, CscService, CscSigner
from signing.dev_pki import DevPki
from signing.errors import KeyUnusable, SigningUnavailable
from signing.keys import SealKey
from signing.secret_files import Secret
from signing.signers import RSA_PKCS1, RSA_PSS
from tests.services.csc import PKCS1, Credential, RemoteSigner

PIN = "a PIN of the tests"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("csc") / "pki", datetime.now(UTC))


@pytest.fixture(scope="module")
def service() -> Iterator[RemoteSigner]:
    started = RemoteSigner()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csc_http, "_PAUSE_S", 0.0)


Make = Callable[..., str]


@pytest.fixture
def make(service: RemoteSigner, pki: DevPki) -> Make:
    """Makes a key of the service and returns its identifier."""

    def made(kind: str = "p256", **options: Any) -> str:
        private = profiles.new_key(kind)
        name = profiles.subject("à distance", "À distance", "remote")
        certificate = profiles.leaf_certificate(pki._authority, private, name, KeyPurpose.ACT_SEAL, pki._now)
        identifier = secrets.token_hex(4)
        service.credentials[identifier] = Credential(private, [certificate, pki.authority], **options)
        return identifier

    return made


@pytest.fixture
def signer(service: RemoteSigner, make: Make) -> CscSigner:
    return service.client(seconds=2.0).signer(make())


def test_a_key_is_found_with_its_certificates(service: RemoteSigner, make: Make, pki: DevPki) -> None:
    name = make()
    client = service.client()
    assert name in client.credentials()
    assert client.info()["specs"] == "2.0.0.0"
    signer = client.signer(name)
    key = SealKey.from_signer(signer, signer.certificate, signer.chain, KeyPurpose.ACT_SEAL)
    assert key.chain == (pki.authority,)
    assert key.sign(b"data")


def test_each_signature_is_authorised_for_its_digest_alone(service: RemoteSigner, signer: CscSigner) -> None:
    service.calls.clear()
    for number in range(3):
        assert signer.sign(bytes((number,)))
    assert service.calls == {"credentials/authorize": 3, "signatures/signHash": 3}


def test_a_static_bearer_token_is_read_anew(service: RemoteSigner, make: Make, tmp_path: Path) -> None:
    file = tmp_path / "bearer"
    file.write_text(service.new_token() + "\n")
    file.chmod(0o600)
    client = service.client(bearer=Secret.in_file(file), token_address="", client_id="", client_secret=None)
    signer = client.signer(make())
    assert signer.sign(b"x")
    service.expire_tokens()
    service.calls.clear()
    with pytest.raises(SigningUnavailable, match="invalid_token"):
        signer.sign(b"x")
    assert service.calls["credentials/authorize"] == 1, "the same token is not tried twice"
    file.write_text(service.new_token())
    assert signer.sign(b"x")


def test_a_token_that_expired_is_replaced(service: RemoteSigner, signer: CscSigner) -> None:
    service.calls.clear()
    service.expire_tokens()
    assert signer.sign(b"x")
    assert service.calls["oauth2/token"] == 1
    assert signer.sign(b"x")
    assert service.calls["oauth2/token"] == 1


def test_a_token_is_asked_for_before_it_ends(make: Make, pki: DevPki) -> None:
    short = RemoteSigner(token_lasts=10)
    try:
        private = profiles.new_key("p256")
        name = profiles.subject("à distance", "À distance", "remote")
        certificate = profiles.leaf_certificate(pki._authority, private, name, KeyPurpose.ACT_SEAL, pki._now)
        short.credentials["k"] = Credential(private, [certificate])
        signer = short.client().signer("k")
        signer.sign(b"x")
        assert short.calls["oauth2/token"] == sum(short.calls.values()) // 2
    finally:
        short.close()


def test_a_service_that_refuses_every_token(service: RemoteSigner, signer: CscSigner) -> None:
    service.calls.clear()
    with service.doing("401"), pytest.raises(SigningUnavailable, match="invalid_token"):
        signer.sign(b"x")
    assert service.calls["credentials/authorize"] == 2
    assert signer.sign(b"x")


def test_a_wrong_client_secret(service: RemoteSigner, make: Make) -> None:
    client = service.client(client_secret=Secret.of("another"))
    with pytest.raises(KeyUnusable, match="refuses token: invalid_client") as caught:
        client.signer(make())
    assert "another" not in str(caught.value)


@pytest.mark.parametrize("only", ["credentials/authorize", "signatures/signHash", "oauth2/token"])
@pytest.mark.parametrize("behaviour", ["500", "429", "garbage", "list"])
def test_no_usable_answer(service: RemoteSigner, signer: CscSigner, behaviour: str, only: str) -> None:
    if only == "oauth2/token":
        service.expire_tokens()
    service.calls.clear()
    with service.doing(behaviour, only), pytest.raises(SigningUnavailable) as caught:
        signer.sign(b"x")
    assert caught.value.code == "KEY_UNAVAILABLE"
    assert service.calls[only] == 1, "nothing is asked for again by itself"
    assert signer.sign(b"x")


@pytest.mark.parametrize("behaviour", ["wrong-signature", "no-signature", "dead-sad"])
def test_no_usable_signature(service: RemoteSigner, signer: CscSigner, behaviour: str) -> None:
    with service.doing(behaviour), pytest.raises(SigningUnavailable):
        signer.sign(b"x")
    assert signer.sign(b"x")


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_time_is_limited_as_a_whole(service: RemoteSigner, make: Make, behaviour: str) -> None:
    signer = service.client(seconds=0.6).signer(make())
    begun = time.monotonic()
    with service.doing(behaviour, "signatures/signHash"), pytest.raises(SigningUnavailable):
        signer.sign(b"x")
    assert time.monotonic() - begun < 3
    assert signer.sign(b"x")


def test_a_service_that_gave_no_answer_is_left_alone(
    service: RemoteSigner, signer: CscSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csc_http, "_PAUSE_S", 0.5)
    with service.doing("500"):
        service.calls.clear()
        for _ in range(10):
            with pytest.raises(SigningUnavailable):
                signer.sign(b"x")
        assert sum(service.calls.values()) == 1
    time.sleep(0.6)
    assert signer.sign(b"x")


def test_nobody_there(pki: DevPki, service: RemoteSigner) -> None:
    client = CscService(
        CscConfig("https://127.0.0.1:9/csc/v2", bearer=Secret.of("t"), seconds=2.0, tls_ca=service.ca)
    )
    with pytest.raises(SigningUnavailable, match="ConnectionRefused"):
        client.info()


def test_the_server_has_to_be_the_one(service: RemoteSigner, tmp_path: Path) -> None:
    with pytest.raises(SigningUnavailable, match="SSLCertVerificationError"):
        service.client(tls_ca=None).info()
    for config in (
        service.config(address=service.address.replace("127.0.0.1", "localhost")),
        service.config(token_address=f"{service.host.replace('127.0.0.1', 'localhost')}/oauth2/token"),
    ):
        with pytest.raises(SigningUnavailable, match="SSLCertVerificationError"):
            CscService(config).info()
    with pytest.raises(KeyUnusable, match="anchors"):
        service.client(tls_ca=tmp_path / "none.pem")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "http://127.0.0.1/csc/v2"},
        {"address": "https:///csc/v2"},
        {"token_address": "http://127.0.0.1/oauth2/token"},
        {"address": "https://127.0.0.1/csc/v2?x=1"},
        {"client_secret": None},
        {"client_id": ""},
        {"token_address": ""},
    ],
)
def test_settings_that_cannot_be_used(service: RemoteSigner, changes: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable):
        service.client(**changes)


def test_a_pin_is_sent_where_the_key_wants_it(service: RemoteSigner, make: Make) -> None:
    name = make(mode="explicit", pin=PIN, factor="a factor")
    client = service.client()
    with pytest.raises(KeyUnusable, match="wants a PIN"):
        client.signer(name)
    assert client.signer(name, Secret.of(PIN)).sign(b"x")


def test_a_wrong_pin_is_sent_once(service: RemoteSigner, make: Make, tmp_path: Path) -> None:
    name = make(mode="explicit", pin=PIN)
    file = tmp_path / "pin"
    file.write_text("wrong")
    file.chmod(0o600)
    signer = service.client().signer(name, Secret.in_file(file))
    for words in ("invalid_pin", "not tried again", "not tried again"):
        with pytest.raises(SigningUnavailable, match=words):
            signer.sign(b"x")
    assert service.credentials[name].tries == 1
    file.write_text(PIN)
    assert signer.sign(b"x")


def test_a_wrong_pin_is_sent_once_however_many_sign(service: RemoteSigner, make: Make) -> None:
    name = make(mode="explicit", pin=PIN)
    signer = service.client().signer(name, Secret.of("wrong"))

    def refused(number: int) -> bool:
        with pytest.raises(SigningUnavailable):
            signer.sign(bytes([number]))
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refused, range(8)))
    assert service.credentials[name].tries == 1


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "oauth2code"},
        {"mode": "?"},
        {"mode": "explicit", "factor": ""},
        {"status": "disabled"},
        {"algo": ["1.2.3"]},
    ],
    ids=str,
)
def test_keys_that_a_service_cannot_use(service: RemoteSigner, make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable):
        service.client().signer(make(**options), Secret.of(PIN))


def test_no_such_key(service: RemoteSigner) -> None:
    with pytest.raises(KeyUnusable, match="invalid_request"):
        service.client().signer("another")


def test_certificates_that_cannot_be_used(service: RemoteSigner, make: Make) -> None:
    name = make()
    service.credentials[name].chain = []
    with pytest.raises(KeyUnusable, match="no certificate"):
        service.client().signer(name)


def test_the_key_behind_the_certificate_changes(service: RemoteSigner, signer: CscSigner, make: Make) -> None:
    name = make()
    held = service.client().signer(name)
    service.credentials[name].key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SigningUnavailable, match="does not verify"):
        held.sign(b"x")


def test_rsa_without_pss_is_told_and_seals_nothing(service: RemoteSigner, make: Make) -> None:
    name = make("rsa-pss")
    service.credentials[name].algo = [PKCS1]
    old = service.client().signer(name)
    assert old.algorithm == RSA_PKCS1
    assert old.sign(b"x")
    with pytest.raises(KeyUnusable, match="no seal"):
        SealKey.from_signer(old, old.certificate, old.chain, KeyPurpose.ACT_SEAL)
    service.credentials[name].algo = ["1.2.840.113549.1.1.1"]
    assert service.client().signer(name).algorithm == RSA_PSS


def test_weak_keys_are_refused(service: RemoteSigner, pki: DevPki) -> None:
    private = rsa.generate_private_key(65537, 2048)
    subject = profiles.subject("faible", "Faible", "weak")
    certificate = profiles.leaf_certificate(pki._authority, private, subject, KeyPurpose.ACT_SEAL, pki._now)
    service.credentials["weak"] = Credential(private, [certificate])
    with pytest.raises(KeyUnusable, match="3072"):
        service.client().signer("weak")


def test_a_certificate_of_another_key_never_gives_a_seal(
    service: RemoteSigner, make: Make, pki: DevPki
) -> None:
    first, second = make(), make()
    stranger: x509.Certificate = service.credentials[second].chain[0]
    service.credentials[first].chain = [stranger, pki.authority]
    signer = service.client().signer(first)
    key = SealKey.from_signer(signer, signer.certificate, signer.chain, KeyPurpose.ACT_SEAL)
    with pytest.raises(SigningUnavailable, match="does not verify"):
        key.sign(b"x")


def test_secrets_show_nowhere(service: RemoteSigner, make: Make) -> None:
    config = service.config()
    assert RemoteSigner.client_secret not in repr(config) + repr(CscService(config))
    name = make(mode="explicit", pin=PIN)
    signer = service.client(seconds=1.5).signer(name, Secret.of(PIN))
    with service.doing("hang"), pytest.raises(SigningUnavailable) as caught:
        signer.sign(b"x")
    assert PIN not in str(caught.value) + repr(signer)


def test_another_secret_is_another_client(tmp_path: Path) -> None:
    sources = Sources(tmp_path, 1.0)
    source = {
        "address": "https://signature.example/csc/v2",
        "credential": "evidence",
        "token_address": "https://signature.example/token",
        "client_id": "probans",
    }
    before, after = (
        Entry("evidence", KeyPurpose.EVIDENCE_SEAL, "waiting", "csc", {**source, "client_secret_file": name})
        for name in ("before", "after")
    )
    assert sources._service(before) is sources._service(before)
    assert sources._service(before) is not sources._service(after)
