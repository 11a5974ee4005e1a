"""Broken and odd PDFs handed in as acts: refused, or sealed so that every judge says yes and the same is shown.

In every run 2,000 mutants; the soak makes 100,000 (`--count N`, `--seed S` for others), a twentieth of them for DSS and
poppler too, in parts. Parts that are done are kept in `.cache/soak` with what they found: after `--seconds`, or a kill,
the same seed goes on at the same commit. A mutant that goes wrong is kept in `.cache/mutants`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pikepdf
import pytest

from signing.base import KeyPurpose, SealSource
from signing.dev_pki import DevPki
from signing.errors import PdfRefused
from signing.own_pdf import check_own_pdf
from signing.pades import PadesSealer
from signing.revocation import RevocationSource
from signing.trust import TrustStore
from tests.interop.conftest import dss, pdfsig  # noqa: F401 - fixtures
from tests.mutants import pdfium
from tests.mutants.mutators import MUTATORS, cms_inside
from tests.mutants.oracle import _shown
from tests.pdf.made_pdfs import made_pdfs
from timestamping.authority import EmbeddedAuthority
from timestamping.own_tokens import OwnTokenVerifier
from vault.clock import SystemClock
from vault.errors import Refused
from vault.evidence.findings import Outcome
from vault.evidence.verify import verify_file
from vault.inspection import inspect
from vault.intake import receive

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "mutants"
DONE = ROOT / ".cache" / "soak"
REAL = ROOT / "tests" / "data" / "pdf-real"
IN_CI, IN_SOAK = 2000, 100_000
PART = 5000
LIMIT = 10.0  # seconds of CPU that one file may take
LARGEST = 40_000
# Its annotations have no appearance: DSS at its strictest sees a difference, whoever seals (tests/interop).
FAULTY_FOR_DSS = "024-annotated_pdf.pdf"
ACTS = frozenset({KeyPurpose.ACT_SEAL})
CHANGES = tuple(item for item in MUTATORS["pdf"] if item is not cms_inside)


def originals() -> list[tuple[str, bytes]]:
    """Made and real files, small ones, of which many can be judged."""
    made = [item for item in made_pdfs().items() if len(item[1]) < LARGEST]
    real = [(path.name, path.read_bytes()) for path in sorted(REAL.glob("*.pdf"))]
    return made + [item for item in real if len(item[1]) < LARGEST and not item[0].startswith("005-")]


@dataclass
class Bench:
    """Seals as the service does: received, inspected, sealed with what the inspection opened."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sample: list[tuple[str, Path, Path]] = field(default_factory=list)
    pairs: list[tuple[str, Path, Path]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC)
        self.pki = DevPki.open(self.folder / "keys", self.now - timedelta(minutes=5))
        unit = self.pki.timestamp
        chain = (unit.certificate, *unit.chain)
        self.authority = EmbeddedAuthority(unit, chain, "1.3.6.1.4.1.99999.1", SystemClock())
        self.revocation = RevocationSource(self.pki.crls, self.pki.roots())
        self.trust = TrustStore(self.pki.roots())
        self.tokens = OwnTokenVerifier(self.trust)
        self.roots = self.folder / "roots.pem"
        self.roots.write_bytes(self.pki.roots_pem())
        key = self.pki.act_seal("commune-1", "Commune")
        self.sealer, self.chain = PadesSealer(key), (key.certificate, *key.chain)

    def seal(self, data: bytes) -> bytes:
        """Return the sealed file. Raises Refused or PdfRefused."""
        with (
            receive([data], folder=self.folder, limit=len(data) + 1) as spooled,
            inspect(spooled, name="acte.pdf", declared_type=None, as_act=True) as inspection,
        ):
            if inspection.pdf is None:
                raise Refused("NOT_A_PDF", inspection.media_type)
            if inspection.has_signatures:
                raise Refused("SIGNED", "sealed beside, not inside")
            material = self.revocation.material([self.chain, self.authority.chain()], datetime.now(UTC))
            source = SealSource(
                spooled.stream, spooled.path, spooled.size, spooled.sha256, spooled.hash_state, inspection.pdf
            )
            prepared = self.sealer.prepare(source, material, self.authority.expected_size, datetime.now(UTC))
            revision = self.sealer.complete(prepared, self.authority.token(prepared.imprint).der)
        sealed = data + revision.appended
        assert hashlib.sha256(sealed).digest() == revision.sha256
        return sealed

    def mutate(self, name: str, data: bytes, chance: Random, label: str, *, sampled: bool) -> None:
        """Change a file, hand it in, and have what comes out judged."""
        changed = data
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            changed = chance.choice(CHANGES)(changed, chance) or changed
        begun = time.process_time()
        try:
            sealed = self.seal(changed)
        except (Refused, PdfRefused) as refused:
            self.counts[refused.code] += 1
            sealed = b""
        except Exception as error:
            self.blame(f"{type(error).__name__}: {error}", f"{label}-{name}", changed)
            return
        if time.process_time() - begun > LIMIT:
            self.blame("too slow", f"{label}-{name}", changed)
        if sealed:
            self.counts["sealed"] += 1
            self.judge(changed, sealed, f"{label}-{name}", sampled=sampled)

    def judge(self, original: bytes, sealed: bytes, label: str, *, sampled: bool) -> None:
        """Our verdict, the quick check, qpdf, and what is shown; sampled ones are kept for the others."""
        path = self.folder / "sealed.pdf"
        path.write_bytes(sealed)
        verdict = verify_file(path, trust=self.trust, at=datetime.now(UTC))
        if verdict.verdict is not Outcome.PASSED:
            self.blame(f"{verdict.verdict}: {verdict.reasons}", label, original)
        if check_own_pdf(path, self.trust, self.tokens, ACTS) is None:
            # It may leave odd ones to the full engine; how many is in the figure.
            self.counts["left to the full engine"] += 1
        try:
            with pikepdf.open(path, attempt_recovery=False, inherit_page_attributes=False) as pdf:
                warned = pdf.get_warnings()
        except pikepdf.PdfError as error:
            warned = [str(error)]
        if warned:
            self.blame(f"qpdf: {warned}", label, original)
        try:
            before, after = (Counter(_shown(item, frozenset())) for item in (original, sealed))
            # One thing more is on the first page: the widget of the seal.
            same = not before - after and sum((after - before).values()) == 1
        except (TypeError, ValueError, RuntimeError, pikepdf.PdfError):
            same = False  # a name that is no text, a stream that ends early: what is drawn decides
        if not same:
            self.counts["drawn the same"] += self.drawn(original, sealed, label)
        if sampled:
            kept = self.folder / f"{len(self.sample)}-sealed.pdf"
            plain = self.folder / f"{len(self.sample)}-plain.pdf"
            kept.write_bytes(sealed)
            plain.write_bytes(original)
            self.sample.append((label, plain, kept))

    def drawn(self, original: bytes, sealed: bytes, label: str) -> bool:
        """What is drawn must be the same: an object of the seal, found by a dangling reference, shows nothing."""
        drawn, pair = [], []
        for name, data in (("before", unhinted(original)), ("after", sealed)):
            pair.append(self.folder / f"{len(self.pairs)}-{name}.pdf")
            pair[-1].write_bytes(data)
            drawn.append(rendered(pair[-1]))
        self.pairs.append((label, *pair))
        same: bool = drawn[0] == drawn[1]
        if not same:
            self.blame("it shows something else", label, original)
        return same

    def drawn_by_pdfium(self) -> None:
        """What poppler was shown is shown to PDFium too."""
        looked = pdfium.drawn([path for _, *pair in self.pairs for path in pair])
        for (label, before, _), one, other in zip(self.pairs, looked[::2], looked[1::2], strict=True):
            # What it does not read at all before the seal says nothing of the seal.
            same = one == other or not isinstance(one, list)
            self.counts["the same by PDFium" if isinstance(one, list) and same else "not by PDFium"] += 1
            if not same:
                self.blame(f"PDFium shows something else: {other}", label, before.read_bytes())

    def blame(self, why: str, label: str, data: bytes) -> None:
        """Keep what went wrong."""
        KEPT.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(data).hexdigest()[:16]
        (KEPT / f"seal-{name}").write_bytes(data)
        self.faults.append(f"{label} (seal-{name}): {why}")

    def run(self, count: int, start: str, sample: int, first: int = 0) -> None:
        """Judge so many mutants from a number on, and keep so many for the other judges."""
        files = originals()
        weights = [1 / (1 + len(data) / 8000) for _, data in files]
        chosen = Random(start).choices(files, weights, k=first + count)[first:]
        for index, (name, data) in enumerate(chosen, first):
            # About one in three is sealed at all.
            sampled = len(self.sample) < sample and index % max(1, count // (4 * sample)) == 0
            self.mutate(name, data, Random(f"{start}:{index}"), f"{start}-{index}", sampled=sampled)


def unhinted(data: bytes) -> bytes:
    """Make a linearized file a plain one: poppler takes the first page as the hints say, without what it inherits."""
    return data + b"\n"


def rendered(path: Path) -> list[bytes]:
    """The first two pages as poppler draws them, small."""
    command = ["pdftoppm", "-r", "30", "-l", "2", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return done.stdout.split(b"P6\n")


def others(bench: Bench, pdfsig: Any, drawn: int) -> None:  # noqa: F811
    """Poppler's verdict on the sample, and what it draws before and after."""
    for index, (label, plain, sealed) in enumerate(bench.sample):
        found = [item for item in pdfsig(sealed) if "form field is not signed" not in item["said"]]
        if len(found) != 1 or not found[0]["valid"] or not found[0]["whole_document"]:
            bench.blame(f"poppler: {found}", label, plain.read_bytes())
        if index < drawn:
            bench.drawn(plain.read_bytes(), sealed.read_bytes(), label)
    bench.drawn_by_pdfium()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_what_is_not_changed_is_sealed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    files = dict(originals())
    for name in list(files)[::7]:
        bench.judge(files[name], bench.seal(files[name]), name, sampled=False)
    assert not bench.faults, "\n".join(bench.faults)
    assert not bench.counts


@pytest.mark.needs("pdfsig")
@pytest.mark.parametrize("part", range(4))
def test_mutants_are_refused_or_sealed_well(part: int, tmp_path: Path, pdfsig: Any) -> None:  # noqa: F811
    bench = Bench(tmp_path)
    bench.run(IN_CI // 4, f"ci-{part}", 10)
    others(bench, pdfsig, 10)
    assert not bench.faults, "\n".join(bench.faults)
    assert bench.counts["sealed"] > IN_CI // 40
    assert bench.counts["left to the full engine"] <= bench.counts["sealed"] // 20


def test_a_wrong_seal_would_be_seen(tmp_path: Path) -> None:
    """The oracle sees a page that changed, and a seal that does not hold."""
    bench = Bench(tmp_path)
    original = dict(originals())["one-page.table"]
    sealed = bench.seal(original)
    bench.judge(dict(originals())["pictures.table"], sealed, "another page", sampled=False)
    bench.drawn_by_pdfium()
    bench.judge(original, sealed[:-2] + b"G\n", "broken", sampled=False)
    assert len(bench.faults) == 3, bench.faults
    for name in {fault.partition("(")[2].partition(")")[0] for fault in bench.faults}:
        (KEPT / name).unlink()


@pytest.mark.soak("seal-mutants")
@pytest.mark.timeout(14_400)
@pytest.mark.needs("pdfsig", "dss")
def test_soak_of_sealed_mutants(
    tmp_path: Path,
    pdfsig: Any,  # noqa: F811
    dss: Any,  # noqa: F811
    record_property: Any,
) -> None:
    start, count = os.environ.get("SOAK_SEED", "0"), int(os.environ.get("SOAK_COUNT", IN_SOAK))
    until = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "inf"))
    book = DONE / f"seal-mutants-{_commit()}-{start}-{count}.jsonl"
    book.parent.mkdir(parents=True, exist_ok=True)
    book.touch()
    parts = [json.loads(line) for line in book.read_text().splitlines()]
    earlier = len(parts)
    for first in range(earlier * PART, count, PART):
        if time.monotonic() > until:
            break
        place = tmp_path / str(first)
        place.mkdir()
        parts.append(_part(place, start, first, min(PART, count - first), pdfsig, dss))
        with book.open("a") as lines:
            lines.write(json.dumps(parts[-1]) + "\n")
        shutil.rmtree(place)
    total = sum((Counter(part["numbers"]) for part in parts), Counter[str]())
    counts = sum((Counter(part["counts"]) for part in parts), Counter[str]())
    faults = [fault for part in parts for fault in part["faults"]]
    before = f", {earlier} of {len(parts)} parts in a run before" if earlier else ""
    record_property(
        "figure",
        f"{total['made']} mutants of {count} asked for, of {len(originals())} files{before}: {dict(counts)}; "
        f"{total['sampled']} of them judged by poppler and DSS (DSS undecided on {total['undecided']}), "
        f"{total['drawn']} drawn by poppler and PDFium before and after; {len(faults)} went wrong",
    )
    assert parts
    assert not faults, "\n".join(faults[:50])


def _commit() -> str:
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _part(folder: Path, start: str, first: int, count: int, pdfsig: Any, dss: Any) -> dict[str, Any]:  # noqa: F811
    """Judge the mutants from a number on; return what was found."""
    bench = Bench(folder)
    bench.run(count, start, count // 20, first)
    drawn = min(count // 100, len(bench.sample))
    others(bench, pdfsig, drawn)
    undecided = 0
    for at in range(0, len(bench.sample), 500):
        part = bench.sample[at : at + 500]
        for (label, plain, _), verdict in zip(
            part, dss([item[2] for item in part], bench.roots), strict=True
        ):
            [signature] = verdict["signatures"]
            faulty = signature["indication"] == "TOTAL_FAILED" and not label.endswith(FAULTY_FOR_DSS)
            if faulty or not signature["wholeDocument"]:
                bench.blame(f"DSS: {signature}", label, plain.read_bytes())
            undecided += signature["indication"] != "TOTAL_PASSED"
    numbers = {"made": count, "sampled": len(bench.sample), "undecided": undecided, "drawn": drawn}
    return {"first": first, "numbers": numbers, "counts": dict(bench.counts), "faults": bench.faults}
