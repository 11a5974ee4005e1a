"""Recovery after crashes and restored copies: nothing answered is lost, nothing destroyed comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.services.database import Copy, lose
from timestamping.errors import AuthorityUnavailable
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.core import faults
from vault.db import models
from vault.domain.documents import NewDocument, Outcome
from vault.domain.states import Sealing, Status
from vault.domain.transfer import Transfer
from vault.errors import Conflict, LedgerError, NotFound, VaultError
from vault.records.changes import Change
from vault.recovery.rebuilding import RecoveryReport
from vault.recovery.records import is_destruction_record, read_records
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.usefixtures("each_database")


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", retention_days=0, publish_interval=0.02)


def opened(settings: Settings) -> Vault:
    return open_vault(settings, background=False)


def issue(vault: Vault, key: str, content: bytes = b"un acte", **changes: str) -> Outcome:
    agent = vault.personas.named("agent-etat-civil").actor
    new = NewDocument("camille", "Acte", "acte.txt", **changes)
    return vault.issuing.issue(agent, "mairie-specimen", new, iter((content,)), Transfer(key))


def deposit(vault: Vault, key: str, content: bytes) -> Outcome:
    holder = vault.personas.named("camille").actor
    return vault.submissions.deposit(
        holder, NewDocument("camille", "Pièce", "p.txt"), iter((content,)), Transfer(key)
    )


def read(vault: Vault, document_id: str) -> bytes:
    holder = vault.personas.named("camille").actor
    return b"".join(vault.reading.original(holder, document_id, "").read(0, None))


def destroy(vault: Vault, document_id: str) -> None:
    vault.lifecycle.destroy(vault.personas.named("exploitant").actor, document_id)


def recovered(settings: Settings) -> RecoveryReport:
    parts = open_parts(settings)
    try:
        return parts.recovery().run(parts.clock)
    finally:
        parts.close()


def unpublished(vault: Vault, settings: Settings) -> Callable[[], None]:
    """Stop publication now; the returned function puts back what was published at that moment."""
    with vault.parts.database.reading() as connection:
        size = connection.scalar(select(models.ledger_head.c.size)) or 0
    assert vault.publisher.wait(size, 10.0)
    kept = settings.data.parent / "kept"
    shutil.copytree(settings.data / "ledger", kept)

    def put_back() -> None:
        shutil.rmtree(settings.data / "ledger")
        shutil.copytree(kept, settings.data / "ledger")

    return put_back


def all_records(vault: Vault) -> list[Change]:
    book = vault.parts.records
    return [Change.decode(data) for name in book.names() for data in book.read(name)]


def documents(vault: Vault) -> int:
    with vault.parts.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(models.documents)) or 0


def test_an_emptied_database_is_rebuilt_with_acts_and_all_their_changes(settings: Settings) -> None:
    vault = opened(settings)
    old, attachment = issue(vault, "a"), deposit(vault, "b", b"piece")
    new = issue(vault, "c", b"autre acte", supersedes=old.document_id)
    agent = vault.personas.named("agent-etat-civil").actor
    vault.lifecycle.revoke(agent, new.document_id, "error", Transfer("r"))
    assert read(vault, attachment.document_id) == b"piece"
    vault.close()
    lose(settings.database_address)
    with pytest.raises(LedgerError, match="recover"):
        opened(settings)
    assert recovered(settings).findings == []
    vault = opened(settings)
    holder = vault.personas.named("camille").actor
    for outcome, status in ((old, Status.SUPERSEDED), (new, Status.REVOKED), (attachment, Status.VALID)):
        assert vault.reading.describe(holder, outcome.document_id, "").document.status is status
    assert read(vault, attachment.document_id) == b"piece"
    assert issue(vault, "a").document_id == old.document_id  # the idempotency keys too
    assert vault.reading.bundle(holder, old.document_id, "").size > 0
    vault.close()


def test_a_document_that_waited_is_rebuilt_sealed_and_waiting(settings: Settings) -> None:
    vault = opened(settings)
    authority = vault.authority
    assert authority is not None
    token = authority.token
    authority.token = _down  # type: ignore[method-assign]
    first, second = issue(vault, "a"), deposit(vault, "b", b"piece")
    authority.token = token  # type: ignore[method-assign]
    assert vault.healer.heal() == 2
    authority.token = _down  # type: ignore[method-assign]
    third = deposit(vault, "c", b"attend")
    vault.close()
    lose(settings.database_address)
    assert recovered(settings).findings == []
    vault = opened(settings)
    assert read(vault, first.document_id) == b"un acte"
    assert read(vault, second.document_id) == b"piece"
    holder = vault.personas.named("camille").actor
    assert vault.reading.describe(holder, third.document_id, "").document.sealing is Sealing.WAITING
    assert vault.healer.heal() == 1
    assert read(vault, third.document_id) == b"attend"
    vault.close()


def _down(imprint: bytes) -> object:
    raise AuthorityUnavailable("down")


def test_what_was_answered_but_never_published_is_appended_anew_once(settings: Settings) -> None:
    vault = opened(settings)
    first = issue(vault, "a")
    put_back = unpublished(vault, settings)
    lost = [deposit(vault, f"d{index}", b"%d" % index) for index in range(4)]
    vault.close()
    put_back()
    lose(settings.database_address)
    report = recovered(settings)
    assert (report.appended, report.findings) == (4, [])
    assert recovered(settings).appended == 0
    vault = opened(settings)
    for index, outcome in enumerate(lost):
        assert read(vault, outcome.document_id) == b"%d" % index
        assert deposit(vault, f"d{index}", b"%d" % index).document_id == outcome.document_id
    assert read(vault, first.document_id) == b"un acte"
    assert documents(vault) == 5
    vault.close()


def test_destroying_what_was_appended_anew_leaves_no_second_copy_of_its_record(settings: Settings) -> None:
    vault = opened(settings)
    put_back = unpublished(vault, settings)
    outcome = issue(vault, "a")
    vault.close()
    put_back()
    lose(settings.database_address)
    assert recovered(settings).appended == 1
    vault = opened(settings)
    destroy(vault, outcome.document_id)
    left = [change for change in all_records(vault) if change.document_id == outcome.document_id]
    assert [row["event"] for change in left for _, row in change.inserts] == ["document.destroyed"]
    vault.close()


def _crash_at(point: str) -> None:
    def hook(name: str) -> None:
        if name == point:
            raise Killed(name)

    faults.install(hook)


def test_an_attempt_that_was_never_committed_does_not_come_back(settings: Settings) -> None:
    vault = opened(settings)
    _crash_at("ledger.before-commit")
    try:
        with pytest.raises(VaultError, match="Killed"):
            issue(vault, "ghost")
    finally:
        faults.install(None)
    issue(vault, "other", b"autre")
    vault.close()
    lose(settings.database_address)
    assert recovered(settings).appended == 0
    vault = opened(settings)
    assert documents(vault) == 1
    # and its keys do not outlive the next start
    inserted = [row for change in all_records(vault) for name, row in change.inserts if name == "documents"]
    assert len(inserted) == 1
    vault.close()


def test_of_an_attempt_and_its_repetition_the_answered_one_is_recovered(settings: Settings) -> None:
    vault = opened(settings)
    put_back = unpublished(vault, settings)
    ghosts = 3
    for _ in range(ghosts):
        _crash_at("ledger.before-commit")
        try:
            with pytest.raises(VaultError, match="Killed"):
                issue(vault, "same")
        finally:
            faults.install(None)
    answered = issue(vault, "same")
    vault.close()
    put_back()
    lose(settings.database_address)
    assert recovered(settings).appended == 1
    vault = opened(settings)
    assert read(vault, answered.document_id) == b"un acte"
    assert documents(vault) == 1
    vault.close()


def test_a_safe_whose_opening_was_cut_short_does_not_hinder_recovery(settings: Settings) -> None:
    for point in ("safes.recorded",):
        _crash_at(point)
        try:
            with pytest.raises(Killed):
                opened(settings)
        finally:
            faults.install(None)
    crashed = list((settings.data / "records").glob("*/safe_*"))
    assert crashed
    kept = [(file, file.read_bytes()) for file in crashed]
    vault = opened(settings)
    outcome = issue(vault, "a")
    assert not crashed[0].exists()
    vault.close()
    for file, content in kept:
        file.write_bytes(content)
    lose(settings.database_address)
    assert recovered(settings).findings == []
    vault = opened(settings)
    assert read(vault, outcome.document_id) == b"un acte"
    vault.close()


def test_a_database_behind_its_records_refuses_to_start(settings: Settings) -> None:
    vault = opened(settings)
    put_back = unpublished(vault, settings)
    issue(vault, "a")
    vault.close()
    backup = Copy(settings.database_address, settings.data.parent)
    vault = opened(settings)
    lost = [issue(vault, key, key.encode()) for key in ("b", "c")]
    vault.close()
    put_back()
    backup.put_back()
    with pytest.raises(LedgerError, match="recover"):
        opened(settings)
    assert recovered(settings).appended == 2
    vault = opened(settings)
    assert [read(vault, outcome.document_id) for outcome in lost] == [b"b", b"c"]
    vault.close()


@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("waited", [False, True])
def test_a_copy_from_before_a_destruction_stays_unreadable(
    settings: Settings, act_pdf: bytes, revoked: bool, waited: bool
) -> None:
    vault = opened(settings)
    authority = vault.authority
    assert authority is not None
    token = authority.token
    if waited:
        authority.token = _down  # type: ignore[method-assign]
    outcome = issue(vault, "a", act_pdf)
    vault.close()
    records = settings.data.parent / "records"
    shutil.copytree(settings.data / "records", records)
    backup = Copy(settings.database_address, settings.data.parent)
    vault = opened(settings)
    vault.healer.heal()
    if revoked:
        agent = vault.personas.named("agent-etat-civil").actor
        vault.lifecycle.revoke(agent, outcome.document_id, "error", Transfer("r"))
    destroy(vault, outcome.document_id)
    vault.close()
    # Everything comes back from the copy but the published ledger and the objects.
    backup.put_back()
    shutil.rmtree(settings.data / "records")
    shutil.copytree(records, settings.data / "records")
    report = recovered(settings)
    assert (report.destroyed, report.findings) == (1, [])
    vault = opened(settings)
    with pytest.raises(NotFound):
        read(vault, outcome.document_id)
    assert all(change.document_id != outcome.document_id for change in all_records(vault))
    vault.close()
    del token


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("case", ["sealed", "revoked", "waiting", "unfinished"])
def test_what_was_destroyed_says_so_when_the_database_is_lost(
    settings: Settings, case: str, published: bool
) -> None:
    """Its holder learns that it was destroyed, everybody else nothing; rows and audit are as before."""
    vault = opened(settings)
    authority = vault.authority
    assert authority is not None
    kept = deposit(vault, "k", b"reste")
    token = authority.token
    if case == "waiting":
        authority.token = _down  # type: ignore[method-assign]
    doomed = issue(vault, "a").document_id
    authority.token = token  # type: ignore[method-assign]
    if case != "waiting":
        assert read(vault, doomed) == b"un acte"
    if case == "revoked":
        agent = vault.personas.named("agent-etat-civil").actor
        vault.lifecycle.revoke(agent, doomed, "error", Transfer("r"))
    put_back = unpublished(vault, settings)
    if case == "unfinished":
        _crash_at("lifecycle.before-forget")
        try:
            with pytest.raises(Killed):
                destroy(vault, doomed)
        finally:
            faults.install(None)
    else:
        destroy(vault, doomed)
    before = _rows_about(vault, doomed)
    vault.close()
    if not published:
        put_back()
    lose(settings.database_address)
    report = recovered(settings)
    assert (report.findings, report.appended) == ([], 0 if published else 1)
    assert recovered(settings) == RecoveryReport()
    vault = opened(settings)
    assert _gone(vault, doomed, "camille") == "DOCUMENT_DESTROYED"
    assert _gone(vault, doomed, "dominique") == "NOT_FOUND"
    assert read(vault, kept.document_id) == b"reste"
    assert _rows_about(vault, doomed) == before
    with vault.parts.database.reading() as connection:
        (row,) = connection.execute(
            select(models.documents).where(models.documents.c.id == doomed)
        ).mappings()
    assert (row["status"], row["wrapped_key"], row["sealed"]) == ("destroyed", None, None)
    parts = vault.parts
    audit = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
    assert audit.problems == []
    with pytest.raises(Conflict):
        destroy(vault, doomed)
    left = [change for change in all_records(vault) if change.document_id == doomed]
    assert [is_destruction_record(change) for change in left] == [True]
    assert b"wrapped_key" not in left[0].encode().partition(b'"remains"')[2]
    vault.close()


def _gone(vault: Vault, document_id: str, who: str) -> str:
    holder = vault.personas.named(who).actor
    codes = set()
    for ask in (vault.reading.original, vault.reading.bundle, vault.reading.describe):
        with pytest.raises(NotFound) as refused:
            ask(holder, document_id, "")
        codes.add(refused.value.code)
    (code,) = codes
    return str(code)


def _rows_about(vault: Vault, document_id: str) -> list[dict[str, object]]:
    """What the rows about a document say, without the names of recovery files."""
    documents, entries = models.documents, models.document_entries
    with vault.parts.database.reading() as connection:
        found = [
            dict(row)
            for row in connection.execute(select(documents).where(documents.c.id == document_id)).mappings()
        ]
        found += [
            dict(row)
            for row in connection.execute(
                select(entries).where(entries.c.document_id == document_id).order_by(entries.c.seq)
            ).mappings()
        ]
    return [{**row, "record": ""} for row in found]


def test_a_destruction_that_was_never_published_is_in_the_ledger_after_recovery(settings: Settings) -> None:
    vault = opened(settings)
    outcome = issue(vault, "a")
    put_back = unpublished(vault, settings)
    destroy(vault, outcome.document_id)
    destruction = next(
        change
        for change in all_records(vault)
        if any(row.get("event") == "document.destroyed" for _, row in change.inserts)
    )
    vault.close()
    put_back()
    lose(settings.database_address)
    report = recovered(settings)
    assert (report.appended, report.findings) == (1, [])
    assert recovered(settings).appended == 0
    vault = opened(settings)
    with vault.parts.database.reading() as connection:
        bodies = connection.scalars(select(models.ledger_entries.c.body)).all()
    assert sum(destruction.tag.hex().encode() in body for body in bodies) == 1
    vault.close()


def test_a_recovery_cut_short_after_appending_ends_in_the_same_state(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = opened(settings)
    put_back = unpublished(vault, settings)
    outcome = issue(vault, "a")
    vault.close()
    put_back()
    lose(settings.database_address)

    def cut(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("vault.records.book.RecordBook.rewrite", cut)
        with pytest.raises(Killed):
            recovered(settings)
    assert recovered(settings).appended == 0
    vault = opened(settings)
    assert (read(vault, outcome.document_id), documents(vault)) == (b"un acte", 1)
    destroy(vault, outcome.document_id)
    assert not [change for change in all_records(vault) if _holds_key(change)]
    vault.close()


def _holds_key(change: Change) -> bool:
    return any(name == "documents" for name, _ in change.inserts)


def test_a_missing_object_is_a_finding_and_never_an_entry(settings: Settings) -> None:
    vault = opened(settings)
    put_back = unpublished(vault, settings)
    issue(vault, "a")
    held = read_records(vault.parts.records)
    addresses = [
        row["address"]
        for each in held.by_commitment.values()
        for name, row in each.change.inserts
        if name == "objects"
    ]
    vault.close()
    put_back()
    lose(settings.database_address)
    lost = next((settings.data / "objects").glob(f"objects/*/{addresses[0]}"))
    content = lost.read_bytes()
    lost.unlink()
    report = recovered(settings)
    assert report.appended == 0
    assert "is missing" in report.findings[0]
    lost.write_bytes(content)
    assert recovered(settings).appended == 1


def test_a_damaged_recovery_file_is_a_finding_and_does_not_keep_the_safe_from_starting(
    settings: Settings,
) -> None:
    vault = opened(settings)
    outcome, other = issue(vault, "a"), issue(vault, "b", b"autre")
    vault.close()
    for file in (settings.data / "records").glob("*/*"):
        if file.name.startswith("0"):
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
    vault = opened(settings)
    operator = vault.personas.named("exploitant").actor
    # It cannot be said that the key is gone while a file that may hold it cannot be rewritten.
    with pytest.raises(VaultError) as caught:
        vault.lifecycle.destroy(operator, outcome.document_id)
    assert caught.value.code == "RECORD_DAMAGED"
    assert read(vault, other.document_id) == b"autre"
    vault.close()
    opened(settings).close()


def test_recovering_beside_a_running_service_takes_no_record_of_what_it_commits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from vault.ledger.stored import find_head

    vault = opened(settings)
    outcome = issue(vault, "a")
    before = all_records(vault)
    seen = iter((False, True))  # the head as it was before the commit, the second time it is asked for

    def earlier(connection: object) -> object:
        head = find_head(connection)  # type: ignore[arg-type]
        assert head is not None
        return replace(head, size=1) if next(seen) else head

    with monkeypatch.context() as patched:
        patched.setattr("vault.recovery.rebuilding.find_head", earlier)
        assert vault.parts.recovery().run(vault.parts.clock).appended == 0
    assert all_records(vault) == before
    assert read(vault, outcome.document_id) == b"un acte"
    vault.close()


def test_a_row_of_another_document_is_refused_not_shown(settings: Settings) -> None:
    vault = opened(settings)
    one, other = issue(vault, "a").document_id, issue(vault, "b", b"autre").document_id
    table = models.documents
    with vault.parts.database.writing() as connection:
        row = connection.execute(select(table).where(table.c.id == other)).mappings().one()
        theirs = {"wrapped_key": row["wrapped_key"], "sealed": row["sealed"]}
        connection.execute(table.update().where(table.c.id == one).values(theirs))
    with pytest.raises(LedgerError) as caught:
        read(vault, one)
    assert caught.value.code == "ROW_DAMAGED"
    assert read(vault, other) == b"autre"
    vault.close()
