"""Anchors from a running safe: by an outside authority on the loopback, with it down, cut short, from two processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from signing.base import ValidationMaterial
from signing.trust import TrustStore
from storage.errors import StorageUnavailable
from storage.memory import MemoryLogStore
from tests.services.postgresql import address
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.core import faults
from vault.db.engine import Database
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Unavailable
from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file
from vault.ledger.anchor import Anchor, token_digest, verify_anchor
from vault.ledger.anchoring import Anchoring
from vault.ledger.anchors import Anchors, stored_sizes
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher
from vault.ledger.writer import LedgerWriter
from vault.service import Vault
from vault.settings import Settings

REPLY = "application/timestamp-reply"
MONTH = timedelta(days=31)
pytestmark = pytest.mark.usefixtures("each_database")


class Now:
    def __init__(self, at: datetime | None = None) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)


class Outsider:
    """A timestamp authority of somebody else: its own root, its certificate says nothing of a safe."""

    def __init__(self, clock: Now | None = None, port: int = 1) -> None:
        self.clock = clock or Now()
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Racine extérieure")])
        self.root = self._certificate(self._root_key, self._name, ca=True, port=port)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Horodatage extérieur")])
        self.unit = self._certificate(key, name, ca=False, port=port)
        self.authority = EmbeddedAuthority(key, (self.unit,), "1.2.3.4", self.clock)
        self.trust = TrustStore([self.root])

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, name: x509.Name, *, ca: bool, port: int
    ) -> x509.Certificate:
        begin = self.clock.now().replace(microsecond=0) - timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key()),
                critical=False,
            )
        )
        if not ca:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            place = x509.UniformResourceIdentifier(f"http://127.0.0.1:{port}/crl")
            point = x509.DistributionPoint([place], None, None, None)
            builder = builder.add_extension(usage, critical=True)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(self._root_key, hashes.SHA256())

    def crl(self) -> bytes:
        now = self.clock.now().replace(microsecond=0)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - timedelta(minutes=1)).next_update(now + timedelta(days=1))
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key()), critical=False
        ).add_extension(x509.CRLNumber(1), critical=False)
        return builder.sign(self._root_key, hashes.SHA256()).public_bytes(Encoding.DER)

    def material(self, _chains: object, _now: datetime) -> ValidationMaterial:
        return ValidationMaterial((self.unit,), (self.crl(),))


class Served:
    """An outsider that answers over HTTP, when it answers."""

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                self._answer(outer.outsider.authority.respond(body), REPLY)

            def do_GET(self) -> None:
                self._answer(outer.outsider.crl(), "application/pkix-crl")

            def _answer(self, data: bytes, media_type: str) -> None:
                self.send_response(200 if outer.up else 503)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = self._server.server_address[1]
        self.outsider = Outsider(port=port)
        self.url = f"http://127.0.0.1:{port}/tsa"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def settings(self, folder: Path, **changes: Any) -> Settings:
        pem = folder / "outside.pem"
        pem.write_bytes(self.outsider.root.public_bytes(Encoding.PEM))
        fields: dict[str, Any] = {
            "data": folder / "data",
            "publish_interval": 0.02,
            "anchor_tsa_url": self.url,
            "anchor_tsa_trust": pem,
            "tsa_timeout": 2.0,
        }
        return Settings(**{**fields, **changes})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@contextmanager
def running(settings: Settings, *, background: bool = False) -> Iterator[Vault]:
    vault = open_vault(settings, background=background)
    try:
        yield vault
    finally:
        vault.close()


def issue(vault: Vault, content: bytes, key: str = "k1") -> str:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.pdf", document_type="acte-de-naissance")
    return vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key)).document_id


def bundle(vault: Vault, document: str) -> bytes:
    download = vault.reading.bundle(vault.personas.named("camille").actor, document, "")
    return b"".join(download.read(0, None))


def judged(vault: Vault, folder: Path, data: bytes, outsider: Outsider | None = None) -> Verdict:
    path = folder / "judged.asice"
    path.write_bytes(data)
    roots = vault.parts.pki.roots()
    more = [outsider.root] if outsider is not None else []
    return verify_file(
        path, trust=TrustStore(roots), tsa_trust=TrustStore([*roots, *more]), policy=vault.parts.policy
    )


def ledger(verdict: Verdict) -> dict[str, Any]:
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    found = verdict.as_dict()["ledger"]
    assert isinstance(found, dict)
    return found


def test_a_document_gets_an_outside_date(served: Served, act_pdf: bytes, tmp_path: Path) -> None:
    with running(served.settings(tmp_path)) as vault:
        document = issue(vault, act_pdf)
        before = bundle(vault, document)
        assert ledger(judged(vault, tmp_path, before))["anchor"] == "pending"
        size = vault.anchoring.anchor()
        assert size is not None
        anchored = bundle(vault, document)
        verdict = judged(vault, tmp_path, anchored, served.outsider)
        found = ledger(verdict)
        assert found["anchor"] == "PASSED"
        assert (found["anchor_authority"], found["anchor_own_authority"]) == ("Horodatage extérieur", False)
        assert found["recorded_after"] == verdict.signatures[0].signing_time
        assert found["recorded_after"] <= found["recorded_before"]
        assert found["size"] == size
        assert [finding.part for finding in verdict.signatures] == ["document", "bundle"]
        # The seal over it is kept: asked for again, it is the same, however the ledger grows.
        assert bundle(vault, document) == anchored
        # The service's own verifier trusts the authority it uses.
        assert vault.verifying.upload(iter((anchored,))).verdict is Outcome.PASSED
        # Revoked: what is new has no outside date yet, then both entries have one.
        agent = vault.personas.named("agent-etat-civil").actor
        vault.lifecycle.revoke(agent, document, "error", Transfer("r1"))
        late = judged(vault, tmp_path, bundle(vault, document), served.outsider)
        assert ledger(late)["anchor"] == "pending"
        assert vault.anchoring.anchor() is None  # the hour is not over
        vault.publisher.wait(vault.receipts.published_size() + 1, 1.0)
        assert vault.anchoring.anchor(force=True) is not None
        revoked = judged(vault, tmp_path, bundle(vault, document), served.outsider)
        assert ledger(revoked)["anchor"] == "PASSED"
        assert len(ledger(revoked)["entries"]) == 2
        assert revoked.status is not None
        assert revoked.status.value == "revoked"


def test_the_published_ledger_has_it(served: Served, tmp_path: Path) -> None:
    with running(served.settings(tmp_path)) as vault:
        assert vault.publisher.wait(1, 5.0)
        size = vault.anchoring.anchor()
        client = TestClient(create_app(vault), base_url="http://127.0.0.1")
        anchor, token = (client.get(f"/ledger/anchor/{size}{end}") for end in ("", ".tst"))
        lists = client.get(f"/ledger/anchor/{hashlib.sha256(token.content).hexdigest()}.crls")
        assert [answer.status_code for answer in (anchor, token, lists)] == [200, 200, 200]
        crls = [x509.load_pem_x509_crl(lists.content).public_bytes(Encoding.DER)]
        verifier = Rfc3161Verifier(served.outsider.trust)
        report = verify_anchor(anchor.content, token.content, vault.parts.policy, verifier, crls=crls)
        assert report.size == size
        for path in ("", "0", "01", f"{size}.crls", "x.tst", f"{size}.tst/x"):
            assert client.get(f"/ledger/anchor/{path}").status_code == 404


def test_offline_assembly_carries_the_anchor(served: Served, act_pdf: bytes, tmp_path: Path) -> None:
    settings = served.settings(tmp_path)
    with running(settings) as vault:
        document = issue(vault, act_pdf)
        vault.publisher.wait(vault.receipts.published_size() + 1, 0.5)
        assert vault.anchoring.anchor() is not None
    target = tmp_path / "offline.asice"
    done = CliRunner().invoke(
        build(), ["bundle", document, "--data", str(settings.data), "--out", str(target)]
    )
    assert done.exit_code == 0, done.output
    with running(settings) as vault:
        verdict = judged(vault, tmp_path, target.read_bytes(), served.outsider)
    assert ledger(verdict)["anchor_authority"] == "Horodatage extérieur"
    assert [finding.part for finding in verdict.signatures] == ["document"]  # no evidence seal, and said


def test_the_embedded_authority_is_labelled(act_pdf: bytes, tmp_path: Path) -> None:
    with running(Settings(data=tmp_path / "data", publish_interval=0.02), background=True) as vault:
        document = issue(vault, act_pdf)
        bundle(vault, document)
        vault.anchoring.anchor(force=True)
        found = ledger(judged(vault, tmp_path, bundle(vault, document)))
        assert (found["anchor"], found["anchor_own_authority"]) == ("PASSED", True)


def test_an_authority_that_is_down_is_asked_again(served: Served, act_pdf: bytes, tmp_path: Path) -> None:
    served.up = False
    with running(served.settings(tmp_path)) as vault:
        document = issue(vault, act_pdf)
        assert ledger(judged(vault, tmp_path, bundle(vault, document)))["anchor"] == "pending"
        with pytest.raises(Unavailable) as error:
            vault.anchoring.anchor()
        assert (error.value.code, error.value.detail) == ("ANCHOR_PUT_OFF", "TSA_UNAVAILABLE")
        assert list(vault.parts.log.list("anchor/")) == []
        assert ledger(judged(vault, tmp_path, bundle(vault, document)))["anchor"] == "pending"
        served.up = True
        assert vault.anchoring.anchor() is not None
        found = judged(vault, tmp_path, bundle(vault, document), served.outsider)
        assert ledger(found)["anchor"] == "PASSED"


def test_a_database_that_forgot_takes_them_over(served: Served, act_pdf: bytes, tmp_path: Path) -> None:
    settings = served.settings(tmp_path)
    with running(settings) as vault:
        document = issue(vault, act_pdf)
        bundle(vault, document)
        assert vault.anchoring.anchor() is not None
        with vault.parts.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM anchors")
            connection.exec_driver_sql("DELETE FROM checkpoints")
        bad = settings.data / "ledger" / "anchor" / "9.tst"
        (bad.parent / "9").write_bytes(b"probans/anchor/v1\n")
        bad.write_bytes(b"0")
        (bad.parent / f"{hashlib.sha256(b'0').hexdigest()}.crls").write_bytes(b"")
    with running(settings) as vault:
        assert vault.anchoring.anchor() is None
        found = judged(vault, tmp_path, bundle(vault, document), served.outsider)
        assert ledger(found)["anchor"] == "PASSED"


class Small:
    """A ledger without documents, its anchors by an outsider at a clock that can be set."""

    def __init__(self, folder: Path, store: Any, at: datetime | None = None) -> None:
        self.folder, self.store = folder, store
        self.clock = Now(at)
        self.database = Database.open(address(folder), folder / "locks")
        self.database.migrate()
        self.keys = LedgerKeys.open(folder / "keys", "safe.example/ledger/1")
        open_ledger(self.database, self.clock, self.keys, [])
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, self.clock)
        self.writer.start()
        self.outsider = Outsider(self.clock)
        self.policy = Policy.from_vkeys("\n".join(self.keys.vkeys))

    def anchoring(self, store: Any = None, interval: timedelta = timedelta(hours=1)) -> Anchoring:
        return Anchoring(
            self.database,
            store or self.store,
            self.outsider.authority,
            Rfc3161Verifier(self.outsider.trust),
            self.outsider,
            lambda: self.policy,
            self.clock,
            interval,
        )

    def grow(self) -> int:
        self.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
        return Publisher(self.database, self.store, self.keys, self.clock).publish()

    def chain(self) -> list[Anchor]:
        """The stored anchors, seen to hang together by their tokens."""
        anchors, previous = [], bytes(32)
        for size in stored_sizes(self.store):
            anchor = Anchor.parse(self.store.get(f"anchor/{size}"))
            assert anchor.checkpoint.size == size
            assert anchor.links.previous == previous
            previous = token_digest(self.store.get(f"anchor/{size}.tst"))
            anchors.append(anchor)
        return anchors

    def close(self) -> None:
        self.writer.close()
        self.database.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    made = Small(tmp_path, MemoryLogStore(), datetime(2026, 11, 20, 12, tzinfo=UTC))
    yield made
    made.close()


def test_when_one_is_due(small: Small) -> None:
    worker = small.anchoring()
    assert worker.anchor() is None  # nothing is published
    assert worker.anchor(force=True) is None
    first = small.grow()
    assert worker.anchor() == first
    small.clock.at += timedelta(hours=30)
    assert worker.anchor() is None  # nothing came
    assert worker.anchor(force=True) is None
    second = small.grow()
    assert worker.anchor() == second
    third = small.grow()
    small.clock.at += timedelta(minutes=59)
    assert worker.anchor() is None
    small.clock.at += timedelta(minutes=1)
    assert worker.anchor() == third
    fourth = small.grow()
    small.clock.at -= timedelta(hours=2)  # set back: not held up until it has caught up
    assert worker.anchor() == fourth
    assert len(small.chain()) == 4
    assert Anchors(small.database, small.store).covering(fourth + 1) is None
    found = Anchors(small.database, small.store).covering(first + 1)
    assert found is not None
    assert found.size == second


def test_a_walk_over_years_is_short(small: Small) -> None:
    worker = small.anchoring()
    firsts: dict[tuple[int, int], bytes] = {}
    years: dict[int, bytes] = {}
    for _ in range(30):
        size = small.grow()
        assert worker.anchor() == size
        links = Anchor.parse(small.store.get(f"anchor/{size}")).links
        at = small.clock.at
        months = list(firsts)
        if (at.year, at.month) in firsts or not firsts:
            assert links.month is None
        else:
            assert links.month == firsts[months[-1]]
        if at.year in years or not years:
            assert links.year is None
        else:
            assert links.year == years[list(years)[-1]]
        digest = token_digest(small.store.get(f"anchor/{size}.tst"))
        firsts.setdefault((at.year, at.month), digest)
        years.setdefault(at.year, digest)
        small.clock.at += timedelta(days=17)
    assert len(years) == 3
    small.chain()


class Cut:
    """A log store that fails at one write, before it or after it."""

    def __init__(self, store: MemoryLogStore, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after

    def put_if_absent(self, path: str, data: bytes, media_type: str) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise StorageUnavailable("cut")
        self._store.put_if_absent(path, data, media_type)
        if self._left == 0:
            raise StorageUnavailable("cut")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("moved", [False, True])
def test_cut_short_at_any_write(small: Small, at: int, after: bool, moved: bool) -> None:
    small.grow()
    assert small.anchoring().anchor() is not None
    small.clock.at += MONTH
    size = small.grow()
    with pytest.raises(Unavailable):
        small.anchoring(Cut(small.store, at, after=after)).anchor()
    found = Anchors(small.database, small.store).covering(size)
    assert found is None
    small.clock.at += MONTH  # another month: the text would be another one
    newest = small.grow() if moved else size
    worker = small.anchoring()
    for _ in range(2):
        small.clock.at += timedelta(hours=2)
        worker.anchor()
    chain = small.chain()
    assert chain[-1].checkpoint.size == newest
    for anchor in chain:
        stored = Anchors(small.database, small.store).covering(anchor.checkpoint.size)
        assert stored is not None
        assert stored.crls


@contextmanager
def stopping(point: str) -> Iterator[None]:
    """Have the process that passes a point die there, as far as one process can play that."""

    def stop(name: str) -> None:
        if name == point:
            raise Stopped

    faults.install(stop)
    try:
        with pytest.raises(Stopped):
            yield
    finally:
        faults.install(None)


class Stopped(Exception):
    """The end of a process that is only played."""


POINTS = (
    "anchor.before-token",
    "anchor.after-token",
    "anchor.after-text",
    "anchor.after-lists",
    "anchor.before-row",
    "anchor.after-row",
)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_another_process_goes_on_from_where_one_was_stopped(small: Small, point: str, moved: bool) -> None:
    """It made anchors before itself, and so has looked into the store long ago: the chain must not fork."""
    other = small.anchoring()
    small.grow()
    assert other.anchor() is not None
    small.clock.at += timedelta(hours=2)
    size = small.grow()
    with stopping(point):
        small.anchoring().anchor()
    newest = small.grow() if moved else size
    small.clock.at += timedelta(hours=2)
    other.anchor()
    chain = small.chain()
    assert chain[-1].checkpoint.size == newest
    with small.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT size FROM anchors ORDER BY size").scalars().all()
    assert list(rows) == stored_sizes(small.store)


def test_threads_make_one(small: Small) -> None:
    small.grow()
    workers = [small.anchoring() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda worker: worker.anchor(), workers))
    assert len([size for size in made if size is not None]) == 1
    assert len(small.chain()) == 1


def test_another_host_was_first(small: Small) -> None:
    """Without a common lock: its anchor is taken over, and nothing is written over it."""
    small.grow()
    late = small.anchoring()
    assert late.anchor() is not None
    small.clock.at += timedelta(hours=1)
    size = small.grow()
    with small.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT COUNT(*) FROM anchors").scalar()
    assert small.anchoring().anchor() == size
    with small.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM anchors WHERE size = ?", (size,))
    token = small.store.get(f"anchor/{size}.tst")
    small.clock.at += timedelta(minutes=5)
    assert late.anchor() is None
    assert small.store.get(f"anchor/{size}.tst") == token
    small.clock.at += timedelta(hours=2)
    assert late.anchor() is None
    with small.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM anchors").scalar() == (rows or 0) + 1


def _background(settings: Settings, ready: Any, stop: Any) -> None:
    with running(settings, background=True):
        ready.set()
        stop.wait(30)


def test_two_processes_and_a_restart(served: Served, act_pdf: bytes, tmp_path: Path) -> None:
    settings = served.settings(tmp_path)
    with running(settings) as vault:
        document = issue(vault, act_pdf)
        bundle(vault, document)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ready = [context.Event() for _ in range(2)]
    others = [context.Process(target=_background, args=(settings, each, stop)) for each in ready]
    for process in others:
        process.start()
    try:
        assert all(event.wait(30) for event in ready)
    finally:
        stop.set()
        for process in others:
            process.join(30)
    assert [process.exitcode for process in others] == [0, 0]
    with running(settings) as vault:
        sizes = stored_sizes(vault.parts.log)
        assert len(sizes) == 1
        anchor = Anchor.parse(vault.parts.log.get(f"anchor/{sizes[0]}"))
        assert Checkpoint.parse(anchor.note).size == sizes[0]
        found = judged(vault, tmp_path, bundle(vault, document), served.outsider)
        assert ledger(found)["anchor"] == "PASSED"
