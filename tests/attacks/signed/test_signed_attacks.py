"""Every attack of the generator gets the reason that it must, and the genuine files beside them stay PASSED."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from signing.trust import TrustStore
from tests.attacks.signed.generator import ATTACKS, Attack, Bench, Made
from vault.evidence.findings import Outcome, Verdict
from vault.evidence.sentences import main_reason
from vault.evidence.verify import verify_file


@pytest.fixture(scope="module")
def bench() -> Bench:
    from tests.judging.conftest import World

    return Bench(World())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def judge(made: Made, bench: Bench, folder: Path) -> Verdict:
    path = folder / "judged"
    path.write_bytes(made.data)
    originals = []
    for number, content in enumerate(made.over):
        originals.append(folder / f"original-{number}")
        originals[-1].write_bytes(content)
    trust = TrustStore([bench.world.root.certificate])
    return verify_file(path, trust=trust, original=originals, at=made.at, **made.options)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda item: f"{item.family}/{item.name}")
def test_attack(attack: Attack, bench: Bench, tmp_path: Path) -> None:
    made = attack.make(bench)
    verdict = judge(made if isinstance(made, Made) else Made(made), bench, tmp_path)
    if not attack.codes:
        assert verdict.verdict is Outcome.PASSED, verdict.reasons
        return
    assert verdict.verdict is (Outcome.INDETERMINATE if attack.unsure else Outcome.FAILED), verdict.reasons
    assert main_reason(verdict).code in attack.codes, verdict.reasons
