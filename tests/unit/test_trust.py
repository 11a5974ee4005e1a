"""The trust store and the revocation source at work: threads, event loops, caches, renewals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from signing.crl import read_crls
from signing.dev_pki import DevPki
from signing.errors import KeyUnusable, RevocationStale, SignatureRefused
from signing.revocation import RevocationSource, distribution_points, fetch_http_crls
from signing.trust import TrustStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def pki(tmp_path: Path) -> DevPki:
    return DevPki.open(tmp_path / "pki", NOW)


class TestTrustStore:
    def test_works_under_a_running_event_loop_and_in_threads(self, pki: DevPki) -> None:
        store, key, crls = TrustStore(pki.roots()), pki.evidence_seal, pki.crls(NOW)

        def check() -> int:
            store._cache.clear()
            return len(store.validate(key.certificate, key.chain, crls, NOW))

        async def inside() -> int:
            return check()

        assert asyncio.run(inside()) == 3
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: check(), range(24))) == {3}

    def test_pem_anchors(self, pki: DevPki) -> None:
        store = TrustStore.from_pem(pki.roots_pem() + pki.roots_pem())
        key = pki.timestamp
        assert store.validate(key.certificate, key.chain, pki.crls(NOW), NOW)[-1] == pki.root
        for bad in (b"", b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            with pytest.raises(KeyUnusable):
                TrustStore.from_pem(bad)

    def test_a_known_path_is_not_built_again(self, pki: DevPki, monkeypatch: pytest.MonkeyPatch) -> None:
        store, key, crls = TrustStore(pki.roots()), pki.evidence_seal, pki.crls(NOW)
        path = store.validate(key.certificate, key.chain, crls, NOW)
        with monkeypatch.context() as patch:
            patch.setattr(store, "_validate", lambda *_: pytest.fail("validated again"))
            assert store.validate(key.certificate, key.chain, crls, NOW + HOUR) == path
            assert store.validate(key.certificate, tuple(reversed(key.chain)), crls[::-1], NOW + HOUR) == path
        for at in (NOW - HOUR, NOW + 24 * HOUR):
            with pytest.raises(SignatureRefused):
                store.validate(key.certificate, key.chain, crls, at)

    def test_a_refusal_is_not_kept(self, pki: DevPki) -> None:
        store, key, crls = TrustStore(pki.roots()), pki.evidence_seal, pki.crls(NOW)
        with pytest.raises(SignatureRefused):
            store.validate(key.certificate, key.chain, crls, NOW + 48 * HOUR)
        assert store.validate(key.certificate, key.chain, crls, NOW)

    @pytest.mark.parametrize("error", [AssertionError, KeyError, AttributeError, RecursionError, TypeError])
    def test_nothing_but_refusals_comes_out(
        self, pki: DevPki, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def failing(*_: object) -> None:
            raise error

        monkeypatch.setattr("signing.pkix.CertificateValidator", failing)
        key = pki.evidence_seal
        with pytest.raises(SignatureRefused) as caught:
            TrustStore(pki.roots()).validate(key.certificate, key.chain, pki.crls(NOW), NOW)
        assert caught.value.code == "CERTIFICATE_CHAIN_GENERAL_FAILURE"
        assert caught.value.indeterminate

    def test_codes_say_whether_they_are_final(self, pki: DevPki) -> None:
        store, key, crls = TrustStore(pki.roots()), pki.evidence_seal, pki.crls(NOW)
        for at, code, indeterminate in (
            (NOW + 48 * HOUR, "TRY_LATER", True),
            (NOW + 365 * 24 * 4 * HOUR, "EXPIRED", False),
            (NOW - 48 * HOUR, "NOT_YET_VALID", False),
        ):
            lists = pki.crls(at) if code == "EXPIRED" else crls
            with pytest.raises(SignatureRefused) as caught:
                store.validate(key.certificate, key.chain, lists, at)
            assert (caught.value.code, caught.value.indeterminate) == (code, indeterminate)


class Fetch:
    """Stands for the way to the CRLs: counts, fails or waits as told."""

    def __init__(self, source: Callable[[datetime], Sequence[bytes]]) -> None:
        self.source = source
        self.calls = 0
        self.fails = False

    def __call__(self, now: datetime) -> Sequence[bytes]:
        self.calls += 1
        if self.fails:
            raise OSError("no route to host")
        return self.source(now)


@pytest.fixture
def fetch(pki: DevPki) -> Fetch:
    return Fetch(pki.crls)


@pytest.fixture
def chains(pki: DevPki) -> list[list[x509.Certificate]]:
    keys = (pki.act_seal("mairie", "Mairie"), pki.timestamp)
    return [[key.certificate, *key.chain] for key in keys]


class TestRevocationSource:
    def test_material_is_complete_and_without_doubles(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        material = source.material([[*chain, pki.root] for chain in chains], NOW)
        assert material.certificates == (chains[0][0], pki.authority, chains[1][0])
        assert set(material.crls) == set(pki.crls(NOW))
        store = TrustStore(pki.roots())
        for chain in chains:
            assert store.validate(chain[0], material.certificates, material.crls, NOW)
        assert source.material(chains, NOW + HOUR).crls == material.crls
        assert fetch.calls == 1

    def test_renewed_at_half_life(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        first = source.material(chains, NOW)
        assert not source.refresh(NOW + 11 * HOUR)
        second = source.material(chains, NOW + 13 * HOUR)
        assert fetch.calls == 2
        assert set(first.crls).isdisjoint(second.crls)
        assert all(crl.covers(NOW + 13 * HOUR) for crl in read_crls(second.crls))

    def test_failing_fetch_harms_nobody_until_the_lists_end(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        first = source.material(chains, NOW)
        fetch.fails = True
        assert source.material(chains, NOW + 23 * HOUR) == first
        with pytest.raises(RevocationStale):
            source.material(chains, NOW + 24 * HOUR)
        calls = fetch.calls
        with pytest.raises(RevocationStale):
            source.material(chains, NOW + 24 * HOUR + timedelta(seconds=1))
        assert fetch.calls == calls  # not asked again at once
        fetch.fails = False
        assert source.material(chains, NOW + 24 * HOUR + timedelta(seconds=10)).crls

    def test_stale_or_missing_lists_stop_sealing(
        self, pki: DevPki, chains: list[list[x509.Certificate]]
    ) -> None:
        old = pki.crls(NOW)
        for held, at in (
            (old, NOW + 25 * HOUR),
            (old[:1], NOW),
            (old[1:], NOW),
            ((), NOW),
            ((b"junk",), NOW),
        ):
            source = RevocationSource(lambda _, held=held: held, pki.roots())  # type: ignore[misc]
            with pytest.raises(RevocationStale):
                source.material(chains, at)

    def test_lists_of_a_stranger_do_not_serve(
        self, pki: DevPki, tmp_path: Path, chains: list[list[x509.Certificate]]
    ) -> None:
        stranger = DevPki.open(tmp_path / "other", NOW)  # the same names, other keys
        source = RevocationSource(stranger.crls, pki.roots())
        with pytest.raises(RevocationStale):
            source.material(chains, NOW)
        with pytest.raises(KeyUnusable):
            RevocationSource(pki.crls, stranger.roots()).material(chains, NOW)

    def test_a_key_younger_than_the_lists_makes_new_ones_due_at_once(
        self, tmp_path: Path, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        first = source.material(chains, NOW)
        later = NOW + timedelta(seconds=2)
        key = DevPki.open(tmp_path / "pki", later).act_seal("ecole", "École")
        chain = [key.certificate, *key.chain]
        store = TrustStore(pki.roots())
        with pytest.raises(SignatureRefused) as caught:
            store.validate(key.certificate, key.chain, first.crls, later)
        assert caught.value.code == "TRY_LATER"
        second = source.material([chain], later)
        assert fetch.calls == 2
        assert store.validate(key.certificate, key.chain, second.crls, later)
        assert all(source.material([each], later) for each in (chain, *chains))
        assert fetch.calls == 2

    def test_a_revoked_key_seals_no_more(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        pki.revoke(chains[0][0].serial_number, NOW + HOUR)
        source = RevocationSource(fetch, pki.roots())
        with pytest.raises(KeyUnusable):
            source.material(chains, NOW + HOUR)

    def test_a_forced_refresh_sees_a_revocation_at_once(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        source.material(chains, NOW)
        pki.revoke(chains[0][0].serial_number, NOW)
        assert not source.refresh(NOW)
        assert source.refresh(NOW, force=True)
        with pytest.raises(KeyUnusable):
            source.material(chains, NOW)

    def test_a_slow_fetch_delays_nobody_while_the_lists_are_fresh(
        self, pki: DevPki, chains: list[list[x509.Certificate]]
    ) -> None:
        entered, leave = threading.Event(), threading.Event()
        slow = False

        def fetch(now: datetime) -> Sequence[bytes]:
            if slow:
                entered.set()
                assert leave.wait(20)
            return pki.crls(now)

        source = RevocationSource(fetch, pki.roots())
        first = source.material(chains, NOW)
        slow = True
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(source.material, chains, NOW + 13 * HOUR)
            assert entered.wait(20)
            assert source.material(chains, NOW + 13 * HOUR) == first
            leave.set()
            assert waiting.result(20).crls != first.crls

    def test_many_threads_fetch_once(
        self, pki: DevPki, fetch: Fetch, chains: list[list[x509.Certificate]]
    ) -> None:
        source = RevocationSource(fetch, pki.roots())
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: source.material(chains, NOW), range(32)))
        assert fetch.calls == 1
        assert all(material == found[0] for material in found)


class TestHttp:
    @pytest.fixture
    def server(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        pages: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = pages.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}", pages
            server.shutdown()
            thread.join()

    @staticmethod
    def pointing(*urls: str) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + HOUR)
        )
        if urls:
            builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        return builder.sign(key, hashes.SHA256())

    def test_lists_come_over_http(self, pki: DevPki, server: tuple[str, dict[str, bytes]]) -> None:
        base, pages = server
        pages["/ca.crl"] = pki.crls(NOW)[1]
        pages["/big.crl"] = bytes(3000)
        certificate = self.pointing(
            f"{base}/ca.crl",
            f"{base}/missing.crl",
            f"{base}/big.crl",
            "ldap://x.example/",
            "file:///etc/passwd",
        )
        assert len(distribution_points(certificate)) == 3
        assert fetch_http_crls([[certificate, certificate]], 5, limit=2000) == [pki.crls(NOW)[1]]

    def test_certificates_without_addresses(self, pki: DevPki) -> None:
        assert fetch_http_crls([[self.pointing(), pki.root]], 5) == []

    def test_nobody_listens(self) -> None:
        assert fetch_http_crls([[self.pointing("http://127.0.0.1:9/x.crl")]], 2) == []


def test_anchors_in_der_are_the_ones_in_pem(pki: DevPki) -> None:
    assert TrustStore.from_pem(pki.roots_pem()).anchors[0].public_bytes(
        Encoding.DER
    ) == pki.root.public_bytes(Encoding.DER)
