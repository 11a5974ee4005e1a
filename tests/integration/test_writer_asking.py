"""What works of a group ask of the database is asked once, and is never older than what works before them wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from tests.services.postgresql import address
from vault.clock import SystemClock
from vault.db.bulk import rows_of
from vault.db.driver import Driver, driver_of
from vault.db.engine import Database
from vault.db.matters import quiet_safes
from vault.db.models import documents, idempotency, matters, safes
from vault.domain.documents import Outcome
from vault.errors import Conflict
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.writer import Asking, LedgerTransaction, LedgerWriter
from vault.records.changes import SEQ, Change
from vault.records.idempotency import Idempotency, answers

pytestmark = pytest.mark.usefixtures("each_database")
NOW = "2026-01-01T00:00:00.000Z"
SCOPE, REQUEST = b"s" * 32, b"r" * 32
COLUMNS = ("scope_ix", "request_ix", "document_id", "status_code", "seq", "created_at")
SAFE = {"id": "safe_1", "holder_ix": b"h" * 32, "wrapped_key": b"", "sealed": b"", "created_at": NOW}
Safe = tuple[Database, LedgerWriter]


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    database = Database.open(address(tmp_path), tmp_path / "locks")
    database.migrate()
    open_ledger(database, SystemClock(), LedgerKeys.new("safe.example/ledger/1"), [])
    with database.writing() as connection:
        connection.execute(insert(safes), SAFE)
    writer = LedgerWriter(database, lambda _name, _records: None, SystemClock())
    writer.start()
    yield database, writer
    writer.close()
    database.close()


def together(writer: LedgerWriter, works: Sequence[Callable[[LedgerTransaction], Any]]) -> list[Any]:
    """Hand works to the writer in one group; return each outcome, an exception as itself."""
    hold, held = threading.Event(), threading.Event()

    def block(_: LedgerTransaction) -> None:
        held.set()
        hold.wait(10)

    first = writer.submit(block)
    assert held.wait(10)
    futures = [writer.submit(work) for work in works]
    hold.set()
    first.result(10)
    return [future.exception(10) or future.result() for future in futures]


def once(scope: bytes, request: bytes, document_id: str) -> Asking[str | Outcome]:
    """A work that writes an answer unless there is one."""

    def work(tx: LedgerTransaction) -> str | Outcome:
        if earlier := Idempotency.earlier_here(tx, scope, request):
            return earlier
        seq = tx.append(bytes(32), bytes(32)).seq
        tx.insert("idempotency", COLUMNS, (scope, request, document_id, 201, seq, NOW))
        return document_id

    return Asking(work, ((answers, scope),))


def document(document_id: str) -> dict[str, Any]:
    known = dict.fromkeys(
        ("document_type", "media_type", "reception", "sealing", "scan", "status"), "attestation"
    )
    numbers = dict.fromkeys(("size", "next_status", "next_access"), 0)
    return {
        "id": document_id, "kind": "act", "safe_id": "safe_1", **known, **numbers, "created_at": NOW,
        "retain_until": NOW, "first_seq": SEQ,
    }  # fmt: skip


def entry(document_id: str, counter: int) -> dict[str, Any]:
    return {
        "seq": SEQ, "document_id": document_id, "chain": "status", "counter": counter, "event": "e", "record": "",
    }  # fmt: skip


def writes(*rows: tuple[str, dict[str, Any]], look: bool = False) -> Callable[[LedgerTransaction], None]:
    """A work that writes a change of these rows."""
    change = Change("", bytes(32), bytes(32), inserts=rows)

    def work(tx: LedgerTransaction) -> None:
        if look:
            tx.connection.execute(select(documents.c.id)).all()
        change.write(tx, tx.append(change.tag, change.commitment))

    return work


def test_a_group_asks_each_question_once(safe: Safe) -> None:
    _, writer = safe
    asked: list[Sequence[int]] = []

    def question(_driver: Driver, keys: Sequence[int]) -> dict[int, int]:
        asked.append(sorted(keys))
        return {key: key * 2 for key in keys}

    def work(number: int) -> Asking[int]:
        return Asking(lambda tx: tx.ask(question, number), ((question, number),))

    assert together(writer, [work(number) for number in (3, 1, 2, 1)]) == [6, 2, 4, 2]
    assert asked == [[1, 2, 3]]


def test_a_work_that_asks_what_it_did_not_say_is_answered_too(safe: Safe) -> None:
    _, writer = safe
    assert writer.run(lambda tx: tx.ask(quiet_safes, "safe_1")) is True
    assert writer.run(lambda tx: tx.ask(quiet_safes, "safe_none")) is False


def test_twins_of_one_group_are_one(safe: Safe) -> None:
    database, writer = safe
    other = b"t" * 32
    first, twin, odd, alone = together(
        writer,
        [
            once(SCOPE, REQUEST, "doc_1"),
            once(SCOPE, REQUEST, "doc_2"),
            once(SCOPE, b"q" * 32, "doc_3"),
            once(other, REQUEST, "doc_4"),
        ],
    )
    assert (first, alone) == ("doc_1", "doc_4")
    assert (twin.document_id, twin.replayed) == ("doc_1", True)
    assert isinstance(odd, Conflict)
    assert odd.code == "IDEMPOTENCY_KEY_REUSED"
    with database.reading() as connection:
        found = connection.scalars(select(idempotency.c.document_id).order_by(idempotency.c.document_id))
        assert list(found) == ["doc_1", "doc_4"]


def test_a_twin_of_an_earlier_group_is_found(safe: Safe) -> None:
    _, writer = safe
    writer.run(once(SCOPE, REQUEST, "doc_1"))
    assert writer.run(once(SCOPE, REQUEST, "doc_2")).document_id == "doc_1"


def test_a_work_that_failed_leaves_no_answer(safe: Safe) -> None:
    _, writer = safe

    def fail(tx: LedgerTransaction) -> None:
        once(SCOPE, REQUEST, "doc_1")(tx)
        raise KeyError("its own")

    failed, written = together(writer, [Asking(fail, ((answers, SCOPE),)), once(SCOPE, REQUEST, "doc_2")])
    assert isinstance(failed, KeyError)
    assert written == "doc_2"


def test_nothing_is_at_hand_after_a_work_that_could_write_anything(safe: Safe) -> None:
    _, writer = safe
    closure = {
        "id": "clo_1", "kind": "closure", "safe_id": "safe_1", "state": "notice", "created_at": NOW, "first_seq": 0,
        "last_seq": 0, "next_counter": 0, "wrapped_key": b"", "sealed": b"",
    }  # fmt: skip

    def close(tx: LedgerTransaction) -> bool:
        was: bool = tx.ask(quiet_safes, "safe_1")
        tx.connection.execute(insert(matters), closure)
        return was

    asks = ((quiet_safes, "safe_1"),)
    works = [Asking(close, asks), Asking(lambda tx: tx.ask(quiet_safes, "safe_1"), asks)]
    assert together(writer, works) == [True, False]


def test_rows_are_written_after_those_that_they_name(safe: Safe) -> None:
    database, writer = safe
    writer.run(writes(("documents", document("doc_1")), ("document_entries", entry("doc_1", 0))))
    outcomes = together(
        writer,
        [
            writes(("document_entries", entry("doc_1", 1))),
            writes(("documents", document("doc_2")), ("document_entries", entry("doc_2", 0))),
            writes(("documents", document("doc_3")), ("document_entries", entry("doc_3", 0)), look=True),
            writes(("documents", document("doc_4")), ("document_entries", entry("doc_4", 0))),
        ],
    )
    assert outcomes == [None] * 4
    with database.reading() as connection:
        found = connection.execute(select(documents.c.id, documents.c.first_seq).order_by(documents.c.id))
        assert list(found) == [("doc_1", 1), ("doc_2", 3), ("doc_3", 4), ("doc_4", 5)]


def test_a_closure_that_is_over_leaves_a_safe_quiet(safe: Safe) -> None:
    database, _ = safe
    closure = {
        "id": "clo_1", "kind": "closure", "safe_id": "safe_1", "state": "notice", "created_at": NOW, "first_seq": 0,
        "last_seq": 0, "next_counter": 0, "wrapped_key": b"", "sealed": b"",
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(insert(matters), closure)
        for state, quiet in (("notice", False), ("closed", False), ("asked", True), ("cancelled", True)):
            connection.execute(update(matters).values(state=state))
            found = quiet_safes(driver_of(connection), ["safe_1", "safe_2"])
            assert found == {"safe_1": quiet, "safe_2": False}, state


def test_many_keys_are_asked_for_in_pieces(safe: Safe) -> None:
    database, _ = safe
    with database.writing() as connection:
        many = [
            {**SAFE, "id": f"safe_x{number}", "holder_ix": bytes([number % 256, number // 256] * 16)}
            for number in range(300)
        ]
        connection.execute(insert(safes), many)
        names = [each["id"] for each in many]
        for count in (1, 2, 3, 127, 128, 129, 300):
            found = rows_of(driver_of(connection), "SELECT id FROM safes WHERE id IN ", names[:count])
            assert sorted(name for (name,) in found) == sorted(names[:count])
