"""The ledger writer: groups, threads, processes, crashes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from storage.errors import StorageUnavailable
from tests.services.postgresql import address
from vault.clock import SystemClock
from vault.core import faults
from vault.db.engine import Database
from vault.db.models import ledger_head, ledger_tiles, outbox
from vault.errors import LedgerError, Unavailable
from vault.ledger import tree
from vault.ledger.chain import ChainReport, verify_chain
from vault.ledger.entry import LogEntry, decode
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.stored import StoredTiles, entries, read_head
from vault.ledger.writer import Appended, LedgerTransaction, LedgerWriter, WriterConfig

SPAWN = multiprocessing.get_context("spawn")
TAG, COMMITMENT = bytes(range(32)), bytes(32)
ROW = {"topic": "t", "payload": "p", "created_at": "2026-01-01T00:00:00.000Z"}
pytestmark = pytest.mark.usefixtures("each_database")


class SettableClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Records:
    """Recovery files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, list[bytes]] = {}
        self.fail = False

    def __call__(self, name: str, records: Sequence[bytes]) -> None:
        if self.fail:
            raise StorageUnavailable
        self.files[name] = list(records)


class Safe:
    """A database with a ledger, its writer and its recovery files."""

    def __init__(self, folder: Path, config: WriterConfig | None = None) -> None:
        self.database = Database.open(address(folder), folder / "locks")
        self.database.migrate()
        self.clock = SettableClock()
        self.records = Records()
        open_ledger(self.database, self.clock, LedgerKeys.new("safe.example/ledger/1"), [])
        self.writer = LedgerWriter(self.database, self.records, self.clock, config or WriterConfig())

    def audit(self) -> ChainReport:
        with self.database.reading() as connection:
            head = read_head(connection)
            stored = list(entries(connection, 0, head.size + 1))
            report = verify_chain(body for _, body, _ in stored)
            assert [seq for seq, _, _ in stored] == list(range(head.size))
            assert (report.size, report.last_leaf, report.last_time) == (
                head.size,
                head.last_leaf,
                head.last_time,
            )
            assert tree.root(StoredTiles(connection, {}), head.size) == report.root
        return report

    def rows(self) -> int:
        with self.database.reading() as connection:
            return len(connection.execute(select(outbox.c.id)).all())


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    safe = Safe(tmp_path)
    safe.writer.start()
    yield safe
    faults.install(None)
    safe.writer.close()
    safe.database.close()


def append(tx: LedgerTransaction) -> Appended:
    return tx.append(TAG, COMMITMENT, b"record")


def append_with_row(tx: LedgerTransaction) -> Appended:
    tx.connection.execute(insert(outbox), ROW)
    return append(tx)


def refuse(tx: LedgerTransaction) -> Appended:
    append_with_row(tx)
    raise KeyError("refused by its own work")


def test_64_threads(safe: Safe) -> None:
    def ten(_: int) -> list[Appended]:
        return [safe.writer.run(append) for _ in range(10)]

    with ThreadPoolExecutor(64) as pool:
        answers = [one for ten_of in pool.map(ten, range(64)) for one in ten_of]
    assert sorted(answer.seq for answer in answers) == list(range(1, 641))
    assert safe.audit().size == 641
    # Every answered entry has its record in the file that was named, and nothing else is there.
    assert {answer.record for answer in answers} == set(safe.records.files)
    assert sum(len(found) for found in safe.records.files.values()) == 640
    assert len(safe.records.files) < 640, "no group ever held two works"


def test_rows_ride_along_and_a_raising_work_is_undone_alone(safe: Safe) -> None:
    works = [append_with_row, refuse, append, refuse, append_with_row]
    futures = [safe.writer.submit(work) for work in works]
    for work, future in zip(works, futures, strict=True):
        if work is refuse:
            with pytest.raises(KeyError):
                future.result(10)
        else:
            future.result(10)
    assert safe.audit().size == 4
    assert safe.rows() == 2
    assert sum(len(found) for found in safe.records.files.values()) == 3


def test_several_entries_in_one_work_are_one_group(safe: Safe) -> None:
    answers = safe.writer.run(lambda tx: [append(tx), append(tx), append(tx)])
    assert [answer.seq for answer in answers] == [1, 2, 3]
    assert safe.records.files == {answers[0].record: [b"record"] * 3}
    assert safe.audit().size == 4


def test_record_name_is_known_before_and_sorts_by_group(safe: Safe) -> None:
    names = []
    for _ in range(3):
        name, answer = safe.writer.run(lambda tx: (tx.record, append(tx)))
        assert name == answer.record
        names.append(name)
    assert names == sorted(names)


def test_no_record_no_file(safe: Safe) -> None:
    safe.writer.run(lambda tx: tx.append(TAG, COMMITMENT))
    assert safe.records.files == {}
    assert safe.audit().size == 2


def test_log_entry(safe: Safe) -> None:
    answer = safe.writer.run(lambda tx: tx.append_log("log.keys-changed", {"keys": {"seals": []}}))
    with safe.database.reading() as connection:
        ((_, body, leaf),) = entries(connection, answer.seq, answer.seq + 1)
    entry = decode(body)
    assert isinstance(entry, LogEntry)
    assert entry.body == {"keys": {"seals": []}}
    assert leaf == answer.leaf
    for event, content in (("log.opened", {}), ("document.read", {}), ("log.keys-changed", {"x": 1.5})):
        with pytest.raises(LedgerError) as caught:
            safe.writer.run(lambda tx, e=event, c=content: tx.append_log(e, c))  # type: ignore[misc]
        assert caught.value.code == "ENTRY_INVALID"
    assert safe.audit().size == 2


def test_tag_and_commitment_have_32_octets(safe: Safe) -> None:
    with pytest.raises(LedgerError) as caught:
        safe.writer.run(lambda tx: tx.append(TAG[:31], COMMITMENT))
    assert caught.value.code == "ENTRY_INVALID"


def test_lost_head_writes_nothing(safe: Safe) -> None:
    def advance(tx: LedgerTransaction) -> None:
        append_with_row(tx)
        tx.connection.execute(update(ledger_head).values(size=99))

    with pytest.raises(LedgerError) as caught:
        safe.writer.run(advance)
    assert caught.value.code == "LEDGER_HEAD_LOST"
    assert (safe.audit().size, safe.rows()) == (1, 0)
    assert safe.records.files == {}
    safe.writer.run(append)
    assert safe.audit().size == 2


def test_a_record_that_cannot_be_written_stops_the_group(safe: Safe) -> None:
    safe.records.fail = True
    with pytest.raises(Unavailable) as caught:
        safe.writer.run(append_with_row)
    assert caught.value.code == "LEDGER_UNAVAILABLE"
    assert (safe.audit().size, safe.rows()) == (1, 0)
    safe.records.fail = False
    safe.writer.run(append_with_row)
    assert (safe.audit().size, safe.rows()) == (2, 1)


@pytest.mark.parametrize(
    ("point", "written"),
    [
        ("ledger.before-record", 0),
        ("ledger.after-record", 0),
        ("ledger.before-commit", 0),
        ("ledger.after-commit", 1),
    ],
)
def test_a_stop_at_each_point_leaves_nothing_or_everything(safe: Safe, point: str, written: int) -> None:
    def stop(name: str) -> None:
        if name == point:
            raise RuntimeError("stopped")

    faults.install(stop)
    with pytest.raises(Unavailable):
        safe.writer.run(append_with_row)
    faults.install(None)
    assert (safe.audit().size, safe.rows()) == (1 + written, written)
    safe.writer.run(append_with_row)
    assert (safe.audit().size, safe.rows()) == (2 + written, 1 + written)


def test_a_work_may_not_end_the_group(safe: Safe) -> None:
    def commit(tx: LedgerTransaction) -> None:
        tx.connection.rollback()

    with pytest.raises(LedgerError) as caught:
        safe.writer.run(commit)
    assert caught.value.code == "LEDGER_TRANSACTION_BROKEN"
    safe.writer.run(append)
    assert safe.audit().size == 2


def test_a_transaction_is_of_no_use_after_its_work(safe: Safe) -> None:
    kept: list[LedgerTransaction] = []
    safe.writer.run(kept.append)
    for use in (lambda: kept[0].connection, lambda: kept[0].record, lambda: append(kept[0])):
        with pytest.raises(LedgerError) as caught:
            use()
        assert caught.value.code == "LEDGER_TRANSACTION_BROKEN"


def test_a_work_cannot_wait_for_another(safe: Safe) -> None:
    with pytest.raises(LedgerError) as caught:
        safe.writer.run(lambda _: safe.writer.run(append))
    assert caught.value.code == "LEDGER_TRANSACTION_BROKEN"


def test_time_never_runs_backwards(safe: Safe, caplog: pytest.LogCaptureFixture) -> None:
    first = safe.writer.run(append)
    safe.clock.time -= timedelta(seconds=9)
    assert safe.writer.run(append).time == first.time
    assert safe.writer.step_backs == 0
    safe.clock.time -= timedelta(seconds=2)
    with caplog.at_level(logging.WARNING, "probans.ledger"):
        assert safe.writer.run(append).time == first.time
    assert safe.writer.step_backs == 1
    assert "10 s behind" in caplog.text
    safe.clock.time += timedelta(seconds=12)
    assert safe.writer.run(append).time > first.time
    safe.audit()


def test_groups_have_a_size_and_close_finishes_what_was_submitted(tmp_path: Path) -> None:
    safe = Safe(tmp_path, WriterConfig(max_group=4, max_wait_ms=5))
    futures = [safe.writer.submit(append) for _ in range(10)]
    cancelled = safe.writer.submit(append_with_row)
    assert cancelled.cancel()
    safe.writer.start()
    safe.writer.close()
    assert all(future.done() for future in futures)
    assert sorted(map(len, safe.records.files.values())) == [2, 4, 4]
    assert (safe.audit().size, safe.rows()) == (11, 0)
    with pytest.raises(Unavailable) as caught:
        safe.writer.submit(append)
    assert caught.value.code == "LEDGER_UNAVAILABLE"
    safe.database.close()


def test_time_limit(tmp_path: Path) -> None:
    safe = Safe(tmp_path, WriterConfig(time_limit_s=0.05))
    with pytest.raises(Unavailable) as caught:
        safe.writer.run(append)  # not started
    assert caught.value.code == "LEDGER_UNAVAILABLE"
    safe.writer.close()
    assert safe.audit().size == 1, "a work given up must not run later"
    safe.database.close()


def test_errors_of_works_come_back_as_they_are(safe: Safe) -> None:
    def late(_: LedgerTransaction) -> None:
        raise TimeoutError("the work's own")

    with pytest.raises(TimeoutError, match="the work's own"):
        safe.writer.run(late)


def test_listener_hears_of_commits_and_cannot_break_the_writer(safe: Safe) -> None:
    heard: list[int] = []

    def listen(size: int) -> None:
        heard.append(size)
        raise RuntimeError("the listener's own")

    safe.writer.on_commit = listen
    for _ in range(2):
        safe.writer.run(append)
    safe.writer.run(lambda _: None)
    assert heard == [2, 3]


def test_full_tiles_are_stored_with_their_group(safe: Safe) -> None:
    def many(count: int) -> None:
        safe.writer.run(lambda tx: [tx.append(TAG, COMMITMENT) for _ in range(count)])

    for count in (254, 1, 1, 300, 256 * 256):
        many(count)
    safe.audit()
    with safe.database.reading() as connection:
        tiles: dict[tuple[int, int], bytes] = {
            (level, index): bytes(hashes)
            for level, index, hashes in connection.execute(select(ledger_tiles)).all()
        }
        leaves = [leaf for _, _, leaf in entries(connection, 0, read_head(connection).size)]
    assert set(tiles) == {(0, index) for index in range(258)} | {(1, 0)}
    for index in range(258):
        assert tiles[0, index] == b"".join(leaves[index * 256 : index * 256 + 256])
    assert tiles[1, 0] == b"".join(tree.fold(tiles[0, index]) for index in range(256))


def test_tiles_of_a_group_that_failed_are_not_remembered(safe: Safe) -> None:
    def fill(tx: LedgerTransaction, commitment: bytes) -> None:
        for _ in range(256):
            tx.append(TAG, commitment, b"record")

    safe.records.fail = True
    with pytest.raises(Unavailable):
        safe.writer.run(lambda tx: fill(tx, bytes(32)))
    safe.records.fail = False
    safe.writer.run(lambda tx: fill(tx, b"\x01" * 32))
    safe.writer.run(lambda tx: [tx.append(TAG, COMMITMENT) for _ in range(256 * 255)])
    safe.audit()


def test_opening_twice_and_opening_another_log(tmp_path: Path) -> None:
    safe = Safe(tmp_path)
    assert not open_ledger(safe.database, safe.clock, LedgerKeys.new("safe.example/ledger/1"), [])
    with pytest.raises(LedgerError) as caught:
        open_ledger(safe.database, safe.clock, LedgerKeys.new("other.example/ledger/1"), [])
    assert caught.value.code == "LEDGER_ORIGIN_MISMATCH"
    assert safe.audit().origin == "safe.example/ledger/1"
    safe.database.close()


def test_a_database_without_ledger_says_so(tmp_path: Path) -> None:
    database = Database.open(address(tmp_path), tmp_path)
    database.migrate()
    writer = LedgerWriter(database, Records(), SettableClock())
    writer.start()
    with pytest.raises(LedgerError) as caught:
        writer.run(append)
    assert caught.value.code == "LEDGER_NOT_OPENED"
    writer.close()
    database.close()


def _write_and_tell(folder: str, pipe: Any, count: int) -> None:
    """A writing process: tells each entry that was promised, as `seq:record`."""
    database = Database.open(address(Path(folder)), Path(folder) / "locks")

    def durable(name: str, records: Sequence[bytes]) -> None:
        descriptor = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, b"\n".join(records))
        os.fsync(descriptor)
        os.close(descriptor)

    writer = LedgerWriter(database, durable, SystemClock())
    writer.start()
    guard = threading.Lock()

    def work() -> None:
        for _ in range(count):
            answer = writer.run(append_with_row)
            with guard:
                pipe.send((answer.seq, answer.record))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    pipe.send(None)
    pipe.close()


def _told(pipe: Any) -> Iterator[tuple[int, str]]:
    while True:
        try:
            told = pipe.recv()
        except (EOFError, OSError):
            return
        if told is None:
            return
        yield told


def test_two_processes_share_one_ledger(tmp_path: Path) -> None:
    safe = Safe(tmp_path)
    pipes, processes = [], []
    for _ in range(2):
        receiving, sending = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=_write_and_tell, args=(str(tmp_path), sending, 12))
        process.start()
        sending.close()
        pipes.append(receiving)
        processes.append(process)
    told = [seq for pipe in pipes for seq, _ in _told(pipe)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(told) == list(range(1, 193)), "a gap or a double"
    assert (safe.audit().size, safe.rows()) == (193, 192)
    safe.database.close()


@pytest.mark.parametrize("after", [1, 20, 60])
def test_kill_9_in_the_middle(tmp_path: Path, after: int) -> None:
    safe = Safe(tmp_path)
    receiving, sending = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_write_and_tell, args=(str(tmp_path), sending, 100_000))
    process.start()
    sending.close()
    told = []
    for answer in _told(receiving):
        told.append(answer)
        if len(told) == after:
            assert process.pid is not None
            os.kill(process.pid, 9)
    process.join(60)
    assert len(told) >= after
    report = safe.audit()
    # Everything that was promised is there, its record too; rows and entries agree.
    assert all(seq < report.size for seq, _ in told)
    assert safe.rows() == report.size - 1
    for _, record in told:
        assert (tmp_path / record).read_bytes().startswith(b"record")
    # And the ledger goes on.
    safe.writer.start()
    assert safe.writer.run(append).seq == report.size
    safe.writer.close()
    safe.audit()
    safe.database.close()
