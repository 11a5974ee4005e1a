"""Labels and search: what is found and by whom, in a bounded time; what a destruction and a lost database leave."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from vault.core import faults
from vault.db import models
from vault.documents import searching as module
from vault.documents.searching import EVERYTHING, Wanted
from vault.domain.transfer import Transfer
from vault.errors import Refused
from vault.matters.labels import clean, folded, labels_record


def titles(world, actor=None, limit: int = 100, **wanted: str) -> list[str]:
    """Every title found, through all pages."""
    found, cursor = [], None
    while True:
        page = world.vault.reading.list(
            actor or world.camille, world.safe_id, cursor, limit, Wanted(**wanted)
        )
        found += [view.document.private.title for view in page.items]
        cursor = page.next
        if cursor is None:
            return found


def rows_of(world, document: str) -> int:
    table = models.document_labels
    with world.vault.parts.database.reading() as connection:
        query = select(func.count()).select_from(table).where(table.c.document_id == document)
        return connection.scalar(query)


def test_documents_are_found_by_each_property(everywhere):
    birth = everywhere.issue(title="Acte de NAISSANCE d’Élodie", case="DEM-1")
    pay = everywhere.issue("bulletin-de-paie", title="Bulletin de paie, œuvre")
    everywhere.deposit(title="Quittance de loyer", case="DEM-2", document_type="justificatif")
    everywhere.people.labels.put(everywhere.camille, birth, ["Famille", "à garder"])
    everywhere.people.labels.put(everywhere.camille, pay, ["A GARDER"])
    everywhere.vault.lifecycle.revoke(everywhere.registrar, pay, "error", Transfer(everywhere.key()))
    year = f"{everywhere.clock.now():%Y}"
    for wanted, expected in (
        ({}, 3),
        ({"document_type": "bulletin-de-paie"}, 1),
        ({"year": year}, 3),
        ({"year": str(int(year) - 1)}, 0),
        ({"status": "revoked"}, 1),
        ({"status": "valid", "kind": "act"}, 1),
        ({"kind": "attachment"}, 1),
        ({"label": "À  Garder"}, 2),
        ({"label": "famille", "status": "revoked"}, 0),
        ({"label": "inconnu"}, 0),
        ({"case": "DEM-1"}, 1),
        ({"case": "DEM"}, 0),
        ({"words": "naissance elodie"}, 1),
        ({"words": "ŒUVRE"}, 1),
        ({"words": "oeuvre", "label": "a garder"}, 1),
        ({"words": "loyer naissance"}, 0),
        ({"words": "DE"}, 3),
        ({"words": "%"}, 0),
        ({"words": "_"}, 0),
        ({"words": "  "}, 3),
    ):
        assert len(titles(everywhere, **wanted)) == expected, wanted
    view = everywhere.vault.reading.list(
        everywhere.camille, everywhere.safe_id, None, 10, Wanted(label="famille")
    ).items[0]
    assert view.labels == ("à garder", "Famille")
    used = everywhere.people.labels.of_safe(everywhere.camille, everywhere.safe_id)
    assert [(folded(each.label), each.documents) for each in used] == [("a garder", 2), ("famille", 1)]


def test_labels_are_the_holder_s_own(world, refused):
    document = world.issue()
    world.people.labels.put(world.camille, document, ["Secret de famille"])
    labels = world.people.labels
    for actor in (world.dominique, world.registrar, world.payroll, world.officer, world.operator):
        assert refused(lambda who=actor: labels.put(who, document, ["x"])) == "NOT_FOUND"
        assert refused(lambda who=actor: labels.of_safe(who, world.safe_id)) == "NOT_FOUND"
    assert refused(lambda: labels.put(world.camille, "doc_00000000000000000000000000", [])) == "NOT_FOUND"
    assert refused(lambda: labels.put(world.camille, world.safe_id, [])) == "NOT_FOUND"
    reading, purpose = world.vault.reading, "instruction-dossier"
    assert reading.describe(world.registrar, document, purpose).labels == ()
    assert reading.describe(world.camille, document, "").labels == ("Secret de famille",)
    reader, sorter = world.mandate(scope=("read",)), world.mandate(scope=("deposit",))
    assert reading.describe(reader, document, "").labels == ("Secret de famille",)
    assert refused(lambda: labels.put(reader, document, [])) == "NOT_FOUND"
    assert labels.put(sorter, document, ["Trié"]) == ("Trié",)


def test_a_mandate_for_some_types_finds_and_labels_those_alone(aside, refused):
    birth, pay = aside.issue(title="Naissance"), aside.issue("bulletin-de-paie", title="Paie")
    for document in (birth, pay):
        aside.people.labels.put(aside.camille, document, ["Tous", document[-6:]])
    only = aside.mandate(document_types=("bulletin-de-paie",))
    assert titles(aside, only) == ["Paie"]
    assert titles(aside, only, words="naissance") == []
    assert titles(aside, only, label="tous") == ["Paie"]
    assert titles(aside, only, document_type="acte-de-naissance") == []
    used = aside.people.labels.of_safe(only, aside.safe_id)
    assert {(each.label, each.documents) for each in used} == {("Tous", 1), (pay[-6:], 1)}
    assert refused(lambda: aside.people.labels.put(only, birth, [])) == "NOT_FOUND"


def test_labels_are_replaced_and_taken_away(aside):
    document = aside.issue()
    labels, records = aside.people.labels, aside.vault.parts.records
    assert labels.put(aside.camille, document, ["b", "A", "a", "É", "e\u0301"]) == ("A", "b", "É")
    assert labels.put(aside.camille, document, ["seul"]) == ("seul",)
    assert rows_of(aside, document) == 1
    assert labels.put(aside.camille, document, []) == ()
    assert rows_of(aside, document) == 0
    assert labels_record(document) not in set(records.names())


HOSTILE = [
    [""], ["  "], ["a\nb"], ["a\x00b"], ["\u202ea"], ["a\u200bb"], ["\ud800"], ["x" * 65], ["\u0301"],
    [f"n{number}" for number in range(21)],
]  # fmt: skip


@pytest.mark.parametrize("labels", HOSTILE, ids=lambda value: ascii(value)[:20])
def test_hostile_labels_are_refused_and_nothing_changes(world, refused, labels):
    document = world.issue()
    world.people.labels.put(world.camille, document, ["avant"])
    assert refused(lambda: world.people.labels.put(world.camille, document, labels)) == "FIELD_INVALID"
    assert world.vault.reading.describe(world.camille, document, "").labels == ("avant",)


@given(st.text(max_size=60))
def test_folding_is_stable(text):
    assert folded(folded(text)) == folded(text)
    assert folded(text.upper()) == folded(text.lower().upper())


@given(st.lists(st.text(alphabet="aàAÂeéÉ ", min_size=1, max_size=5), max_size=8))
def test_labels_that_people_take_for_one_are_one(labels):
    said = [label for label in labels if label.strip()]
    kept = clean(said)
    assert len({folded(label) for label in kept}) == len(kept)
    assert {folded(label) for label in kept} == {folded(label) for label in said}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"document_type": "Type"}, "type"),
        ({"year": "20"}, "year"),
        ({"year": "٢٠٢٦"}, "year"),
        ({"year": "2026' OR 1=1"}, "year"),
        ({"status": "open"}, "status"),
        ({"kind": "all"}, "kind"),
        ({"label": "x" * 65}, "label"),
        ({"case": "a\nb"}, "case"),
        ({"words": "x" * 201}, "q"),
        ({"words": "\u202e"}, "q"),
    ],
)
def test_odd_searches_are_refused_by_name(world, wanted, field):
    with pytest.raises(Refused) as caught:
        world.vault.reading.list(world.camille, world.safe_id, None, 10, Wanted(**wanted))
    assert caught.value.params["field"] == field


def test_pages_join_without_gap_or_double(aside):
    every = [
        aside.deposit(title=f"Pièce {number} {'paire' if number % 2 == 0 else 'seule'}")
        for number in range(11)
    ]
    assert len(titles(aside, limit=3)) == len(every)
    for limit in (1, 2, 3, 5, 6, 7):
        found = titles(aside, limit=limit, words="paire")
        assert found == [f"Pièce {number} paire" for number in (10, 8, 6, 4, 2, 0)], limit


def test_a_search_opens_a_bounded_number_of_rows_a_request(aside, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 4)
    monkeypatch.setattr(module, "_OPENED", 8)
    aside.deposit(title="aiguille")
    for number in range(20):
        aside.deposit(title=f"paille {number}")
    reading, cursor, pages = aside.vault.reading, None, 0
    while True:
        page = reading.list(aside.camille, aside.safe_id, cursor, 10, Wanted(words="aiguille"))
        pages += 1
        if page.items or page.next is None:
            break
        cursor = page.next
    assert [view.document.private.title for view in page.items] == ["aiguille"]
    assert pages == 3
    tracemalloc.start()
    reading.list(aside.camille, aside.safe_id, None, 1, EVERYTHING)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_destroyed_document_leaves_no_label(everywhere):
    document, other = everywhere.issue(), everywhere.issue()
    for each in (document, other):
        everywhere.people.labels.put(everywhere.camille, each, ["trace-reconnaissable"])
    everywhere.vault.lifecycle.destroy(everywhere.operator, document)
    assert (rows_of(everywhere, document), rows_of(everywhere, other)) == (0, 1)
    names = set(everywhere.vault.parts.records.names())
    assert labels_record(document) not in names
    assert labels_record(other) in names
    used = everywhere.people.labels.of_safe(everywhere.camille, everywhere.safe_id)
    assert [(each.label, each.documents) for each in used] == [("trace-reconnaissable", 1)]
    everywhere.audited()
    everywhere.lose_and_recover()
    assert (rows_of(everywhere, document), rows_of(everywhere, other)) == (0, 1)
    assert len(titles(everywhere, label="trace-reconnaissable")) == 1
    for file in everywhere.settings.data.rglob("*"):
        if file.is_file():
            assert b"reconnaissable" not in file.read_bytes(), file
    everywhere.audited()


def test_a_destruction_cut_short_leaves_no_label_after_a_recovery(aside):
    document = aside.issue()
    aside.people.labels.put(aside.camille, document, ["reste"])

    class Cut(BaseException):
        pass

    def hook(point: str) -> None:
        if point == "lifecycle.before-forget":
            raise Cut

    faults.install(hook)
    try:
        with pytest.raises(Cut):
            aside.vault.lifecycle.destroy(aside.operator, document)
    finally:
        faults.install(None)
    assert labels_record(document) in set(aside.vault.parts.records.names())
    aside.lose_and_recover()
    assert rows_of(aside, document) == 0
    assert labels_record(document) not in set(aside.vault.parts.records.names())
    aside.audited()


def test_a_crash_between_record_and_rows_loses_nothing(aside):
    document = aside.issue()
    aside.people.labels.put(aside.camille, document, ["avant"])

    class Cut(BaseException):
        pass

    def hook(point: str) -> None:
        if point == "labels.recorded":
            raise Cut

    faults.install(hook)
    try:
        with pytest.raises(Cut):
            aside.people.labels.put(aside.camille, document, ["après"])
    finally:
        faults.install(None)
    assert aside.vault.reading.describe(aside.camille, document, "").labels == ("avant",)
    aside.people.labels.put(aside.camille, document, ["après"])
    aside.lose_and_recover()
    assert aside.vault.reading.describe(aside.camille, document, "").labels == ("après",)


def test_a_label_moved_to_another_document_does_not_open(aside, refused):
    mine, other = aside.issue(), aside.issue()
    aside.people.labels.put(aside.camille, mine, ["le mien"])
    table = models.document_labels
    with aside.vault.parts.database.writing() as connection:
        connection.execute(table.update().values(document_id=other))
    assert refused(lambda: aside.vault.reading.describe(aside.camille, other, "")) == "ROW_DAMAGED"


def test_a_closed_safe_takes_no_labels(aside, refused):
    from tests.integration.people.test_closures import Step

    document, step = aside.issue(), Step(aside)
    aside.people.labels.put(aside.camille, document, ["avant"])
    step.wished()
    step.close()
    assert refused(lambda: aside.people.labels.put(aside.camille, document, [])) == "SAFE_CLOSED"
    assert titles(aside, label="avant") == ["Acte"]
