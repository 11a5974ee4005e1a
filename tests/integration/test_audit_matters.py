"""Whoever changes a consent, a report or a line of the journal in the database is found, with the right code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from vault.audit.contents import audit_safe
from vault.audit.matters import audit_matters
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.actors import Actor
from vault.domain.documents import NewDocument, Outcome
from vault.domain.matters import MatterKind
from vault.domain.transfer import Transfer
from vault.ledger.findings import AuditReport
from vault.ledger.opening import ALL, Opening
from vault.matters.steps import NewMatter, Said
from vault.service import Vault
from vault.settings import Settings


class Filled:
    """A safe with an act that was read, a report that was answered, and a consent with a sealed paper."""

    def __init__(self, vault: Vault, act: bytes) -> None:
        self.vault = vault
        self._undone: list[Callable[[], object]] = []
        self.holder: Actor = vault.personas.named("camille").actor
        self.officer: Actor = vault.personas.named("delegue").actor
        agent = vault.personas.named("agent-etat-civil").actor
        new = NewDocument("camille", "Acte de naissance", "acte.pdf", document_type="acte-de-naissance")
        self.act: Outcome = vault.issuing.issue(agent, "mairie-specimen", new, iter((act,)), Transfer("k1"))
        vault.reading.describe(agent, self.act.document_id, "controle")
        with vault.parts.database.reading() as connection:
            table = models.document_entries
            self.line = connection.scalar(select(table.c.seq).where(table.c.chain == "access"))
        reports = vault.people.journal.reports
        self.report = reports.open(self.holder, self.line, "Pourquoi ?", "r1").document_id
        reports.take(self.officer, self.report, "r2")
        self.answered = reports.answer(self.officer, self.report, "Parce que.", "r3").seq
        self.other = self._consent()

    def _consent(self) -> str:
        people = self.vault.people
        key = people.matters.draw(MatterKind.CONSENT)
        paper = people.papers.seal("consent", {"what": "consent"})
        papers = people.papers.store(key, [paper], None)
        new = NewMatter(
            key, MatterKind.CONSENT, self.holder, {"service": ""}, self.holder.safe_id, "mairie-specimen",
            self.act.document_id, ends_at=self.vault.parts.clock.now(),
        )  # fmt: skip
        said = Said("camille", sha256=paper.sha256)
        self.vault.writer.run(lambda tx: people.matters.begin(tx, new, "consent.given", said, papers=papers))
        return key.document_id

    def write(self, table: str, values: dict[str, object], **where: object) -> None:
        before = self._rows(table, where)
        self._execute(update(models.metadata.tables[table]).values(values), table, where)
        self._undone.append(lambda: self._put_back(table, before))

    def drop(self, table: str, **where: object) -> None:
        before = self._rows(table, where)
        self._execute(delete(models.metadata.tables[table]), table, where)
        self._undone.append(lambda: self._put_back(table, before))

    def forget_record(self, name: str) -> None:
        kept = self.vault.parts.records.read(name)
        self.vault.parts.records.delete(name)
        self._undone.append(lambda: self.vault.parts.records.write(name, kept))

    def restore(self) -> None:
        while self._undone:
            self._undone.pop()()

    def _rows(self, table: str, where: dict[str, object]) -> list[dict[str, object]]:
        target = models.metadata.tables[table]
        query = select(target).where(*(target.c[name] == value for name, value in where.items()))
        with self.vault.parts.database.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _execute(self, query, table: str, where: dict[str, object]) -> None:
        target = models.metadata.tables[table]
        query = query.where(*(target.c[name] == value for name, value in where.items()))
        with self.vault.parts.database.writing() as connection:
            assert connection.execute(query).rowcount >= 1

    def _put_back(self, table: str, rows: list[dict[str, object]]) -> None:
        target = models.metadata.tables[table]
        with self.vault.parts.database.writing() as connection:
            for row in rows:
                same = [column == row[column.name] for column in target.primary_key.columns]
                if connection.execute(select(target).where(*same)).first() is None:
                    connection.execute(insert(target), row)
                else:
                    connection.execute(update(target).where(*same), row)

    def value(self, table: str, column: str, **where: object):
        target = models.metadata.tables[table]
        query = select(target.c[column])
        for name, value in where.items():
            query = query.where(target.c[name] == value)
        with self.vault.parts.database.reading() as connection:
            return connection.scalar(query)


def matters(vault: Vault, sample: int | None = None) -> AuditReport:
    parts = vault.parts
    return audit_matters(parts.database, parts.keyring, parts.objects, parts.records, sample=sample)


def codes(vault: Vault) -> set[str]:
    return {problem.code for problem in matters(vault).problems}


def whole(vault: Vault) -> set[tuple[str, int | None]]:
    parts = vault.parts
    report = audit_safe(parts.database, parts.keyring, parts.objects, parts.records)
    return {(problem.code, problem.entry) for problem in report.problems}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, act_pdf: bytes) -> Iterator[Filled]:
    opened = open_vault(Settings(data=tmp_path_factory.mktemp("audited") / "data", publish_interval=0.05))
    yield Filled(opened, act_pdf)
    opened.close()


@pytest.fixture
def safe(filled: Filled) -> Iterator[Filled]:
    yield filled
    filled.restore()
    assert matters(filled.vault).problems == []


@pytest.mark.usefixtures("each_database")
def test_on_each_database(tmp_path: Path, act_pdf: bytes) -> None:
    opened = open_vault(Settings(data=tmp_path / "data", publish_interval=0.05))
    try:
        safe = Filled(opened, act_pdf)
        assert whole(opened) == set()
        assert matters(opened).problems == []
        safe.write("matters", {"state": "open"}, id=safe.report)
        assert codes(opened) == {"ROW_MISMATCH"}
    finally:
        opened.close()


def test_everything_is_looked_at(safe: Filled) -> None:
    report = matters(safe.vault)
    assert (report.verdict, report.undetected_share) == ("PASSED", None)
    assert report.checked >= 2
    assert matters(safe.vault, sample=1).checked == 1


@pytest.mark.parametrize(
    "values",
    [
        {"state": "open"},
        {"state": "closed"},
        {"next_counter": 9},
        {"first_seq": 1},
        {"last_seq": 1},
        {"ends_at": "2999-01-01T00:00:00.000Z"},
        {"document_id": "doc_x"},
        {"created_at": "2020-01-01T00:00:00.000Z"},
        {"lookup_ix": bytes(32)},
        {"administration_id": "employeur-specimen"},
    ],
)
def test_a_row_that_says_something_else(safe: Filled, values: dict[str, object]) -> None:
    safe.write("matters", values, id=safe.report)
    assert "ROW_MISMATCH" in codes(safe.vault)


def test_a_withdrawn_consent_that_lives_longer(safe: Filled) -> None:
    safe.write("matters", {"ends_at": "2999-01-01T00:00:00.000Z"}, id=safe.other)
    assert codes(safe.vault) == {"ROW_MISMATCH"}


def test_a_matter_moved_to_another_safe(safe: Filled) -> None:
    other = safe.vault.personas.named("dominique").actor.safe_id
    safe.write("matters", {"safe_id": other}, id=safe.other)
    assert codes(safe.vault) == {"ROW_MISMATCH", "OPENING_MISMATCH"}


def test_a_private_part_that_was_put_back(safe: Filled) -> None:
    reports = safe.vault.people.journal.reports
    report = reports.open(safe.holder, 1, "Et ceci ?", "r8").document_id
    before = safe.value("matters", "sealed", id=report)
    reports.take(safe.officer, report, "r9")
    safe.write("matters", {"sealed": before}, id=report)
    assert codes(safe.vault) == {"ROW_MISMATCH"}


def test_an_event_that_never_was(safe: Filled) -> None:
    safe.write("matter_entries", {"event": "report.closed"}, seq=safe.answered)
    assert codes(safe.vault) == {"TRANSITION_ILLEGAL", "ROW_MISMATCH", "OPENING_MISMATCH"}
    safe.write("matter_entries", {"event": "mandate.granted"}, seq=safe.answered)
    assert "EVENT_UNKNOWN" in codes(safe.vault)


def test_another_opening(safe: Filled) -> None:
    first = safe.value("matter_entries", "opening", matter_id=safe.report, counter=0)
    safe.write("matter_entries", {"opening": first}, seq=safe.answered)
    assert codes(safe.vault) == {"OPENING_INVALID", "RECORD_MISMATCH"}


def test_an_opening_made_anew_with_the_right_key(safe: Filled) -> None:
    # What an operator with every key could write: the ledger's commitment is another.
    from vault.db.matters import matter_opening_role

    with safe.vault.parts.database.reading() as connection:
        key = safe.vault.people.matters.rows.key(connection, safe.report)
    opening = Opening.new(
        {"event": "report.answered", "matter_id": safe.report, "details": {"entry": 1}},
        {"holder": "camille", "actor": "x", "mandate": "", "role": "officer", "organisation": "", "service": ""},
        {"purpose": "", "case": "", "consent": "", "title": "", "file_name": ""},
    )  # fmt: skip
    safe.write(
        "matter_entries",
        {"opening": key.seal(matter_opening_role(2), opening.to_json(ALL))},
        seq=safe.answered,
    )
    assert codes(safe.vault) == {"COMMITMENT_MISMATCH", "RECORD_MISMATCH"}


def test_another_counter(safe: Filled) -> None:
    safe.write("matter_entries", {"counter": 7}, seq=safe.answered)
    assert codes(safe.vault) == {"COUNTER_GAP", "TAG_MISMATCH", "OPENING_INVALID"}


def test_an_entry_whose_row_is_gone(safe: Filled) -> None:
    safe.drop("matter_entries", seq=safe.answered)
    assert codes(safe.vault) == {"ROW_MISMATCH"}
    assert ("ENTRY_UNEXPLAINED", safe.answered) in whole(safe.vault)


def test_two_matters_with_each_others_keys(safe: Filled) -> None:
    mine, other = (safe.value("matters", "wrapped_key", id=each) for each in (safe.report, safe.other))
    safe.write("matters", {"wrapped_key": other}, id=safe.report)
    safe.write("matters", {"wrapped_key": mine}, id=safe.other)
    assert [problem.code for problem in matters(safe.vault).problems] == ["KEY_UNUSABLE"] * 2


def test_a_recovery_record_that_is_gone(safe: Filled) -> None:
    safe.forget_record(safe.value("matter_entries", "record", seq=safe.answered))
    assert codes(safe.vault) == {"RECORD_DAMAGED"}


def test_papers(safe: Filled) -> None:
    row = {"size": 1}
    safe.write("matter_papers", row, matter_id=safe.other)
    assert codes(safe.vault) == {"OBJECT_MISMATCH"}
    address = safe.value("matter_papers", "address", matter_id=safe.other)
    safe.write("matter_papers", {"address": "00" * 32}, matter_id=safe.other)
    assert codes(safe.vault) == {"PAPER_MISMATCH", "OBJECT_MISSING"}
    act = safe.value("objects", "address", document_id=safe.act.document_id, role="original")
    safe.write("matter_papers", {"address": act}, matter_id=safe.other)
    assert codes(safe.vault) == {"PAPER_MISMATCH", "OBJECT_DAMAGED"}
    safe.write("matter_papers", {"address": address}, matter_id=safe.other)
    safe.drop("matter_papers", matter_id=safe.other)
    assert codes(safe.vault) == {"PAPER_MISMATCH"}


# --- lines about documents: found by the audit of documents


def test_a_line_of_the_journal_that_was_deleted(safe: Filled) -> None:
    safe.drop("document_entries", seq=safe.line)
    found = whole(safe.vault)
    assert ("ENTRY_UNEXPLAINED", safe.line) in found
    assert "ROW_MISMATCH" in {code for code, _ in found}


def test_a_line_of_the_journal_that_says_something_else(safe: Filled) -> None:
    status = safe.value("document_entries", "opening", document_id=safe.act.document_id, chain="status")
    safe.write("document_entries", {"opening": status}, seq=safe.line)
    assert {code for code, _ in whole(safe.vault)} == {"OPENING_INVALID", "RECORD_MISMATCH"}
    # The holder is told that this line cannot be read, and sees the others.
    from vault.rights.journal_lines import Filters

    assert safe.holder.safe_id is not None
    lines = safe.vault.people.journal.lines.of_safe(safe.holder, safe.holder.safe_id, Filters(), 100)
    assert [line.seq for line in lines if line.state == "damaged"] == [safe.line]
    assert len(lines) > 5


def test_a_line_that_was_made_a_granted_one(safe: Filled) -> None:
    safe.write("document_entries", {"event": "document.read-refused"}, seq=safe.line)
    assert ("OPENING_MISMATCH", safe.line) in whole(safe.vault)
