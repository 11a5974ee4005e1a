"""One suite for whatever holds a seal key: a PKCS#12 file, a PKCS#11 token, a remote signing service."""

from __future__ import annotations

import hashlib
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from signing import csc_http, profiles, tokens_session
from signing.asic import Reference
from signing.base import KeyPurpose, SealSource, ValidationMaterial
from signing.cades import SIGNATURE_NAME, CadesSealer, validate_cades
from signing.dev_pki import DevPki
from signing.errors import KeyUnusable, SigningUnavailable
from signing.keys import SealKey, load_pkcs12
from signing.pades import PadesSealer
from signing.pdf_signatures import pdf_signatures
from signing.secret_files import Secret
from signing.signers import ECDSA_P256, ED25519, RSA_PSS, CheckedSigner, Signer, SoftSigner
from signing.tokens import Pkcs11Token
from signing.trust import TrustStore
from signing.validate import validate_pdf_signature
from tests.services.csc import Credential, RemoteSigner
from tests.services.softhsm import Tokens
from timestamping.authority import EmbeddedAuthority
from timestamping.errors import TimestampingError
from timestamping.verify import Rfc3161Verifier

POLICY = "1.3.6.1.4.1.99999.1"
KINDS = {"p256": ECDSA_P256, "rsa-pss": RSA_PSS}
PIN = "a PIN of the contract"
DIGEST = hashlib.sha256(b"data").digest()


@dataclass
class Authority:
    """Who issues the certificates of all these keys."""

    pki: DevPki

    def certificate(self, public: Any, purpose: KeyPurpose) -> x509.Certificate:
        """Issue one for a public key."""
        name = profiles.subject("contrat", "Contrat", secrets.token_hex(4))
        return profiles.leaf_certificate(self.pki._authority, public, name, purpose, self.pki._now)

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.pki.authority]


class Holder(ABC):
    """Holds keys, and opens them."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    @abstractmethod
    def key(self, kind: str, purpose: KeyPurpose) -> SealKey:
        """Make a key with a certificate and open it."""

    @abstractmethod
    def signer(self, kind: str) -> Signer:
        """Make a key and open it."""

    def away(self) -> AbstractContextManager[None] | None:
        """Take away what holds the keys; None where that cannot happen."""
        return None

    def hanging(self) -> AbstractContextManager[None] | None:
        """Have it hang; None where that cannot happen."""
        return None


class Files(Holder):
    """PKCS#12 files."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        super().__init__(authority)
        self.folder = folder

    def key(self, kind: str, purpose: KeyPurpose) -> SealKey:
        private = profiles.new_key(kind)
        certificate = self.authority.certificate(private, purpose)
        path = self.folder / f"{secrets.token_hex(4)}.p12"
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"k", private, certificate, self.authority.chain, BestAvailableEncryption(b"secret")
            )
        )
        return load_pkcs12(path, b"secret", purpose)

    def signer(self, kind: str) -> Signer:
        return SoftSigner(profiles.new_key(kind))


class Token(Holder):
    """A token of SoftHSM2."""

    def __init__(self, authority: Authority, tokens: Tokens) -> None:
        super().__init__(authority)
        self.tokens = tokens
        place = tokens.new(f"contract-{secrets.token_hex(4)}")
        self.token = Pkcs11Token.open(place, tokens.secret(), seconds=2.0)

    def signer(self, kind: str) -> CheckedSigner:
        made = self.token.generate(
            {"rsa-pss": "rsa-3072"}.get(kind, kind), secrets.token_hex(4), secrets.token_bytes(8)
        )
        return self.token.signer(made.label)

    def key(self, kind: str, purpose: KeyPurpose) -> SealKey:
        signer = self.signer(kind)
        certificate = self.authority.certificate(signer, purpose)
        return SealKey.from_signer(signer, certificate, self.authority.chain, purpose)

    def away(self) -> AbstractContextManager[None]:
        return self.tokens.away()

    def hanging(self) -> AbstractContextManager[None]:
        return self.tokens.hanging()


class Remote(Holder):
    """A remote service."""

    def __init__(self, authority: Authority, service: RemoteSigner) -> None:
        super().__init__(authority)
        self.service = service
        self.client = service.client(seconds=2.0)

    def _make(self, kind: str, purpose: KeyPurpose) -> Any:
        private = profiles.new_key(kind)
        chain = [self.authority.certificate(private, purpose), *self.authority.chain]
        name = secrets.token_hex(4)
        self.service.credentials[name] = Credential(
            private, chain, mode="explicit", pin=PIN, raw=kind == "p256"
        )
        return self.client.signer(name, Secret.of(PIN))

    def signer(self, kind: str) -> Signer:
        return self._make(kind, KeyPurpose.ACT_SEAL)

    def key(self, kind: str, purpose: KeyPurpose) -> SealKey:
        signer = self._make(kind, purpose)
        return SealKey.from_signer(signer, signer.certificate, signer.chain, purpose)

    def away(self) -> AbstractContextManager[None]:
        return self.service.doing("500")

    def hanging(self) -> AbstractContextManager[None]:
        return self.service.doing("hang")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(
        DevPki.open(tmp_path_factory.mktemp("contract") / "pki", datetime.now(UTC) - timedelta(minutes=2))
    )


@pytest.fixture(
    scope="module", params=["pkcs12", pytest.param("softhsm2", marks=pytest.mark.needs("softhsm2")), "csc"]
)
def holder(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Holder]:
    if request.param == "pkcs12":
        yield Files(authority, tmp_path_factory.mktemp("files"))
    elif request.param == "softhsm2":
        held = Token(authority, request.getfixturevalue("softhsm_tokens"))
        yield held
        held.token.close()
    else:
        service = RemoteSigner()
        yield Remote(authority, service)
        service.close()


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (csc_http, tokens_session):
        monkeypatch.setattr(module, "_PAUSE_S", 0.4)


@pytest.fixture(scope="module")
def act_key(holder: Holder) -> SealKey:
    return holder.key("p256", KeyPurpose.ACT_SEAL)


@dataclass
class Bench:
    """Timestamps and trust."""

    authority: Authority

    def __post_init__(self) -> None:
        pki = self.authority.pki
        unit = pki.timestamp
        self.unit = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), POLICY, self)
        self.trust = TrustStore(pki.roots())
        self.verifier = Rfc3161Verifier(self.trust, strict=True)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def material(self, key: SealKey) -> ValidationMaterial:
        unit = self.authority.pki.timestamp
        certificates = (key.certificate, *key.chain, unit.certificate, *unit.chain)
        return ValidationMaterial(certificates, self.authority.pki.crls(self.now()))


@pytest.fixture(scope="module")
def bench(authority: Authority) -> Bench:
    return Bench(authority)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_signatures_are_what_their_algorithm_says(holder: Holder, kind: str) -> None:
    signer = holder.signer(kind)
    assert signer.algorithm == KINDS[kind]
    for signature, prehashed in ((signer.sign(b"data"), False), (signer.sign_digest(DIGEST), True)):
        assert len(signature) <= signer.max_signature_size
        how = Prehashed(hashes.SHA256()) if prehashed else hashes.SHA256()
        octets = DIGEST if prehashed else b"data"
        public: Any = signer.public_key()
        if kind == "p256":
            public.verify(signature, octets, ec.ECDSA(how))
        else:
            public.verify(signature, octets, padding.PSS(padding.MGF1(hashes.SHA256()), 32), how)
            assert len(signature) == signer.max_signature_size == 384


def test_only_digests_of_the_right_size_are_signed(act_key: SealKey) -> None:
    for wrong in (b"", bytes(20), bytes(64)):
        with pytest.raises(KeyUnusable):
            act_key._signer.sign_digest(wrong)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_pdf_sealed_with_it_validates(holder: Holder, bench: Bench, tmp_path: Path, kind: str) -> None:
    key = holder.key(kind, KeyPurpose.ACT_SEAL)
    path, sealed = tmp_path / "act.pdf", tmp_path / "sealed.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(path)
    data = path.read_bytes()
    sealer = PadesSealer(key)
    with path.open("rb") as stream:
        source = SealSource(stream, path, len(data), hashlib.sha256(data).digest())
        prepared = sealer.prepare(source, bench.material(key), bench.unit.expected_size, bench.now())
        revision = sealer.complete(prepared, bench.unit.token(prepared.imprint).der)
    sealed.write_bytes(data + revision.appended)
    [found] = [
        validate_pdf_signature(item, bench.trust, bench.verifier, now=bench.now())
        for item in pdf_signatures(sealed)
    ]
    assert (found.form, found.level, found.signer) == ("PAdES", "B-T", key.certificate)
    assert found.purposes == {KeyPurpose.ACT_SEAL}
    assert found.path == (key.certificate, bench.authority.pki.authority, bench.authority.pki.root)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_manifest_sealed_with_it_validates(holder: Holder, bench: Bench, kind: str) -> None:
    key = holder.key(kind, KeyPurpose.EVIDENCE_SEAL)
    sealer = CadesSealer(key)
    content = b"<content/>"
    reference = Reference("document/a.xml", "application/xml", hashlib.sha256(content).digest())
    prepared = sealer.prepare_manifest([reference], bench.material(key), bench.now())
    revision = sealer.complete(prepared, bench.unit.token(prepared.imprint).der)
    found = validate_cades(
        revision.signature,
        revision.manifest,
        {reference.name: reference.sha256},
        bench.trust,
        bench.verifier,
        purposes=frozenset({KeyPurpose.EVIDENCE_SEAL}),
        now=bench.now(),
        signature_name=SIGNATURE_NAME,
    )
    assert (found.form, found.level, found.signer) == ("CAdES", "B-T", key.certificate)


def test_timestamps_are_made_with_it(holder: Holder, bench: Bench) -> None:
    key = holder.key("p256", KeyPurpose.TIMESTAMP)
    unit = EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, bench)
    token = unit.token(DIGEST)
    crls = bench.material(key).crls
    assert bench.verifier.verify(token.der, DIGEST, crls=crls).signer == key.certificate


def test_a_certificate_of_another_key_is_refused(holder: Holder, authority: Authority) -> None:
    stranger = authority.certificate(profiles.new_key("p256"), KeyPurpose.ACT_SEAL)
    with pytest.raises(KeyUnusable, match="another key"):
        SealKey.from_signer(holder.signer("p256"), stranger, authority.chain, KeyPurpose.ACT_SEAL)


def test_eight_threads_sign_at_once(act_key: SealKey) -> None:
    public: Any = act_key.certificate.public_key()
    begun = threading.Barrier(8)

    def sign(thread: int) -> int:
        begun.wait()
        for number in range(4):
            data = f"{thread} {number}".encode()
            public.verify(act_key.sign(data), data, ec.ECDSA(hashes.SHA256()))
        return 4

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(sign, range(8))) == 32


def test_it_shows_no_secret(holder: Holder, act_key: SealKey) -> None:
    shown = (
        repr(act_key)
        + repr(act_key._signer)
        + repr(getattr(holder, "token", ""))
        + repr(getattr(holder, "client", ""))
    )
    assert not any(secret in shown for secret in (Tokens.pin, PIN, "secret", RemoteSigner.client_secret))


def _waits(sign: Callable[[], object], seconds: float) -> str:
    """Sign where that cannot be, and return why not."""
    begun = datetime.now(UTC)
    with pytest.raises(SigningUnavailable) as caught:
        sign()
    assert (datetime.now(UTC) - begun).total_seconds() < seconds
    assert caught.value.code == "KEY_UNAVAILABLE"
    return str(caught.value)


@contextmanager
def _rested(sign: Callable[[], object]) -> Iterator[None]:
    """Wait until what was down is tried again."""
    yield
    deadline = datetime.now(UTC) + timedelta(seconds=15)
    while True:
        try:
            sign()
            return
        except SigningUnavailable:
            assert datetime.now(UTC) < deadline
            threading.Event().wait(0.1)


def test_what_holds_it_goes_and_comes_back(holder: Holder, act_key: SealKey) -> None:
    gone = holder.away()
    if gone is None:
        assert act_key.sign(b"data")
        return
    with _rested(lambda: act_key.sign(b"data")), gone:
        for _ in range(3):
            _waits(lambda: act_key.sign(b"data"), 2.5)
    assert act_key.sign(b"data")


def test_callers_do_not_hang_with_it(holder: Holder, act_key: SealKey) -> None:
    hung = holder.hanging()
    if hung is None:
        assert act_key.sign(b"data")
        return
    with _rested(lambda: act_key.sign(b"data")), hung:
        _waits(lambda: act_key.sign(b"data"), 4.5)
        # Nobody else waits for it.
        for _ in range(3):
            _waits(lambda: act_key.sign(b"data"), 0.5)
    assert act_key.sign(b"data")


def test_a_timestamp_key_that_is_away_is_no_broken_token(holder: Holder, bench: Bench) -> None:
    gone = holder.away()
    key = holder.key("p256", KeyPurpose.TIMESTAMP)
    unit = EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, bench)
    if gone is None:
        assert unit.token(DIGEST)
        return
    with _rested(lambda: unit.token(DIGEST)), gone, pytest.raises((SigningUnavailable, TimestampingError)):
        unit.token(DIGEST)


@pytest.mark.parametrize("where", ["soft", pytest.param("token", marks=pytest.mark.needs("softhsm2"))])
def test_ed25519_signs_data_and_seals_nothing(
    where: str, request: pytest.FixtureRequest, authority: Authority
) -> None:
    if where == "soft":
        signer: Signer = SoftSigner(ed25519.Ed25519PrivateKey.generate())
    else:
        signer = Token(authority, request.getfixturevalue("softhsm_tokens")).signer("ed25519")
    assert (signer.algorithm, signer.max_signature_size) == (ED25519, 64)
    public: Any = signer.public_key()
    public.verify(signer.sign(b"a checkpoint"), b"a checkpoint")
    with pytest.raises(KeyUnusable):
        signer.sign_digest(DIGEST)
    certificate = authority.certificate(profiles.new_key("p256"), KeyPurpose.ACT_SEAL)
    with pytest.raises(KeyUnusable, match="no seal"):
        SealKey.from_signer(signer, certificate, authority.chain, KeyPurpose.ACT_SEAL)
