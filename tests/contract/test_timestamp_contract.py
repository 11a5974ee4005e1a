"""One suite over every authority: embedded, outside (another service's `/tsa`, `openssl ts`), and several as one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from tests.e2e.harness.server import Server
from tests.services.timestamps import POLICY, Outside, OutsideOpenssl
from timestamping.authority import EmbeddedAuthority
from timestamping.base import TimestampAuthority
from timestamping.errors import AuthorityUnavailable, TimestampingError, TokenRefused
from timestamping.rfc3161 import HttpAuthority, HttpAuthorityConfig
from timestamping.several import SeveralAuthorities, SeveralConfig, turns
from timestamping.structure import parse_token
from timestamping.verify import Rfc3161Verifier

IMPRINT = hashlib.sha256(b"acte").digest()


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Backend:
    """An authority and what its tokens are verified with."""

    authority: TimestampAuthority
    roots: Sequence[x509.Certificate]
    own: bool
    policy: str | None = POLICY


def over_http(url: str, roots: Sequence[x509.Certificate], **more: object) -> HttpAuthority:
    verifier = Rfc3161Verifier(TrustStore(roots, require_revocation=False))
    return HttpAuthority(HttpAuthorityConfig(url, **more), verifier, SystemClock())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def own_pki(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("pki"), datetime.now(UTC) - timedelta(days=1))


@pytest.fixture(scope="module")
def second_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Another safe, in a process of its own, with its own keys: its embedded authority is an outside one for us."""
    data = tmp_path_factory.mktemp("second") / "data"
    server = Server(data)
    yield f"http://{server.host}:{server.port}/tsa", data / "keys/pki/roots.pem"
    server.stop()


@pytest.fixture(scope="module")
def openssl_tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideOpenssl]:
    made = OutsideOpenssl("openssl", tmp_path_factory.mktemp("openssl"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def unreachable() -> Outside:
    made = Outside("fermee")
    made.close()
    return made


OPENSSL = pytest.param("openssl", marks=pytest.mark.needs("openssl"))


@pytest.fixture(scope="module", params=["embedded", "another-service", OPENSSL, "several"])
def backend(request: pytest.FixtureRequest, own_pki: DevPki) -> Backend:
    if request.param == "embedded":
        key = own_pki.timestamp
        made = EmbeddedAuthority(key, (key.certificate, *key.chain), POLICY, SystemClock())
        return Backend(made, own_pki.roots(), own=True)
    if request.param == "openssl":
        outside: OutsideOpenssl = request.getfixturevalue("openssl_tsa")
        return Backend(over_http(outside.url, [outside.root], policy=POLICY), [outside.root], own=False)
    url, pem = request.getfixturevalue("second_service")
    roots = x509.load_pem_x509_certificates(pem.read_bytes())
    second = over_http(url, roots)
    if request.param == "another-service":
        return Backend(second, roots, own=False, policy=None)
    # The preferred one is never there.
    closed: Outside = request.getfixturevalue("unreachable")
    members = [("fermee", over_http(closed.url, [closed.root])), ("seconde", second)]
    several = SeveralAuthorities(members, SystemClock(), SeveralConfig(first_pause=0.05, longest_pause=0.2))
    return Backend(several, roots, own=False, policy=None)


def test_a_token_proves_the_imprint_and_the_present(backend: Backend) -> None:
    before = datetime.now(UTC)
    token = backend.authority.token(IMPRINT)
    report = Rfc3161Verifier(TrustStore(backend.roots, require_revocation=False)).verify(token.der, IMPRINT)
    assert report.gen_time == token.gen_time
    assert before - timedelta(seconds=2) <= token.gen_time <= datetime.now(UTC) + timedelta(seconds=1)
    assert token.own_authority == backend.own
    assert backend.policy in {None, report.policy}


def test_a_token_says_who_signed_it(backend: Backend) -> None:
    token = backend.authority.token(IMPRINT)
    report = Rfc3161Verifier(TrustStore(backend.roots, require_revocation=False)).verify(token.der, IMPRINT)
    assert token.chain[0] == report.signer
    assert set(token.chain) <= set(report.certificates)


def test_chain_and_size_are_those_of_its_tokens(backend: Backend) -> None:
    for authority in turns(backend.authority):
        try:
            chain, size = authority.chain(), authority.expected_size
        except AuthorityUnavailable:
            continue  # not this one: whoever seals goes on with the next
        tokens = [authority.token(os.urandom(32)) for _ in range(8)]
        assert {token.chain for token in tokens} == {tuple(chain)}
        assert max(len(token.der) for token in tokens) <= size + 8
        usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert (list(usage.value), usage.critical) == ([ExtendedKeyUsageOID.TIME_STAMPING], True)
        assert all(each.subject != each.issuer for each in chain), "roots are known already"
        return
    pytest.fail("nobody answered")


def test_the_authority_itself_gives_chain_and_size_too(backend: Backend) -> None:
    assert backend.authority.chain()
    assert 500 < backend.authority.expected_size < 20_000


def test_no_two_tokens_are_the_same(backend: Backend) -> None:
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(backend.authority.token, [IMPRINT] * 16))
    assert len({token.der for token in tokens}) == 16
    assert len({parse_token(token.der).tst_info.serial for token in tokens}) == 16


@pytest.mark.parametrize("length", [0, 20, 31, 33, 64])
def test_only_sha256_imprints_are_taken(backend: Backend, length: int) -> None:
    with pytest.raises(TokenRefused) as refused:
        backend.authority.token(bytes(length))
    assert refused.value.code == "HASH_FAILURE"
    assert backend.authority.token(IMPRINT).der, "and that is not held against it"


def test_a_token_is_nothing_under_another_root(backend: Backend, tmp_path: Path) -> None:
    stranger = DevPki.open(tmp_path / "stranger", datetime.now(UTC))
    verifier = Rfc3161Verifier(TrustStore(stranger.roots(), require_revocation=False))
    with pytest.raises(TimestampingError) as refused:
        verifier.verify(backend.authority.token(IMPRINT).der, IMPRINT)
    assert refused.value.code == "NO_CERTIFICATE_CHAIN_FOUND"


def test_a_token_covers_nothing_else(backend: Backend) -> None:
    verifier = Rfc3161Verifier(TrustStore(backend.roots, require_revocation=False))
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(backend.authority.token(IMPRINT).der, bytes(32))
    assert refused.value.code == "HASH_FAILURE"
