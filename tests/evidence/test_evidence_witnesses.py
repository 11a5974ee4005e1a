"""Bundles judged by a policy that asks for witnesses: too few, enough, and lines that count for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import with_cosignatures
from vault.ledger.policy import Policy
from vault.ledger.witness_keys import WitnessKeys

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WITNESSES = {name: WitnessKeys.new(f"{name}.example/witness") for name in ("one", "two", "three")}


class Case:
    """A bundle whose receipts bear the lines of chosen witnesses."""

    def __init__(self, safe: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.safe, self.folder, self.patch = safe, folder, patch
        self.document = safe.issue("témoins")
        self.note: bytes = safe.log.checkpoint()

    def policy(self, quorum: str, *extra: str) -> Policy:
        lines = [f"log {key.vkey}" for key in self.safe.log.policy().logs]
        lines += [f"witness {name} {keys.ml_dsa_44.vkey}" for name, keys in WITNESSES.items()]
        return Policy.parse("\n".join([*lines, *extra, f"quorum {quorum}"]))

    def ask(self, policy: Policy, *cosigners: WitnessKeys) -> Verdict:
        signed = Checkpoint.parse(self.note).signed
        lines = [line for keys in cosigners for line in keys.cosign(signed, NOW)]
        cosigned = with_cosignatures(self.note, lines)
        self.patch.setattr(self.safe.log, "checkpoint", lambda: cosigned)
        path = self.folder / "act.asice"
        path.write_bytes(self.safe.bundle(self.document))
        return verify_file(path, trust=self.safe.trust(), policy=policy)


@pytest.fixture
def case(safe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(safe, tmp_path, monkeypatch)


def test_two_of_three(case: Case) -> None:
    policy = case.policy("some", "group some 2 one two three")
    one, two, three = WITNESSES.values()
    for cosigners in ([], [one], [WitnessKeys.new("one.example/witness"), two]):
        verdict = case.ask(policy, *cosigners)
        assert verdict.verdict is Outcome.INDETERMINATE
        assert [reason.code for reason in verdict.reasons] == ["WITNESS_QUORUM_UNMET"]
    for cosigners, names in (([one, three], ("one", "three")), ([one, two, three], tuple(WITNESSES))):
        verdict = case.ask(policy, *cosigners)
        assert (verdict.verdict, verdict.reasons) == (Outcome.PASSED, ())
        assert verdict.ledger is not None
        assert verdict.ledger.witnesses == names
        assert verdict.ledger.rests_on == f"cosigned by {len(names)} witnesses"


def test_nobody_is_asked_for_but_who_cosigned_counts(case: Case) -> None:
    policy = case.policy("none")
    for cosigners, rests_on in (
        ([], "rests on the operator's key alone: no witness cosigned"),
        (list(WITNESSES.values())[:2], "cosigned by 2 witnesses"),
    ):
        verdict = case.ask(policy, *cosigners)
        assert verdict.verdict is Outcome.PASSED
        assert verdict.ledger is not None
        assert verdict.ledger.rests_on == rests_on


def test_a_witness_key_is_no_key_of_the_log(case: Case) -> None:
    keys = list(WITNESSES.values())
    lines = [f"witness one {keys[0].ml_dsa_44.vkey}", "quorum one"]
    verdict = case.ask(Policy.parse("\n".join(lines)), *keys)
    assert verdict.verdict is Outcome.INDETERMINATE
    assert "LOG_UNKNOWN" in [reason.code for reason in verdict.reasons]
