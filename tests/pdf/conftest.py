"""A development PKI, an embedded authority and small PDFs for the tests of seals inside PDFs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest

from signing.base import Revision, SealSource, ValidationMaterial
from signing.dev_pki import DevPki
from signing.keys import SealKey
from signing.pades import PadesSealer
from signing.pdf_signatures import pdf_signatures
from signing.trust import TrustStore
from signing.validate import ValidatedSignature, validate_pdf_signature
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
POLICY = "1.3.6.1.4.1.99999.1"


class FixedClock:
    def now(self) -> datetime:
        return NOW + timedelta(seconds=2)


@dataclass(frozen=True)
class Bench:
    pki: DevPki
    authority: EmbeddedAuthority
    trust: TrustStore
    timestamps: Rfc3161Verifier
    folder: Path

    @property
    def now(self) -> datetime:
        return NOW

    def key(self, algorithm: str = "p256") -> SealKey:
        return self.pki.act_seal("mairie-x", "Mairie de X", algorithm=algorithm)

    def material(self, key: SealKey) -> ValidationMaterial:
        unit = self.pki.timestamp
        certificates = (key.certificate, *key.chain, unit.certificate, *unit.chain)
        return ValidationMaterial(certificates, self.pki.crls(NOW))

    def source(self, path: Path, *, state: bool = False, pdf: pikepdf.Pdf | None = None) -> SealSource:
        data = path.read_bytes()
        digest = hashlib.sha256(data)
        return SealSource(
            stream=path.open("rb"),
            path=path,
            size=len(data),
            sha256=digest.digest(),
            hash_state=digest if state else None,
            pdf=pdf,
        )

    def revision(self, path: Path, algorithm: str = "p256", *, state: bool = False) -> Revision:
        key = self.key(algorithm)
        sealer = PadesSealer(key)
        source = self.source(path, state=state)
        with source.stream:
            prepared = sealer.prepare(source, self.material(key), self.authority.expected_size, NOW)
        return sealer.complete(prepared, self.authority.token(prepared.imprint).der)

    def seal(self, path: Path, algorithm: str = "p256", *, state: bool = False) -> Path:
        """Seal a PDF and return the sealed file, beside which the input stays."""
        revision = self.revision(path, algorithm, state=state)
        sealed = self.folder / f"sealed-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}-{path.name}"
        sealed.write_bytes(path.read_bytes() + revision.appended)
        assert hashlib.sha256(sealed.read_bytes()).digest() == revision.sha256
        assert sealed.stat().st_size == revision.size
        return sealed

    def validate(self, path: Path) -> list[ValidatedSignature]:
        return [
            validate_pdf_signature(item, self.trust, self.timestamps, now=NOW)
            for item in pdf_signatures(path)
        ]


@pytest.fixture(scope="session")
def pdf_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("pdf-bench")
    pki = DevPki.open(folder / "pki", NOW - timedelta(minutes=5))
    unit = pki.timestamp
    authority = EmbeddedAuthority(unit, (unit.certificate, *unit.chain), POLICY, FixedClock())
    trust = TrustStore(pki.roots())
    return Bench(pki, authority, trust, Rfc3161Verifier(trust), folder)


@pytest.fixture(scope="session")
def simple_pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page, some hundred octets, plain cross-reference table."""
    path = tmp_path_factory.mktemp("simple") / "simple.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(path, deterministic_id=True)
    return path


@pytest.fixture(scope="session")
def sealed_pdf(pdf_bench: Bench, simple_pdf: Path) -> Path:
    return pdf_bench.seal(simple_pdf)


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    """Save a PDF after a function changed it; keywords go to pikepdf's `save`."""

    def make(change: Callable[[pikepdf.Pdf], None], pages: int = 1, **options: object) -> Path:
        path = tmp_path / "made.pdf"
        with pikepdf.new() as pdf:
            for _ in range(pages):
                pdf.add_blank_page(page_size=(595, 842))
            change(pdf)
            pdf.save(path, deterministic_id=True, **options)  # type: ignore[arg-type]
        return path

    return make
