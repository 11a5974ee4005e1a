"""Bundles judged by a policy that asks for witnesses: too few, enough, and lines that count for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vault.evidence.ledger_source import ledger_source
from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file
from vault.evidence.wording import lines
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


def test_a_bundle_older_than_its_cosignatures_is_told_what_the_cosigned_ledger_says(
    case: Case, tmp_path: Path
) -> None:
    """The receipts bear no cosignature yet; the ledger at hand does, and says that the act was revoked."""
    policy = case.policy("one")
    path = tmp_path / "early.asice"
    path.write_bytes(case.safe.bundle(case.document))
    size = len(case.safe.log.entries)
    case.safe.revoke(case.document)
    folder = case.safe.log.publish(tmp_path / "ledger")
    note = (folder / "checkpoint").read_bytes()

    def ask(asked: bool = True) -> Verdict:
        source = ledger_source(str(folder)) if asked else None
        return verify_file(path, trust=case.safe.trust(), policy=policy, ledger=source)

    def codes(verdict: Verdict) -> list[str]:
        assert verdict.verdict is Outcome.INDETERMINATE
        return [reason.code for reason in verdict.reasons]

    # Not cosigned either: said once for the bundle, once for the ledger, and nothing about missing keys.
    verdict = ask()
    assert codes(verdict) == ["WITNESS_QUORUM_UNMET", "WITNESS_QUORUM_UNMET"]
    assert verdict.status is not None
    assert (verdict.status.value, verdict.status.as_of_size) == ("valid", None)
    assert f"in force (by this file alone, {verdict.status.as_of_time})" in "\n".join(lines(verdict, "en"))
    cosigned = WITNESSES["one"].cosign(Checkpoint.parse(note).signed, NOW)
    (folder / "checkpoint").write_bytes(with_cosignatures(note, cosigned))
    verdict = ask()
    assert codes(verdict) == ["WITNESS_QUORUM_UNMET"]
    assert verdict.status is not None
    assert (verdict.status.value, verdict.status.source) == ("changed", "ledger")
    assert verdict.status.as_of_size is not None
    assert verdict.status.as_of_size > size
    assert codes(ask(asked=False)) == ["WITNESS_QUORUM_UNMET"]


def test_no_witness_named_is_not_no_witness(case: Case) -> None:
    named = case.policy("none")
    for policy in (named, replace(named, witnesses={})):
        told = "\n".join(lines(case.ask(policy, WITNESSES["one"]), "en"))
        assert ("no witness that the verifier names cosigned" in told) is (policy is not named)
