"""The audit of a safe verifies each seal and timestamp, and that they are those the ledger committed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.judgement import JudgingPolicy
from signing.trust import TrustStore
from vault.audit.contents import audit_safe
from vault.audit.seals import SealJudge
from vault.bootstrap import open_vault, timestamp_trust
from vault.db import models
from vault.documents import drafts, recording
from vault.domain.documents import NewDocument, ObjectRole, Outcome
from vault.domain.transfer import Transfer
from vault.evidence.means import Means
from vault.ledger.events import Event
from vault.ledger.findings import AuditReport
from vault.service import Vault
from vault.settings import Settings

ACT, ATTACHMENT = "an act", "an attachment"


def judge_of(vault: Vault, roots: TrustStore | None = None, dated: TrustStore | None = None) -> SealJudge:
    trust = roots or TrustStore(vault.parts.pki.roots())
    now = JudgingPolicy(vault.parts.clock.now())
    means = Means(trust, dated or timestamp_trust(vault.parts), None, None, now)
    return SealJudge(means, vault.settings.spool_folder)


def judged(vault: Vault, judge: SealJudge) -> AuditReport:
    parts = vault.parts
    return audit_safe(parts.database, parts.keyring, parts.objects, parts.records, seals=judge)


Given = dict[str, Callable[[], Outcome]]


@pytest.fixture
def given_both(issue: Callable[..., Outcome], deposit: Callable[..., Outcome]) -> Given:
    return {ACT: issue, ATTACHMENT: deposit}


def test_seals_as_they_should_be(vault: Vault, given_both: Given) -> None:
    for make in given_both.values():
        make()
    report = judged(vault, judge_of(vault))
    assert (report.problems, report.checked) == ([], 2)


@pytest.mark.parametrize("kind", [ACT, ATTACHMENT])
@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("token", "TOKEN_MISMATCH"),
        ("seal_certificate", "CERTIFICATE_MISMATCH"),
        ("signature", "SEAL_MISMATCH"),
    ],
)
def test_an_entry_that_commits_to_another(
    vault: Vault, given_both: Given, monkeypatch: pytest.MonkeyPatch, kind: str, part: str, code: str
) -> None:
    """The row, the parts and the opening agree with one another: only the seal itself tells."""

    def lying(*arguments: Any) -> Any:
        event = drafts.sealing_event(*arguments)
        parts = {**event.document["parts"], part: "00" * 32}
        return replace(event, document={**event.document, "parts": parts})

    monkeypatch.setattr(recording, "sealing_event", lying)
    outcome = given_both[kind]()
    found = [item for item in judged(vault, judge_of(vault)).problems if item.check == "seal"]
    assert [(item.code, item.entry, item.expected) for item in found] == [(code, outcome.seq, "00" * 32)]
    assert outcome.document_id in found[0].where


@pytest.mark.parametrize("kind", [ACT, ATTACHMENT])
def test_seals_and_tokens_of_nobody_who_is_trusted(
    vault: Vault, given_both: Given, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given_both[kind]()
    other = open_vault(Settings(data=tmp_path_factory.mktemp("other") / "data"), background=False)
    stranger = TrustStore(other.parts.pki.roots())
    other.close()
    for judge in (judge_of(vault, roots=stranger), judge_of(vault, dated=stranger)):
        report = judged(vault, judge)
        assert report.verdict == "INDETERMINATE"
        assert {item.code for item in report.problems} == {"NO_CERTIFICATE_CHAIN_FOUND"}


Reader = Callable[[ObjectRole], Iterator[bytes]]


class Stored:
    """The plain parts of one document and what its opening says."""

    def __init__(self, vault: Vault, wanted: Event, make: Callable[[], Outcome]) -> None:
        self.parts: dict[ObjectRole, bytes] = {}
        self.said: dict[str, object] = {}
        self.beside = False
        judge = judge_of(vault)

        stored = self

        class Asked:
            def judge(
                self, event: Event, said: dict[str, object], read: Reader, *, beside: bool
            ) -> list[object]:
                if event is not wanted:
                    return []
                roles = [ObjectRole.ORIGINAL]
                roles += [ObjectRole.MANIFEST, ObjectRole.SIGNATURE] if beside else []
                stored.parts = {role: b"".join(read(role)) for role in roles}
                stored.said, stored.beside = dict(said), beside
                return []

        make()
        judged(vault, Asked())  # type: ignore[arg-type]
        self.judge = judge

    def codes(self, event: Event, **changed: bytes) -> set[str]:
        parts = self.parts | {ObjectRole(role): data for role, data in changed.items()}
        problems = self.judge.judge(event, self.said, lambda role: iter((parts[role],)), beside=self.beside)
        return {item.code for item in problems}


def test_a_seal_of_another_purpose(vault: Vault, given_both: Given) -> None:
    attachment = Stored(vault, Event.DEPOSITED, given_both[ATTACHMENT])
    assert attachment.codes(Event.DEPOSITED) == set()
    assert "SIG_CONSTRAINTS_FAILURE" in attachment.codes(Event.ISSUED)
    act = Stored(vault, Event.ISSUED, given_both[ACT])
    assert act.codes(Event.ISSUED) == set()
    assert "SIG_CONSTRAINTS_FAILURE" in act.codes(Event.DEPOSITED)


def test_a_manifest_over_another_document(vault: Vault, given_both: Given) -> None:
    attachment = Stored(vault, Event.DEPOSITED, given_both[ATTACHMENT])
    attachment.said["sha256"] = "00" * 32
    assert attachment.codes(Event.DEPOSITED) == {"HASH_FAILURE"}


def test_one_changed_octet_of_a_seal_is_found(vault: Vault, given_both: Given) -> None:
    attachment = Stored(vault, Event.DEPOSITED, given_both[ATTACHMENT])

    @settings(max_examples=60)
    @given(st.sampled_from(["manifest", "signature"]), st.data())
    def change(role: str, data: st.DataObject) -> None:
        content = bytearray(attachment.parts[ObjectRole(role)])
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        assert attachment.codes(Event.DEPOSITED, **{role: bytes(content)})

    change()
    act = Stored(vault, Event.ISSUED, given_both[ACT])
    original = act.parts[ObjectRole.ORIGINAL]
    for at in (10, len(original) // 2, len(original) - 2):
        assert act.codes(
            Event.ISSUED, original=original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :]
        )
    plain = original[: original.index(b"%%EOF") + 6]
    assert "FORMAT_FAILURE" in act.codes(Event.ISSUED, original=plain)


def test_acts_that_are_no_pdf_and_signed_files_have_theirs_beside(vault: Vault) -> None:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.xml", document_type="attestation")
    vault.issuing.issue(agent, "mairie-specimen", new, iter((b"<acte/>",)), Transfer("k9"))
    with vault.parts.database.reading() as connection:
        roles = {
            row[0]
            for row in connection.execute(models.objects.select().with_only_columns(models.objects.c.role))
        }
    assert "signature" in roles
    assert judged(vault, judge_of(vault)).problems == []
