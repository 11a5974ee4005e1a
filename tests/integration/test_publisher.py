"""The publisher: files, checkpoints, receipts, restarts; and audits of what it made."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.errors import LogConflict, StorageUnavailable
from storage.filesystem_log import FilesystemLogStore
from storage.memory import MemoryLogStore
from tests.services.postgresql import address
from vault.core import faults
from vault.db.engine import Database
from vault.errors import LedgerError, Unavailable
from vault.ledger import tree
from vault.ledger.audit import audit_database, audit_log_store
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher, Receipts, StoredReceipts
from vault.ledger.receipt import verify_receipt
from vault.ledger.stored import entries, entry_body
from vault.ledger.tiles import Tile, changed_bundles, changed_tiles, encode_bundle
from vault.ledger.writer import LedgerWriter

ORIGIN = "safe.example/ledger/1"
PIECES = bytes(32)
pytestmark = pytest.mark.usefixtures("each_database")


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC)


class Safe:
    """A ledger, its writer, and a log store; publishers are made on demand."""

    def __init__(self, folder: Path, store: MemoryLogStore | FilesystemLogStore | None = None) -> None:
        self.database = Database.open(address(folder), folder / "locks")
        self.database.migrate()
        self.keys = LedgerKeys.open(folder / "keys", ORIGIN)
        self.store = store or MemoryLogStore()
        open_ledger(self.database, FixedClock(), self.keys, [{"purpose": "act-seal", "sha256": "00" * 32}])
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, FixedClock())
        self.writer.start()
        self.policy = Policy.from_vkeys("\n".join(self.keys.vkeys))

    def publisher(self, keys: LedgerKeys | None = None, interval: float = 0.02) -> Publisher:
        return Publisher(self.database, self.store, keys or self.keys, FixedClock(), interval=interval)

    def grow(self, count: int) -> None:
        self.writer.run(lambda tx: [tx.append(PIECES, PIECES) for _ in range(count)])

    def files(self) -> dict[str, bytes]:
        return {path: self.store.get(path) for path in self.store.list()}

    def expected_files(self, size: int) -> dict[str, bytes]:
        """What the log of the first `size` entries looks like, computed naively."""
        with self.database.reading() as connection:
            bodies = [body for _, body, _ in entries(connection, 0, size)]
        rows = [[tree.leaf_hash(body) for body in bodies]]
        while len(rows[-1]) >= 256:
            row = rows[-1]
            rows.append(
                [tree.fold(b"".join(row[at : at + 256])) for at in range(0, len(row) // 256 * 256, 256)]
            )
        files = {}
        for tile in changed_tiles(0, size):
            files[tile.path] = b"".join(rows[tile.level][tile.index * 256 :][: tile.width])
        for bundle in changed_bundles(0, size):
            files[bundle.path] = encode_bundle(bodies[bundle.index * 256 :][: bundle.width])
        return files

    def close(self) -> None:
        self.writer.close()
        self.database.close()


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    safe = Safe(tmp_path)
    yield safe
    faults.install(None)
    safe.close()


def test_files_are_those_of_the_tree_and_partial_ones_are_collected(safe: Safe) -> None:
    publisher = safe.publisher()
    size = 1
    for count in (0, 5, 250, 1, 300, 2000, 1):
        if count:
            safe.grow(count)
        size += count
        assert publisher.publish() == size
        files = safe.files()
        note = files.pop("checkpoint")
        assert verify_checkpoint(note, safe.policy).size == size
        assert publisher.current() == note
        expected = safe.expected_files(size)
        assert expected.items() <= files.items()
        # What is there besides are partial files whose full ones do not exist yet.
        for path in set(files) - set(expected):
            tile = Tile.parse(path)
            assert not tile.full
            assert Tile(tile.level, tile.index).path not in files
    assert audit_log_store(safe.store, safe.policy).ok
    assert audit_database(safe.database).ok


def test_level_two(safe: Safe) -> None:
    publisher = safe.publisher()
    for count in (65_535, 1, 300):
        safe.grow(count)
        publisher.publish()
    files = safe.files()
    del files["checkpoint"]
    assert safe.expected_files(65_837).items() <= files.items()
    assert "tile/2/000.p/1" in files
    report = audit_log_store(safe.store, safe.policy)
    assert (report.problems, report.size) == ([], 65_837)
    assert audit_database(safe.database).problems == []
    receipts = Receipts(safe.database, publisher)
    for seq in (0, 255, 256, 65_535, 65_536, 65_836):
        with safe.database.reading() as connection:
            body = entry_body(connection, seq)
        receipt = receipts.receipt(seq)
        assert receipt is not None
        assert body is not None
        assert verify_receipt(receipt, body, safe.policy).index == seq


def test_nothing_new_signs_nothing(safe: Safe) -> None:
    publisher = safe.publisher()
    publisher.publish()
    note = publisher.current()
    assert publisher.publish() == 1
    assert safe.publisher().publish() == 1
    assert safe.store.get("checkpoint") == note


@pytest.mark.parametrize("grown_meanwhile", [0, 300])
@pytest.mark.parametrize(
    "point",
    [
        "publish.before-bundles",
        "publish.before-tiles",
        "publish.before-checkpoint",
        "publish.after-checkpoint",
    ],
)
def test_a_stop_between_steps_is_healed_by_the_next_run(safe: Safe, point: str, grown_meanwhile: int) -> None:
    safe.grow(100)
    safe.publisher().publish()
    safe.grow(200)

    def stop(name: str) -> None:
        if name == point:
            raise RuntimeError("stopped")

    faults.install(stop)
    with pytest.raises(RuntimeError):
        safe.publisher().publish()
    faults.install(None)
    # Whatever stands in the store is complete for the checkpoint that stands there.
    assert audit_log_store(safe.store, safe.policy).problems == []
    if grown_meanwhile:
        safe.grow(grown_meanwhile)
    fresh = safe.publisher()
    assert fresh.publish() == 301 + grown_meanwhile
    assert fresh.current() == safe.store.get("checkpoint")
    assert audit_log_store(safe.store, safe.policy).problems == []
    assert audit_database(safe.database).problems == []
    # Partial files that the stop left are gone once their full ones are there.
    for path in safe.files():
        if ".p/" in path:
            tile = Tile.parse(path)
            assert Tile(tile.level, tile.index).path not in safe.files()


def test_other_octets_at_a_path_stop_publication_for_good(safe: Safe) -> None:
    safe.store.put_if_absent("tile/0/000.p/6", b"x" * 192, "")
    safe.grow(5)
    publisher = safe.publisher()
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            publisher.publish()
        assert caught.value.code == "LOG_STORE_CONFLICT"
    assert publisher.failure is caught.value
    assert publisher.current() is None
    assert "checkpoint" not in safe.files()
    assert safe.files()["tile/0/000.p/6"] == b"x" * 192


def test_the_background_thread_stops_on_a_fatal_error(safe: Safe) -> None:
    safe.store.put_if_absent("tile/entries/000.p/1", b"other", "")
    publisher = safe.publisher()
    publisher.start()
    deadline = time.monotonic() + 10
    while publisher.failure is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert publisher.failure is not None
    publisher.close()


def test_a_database_older_than_the_published_ledger(safe: Safe, tmp_path: Path) -> None:
    safe.grow(10)
    safe.publisher().publish()
    (tmp_path / "other").mkdir()
    older = Safe(tmp_path / "other", safe.store)  # type: ignore[arg-type]
    stolen = LedgerKeys.open(tmp_path / "keys", ORIGIN)
    with pytest.raises(LedgerError) as caught:
        older.publisher(stolen).publish()
    assert caught.value.code == "LEDGER_KEYS_MISMATCH"
    older.close()


def _with_same_keys(safe: Safe, folder: Path) -> Safe:
    folder.mkdir()
    (folder / "keys").symlink_to(folder.parent / "keys")
    return Safe(folder, safe.store)


def test_a_database_that_is_behind_or_forked_signs_nothing(safe: Safe, tmp_path: Path) -> None:
    safe.grow(10)
    safe.publisher().publish()
    note = safe.store.get("checkpoint")
    other = _with_same_keys(safe, tmp_path / "other")
    with pytest.raises(LedgerError) as caught:
        other.publisher().publish()
    assert caught.value.code == "LEDGER_BEHIND"
    other.writer.run(lambda tx: [tx.append(b"\x01" * 32, PIECES) for _ in range(20)])
    with pytest.raises(LedgerError) as caught:
        other.publisher().publish()
    assert caught.value.code == "LEDGER_FORKED"
    assert safe.store.get("checkpoint") == note
    other.close()


def test_publication_goes_on_when_the_right_database_is_back(safe: Safe, tmp_path: Path) -> None:
    safe.grow(300)
    publisher = safe.publisher()
    publisher.publish()
    right, other = publisher._database, _with_same_keys(safe, tmp_path / "other")
    publisher._database = other.database
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            publisher.publish()
        assert caught.value.code == "LEDGER_BEHIND"
    assert (publisher.failure, publisher.behind) == (None, caught.value)
    publisher._database = right
    safe.grow(10)
    publisher.start()
    assert publisher.wait(310, 10) is not None
    publisher.close()
    assert (publisher.failure, publisher.behind) == (None, None)
    # One that has grown past what was published, by another history, still is the end.
    other.writer.run(lambda tx: [tx.append(b"\x01" * 32, PIECES) for _ in range(400)])
    publisher._database = other.database
    with pytest.raises(LedgerError) as caught:
        publisher.publish()
    assert (caught.value.code, publisher.failure) == ("LEDGER_FORKED", caught.value)
    other.close()


def test_a_checkpoint_that_others_signed_is_not_continued(safe: Safe) -> None:
    forged = LedgerKeys.new(ORIGIN).sign_checkpoint(1, bytes(32), FixedClock().now())
    safe.store.compare_and_swap("checkpoint", None, forged, "")
    with pytest.raises(LedgerProofRefused) as caught:
        safe.publisher().publish()
    assert caught.value.code == "LOG_SIGNATURE_MISSING"


def test_a_store_that_is_down_is_tried_again(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise StorageUnavailable

    publisher = safe.publisher()
    with monkeypatch.context() as patch:
        patch.setattr(safe.store, "put_if_absent", down)
        with pytest.raises(Unavailable) as caught:
            publisher.publish()
        assert caught.value.code == "LOG_STORE_UNAVAILABLE"
    assert publisher.failure is None
    assert publisher.publish() == 1


def test_a_swap_that_another_host_won_is_continued_from(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    safe.publisher().publish()
    safe.grow(3)
    real = safe.store.compare_and_swap

    def lose(path: str, old: bytes | None, new: bytes, media_type: str) -> None:
        real(path, old, new, media_type)
        raise LogConflict

    publisher = safe.publisher()
    with monkeypatch.context() as patch:
        patch.setattr(safe.store, "compare_and_swap", lose)
        assert publisher.publish() == 1
    assert publisher.publish() == 4
    assert audit_database(safe.database).problems == []


def test_many_publishers_at_once_while_the_ledger_grows(tmp_path: Path) -> None:
    safe = Safe(tmp_path, FilesystemLogStore(tmp_path / "log"))
    publishers = [safe.publisher(interval=0.001) for _ in range(3)]
    for publisher in publishers:
        publisher.start()
    safe.writer.on_commit = publishers[0].wake
    for count in (1, 40, 250, 3, 300, 1):
        safe.grow(count)
    note = publishers[2].wait(596, 20)
    assert note is not None
    assert Checkpoint.parse(note).size == 596
    for publisher in publishers:
        publisher.close()
        assert publisher.failure is None
    safe.publisher().publish()
    report = audit_log_store(safe.store, safe.policy)
    assert (report.problems, report.size) == ([], 596)
    assert audit_database(safe.database).problems == []
    safe.close()


def test_only_one_publishes_at_a_time(safe: Safe) -> None:
    publisher, other = safe.publisher(), safe.publisher()
    inside, go = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "publish.before-bundles":
            inside.set()
            go.wait(10)

    faults.install(hold)
    thread = threading.Thread(target=publisher.publish)
    thread.start()
    assert inside.wait(10)
    assert other.publish() == 0
    go.set()
    thread.join()
    assert other.publish() == 1


def test_receipts(safe: Safe) -> None:
    publisher = safe.publisher()
    receipts = Receipts(safe.database, publisher)
    assert receipts.receipt(0) is None
    assert (receipts.published_size(), receipts.checkpoint()) == (0, None)
    safe.grow(3)
    publisher.start()
    safe.writer.on_commit = publisher.wake
    receipt = receipts.receipt(3, wait=10)
    assert receipt is not None
    with safe.database.reading() as connection:
        body = entry_body(connection, 3)
        before = entry_body(connection, 2)
    assert body is not None
    assert before is not None
    assert verify_receipt(receipt, body, safe.policy).checkpoint.size == 4
    # The receipt of one entry does not fit another one, even where the audit path would.
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(receipt, before, safe.policy)
    assert caught.value.code == "INDEX_MISMATCH"
    assert receipts.receipt(4, wait=0.01) is None
    assert receipts.receipt(-1) is None
    publisher.close()
    stored = StoredReceipts(safe.database)
    assert stored.receipt(3, wait=5) == receipt
    assert stored.published_size() == 4


def test_keys_that_the_ledger_does_not_state(safe: Safe) -> None:
    changed = LedgerKeys.new(ORIGIN)
    with pytest.raises(LedgerError) as caught:
        safe.publisher(changed).publish()
    assert caught.value.code == "LEDGER_KEYS_MISMATCH"


def execute(safe: Safe, sql: str, *values: object) -> None:
    with safe.database.writing() as connection:
        connection.exec_driver_sql(sql, values)


@pytest.mark.parametrize(
    ("sql", "values", "code", "where"),
    [
        ("UPDATE ledger_entries SET leaf = ? WHERE seq = 7", (bytes(32),), "LEAF_MISMATCH", "entry 7"),
        ("DELETE FROM ledger_entries WHERE seq = 7", (), "CHAIN_BROKEN", "entry 7"),
        ("UPDATE ledger_entries SET body = body || ' ' WHERE seq = 7", (), "CHAIN_BROKEN", "entry 7"),
        (
            "UPDATE ledger_entries SET body = (SELECT body FROM ledger_entries WHERE seq = 8) WHERE seq = 7",
            (),
            "CHAIN_BROKEN",
            "entry 7",
        ),
        ("DELETE FROM ledger_entries WHERE seq = 600", (), "HEAD_MISMATCH", "head"),
        ("UPDATE ledger_head SET size = 600", (), "HEAD_MISMATCH", "head"),
        ("UPDATE ledger_head SET last_leaf = ?", (bytes(32),), "HEAD_MISMATCH", "head"),
        ("DELETE FROM ledger_tiles WHERE tile = 1", (), "TILE_MISSING", "tile 0/1"),
        (
            "UPDATE ledger_tiles SET hashes = ? WHERE tile = 1",
            (bytes(8192),),
            "TILE_MISMATCH",
            "tile 0/1 hash 0",
        ),
        ("INSERT INTO ledger_tiles VALUES (1, 0, ?)", (bytes(8192),), "TILE_MISMATCH", "number of tiles"),
        (
            "UPDATE checkpoints SET root = ? WHERE size = 301",
            (bytes(32),),
            "CHECKPOINT_MISMATCH",
            "checkpoint 301",
        ),
        ("UPDATE checkpoints SET note = ? WHERE size = 301", (b"x",), "FORMAT_FAILURE", "checkpoint 301"),
    ],
)
def test_an_audit_of_the_database_finds(
    safe: Safe, sql: str, values: tuple[object, ...], code: str, where: str
) -> None:
    publisher = safe.publisher()
    for count in (300, 300):
        safe.grow(count)
        publisher.publish()
    assert audit_database(safe.database).problems == []
    execute(safe, sql, *values)
    report = audit_database(safe.database)
    assert not report.ok
    assert (code, where) in {(problem.code, problem.where) for problem in report.problems}


def test_an_audit_finds_a_checkpoint_of_another_tree(safe: Safe) -> None:
    safe.grow(5)
    note = safe.keys.sign_checkpoint(4, bytes(32), FixedClock().now())
    execute(safe, "INSERT INTO checkpoints VALUES (4, ?, ?, '')", bytes(32), note)
    assert [problem.code for problem in audit_database(safe.database).problems] == ["ROOT_MISMATCH"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("checkpoint", "OBJECT_MISSING"),
        ("tile/0/000", "OBJECT_MISSING"),
        ("tile/0/002.p/89", "OBJECT_MISSING"),
        ("tile/1/000.p/2", "OBJECT_MISSING"),
        ("tile/entries/001", "OBJECT_MISSING"),
        ("tile/entries/002.p/89", "OBJECT_MISSING"),
    ],
)
def test_an_audit_of_the_files_finds_what_is_missing(safe: Safe, path: str, code: str) -> None:
    safe.grow(600)
    safe.publisher().publish()
    assert audit_log_store(safe.store, safe.policy).problems == []
    assert path in safe.files()
    safe.store.remove(path)
    assert code in {problem.code for problem in audit_log_store(safe.store, safe.policy).problems}


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000",
        "tile/0/002.p/89",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/89",
        "checkpoint",
    ],
)
def test_an_audit_of_the_files_finds_any_changed_octet(safe: Safe, path: str) -> None:
    safe.grow(600)
    safe.publisher().publish()
    files = safe.files()
    data = files.pop(path)
    for at in range(0, len(data), max(1, len(data) // 12)):
        changed = MemoryLogStore()
        for name, content in files.items():
            changed.put_if_absent(name, content, "")
        changed.put_if_absent(path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "")
        assert audit_log_store(changed, safe.policy).problems, f"{path} octet {at}"
