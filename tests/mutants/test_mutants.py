"""Thousands of broken and odd files: each gets a verdict in time, and none is PASSED that should not be.

In every run 2,000 mutants; `make soak mutants` makes 50,000 (`--count N`, `--seed S` for others). A mutant that is
judged wrongly is kept in `.cache/mutants`.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.mutants.mutators import MUTATORS, NEUTRAL
from tests.mutants.oracle import breach
from tests.mutants.seeds import Seed, seeds
from vault.evidence.findings import Outcome, Verdict
from vault.evidence.verify import verify_file

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "mutants"
IN_CI, IN_SOAK = 2000, 50_000
LIMIT = 10.0  # seconds of CPU that one file may take
FLOOR = 0.95
NEUTRALS = 200


@dataclass
class Run:
    """Judges mutants and keeps count."""

    folder: Path
    number: str
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    by_mutator: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")

    def judge(
        self, seed: Seed, data: bytes, label: str, over: tuple[bytes, ...] | None = None
    ) -> Verdict | None:
        path = self.folder / "judged"
        path.write_bytes(data)
        originals = []
        for index, content in enumerate(seed.over if over is None else over):
            originals.append(self.folder / f"original-{index}")
            originals[-1].write_bytes(content)
        begun = time.process_time()
        try:
            verdict = verify_file(
                path, trust=seed.trust, original=originals, digests=seed.digests, at=seed.at
            )
        except Exception as error:
            self.blame(f"{type(error).__name__}: {error}", label, data)
            return None
        spent = time.process_time() - begun
        self.slowest = max(self.slowest, (spent, label))
        if spent > LIMIT:
            self.blame(f"took {spent:.1f} s", label, data)
        codes = {reason.code for reason in verdict.reasons}
        if "PROCESSING_ERROR" in codes:
            self.blame(f"an error of ours: {verdict.reasons[0].message}", label, data)
        if verdict.verdict is not Outcome.PASSED and not codes:
            self.blame("no reason is given", label, data)
        self.verdicts[verdict.verdict.value] += 1
        return verdict

    def blame(self, why: str, label: str, data: bytes) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = KEPT / f"{hashlib.sha256(data).hexdigest()[:12]}-{label.replace('/', '-')}"
        kept.write_bytes(data)
        self.faults.append(f"{why}: {label}, kept as {kept.name}")

    def mutate(self, seed: Seed, chance: Random, label: str) -> None:
        data, used = seed.data, []
        wanted = chance.choice((1, 1, 1, 2, 3))
        for _ in range(20):
            if len(used) >= wanted and data != seed.data:
                break
            mutator = chance.choice(MUTATORS[seed.kind])
            changed = mutator(data, chance)
            if changed and changed != data:
                data = changed
                used.append(mutator.__name__)
        label = f"{label}-{'-'.join(used)}-{Path(seed.name).name}"
        verdict = self.judge(seed, data, label)
        if verdict is not None:
            self.by_mutator.update(f"{each} {verdict.verdict.value}" for each in used)
            why = breach(seed, data, verdict)
            if why:
                self.blame(f"PASSED: {why}", label, data)
        if seed.over and chance.random() < 0.2:
            # The file is what it was, what it is about is not.
            wrong = (*seed.over[:-1], seed.over[-1] + b"!")
            other = self.judge(seed, seed.data, label, wrong)
            if other is not None and other.verdict is Outcome.PASSED:
                self.blame("PASSED over something else", label, seed.data)


def weights() -> list[float]:
    """Prefer small files, of which more can be judged, and PDFs."""
    return [(3.0 if seed.kind == "pdf" else 1.0) / (1 + len(seed.data) / 20_000) for seed in seeds()]


def run(count: int, start: str, folder: Path) -> Run:
    done = Run(folder, start)
    choices = Random(start).choices(seeds(), weights(), k=count)
    for index, seed in enumerate(choices):
        done.mutate(seed, Random(f"{start}:{index}"), f"{start}-{index}")
    return done


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("seed", seeds(), ids=lambda item: Path(item.name).name)
def test_every_seed_passes(seed: Seed, tmp_path: Path) -> None:
    verdict = Run(tmp_path, "").judge(seed, seed.data, seed.name)
    assert verdict is not None
    assert verdict.verdict is Outcome.PASSED, verdict.reasons


def test_harmless_changes_stay_passed(tmp_path: Path) -> None:
    """An engine that refuses whatever is unusual would be of no use."""
    done = Run(tmp_path, "neutral")
    able = [seed for seed in seeds() if NEUTRAL[seed.kind]]
    refused = []
    for index in range(NEUTRALS):
        chance = Random(f"neutral:{index}")
        seed = chance.choice(able)
        data = chance.choice(NEUTRAL[seed.kind])(seed.data, chance)
        verdict = done.judge(seed, data or seed.data, f"neutral-{index}-{Path(seed.name).name}")
        if verdict is None or verdict.verdict is not Outcome.PASSED:
            refused.append(f"{seed.name}: {verdict and verdict.reasons}")
    assert not done.faults
    assert len(refused) <= NEUTRALS * (1 - FLOOR), "\n".join(refused)


@pytest.mark.parametrize("part", range(4))
def test_mutants(part: int, tmp_path: Path) -> None:
    done = run(IN_CI // 4, f"ci-{part}", tmp_path)
    assert not done.faults, "\n".join(done.faults)
    assert done.verdicts["FAILED"] > done.verdicts["PASSED"] > 0


@pytest.mark.soak("mutants")
@pytest.mark.timeout(7200)
def test_soak_of_mutants(tmp_path: Path, record_property: Any) -> None:
    start, count = os.environ.get("SOAK_SEED", "0"), int(os.environ.get("SOAK_COUNT", IN_SOAK))
    done = run(count, start, tmp_path)
    seconds, slowest = done.slowest
    record_property(
        "figure",
        f"{count} mutants of {len(seeds())} genuine files: {dict(done.verdicts)}; {len(done.faults)} judged wrongly; "
        f"slowest {seconds:.2f} s of CPU ({slowest})",
    )
    assert not done.faults, "\n".join(done.faults[:50])
