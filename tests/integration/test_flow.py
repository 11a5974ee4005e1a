"""The main job through every layer: issue, deposit, read, prove, change status."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from signing.trust import TrustStore
from vault.db import models
from vault.domain.actors import ANONYMOUS
from vault.domain.documents import Kind, Outcome
from vault.domain.states import Sealing, Status
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Refused, VaultError
from vault.evidence.report import Verdict
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy
from vault.service import Vault

Issue = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("each_database")


def holder(vault: Vault, name: str = "camille"):
    return vault.personas.named(name).actor


def agent(vault: Vault, name: str = "agent-etat-civil"):
    return vault.personas.named(name).actor


def original(vault: Vault, document_id: str) -> bytes:
    return b"".join(vault.reading.original(holder(vault), document_id, "").read(0, None))


def judged(vault: Vault, tmp_path: Path, content: bytes) -> Verdict:
    file = tmp_path / "file"
    file.write_bytes(content)
    return verify_file(
        file,
        trust=TrustStore.from_pem(vault.trust.roots_pem),
        tsa_trust=None,
        policy=Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"),
    )


def bundle(vault: Vault, document_id: str, actor=None, purpose: str = "") -> bytes:
    download = vault.reading.bundle(actor or holder(vault), document_id, purpose)
    content = b"".join(download.read(0, None))
    assert len(content) == download.size
    return content


def test_an_issued_act_proves_itself_and_its_bundle_proves_it(
    vault: Vault, issue: Issue, tmp_path: Path
) -> None:
    outcome = issue()
    assert outcome.status_code == 201
    view = vault.reading.describe(holder(vault), outcome.document_id, "")
    assert (view.document.kind, view.document.sealing, view.published) == (Kind.ACT, Sealing.SEALED, True)
    pdf = judged(vault, tmp_path, original(vault, outcome.document_id))
    assert pdf.as_dict()["verdict"] == "PASSED"
    assert pdf.ledger is None
    proven = judged(vault, tmp_path, bundle(vault, outcome.document_id))
    assert proven.as_dict()["verdict"] == "PASSED", proven.as_json()
    assert proven.status is not None
    assert proven.status.value == "valid"


def test_an_attachment_comes_back_byte_for_byte(vault: Vault, deposit: Issue, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    outcome = deposit(content=content, name="photo été.bin")
    assert original(vault, outcome.document_id) == content
    verdict = judged(vault, tmp_path, bundle(vault, outcome.document_id))
    assert verdict.as_dict()["verdict"] == "PASSED", verdict.as_json()
    download = vault.reading.original(holder(vault), outcome.document_id, "")
    assert b"".join(download.read(1_048_570, 20)) == content[1_048_570:1_048_590]


def test_a_retry_gives_the_same_document_and_another_body_is_refused(vault: Vault, deposit: Issue) -> None:
    first, again = deposit(), deposit()
    assert (again.document_id, again.seq, again.replayed) == (first.document_id, first.seq, True)
    with pytest.raises(Conflict, match="REUSED"):
        deposit(content=b"other")
    with vault.parts.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(models.documents)) == 1


def test_a_refused_file_does_not_use_up_its_key(vault: Vault, deposit: Issue) -> None:
    with pytest.raises(Refused):
        deposit(content=b"")
    assert deposit(content=b"something").status_code == 201


def test_others_learn_nothing_and_their_try_is_journalled(vault: Vault, issue: Issue) -> None:
    outcome = issue()
    for stranger in (holder(vault, "dominique"), agent(vault, "agent-paie"), ANONYMOUS):
        with pytest.raises(NotFound, match="NOT_FOUND"):
            vault.reading.original(stranger, outcome.document_id, "curiosite")
    with vault.parts.database.reading() as connection:
        table = models.document_entries
        events = connection.scalars(select(table.c.event).where(table.c.chain == "access")).all()
    assert events == ["document.read-refused"] * 2


def test_a_read_is_one_entry_a_window_and_purpose(vault: Vault, issue: Issue) -> None:
    outcome = issue()

    def entries() -> int:
        with vault.parts.database.reading() as connection:
            return connection.scalar(select(models.ledger_head.c.size)) or 0

    before = entries()
    for _ in range(3):
        original(vault, outcome.document_id)
    assert entries() == before + 1
    vault.reading.original(agent(vault), outcome.document_id, "controle")
    assert entries() == before + 2
    with pytest.raises(Refused, match="PURPOSE_REQUIRED"):
        vault.reading.original(agent(vault), outcome.document_id, "")


def test_revoked_is_authentic_still_and_says_so(vault: Vault, issue: Issue, tmp_path: Path) -> None:
    outcome = issue()
    vault.lifecycle.revoke(agent(vault), outcome.document_id, "error", Transfer("r1"))
    verdict = judged(vault, tmp_path, bundle(vault, outcome.document_id))
    assert verdict.as_dict()["verdict"] == "PASSED", verdict.as_json()
    assert verdict.status is not None
    assert verdict.status.value == "revoked"
    with pytest.raises(Conflict, match="STATE_CONFLICT"):
        vault.lifecycle.revoke(agent(vault), outcome.document_id, "error", Transfer("r2"))
    again = vault.lifecycle.revoke(agent(vault), outcome.document_id, "error", Transfer("r1"))
    assert again.replayed


def test_an_act_replaces_another_of_its_administration(vault: Vault, issue: Issue, act_pdf: bytes) -> None:
    old = issue()
    new = issue("k2", supersedes=old.document_id)
    view = vault.reading.describe(holder(vault), old.document_id, "")
    assert (view.document.status, view.document.superseded_by) == (Status.SUPERSEDED, new.document_id)
    with pytest.raises(Conflict, match="STATE_CONFLICT"):
        issue("k3", supersedes=old.document_id)
    with vault.parts.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(models.documents)) == 2


def test_lookup_speaks_of_acts_only_without_login(vault: Vault, issue: Issue, deposit: Issue) -> None:
    act, attachment = issue(), deposit(content=b"attached")
    digest = hashlib.sha256(original(vault, act.document_id)).hexdigest()
    assert vault.reading.lookup(ANONYMOUS, digest).value == "valid"
    other = hashlib.sha256(b"attached").hexdigest()
    assert vault.reading.lookup(ANONYMOUS, other).value == "unknown"
    assert vault.reading.lookup(holder(vault), other).value == "valid"
    assert vault.reading.lookup(holder(vault, "dominique"), other).value == "unknown"
    assert attachment.status_code == 201
    vault.lifecycle.revoke(agent(vault), act.document_id, "fraud", Transfer("r"))
    assert vault.reading.lookup(ANONYMOUS, digest).value == "revoked"


def test_a_third_party_bundle_hides_who_and_why(vault: Vault, issue: Issue, tmp_path: Path) -> None:
    outcome = issue()
    content = bundle(vault, outcome.document_id, agent(vault), "controle")
    assert b"camille" not in content
    assert judged(vault, tmp_path, content).as_dict()["verdict"] == "PASSED"
    assert b"camille" in bundle(vault, outcome.document_id)


def test_a_signed_pdf_is_not_certified_over(vault: Vault, issue: Issue, tmp_path: Path) -> None:
    sealed = original(vault, issue().document_id)
    outcome = issue("k2", content=sealed)
    assert original(vault, outcome.document_id) == sealed
    verdict = judged(vault, tmp_path, bundle(vault, outcome.document_id))
    assert verdict.as_dict()["verdict"] == "PASSED", verdict.as_json()


def test_destroyed_is_gone_for_good(tmp_path: Path, act_pdf: bytes) -> None:
    from vault.bootstrap import open_vault
    from vault.domain.documents import NewDocument
    from vault.settings import Settings

    vault = open_vault(Settings(data=tmp_path / "data", retention_days=0))
    try:
        new = NewDocument("camille", "Acte", "acte.pdf")
        outcome = vault.issuing.issue(agent(vault), "mairie-specimen", new, iter((act_pdf,)), Transfer("k"))
        digest = hashlib.sha256(original(vault, outcome.document_id)).hexdigest()
        operator = vault.personas.named("exploitant").actor
        vault.lifecycle.destroy(operator, outcome.document_id)
        with pytest.raises(VaultError, match=r"DESTROYED|NOT_FOUND"):
            original(vault, outcome.document_id)
        assert vault.reading.lookup(ANONYMOUS, digest).value == "unknown"
        names = list(vault.parts.records.names())
        kept = [record for name in names for record in vault.parts.records.read(name)]
        assert not [
            record for record in kept if b'"wrapped_key":{"b64"' in record and b'"documents"' in record
        ]
        with pytest.raises(Conflict):
            vault.lifecycle.destroy(operator, outcome.document_id)
    finally:
        vault.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"holder": "nobody"}, "UNKNOWN_HOLDER"),
        ({"title": ""}, "FIELD_INVALID"),
        ({"title": "a\u202eb"}, "FIELD_INVALID"),
        ({"file_name": "../x.pdf"}, "NAME_INVALID"),
        ({"document_type": "Été"}, "FIELD_INVALID"),
        ({"supersedes": "doc_00000000000000000000000000"}, "NOT_FOUND"),
    ],
)
def test_bad_descriptions_are_refused_with_their_code(
    issue: Issue, change: dict[str, str], code: str
) -> None:
    with pytest.raises(VaultError) as caught:
        issue(**change)
    assert caught.value.code == code


def test_the_agent_of_another_administration_cannot_issue(vault: Vault, act_pdf: bytes) -> None:
    from vault.domain.documents import NewDocument

    new = NewDocument("camille", "Acte", "acte.pdf")
    with pytest.raises(NotFound):
        vault.issuing.issue(
            agent(vault, "agent-paie"), "mairie-specimen", new, iter((act_pdf,)), Transfer("k")
        )
    with pytest.raises(NotFound, match="UNKNOWN_ADMINISTRATION"):
        vault.issuing.issue(agent(vault), "nowhere", new, iter((act_pdf,)), Transfer("k"))


def test_a_kept_evidence_seal_of_other_instructions_is_made_anew(
    vault: Vault, issue: Issue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault.evidence import build

    outcome = issue()
    published = build.texts
    other = "README.txt", b"as in another version\n"
    monkeypatch.setattr(build, "texts", lambda kind: (published(kind)[0], other))
    older = bundle(vault, outcome.document_id)
    assert b"as in another version" in older
    assert bundle(vault, outcome.document_id) == older
    monkeypatch.undo()
    newer = bundle(vault, outcome.document_id)
    assert judged(vault, tmp_path, newer).as_dict()["verdict"] == "PASSED"
    assert bundle(vault, outcome.document_id) == newer
