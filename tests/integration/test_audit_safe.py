"""The audit of a safe's contents finds each thing that does not agree with the ledger, and says which entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from storage.encryption import encrypt
from vault.audit.contents import audit_safe
from vault.db import models
from vault.db.repositories import Documents
from vault.domain.actors import Actor, Role
from vault.domain.documents import ObjectRole, Outcome
from vault.domain.transfer import Transfer
from vault.ledger.findings import AuditReport
from vault.service import Vault

pytestmark = pytest.mark.usefixtures("each_database")


def judged(vault: Vault, sample: int | None = None) -> AuditReport:
    parts = vault.parts
    return audit_safe(parts.database, parts.keyring, parts.objects, parts.records, sample=sample)


def found(vault: Vault) -> set[tuple[str, int | None]]:
    return {(problem.code, problem.entry) for problem in judged(vault).problems}


class Filled:
    """A safe with an act that was read and revoked, an attachment, and an act that replaced another."""

    def __init__(self, vault: Vault, issue: Callable[..., Outcome], deposit: Callable[..., Outcome]) -> None:
        self.vault = vault
        self.holder = vault.personas.named("camille").actor
        self.agent = vault.personas.named("agent-etat-civil").actor
        self.act, self.attachment = issue("k1"), deposit("d1")
        vault.reading.describe(self.holder, self.act.document_id, "consultation")
        self.revoked = vault.lifecycle.revoke(self.agent, self.act.document_id, "error", Transfer("r1"))
        self.old = issue("k2")
        self.new = issue("k3", supersedes=self.old.document_id)

    def write(self, table: str, values: dict[str, object], **where: object) -> None:
        target = models.metadata.tables[table]
        query = update(target).values(values)
        for name, value in where.items():
            query = query.where(target.c[name] == value)
        with self.vault.parts.database.writing() as connection:
            assert connection.execute(query).rowcount >= 1

    def value(self, table: str, column: str, **where: object) -> object:
        target = models.metadata.tables[table]
        query = select(target.c[column])
        for name, value in where.items():
            query = query.where(target.c[name] == value)
        with self.vault.parts.database.reading() as connection:
            return connection.scalar(query)


@pytest.fixture
def safe(vault: Vault, issue: Callable[..., Outcome], deposit: Callable[..., Outcome]) -> Filled:
    filled = Filled(vault, issue, deposit)
    assert judged(vault).problems == []
    return filled


def test_everything_is_looked_at(safe: Filled) -> None:
    seen: list[tuple[int, int]] = []
    parts = safe.vault.parts
    report = audit_safe(
        parts.database,
        parts.keyring,
        parts.objects,
        parts.records,
        progress=lambda *step: seen.append(step),
    )
    assert (report.verdict, report.checked, report.undetected_share) == ("PASSED", 4, None)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    sample = judged(safe.vault, sample=2)
    assert (sample.checked, round(sample.undetected_share or 0, 3)) == (2, 0.776)


def test_a_status_that_no_entry_made(safe: Filled) -> None:
    safe.write("documents", {"status": "valid"}, id=safe.act.document_id)
    (problem,) = judged(safe.vault).problems
    assert (problem.code, problem.expected, problem.found) == (
        "ROW_MISMATCH",
        "status revoked",
        "status valid",
    )
    assert safe.act.document_id in problem.where


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sealing": "waiting"}, "sealing sealed"),
        ({"issued_seq": None}, "issued_seq "),
        ({"first_seq": 77}, "first_seq "),
        ({"next_status": 1}, "next_status 2"),
        ({"next_access": 0}, "next_access 1"),
        ({"superseded_by": "doc_x"}, "superseded_by "),
    ],
)
def test_a_row_that_says_something_else(safe: Filled, values: dict[str, object], expected: str) -> None:
    safe.write("documents", values, id=safe.act.document_id)
    (problem,) = judged(safe.vault).problems
    assert problem.code == "ROW_MISMATCH"
    assert problem.expected.startswith(expected)


@pytest.mark.parametrize("column", ["media_type", "size", "document_type"])
def test_a_description_that_was_not_committed_to(safe: Filled, column: str) -> None:
    safe.write("documents", {column: 1 if column == "size" else "x/y"}, id=safe.attachment.document_id)
    assert found(safe.vault) == {("OPENING_MISMATCH", safe.attachment.seq)}


def test_an_act_given_to_another_kind(safe: Filled) -> None:
    safe.write("documents", {"kind": "attachment"}, id=safe.new.document_id)
    assert found(safe.vault) == {("TRANSITION_ILLEGAL", safe.new.seq)}


def test_a_transition_that_is_not_legal(safe: Filled) -> None:
    safe.write("document_entries", {"event": "document.issued"}, seq=safe.revoked.seq)
    codes = found(safe.vault)
    assert ("TRANSITION_ILLEGAL", safe.revoked.seq) in codes
    assert ("OPENING_MISMATCH", safe.revoked.seq) in codes


def test_an_opening_of_another_entry(safe: Filled) -> None:
    opening = safe.value("document_entries", "opening", seq=safe.new.seq)
    safe.write("document_entries", {"opening": opening}, seq=safe.act.seq)
    assert found(safe.vault) == {("OPENING_INVALID", safe.act.seq), ("RECORD_MISMATCH", safe.act.seq)}


def test_openings_swapped_with_the_keys_in_hand(safe: Filled) -> None:
    """The attacker seals again, so that everything opens: only the commitment tells."""
    parts, document_id = safe.vault.parts, safe.attachment.document_id
    with parts.database.reading() as connection:
        key = Documents(parts.keyring).key(connection, document_id)
    assert key is not None
    role = "opening-status-0"
    opening = key.open(role, safe.value("document_entries", "opening", seq=safe.attachment.seq))  # type: ignore[arg-type]
    forged = opening.replace(b'"size":9}', b'"size":8}')
    assert forged != opening
    safe.write("document_entries", {"opening": key.seal(role, forged)}, seq=safe.attachment.seq)
    safe.write("documents", {"size": 8}, id=document_id)
    seq = safe.attachment.seq
    assert {("COMMITMENT_MISMATCH", seq), ("RECORD_MISMATCH", seq)} == found(safe.vault)


def test_a_counter_with_a_gap(safe: Filled) -> None:
    safe.write("document_entries", {"counter": 5}, seq=safe.revoked.seq)
    codes = {code for code, _ in found(safe.vault)}
    assert {"COUNTER_GAP", "TAG_MISMATCH"} <= codes


def test_an_entry_hidden_from_its_document(safe: Filled) -> None:
    with safe.vault.parts.database.writing() as connection:
        table = models.document_entries
        connection.execute(table.delete().where(table.c.seq == safe.revoked.seq))
    safe.write("documents", {"status": "valid", "next_status": 1}, id=safe.act.document_id)
    assert found(safe.vault) == {("ENTRY_UNEXPLAINED", safe.revoked.seq)}


def test_a_row_about_an_entry_that_is_not_there(safe: Filled) -> None:
    row = {
        "seq": 999, "document_id": safe.new.document_id, "chain": "access", "counter": 0,
        "event": "document.read", "opening": b"", "record": "x",
    }  # fmt: skip
    with safe.vault.parts.database.writing() as connection:
        connection.execute(insert(models.document_entries), row)
    assert found(safe.vault) == {("ENTRY_MISSING", 999)}


def object_file(safe: Filled, address: str) -> Path:
    (path,) = (
        path
        for path in (safe.vault.settings.data / "objects").rglob("*")
        if path.name.endswith(address[-40:])
    )
    return path


def test_an_object_with_a_changed_octet(safe: Filled) -> None:
    address = str(safe.value("objects", "address", document_id=safe.act.document_id, role="original"))
    path = object_file(safe, address)
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    problems = judged(safe.vault).problems
    assert {(problem.code, problem.entry) for problem in problems} == {("OBJECT_DAMAGED", safe.act.seq)}
    assert any(address in problem.expected for problem in problems)


def test_an_object_that_is_gone(safe: Filled) -> None:
    address = str(safe.value("objects", "address", document_id=safe.attachment.document_id, role="signature"))
    object_file(safe, address).unlink()
    assert found(safe.vault) == {("OBJECT_MISSING", safe.attachment.seq)}


def test_another_file_under_the_same_key(safe: Filled) -> None:
    """Whoever has the keys can encrypt another file for this document: its digest was committed to."""
    parts, document_id = safe.vault.parts, safe.attachment.document_id
    with parts.database.reading() as connection:
        key = Documents(parts.keyring).key(connection, document_id)
    assert key is not None
    other = encrypt((b"<forged/>",), key.key, key.associated_data(ObjectRole.ORIGINAL.value))
    (stored,) = parts.objects.commit([parts.objects.put(other)])
    values = {"address": stored.address, "stored_size": stored.size}
    safe.write("objects", values, document_id=document_id, role="original")
    assert found(safe.vault) == {("OBJECT_MISMATCH", safe.attachment.seq)}


def test_a_recovery_record_that_is_gone(safe: Filled) -> None:
    name = str(safe.value("document_entries", "record", seq=safe.revoked.seq))
    safe.vault.parts.records.delete(name)
    assert ("RECORD_DAMAGED", safe.revoked.seq) in found(safe.vault)


def test_a_destroyed_document_keeps_nothing(safe: Filled) -> None:
    document_id = safe.attachment.document_id
    safe.write("documents", {"retain_until": "2020-01-01T00:00:00.000Z"}, id=document_id)
    wrapped = safe.value("documents", "wrapped_key", id=document_id)
    operator = Actor("operator", Role.OPERATOR)
    safe.vault.lifecycle.destroy(operator, document_id)
    assert judged(safe.vault).problems == []
    safe.write("documents", {"wrapped_key": wrapped}, id=document_id)
    assert {code for code, _ in found(safe.vault)} == {"DESTRUCTION_UNFINISHED"}
